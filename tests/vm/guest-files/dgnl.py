#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A raw client of the module's netlink family, for what the daemon never says.

As a program:  dgnl.py pending | failures | scan DEV | bad-input
As a module:   with Client() as c: c.call("TAKE", ID=1)

Numbers come from the installed uapi header's order, parsed from the header
itself, so that this file cannot disagree with it.
"""
import os
import re
import select
import socket
import struct
import sys

HEADER = "/usr/lib/daxguard-test/daxguard.h"
NETLINK_GENERIC, SOL_NETLINK = 16, 270
NETLINK_ADD_MEMBERSHIP, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 1, 10, 11
NLMSG_ERROR, NLMSG_DONE = 2, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_ACK_TLVS, NLM_F_CAPPED = 1, 4, 0x300, 0x200, 0x100
GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 3
CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME, CTRL_ATTR_MCAST_GROUPS = 1, 2, 7

FORMATS = {
    "B": ("STATE RESULT REVOKE MODE HOLDER_USE LSB SOURCE"),
    "=I": ("FLAGS DEADLINE_MS ELAPSED_MS CAP_MS HOLD_MS ACTIVATION_MS UNBINDER_PID SHUTDOWNS TOKEN ERROR PID "
           "TID UID HOLDER_FLAGS FS_FLAGS COUNT CODE MS SHARED_WITH FAILURE_FLAGS GENERATION"),
    "=Q": ("ID UNBINDER_START_NS DEV START LEN INODES ENTRIES VMAS PAGES_PINNED HELD_US REVOKE_US START_NS "
           "SIG_CAUGHT SIG_BLOCKED SIG_IGNORED FS_DEV INO ADDR OFFSET FAILURE DISK_OFFSET TIME_NS"),
    "s": "BOOT_ID DEVICE BUS DRIVER NAME NS_DEVICE COMM FS_TYPE VERSION MF_TYPE MF_RESULT",
    "b": "COOKIE NS_UUID",
    "n": "TARGET RANGE STACK TOLD",
    "f": "IN_USE TRUNCATED BADBLOCKS",
}
TYPES = {name: fmt for fmt, names in FORMATS.items() for name in names.split()}


def read_enum(name):
    with open(HEADER, encoding="utf-8") as header:
        body = re.search(r"enum %s \{(.*?)\}" % name, header.read(), re.S).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    return [word.strip() for word in body.split(",") if word.strip()]


COMMANDS = {name.removeprefix("DAXGUARD_CMD_"): n for n, name in enumerate(read_enum("daxguard_cmd"))}
ATTRS = {name.removeprefix("DAXGUARD_A_"): n for n, name in enumerate(read_enum("daxguard_attr"))}
NAMES = {n: name for name, n in ATTRS.items()}


class Refused(Exception):
    """An answer with an error: errno and the kernel's own text."""

    def __init__(self, errno, text):
        super().__init__(f"{os.strerror(errno)}: {text}")
        self.errno, self.text = errno, text


def pack(number, data):
    return struct.pack("=HH", len(data) + 4, number) + data + b"\0" * (-len(data) % 4)


def encode(name, value):
    fmt = TYPES[name]
    if fmt in ("B", "=I", "=Q"):
        value = struct.pack(fmt, value)
    elif fmt == "s":
        value = value.encode() + b"\0"
    elif fmt == "f":
        value = b""
    return pack(ATTRS[name], value)


def split(data):
    while len(data) >= 4:
        length, number = struct.unpack_from("=HH", data)
        if length < 4:
            return
        yield number & 0x3fff, data[4:length]
        data = data[(length + 3) & ~3:]


def decode(data):
    """Attributes as a dictionary; what repeats is a list."""
    out = {}
    for number, value in split(data):
        name = NAMES.get(number, number)
        fmt = TYPES.get(name)
        if fmt in ("B", "=I", "=Q"):
            value = struct.unpack(fmt, value)[0]
        elif fmt == "s":
            value = value.rstrip(b"\0").decode()
        elif fmt == "n":
            out.setdefault(name, []).append(decode(value))
            continue
        elif fmt == "f":
            value = True
        out[name] = value
    return out


