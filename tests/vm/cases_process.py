# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases with awkward processes: each is named, gets what is meant for it, and
keeps nobody waiting."""
import contextlib
import json

from check import Case
from halt import halting, has_halted
from mappers import MAPPER, LOG, Mappers, holders_of
from scenario import Scenario

SIGBUS, SIGKILL, SIGTERM = 7, 9, 15
TERMED = [("sigbus", "no-handler"), ("term", "sent")]
KILLED = TERMED + [("kill", "sent")]

# How many they are, what the incident tells, what they tell, who lives on.
KINDS = {
    "plain": (1, TERMED, "exited", [("signal", SIGTERM)], False),
    "private": (1, TERMED, "exited", [("signal", SIGTERM)], False),
    "nobody": (1, TERMED, "exited", [("signal", SIGTERM)], False),
    "siblings": (2, TERMED, "exited", [("signal", SIGTERM)], False),
    "zombie-leader": (1, TERMED, "unmapped", [("signal", SIGTERM), ("let-go", SIGTERM)], True),
    "signalfd": (1, [("sigbus", "blocked"), ("term", "sent")], "unmapped",
                 [("signal", SIGTERM), ("let-go", SIGTERM)], True),
    "traced": (1, KILLED, "exited", [("killed", SIGKILL)], False),
    "pidns": (1, KILLED, "exited", [("killed", SIGKILL)], False),
    "stubborn": (1, [("sigbus", "sent"), ("term", "sent"), ("kill", "sent")], "exited",
                 [("signal", SIGBUS), ("signal", SIGTERM)], False),
}


def remove(check, scenario):
    """The incident of a removal that came back by itself."""
    result = scenario.begin_removal(timeout=90).wait()
    check.equal("exit status of the removal", result.rc, 0)
    check.say(f"the removal took {result.secs:.1f} s")
    return check.incident()


def ended_as(check, incident, result, outcome, revoke="clean"):
    for what, want in (("State", "done"), ("Result", result), ("Outcome", outcome), ("Revoke", revoke)):
        check.equal(f"{what} of the incident", incident[what], want)


@contextlib.contextmanager
def mapped(check, fs="ext4"):
    """A mounted file system for mappers; at the end they are dead, and the
    device is back."""
    scenario = Scenario(check.guest, fs)
    check.start_daemon()
    scenario.prepare()
    mappers = Mappers(check, scenario)
    try:
        yield scenario, mappers
    finally:
        mappers.end()
        check.equal("the device comes back", scenario.come_back().rc, 0)


def kinds(check):
    """All at once: they climb side by side."""
    with mapped(check) as (scenario, mappers):
        for kind in KINDS:
            mappers.start(kind)
        pids = {kind: mappers.pids(kind) for kind in KINDS}
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")
        holders, events = holders_of(incident), mappers.events()
        for kind, (number, actions, end, told, lives) in KINDS.items():
            check.equal(f"processes that are '{kind}'", len(pids[kind]), number)
            for pid in pids[kind]:
                check.equal(f"what was done to '{kind}'", holders.pop(pid, None), (actions, end))
                check.equal(f"what happened to '{kind}'", events.pop(pid, []), told)
                check.equal(f"'{kind}' lives on", mappers.is_alive(pid), lives)
        check.equal("others among the holders", holders, {})
        check.equal("others that got a signal", dict(events), {})
        check.equal("who has the memory of another", {holder["Pid"]: holder["SharedWith"] for holder in incident["Holders"]
                                                      if "SharedWith" in holder},
                    {max(pids["siblings"]): min(pids["siblings"])})


def hydra(check):
    """Each that is told to end leaves another one: bounded, since rounds are."""
    with mapped(check) as (scenario, mappers):
        mappers.start("hydra")
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")
        holders = holders_of(incident)
        heads = mappers.pids("hydra")
        check.expect(len(heads) > 1, "it did not fork")
        check.expect(set(heads) <= set(holders), f"heads {heads}, holders {sorted(holders)}")
        check.expect(all(end == "exited" for _, end in holders.values()), f"not all have ended: {holders}")
        check.equal("heads that live on", [pid for pid in heads if mappers.is_alive(pid)], [])


def bomb(check):
    with mapped(check) as (scenario, mappers):
        try:
            mappers.start("bomb", run="systemd-run -q --unit=bomb --collect -p TasksMax=100")
            check.run("wait_for 30 eval '[ $(systemctl show -P TasksCurrent bomb.service) -ge 90 ]'")
            incident = remove(check, scenario)
            how = incident["Result"], incident["Outcome"]
            check.say(f"{len(incident['Holders'])} holders, {how[0]}, {how[1]}")
            check.expect(how in (("acked", "clean"), ("released", "still-mapped")), f"it ended as {how}")
            check.equal("result of the revoke", incident["Revoke"], "clean")
            holders = holders_of(incident)
            check.expect(len(holders) > 50, f"only {len(holders)} holders")
            check.equal("holders whose end is not told", [pid for pid in holders if not holders[pid][1]], [])
        finally:
            check.run("systemctl kill -s KILL bomb.service; true")


MANY = """
import os, resource, signal, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (80000, 80000))
for fd in range(3, 70000):
    os.dup2(0, fd)
