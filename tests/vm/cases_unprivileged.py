# SPDX-License-Identifier: LGPL-2.1-or-later
"""Somebody without privileges starts, stops, delays and learns nothing that the
design does not give him. None of it depends on the kernel's version."""
import json

from check import Case

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


CASES = {
    "unprivileged/access": Case(access, ("6.12",)),
    "unprivileged/doorbell": Case(doorbell, ("6.12",)),
}
