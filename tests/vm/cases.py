# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of the guest suite: what must be seen on every kernel.

A case is a function of a Check; CASES at the end names them all.
"""
import json

import cases_odd
from scenario import EVENTS, FILE_SYSTEMS, LIBRARY, ROLES, Scenario, newest_incident

# The cap of a hold is 60 s, its default length 20 s. "Well inside": the
# longest ladder (term 3 s, kill) and unmounting, with room for emulation.
REMOVAL_LIMIT = 20
# No daemon: activation_ms is 3 s; then sync, shutdown and revoke.
ALONE_LIMIT = 12

SIGKILL, SIGBUS, SIGTERM = 9, 7, 15
BUS_MCEERR_AO = 5

# What the built-in default does to each role: the records of its life after
# READY, in order, and the last action that the incident tells of it.
STORY = {
    # Does not catch SIGBUS, so it is spared it; handles TERM.
    "term": ([("signal", SIGTERM), ("exited", 0)], "term"),
    # Catches SIGBUS, unmaps, closes, lives on: nothing else may reach it.
    "sigbus": ([("signal", SIGBUS), ("let-go", 0)], "sigbus"),
    "blocker": ([("pending", SIGTERM), ("killed", SIGKILL)], "kill"),
    "stopped": ([("pending", SIGTERM), ("killed", SIGKILL)], "kill"),
    "private": ([("signal", SIGTERM), ("exited", 0)], "term"),
    # Unmaps on TERM, lives on, and keeps its mount namespace.
    "mountns": ([("signal", SIGTERM), ("let-go", 0)], "term"),
}
LIVE_ON = {"sigbus", "mountns"}
STATES = ["announced", "syncing", "scanning", "acting", "settling", "unmounting", "verifying", "acked"]


class Check:
    """One case's view of the guest, and what it found wrong."""

    def __init__(self, guest, say):
        self.guest, self.say = guest, say
        self.failures = []

    def expect(self, good, text):
        if not good:
            self.failures.append(text)
        return good

    def equal(self, what, have, want):
        return self.expect(have == want, f"{what}: {have!r}, expected {want!r}")

    def run(self, script, timeout=60):
        """A script that must succeed; its output."""
        return self.guest.run(LIBRARY + script, timeout, check=True).out

    def counters(self):
        """The module's own view."""
        pairs = {}
        for line in self.run("modprobe daxguard; cat /sys/kernel/debug/daxguard/status").splitlines():
            key, _, value = line.partition("=")
            pairs[key] = int(value) if value.isdigit() else value
        return pairs

    def patience(self, milliseconds):
        """How long a hold waits to be taken. The default of 3 s is for a machine;
        emulated ones, three on two processors, start a daemon when they can."""
        self.run(f"modprobe daxguard; echo {milliseconds} >/sys/module/daxguard/parameters/activation_ms")

    def start_daemon(self):
        self.patience(20000)
        self.run("systemctl start daxguardd.service")
        self.expect(self.counters()["registered"], "the daemon runs but is not registered with the module")

    def incident(self):
        """The newest one's whole story."""
        return newest_incident(self.guest)


def daemon_is_up(check):
    """Enabled, it came up by itself, registered, and unmounts where the host does."""
    check.equal("units that failed at boot", check.guest.system_state, "running")
    check.start_daemon()
    pid = check.run("systemctl show -P MainPID daxguardd.service").strip()
    for kind in ("mnt", "net", "user"):
        mine, host = check.run(f"readlink /proc/{pid}/ns/{kind} /proc/1/ns/{kind}").split()
        check.equal(f"{kind} namespace of the daemon", mine, host)


def remove(check, scenario, limit):
    """Lets the device go; how long that took."""
    result = scenario.begin_removal(timeout=75).wait()
    check.equal("exit status of the removal", result.rc, 0)
    check.expect(result.secs < limit, f"the removal took {result.secs:.1f} s, expected less than {limit} s")
    check.say(f"{scenario.event} took {result.secs:.1f} s")
    return result.secs


