# SPDX-License-Identifier: LGPL-2.1-or-later
"""A character device that processes map, taken away in each way there is."""
import json

from scenario import LIBRARY

DEVDAX = "/usr/lib/daxguard-test/devdax"
BUS_MCEERR_AO, BUS_ADRERR = 5, 2
LENGTH = 4 << 20

# (how it goes, how it comes back)
WAYS = {
    "unbind": ("echo $DAX >/sys/bus/dax/drivers/device_dax/unbind",
               "echo $DAX >/sys/bus/dax/drivers/device_dax/bind"),
    "parent": ("echo $DAX_PARENT >$ND/dax_pmem/unbind", "echo $DAX_PARENT >$ND/dax_pmem/bind"),
    "region": ("find_devdax; disable_region", "ndctl enable-region $REGION"),
}


def make(check):
    """The device's name and its parent's."""
    return check.run("make_devdax; echo $DAX $DAX_PARENT").split()[-2:]


def start(check, dax, kind):
    log = f"/run/devdax-{kind}"
    return int(check.run(f"rm -f {log}; {DEVDAX} /dev/{dax} {kind} >{log} 2>&1 & "
                         f"wait_for 10 test -s {log}; cat {log}"))


def told(check, kind):
    """What happened to it, as words of its log."""
    return [line.split() for line in check.run(f"tail -n +2 /run/devdax-{kind}").splitlines()]


def end_all(check):
    check.run("pkill -KILL -x devdax; wait_for 10 sh -c '! pgrep -x devdax'")


def remove(check, way, timeout=75):
    result = check.guest.run(f"{LIBRARY}find_devdax\n{WAYS[way][0]}", timeout)
    check.equal("exit status of the removal", result.rc, 0)


def comes_back(check, dax, parent, way):
    """Bound again, what was in it is there."""
    check.run(f"REGION=region0 DAX={dax} DAX_PARENT={parent}\n{WAYS[way][1]} && wait_for 10 test -c /dev/{dax}")
    text = check.run("python3 -c 'import mmap, os; m = mmap.mmap(os.open(\"/dev/%s\", os.O_RDWR), 2 << 20); "
                     "print(m[:17].decode())'" % dax)
    check.equal("what was written", text.strip(), "written by devdax")


def guarded(check, way):
    """Who maps it is told where, or asked to end; who has it open is left."""
    check.start_daemon()
    dax, parent = make(check)
    try:
        before = check.counters()
        catch, deaf, opened = (start(check, dax, kind) for kind in ("catch", "deaf", "open"))
        holders = json.loads(check.run(f"daxguardctl holders --json {dax}"))["Users"]["Holders"]
        check.equal("holders", sorted(holder["Pid"] for holder in holders), sorted((catch, deaf, opened)))
        remove(check, way)
        incident = check.incident()
        check.equal("result of the hold", incident["Result"], "acked")
        check.equal("result of the revoke", incident["Revoke"], "clean")
        ends = {holder["Pid"]: holder["End"] for holder in incident["Holders"]}
        check.equal("what became of them", ends, {catch: "unmapped", deaf: "exited", opened: "left"})
        check.equal("who catches SIGBUS was told", told(check, "catch"), [["sigbus", str(BUS_MCEERR_AO), "0", "12"]])
        check.equal("who does not was asked to end", told(check, "deaf"), [["term"]])
        check.equal("who has it open was told", told(check, "open"), [])
        after = check.counters()
        check.equal("holds", after["held"] - before["held"], 1)
    finally:
        end_all(check)
    comes_back(check, dax, parent, way)


def alone(check):
    """Without a daemon the mapping is gone all the same."""
    check.run("systemctl mask --runtime --now daxguardd.service")
    check.patience(1000)
    dax, parent = make(check)
    try:
        before = check.counters()
        pid = start(check, dax, "catch")
        remove(check, "parent")
        check.equal("before it touches its memory", told(check, "catch"), [])
        check.run(f"kill -USR1 {pid}; wait_for 10 grep -q sigbus /run/devdax-catch")
        check.equal("code of the kernel's SIGBUS", told(check, "catch")[0][:2], ["sigbus", str(BUS_ADRERR)])
        after = check.counters()
        check.equal("holds without a daemon", after["result-no-daemon"] - before["result-no-daemon"], 1)
        check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
    finally:
        end_all(check)
        check.run("systemctl unmask --runtime daxguardd.service")
    comes_back(check, dax, parent, "parent")


def idle(check):
    """Open is not mapped: nothing is held."""
    check.start_daemon()
    dax, _ = make(check)
    try:
        start(check, dax, "open")
        before = check.counters()
        remove(check, "unbind")
        after = check.counters()
        check.equal("holds", after["held"] - before["held"], 0)
        check.equal("removals that were not held", after["not-held"] - before["not-held"], 1)
    finally:
        end_all(check)
        check.run(f"echo {dax} >/sys/bus/dax/drivers/device_dax/bind")


CASES = {f"devdax/{way}": lambda c, w=way: guarded(c, w) for way in WAYS}
CASES["devdax/alone"] = alone
CASES["devdax/idle"] = idle
