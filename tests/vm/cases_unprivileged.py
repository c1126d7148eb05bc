# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody without privileges starts, stops, delays and learns nothing that the
design does not give him. None of it depends on the kernel's version."""
import json
import shlex

from check import Case
from expect import REMOVAL_LIMIT
from mounted import Mounted, results
from scenario import Scenario

TRY = "/usr/lib/daxguard-test/unprivileged.py"


def service(check, *properties):
    names = " ".join(f"-P {name}" for name in properties)
    return check.run(f"systemctl show {names} daxguardd.service").split()


def tries(check, out, least):
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    check.expect(len(answers) >= least, f"only {len(answers)} things were tried: {out[-1000:]}")
    for answer in answers:
        check.equal(answer["what"], answer["have"], answer["want"])


def access(check):
    """Nothing of ours can be read, written, asked, told or imitated."""
    check.start_daemon()
    before, life = check.counters(), service(check, "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic")
    tries(check, check.run(f"{TRY} {life[0]}", timeout=90), 60)
    check.equal("life of the daemon", service(check, "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic"), life)
    after = check.counters()
    for name in ("registered", "held", "scans", "signals"):
        check.equal(name, after[name], before[name])
    check.equal("lines in the daemon's name that its journal shows",
                check.run("journalctl -q -b -o cat -u daxguardd.service --grep forged || true"), "")
    check.equal("lines of the daemon's that nobody may read",
                check.run("setpriv --reuid nobody --regid nogroup --clear-groups "
                          "journalctl -q -b -o cat -u daxguardd.service 2>/dev/null || true"), "")


def doorbell(check):
    """Only the kernel rings: a daemon that is not there is not started."""
    check.run("systemctl stop daxguardd.service; modprobe daxguard")
    answers = check.run(f"python3 - <<'END'\nimport sys\nsys.argv[0] = '{TRY}'\n"
                        "sys.path.insert(0, '/usr/lib/daxguard-test')\nimport unprivileged\n"
                        "unprivileged.become_nobody()\nunprivileged.forged()\nEND", timeout=60)
    tries(check, answers, 10)
    check.run("udevadm settle")
    check.equal("daemon", check.run("systemctl is-active daxguardd.service || true").strip(), "inactive")


def holders(check):
    """Whoever uses the device gets what the policy gives him, and no more time."""
    scenario = Scenario(check.guest, "ext4")
    check.run("modprobe fuse; udevadm settle")
    check.start_daemon()
    scenario.prepare()
    try:
        scenario.sh("mkdir $MNT/own; touch $MNT/file; truncate -s 2M $MNT/file; chown -R nobody: $MNT/own $MNT/file\n"
                    "/usr/lib/daxguard-test/hostile.py $MNT/file $MNT/own >/run/hostile.log 2>&1 &\n"
                    "wait_for 20 grep -q ready /run/hostile.log || { cat /run/hostile.log; exit 1; }", check=True)
        removal = scenario.begin_removal(timeout=75).wait()
        check.equal("exit status of the removal", removal.rc, 0)
        check.expect(removal.secs < REMOVAL_LIMIT, f"the removal took {removal.secs:.1f} s")
        incident = check.incident()
        # What he has mounted in the way, and beneath, costs nobody a clean unmount.
        for what, want in (("Outcome", "clean"), ("Result", "acked"), ("Revoke", "clean"), ("Shutdowns", 0)):
            check.equal(f"{what} of the incident", incident[what], want)
        check.say(f"removed in {removal.secs:.1f} s")
        mapped = [holder for holder in incident["Holders"] if holder["Mapped"]]
        check.equal("end of who mapped it", [holder["End"] for holder in mapped], ["exited"])
        shown = check.run("daxguardctl show")
        check.expect("\x1b" not in shown and "\\x1b[2J\\nx dax" in shown, f"what the tool shows of its name: {shown}")
    finally:
        check.run("pkill -KILL -u nobody; wait_for 10 sh -c '! pgrep -u nobody'")
    check.equal("the device comes back", scenario.come_back().rc, 0)
    check.equal("it can be mounted", scenario.sh("mount_dax $DEV && umount $MNT", timeout=60).rc, 0)


