# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody without privileges starts, stops, delays and learns nothing that the
design does not give him. None of it depends on the kernel's version."""
import json

from check import Case
from expect import REMOVAL_LIMIT
from scenario import Scenario

TRY = "/usr/lib/daxguard-test/unprivileged.py"


def service(check, *properties):
    names = " ".join(f"-P {name}" for name in properties)
    return check.run(f"systemctl show {names} daxguardd.service").split()


def tries(check, out, least):
    answers = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    check.expect(len(answers) >= least, f"only {len(answers)} things were tried: {out[-1000:]}")
    for answer in answers:
        check.equal(answer["what"], answer["have"], answer["want"])


def access(check):
    """Nothing of ours can be read, written, asked, told or imitated."""
    check.start_daemon()
    before, life = check.counters(), service(check, "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic")
    tries(check, check.run(f"{TRY} {life[0]}", timeout=90), 60)
    check.equal("life of the daemon", service(check, "MainPID", "NRestarts", "ActiveEnterTimestampMonotonic"), life)
    after = check.counters()
    for name in ("registered", "held", "scans", "signals"):
        check.equal(name, after[name], before[name])
    check.equal("lines in the daemon's name that its journal shows",
                check.run("journalctl -q -b -o cat -u daxguardd.service --grep forged || true"), "")
    check.equal("lines of the daemon's that nobody may read",
                check.run("setpriv --reuid nobody --regid nogroup --clear-groups "
                          "journalctl -q -b -o cat -u daxguardd.service 2>/dev/null || true"), "")


def doorbell(check):
    """Only the kernel rings: a daemon that is not there is not started."""
    check.run("systemctl stop daxguardd.service; modprobe daxguard")
    answers = check.run(f"python3 - <<'END'\nimport sys\nsys.argv[0] = '{TRY}'\n"
                        "sys.path.insert(0, '/usr/lib/daxguard-test')\nimport unprivileged\n"
                        "unprivileged.become_nobody()\nunprivileged.forged()\nEND", timeout=60)
    tries(check, answers, 10)
    check.run("udevadm settle")
    check.equal("daemon", check.run("systemctl is-active daxguardd.service || true").strip(), "inactive")


def holders(check):
    """Whoever uses the device gets what the policy gives him, and no more time."""
    scenario = Scenario(check.guest, "ext4")
    check.run("modprobe fuse; udevadm settle")
    check.start_daemon()
    scenario.prepare()
    try:
        scenario.sh("mkdir $MNT/own; touch $MNT/file; truncate -s 2M $MNT/file; chown -R nobody: $MNT/own $MNT/file\n"
                    "/usr/lib/daxguard-test/hostile.py $MNT/file $MNT/own >/run/hostile.log 2>&1 &\n"
                    "wait_for 20 grep -q ready /run/hostile.log || { cat /run/hostile.log; exit 1; }", check=True)
        removal = scenario.begin_removal(timeout=75).wait()
        check.equal("exit status of the removal", removal.rc, 0)
        check.expect(removal.secs < REMOVAL_LIMIT, f"the removal took {removal.secs:.1f} s")
        incident = check.incident()
        check.expect(incident["Result"] in ("acked", "released"), f"the hold ended by {incident['Result']}")
        check.equal("result of the revoke", incident["Revoke"], "clean")
        check.say(f"removed in {removal.secs:.1f} s: {incident['Outcome']}, {incident['Marks']}")
        mapped = [holder for holder in incident["Holders"] if holder["Mapped"]]
        check.equal("end of who mapped it", [holder["End"] for holder in mapped], ["exited"])
        shown = check.run("daxguardctl show")
        check.expect("\x1b" not in shown and "\\x1b[2J\\nx dax" in shown, f"what the tool shows of its name: {shown}")
    finally:
        check.run("pkill -KILL -u nobody; wait_for 10 sh -c '! pgrep -u nobody'")
    check.equal("the device comes back", scenario.come_back().rc, 0)
    check.equal("it can be mounted", scenario.sh("mount_dax $DEV && umount $MNT", timeout=60).rc, 0)


CASES = {
    "unprivileged/access": Case(access, ("6.12",)),
    "unprivileged/doorbell": Case(doorbell, ("6.12",)),
    "unprivileged/holders": Case(holders, ("6.12",)),
}
