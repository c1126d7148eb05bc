# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals that are asked for: daxguardctl remove, its unit, and Remove over the bus. Nobody
else is removing anything, and nothing is held."""
import contextlib
import json
import re
import time

import cases_devdax as devdax
from cases_policy import Rules, call
from check import Case
from daemonctl import Daemon
from expect import SIGKILL, SIGTERM, nothing_was_lost
from mounted import Mounted
from removal import Mapper
from scenario import ROLES, Scenario

# More than what a hold of HOLD_MS gives, of which six seconds are for its end.
HOLD_MS, GRACE_S = 10000, 8
SLOW = f"[Match]\nAccess=mapped\n[Policy]\nAction=sigbus@2s term@{GRACE_S}s kill\n"
# As expect.STORY: nobody but the module could send SIGBUS, and only for what it holds.
STORY = dict.fromkeys(("term", "sigbus", "private"), [("signal", SIGTERM), ("exited", 0)])
STORY |= dict.fromkeys(("blocker", "stopped"), [("pending", SIGTERM), ("killed", SIGKILL)])
STORY["mountns"] = [("signal", SIGTERM), ("let-go", 0)]
STATES = ["announced", "syncing", "scanning", "acting", "settling", "unmounting", "verifying", "unbinding"]
PROGRESS = ("syncing", "sigbus: not-held", "term: sent", "kill: sent", "unmounting", "unbinding", "done: clean after")
BUILT_IN = "20000"


@contextlib.contextmanager
def short_holds(check):
    """The daemon asks for the time of a hold when it starts."""
    hold_ms = "/sys/module/daxguard/parameters/hold_ms"
    check.run(f"echo {HOLD_MS} >{hold_ms}; systemctl restart daxguardd.service")
    try:
        yield
    finally:
        check.run(f"echo {BUILT_IN} >{hold_ms}; systemctl restart daxguardd.service")


def known(check, name="pmem0", device=None):
    """The device of the nd bus that it belongs to. A daemon that has just started has not looked
    yet, or it knows another one by this name still."""
    device = device or check.run(f"nd_of {name}").strip()
    check.run(f"is_known() {{ daxguardctl --no-legend list | grep -q '^{name}  *{device} '; }}; wait_for 30 is_known")
    return device


def has_driver(check, device):
    return check.guest.run(f"test -e /sys/bus/nd/devices/{device}/driver").rc == 0


def numbers(check):
    return [incident["Id"] for incident in json.loads(check.run("daxguardctl incidents --json"))["Incidents"]]


def would_come_to(check, words=""):
    return json.loads(check.run(f"daxguardctl --json remove --dry-run pmem0 {words}"))["Simulation"]


def ladders(holders):
    """Of each: what he gets, and the grace behind it."""
    return {holder["Pid"]: [(action["Action"], action["GraceMsec"]) for action in holder["Actions"]]
            for holder in holders}


def ended(check, state="done", outcome="clean"):
    """The newest incident, which must be a user's that has ended so."""
    incident = check.incident()
    for key, value in (("Source", "user"), ("State", state), ("Outcome", outcome), ("Result", "none")):
        check.equal(f"{key} of the incident", incident[key], value)
    return incident


def nothing_was_held(check, before, idle=1):
    """The module has seen the driver go, of a device that nobody used."""
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 0)
    check.equal("removals that were not held", after["not-held"] - before["not-held"], idle)
    check.equal("signals of the module's", after["signals"] - before["signals"], 0)


def dry_run_did_nothing(check, scenario):
    """Nobody was told, and nothing written down, also by one that is forced."""
    before, known_before = check.counters(), numbers(check)
    simulation = would_come_to(check)
    forced = would_come_to(check, "--force")
    check.equal("the same, forced", (forced["State"], ladders(forced["Holders"])),
                (simulation["State"], ladders(simulation["Holders"])))
    after = check.counters()
    for name in ("held", "not-held", "signals"):
        check.equal(f"{name} by a dry run", after[name], before[name])
    check.equal("incidents by a dry run", numbers(check), known_before)
    check.equal("who lives after a dry run", set(scenario.alive()), set(ROLES))
    check.equal("what happened in a dry run", [r for r in scenario.records() if r.event != "ready"], [])
    check.equal("where it is mounted", scenario.sh("findmnt -rno TARGET $DEV").out.strip(), "/mnt/pmem")
    return simulation


