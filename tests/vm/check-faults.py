#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""check-faults.py PAGE: each case of the guest suite is named in docs/faults.md,
and each case that is named there exists.

"…" in a name stands for whatever there is; `a` … `b` for the cases from one to
the other, in the suite's order.
"""
import fnmatch
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import cases

NAMES = list(cases.CASES)
# A name without a slash is one of the few groups that are a case themselves.
GROUPS = {name.partition("/")[0] for name in NAMES}
SPAN = r"`([^`\s]+)`"


def is_case(span):
    group, slash, _ = span.partition("/")
    return group in GROUPS if slash else span in NAMES


def matching(span):
    return fnmatch.filter(NAMES, span.replace("…", "*"))


def named(page):
    """(names that the page stands for, what in it stands for none)"""
    found, wrong = set(), []
    for span in filter(is_case, re.findall(SPAN, page)):
        found.update(matching(span))
        if not matching(span):
            wrong.append(span)
    for first, last in re.findall(f"{SPAN} … {SPAN}", page):
        if first in NAMES and last in NAMES:
            found.update(NAMES[NAMES.index(first):NAMES.index(last) + 1])
    return found, wrong


def main():
    found, wrong = named(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    for span in wrong:
        print(f"{span}: there is no such case")
    missing = [name for name in NAMES if name not in found]
    for name in missing:
        print(f"{name}: not in {sys.argv[1]}")
    return 1 if wrong or missing else 0


if __name__ == "__main__":
    sys.exit(main())