class Client:
    def __init__(self, timeout=5):
        self.timeout = timeout
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.bind((0, 0))
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.seq, self.unsolicited = 0, []
        family = dict(split(self._ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY,
                                      pack(CTRL_ATTR_FAMILY_NAME, b"daxguard\0"), 0)[0][1]))
        self.family = struct.unpack("=H", family[CTRL_ATTR_FAMILY_ID])[0]
        groups = [dict(split(group)) for _, group in split(family[CTRL_ATTR_MCAST_GROUPS])]
        self.group = struct.unpack("=I", groups[0][2])[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def listen(self):
        self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, self.group)

    def _receive(self):
        if not select.select([self.sock], [], [], self.timeout)[0]:
            raise TimeoutError("no answer from the module")
        data = self.sock.recv(1 << 17)
        while len(data) >= 16:
            length, kind, flags, seq, _ = struct.unpack_from("=IHHII", data)
            yield kind, flags, seq, data[16:length]
            data = data[(length + 3) & ~3:]

    def _ask(self, family, cmd, payload, flags, version=1):
        """Sends, and returns [(cmd, attributes)] of all that is answered."""
        self.seq += 1
        body = struct.pack("=BBH", cmd, version, 0) + payload
        self.sock.send(struct.pack("=IHHII", len(body) + 16, family, NLM_F_REQUEST | NLM_F_ACK | flags,
                                   self.seq, 0) + body)
        answers = []
        while True:
            for kind, nlflags, seq, data in self._receive():
                if seq != self.seq:
                    self.unsolicited.append((data[0], decode(data[4:])))
                elif kind in (NLMSG_ERROR, NLMSG_DONE):
                    error = struct.unpack_from("=i", data)[0] if len(data) >= 4 else 0
                    if error >= 0:
                        return answers
                    raise Refused(-error, self._text(kind, nlflags, data))
                else:
                    answers.append((data[0], data[4:]))

    @staticmethod
    def _text(kind, flags, data):
        if not flags & NLM_F_ACK_TLVS:
            return ""
        skip = 4 if kind == NLMSG_DONE else 20
        return dict(split(data[skip:])).get(1, b"").rstrip(b"\0").decode()

    def raw(self, cmd, payload, dump=False):
        return self._ask(self.family, COMMANDS[cmd], payload, NLM_F_DUMP if dump else 0)

    def call(self, cmd, dump=False, **attrs):
        payload = b"".join(encode(name, value) for name, value in attrs.items())
        return [decode(data) for _, data in self.raw(cmd, payload, dump)]

    def wait(self, cmd):
        """The next unsolicited message of this kind."""
        while True:
            for n, (number, attrs) in enumerate(self.unsolicited):
                if number == COMMANDS[cmd]:
                    del self.unsolicited[n]
                    return attrs
            for _, _, _, data in self._receive():
                self.unsolicited.append((data[0], decode(data[4:])))

    def job(self, cmd, **attrs):
        """COMPLETED of something that is queued."""
        token = self.call(cmd, **attrs)[0]["TOKEN"]
        completed = self.wait("COMPLETED")
        if completed["TOKEN"] != token:
            raise ValueError(f"{completed} completes another than {token}")
        return completed

    def scan(self, **attrs):
        """(holders, file systems, COMPLETED) of a request or device."""
        token = self.call("SCAN", **attrs)[0]["TOKEN"]
        completed = self.wait("COMPLETED")
        return (self.call("GET_HOLDERS", dump=True, TOKEN=token),
                self.call("GET_FS", dump=True, TOKEN=token), completed)


def device_number(path):
    rdev = os.stat(path).st_rdev
    return os.major(rdev) << 32 | os.minor(rdev)


def expects_text(what):
    """Every refusal says why; but 6.1 drops what a dump says when it starts."""
    return not (what.startswith("GET_") and os.uname().release.startswith("6.1."))


def refused(what, errno, func):
    """One line per probe: what, and whether it was refused as it must be."""
    try:
        func()
        print(f"FAIL {what}: accepted")
        return False
    except Refused as why:
        good = why.errno == errno and bool(why.text) == expects_text(what)
        print(f"{'ok' if good else 'FAIL'} {what}: {why}")
        return good