def graces_were_whole(check, scenario, simulation, incident):
    """As it had been said, and for the time that the rule says."""
    would_get, got = ladders(simulation["Holders"]), ladders(incident["Holders"])
    check.equal("who was dealt with", set(got), set(would_get))
    for pid, rungs in got.items():
        check.equal(f"what {pid} got", rungs, would_get[pid][:len(rungs)])
    check.equal("share of their graces", {holder["GracePermille"] for holder in incident["Holders"]}, {1000})
    pid = scenario.processes["roles"]["blocker"]["pid"]
    at = {action["Action"]: action["AtUsec"] for holder in incident["Holders"] if holder["Pid"] == pid
          for action in holder["Actions"]}
    if check.expect({"term", "kill"} <= at.keys(), f"'blocker' got {at}"):
        # It is counted from when it was decided, which is a little before it was done.
        took = (at["kill"] - at["term"]) / 1e6
        check.expect(took > 0.9 * GRACE_S, f"'blocker' was killed after {took:.3f} s, expected {GRACE_S} s")


def orderly(check, fs):
    """All of it: told before, and then done; whole graces, no hold, no data lost."""
    scenario = Scenario(check.guest, fs)
    check.start_daemon()
    scenario.prepare()
    with short_holds(check), Rules(check) as rules:
        rules.write([("10-slow.policy", SLOW)])
        rules.reload()
        device = known(check)
        scenario.start_workload()
        held = json.loads(check.run("daxguardctl explain --json pmem0"))["Simulation"]
        check.expect({holder["GracePermille"] for holder in held["Holders"] if holder["Actions"]} < set(range(1000)),
                     "in a hold, the graces would be whole as well")
        simulation = dry_run_did_nothing(check, scenario)
        check.equal("what it would come to", (simulation["State"], simulation["Outcome"]), ("done", "clean"))
        before = check.counters()
        removal = check.guest.run("daxguardctl remove pmem0", timeout=90)
        check.equal("exit status", removal.rc, 0)
        check.say(f"daxguardctl remove took {removal.secs:.1f} s")
        lines = removal.out.splitlines()
        check.equal("the last line", lines[-1:], ["pmem0 is removed: clean"])
        for text in PROGRESS:
            check.expect(any(text in line for line in lines), f"no progress line has '{text}': {removal.out}")
        nothing_was_held(check, before)
        check.expect(not has_driver(check, device), f"{device} still has its driver")
        check.equal("mounts left", check.run("findmnt -rno TARGET,SOURCE | grep pmem || true"), "")
        incident = ended(check)
        check.equal("states", list(dict.fromkeys(state["State"] for state in incident["States"])), STATES)
        graces_were_whole(check, scenario, simulation, incident)
    for role in ROLES:
        check.equal(f"what happened to '{role}'",
                    [(r.event, r.signo) for r in scenario.records() if r.role == role and r.event != "ready"],
                    STORY[role])
    scenario.kill_workload()
    nothing_was_lost(check, scenario)


def unit_is(check):
    return [check.run(f"systemctl show -P {name} daxguard-remove@pmem0.service").strip()
            for name in ("ActiveState", "Result", "ExecMainStatus")]


def unit_said(check, text):
    check.run(f"said() {{ journalctl -b -o cat -u daxguard-remove@pmem0.service | grep -qF '{text}'; }}; "
              f"wait_for 20 said || fail 'its log has no {text}'")


def as_unit(check):
    """Failed if the device stays, where what is on it goes on; and it may be asked for again."""
    disk = Mounted(check)
    device = known(check)
    pid = disk.background("exec sleep 1000 <$MNT/kept")
    before = check.counters()
    start = "systemctl start daxguard-remove@pmem0.service"
    check.expect(check.guest.run(start, timeout=90).rc not in (0, None), "the unit did not fail")
    check.equal("the unit", unit_is(check), ["failed", "exit-code", "7"])
    unit_said(check, "pmem0 was not removed: busy")
    ended(check, "stayed", "busy")
    check.expect(has_driver(check, device), f"{device} has no driver any more")
    check.expect(disk.is_alive(pid), "who had a file open is dead")
    disk.must("touch $MNT/goes-on && sync && rm $MNT/goes-on")
    nothing_was_held(check, before, idle=0)
    disk.end(pid)
    mapper = Mapper(check, "/mnt/pmem/map")
    check.equal("exit status of systemctl start", check.guest.run(start, timeout=90).rc, 0)
    check.equal("the unit", unit_is(check), ["inactive", "success", "0"])
    unit_said(check, "pmem0 is removed: clean")
    mapper.was_ended(ended(check))
    nothing_was_held(check, before)
    check.expect(not has_driver(check, device), f"{device} still has its driver")
    disk.comes_back()


