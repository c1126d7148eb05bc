# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is expected of a removal under the workload, whatever the case is."""
from scenario import ROLES

# The cap of a hold is 60 s, its default length 20 s. "Well inside": the
# longest ladder (term 3 s, kill) and unmounting, with room for emulation.
REMOVAL_LIMIT = 20

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


def remove(check, scenario, limit):
    """Lets the device go; how long that took."""
    limit *= check.guest.patience
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
