# SPDX-License-Identifier: LGPL-2.1-or-later
"""A process that is dumped and goes on again: CRIU by itself, against a rung of a
ladder and daxguardctl restore."""
import json

from measure import Machine, Samples

PREPARE = """
with_module
set -e
make_fsdax; make_fs ext4; mount_dax
mkdir -p /etc/daxguard/policy.d
printf '[Match]\\nMountPoint=%s\\n[Policy]\\nAction=checkpoint@50s kill\\n' $MNT >/etc/daxguard/policy.d/10-bench.policy
systemctl reload daxguardd.service
echo 55000 >/sys/module/daxguard/parameters/hold_ms
"""
# As the daemon has it: neither is started with what the other one has warmed up.
START = """
now() { echo ${EPOCHREALTIME/./}; }
started() { [[ $(/usr/lib/daxguard-test/counter show $MNT/file 2>&1) =~ pid.:\\ ([0-9]+) ]] && PID=${BASH_REMATCH[1]} && [ -d /proc/$PID ]; }
find_fsdax
rm -f $MNT/file
systemd-run -q --collect --unit=bench-checkpoint -p StandardOutput=null -p StandardError=null \
	/usr/lib/daxguard-test/counter big $MNT/file %d
wait_for 30 started || fail "it does not count"
"""
BARE = START + """
rm -rf /var/tmp/bare; mkdir /var/tmp/bare
a=$(now); criu dump -t $PID -D /var/tmp/bare --file-locks --manage-cgroups=ignore || fail dump
b=$(now); criu restore -D /var/tmp/bare --file-locks --manage-cgroups=ignore --restore-detached </dev/null >/dev/null 2>&1 || fail restore
c=$(now); kill -KILL $PID
d=$(now); systemd-run -q --wait true; systemd-run -q --scope true
e=$(now); echo "[$((b - a)), $((c - b)), $((e - d))]"
"""
OURS = START + """
unbind_pfn
ID=$(daxguardctl checkpoints --json | sed -n 's/.*"Id": *"\\([^"]*\\)".*/\\1/p'); [ -n "$ID" ] || fail "no checkpoint"
tr '\\0' '\\n' </var/lib/daxguard/checkpoints/*/*/manifest | sed -n 's/^DUMP_USEC=//p'
rebind_pfn region0; mount_dax
a=$(now); daxguardctl restore $ID >/dev/null || fail restore
b=$(now); kill -KILL $PID
echo $((b - a))
"""


def ours(machine, mib):
    """Microseconds: of CRIU until its images are on the disk, of the whole rung, of the restore."""
    dumped, restored = map(float, machine.run(OURS % mib, timeout=240).split()[-2:])
    holder, = machine.incident()["Holders"]
    rung = next(action for action in holder["Actions"] if action["Outcome"] == "checkpointed")
    return dumped, rung["TookUsec"], restored


def run(images, report, repeat):
    with Machine(images, "6.12", "checkpoint") as machine:
        machine.run(PREPARE, timeout=180)
        for mib in (1, 64):
            bare_dump, bare_restore, units, dump, rung, restore = (Samples() for _ in range(6))
            for _ in range(max(repeat, 3)):
                took = json.loads(machine.run(BARE % mib, timeout=180).splitlines()[-1])
                bare_dump.add(took[0])
                bare_restore.add(took[1])
                units.add(took[2])
                took = ours(machine, mib)
                dump.add(took[0])
                rung.add(took[1])
                restore.add(took[2])
            for what, bare, daxguard in (("dump, on the disk,", bare_dump, dump), ("rung", bare_dump, rung),
                                         ("restore", bare_restore, restore)):
                report.row("checkpoint", f"{what} of a process with {mib} MiB of its own",
                           f"criu: {bare}; daxguard: {daxguard}: {daxguard.median / bare.median:.2g}×",
                           kernel=machine.release, mib=mib, bare_us=bare, daxguard_us=daxguard,
                           ratio=daxguard.median / bare.median)
            # What is to outlive us, and be told from its service, costs these two.
            report.row("checkpoint", f"restore of a process with {mib} MiB of its own, beyond criu",
                       f"an empty unit and an empty scope: {units}; daxguard: "
                       f"{(restore.median - bare_restore.median) / units.median:.2g}×",
                       kernel=machine.release, mib=mib, units_us=units)