def signals_were_right(check, scenario):
    records = scenario.records()
    for role in ROLES:
        mine = [r for r in records if r.role == role and r.event != "ready"]
        check.equal(f"what happened to '{role}'", [(r.event, r.signo) for r in mine], STORY[role][0])
    for r in records:
        if r.event == "signal" and r.signo == SIGBUS:
            start = scenario.processes["roles"][r.role]["addr"]
            check.equal("si_code of SIGBUS", r.code, BUS_MCEERR_AO)
            check.expect(start <= r.addr < start + scenario.processes["bytes"],
                         f"si_addr {r.addr:#x} is not in the mapping at {start:#x}")
            check.expect(r.lsb >= 12, f"si_addr_lsb {r.lsb} is less than a page")
    check.equal("who lives on", set(scenario.alive()), LIVE_ON)


def incident_was_told(check, scenario):
    incident = check.incident()
    check.equal("state of the incident", incident["State"], "done")
    check.equal("result of the hold", incident["Result"], "acked")
    check.equal("result of the revoke", incident["Revoke"], "clean")
    check.equal("file systems that had to be shut down", incident["Shutdowns"], 0)
    # A round of scanning that finds somebody new goes back: order of first entry.
    entered = list(dict.fromkeys(state["State"] for state in incident["States"]))
    check.equal("states", [state for state in entered if state != "done"], STATES)
    check.equal("times it was acked", sum(state["State"] == "acked" for state in incident["States"]), 1)
    holders = {holder["Pid"]: holder for holder in incident["Holders"]}
    for role, process in scenario.processes["roles"].items():
        holder = holders.get(process["pid"])
        if check.expect(holder, f"'{role}' is not among the holders"):
            acted = [action["Action"] for action in holder["Actions"]
                     if action["Outcome"] not in ("no-handler", "skipped")]
            check.equal(f"last action for '{role}'", acted[-1:], [STORY[role][1]])
    timeline = ", ".join(f"{s['State']} {s['TookUsec'] / 1e6:.2f}" for s in incident["States"])
    check.say(f"states (s): {timeline}")


def nothing_was_lost(check, scenario, clean=True):
    """Bound and mounted again, every file and every byte is there."""
    back = scenario.come_back()
    if not check.expect(back.rc == 0, f"the device does not come back: {back.out.strip()}"):
        return
    if clean:
        fsck = scenario.sh(f"check_fs {scenario.fs} $DEV", timeout=120)
        check.expect(fsck.rc == 0, f"fsck: exit {fsck.rc}: {fsck.out.strip()[-400:]}")
    before = len(check.guest.console_text())
    mounted = scenario.sh("mount_dax $DEV", timeout=60)
    if not check.expect(mounted.rc == 0, f"cannot be mounted again: {mounted.out.strip()}"):
        return
    if clean:
        log = check.guest.console_text()[before:].lower()
        check.expect("recovery" not in log, "the file system needed log recovery")
    there = scenario.verify()
    if check.expect(there, "the files cannot be read"):
        check.equal("small files", there["small"], {"good": 1000, "missing": 0, "wrong": 0})
        check.equal("mapped bytes", there["wrong_words"], dict.fromkeys(ROLES, 0))
    scenario.sh("umount $MNT; drop_layer " + scenario.layer, check=True)


def guarded_removal(check, scenario):
    before = check.counters()
    scenario.start_workload()
    remove(check, scenario, REMOVAL_LIMIT)
    signals_were_right(check, scenario)
    check.equal("mounts left", check.run("findmnt -rno TARGET,SOURCE | grep -E 'pmem|guarded' || true"), "")
    incident_was_told(check, scenario)
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 1)
    check.equal("holds that were acked", after["result-acked"] - before["result-acked"], 1)
    scenario.kill_workload()
    nothing_was_lost(check, scenario)


def module_and_daemon(check, fs, event, layer="plain"):
    scenario = Scenario(check.guest, fs, layer, event)
    check.start_daemon()
    scenario.prepare()
    guarded_removal(check, scenario)


