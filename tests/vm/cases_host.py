# SPDX-License-Identifier: LGPL-2.1-or-later
"""A host that waits on us, or has nothing left: the hold is served as on any
other, and what could not be done then is said later."""
import contextlib
import json

from cases_takeover import ended_as, file_is_there, in_unmounting, let_go, one_file
from check import Case
from daemonctl import Daemon
from expect import remove

LIMIT = 20
CROWDED = 100  # more cannot all end at once on an emulated processor
CROWD = "/usr/lib/daxguard-test/crowd"
SERVICES = {
    "dbus": "dbus.service",
    "journald": "systemd-journald.service",
    "polkitd": "polkit.service",
    "udevd": "systemd-udevd.service",
}


def pid_of(check, unit):
    return int(check.run(f"systemctl start {unit}; systemctl show -P MainPID {unit}"))


@contextlib.contextmanager
def paused(check, names):
    pids = " ".join(str(pid_of(check, SERVICES[name])) for name in names)
    check.run(f"kill -STOP {pids}")
    try:
        yield
    finally:
        check.run(f"kill -CONT {pids}")


def status(check):
    return json.loads(check.guest.run("daxguardctl status --json", check=True).out)["Status"]


def crowd(check, scenario, n):
    """Processes that map a file, and die of SIGTERM."""
    scenario.sh(f"rm -f /dev/shm/crowd; {CROWD} {n} $MNT/crowd >/dev/shm/crowd 2>&1 & "
                "wait_for 60 grep -q ready /dev/shm/crowd || fail 'no crowd'", timeout=90, check=True)


def served(check, scenario, n_holders, bad_ends=("timeout", "stuck", "lost")):
    """As on a host that is well: no step was waited for to its deadline, and that
    who was asked to end has ended was heard at once, before anybody was killed."""
    remove(check, scenario, LIMIT)
    incident = ended_as(check, "done", "acked")
    check.equal("outcome", incident["Outcome"], "clean")
    check.equal("holders", incident["HolderCount"], n_holders)
    check.equal("ends of the holders", {holder["End"] for holder in incident["Holders"]}, {"exited"})
    check.equal("steps that did not end by themselves",
                [(step["Step"], step["End"]) for step in incident["Steps"] if step["End"] in bad_ends], [])
    if n_holders < CROWDED:
        sent = {action["Action"] for holder in incident["Holders"] for action in holder["Actions"]
                if action["Outcome"] == "sent"}
        check.equal("what was sent to the holders", sent, {"term"})
    return incident


def told_later(check, incident):
    text = f"daxguardctl show {incident['Id']}"
    check.run(f"wait_for 30 journal_has '{text}' || fail 'the journal was not told'", timeout=60)


def others_stopped(check, names):
    scenario = one_file(check)
    crowd(check, scenario, 3)
    before = status(check)
    with paused(check, names):
        incident = served(check, scenario, 3)
    told_later(check, incident)
    check.equal("messages that were dropped", status(check)["LogDropped"], before["LogDropped"])
    file_is_there(check, scenario)


def taken_over(check):
    """A daemon that dies while none of them runs is started again all the same."""
    scenario = one_file(check)
    with Daemon(check) as daemon:
        with paused(check, SERVICES):
            removal = in_unmounting(check, daemon, scenario)
            daemon.kill()
            let_go(check, daemon, removal)
            incident = ended_as(check, "done", "acked")
        check.equal("daemons that went on with it", incident["Resumes"], 1)
        told_later(check, incident)
    file_is_there(check, scenario)


FLOOD = """
import socket
n = -1
while n != 0:
    # What a socket may have under way is less than the journal's takes.
    n, one = 0, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        while True:
            one.sendto(b'MESSAGE=flood\\nPRIORITY=7\\n', '/run/systemd/journal/socket')
            n += 1
    except BlockingIOError:
        pass
"""


def journal_full(check):
    """Its socket takes no more, and there is more to say than is kept."""
    check.run("mkdir -p /etc/daxguard; printf '[Daemon]\\nHoldersLogMax=1000\\n' >/etc/daxguard/daxguardd.conf; "
              "systemctl restart daxguardd.service")
    try:
        scenario = one_file(check)
        check.guest.put("/dev/shm/flood.py", FLOOD)
        with paused(check, ["journald"]):
            check.run("python3 /dev/shm/flood.py")
            for _ in range(2):
                crowd(check, scenario, 520)
                incident = served(check, scenario, 520)
                scenario.come_back()
                scenario.sh("mount_dax $DEV", check=True)
            dropped = status(check)["LogDropped"]
            check.expect(dropped > 0, "nothing was dropped")
            scenario.sh("umount $MNT", check=True)
        check.run(f"wait_for 30 journal_has '{dropped} messages were dropped' || fail 'drops were not told'",
                  timeout=60)
        file_is_there(check, scenario)
    finally:
        check.run("rm /etc/daxguard/daxguardd.conf; systemctl restart daxguardd.service")


