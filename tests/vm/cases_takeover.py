# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon dies in the middle of a hold; another one goes on, or nobody."""
import json
import signal

from cases_odd import end_all, start
from check import Case
from daemonctl import Daemon
from expect import incident_was_told, nothing_was_lost, signals_were_right
from halt import halting
from scenario import Scenario

# Of a hold, whatever happens.
CAP = 60


class State:
    """How a hold is brought to a state, and seen to be there."""

    def __init__(self, before=lambda daemon: None, then=lambda daemon: None, there="true"):
        self.before, self.then, self.there = before, then, there


def at_gate(verb):
    return State(before=lambda daemon: daemon.close(verb), there=Daemon.at(verb))


def after_gate(verb):
    """Between steps there is only talk to the kernel: that is slowed down. The
    gate is opened by who looks for the state: it lasts for seconds only."""
    def then(daemon):
        daemon.reached(verb)
        daemon.slow("sendto")
    return State(before=lambda daemon: daemon.close(verb), then=then, there=Daemon.opening(verb))


def close_in_acting(daemon):
    # In one go: this state lasts three seconds.
    daemon.check.run(f"wait_for 30 in_state acting && {daemon.closing('sync')}")


STATES_REACHED = {
    "announced": State(before=lambda daemon: daemon.slow("sendto")),
    "syncing": at_gate("sync"),
    "scanning": after_gate("sync"),
    "acting": State(there="wait_for 30 record_has 'acted .*action=term'"),
    "settling": State(then=close_in_acting, there=Daemon.at("sync")),
    "unmounting": at_gate("unmount"),
    "verifying": after_gate("unmount"),
}


def each_rung_once(check):
    for holder in check.incident()["Holders"]:
        had = [action["Action"] for action in holder["Actions"] if action["Outcome"] != "no-handler"]
        check.equal(f"rungs of {holder['Comm']}", sorted(set(had)), sorted(had))


def killed_in(check, state):
    scenario = Scenario(check.guest, "xfs-rmapbt1")
    check.start_daemon()
    scenario.prepare()
    with Daemon(check) as daemon:
        before = check.counters()
        scenario.start_workload()
        how = STATES_REACHED[state]
        how.before(daemon)
        removal = scenario.begin_removal(timeout=75)
        how.then(daemon)
        daemon.kill(when=f"{how.there} && wait_for 40 in_state {state}")
        daemon.open("sync", "unmount")
        result = removal.wait()
        check.equal("exit status of the removal", result.rc, 0)
        check.expect(result.secs < CAP, f"the removal took {result.secs:.1f} s")
        signals_were_right(check, scenario)
        check.equal("mounts left", check.run("findmnt -rno TARGET,SOURCE | grep pmem || true"), "")
        incident_was_told(check, scenario)
        each_rung_once(check)
        incident = check.incident()
        check.equal("daemons that went on with it", incident["Resumes"], 1)
        after = check.counters()
        check.equal("holds that were acked", after["result-acked"] - before["result-acked"], 1)
        check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
    scenario.kill_workload()
    nothing_was_lost(check, scenario)


def one_file(check, layer="plain"):
    """A mounted file system with a file that nobody synced, and a daemon."""
    scenario = Scenario(check.guest, "ext4", layer)
    check.start_daemon()
    scenario.prepare()
    scenario.sh("echo precious >$MNT/file", check=True)
    return scenario


def file_is_there(check, scenario):
    # Who was not unmounted before is still mounted, and dead.
    scenario.sh("unmount_dead")
    check.equal("the device comes back", scenario.come_back().rc, 0)
    there = scenario.sh("mount_dax $DEV && cat $MNT/file; umount $MNT; drop_layer " + scenario.layer)
    check.equal("the file", there.out.strip().splitlines()[-1:], ["precious"])


def ended_as(check, state, result, revoke="clean"):
    incident = check.incident()
    check.equal("state of the incident", incident["State"], state)
    check.equal("result of the hold", incident["Result"], result)
    check.equal("result of the revoke", incident["Revoke"], revoke)
    return incident


def in_unmounting(check, daemon, scenario):
    """A removal that waits there for the gate."""
    daemon.close("unmount")
    removal = scenario.begin_removal(timeout=75)
    daemon.reached("unmount")
    return removal


def let_go(check, daemon, removal):
    daemon.open("unmount")
    check.equal("exit status of the removal", removal.wait().rc, 0)