def module_alone(check, fs, event):
    scenario = Scenario(check.guest, fs, "plain", event)
    check.run("systemctl mask --runtime --now daxguardd.service")
    check.patience(3000)
    try:
        scenario.prepare()
        before = check.counters()
        scenario.start_workload()
        remove(check, scenario, ALONE_LIMIT)
        after = check.counters()
        check.equal("holds without a daemon", after["result-no-daemon"] - before["result-no-daemon"], 1)
        check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
        check.equal("signals of the module's", after["signals"] - before["signals"], 0)
        early = [r for r in scenario.records() if r.event not in ("ready",)]
        check.equal("signals before anybody touched its memory", [(r.role, r.event) for r in early], [])
        scenario.touch()
        events = {r.role: (r.event, r.value) for r in scenario.records() if r.role == "private"}
        check.equal("private changes", events["private"], ("touched", 1))
        scenario.kill_workload()
        check.run("for i in $(seq 20); do umount $MNT && exit 0; sleep 0.5; done; exit 1")
        nothing_was_lost(check, scenario, clean=False)
    finally:
        check.run("systemctl unmask --runtime daxguardd.service")


def activation(check, fs, event):
    """The daemon is not running; the hold itself brings it up. Twice."""
    check.patience(20000)
    for _ in range(2):
        check.run("systemctl stop daxguardd.service")
        check.equal("registered port", check.counters()["registered"], 0)
        scenario = Scenario(check.guest, fs, "plain", event)
        scenario.prepare()
        guarded_removal(check, scenario)
        check.equal("daemon", check.run("systemctl is-active daxguardd.service || true").strip(), "active")


def idle_devices(check):
    """A namespace that nobody uses is reconfigured as if we were not there."""
    def reconfigure(times):
        script = f"load_nd; for i in $(seq {times}); do " \
                 "ndctl create-namespace -f -e namespace0.0 -m fsdax --map=mem >/dev/null 2>&1 || exit 1; done"
        return check.guest.run(LIBRARY + script, timeout=300, check=True).secs / times

    check.start_daemon()
    before = check.counters()
    with_module = reconfigure(50)
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 0)
    check.expect(after["not-held"] - before["not-held"] >= 50, "the module did not see the removals")
    check.run("systemctl stop daxguardd.service; rmmod daxguard")
    without = reconfigure(20)
    check.run("modprobe daxguard; systemctl start daxguardd.service")
    # Said, not judged: a benchmark's business. A hold would have been counted.
    check.say(f"a reconfiguration: {with_module:.2f} s, without the module {without:.2f} s")


def second_daemon(check):
    check.start_daemon()
    owner = check.counters()["registered"]
    result = check.guest.run("timeout 15 /usr/sbin/daxguardd", timeout=30)
    check.expect(result.rc not in (0, 124, None), f"a second daemon was not refused: exit {result.rc}")
    check.expect(result.out.strip(), "a second daemon was refused without a word")
    check.equal("registered port", check.counters()["registered"], owner)


def not_root(check):
    result = check.guest.run("setpriv --reuid nobody --clear-groups /usr/sbin/daxguardd", timeout=30)
    check.expect(result.rc not in (0, None), "runs as nobody")
    check.equal("lines", len(result.out.strip().splitlines()), 1)


def wrong_configuration(check):
    check.start_daemon()
    check.run("mkdir -p /etc/daxguard; printf '[Daemon]\\nNoSuchKey=1\\n' >/etc/daxguard/daxguardd.conf")
    try:
        check.run("systemctl restart daxguardd.service")
        status = check.run("daxguardctl status")
        check.expect("daxguardd.conf:2" in status, f"status does not name file and line: {status}")
        check.expect(check.counters()["registered"], "the daemon does not guard with its built-in default")
    finally:
        check.run("rm /etc/daxguard/daxguardd.conf; systemctl restart daxguardd.service")


