#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Processes of nobody's that do not want a device to go: hostile.py FILE DIR.

FILE is on it, DIR is a directory there. One process maps the file, has a name
that would write on a terminal, ignores SIGBUS and SIGTERM; two have mount
namespaces of their own with a FUSE mount whose server never answers: on DIR,
and over the directory that the device is mounted in. Prints "ready", and stays.
"""
import ctypes
import mmap
import os
import signal
import sys

NOBODY = 65534
PR_SET_DUMPABLE, PR_SET_NAME = 4, 15
libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def mapper(path):
    libc.prctl(PR_SET_NAME, b"\x1b[2J\nx daxguardd", 0, 0, 0)
    for number in (signal.SIGTERM, signal.SIGBUS):
        signal.signal(number, lambda *_: None)
    file = os.open(path, os.O_RDWR)
    memory = mmap.mmap(file, mmap.PAGESIZE)
    memory[0] = 1
    return memory


def mute_fuse(path):
    os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {NOBODY} 1"), ("gid_map", f"0 {NOBODY} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)
    fd = os.open("/dev/fuse", os.O_RDWR)
    checked(libc.mount(b"mute", path.encode(), b"fuse", 0,
                       f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()))
    return fd


def child(function, argument):
    ours, theirs = os.pipe()
    if os.fork() == 0:
        kept = function(argument)
        os.write(theirs, b"x")
        while kept is not None:
            signal.pause()
    os.close(theirs)
    if os.read(ours, 1) != b"x":
        sys.exit(f"{function.__name__} failed")


def main(file, directory):
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # /proc/self is its own again
    child(mapper, file)
    child(mute_fuse, directory)
    child(mute_fuse, os.path.dirname(os.path.dirname(directory)))
    print("ready", flush=True)
    signal.pause()


main(sys.argv[1], sys.argv[2])
