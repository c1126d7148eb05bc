# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases with unusual users of a device: who must be found, and what a revoke
does about pages that it cannot take back."""
import ast

from check import Case
from scenario import Scenario

ODD = "/usr/lib/daxguard-test/odd"
MAPPED, OPEN, CWD, ROOT, EXE = range(5)
USES = ["mapped", "open", "cwd", "root", "exe"]
ZOMBIE_LEADER = 1 << 3
# What each kind is to be found as, by its own pid.
KINDS = {
    "zombie-leader": {MAPPED},
    "sibling": {MAPPED},
    "private": {MAPPED},
    "unlinked": {MAPPED},
    "cwd": {CWD},
    "root": {CWD, ROOT},
    "exe": {EXE},
    "pipe": {OPEN},
}


def start(scenario, kind):
    """(pid, tid) of who uses the file system now."""
    out = scenario.sh(f"rm -f /run/odd-{kind}; {ODD} {kind} $MNT >/run/odd-{kind} 2>&1 & wait_for 10 test -s /run/odd-{kind} && "
                      f"cat /run/odd-{kind}", check=True).out
    pid, tid = out.split()[-2:]
    return int(pid), int(tid)


def end_all(check):
    check.run("pkill -KILL -x odd; pkill -KILL -x odd-exe; sleep 0.5")


def module_scan(check):
    """Rows of the module's own scan of /dev/pmem0."""
    out = check.run("/usr/lib/daxguard-test/dgnl.py scan /dev/$(basename $(ls -d /sys/block/pmem*))")
    rows = [ast.literal_eval(line) for line in out.splitlines() if line.startswith("{")]
    check.expect(not any(row.get("TRUNCATED") for row in rows), "the scan is not complete")
    return [row for row in rows if "HOLDER_USE" in row]


def proc_scan(check):
    """(pid, use) as /proc shows them."""
    out = check.run("step=$(ls /usr/libexec/daxguard-step /usr/lib/daxguard/daxguard-step 2>/dev/null | head -n 1)\n"
                    "$step procscan $(cat /sys/block/pmem*/dev) | tr '\\0' '\\n'")
    found, pid = set(), None
    for line in out.splitlines():
        key, _, value = line.partition("=")
        if key == "PID":
            pid = int(value)
        elif key == "USE":
            found.add((pid, USES.index(value)))
    return found


def holders_are_found(check):
    """One scan finds every kind of user, and /proc agrees."""
    scenario = Scenario(check.guest, "xfs-rmapbt1")
    check.run("systemctl stop daxguardd.service")
    scenario.prepare()
    try:
        who = {kind: start(scenario, kind) for kind in KINDS}
        rows = module_scan(check)
        uses = {}
        for row in rows:
            uses.setdefault(row["PID"], set()).add(row["HOLDER_USE"])
        for kind, (pid, _) in who.items():
            check.expect(KINDS[kind] <= uses.get(pid, set()),
                         f"'{kind}' ({pid}) was found as {sorted(uses.get(pid, []))}, expected {sorted(KINDS[kind])}")
        zombie = [row for row in rows if row["PID"] == who["zombie-leader"][0] and row["HOLDER_USE"] == MAPPED]
        check.equal("thread that stands for the zombie leader", {row["TID"] for row in zombie},
                    {who["zombie-leader"][1]})
        check.expect(all(row["HOLDER_FLAGS"] & ZOMBIE_LEADER for row in zombie), "the zombie leader is not said to be one")
        mapped = [row for row in rows if row["PID"] == who["private"][0] and row["HOLDER_USE"] == MAPPED]
        check.equal("length of the private mapping", [row["LEN"] for row in mapped], [2 << 20])
        check.equal("uses that /proc shows", proc_scan(check), {(row["PID"], row["HOLDER_USE"]) for row in rows})
    finally:
        end_all(check)
        scenario.sh("umount $MNT")


def pathless(check):
    """A file system that was unmounted lazily before, and lives on by a process
    in it: no path leads there, and what it has not written is saved all the same."""
    scenario = Scenario(check.guest, "ext4")
    check.start_daemon()
    scenario.prepare()
    try:
        cwd, _ = start(scenario, "cwd")
        scenario.sh("umount -l $MNT && ! findmnt $MNT", check=True)
        check.run(f"echo saved >/proc/{cwd}/cwd/late")
        result = scenario.begin_removal(timeout=75).wait()
        check.equal("exit status of the removal", result.rc, 0)
        incident = check.incident()
        check.equal("result of the hold", incident["Result"], "released")
        check.equal("result of the revoke", incident["Revoke"], "clean")
        steps = {step["Step"]: step["End"] for step in incident["Steps"]}
        check.equal("sync by the module", steps.get("kernel-sync"), "ok")
        check.expect("kernel-shutdown" in steps, f"the module was not asked to shut it down: {sorted(steps)}")
        check.expect(scenario.sh(f"kill -0 {cwd}").rc == 0, "who only sits there was killed")
    finally:
        end_all(check)
    check.equal("the device comes back", scenario.come_back().rc, 0)
    late = scenario.sh("mount_dax $DEV && cat $MNT/late; umount $MNT", timeout=60)
    check.equal("what was written last", late.out.strip().splitlines()[-1:], ["saved"])


def pinned_wait(check):
    """A page in a pipe: pinned=wait lets it go first, and then all is clean."""
    scenario = Scenario(check.guest, "xfs-rmapbt0")
    check.start_daemon()
    check.run("echo wait >/sys/module/daxguard/parameters/pinned")
    scenario.prepare()
    try:
        pid, _ = start(scenario, "pipe")
        before = check.counters()
        removal = scenario.begin_removal(timeout=75)
        scenario.sh("for i in $(seq 100); do grep -q ' revoking ' /sys/kernel/debug/daxguard/status && break; "
                    f"sleep 0.1; done; sleep 1; kill -USR1 {pid}", check=True)
        result = removal.wait()
        check.equal("exit status of the removal", result.rc, 0)
        after = check.counters()
        check.equal("revokes that were clean", after["revoke-clean"] - before["revoke-clean"], 1)
        check.equal("revokes with pinned pages", after["revoke-pinned"] - before["revoke-pinned"], 0)
        check.equal("what the incident says", check.incident()["Revoke"], "clean")
    finally:
        check.run("echo go >/sys/module/daxguard/parameters/pinned")
        end_all(check)
        scenario.sh("! findmnt $MNT || umount $MNT", check=True)
    check.equal("the device comes back", scenario.come_back().rc, 0)


def pinned_go(check):
    """The default goes on at once, and says that a page is pinned. What a stock
    kernel does when the pipe is read afterwards is its own: the guest is not
    used again."""
    scenario = Scenario(check.guest, "xfs-rmapbt0")
    check.start_daemon()
    scenario.prepare()
    start(scenario, "pipe")
    result = scenario.begin_removal(timeout=75).wait()
    check.equal("exit status of the removal", result.rc, 0)
    check.equal("what the incident says", check.incident()["Revoke"], "pinned")
    check.equal("pages", check.incident()["PinnedPages"], 1)


CASES = {
    "odd/holders": holders_are_found,
    "odd/pathless": pathless,
    "odd/pinned-wait": pinned_wait,
    "odd/pinned-go": Case(pinned_go, spoils=True),
}