SLOW_NSS = """
#include <unistd.h>
#define SLOW(name) int _nss_slow_##name(void); int _nss_slow_##name(void) { for (;;) pause(); }
SLOW(getpwnam_r) SLOW(getpwuid_r) SLOW(setpwent) SLOW(getpwent_r)
SLOW(getgrnam_r) SLOW(getgrgid_r) SLOW(setgrent) SLOW(getgrent_r) SLOW(initgroups_dyn)
SLOW(gethostbyname_r) SLOW(gethostbyname2_r) SLOW(gethostbyname3_r) SLOW(gethostbyname4_r) SLOW(gethostbyaddr_r)
"""


def names_never_come(check):
    """Who looks up a user, a group or a host waits for ever: we do not, neither
    at the start nor in a hold."""
    scenario = one_file(check)
    crowd(check, scenario, 3)
    check.guest.put("/dev/shm/slow.c", SLOW_NSS)
    check.run("gcc -shared -fPIC -o /usr/lib/x86_64-linux-gnu/libnss_slow.so.2 /dev/shm/slow.c; "
              "cp /etc/nsswitch.conf /dev/shm/nsswitch.conf")
    try:
        check.run("sed -i -E 's/^(passwd|group|hosts):/\\1: slow/' /etc/nsswitch.conf")
        check.equal("a look-up that takes for ever", check.guest.run("timeout 3 getent passwd nobody").rc, 124)
        check.run("systemctl restart daxguardd.service")
        incident = served(check, scenario, 3)
    finally:
        check.run("cp /dev/shm/nsswitch.conf /etc/nsswitch.conf; rm -f /usr/lib/x86_64-linux-gnu/libnss_slow.so.2")
    told_later(check, incident)
    file_is_there(check, scenario)


def run_full(check):
    """No record can be written; the daemon knows what happened all the same."""
    scenario = one_file(check)
    crowd(check, scenario, 3)
    before = status(check)
    try:
        check.run("dd if=/dev/zero of=/run/filler bs=64k 2>/dev/null; "
                  "dd if=/dev/zero of=/run/filler2 bs=1k 2>/dev/null; ! dd if=/dev/zero of=/run/filler3 bs=1 count=1 2>/dev/null")
        incident = served(check, scenario, 3)
    finally:
        # The journal would believe for half a minute that there is no room, and drop what it gets.
        check.run("rm -f /run/filler*; systemctl restart systemd-journald.service")
    check.equal("the record", incident["Unrecorded"], True)
    check.equal("incidents that are not recorded", status(check)["Unrecorded"] - before["Unrecorded"], 1)
    file_is_there(check, scenario)


def no_memory(check):
    """The service has all the memory that it may have."""
    scenario = one_file(check)
    crowd(check, scenario, 3)
    group = "/sys/fs/cgroup/system.slice/daxguardd.service"
    have = int(check.run(f"cat {group}/memory.current"))
    check.say(f"memory that it has: {have >> 10} KiB")
    try:
        check.run(f"systemctl set-property --runtime daxguardd.service MemoryMax={have}")
        # A step that needs more memory than there is was killed for it.
        incident = served(check, scenario, 3, bad_ends=("timeout", "stuck"))
        events = dict(line.split() for line in check.run(f"cat {group}/memory.events").splitlines())
        check.expect(int(events["max"]) > 0, f"its limit was not reached: {events}")
    finally:
        check.run("systemctl set-property --runtime daxguardd.service MemoryMax=infinity; "
                  "systemctl revert daxguardd.service")
    told_later(check, incident)
    file_is_there(check, scenario)


def no_pids(check):
    """What the first removal needs was started before. Of the next one it cannot
    be told whether it carries the system: nobody is signalled, and the module
    saves the data."""
    limit = "systemctl set-property --runtime daxguardd.service TasksMax="
    scenario = one_file(check)
    before = status(check)
    try:
        check.run(limit + "1")
        crowd(check, scenario, 3)
        served(check, scenario, 3)
        scenario.come_back()
        scenario.sh("mount_dax $DEV", check=True)
        crowd(check, scenario, 3)
        remove(check, scenario, LIMIT)
    finally:
        check.run(limit + "infinity; systemctl revert daxguardd.service")
    incident = ended_as(check, "done", "released")
    check.equal("outcome", incident["Outcome"], "mounts-unknown")
    check.expect("protected-unknown" in incident["Marks"], f"marks: {incident['Marks']}")
    check.expect(status(check)["LostSteps"] > before["LostSteps"], "no step is said to be lost")
    check.run("pkill -KILL -x crowd; wait_for 10 sh -c '! pgrep -x crowd >/dev/null'")
    file_is_there(check, scenario)


def _stopped(*names):
    return lambda check: others_stopped(check, names)


ONE = ("6.12",)
CASES = {f"host/{name}": Case(_stopped(name), kernels=ONE) for name in SERVICES}
CASES |= {f"host/{name}": Case(function, kernels=ONE) for name, function in {
    "all": _stopped(*SERVICES),
    "takeover": taken_over,
    "journal-full": journal_full,
    "nss": names_never_come,
    "run-full": run_full,
    "memory": no_memory,
    "pids": no_pids,
}.items()}
