#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""failure-matrix.py DISK FILE SECONDS: a page that ten processes map fails, in each way;
how many of them are told, and how many go on reading it. DISK is the name of the
block device, or FILE is a device-dax. Prints a line of JSON for each way."""
import json
import os
import subprocess
import sys
import time

from failures import PAGE, POISON, Holder, data_start, early_kill, hard_offline

# Of private mappings those that were only read: who has written has a copy.
KINDS = ["write"] * 4 + ["read"] * 4 + ["private"] * 2


def inject(how, disk, path, offset, size, frame):
    if how == "hard_offline_page":
        hard_offline(frame)
    elif how == "madvise":
        subprocess.run([POISON, "inject", path, str(offset), str(size), str(size // PAGE)], check=True,
                       stdout=subprocess.DEVNULL)
    else:
        sector = (frame * PAGE - data_start(disk)) // 512
        fd = os.open(f"/sys/block/{disk}/badblocks", os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, f"{sector} {PAGE // 512}".encode())
        os.close(fd)
        # Of what is written there by hand the kernel tells nobody; a daemon that starts looks.
        subprocess.run(["systemctl", "try-restart", "daxguardd.service"], check=True)


def play(how, disk, path, offset, patience):
    chardev = disk == "-"
    size = (2 << 20) if chardev else 16 * PAGE
    kinds = [kind for kind in KINDS if not (chardev and kind == "private")]
    kinds += ["read"] * (len(KINDS) - len(kinds))
    holders = [Holder(kind, path, offset, size) for kind in kinds]
    inject(how, disk, path, offset, size, holders[0].frame)
    end = time.monotonic() + patience
    told = []
    while time.monotonic() < end and len(told) < len(holders):
        time.sleep(0.2)
        told = [h for h in holders if h.signals()]
    n_signals = sum(len(h.signals()) for h in holders)
    reading = [h for h in holders if h.touch() == "touched"]
    for holder in holders:
        holder.end()
    return {"how": how, "n": len(holders), "told": len(told), "signals": n_signals, "reading": len(reading)}


def main():
    disk, path, patience = sys.argv[1], sys.argv[2], float(sys.argv[3])
    offset = 0
    for early in (False, True):
        early_kill(early)
        for how in ("hard_offline_page", "madvise") + (() if disk == "-" else ("badblocks",)):
            print(json.dumps(dict(play(how, disk, path, offset, patience), early=int(early))), flush=True)
            offset += 2 << 20
    early_kill(False)


if __name__ == "__main__":
    main()
