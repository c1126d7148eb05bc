#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The core needs from outside only what is named here: no I/O, no clock, no process.

Arguments: nm, and the core's archive or objects.
"""

import subprocess
import sys

ALLOWED = set("""
calloc free malloc realloc reallocarray strdup
bcmp memchr memcmp memcpy memmove memset
strchr strcmp strcspn strlen strncmp strncpy strnlen strrchr strsep strspn strstr
strtoul strtoull __isoc23_strtoul __isoc23_strtoull
snprintf vsnprintf sscanf __isoc99_sscanf __isoc23_sscanf
qsort
fnmatch __libc_current_sigrtmin __libc_current_sigrtmax
__errno_location
""".split())
# What the compiler and its checkers add.
TOOLS = ("__stack_chk_", "__asan_", "__ubsan_", "__sanitizer_", "__gcov_", "__llvm_", "__sanc", "__tsan_",
         "_GLOBAL_OFFSET_TABLE_")


def allowed(symbol):
    # _FORTIFY_SOURCE: __memcpy_chk
    plain = symbol[2:-4] if symbol.startswith("__") and symbol.endswith("_chk") else symbol
    return symbol in ALLOWED or plain in ALLOWED or symbol.startswith(TOOLS)


def main():
    nm, *objects = sys.argv[1:]
    undefined, defined = set(), set()
    for line in subprocess.run([nm, "-P", *objects], check=True, text=True,
                               stdout=subprocess.PIPE).stdout.splitlines():
        fields = line.split()
        if len(fields) < 2 or line.endswith(":"):
            continue
        (undefined if fields[1] in "Uwv" else defined).add(fields[0])
    assert "dg_incident_start" in defined, "this is not the core"
    wrong = sorted(s for s in undefined - defined if not allowed(s))
    for symbol in wrong:
        print(f"the core must not need {symbol}")
    if not wrong:
        print(f"{len(undefined - defined)} symbols from outside, all of them allowed")
    return bool(wrong)


sys.exit(main())
