# SPDX-License-Identifier: LGPL-2.1-or-later
"""From a page that fails to the last of those who map it: what the kernel does itself
if it is asked to (early_kill), against the daemon's way."""
import json

from measure import Machine, Samples, time_text

PREPARE = """
set -e
make_fsdax; make_fs ext4; mount_dax
dd if=/dev/zero of=$MNT/data bs=1M count=4 conv=fsync 2>/dev/null
"""
LATENCY = "/usr/lib/daxguard-test/failure-latency.py"


def run(images, report, repeat):
    with Machine(images, "6.12", "failure") as machine:
        machine.run(PREPARE)
        for at, n in enumerate((10, 200)):
            out = machine.run(f"{LATENCY} $MNT/data {at << 20} {n} {max(repeat, 3)}", timeout=400)
            answer = json.loads(out.splitlines()[-1])
            states = ", ".join(f"{name} {time_text(usec)}" for name, usec in answer.pop("states") if usec)
            times = {world: [Samples(part) for part in zip(*samples)] for world, samples in answer.items()}
            (bare_first, bare), (first, last) = times["kernel"], times["daxguard"]
            report.row("failure", f"{n} processes that map the page",
                       f"the kernel's own: {bare}; daxguard: {last}, the first after {first}: "
                       f"{last.median / bare.median:.2g}× (the last one: {states})", kernel=machine.release, processes=n,
                       kernel_first_us=bare_first, kernel_us=bare, first_us=first, last_us=last,
                       ratio=last.median / bare.median)