def killed_again_and_again(check):
    """As soon as systemd has started another one. The last one is left alone."""
    scenario = one_file(check)
    with Daemon(check) as daemon:
        removal = in_unmounting(check, daemon, scenario)
        for _ in range(5):
            old = daemon.pid()
            daemon.kill()
            check.run(f"wait_for 20 main_pid_is_not {old}")
        let_go(check, daemon, removal)
        incident = ended_as(check, "done", "acked")
        check.expect(incident["TakenOver"], "it does not say that it was taken over")
    file_is_there(check, scenario)


def left_to_the_module(check, ending):
    """The daemon ends so, and none comes before the removal is over: the incident
    that the next one tells of."""
    scenario = one_file(check)
    with Daemon(check) as daemon:
        check.run("echo 2000 >/sys/module/daxguard/parameters/takeover_ms")
        before = check.counters()
        removal = in_unmounting(check, daemon, scenario)
        ending(daemon)
        check.equal("exit status of the removal", removal.wait().rc, 0)
        after = check.counters()
        check.equal("holds without a daemon", after["result-no-daemon"] - before["result-no-daemon"], 1)
        check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
        daemon.open("unmount")
        check.run("systemctl unmask --runtime daxguardd.service; systemctl start daxguardd.service")
        incident = check.incident()
        check.expect(any("none took over" in note for note in incident["Notes"]), f"notes: {incident['Notes']}")
    file_is_there(check, scenario)
    return incident


def nobody_takes_over(check):
    """The unit is masked: the grace runs out, and the module goes on alone. Of a unit
    that is masked systemd takes no message, so its watchdog may be quicker than we are."""
    incident = left_to_the_module(check, lambda _: check.run(
        "pid=$(main_pid); systemctl mask --runtime daxguardd.service; kill -KILL $pid; wait_for 20 is_gone $pid"))
    check.equal("state of the incident", incident["State"], "abandoned")
    check.equal("where it ended", incident["States"][-1]["State"], "unmounting")


def stopped(check):
    """`systemctl stop` leaves it to the module, and says so."""
    incident = left_to_the_module(check, lambda daemon: check.run("systemctl stop daxguardd.service"))
    check.run("wait_for 20 journal_has 'Stopping while the removal'")
    check.expect(any("told to stop" in note for note in incident["Notes"]), f"notes: {incident['Notes']}")


def restarted(check):
    """`systemctl restart` is a takeover."""
    scenario = one_file(check)
    with Daemon(check) as daemon:
        removal = in_unmounting(check, daemon, scenario)
        check.run("systemctl restart daxguardd.service")
        let_go(check, daemon, removal)
        incident = ended_as(check, "done", "acked")
        check.equal("daemons that went on with it", incident["Resumes"], 1)
        check.equal("removals that it took over", daemon.status()["TakenOver"], 1)
    file_is_there(check, scenario)


def reloaded(check):
    """What systemd does to itself is nothing to a hold."""
    scenario = one_file(check)
    with Daemon(check) as daemon:
        pid = daemon.pid()
        removal = in_unmounting(check, daemon, scenario)
        check.run("systemctl daemon-reload; systemctl daemon-reexec", timeout=120)
        let_go(check, daemon, removal)
        check.equal("daemons that went on with it", ended_as(check, "done", "acked")["Resumes"], 0)
        check.equal("the daemon", daemon.pid(), pid)
    file_is_there(check, scenario)


def killed_in_acked(check):
    """The kernel has agreed and goes on; the next daemon hears of the end."""
    scenario = one_file(check)
    before = check.counters()
    with halting(check, "state name=acked", signal.SIGKILL):
        old = int(check.run("main_pid"))
        check.equal("exit status of the removal", scenario.begin_removal(timeout=75).wait().rc, 0)
        check.run(f"wait_for 20 main_pid_is_not {old}")
        check.run("wait_for 20 record_has 'end '")
        # Its own record does not know how the revoke ended; the module does.
        ended_as(check, "done", "acked", revoke="none")
        check.run("wait_for 20 journal_has 'had no daemon at its end'")
    after = check.counters()
    check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
    file_is_there(check, scenario)


def hangs(check):
    """Its loop stands still: the watchdog kills it, and the next one goes on."""
    scenario = one_file(check)
    with halting(check, "state name=unmounting", watchdog=5):
        check.equal("exit status of the removal", scenario.begin_removal(timeout=75).wait().rc, 0)
        check.equal("daemons that went on with it", ended_as(check, "done", "acked")["Resumes"], 1)
        check.run("wait_for 20 journal_has 'Watchdog timeout'")
    file_is_there(check, scenario)