# As many mount namespaces as there are descriptors for, without a process in them.
NAMESPACES = r"""
import ctypes, os, time
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
if ctypes.CDLL(None).mount(None, b"/", None, 0x44000, None) != 0:
    raise SystemExit("not private")
kept = []
for _ in range(500):
    os.unshare(os.CLONE_NEWNS)
    kept.append(os.open("/proc/self/ns/mnt", os.O_RDONLY))
print("ready", flush=True)
time.sleep(1000)
"""
# One of the host's own, likewise.
ONE_MORE = r"""
import ctypes, os, time
home = os.open("/proc/self/ns/mnt", os.O_RDONLY)
os.unshare(os.CLONE_NEWNS)
if ctypes.CDLL(None).mount(None, b"/", None, 0x44000, None) != 0:
    raise SystemExit("not private")
kept = os.open("/proc/self/ns/mnt", os.O_RDONLY)
os.setns(home)
print("ready", flush=True)
time.sleep(1000)
"""
# A FUSE mount of nobody's that lets in nobody else, as fusermount3 makes one on
# the host; it answers that it is there, and to nothing else.
FUSE = r"""
import ctypes, os, struct, sys, time
fd = os.open("/dev/fuse", os.O_RDWR)
if ctypes.CDLL(None).mount(b"fuse", sys.argv[1].encode(), b"fuse", 6,
                           f"fd={fd},rootmode=40000,user_id=65534,group_id=65534".encode()) != 0:
    raise SystemExit("no FUSE")
_, _, unique = struct.unpack_from("=IIQ", os.read(fd, 1 << 18))
init = struct.pack("=IIIIHHII", 7, 31, 65536, 0, 12, 9, 65536, 1).ljust(64, b"\0")
os.write(fd, struct.pack("=IiQ", 16 + len(init), 0, unique) + init)
print("ready", flush=True)
time.sleep(1000)
"""


def run_python(disk, name, program, *args):
    out = disk.must(f"rm -f /run/{name}; python3 -c {shlex.quote(program)} {' '.join(args)} </dev/null "
                    f">/run/{name} 2>&1 & pid=$!\n"
                    f"wait_for 30 grep -q ready /run/{name} || {{ cat /run/{name}; exit 1; }}; echo $pid")
    return int(out.split()[-1])


def namespaces(check):
    """The host's own is found behind hundreds of his, by who has not that many descriptors."""
    disk = Mounted(check)
    disk.must("umount $MNT")
    pids = [run_python(disk, "namespaces", NAMESPACES)]
    try:
        disk.must("mount_dax $DEV")
        pids.append(run_python(disk, "one-more", ONE_MORE))
        out = disk.must("ulimit -n 400; /usr/libexec/daxguard-step mounts $(lsblk -dno MAJ:MIN $DEV) | tr '\\0' '\\n'")
        check.equal("namespaces without a process that have it", out.split().count("PID=0"), 1)
        incident = disk.remove("clean", "acked", 0)
        check.equal("mounts that were unmounted", len([m for m in incident["Mounts"] if m["Result"] == "ok"]), 2)
    finally:
        disk.end(*pids)
    disk.comes_back()


def fuse(check):
    """What he has mounted below the device goes with it, though nobody else may look at it."""
    disk = Mounted(check)
    disk.must("modprobe fuse; mkdir $MNT/own")
    pid = run_python(disk, "fuse", FUSE, "$MNT/own")
    try:
        incident = disk.remove("clean", "acked", 0)
        check.equal("mounts that were unmounted", results(incident, host=True),
                    {("/mnt/pmem", "ext4", "ok"), ("/mnt/pmem/own", "fuse", "ok")})
    finally:
        disk.end(pid)
    disk.comes_back()


CASES = {
    "unprivileged/access": Case(access, ("6.12",)),
    "unprivileged/doorbell": Case(doorbell, ("6.12",)),
    "unprivileged/holders": Case(holders, ("6.12",)),
    "unprivileged/namespaces": Case(namespaces, ("6.12",)),
    "unprivileged/fuse": Case(fuse, ("6.1",)),
}
