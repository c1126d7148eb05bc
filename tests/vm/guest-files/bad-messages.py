#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Says wrong things to the module while a daemon is registered, and prints
what it answers and what it should, one JSON object a line."""
import errno
import json
import os

import dgnl
from dgnl import Client, encode, pack

STRANGER = {
    "TAKE": {"ID": 1},
    "ACK": {"ID": 1, "COOKIE": bytes(16)},
    "RELEASE": {"ID": 1, "COOKIE": bytes(16)},
    "EXTEND": {"ID": 1, "COOKIE": bytes(16), "MS": 1000},
    "SYNC": {"ID": 1},
    "SHUTDOWN": {"ID": 1},
    "SIGBUS": {"ID": 1, "PID": 1, "START_NS": 1, "ADDR": 0, "LSB": 12, "CODE": 5},
}


def report(what, want, call):
    have = text = ""
    try:
        call()
    except dgnl.Refused as e:
        have, text = errno.errorcode.get(e.errno, str(e.errno)), e.text
    mute = bool(have) and not text and dgnl.expects_text(what)
    print(json.dumps({"what": what, "want": want, "have": have, "text": text, "mute": mute}), flush=True)


def from_root():
    with Client() as c:
        report("a second daemon", "EBUSY", lambda: c.call("REGISTER"))
        report("an unknown attribute", "EINVAL", lambda: c.raw("SCAN", pack(999, b"1234")))
        report("an id of one byte", "EINVAL", lambda: c.raw("SCAN", pack(dgnl.ATTRS["ID"], b"1")))
        report("an attribute of an answer", "EINVAL", lambda: c.raw("SCAN", encode("COMM", "x")))
        report("a scan of nothing", "EINVAL", lambda: c.call("SCAN"))
        report("a scan of no such request", "ENOENT", lambda: c.call("SCAN", ID=1 << 60))
        report("a scan of a device that is not guarded", "ENODEV",
               lambda: c.call("SCAN", DEV=dgnl.device_number("/dev/vda")))
        report("GET_HOLDERS of a snapshot that nobody made", "ENOENT", lambda: c.call("GET_HOLDERS", dump=True, TOKEN=12345))
        report("GET_HOLDERS of nothing", "EINVAL", lambda: c.call("GET_HOLDERS", dump=True))
        for command, attrs in STRANGER.items():
            report(f"{command} from a stranger", "EACCES", lambda: c.call(command, **attrs))


def from_nobody():
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    with Client() as c:
        report("an unprivileged REGISTER", "EPERM", lambda: c.call("REGISTER"))
        report("an unprivileged SCAN", "EPERM", lambda: c.call("SCAN", ID=1))
        report("GET_PENDING unprivileged", "EPERM", lambda: c.call("GET_PENDING", dump=True))
        report("GET_FS unprivileged", "EPERM", lambda: c.call("GET_FS", dump=True, TOKEN=1))
        for command, attrs in STRANGER.items():
            report(f"an unprivileged {command}", "EPERM", lambda: c.call(command, **attrs))


if __name__ == "__main__":
    from_root()
    from_nobody()
