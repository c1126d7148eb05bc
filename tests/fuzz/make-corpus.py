#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Writes the corpus of klink: messages as the module sends them.

The numbers of commands and attributes are read from the uapi header.
Arguments: kmod/uapi/daxguard.h, corpus/klink.
"""

import pathlib
import re
import struct
import sys

header, out = pathlib.Path(sys.argv[1]).read_text(), pathlib.Path(sys.argv[2])


def enum(name, prefix):
    body = re.sub(r"/\*.*?\*/", "", re.search(r"enum " + name + r" \{(.*?)\};", header, re.S)[1], flags=re.S)
    return {word.removeprefix(prefix): i for i, word in enumerate(re.findall(r"\w+", body))}


CMD, A = enum("daxguard_cmd", "DAXGUARD_CMD_"), enum("daxguard_attr", "DAXGUARD_A_")
NESTED = 0x8000


def attr(name, payload=b"", flags=0):
    raw = struct.pack("=HH", 4 + len(payload), A[name] | flags) + payload
    return raw + bytes(-len(raw) % 4)


def u8(name, value):
    return attr(name, struct.pack("=B", value))


def u32(name, value):
    return attr(name, struct.pack("=I", value))


def u64(name, value):
    return attr(name, struct.pack("=Q", value))


def text(name, value):
    return attr(name, value.encode() + b"\0")


def nest(name, *parts):
    return attr(name, b"".join(parts), NESTED)


def message(command, *parts):
    return struct.pack("=BBH", CMD[command], 1, 0) + b"".join(parts)


DEV = 259 << 32
TARGET = nest("TARGET", text("NAME", "pmem0"), u64("DEV", DEV), u8("MODE", 3), text("NS_DEVICE", "pfn0.0"),
              attr("NS_UUID", bytes(range(16))), nest("RANGE", u64("START", 1 << 32), u64("LEN", 1 << 29)),
              nest("STACK", text("NAME", "pmem0p1"), u64("DEV", DEV + 1)),
              nest("STACK", text("NAME", "dm-0"), u64("DEV", 253 << 32)), attr("IN_USE"))
MESSAGES = {
    "event": message("EVENT", u64("ID", 7), text("BOOT_ID", "01234567-89ab-cdef-0123-456789abcdef"),
                     attr("COOKIE", bytes(16)), text("DEVICE", "pfn0.0"), text("BUS", "nd"),
                     text("DRIVER", "nd_pmem"), u32("FLAGS", 0), u8("STATE", 0), u32("DEADLINE_MS", 20000),
                     u32("ELAPSED_MS", 1), u32("CAP_MS", 60000), u32("UNBINDER_PID", 99),
                     u64("UNBINDER_START_NS", 123456789), TARGET, nest("TARGET", text("NAME", "dax1.0"),
                                                                       u64("DEV", 252 << 32), u8("MODE", 4))),
    "done": message("DONE", u64("ID", 7), u8("RESULT", 1), u8("REVOKE", 1), u64("INODES", 3), u64("ENTRIES", 4),
                    u64("VMAS", 0), u64("PAGES_PINNED", 0), u32("SHUTDOWNS", 0), u64("HELD_US", 80),
                    u64("REVOKE_US", 9)),
    "completed": message("COMPLETED", u32("TOKEN", 3), u32("ERROR", 0), attr("TRUNCATED")),
    "holder": message("GET_HOLDERS", u32("PID", 10), u32("TID", 10), u64("START_NS", 5), text("COMM", "app"),
                      u32("UID", 1000), u64("SIG_CAUGHT", 1 << 6), u64("SIG_BLOCKED", 0), u64("SIG_IGNORED", 0),
                      u8("HOLDER_USE", 0), u32("HOLDER_FLAGS", 3), u64("FS_DEV", DEV), u64("INO", 12),
                      u64("ADDR", 0x7F0000000000), u64("LEN", 1 << 24), u64("OFFSET", 0), u32("COUNT", 1)),
    "fs": message("GET_FS", u64("FS_DEV", DEV), text("FS_TYPE", "ext4"), u64("DEV", DEV), u32("FS_FLAGS", 3),
                  u64("INODES", 1), u64("ENTRIES", 8)),
    "info": message("REGISTER", text("VERSION", "1"), text("BOOT_ID", "01234567-89ab-cdef-0123-456789abcdef"),
                    u32("HOLD_MS", 20000), u32("CAP_MS", 60000), u32("ACTIVATION_MS", 3000)),
    "failure": message("FAILURE", u64("FAILURE", 3), u8("SOURCE", 0), text("MF_TYPE", "dax page"),
                       text("MF_RESULT", "Recovered"), u32("FAILURE_FLAGS", 32), text("NAME", "pmem0"), u64("DEV", DEV),
                       u8("MODE", 3), text("NS_DEVICE", "pfn0.0"), attr("NS_UUID", bytes(range(16))),
                       nest("RANGE", u64("START", 1 << 32), u64("LEN", 4096)), u64("DISK_OFFSET", 8192),
                       u32("COUNT", 2), u64("TIME_NS", 99), u64("FS_DEV", DEV), u64("INO", 12),
                       u32("GENERATION", 1), u64("OFFSET", 4096),
                       nest("TOLD", u32("PID", 10), u64("START_NS", 5), u64("ADDR", 0x7F0000000000), u64("LEN", 4096)),
                       nest("TOLD", u32("PID", 11), u64("START_NS", 6), u64("ADDR", 0x7E0000000000), u64("LEN", 4096))),
    "bad-block": message("GET_FAILURES", u64("FAILURE", 4), u8("SOURCE", 1), u32("FAILURE_FLAGS", 1),
                         text("NAME", "pmem0"), u64("DEV", DEV), nest("RANGE", u64("START", 512), u64("LEN", 512))),
    "token": message("SCAN", u32("TOKEN", 5)),
}
for name, data in MESSAGES.items():
    (out / name).write_bytes(data)
