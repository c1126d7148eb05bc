# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes that are written to a disk and ended, and go on when their device is
back: guest-files/counter.c counts in a file of it."""
import contextlib
import json

from cases_policy import Rules
from cases_process import ended_as, remove
from check import Case, Setup
from scenario import Scenario

COUNTER = "/usr/lib/daxguard-test/counter"
STORE = "/var/lib/daxguard/checkpoints"
CRIU = "/usr/sbin/criu"
CONF = "/etc/daxguard/daxguardd.conf"
UNITS = "/run/systemd/system"
# No boot comes there by itself: a number that is taken is another story.
FIRST_PID = 30000
# A dump takes an emulated machine seconds.
LADDER = "Action=checkpoint@30s kill"
NOT_RESTORED = 9

POLICY = """[Match]
MountPoint=/mnt/pmem
[Policy]
{policy}
"""
RETURNS = [("10-counter.device", """[Match]
MountPoint=/mnt/pmem
[Device]
RestoreOnReturn=yes
""")]
QUIET = "-p StandardOutput=null -p StandardError=null"
# Before the real one, which waits for a file to go away, this is done.
GATE = """#!/bin/bash
[ "$1" != dump ] || {{ {before}; }}
exec /run/criu-real "$@"
"""


class Story:
    """What an incident tells of one process."""

    def __init__(self, incident, pid):
        holder = next((holder for holder in incident["Holders"] if holder["Pid"] == pid), None)
        actions = holder["Actions"] if holder else []
        self.had = [(action["Action"], action["Outcome"]) for action in actions]
        self.end = holder["End"] if holder else "not found"
        self.id = next((action["Checkpoint"] for action in actions if action.get("Checkpoint")), None)
        self.said = "; ".join(action["Output"] for action in actions if action.get("Output"))


class Counter:
    """A program of that kind, in a service of its own."""

    def __init__(self, check, name, kind="plain", argument="", options=QUIET, start=None):
        self.check, self.name, self.file = check, name, f"/mnt/pmem/{name}"
        check.run(start or f"systemd-run -q --collect --unit=counter-{name} {options} {COUNTER} {kind} {self.file} {argument}")
        self.counts_to(2)
        first = self.values()
        self.pid, self.starts = first["pid"], first["starts"]

    def counts_to(self, count):
        self.check.run(f"at_least() {{ [[ $({COUNTER} show {self.file} 2>&1) =~ count.:\\ ([0-9]+) ]] && "
                       "[ ${BASH_REMATCH[1]} -ge $1 ]; }; "
                       f"wait_for 40 at_least {count} || fail {self.name} does not count")

    def values(self):
        return json.loads(self.check.run(f"{COUNTER} show {self.file}"))

    def goes_on(self, before, wrong=0):
        """With what it knows itself, in a scope of its own."""
        self.counts_to(before["count"] + 3)
        now = self.values()
        for key, want in (("starts", self.starts), ("pid", self.pid), ("wrong", wrong)):
            self.check.equal(f"{key} of {self.name}", now[key], want)
        group = self.check.run(f"cat /proc/{self.pid}/cgroup").strip()
        self.check.expect("/daxguard-restored-" in group, f"{self.name} is in {group}")
        return now

    def was_checkpointed(self, incident, had=(), outcome="checkpointed"):
        """The ID."""
        story = Story(incident, self.pid)
        self.check.equal(f"what {self.name} got ({story.said})", story.had, [*had, ("checkpoint", outcome)])
        self.check.equal(f"end of {self.name}", story.end, "checkpointed")
        return story.id

    def was_not(self, incident, why, then="kill"):
        story = Story(incident, self.pid)
        self.check.equal(f"what {self.name} got", story.had, [("checkpoint", why), (then, "sent")])
        self.check.say(f"{why}: {story.said}")


@contextlib.contextmanager
def guarded(check, policy=LADDER, restores=False, more=()):
    """A mounted file system for counters, and their rule. At the end they are gone,
    and the device is back. restores: what is checkpointed goes on when the device returns."""
    scenario = Scenario(check.guest, "ext4")
    check.start_daemon()
    check.run(f"echo 55000 >/sys/module/daxguard/parameters/hold_ms; echo {FIRST_PID} >/proc/sys/kernel/ns_last_pid")
    scenario.prepare()
    with Rules(check) as rules:
        rules.write([*more, ("10-counter.policy", POLICY.format(policy=policy))]
                    + (RETURNS if restores else []))
        rules.reload()
        try:
            yield scenario
        finally:
            check.run("systemctl stop 'counter-*' 'daxguard-restored-*'; rm -rf "
                      f"{STORE}/*; echo 20000 >/sys/module/daxguard/parameters/hold_ms; unmount_dead")


def comes_back(check, scenario, mount="mount_dax $DEV"):
    """Bound and mounted again."""
    if check.equal("the device comes back", scenario.come_back().rc, 0):
        scenario.sh(mount, check=True)


def restore(check, what, expected="ok"):
    """By hand; the word of why not."""
    result = check.guest.run(f"daxguardctl restore {what} 2>&1", timeout=90)
    word = "ok" if result.rc == 0 else next((word.rstrip(":") for word in result.out.split() if word.endswith(":")
                                             and not word.startswith("daxguardctl")), "")
    check.expect(expected in result.out or result.rc == 0 == (expected != "ok"),
                 f"restore {what}: exit {result.rc}: {result.out.strip()}, expected {expected}")
    check.equal("exit status of the restore", result.rc, 0 if expected == "ok" else NOT_RESTORED)
    return word


def kept(check):
    """IDs of what is whole."""
    rows = json.loads(check.run("daxguardctl checkpoints --json"))["Checkpoints"]
    return sorted(row["Id"] for row in rows if row["State"] == "whole")


def restored_by_itself(check, names, timeout=60, left=()):
    """Nobody looks into their files meanwhile: those would be in use."""
    wanted = f"Checkpoint ({'|'.join(names)}) is restored"
    check.run(f"for i in {{1..{timeout}}}; do n=$(journalctl -b --no-pager -o cat -u daxguardd.service | grep -cE '{wanted}'); "
              f"[ $n -lt {len(names)} ] || break; sleep 1; done; [ $n = {len(names)} ] || fail $n are restored", timeout + 60)
    check.equal("checkpoints", kept(check), list(left))


def synced(check, counter):
    """How many mappings of its file have MAP_SYNC."""
    return int(check.run(f"awk '$1 ~ /^[0-9a-f]+-/ {{ mine = $6 == \"{counter.file}\" }} "
                         f"mine && /^VmFlags:.* sf( |$)/ {{ n++ }} END {{ print n + 0 }}' /proc/{counter.pid}/smaps"))


def by_hand(check):
    with guarded(check) as scenario:
        counter = Counter(check, "by-hand")
        check.equal("mappings with MAP_SYNC", synced(check, counter), 1)
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")
        name = counter.was_checkpointed(incident)
        check.equal("checkpoints", kept(check), [name])
        restore(check, name, "not-mounted")
        comes_back(check, scenario, "mount -o dax=never $DEV $MNT")
        restore(check, name, "is not mounted with DAX")
        scenario.sh("umount $MNT; mount_dax $DEV", check=True)
        before = counter.values()
        restore(check, name)
        counter.goes_on(before)
        # A CRIU that keeps it is good news: docs/checkpoint.md says that there is none.
        check.equal("mappings with MAP_SYNC, restored", synced(check, counter), 0)
        check.equal("checkpoints", kept(check), [])


def on_return(check):
    with guarded(check, restores=True) as scenario:
        counter = Counter(check, "on-return")
        name = counter.was_checkpointed(remove(check, scenario))
        comes_back(check, scenario)
        restored_by_itself(check, [name])
        counter.goes_on(counter.values())


def reboot(check):
    """The machine is another one, and the processes have their numbers all the same: who
    goes on by itself, and who has to be asked for, as nothing said so when it was dumped."""
    with guarded(check) as scenario:
        asked = Counter(check, "asked")
        name = asked.was_checkpointed(remove(check, scenario))
        comes_back(check, scenario)
        rules = Rules(check)
        rules.write(RETURNS)
        rules.reload()
        counter = Counter(check, "reboot")
        other = counter.was_checkpointed(remove(check, scenario))
        check.guest.reboot()
        check.start_daemon()
        check.run("load_nd; find_fsdax; mount_dax /dev/$PMEM")
        restored_by_itself(check, [other], left=[name])
        counter.goes_on(counter.values())
        before = asked.values()
        restore(check, name)
        asked.goes_on(before)


AGAIN = f"""[Service]
ExecStart={COUNTER} plain /mnt/pmem/again
StandardOutput=null
StandardError=null
Restart=always
RestartSec=0
"""


def restart_always(check):
    """It never runs twice: not when it is ended, and not when it is to go on and does already."""
    with guarded(check) as scenario:
        check.guest.put(f"{UNITS}/counter-again.service", AGAIN)
        check.run("systemctl daemon-reload")
        try:
            counter = Counter(check, "again", start="systemctl start counter-again.service")
            name = counter.was_checkpointed(remove(check, scenario))
            comes_back(check, scenario)
            # Stopped, and its process was killed before it could end by itself.
            check.equal("the unit", check.run("systemctl show -P NRestarts -P ActiveState counter-again").split(),
                        ["0", "failed"])
            before = counter.values()
            check.equal("starts", before["starts"], 1)
            check.run("systemctl start counter-again.service")
            counter.counts_to(before["count"] + 2)
            restore(check, name, "unit-active")
            check.run("systemctl stop counter-again.service")
            restore(check, name, "file-changed")
            # What it has in memory is older than the file by now, which it sees once.
            before = counter.values()
            check.equal("starts", before["starts"], 2)
            restore(check, f"--force {name}")
            check.run(f"wait_for 20 grep -q daxguard-restored /proc/{counter.pid}/cgroup")
            check.equal("how many of it run", check.run("pgrep -xc counter").strip(), "1")
            # To start it ends who was restored, first.
            said = check.run("systemctl start counter-again.service; wait_for 20 pgrep -x counter >/dev/null; "
                             "pgrep -x counter | sed 's,.*,/proc/&/cgroup,' | xargs cut -d: -f3; "
                             "systemctl list-units -q --no-legend 'daxguard-restored-*'")
            check.equal("where it runs, and scopes", said.split(), ["/system.slice/counter-again.service"])
        finally:
            check.run(f"systemctl stop counter-again.service; rm {UNITS}/counter-again.service; systemctl daemon-reload")


@contextlib.contextmanager
def before_criu(check, script):
    """Runs before each dump."""
    check.run(f"cp {CRIU} /run/criu-real")
    check.guest.put("/run/criu-gate", GATE.format(before=script), 0o755)
    check.run(f"mount --bind /run/criu-gate {CRIU}")
    try:
        yield
    finally:
        check.run(f"umount {CRIU}; rm -f /run/criu-gate /run/criu-real")


def daemon_dies(check):
    """The dump goes on without it, and the next one waits for its end."""
    waiting = "touch /run/criu-waits; while [ -e /run/criu-waits ]; do sleep 0.1; done"
    with guarded(check) as scenario, before_criu(check, waiting):
        counter = Counter(check, "orphan")
        removal = scenario.begin_removal(timeout=90)
        check.run("wait_for 40 test -e /run/criu-waits; old=$(main_pid); kill -KILL $old; "
                  "wait_for 30 main_pid_is_not $old; rm /run/criu-waits", timeout=100)
        check.equal("exit status of the removal", removal.wait().rc, 0)
        incident = check.incident()
        check.equal("daemons that went on with it", incident["Resumes"], 1)
        name = counter.was_checkpointed(incident)
        comes_back(check, scenario)
        before = counter.values()
        restore(check, name)
        counter.goes_on(before)


def refused(check):
    """Whatever keeps a checkpoint from being made, the next rung ends the process."""
    with guarded(check) as scenario:
        counter = Counter(check, "guarded")
        check.run(f"mkdir -p /mnt/pmem/store {STORE}; mount --bind /mnt/pmem/store {STORE}")
        counter.was_not(remove(check, scenario), "on-guarded-device")
        check.run(f"! mountpoint -q {STORE} || umount {STORE}")

        comes_back(check, scenario)
        check.run("fallocate -l 64K /mnt/pmem/allocated")
        odd = {"a hole": Counter(check, "holed", "hole"), "not written yet": Counter(check, "allocated")}
        plain = Counter(check, "beside")
        incident = remove(check, scenario)
        for what, counter in odd.items():
            counter.was_not(incident, "map-sync")
            said = Story(incident, counter.pid).said
            check.expect(f"{counter.file} with MAP_SYNC, whose byte 4096 is {what}" in said, f"the reason: {said}")
        plain.was_checkpointed(incident)
        check.run(f"rm -r {STORE}/*-*")

        comes_back(check, scenario)
        counter = Counter(check, "without")
        check.run(f"mount --bind /dev/null {CRIU}")
        try:
            check.run("systemctl reload daxguardd.service")
            told = check.run("daxguardctl policy")
            check.expect("criu" in told.lower(), f"nothing is said of CRIU: {told}")
            counter.was_not(remove(check, scenario), "no-criu")
        finally:
            check.run(f"umount {CRIU}")

        comes_back(check, scenario)
        check.run(f"mount -t tmpfs -o size=48M,mode=700 none {STORE}; printf '[Daemon]\\nCheckpointKeepFree=0\\n' >{CONF}; "
                  "systemctl reload daxguardd.service")
        try:
            with before_criu(check, f"dd if=/dev/zero of={STORE}/filler bs=64k"):
                counters = [Counter(check, "big", "big", 100), Counter(check, "full")]
                incident = remove(check, scenario)
            counters[0].was_not(incident, "too-big")
            counters[1].was_not(incident, "no-space")
            check.equal("checkpoints", check.run(f"ls -A {STORE} | grep -v -e filler -e throughput || true"), "")
        finally:
            check.run(f"umount {STORE}; rm {CONF}; systemctl reload daxguardd.service")


NUMBERED = f"""[Service]
ExecStart={COUNTER} plain /mnt/pmem/n%i
StandardOutput=null
StandardError=null
"""


def twenty(check):
    """All inside of the time that a hold has, some at a time."""
    last = 3 if check.guest.debug else 19  # the cap of a hold is the same there
    show = f"for i in {{0..{last}}}; do {COUNTER} show /mnt/pmem/n$i || exit; done"
    with guarded(check, "Action=checkpoint@45s kill", restores=True) as scenario:
        check.guest.put(f"{UNITS}/counter-n@.service", NUMBERED)
        # What CRIU finds out of a kernel it does once in a boot, which takes an emulated one seconds.
        check.run(f"systemctl daemon-reload; systemctl start counter-n@{{0..{last}}}; criu check; "
                  f"all_show() {{ ({show}) >/dev/null 2>&1; }}; wait_for 40 all_show", timeout=120)
        pids = [json.loads(line)["pid"] for line in check.run(show).splitlines()]
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")
        stories = [Story(incident, pid) for pid in pids]
        check.equal("what they got", {(*story.had, story.end, story.said) for story in stories},
                    {(("checkpoint", "checkpointed"), "checkpointed", "")})
        names = {story.id for story in stories if story.end == "checkpointed"}
        check.equal("checkpoints", len(names), last + 1)
        comes_back(check, scenario)
        restored_by_itself(check, names, timeout=120)
        first, second = ([json.loads(line) for line in check.run(show + "; sleep 1").splitlines()] for _ in range(2))
        for pid, one, two in zip(pids, first, second):
            check.equal(f"pid, starts, wrong of {pid}", (two["pid"], two["starts"], two["wrong"]), (pid, 1, 0))
            check.expect(two["count"] > one["count"], f"{pid} does not count")


# The unit as a whole, of which one process uses the device.
WHOLE = """[Match]
Unit=counter-whole.service
[Policy]
Action=checkpoint@45s kill
Scope=unit
"""


def kinds(check):
    """In one removal, with the ladder of the manual."""
    ladder = "Action=notify@2s checkpoint@45s term@3s kill\nSignal=USR1"
    with guarded(check, ladder, more=[("05-whole.policy", WHOLE)]) as scenario:
        told = Counter(check, "told", "noted")
        stopped, tree = Counter(check, "stopped"), Counter(check, "tree", "tree")
        worker, whole = Counter(check, "worker", "workers"), Counter(check, "whole", "workers")
        locked, listening = Counter(check, "locked", "locked"), Counter(check, "listening", "listening", 7777)
        journal = Counter(check, "journal", "noted", options="")
        owned = Counter(check, "owned", "owned")
        private = Counter(check, "private", options=f"{QUIET} -p PrivateTmp=yes -p ProtectSystem=full")
        users = Counter(check, "users", options=f"{QUIET} -p PrivateUsers=yes")
        terminal = Counter(check, "terminal", start="systemd-run -q --collect --unit=counter-terminal "
                           f"script -qfc '{COUNTER} plain /mnt/pmem/terminal' /dev/null")
        check.run(f"kill -STOP {stopped.pid}")
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")

        names = {told: told.was_checkpointed(incident, [("notify", "sent")]),
                 journal: journal.was_checkpointed(incident, [("notify", "sent")]),
                 whole: whole.was_checkpointed(incident, outcome="checkpointed-with")}
        not_dumped = {terminal: ("failed", "tty"), owned: ("failed", "/mnt/pmem/owned, which it maps"),
                      private: ("namespace", f"process {private.pid} (counter) has a mount namespace"),
                      users: ("namespace", f"process {users.pid} (counter) has a user namespace")}
        # CRIU 4.1.1 asks it for SO_PASSCRED, which 7.x has for UNIX sockets only.
        if check.guest.kernel.endswith("7"):
            not_dumped[listening] = ("failed", "Can't get 1:16 opt")
        for counter in {stopped, tree, worker, locked, listening} - set(not_dumped):
            names[counter] = counter.was_checkpointed(incident, [("notify", "no-handler")])
        for counter, (outcome, why) in not_dumped.items():
            story = Story(incident, counter.pid)
            check.equal(f"what {counter.name} got", story.had,
                        [("notify", "no-handler"), ("checkpoint", outcome), ("term", "sent")])
            check.expect(why in story.said, f"the reason for {counter.name}: {story.said}")
        children = [holder["Actions"][-1]["Outcome"] for holder in incident["Holders"]
                    if holder["Pid"] not in [counter.pid for counter in (*names, *not_dumped)]]
        check.equal("what the child of the tree got", children, ["checkpointed-with"])

        comes_back(check, scenario)
        before = {counter: counter.values() for counter in names}
        for counter, name in names.items():
            restore(check, name, "unit-active" if counter is worker else "ok")
        check.equal("state of the stopped one", check.run(f"cut -d' ' -f3 /proc/{stopped.pid}/stat").strip(), "T")
        check.run(f"kill -CONT {stopped.pid}")
        for counter in names:
            if counter is not worker:
                counter.goes_on(before[counter])
        check.expect(tree.values()["child"] > before[tree]["child"], "the child of the tree does not count")
        check.equal("processes of the unit", check.run(f"cat /sys/fs/cgroup$(cut -d: -f3 /proc/{whole.pid}/cgroup)"
                                                       "/cgroup.procs | wc -l").strip(), "3")
        check.equal("flock(2) and fcntl(2)", check.run("flock -n /mnt/pmem/locked echo free; "
                                                       f"grep -c 'POSIX.* {locked.pid} ' /proc/locks || true").strip(), "1")
        if listening in names:
            check.run("exec 3<>/dev/tcp/127.0.0.1/7777")
        check.run(f"kill -USR1 {journal.pid}; said() {{ [ $(journalctl -b -o cat _PID={journal.pid} | grep -c noted) = 2 ]; }}; "
                  "wait_for 20 said || fail 'it does not print to its journal'")


def registered(check, program):
    """Told over its socket, it lets go and lives on; the socket outlives a daemon."""
    is_there = "listed() { daxguardctl status | grep -q cooperate; }; wait_for 20 listed"
    with guarded(check, "Action=notify@10s kill\nSignal=USR1") as scenario:
        scenario.sh("truncate -s 4096 $MNT/file; rm -f /run/cooperate; systemd-run -q --collect --unit=counter-cooperate "
                    f"-p StandardOutput=file:/run/cooperate /usr/lib/daxguard-test/{program} $PMEM $MNT/file; "
                    "wait_for 30 grep -q ready /run/cooperate", check=True)
        pid = int(check.run("systemctl show -P MainPID counter-cooperate"))
        check.run(is_there)
        check.run("old=$(main_pid); kill -KILL $old; wait_for 30 main_pid_is_not $old")
        check.start_daemon()
        check.run(is_there)
        incident = remove(check, scenario)
        ended_as(check, incident, "acked", "clean")
        story = Story(incident, pid)
        check.expect(story.had in ([("notify", "told")], [("notify", "done")]), f"what it got: {story.had}")
        check.equal("its end", story.end, "unmapped")
        check.equal("its state", check.run("systemctl is-active counter-cooperate").strip(), "active")
        check.run(is_there)


ONE = ("6.12",)
LATEST = ("7",)
TWO = (*ONE, *LATEST)
# With CRIU at work, one guest in four would lose a breakpoint to the emulator.
CRIUS = Setup(thread="single")
CASES = {f"checkpoint/{name}": case for name, case in {
    "by-hand": Case(by_hand, TWO, CRIUS),
    "on-return": Case(on_return, TWO, CRIUS),
    "reboot": Case(reboot, LATEST, CRIUS._replace(keeps=True)),
    "restart-always": Case(restart_always, ONE, CRIUS),
    "daemon-dies": Case(daemon_dies, ONE, CRIUS),
    "refused": Case(refused, ONE, CRIUS),
    "twenty": Case(twenty, ONE, CRIUS, heavy=True),
    "kinds": Case(kinds, LATEST, CRIUS, heavy=True),
    "register-c": Case(lambda check: registered(check, "cooperate"), ONE),
    "register-python": Case(lambda check: registered(check, "cooperate.py"), ONE),
}.items()}
