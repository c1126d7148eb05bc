# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who uses a device's files in this pid and mount namespace, as /proc has it."""

import ctypes
import os

TICKS_NS = 10**7
LIBC = ctypes.CDLL(None, use_errno=True)


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def start_ns(pid):
    """As exact as the module's: /proc cuts it to ticks, so something is added."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return int(file.read().rsplit(") ", 1)[1].split()[19]) * TICKS_NS + 1234567


def opened(pid):
    """What he has open; nothing, if that changes meanwhile."""
    try:
        return [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except FileNotFoundError:
        return []


def has_socket(pid):
    return any(name.startswith("socket:") for name in opened(pid))


def scan(dev):
    """Who uses files of this device: (pid, use, address, length, inode)."""
    want = f"{os.major(dev):02x}:{os.minor(dev):02x}"
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/maps", encoding="utf-8", errors="replace") as file:
                for line in file:
                    fields = line.split()
                    if fields[3] == want:
                        low, high = (int(x, 16) for x in fields[0].split("-"))
                        found.append((int(name), "MAPPED", low, high - low, int(fields[4])))
            for use in ("cwd", "root", "exe"):
                st = os.stat(f"/proc/{name}/{use}")
                if st.st_dev == dev:
                    found.append((int(name), use.upper(), 0, 0, st.st_ino))
            for fd in os.listdir(f"/proc/{name}/fd"):
                st = os.stat(f"/proc/{name}/fd/{fd}")
                if st.st_dev == dev:
                    found.append((int(name), "OPEN", 0, 0, st.st_ino))
        except OSError:
            continue
    return found


def mappings(dev, ino, start, length):
    """Who maps this part of a file: (pid, address, length, offset in the file)."""
    want = f"{os.major(dev):02x}:{os.minor(dev):02x}"
    found = []
    for name in sorted((n for n in os.listdir("/proc") if n.isdigit() and int(n) != os.getpid()), key=int):
        try:
            with open(f"/proc/{name}/maps", encoding="utf-8", errors="replace") as file:
                lines = [line.split() for line in file]
        except OSError:
            continue
        for fields in lines:
            if fields[3] != want or int(fields[4]) != ino:
                continue
            low, high = (int(x, 16) for x in fields[0].split("-"))
            offset = int(fields[2], 16)
            begin, end = max(start, offset), min(start + length, offset + high - low)
            if begin < end:
                found.append((int(name), low + begin - offset, end - begin, begin))
    return found


def same_memory(pid, other):
    """kcmp(2) with KCMP_VM, where its number is known."""
    number = {"x86_64": 312, "aarch64": 272}.get(os.uname().machine)
    return number and LIBC.syscall(number, pid, other, 1, 0, 0) == 0


def is_mounted(dev):
    want = f"{os.major(dev)}:{os.minor(dev)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return any(line.split()[2] == want for line in file)
