# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cases of the guest suite: what must be seen on every kernel.

A case is a function of a Check. CASES at the end names them all: those of this
file, and those of every cases_*.py beside it.
"""
import importlib
import json
import pathlib

from check import Case
from expect import REMOVAL_LIMIT, incident_was_told, nothing_was_lost, remove, signals_were_right
from scenario import EVENTS, FILE_SYSTEMS, Scenario

# No daemon: activation_ms is 3 s; then sync, shutdown and revoke.
ALONE_LIMIT = 12


def daemon_is_up(check):
    """Enabled, it came up by itself, registered, and unmounts where the host does."""
    check.equal("units that failed at boot", check.guest.system_state, "running")
    check.start_daemon()
    pid = check.run("systemctl show -P MainPID daxguardd.service").strip()
    for kind in ("mnt", "net", "user"):
        mine, host = check.run(f"readlink /proc/{pid}/ns/{kind} /proc/1/ns/{kind}").split()
        check.equal(f"{kind} namespace of the daemon", mine, host)


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
    check.start_daemon()
    before = check.counters()
    check.run("load_nd; for i in $(seq 50); do "
              "ndctl create-namespace -f -e namespace0.0 -m fsdax --map=mem >/dev/null || exit 1; done", timeout=300)
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 0)
    check.expect(after["not-held"] - before["not-held"] >= 50, "the module did not see the removals")


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
    yield "start", daemon_is_up
    for fs in FILE_SYSTEMS:
        for event in EVENTS:
            yield f"daemon/{fs}/{event}", lambda c, f=fs, e=event: module_and_daemon(c, f, e)
    for layer in ("partition", "dm"):
        yield f"daemon/ext4-{layer}/unbind", lambda c, l=layer: module_and_daemon(c, "ext4", "unbind", l)
    for fs in FILE_SYSTEMS:
        yield f"alone/{fs}/unbind", lambda c, f=fs: module_alone(c, f, "unbind")
    yield "alone/xfs-rmapbt1/region-unbind", lambda c: module_alone(c, "xfs-rmapbt1", "region-unbind")
    # Who has the device go has nothing to do with what is mounted.
    yield "alone/ext4/region-unbind", Case(lambda c: module_alone(c, "ext4", "region-unbind"), ("6.1",))
    yield "alone/xfs-rmapbt0/region-unbind", Case(lambda c: module_alone(c, "xfs-rmapbt0", "region-unbind"), ("6.12",))
    # Nor has how the daemon is brought up.
    yield "activation/ext4/unbind", lambda c: activation(c, "ext4", "unbind")
    yield "activation/ext4/region-unbind", Case(lambda c: activation(c, "ext4", "region-unbind"), ("6.1",))
    yield "activation/xfs-rmapbt0/unbind", Case(lambda c: activation(c, "xfs-rmapbt0", "unbind"), ("6.12",))
    yield "activation/xfs-rmapbt1/unbind", Case(lambda c: activation(c, "xfs-rmapbt1", "unbind"), ("7",))
    # Two minutes: the oldest and the latest.
    yield "idle/create-namespace", Case(idle_devices, ("6.1", "7"))
    yield "bad/second-daemon", second_daemon
    yield "bad/not-root", not_root
    yield "bad/configuration", wrong_configuration
    yield "bad/no-module", no_module
    yield "idle/ndctl-disable-region", ndctl_is_polite
    yield "bad/input", bad_input
    yield "bad/messages", bad_messages
    yield "bad/daemon", bad_daemon
    for path in sorted(pathlib.Path(__file__).parent.glob("cases_*.py")):
        yield from importlib.import_module(path.stem).CASES.items()


CASES = {name: case if isinstance(case, Case) else Case(case) for name, case in _cases()}
# What tools/check --smoke runs: one of each kind.
SMOKE = ["start", "daemon/ext4/unbind", "daemon/xfs-rmapbt1/region-unbind", "alone/xfs-rmapbt1/unbind",
         "activation/ext4/unbind", "bad/*"]