def sync_hangs(check, daemon, scenario):
    """A removal whose first sync is in uninterruptible sleep, and its pid."""
    check.run("dmsetup suspend --noflush --nolockfs guarded")
    removal = scenario.begin_removal(timeout=110)
    daemon.state("syncing")
    check.run("wait_for 30 step_hangs")
    return removal, int(check.run("pgrep -f '^/usr/libexec/daxguard-step sync'").split()[0])


def step_hangs_and_comes_back(check):
    """The step of the dead daemon is the next one's, and of the one after that, until it lets go."""
    scenario = one_file(check, "dm")
    with Daemon(check) as daemon:
        removal, step = sync_hangs(check, daemon, scenario)
        daemon.kill()
        check.run("wait_for 30 record_has 'job-end name=sync end=stuck'")
        check.expect(check.guest.run(f"kill -0 {step}").rc == 0, "the step is gone already")
        check.expect(daemon.status()["StuckSteps"] >= 1, "no step is said to be stuck")
        daemon.kill()
        # Its own, and that of the one before it.
        check.run("adopted() { daxguardctl status --json | grep -q '\"StuckSteps\": *[2-9]'; }; wait_for 30 adopted")
        check.expect(check.guest.run(f"kill -0 {step}").rc == 0, "the first step is gone already")
        check.run("dmsetup resume guarded")
        check.equal("exit status of the removal", removal.wait().rc, 0)
        incident = ended_as(check, "done", "acked")
        check.equal("holders", incident["HolderCount"], 0)
        check.run(f"wait_for 20 is_gone {step}")
    file_is_there(check, scenario)


def step_hangs_for_ever(check):
    """Nothing can be synced: the hold ends all the same, and all of it is named.
    What the module's own sync takes then is the kernel's time."""
    scenario = one_file(check, "dm")
    with Daemon(check, step_seconds=2) as daemon:
        check.run("echo 15000 >/sys/module/daxguard/parameters/hold_ms")
        removal, _ = sync_hangs(check, daemon, scenario)
        daemon.kill()
        check.run("wait_for 50 grep -q ' revoking ' /sys/kernel/debug/daxguard/status", timeout=80)
        check.run("dmsetup resume guarded")
        check.equal("exit status of the removal", removal.wait().rc, 0)
        incident = check.incident()
        check.expect(incident["Result"] in ("released", "timeout"), f"result of the hold: {incident['Result']}")
        ends = {step["End"] for step in incident["Steps"]}
        check.expect({"stuck", "timeout"} <= ends, f"ends of steps: {ends}")
        check.say(f"{incident['State']}, {incident['Outcome']}, {incident['Result']}, {incident['Revoke']}")
    file_is_there(check, scenario)


def starts_in_a_revoke(check):
    """Of a hold that nobody took: its end is heard by who starts meanwhile."""
    scenario = Scenario(check.guest, "xfs-rmapbt0")
    check.run("systemctl mask --runtime --now daxguardd.service; modprobe daxguard; "
              "echo wait >/sys/module/daxguard/parameters/pinned")
    check.patience(1000)
    scenario.prepare()
    try:
        pid, _ = start(scenario, "pipe")
        removal = scenario.begin_removal(timeout=75)
        check.run("wait_for 30 grep -q ' revoking ' /sys/kernel/debug/daxguard/status")
        check.run("systemctl unmask --runtime daxguardd.service; systemctl start daxguardd.service")
        check.run("wait_for 20 in_state revoking")
        incident = json.loads(check.run("daxguardctl show --json"))["Incident"]
        check.equal("state of the incident", incident["State"], "revoking")
        check.run(f"kill -USR1 {pid}")
        check.equal("exit status of the removal", removal.wait().rc, 0)
        ended_as(check, "expired", "no-daemon")
    finally:
        check.run("systemctl unmask --runtime daxguardd.service; echo go >/sys/module/daxguard/parameters/pinned")
        end_all(check)
        scenario.sh("unmount_dead")
    check.equal("the device comes back", scenario.come_back().rc, 0)


def _killed(state):
    return lambda check: killed_in(check, state)


ONE = ("6.12",)
CASES = {f"takeover/{state}": Case(_killed(state), kernels=None if state == "unmounting" else ONE)
         for state in STATES_REACHED}
CASES |= {f"takeover/{name}": Case(function, kernels=ONE) for name, function in {
    "again-and-again": killed_again_and_again,
    "nobody": nobody_takes_over,
    "stop": stopped,
    "restart": restarted,
    "reload": reloaded,
    "acked": killed_in_acked,
    "hangs": hangs,
    "step-hangs": step_hangs_and_comes_back,
    "step-hangs-for-ever": step_hangs_for_ever,
    "revoking": starts_in_a_revoke,
}.items()}
