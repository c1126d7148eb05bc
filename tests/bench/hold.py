# SPDX-License-Identifier: LGPL-2.1-or-later
"""How long a hold lasts beyond what it waits for, in netlink round trips.

One process maps a file, and unmaps it at once when it is told. What is taken
off: both syncs, from that process's signal until it was seen to have let go, and
what umount(2) takes where nobody guards.
"""
from measure import BENCH, Machine, Samples

SET_UP = """
find_fsdax region0
mount_dax
{bench} map prompt 1 16 $MNT/data
"""
CLEAN_UP = """
pkill -KILL -x mapper
wait_for 20 sh -c '! pgrep -x mapper'
! grep -q " $MNT " /proc/mounts || umount $MNT
"""


def phases(incident):
    """What of a hold was spent on what, in microseconds."""
    steps = incident["Steps"]
    syncs = sum(step["TookUsec"] for step in steps if step["Step"] == "sync")
    unmount = sum(step["TookUsec"] for step in steps if step["Step"] == "unmount")
    let_go = max(holder["EndUsec"] - holder["Actions"][0]["AtUsec"] for holder in incident["Holders"])
    return {"held": incident["HeldUsec"], "syncs": syncs, "let_go": let_go, "unmount": unmount,
            "beyond": incident["HeldUsec"] - syncs - let_go}


def run(images, report, repeat):
    with Machine(images, "6.12", "hold") as machine:
        machine.run("make_fsdax; make_fs xfs-rmapbt1; with_module")
        trips, umounts = Samples(), Samples()
        of = {}
        for _ in range(max(repeat, 10)):
            machine.run(SET_UP.format(bench=BENCH))
            machine.run(CLEAN_UP.replace("! grep -q \" $MNT \" /proc/mounts || umount $MNT", ""))
            umounts.add(machine.number(f"{BENCH} umount $MNT"))
            trips.values += machine.numbers(f"{BENCH} pending 50")
            machine.run(SET_UP.format(bench=BENCH) + "sleep 1")
            machine.run(f"find_fsdax region0; {BENCH} write $ND/nd_pmem/unbind $PFN")
            for phase, usec in phases(machine.incident()).items():
                of.setdefault(phase, Samples()).add(usec)
            machine.run(CLEAN_UP + "rebind_pfn region0; sleep 2")
        trip = trips.median
        beyond = of["beyond"].median
        report.row("hold", "a netlink round trip (GET_PENDING)", str(trips), kernel=machine.release, trip_us=trips)
        for phase, samples in of.items():
            report.row("hold", phase, f"{samples}: {samples.median / trip:.0f} round trips",
                       kernel=machine.release, us=samples, trips=samples.median / trip)
        report.row("hold", "umount(2) by itself", f"{umounts}: {umounts.median / trip:.0f} round trips",
                   kernel=machine.release, us=umounts, trips=umounts.median / trip)
        report.row("hold", "beyond the syncs, the process, umount(2)",
                   f"{(beyond - umounts.median) / trip:.0f} round trips",
                   kernel=machine.release, trips=(beyond - umounts.median) / trip)
