# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lines of the ledger's file, see docs/ledger.md."""


def crc32c(data):
    rest = 0xffffffff
    for byte in data:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82f63b78 if rest & 1 else 0)
    return rest ^ 0xffffffff


def line(body):
    return f"1 {crc32c(body.encode()):08x} {body}\n"
