#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may include whom, as the design says it. Argument: the source tree."""

import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')

# The core is libc only, and of libc nothing that does I/O or tells the time.
CORE_SYSTEM = {
    "ctype.h", "endian.h", "errno.h", "fnmatch.h", "inttypes.h", "limits.h", "signal.h", "stdarg.h",
    "stdbool.h", "stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "sys/types.h",
}


def layer(path):
    parts = path.parts
    if parts[0] == "ctl":
        return "ctl"
    if parts[0] == "kmod":
        return "uapi" if parts[1] == "uapi" else "kmod"
    if parts[0] != "daemon":
        return None
    if parts[1] in ("checkpoint", "core", "io", "step"):
        return parts[1]
    if path.name in ("names.h", "build-config.h"):
        return "names"
    if path.stem in ("policy-files", "trusted-file"):
        return "files"
    if path.name.startswith("bus") or path.name.startswith(("daemon.", "main.")):
        return "bus"
    return "manager"


MAY = {
    "core": {"core"},
    "io": {"core", "io", "names"},
    "step": {"core", "step", "names"},
    "checkpoint": {"checkpoint", "core", "names", "step"},
    "files": {"core", "files", "names"},
    "manager": {"core", "files", "io", "manager", "names"},
    "bus": {"core", "files", "io", "manager", "bus", "names"},
    "ctl": {"core", "ctl", "files", "names"},
    "names": {"names"},
}


def adapter(path):
    """io/klink-decode.c and io/klink.c are one adapter."""
    return path.stem.split("-")[0]


def resolve(root, source, name):
    for base in (source.parent, pathlib.Path("daemon"), pathlib.Path("."), pathlib.Path("kmod")):
        if (root / base / name).is_file():
            return (base / name)
    if name == "build-config.h":
        return pathlib.Path("daemon/build-config.h")
    return None


def check(root, source):
    mine = layer(source)
    if mine not in MAY:
        return
    for number, line in enumerate((root / source).read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        where, name = f"{source}:{number}: {match[2]}", match[2]
        if match[1] == "<":
            if mine == "core" and name not in CORE_SYSTEM:
                yield f"{where}: the core includes no such header of the system"
            if mine == "manager" and name.startswith(("netlink/", "libudev", "libmount", "ndctl/")):
                yield f"{where}: a matter of an adapter"
            continue
        target = resolve(root, source, name)
        if not target:
            yield f"{where}: not found"
            continue
        theirs = layer(target)
        if theirs == "uapi":
            if mine != "io" or adapter(source) != "klink":
                yield f"{where}: only klink speaks to the module"
        elif theirs not in MAY[mine]:
            yield f"{where}: {mine} must not include {theirs}"
        elif mine == theirs == "io" and adapter(source) != adapter(target):
            yield f"{where}: adapters do not know each other"
        elif name == "manager-internal.h" and not source.name.startswith("manager"):
            yield f"{where}: of the manager alone"


def main():
    root = pathlib.Path(sys.argv[1])
    sources = [p.relative_to(root) for part in ("daemon", "ctl") for p in (root / part).rglob("*.[ch]")]
    assert len(sources) > 20, "this is not the source tree"
    errors = [e for source in sorted(sources) for e in check(root, source)]
    print("\n".join(errors) or f"{len(sources)} files, nobody includes whom he must not")
    return bool(errors)


sys.exit(main())
