#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A device of which too much has failed is removed in order: emptied.py DEVICE FILE. FILE is on
DEVICE and maps nothing else; the rule's limit is two pages.

Prints a line for each thing looked at, "ok …" or "FAIL …".
"""
import os
import subprocess
import sys

import failures
from failures import BUS_MCEERR_AO, PAGE, Holder, ask, check, hard_offline, incidents, wait_until

RULE = "/etc/daxguard/policy.d/1-limit.device"
LIMIT = "[Match]\nEvent=memory-failure\n[Device]\nFailureLimit=2\nFailureAction=remove\n"


def shown(number):
    return ask("Incident", "show", str(number))


def fails(holder, page):
    """The incident of it, when it is over."""
    before = {incident["Id"] for incident in incidents()}
    hard_offline(holder.frame + page)
    over = wait_until(f"the failure of page {page} is over",
                      lambda: [i for i in incidents() if i["Id"] not in before and i["State"] == "done"])
    return shown(over[0]["Id"])


def main():
    device, path = sys.argv[1:]
    name, mount = os.path.basename(device), os.path.dirname(path)
    os.makedirs(os.path.dirname(RULE), exist_ok=True)
    with open(RULE, "w", encoding="ascii") as file:
        file.write(LIMIT)
    subprocess.run(["systemctl", "reload", "daxguardd.service"], check=True)
    holder = Holder("write", path)

    first = fails(holder, 2)
    check("one page: outcome, limit, reactions", (first["Outcome"], first["LimitReached"], first["Reactions"]),
          ("told", False, []))
    check("one page: mounted", os.path.ismount(mount), True)
    check("what it was", [(p["Content"], p.get("Path")) for p in first["Places"]], [("file", path)])

    second = fails(holder, 4)
    check("two pages: outcome, limit", (second["Outcome"], second["LimitReached"]), ("told", True))
    done = [(r["Cause"], r["Action"], r["Outcome"]) for r in second["Reactions"]]
    if not check("two pages: reactions", done, [("limit", "remove", "asked")]):
        return 1
    number = second["Reactions"][0]["Removal"]
    wait_until("the removal is over", lambda: (shown(number) or {}).get("State") == "done")
    removal = shown(number)
    check("the removal", (removal["Source"], removal["State"], removal["Outcome"]), ("user", "done", "clean"))
    check("mounted", os.path.ismount(mount), False)
    check("the disk is there", os.path.exists(device), False)
    check("who mapped it was told of each page first", holder.signals(),
          [(BUS_MCEERR_AO, page * PAGE, 12) for page in (2, 4)])
    check("and is gone", holder.process.wait(20) != 0, True)
    ledger = [(f["State"], f["Length"], f.get("Path")) for f in ask("Failures", "poison") or []]
    check(f"the ledger of {name}", ledger, [("active", PAGE, path)] * 2)
    return 0 if failures.good else 1


if __name__ == "__main__":
    sys.exit(main())