if len(sys.argv) > 1:
    os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
else:
    os.setuid(65534)
print(os.getpid(), flush=True)
signal.pause()
"""


def has_many(check, *arguments):
    """A process with 70,000 open files, of which the last may be on the device."""
    words = " ".join(arguments)
    return int(check.run(f"cd /; rm -f /run/many; python3 -c '{MANY}' {words} </dev/null >/run/many 2>&1 & "
                         "wait_for 30 test -s /run/many; cat /run/many"))


def many_descriptors(check):
    """All of them are looked at, and who has nothing to do with the device keeps
    nobody from being seen to have let go."""
    with mapped(check) as (scenario, mappers):
        user = has_many(check, scenario.sh("echo $MNT/last", check=True).out.strip())
        seen = json.loads(check.run("daxguardctl holders --json pmem0"))["Users"]["Holders"]
        check.equal("who has it open", [holder["Pid"] for holder in seen], [user])
        check.run(f"kill -KILL {user}")
        stranger = has_many(check)
        try:
            mappers.start("yielding")
            incident = remove(check, scenario)
            ended_as(check, incident, "acked", "clean")
            check.equal("holders", holders_of(incident), {mappers.pid("yielding"): ([("sigbus", "sent")], "unmapped")})
        finally:
            check.run(f"kill -KILL {stranger}")


SILENT = "/dev/mapper/silent"


def make_silent(check):
    """A device that answers nothing until it is resumed."""
    check.run("modprobe brd rd_nr=1 rd_size=1024 && dmsetup create silent --table '0 2048 linear /dev/ram0 0' && "
              "udevadm settle && dmsetup suspend silent")


@contextlib.contextmanager
def silent_device(check):
    """There is one; afterwards it has answered, and is gone."""
    make_silent(check)
    try:
        yield
    finally:
        check.run("dmsetup resume silent; wait_for 20 dmsetup remove silent")


def stuck(check):
    """Not even SIGKILL ends it, so the hold does."""
    with mapped(check) as (scenario, mappers), silent_device(check):
        mappers.start("stuck", SILENT)
        pid = mappers.pid("stuck")
        incident = remove(check, scenario)
        ended_as(check, incident, "released", "still-mapped")
        check.equal("what was done to it", holders_of(incident).get(pid), (KILLED, "survived"))
        check.expect(mappers.is_alive(pid), "it has ended: the case shows nothing")


def unbinder(check):
    """It waits for us: it is told, never signalled, and loses its mapping."""
    with mapped(check) as (scenario, mappers):
        pfn = scenario.sh("echo $PFN", check=True).out.split()[-1]
        mappers.start("unbinder", "/sys/bus/nd/drivers/nd_pmem/unbind", pfn)
        pid = mappers.pid("unbinder")
        mappers.wait_for_event(pid, "lost", seconds=75)
        incident = check.incident()
        ended_as(check, incident, "released", "still-mapped")
        check.equal("who removed it", incident["UnbinderPid"], pid)
        check.equal("why it was left", [holder["Exempt"] for holder in incident["Holders"]], ["unbinder"])
        check.equal("what was done to it", holders_of(incident), {pid: ([], "left")})
        check.equal("what happened to it", mappers.events()[pid], [("wrote", 0), ("lost", SIGBUS)])


def reused_pid(check, line):
    """Somebody else has its pid by the time a signal is to be sent."""
    with mapped(check) as (scenario, mappers):
        mappers.start("plain")
        pid = mappers.pid("plain")
        with halting(check, line.format(pid=pid)):
            removal = scenario.begin_removal(timeout=90)
            if has_halted(check):
                check.run(f"gone() {{ [ ! -e /proc/{pid} ]; }}\nkill -KILL {pid}; wait_for 10 gone\n"
                          f"for i in $(seq 50); do echo {pid - 1} >/proc/sys/kernel/ns_last_pid\n"
                          f"setsid {MAPPER} innocent / {LOG} </dev/null >/dev/null 2>&1 &\n"
                          f"[ $! != {pid} ] || exit 0; kill -KILL $!; wait $!; done; exit 1")
                check.run("systemctl kill -s CONT daxguardd.service")
            check.equal("exit status of the removal", removal.wait().rc, 0)
        incident = check.incident()
        ended_as(check, incident, "acked", "clean")
        actions, end = holders_of(incident).get(pid, ([], None))
        check.expect(not any(outcome == "sent" for _, outcome in actions), f"signals were sent: {actions}")
        check.equal("its end", end, "exited")
        check.equal("what happened to who has its pid now", mappers.events()[pid], [])
        check.expect(mappers.is_alive(pid), "who has its pid now has ended")


def direct_wait(check):
    """Direct I/O into the mapping, from a device that does not answer: with
    pinned=wait the removal waits until it does."""
    with mapped(check) as (scenario, mappers):
        check.run("echo wait >/sys/module/daxguard/parameters/pinned")
        try:
            with silent_device(check):
                mappers.start("direct", SILENT)
                pid = mappers.pid("direct")
                removal = scenario.begin_removal(timeout=90)
                check.run("wait_for 60 grep -q ' revoking ' /sys/kernel/debug/daxguard/status", timeout=75)
                check.run("sleep 1; grep -q ' revoking ' /sys/kernel/debug/daxguard/status")
            check.equal("exit status of the removal", removal.wait().rc, 0)
        finally:
            check.run("echo go >/sys/module/daxguard/parameters/pinned")
        incident = check.incident()
        ended_as(check, incident, "released", "still-mapped")
        # It survived its ladder; by the end of the revoke it may be gone.
        check.equal("what was done to it", holders_of(incident).get(pid, [None])[0], KILLED)


def direct_go(check):
    """The default goes on, and says so. What a stock kernel does when the
    device answers afterwards is its own: the guest is not used again."""
    scenario = Scenario(check.guest, "ext4")
    check.start_daemon()
    scenario.prepare()
    mappers = Mappers(check, scenario)
    make_silent(check)
    mappers.start("direct", SILENT)
    incident = remove(check, scenario)
    ended_as(check, incident, "released", "pages-pinned", "pinned")
    # From 6.15 on a huge page has one count for all of it.
    check.expect(incident["PinnedPages"] in (1, 512), f"pages that are pinned: {incident['PinnedPages']}")


CASES = {
    "process/kinds": Case(kinds, ("6.12",)),
    "process/hydra": Case(hydra, ("6.12",)),
    "process/fork-bomb": Case(bomb, ("6.12",)),
    "process/many-descriptors": Case(many_descriptors, ("6.12",)),
    "process/stuck": Case(stuck, ("6.12",)),
    "process/unbinder": unbinder,
    "process/pid-reused-before-watch": Case(lambda c: reused_pid(c, "job-end name=scan"), ("6.12",)),
    "process/pid-reused-before-signal": Case(lambda c: reused_pid(c, "act pid={pid}"), ("6.12",)),
    "process/direct-wait": direct_wait,
    "process/direct-go": Case(direct_go, spoils=True),
}
