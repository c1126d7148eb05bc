# SPDX-License-Identifier: LGPL-2.1-or-later
"""The write to unbind until it returns: a bare kernel against a guarded one.

The file is mapped, and every page of it touched, by each of the processes. In
both worlds they are the same: "prompt" ones unmap on SIGBUS, as a process would
that was written for persistent memory, "plain" ones know nothing of signals,
"deaf" ones block them and stay: daxguard's policy gives them 5 s before it kills.
"""
from measure import BENCH, Machine, Samples, time_text

CELLS = [(n, mib) for n in (1, 10, 100) for mib in (1, 64, 256)]
DEAF = [(1, 1), (1, 64), (10, 64), (100, 64)]
# Seconds after which the bare kernel is not waited for any more.
ENDLESS = 60
SLOW = 900

SET_UP = """
set -e
{world}
find_fsdax region0
make_fs xfs-rmapbt1
mount_dax
{bench} map {kind} {n} {mib} $MNT/data
sync
"""
MEASURE = "find_fsdax region0\n{bench} write $ND/nd_pmem/unbind $PFN\n"
# On 6.12 a bare kernel survives this with rmapbt=1, and only there.
CLEAN_UP = """
pkill -KILL -x mapper
for i in $(seq 100); do pgrep -x mapper >/dev/null || break; sleep 0.1; done
# Not mountpoint(1), which asks a file system that may have been shut down.
! grep -q " $MNT " /proc/mounts || umount $MNT
rebind_pfn region0
"""


def once(machine, world, kind, n, mib):
    machine.run(SET_UP.format(world=world, bench=BENCH, kind=kind, n=n, mib=mib), timeout=400)
    took = machine.number(MEASURE.format(bench=BENCH), timeout=1200)
    machine.run(CLEAN_UP, timeout=120)
    return took


def compare(machine, report, kind, n, mib, repeat):
    worlds = {"without_module": Samples(), "with_module": Samples()}
    for _ in range(repeat):
        for world, samples in worlds.items():
            samples.add(once(machine, world, kind, n, mib))
            # One of the slow ones says enough.
            if samples.values[0] > 120e6:
                repeat = 1
    bare, guarded = worlds.values()
    report.row("removal", f"{kind}, {n} × {mib} MiB",
               f"bare {bare}, guarded {guarded}: {bare.median / guarded.median:.3g}× as fast",
               kernel=machine.release, kind=kind, processes=n, mib=mib, bare_us=bare, guarded_us=guarded,
               ratio=bare.median / guarded.median)


def run(images, report, repeat):
    with Machine(images, "6.12", "removal", memory="2G") as machine:
        machine.run("make_fsdax")
        for n, mib in CELLS:
            compare(machine, report, "prompt", n, mib, repeat)
        compare(machine, report, "plain", 100, 64, repeat)


def bare_once(machine, kind, n, mib, limit):
    """None: it was not back in time, and the guest is of no more use."""
    machine.run(SET_UP.format(world="without_module", bench=BENCH, kind=kind, n=n, mib=mib), timeout=400)
    result = machine.guest.run(f". /usr/lib/daxguard-test/lib.sh\n{MEASURE.format(bench=BENCH)}", limit)
    return float(result.out.split()[-1]) if result.rc == 0 else None


def report_limited(report, machine, what, bare, limit, guarded, **figures):
    said = f"{time_text(bare)}: {bare / guarded.median:.3g}× as fast" if bare else f"not back in {limit} s"
    report.row("removal", what, f"guarded {guarded}, bare {said}", kernel=machine.release, bare_us=bare,
               bare_limit_us=limit * 1e6, guarded_us=guarded, **figures)


def run_deaf(images, report, _repeat):
    """The bare kernel goes through each page of each mapping that stays: once says
    enough. After that XFS cannot be mounted there again, so each has its guest."""
    for n, mib in DEAF:
        with Machine(images, "6.12", f"deaf-{n}-{mib}", memory="2G") as machine:
            machine.run("make_fsdax")
            guarded = Samples([once(machine, "with_module", "deaf", n, mib)])
            bare = bare_once(machine, "deaf", n, mib, SLOW)
            report_limited(report, machine, f"deaf, {n} × {mib} MiB", bare, SLOW, guarded, kind="deaf", processes=n,
                           mib=mib)
        if bare is None:
            break


def run_endless(images, report, repeat):
    """On 7.x the bare removal does not end: it has a guest of its own, and a limit."""
    with Machine(images, "7", "endless") as machine:
        machine.run("make_fsdax")
        guarded = Samples(once(machine, "with_module", "prompt", 10, 64) for _ in range(repeat))
        bare = bare_once(machine, "prompt", 10, 64, ENDLESS)
        report_limited(report, machine, "7.x: prompt, 10 × 64 MiB", bare, ENDLESS, guarded, kind="prompt",
                       processes=10, mib=64)