# On a terminal of its own: argument 1 waits for the moment.
CTRL_C = r"""
import os, pty, subprocess, sys
pid, tty = pty.fork()
if pid == 0:
    os.execvp("daxguardctl", ["daxguardctl", "remove", "pmem0"])
subprocess.run(["bash", "-c", ". /usr/lib/daxguard-test/lib.sh; " + sys.argv[1]], check=True)
os.write(tty, b"\x03")
try:
    while text := os.read(tty, 4096):
        os.write(1, text)
except OSError:
    pass
print("exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def interrupted(check):
    """Ctrl-C ends the watching, and says that the rest goes on."""
    disk = Mounted(check)
    check.guest.put("/run/ctrl-c.py", CTRL_C)
    with Daemon(check) as daemon:
        device = known(check)
        before = check.counters()
        daemon.close("unmount")
        out = check.run(f"python3 /run/ctrl-c.py '{daemon.at('unmount')}'", timeout=90)
        check.expect("unmounting" in out, f"no progress on a terminal: {out}")
        said = re.search(r"the removal of pmem0 goes on; .*daxguardctl show (\d+)", out)
        check.expect(said, f"it is not said that it goes on: {out}")
        check.expect(out.rstrip().endswith("exit 8"), f"exit status: {out}")
        if said:
            incident = json.loads(check.run(f"daxguardctl show --json {said[1]}"))["Incident"]
            check.equal("where it is meanwhile", incident["State"], "unmounting")
        again = check.guest.run("daxguardctl remove pmem0 2>&1")
        check.equal("exit status of another", again.rc, 7)
        check.expect("is being removed already" in again.out, f"another is not refused: {again.out}")
        daemon.open("unmount")
        ended(check)
        check.expect(not has_driver(check, device), f"{device} still has its driver")
        nothing_was_held(check, before)
    disk.comes_back()


# What runs has its files in the one that is covered, and finds what it looks for.
COVER_VAR = """
mkdir -p $MNT/lib $MNT/log $MNT/cache $MNT/spool; mkdir -m 1777 -p $MNT/tmp
ln -sfn /run $MNT/run; ln -sfn /run/lock $MNT/lock
umount $MNT; mount -o dax=always $DEV /var
"""


def system_device(check):
    """It is told by what, nothing is done, and nobody is asked to end."""
    disk = Mounted(check)
    device = known(check)
    before, incidents = check.counters(), numbers(check)
    disk.must(COVER_VAR)
    try:
        mapper = Mapper(check, "/var/map")
        simulation = would_come_to(check)
        check.equal("what it would come to", (simulation["State"], simulation["Outcome"], simulation["System"]),
                    ("stayed", "system-device", ["/var"]))
        # Nobody has told the daemon of the mount: it finds it when it looks.
        late = check.guest.run("daxguardctl remove pmem0 2>&1", timeout=90)
        check.equal("exit status", late.rc, 7)
        check.expect("pmem0 was not removed: system-device" in late.out, f"it was said: {late.out}")
        ended(check, "stayed", "system-device")
        check.run("udevadm trigger --action=change $(realpath /sys/block/pmem0); "
                  "is_system() { daxguardctl --no-legend list | grep -q '^pmem0 .* system '; }; wait_for 30 is_system")
        at_once = check.guest.run("daxguardctl remove pmem0 2>&1")
        check.equal("exit status", at_once.rc, 7)
        check.expect("pmem0 carries the running system (/var)" in at_once.out, f"it was said: {at_once.out}")
        mapper.was_spared()
        check.expect(has_driver(check, device), f"{device} has no driver any more")
        check.equal("incidents", len(numbers(check)) - len(incidents), 1)
        nothing_was_held(check, before, idle=0)
        mapper.end()
    finally:
        disk.must("away() { umount /var; }; wait_for 20 away")
    disk.must("mount_dax $DEV && umount $MNT")


def bus(check):
    """Whoever is not root is refused, whichever way he asks; root asks with any client."""
    disk = Mounted(check)
    device = known(check)
    mapper = Mapper(check, "/mnt/pmem/map")
    before, incidents = check.counters(), numbers(check)
    for options in (("0",), ("1", "Force", "b", "true")):
        answer = call(check, "Remove", "'sa{sv}'", "pmem0", *options, user="nobody")
        check.expect(answer is None and "takes an administrator" in check.said, f"Remove by nobody: {check.said}")
    for words in ("daxguardctl remove pmem0", "systemctl --no-ask-password start daxguard-remove@pmem0.service"):
        tried = check.guest.run(f"runuser -u nobody -- {words} 2>&1")
        check.expect(tried.rc not in (0, None), f"{words} by nobody: {tried.out}")
    simulation = call(check, "Simulate", "'sa{sv}'", "pmem0", "1", "Source", "s", "user", user="nobody")
    check.equal("what nobody is told", simulation and simulation["State"]["data"], "done")
    check.equal("incidents", numbers(check), incidents)
    mapper.was_spared()
    check.expect(has_driver(check, device), f"{device} has no driver any more")
    number = call(check, "Remove", "'sa{sv}'", "pmem0", "0")
    check.expect(number, f"Remove by root: {check.said}")
    incident = ended(check)
    check.equal("its number", incident["Id"], number)
    mapper.was_ended(incident)
    nothing_was_held(check, before)
    check.expect(not has_driver(check, device), f"{device} still has its driver")
    disk.comes_back()


def character_device(check):
    """Who maps it is asked to end; who comes when all of that is over is held for."""
    check.start_daemon()
    dax, parent = devdax.make(check)
    try:
        with Daemon(check) as daemon:
            known(check, dax, parent)
            before = check.counters()
            early = devdax.start(check, dax, "deaf")
            daemon.close("unbind")
            removal = check.guest.start(f"daxguardctl remove --no-progress {dax}", timeout=90)
            daemon.reached("unbind")
            check.equal("who mapped it was asked to end", devdax.told(check, "deaf"), [["term"]])
            late = devdax.start(check, dax, "catch")
            daemon.open("unbind")
            result = removal.wait()
            check.equal("how it ended", (result.rc, result.out.strip()), (0, f"{dax} is removed: clean"))
            check.expect(not has_driver(check, parent), f"{parent} still has its driver")
            after = check.counters()
            check.equal("holds", after["held"] - before["held"], 1)
            check.equal("holds that were acked", after["result-acked"] - before["result-acked"], 1)
            stories = both(check)
            check.equal("who was in each", {source: [holder["Pid"] for holder in story["Holders"]]
                                            for source, story in stories.items()}, {"user": [early], "kernel": [late]})
            check.equal("how each ended", {source: (story["State"], story["Outcome"])
                                           for source, story in stories.items()},
                        dict.fromkeys(("user", "kernel"), ("done", "clean")))
    finally:
        devdax.end_all(check)
    devdax.comes_back(check, dax, parent, "parent")


def both(check):
    """The newest of a user's and of the kernel's."""
    newest = {}
    for _ in range(50):
        incidents = json.loads(check.run("daxguardctl incidents --json"))["Incidents"]
        if all(incident["State"] in ("done", "expired", "abandoned", "stayed") for incident in incidents):
            break
        time.sleep(0.2)
    for incident in sorted(incidents, key=lambda incident: incident["BeganUsec"]):
        newest[incident["Source"]] = incident["Id"]
    return {source: json.loads(check.run(f"daxguardctl show --json {number}"))["Incident"]
            for source, number in newest.items()}


CASES = {
    "remove/ext4": Case(lambda c: orderly(c, "ext4"), ("6.1", "6.12")),
    "remove/xfs-rmapbt1": Case(lambda c: orderly(c, "xfs-rmapbt1"), ("7",)),
    "remove/unit": Case(as_unit, ("6.12",)),
    "remove/interrupted": Case(interrupted, ("6.12",)),
    "remove/system-device": Case(system_device, ("6.12",), spoils=True),
    "remove/bus": Case(bus, ("6.12",)),
    "remove/devdax": Case(character_device, ("6.12",)),
}