def bad_input():
    """Everything that must be refused while no daemon of ours is registered."""
    import errno as E
    good = True
    with Client() as c, Client() as other:
        good &= refused("TAKE unregistered", E.EACCES, lambda: c.call("TAKE", ID=1))
        c.call("REGISTER")
        c.call("REGISTER")
        good &= refused("second REGISTER", E.EBUSY, lambda: other.call("REGISTER"))
        good &= refused("ACK from another socket", E.EACCES,
                        lambda: other.call("ACK", ID=1, COOKIE=bytes(16)))
        good &= refused("TAKE without ID", E.EINVAL, lambda: c.call("TAKE"))
        good &= refused("TAKE of an unknown id", E.ENOENT, lambda: c.call("TAKE", ID=1 << 60))
        good &= refused("ACK of an unknown id", E.ENOENT, lambda: c.call("ACK", ID=1 << 60, COOKIE=bytes(16)))
        good &= refused("unknown attribute", E.EINVAL, lambda: c.raw("TAKE", pack(999, b"12345678")))
        good &= refused("attribute of a command's answer", E.EINVAL,
                        lambda: c.raw("TAKE", encode("ID", 1) + encode("COMM", "x")))
        good &= refused("ID too short", E.EINVAL, lambda: c.raw("TAKE", pack(ATTRS["ID"], b"1234")))
        good &= refused("COOKIE too long", E.ERANGE,
                        lambda: c.raw("ACK", encode("ID", 1) + pack(ATTRS["COOKIE"], bytes(17))))
        good &= refused("SCAN of no guarded disk", E.ENODEV, lambda: c.call("SCAN", DEV=device_number("/dev/vda")))
        good &= refused("GET_HOLDERS of no snapshot", E.ENOENT,
                        lambda: c.call("GET_HOLDERS", dump=True, TOKEN=12345))
        good &= refused("GET_FS without TOKEN", E.EINVAL, lambda: c.call("GET_FS", dump=True))
        good &= refused("SIGBUS with a code of its own", E.EINVAL,
                        lambda: c.call("SIGBUS", ID=1, PID=1, START_NS=1, ADDR=0, LSB=12, CODE=2))
        good &= refused("SIGBUS with a small lsb", E.EINVAL,
                        lambda: c.call("SIGBUS", ID=1, PID=1, START_NS=1, ADDR=0, LSB=3, CODE=5))
        vda = device_number("/dev/vda")
        good &= refused("SCAN of a range of a request", E.EINVAL, lambda: c.call("SCAN", START=0, LEN=4096))
        good &= refused("SIGBUS of both", E.EINVAL,
                        lambda: c.call("SIGBUS", ID=1, DEV=vda, PID=1, START_NS=1, ADDR=0, LSB=12, CODE=5))
        good &= refused("UNMAP of no guarded disk", E.ENODEV, lambda: c.call("UNMAP", DEV=vda, START=0, LEN=4096))
        good &= refused("CHECK without DEV", E.EINVAL, lambda: c.call("CHECK"))
        good &= refused("FORGET without FAILURE", E.EINVAL, lambda: c.call("FORGET"))
        for cmd, attrs in (("FORGET", {"FAILURE": 1}), ("UNMAP", {"DEV": vda, "START": 0, "LEN": 4096}),
                           ("CHECK", {"DEV": vda})):
            good &= refused(f"{cmd} from another socket", E.EACCES,
                            lambda cmd=cmd, attrs=attrs: other.call(cmd, **attrs))
    with Client() as c:
        # A container's root: all capabilities but the one that counts.
        os.seteuid(65534)
        for cmd, attrs in (("REGISTER", {}), ("TAKE", {"ID": 1}), ("SCAN", {"ID": 1}), ("SYNC", {"ID": 1}),
                           ("FORGET", {"FAILURE": 1}), ("UNMAP", {"DEV": 1}), ("CHECK", {"DEV": 1}),
                           ("SIGBUS", {"ID": 1, "PID": 1, "START_NS": 1, "ADDR": 0, "LSB": 12, "CODE": 5})):
            good &= refused(f"{cmd} unprivileged", E.EPERM, lambda cmd=cmd, attrs=attrs: c.call(cmd, **attrs))
        for cmd in ("GET_PENDING", "GET_HOLDERS", "GET_FS", "GET_FAILURES"):
            good &= refused(f"{cmd} unprivileged", E.EPERM, lambda cmd=cmd: c.call(cmd, dump=True, TOKEN=1))
        try:
            c.listen()
            print("FAIL events group unprivileged: joined")
            good = False
        except PermissionError:
            print("ok events group unprivileged: refused")
        os.seteuid(0)
    return good


def main(argv):
    if argv[1:] == ["bad-input"]:
        return 0 if bad_input() else 1
    with Client() as c:
        if argv[1:] == ["pending"]:
            for request in c.call("GET_PENDING", dump=True):
                print(request)
            return 0
        if argv[1:] == ["failures"]:
            for failure in c.call("GET_FAILURES", dump=True):
                print(failure)
            return 0
        if len(argv) == 3 and argv[1] == "scan":
            holders, fs, completed = c.scan(DEV=device_number(argv[2]))
            for row in holders + fs + [completed]:
                print(row)
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
