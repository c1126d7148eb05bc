#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""failure-latency.py FILE OFFSET N TIMES: how long after a page fails the first and the last of N
processes that map it are told, in microseconds; by the kernel itself, which is asked
to with early_kill, and by the daemon. In turn; each page fails once."""
import json
import subprocess
import sys
import time

from failures import PAGE, Holder, early_kill, hard_offline

WORLDS = {
    "kernel": (True, "systemctl stop daxguardd.service; modprobe -r daxguard"),
    "daxguard": (False, "modprobe daxguard && systemctl start daxguardd.service"),
}


def told(holders, nth):
    """When each had its nth signal, in nanoseconds; None: not all have."""
    times = []
    for holder in holders:
        mine = [line for line in holder.lines() if line[0] == "sigbus"]
        if len(mine) < nth:
            return None
        times.append(int(mine[nth - 1][4]))
    return times


def sample(holders, page, nth):
    begin = time.monotonic_ns()
    hard_offline(holders[0].frame + page)
    # Who looks takes part of the processors.
    for _ in range(20):
        time.sleep(1.5)
        times = told(holders, nth)
        if times:
            return [(which(times) - begin) / 1000 for which in (min, max)]
    sys.exit(f"not all were told of page {page}")


def main():
    path, offset, n, repeat = sys.argv[1], *map(int, sys.argv[2:])
    holders = [Holder("read" if i % 2 else "write", path, offset, 64 * PAGE) for i in range(n)]
    samples = {world: [] for world in WORLDS}
    page = 0
    for _ in range(repeat):
        for world, (early, command) in WORLDS.items():
            subprocess.run(command, shell=True, check=True)
            early_kill(early)
            # What it does after a start is over; and so is the last incident.
            time.sleep(4)
            samples[world].append(sample(holders, page, page + 1))
            page += 1
    # Where the last one's time went.
    newest = json.loads(subprocess.check_output(["daxguardctl", "show", "--json"]))["Incident"]
    samples["states"] = [(state["State"], state["TookUsec"]) for state in newest["States"]]
    for holder in holders:
        holder.end()
    early_kill(False)
    print(json.dumps(samples))


if __name__ == "__main__":
    main()
