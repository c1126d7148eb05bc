# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who uses the device: the module's scan against fuser and lsof.

Ten processes map a file there. The others have nothing to do with it; their
number grows, then the number of their mappings, then that of the inodes in core.
"""
from measure import BENCH, Machine, Samples, time_text

USERS = 10
SCANS = 20

MOUNTED = "find_fsdax region0; findmnt $MNT >/dev/null || mount_dax\n"
TIMED = """
TIMEFORMAT=%R
for i in $(seq {n}); do
	t=$({{ time {command} >/dev/null 2>&1; }} 2>&1)
	echo "$t"
done
"""


def scans(machine):
    """Samples, and how many uses they told."""
    lines = machine.run(f"{MOUNTED}{BENCH} scan /dev/$PMEM {SCANS}").splitlines()
    return Samples([float(line.split()[0]) for line in lines]), int(lines[-1].split()[1])


def tool(machine, command, n):
    seconds = machine.numbers(MOUNTED + TIMED.format(command=command, n=n), timeout=600)
    return Samples([s * 1e6 for s in seconds])


def against_tools(machine, report, alive, repeat):
    found, uses = scans(machine)
    fuser = tool(machine, "fuser -Mm $MNT", repeat)
    lsof = tool(machine, "lsof $MNT", repeat)
    report.row("holders", f"{alive} processes, {uses} uses",
               f"scan {found}; fuser {fuser}: {fuser.median / found.median:.3g}×; "
               f"lsof {lsof}: {lsof.median / found.median:.3g}×",
               kernel=machine.release, processes=alive, uses=uses, scan_us=found, fuser_us=fuser, lsof_us=lsof,
               fuser_ratio=fuser.median / found.median, lsof_ratio=lsof.median / found.median)


def by_processes(machine, report, repeat):
    machine.run(f"{MOUNTED}{BENCH} map plain {USERS} 1 $MNT/data")
    alive = USERS
    for wanted in (10, 100, 1000):
        machine.run(f"{BENCH} sleep {wanted - alive} 0")
        alive = wanted
        against_tools(machine, report, alive, repeat)
    machine.run("pkill -KILL -x sleeper; wait_for 30 sh -c '! pgrep -x sleeper'")
    machine.run(f"{MOUNTED}{BENCH} map plain {1000 - USERS} 1 $MNT/data")
    against_tools(machine, report, "1000, all of them using it:", repeat)
    machine.run("pkill -KILL -x mapper; wait_for 30 sh -c '! pgrep -x mapper'")


def by_mappings(machine, report):
    machine.run(f"{MOUNTED}{BENCH} map plain {USERS} 1 $MNT/data")
    few, many = Samples(), Samples()
    for _ in range(3):
        for samples, vmas in ((few, 10), (many, 1000)):
            machine.run(f"{BENCH} sleep 500 {vmas}")
            samples.values += scans(machine)[0].values
            machine.run("pkill -KILL -x sleeper; wait_for 30 sh -c '! pgrep -x sleeper'")
    report.row("holders", "500 others: 10 mappings each, 1000 each",
               f"scan {few}, {many}: {many.median / few.median:.3g}×",
               kernel=machine.release, few_us=few, many_us=many, ratio=many.median / few.median)
    machine.run("pkill -KILL -x mapper; wait_for 30 sh -c '! pgrep -x mapper'")


def by_inodes(images, report):
    with Machine(images, "6.12", "inodes", mib=1024, memory="4G") as machine:
        machine.run("make_fsdax; mkfs.ext4 -q -F -b 4096 -I 256 -N 1100000 /dev/$PMEM; mount_dax")
        machine.run(f"{MOUNTED}{BENCH} map plain {USERS} 1 $MNT/data")
        before = None
        there = 0
        for wanted in (0, 100000, 1000000):
            if wanted:
                machine.run(f"{MOUNTED}mkdir $MNT/{wanted}; {BENCH} files $MNT/{wanted} {wanted - there}", timeout=1500)
            there = wanted
            in_core = int(machine.number("awk '/^ext4_inode_cache/ {print $2}' /proc/slabinfo"))
            found, _ = scans(machine)
            before = before or found
            more = f", {time_text((found.median - before.median) / wanted * 1000)} for 1000 inodes" if wanted else ""
            report.row("holders", f"{in_core} inodes in core", f"scan {found}{more}",
                       kernel=machine.release, inodes=in_core, scan_us=found)


def run(images, report, repeat):
    with Machine(images, "6.12", "holders", memory="2G") as machine:
        machine.run("make_fsdax; make_fs xfs-rmapbt1")
        machine.run("systemctl stop daxguardd.service; modprobe daxguard")
        by_processes(machine, report, repeat)
        by_mappings(machine, report)
    by_inodes(images, report)
