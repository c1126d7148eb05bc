# SPDX-License-Identifier: LGPL-2.1-or-later
"""The write to unbind until it returns: a bare kernel against a guarded one.

The file is mapped, and every page of it touched, by each of the processes. In
both worlds they are the same: "prompt" ones unmap on SIGBUS, as a process would
that was written for persistent memory, "plain" ones know nothing of signals.
"""
from measure import BENCH, Machine, Samples, time_text

CELLS = [(n, mib) for n in (1, 10, 100) for mib in (1, 64, 256)]
ENDLESS = 60  # seconds after which a bare 7.x is not waited for any more

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


def run_endless(images, report, repeat):
    """On 7.x the bare removal does not end: it has a guest of its own, and a limit."""
    guarded = Samples()
    with Machine(images, "7", "endless") as machine:
        machine.run("make_fsdax")
        for _ in range(repeat):
            guarded.add(once(machine, "with_module", "prompt", 10, 64))
        machine.run(SET_UP.format(world="without_module", bench=BENCH, kind="prompt", n=10, mib=64), timeout=200)
        result = machine.guest.run(f". /usr/lib/daxguard-test/lib.sh\n{MEASURE.format(bench=BENCH)}", ENDLESS)
        bare = float(result.out.split()[-1]) if result.rc == 0 else None
        said = time_text(bare) if bare else f"not back in {ENDLESS} s"
        report.row("removal", "7.x: prompt, 10 × 64 MiB", f"bare {said}, guarded {guarded}",
                   kernel=machine.release, kind="prompt", processes=10, mib=64, bare_us=bare,
                   bare_limit_us=ENDLESS * 1e6, guarded_us=guarded)