def no_module(check):
    check.run("systemctl stop daxguardd.service; rmmod daxguard; systemctl start daxguardd.service")
    try:
        status = check.guest.run("daxguardctl status").out  # and an exit status that says so
        check.expect("not held" in status and "modprobe daxguard" in status, f"status: {status}")
    finally:
        check.run("modprobe daxguard; systemctl restart daxguardd.service")


def answers_were_right(check, out):
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    check.expect(len(answers) > 10, f"too few answers: {out}")
    for answer in answers:
        check.equal(f"errno for {answer['what']}", answer["have"], answer["want"])
        check.expect(not answer["mute"], f"{answer['what']}: refused without a text")


def bad_input(check):
    """The module's refusals when no daemon runs."""
    check.run("systemctl mask --runtime --now daxguardd.service; modprobe daxguard")
    try:
        result = check.guest.run("/usr/lib/daxguard-test/dgnl.py bad-input", timeout=60)
        for line in result.out.splitlines():
            check.expect(line.startswith("ok "), line)
        check.equal("exit status", result.rc, 0)
    finally:
        check.run("systemctl unmask --runtime daxguardd.service")


def ndctl_is_polite(check):
    """ndctl itself does not take away what is mounted, nor is anything held."""
    scenario = Scenario(check.guest, "ext4")
    scenario.prepare()
    before = check.counters()
    out = scenario.sh("ndctl disable-region region0 2>&1").out
    check.expect("disabled 0 regions" in out, f"ndctl disable-region: {out}")
    check.equal("holds", check.counters()["held"], before["held"])
    scenario.sh("umount $MNT", check=True)


def bad_messages(check):
    """Strangers and people without privilege change nothing."""
    check.start_daemon()
    before = check.counters()
    answers_were_right(check, check.run("/usr/lib/daxguard-test/bad-messages.py", timeout=60))
    check.equal("registered port", check.counters()["registered"], before["registered"])


def bad_daemon(check):
    """Nor does a daemon that holds the right socket and says the wrong thing."""
    scenario = Scenario(check.guest, "ext4")
    check.run("systemctl mask --runtime --now daxguardd.service")
    try:
        scenario.prepare()
        before = check.counters()
        answers_were_right(check, scenario.sh(
            "/usr/lib/daxguard-test/bad-daemon.py $MNT \"echo $PFN >$ND/nd_pmem/unbind\"", timeout=90, check=True).out)
        after = check.counters()
        check.equal("holds that were released", after["result-released"] - before["result-released"], 1)
        check.run("umount $MNT")
    finally:
        check.run("systemctl unmask --runtime daxguardd.service")


def _cases():
    yield from cases_odd.FIRST.items()
    yield "start", daemon_is_up
    for fs in FILE_SYSTEMS:
        for event in EVENTS:
            yield f"daemon/{fs}/{event}", lambda c, f=fs, e=event: module_and_daemon(c, f, e)
    for layer in ("partition", "dm"):
        yield f"daemon/ext4-{layer}/unbind", lambda c, l=layer: module_and_daemon(c, "ext4", "unbind", l)
    for fs in FILE_SYSTEMS:
        for event in EVENTS:
            yield f"alone/{fs}/{event}", lambda c, f=fs, e=event: module_alone(c, f, e)
            yield f"activation/{fs}/{event}", lambda c, f=fs, e=event: activation(c, f, e)
    yield "idle/create-namespace", idle_devices
    yield "bad/second-daemon", second_daemon
    yield "bad/not-root", not_root
    yield "bad/configuration", wrong_configuration
    yield "bad/no-module", no_module
    yield "idle/ndctl-disable-region", ndctl_is_polite
    yield "bad/input", bad_input
    yield "bad/messages", bad_messages
    yield "bad/daemon", bad_daemon
    yield from cases_odd.CASES.items()


CASES = dict(_cases())
# After these the guest is not fit for another.
SPOIL = cases_odd.FIRST
# What tools/check --smoke runs: one of each kind.
SMOKE = ["start", "daemon/ext4/unbind", "daemon/xfs-rmapbt1/region-unbind", "alone/xfs-rmapbt1/unbind",
         "activation/ext4/unbind", "bad/*"]
