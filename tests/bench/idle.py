# SPDX-License-Identifier: LGPL-2.1-or-later
"""What costs something while nothing is wrong: the unbind of a device that
nobody uses, and the daemon at rest."""
from measure import BENCH, Machine, Samples, time_text

ROUNDS = 10  # unbinds in a row, in one world
REST = 120   # seconds

UNBINDS = """
find_fsdax region0
for i in $(seq {n}); do
	sleep 0.3
	{bench} write $ND/nd_pmem/unbind $PFN
	rebind_pfn region0
done
"""
AT_REST = """
pid=$(systemctl show -P MainPID daxguardd.service)
awk '/^voluntary_ctxt/ {{ print $2 }}' /proc/$pid/status
"""


def unused_device(machine, report, repeat):
    worlds = {"without_module": Samples(), "with_module": Samples()}
    for _ in range(max(repeat, 5)):
        for world, samples in worlds.items():
            out = machine.numbers(world + UNBINDS.format(n=ROUNDS, bench=BENCH), timeout=240)
            samples.values += out
    bare, guarded = worlds.values()
    report.row("idle", "unbind of a device that nobody uses",
               f"without module {bare}, with {guarded}: {guarded.median / bare.median:.3f}×",
               kernel=machine.release, bare_us=bare, guarded_us=guarded, ratio=guarded.median / bare.median)


def at_rest(machine, report):
    machine.run("with_module; sleep 5")
    before = machine.number(AT_REST.format())
    machine.run(f"sleep {REST}", timeout=REST + 60)
    woken = int(machine.number(AT_REST.format()) - before)
    watchdog = machine.run("systemctl show -P WatchdogUSec daxguardd.service").strip()
    report.row("rest", f"wake-ups in {REST} s", f"{woken}, with a watchdog of {watchdog} (fed at half of it)",
               kernel=machine.release, seconds=REST, wakeups=woken, watchdog=watchdog)


def memory(machine, report):
    """Locked, all that is mapped is resident; the limit on what may be locked undoes that."""
    drop_in = "/run/systemd/system/daxguardd.service.d"
    locked = machine.run(RSS).split()
    machine.run(f"mkdir -p {drop_in}; printf '[Service]\\nLimitMEMLOCK=0\\nCapabilityBoundingSet=~CAP_IPC_LOCK\\n' "
                f">{drop_in}/bench.conf; systemctl daemon-reload; systemctl restart daxguardd.service; sleep 3")
    free = machine.run(RSS).split()
    machine.run(f"rm -r {drop_in}; systemctl daemon-reload; systemctl restart daxguardd.service; sleep 3")
    for what, words in (("not locked", free), ("locked", locked)):
        rss, anonymous, lock, steps, private = map(int, words)
        report.row("rest", f"memory, {what}",
                   f"RSS {rss} kB ({anonymous} kB of its own), {lock} kB locked; {steps} waiting steps: {private} kB",
                   kernel=machine.release, rss_kb=rss, anonymous_kb=anonymous, locked_kb=lock, steps=steps,
                   steps_private_kb=private)


RSS = """
pid=$(systemctl show -P MainPID daxguardd.service)
awk '/^(VmRSS|RssAnon|VmLck):/ { v[$1] = $2 } END { print v["VmRSS:"], v["RssAnon:"], v["VmLck:"] }' /proc/$pid/status
pgrep -c -x daxguard-step
cat /proc/[0-9]*/smaps_rollup >/dev/null 2>&1
for p in $(pgrep -x daxguard-step); do awk '/^Private/ { n += $2 } END { print n }' /proc/$p/smaps_rollup; done |
	awk '{ n += $1 } END { print n + 0 }'
"""

START = """
systemctl stop daxguardd.service
systemctl start daxguardd.service
systemctl show -P ExecMainStartTimestampMonotonic -P ActiveEnterTimestampMonotonic daxguardd.service
a=$(date +%s%N); /bin/true; b=$(date +%s%N)
echo $(((b - a) / 1000))
"""


def start(machine, report, repeat):
    ready, true = Samples(), Samples()
    for _ in range(max(repeat, 10)):
        started, active, of_true = map(int, machine.run(START).split())
        ready.add(active - started)
        true.add(of_true)
    report.row("rest", "start until READY=1", f"{ready}: {ready.median / true.median:.2g} times /bin/true "
               f"({time_text(true.median)})", kernel=machine.release, ready_us=ready, true_us=true)


def run(images, report, repeat):
    with Machine(images, "6.12", "idle") as machine:
        machine.run("make_fsdax")
        unused_device(machine, report, repeat)
        at_rest(machine, report)
        memory(machine, report)
        start(machine, report, repeat)
