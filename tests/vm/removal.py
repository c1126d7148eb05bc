# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals that are not of the usual one disk with its workload: disks by
name, one process each that maps a file, and what a removal did to them."""
import json

from expect import REMOVAL_LIMIT
from scenario import LIBRARY

MAPPER = "/usr/lib/daxguard-test/one-mapping"
SIZE = 1 << 20


class Disk:
    """A disk of the nd bus. Its name stays over an unbind and a bind."""

    def __init__(self, check, region="region0", mode="fsdax"):
        self.check = check
        self.region = region
        self.name = check.run(f"make_disk {region} {mode}", timeout=90).strip()
        self.nd = check.run(f"nd_of {self.name}").strip()
        self.dev = f"/dev/{self.name}"
        self.unbind = f"unbind_nd {self.nd}"
        self.bind = f"bind_nd {self.nd}"


class Mapper:
    """A process that maps one file and catches nothing: SIGTERM ends it."""

    def __init__(self, check, path, size=SIZE):
        self.check, self.path = check, path
        out = f"/run/mapper-{path.strip('/').replace('/', '-')}"
        self.pid = int(check.run(f"rm -f {out}; {MAPPER} map {path} {size} >{out} 2>&1 & "
                                 f"wait_for 20 test -s {out}; cat {out}"))

    def lives(self):
        return self.check.guest.run(f"grep -q '^State:.[^ZX]' /proc/{self.pid}/status").rc == 0

    def end(self):
        self.check.guest.run(f"{LIBRARY}kill -KILL {self.pid} && wait_for 10 eval '! kill -0 {self.pid}' 2>/dev/null")

    def was_ended(self, incident):
        """By the built-in rule for who maps: told, and gone."""
        ends = {holder["Pid"]: holder["End"] for holder in incident["Holders"]}
        self.check.equal(f"end of who maps {self.path}", ends.get(self.pid), "exited")
        self.check.expect(not self.lives(), f"who maps {self.path} lives on")

    def was_spared(self):
        self.check.expect(self.lives(), f"who maps {self.path} is dead")


def files_are_there(check, *paths):
    out = check.guest.run(" ; ".join(f"{MAPPER} check {path} {SIZE}" for path in paths) + " 2>&1", timeout=60)
    check.equal("files with all their words", out.out, "")


def is_mounted(check, where):
    return check.guest.run(f"findmnt -n {where}").rc == 0


def removed(check, script, holds=1, limit=REMOVAL_LIMIT, **expected):
    """Runs a removal; the newest incident if it was held. What is expected of
    the incident is given by its keys."""
    before = check.counters()
    result = check.guest.start(LIBRARY + script, 75).wait()
    check.equal("exit status of the removal", (result.rc, result.out.strip()), (0, ""))
    check.expect(result.secs < limit, f"the removal took {result.secs:.1f} s, expected less than {limit} s")
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], holds)
    if holds == 0:
        return None
    incident = check.incident()
    want = {"Outcome": "clean", "Result": "acked", "Revoke": "clean", **expected}
    for key, value in want.items():
        check.equal(key, incident[key], value)
    return incident


def incidents(check, count):
    """The newest holds, oldest first, once all of them are over."""
    script = "daxguardctl incidents --json"
    for _ in range(50):
        rows = [row for row in json.loads(check.run(script))["Incidents"] if row["Source"] == "kernel"]
        rows = sorted(rows, key=lambda row: row["Id"])[-count:]
        if all(row["State"] in ("done", "expired", "abandoned") for row in rows):
            break
        check.guest.run("sleep 0.2")
    return [json.loads(check.run(f"daxguardctl show --json {row['Id']}"))["Incident"] for row in rows]
