#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A registered daemon that says wrong things about a real hold, and then lets
it go: bad-daemon.py DIR COMMAND starts COMMAND, which must be the removal of
the device that is mounted on DIR. Prints as bad-messages.py does."""
import importlib
import os
import subprocess
import sys
import time

import dgnl

report = importlib.import_module("bad-messages").report


def wait_for_hold(link):
    end = time.monotonic() + 10
    while time.monotonic() < end:
        pending = link.call("GET_PENDING", dump=True)
        if pending:
            return pending[0]
        time.sleep(0.05)
    sys.exit("no hold came")


def before_take(link, request):
    number, cookie = request["ID"], request["COOKIE"]
    report("ACK before TAKE, of a live file system", "EBUSY", lambda: link.call("ACK", ID=number, COOKIE=cookie))
    report("RELEASE before TAKE", "EACCES", lambda: link.call("RELEASE", ID=number, COOKIE=cookie))


def after_take(link, request):
    number, cookie, wrong = request["ID"], request["COOKIE"], bytes(16)
    report("TAKE again", "", lambda: link.call("TAKE", ID=number))
    report("TAKE of another id", "ENOENT", lambda: link.call("TAKE", ID=number + 1))
    report("ACK with a wrong cookie", "ENOENT", lambda: link.call("ACK", ID=number, COOKIE=wrong))
    report("RELEASE with a wrong cookie", "ENOENT", lambda: link.call("RELEASE", ID=number, COOKIE=wrong))
    report("EXTEND with a wrong cookie", "ENOENT", lambda: link.call("EXTEND", ID=number, COOKIE=wrong, MS=1000))
    report("ACK without a cookie", "EINVAL", lambda: link.call("ACK", ID=number))
    report("ACK of a live file system", "EBUSY", lambda: link.call("ACK", ID=number, COOKIE=cookie))
    report("EXTEND beyond the cap", "", lambda: link.call("EXTEND", ID=number, COOKIE=cookie, MS=3_600_000))


def wrong_signals(link, request):
    """Aimed at this very process, which has a file open there, but maps none."""
    holders, _, _ = link.scan(ID=request["ID"])
    mine = [h for h in holders if h["PID"] == os.getpid()]
    if not mine:
        sys.exit("the scan did not find this process, which has a file open there")
    good = {"ID": request["ID"], "PID": os.getpid(), "START_NS": mine[0]["START_NS"], "ADDR": 4096,
            "LSB": 12, "CODE": 5}
    for what, want, change in (
            ("an si_code of another kind", "EINVAL", {"CODE": 2}),
            ("an lsb below a page", "EINVAL", {"LSB": 3}),
            ("an address that is no mapping of the device", "EFAULT", {}),
            ("another start time", "ESRCH", {"START_NS": 1}),
            ("another request", "ENOENT", {"ID": request["ID"] + 1})):
        report(f"SIGBUS with {what}", want, lambda: link.call("SIGBUS", **dict(good, **change)))


def main(directory, command):
    with dgnl.Client() as link, open(f"{directory}/opened-by-bad-daemon", "w", encoding="ascii"):
        link.call("REGISTER")
        removal = subprocess.Popen(["/bin/bash", "-c", command])
        request = wait_for_hold(link)
        number, cookie = request["ID"], request["COOKIE"]
        before_take(link, request)
        link.call("TAKE", ID=number)
        after_take(link, request)
        wrong_signals(link, request)
        if removal.poll() is not None:
            sys.exit("the hold ended before it should")
        report("RELEASE", "", lambda: link.call("RELEASE", ID=number, COOKIE=cookie))
        if removal.wait(30) != 0:
            sys.exit(f"the removal failed: {removal.returncode}")
        report("ACK of what has ended", "ENOENT", lambda: link.call("ACK", ID=number, COOKIE=cookie))
        report("EXTEND of what has ended", "ENOENT", lambda: link.call("EXTEND", ID=number, COOKIE=cookie, MS=1000))


main(sys.argv[1], sys.argv[2])
