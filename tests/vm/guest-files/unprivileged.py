#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What somebody without privileges gets who tries it: unprivileged.py DAEMON_PID.

Prints one JSON object a line: what was tried, what should come of it, what did.
"" is success; else the name of an errno, or "refused" for a command that
failed. Started by root, who becomes nobody for it.
"""
import errno
import json
import os
import socket
import struct
import subprocess
import sys

import dgnl

NOBODY = 65534
NETLINK_KOBJECT_UEVENT = 15
GROUP_KERNEL, GROUP_UDEV = 1, 2
UEVENT = (b"change@/devices/virtual/misc/daxguard\0ACTION=change\0DEVPATH=/devices/virtual/misc/daxguard\0"
          b"SUBSYSTEM=misc\0DEVNAME=daxguard\0DAXGUARD_EVENT=pre-remove\0SEQNUM=999999\0")
CONTROL = "/run/daxguard/control"


def become_nobody():
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def outcome(call):
    try:
        call()
    except dgnl.Refused as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e.errno))
    except subprocess.CalledProcessError:
        return "refused"
    return ""


def tell(what, want, call):
    print(json.dumps({"what": what, "want": want, "have": outcome(call)}), flush=True)


def command(*argv):
    subprocess.run(argv, check=True, timeout=30, stdin=subprocess.DEVNULL, capture_output=True)


def write(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def connect():
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(CONTROL)


def files(daemon):
    for path in ("/run/daxguard", "/run/daxguard/incidents", "/var/lib/daxguard", "/sys/kernel/debug",
                 "/sys/kernel/tracing"):
        tell(f"list {path}", "EACCES", lambda: os.listdir(path))
    for path in ("/sys/kernel/debug/daxguard/status", "/dev/daxguard", f"/proc/{daemon}/environ", f"/proc/{daemon}/maps",
                 f"/proc/{daemon}/mem"):
        tell(f"read {path}", "EACCES", lambda: open(path, "rb").close())
    for path in ("/run/daxguard/x", "/run/daxguard/incidents/1", "/run/x", "/etc/x",
                 "/sys/module/daxguard/parameters/hold_ms", "/sys/class/misc/daxguard/uevent",
                 "/sys/bus/nd/drivers/nd_pmem/unbind", f"/proc/{daemon}/oom_score_adj"):
        tell(f"write {path}", "EACCES", lambda: write(path, "1"))
    tell(f"list /proc/{daemon}/fd", "EACCES", lambda: os.listdir(f"/proc/{daemon}/fd"))
    tell(f"follow /proc/{daemon}/cwd", "EACCES", lambda: os.stat(f"/proc/{daemon}/cwd/"))
    for number in (0, 15, 19):
        tell(f"signal {number}", "EPERM", lambda: os.kill(daemon, number))
    tell("read the kernel's log", "EPERM", lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY)))


def netlink():
    with dgnl.Client() as link:
        tell("REGISTER", "EPERM", lambda: link.call("REGISTER"))
        tell("GET_PENDING", "EPERM", lambda: link.call("GET_PENDING", dump=True))
        tell("SCAN", "EPERM", lambda: link.call("SCAN", ID=1))
        tell("join the group", "EPERM", link.listen)


def uevent(target, group):
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT) as sock:
        sock.sendto(UEVENT, (target, group))


def uevent_ports():
    """Where the daemon, udevd and others listen."""
    with open("/proc/net/netlink", encoding="ascii") as table:
        rows = [line.split() for line in table][1:]
    return sorted({int(row[2]) for row in rows if row[1] == str(NETLINK_KOBJECT_UEVENT) and row[2] != "0"})


def forged():
    for group in (GROUP_KERNEL, GROUP_UDEV):
        tell(f"a uevent for group {group}", "EPERM", lambda: uevent(0, group))
    for port in uevent_ports():
        tell(f"a uevent for socket {port}", "EPERM", lambda: uevent(port, 0))
    # To itself alone: its own namespace hears it.
    tell("a uevent from a namespace of its own", "", lambda: command("unshare", "-Urn", sys.argv[0], "uevent"))
    tell("be org.daxguard1 on the bus", "refused",
         lambda: command("busctl", "--system", "call", "org.freedesktop.DBus", "/", "org.freedesktop.DBus",
                         "RequestName", "su", "org.daxguard1", "4"))
    for verb in ("start", "stop", "restart", "kill", "mask"):
        tell(f"systemctl {verb}", "refused", lambda: command("systemctl", "--no-ask-password", verb, "daxguardd.service"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        for text in (b"STOPPING=1", b"WATCHDOG=trigger", b"MAINPID=1"):
            tell(f"notify {text.decode()}", "", lambda: sock.sendto(text, "/run/systemd/notify"))
        tell("a line in the daemon's name", "",
             lambda: sock.sendto(b"SYSLOG_IDENTIFIER=daxguardd\n_SYSTEMD_UNIT=daxguardd.service\nUNIT=daxguardd.service\n"
                                 b"MESSAGE=forged\n", "/run/systemd/journal/socket"))


def tool():
    for verb in ("status", "list", "incidents", "show", "monitor", "holders pmem0"):
        tell(f"daxguardctl {verb}", "refused", lambda: command("daxguardctl", *verb.split()))
    tell("connect", "EACCES", connect)
    for what in {outcome(connect) for _ in range(5000)}:
        print(json.dumps({"what": "connect 5000 times", "want": "EACCES", "have": what}), flush=True)


def by_deputy():
    """Root is made to speak on a socket that nobody has opened."""
    mine, theirs = socket.socketpair(socket.AF_UNIX)
    if os.fork() == 0:
        become_nobody()
        link = dgnl.Client()
        socket.send_fds(theirs, [struct.pack("=HI", link.family, link.group)], [link.sock.fileno()])
        os._exit(0)
    data, fds, _, _ = socket.recv_fds(mine, 64, 1)
    os.wait()
    link = dgnl.Client()
    link.sock.close()
    link.sock = socket.socket(fileno=fds[0])
    link.family, link.group = struct.unpack("=HI", data)
    tell("REGISTER by a root that is lent the socket", "EPERM", lambda: link.call("REGISTER"))
    tell("GET_PENDING by a root that is lent the socket", "EPERM", lambda: link.call("GET_PENDING", dump=True))


def main(argv):
    if argv == ["uevent"]:
        uevent(0, GROUP_KERNEL)
        return
    if argv == ["netlink"]:
        netlink()
        return
    by_deputy()
    become_nobody()
    files(int(argv[0]))
    netlink()
    print(subprocess.run(["unshare", "-Ur", sys.argv[0], "netlink"], check=True, timeout=30,
                         capture_output=True, text=True).stdout.replace('"what": "', '"what": "as root of a user namespace: '),
          end="", flush=True)
    forged()
    tool()


if __name__ == "__main__":
    main(sys.argv[1:])
