#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguard-step unmounts, detaches and shuts down real file systems on loop devices.

usage: as test-step.py
"""

import os
import threading
import time
import unittest

from stepcase import PythonChild, StepCase, libc, main, run, step

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203}[os.uname().machine]

# A FUSE mount that lets in nobody but the user nobody, as fusermount3 makes one.
FUSE = """
import struct, threading
fd = os.open("/dev/fuse", os.O_RDWR)
check(libc.mount(b"fuse", {0!r}.encode(), b"fuse", 6, f"fd={{fd}},rootmode=40000,user_id=65534,group_id=65534".encode()))
def serve():
    while True:
        try:
            request = os.read(fd, 1 << 18)
        except OSError:
            return  # unmounted
        _, opcode, unique = struct.unpack_from("=IIQ", request)
        init = struct.pack("=IIIIHHII", 7, 31, 65536, 0, 12, 9, 65536, 1).ljust(64, b"\\0")
        answer = init if opcode == 26 else b""
        os.write(fd, struct.pack("=IiQ", 16 + len(answer), 0 if answer else -38, unique) + answer)
threading.Thread(target=serve, daemon=True).start()
"""

# In a user namespace: an overlay of a FUSE file system that answers until it is
# mounted, and the device below it.
MUTE = """
import struct, threading
check(libc.unshare(0x10020000))
for name, text in (('setgroups', 'deny'), ('uid_map', '0 0 1'), ('gid_map', '0 0 1')):
    with open('/proc/self/' + name, 'w') as file:
        file.write(text)
check(libc.mount(b'tmpfs', b'/mnt', b'tmpfs', 0, None))
for name in ('fuse', 'lower', 'lower/sub', 'overlay'):
    os.mkdir('/mnt/' + name)
fd = os.open("/dev/fuse", os.O_RDWR)
check(libc.mount(b"fuse", b"/mnt/fuse", b"fuse", 6, f"fd={{fd}},rootmode=40000,user_id=0,group_id=0".encode()))
mute = False
def answer(opcode):
    if opcode == 26:
        return 0, struct.pack("=IIIIHHII", 7, 31, 65536, 0, 12, 9, 65536, 1).ljust(64, b"\\0")
    if opcode == 3:
        attributes = struct.pack("=QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40755, 2, 0, 0, 0, 4096, 0)
        return 0, struct.pack("=QII", 1000, 0, 0) + attributes
    if opcode == 17:
        return 0, bytes(80)
    return (-2 if opcode == 1 else -38), b""
def serve():
    while True:
        request = os.read(fd, 1 << 18)
        _, opcode, unique = struct.unpack_from("=IIQ", request)
        if mute or opcode == 2:
            continue
        error, payload = answer(opcode)
        os.write(fd, struct.pack("=IiQ", 16 + len(payload), error, unique) + payload)
threading.Thread(target=serve, daemon=True).start()
check(libc.mount(b"overlay", b"/mnt/overlay", b"overlay", 0, b"lowerdir=/mnt/fuse:/mnt/lower"))
check(libc.mount({0!r}.encode(), b"/mnt/overlay/sub", None, 4096, None))
mute = True
"""


class UnmountTest(StepCase):
    # -- unmount

    def test_unmount(self):
        found = step("unmount", self.dev, status=0)
        self.assertEqual([(r["PATH"], r["RESULT"], r["HOST"]) for r in found],
                         [(self.mnt.encode(), b"ok", b"1")])
        self.assertEqual(self.mine(), [])

    def test_unmount_children_binds_and_namespaces(self):
        bind = self.mkdir("bind")
        os.mkdir(self.mnt + "/sub")
        self.mount("--bind", self.mnt + "/sub", bind)
        self.mount("-t", "tmpfs", "none", self.mnt + "/sub")
        os.mkdir(self.mnt + "/sub/deep")
        self.mount("-t", "tmpfs", "none", self.mnt + "/sub/deep")
        self.child(":", "-m", "--propagation", "private")
        self.child(":", "-m", "--propagation", "slave")
        found = step("unmount", self.dev, status=0)
        self.assertEqual({r["RESULT"] for r in found}, {b"ok"})
        self.assertEqual(self.mine(), [])
        self.assertEqual(step("mounts", self.dev), [])
        # Nobody has it: the disk can be taken exclusively.
        os.close(os.open(self.loop, os.O_RDONLY | os.O_EXCL))

    def test_unmount_stacked(self):
        self.mount("--bind", self.mnt, self.mnt)
        self.mount("--bind", self.mnt, self.mnt)
        found = step("unmount", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"] * 3)

    def test_unmount_file_bind(self):
        target = os.path.join(self.dir, "file")
        for path in (target, self.mnt + "/file"):
            with open(path, "w", encoding="ascii"):
                pass
        self.mount("--bind", self.mnt + "/file", target)
        step("unmount", self.dev, status=0)
        self.assertEqual(self.mine(), [])

    def test_unmount_busy(self):
        child = self.child(f"cd {self.mnt}")
        found = step("unmount", self.dev, status=1)
        self.assertEqual([r["RESULT"] for r in found], [b"busy"])
        child.stop()
        step("unmount", self.dev, status=0)

    def test_unmount_never_the_wrong_one(self):
        self.mount("-t", "tmpfs", "innocent", self.mnt)
        found = step("unmount", self.dev, status=1)
        self.assertEqual([r["RESULT"] for r in found], [b"overmounted"])
        self.assertEqual(self.mine(), [self.mnt.encode()] * 2)
        found = step("detach", self.dev, status=1)
        self.assertEqual([r["RESULT"] for r in found], [b"overmounted"])
        self.assertEqual(self.mine(), [self.mnt.encode()] * 2)

    def test_unmount_from_under_a_mount(self):
        # Where changes are passed on, as systemd sets it up.
        run("umount", self.mnt)
        self.mount("-t", "tmpfs", "base", self.mnt)
        self.mount("--make-shared", self.mnt)
        where = self.mkdir("mnt/there")
        self.mount(self.loop, where)
        for name in ("one", "two"):
            self.mount("-t", "tmpfs", name, where)
            with open(where + "/file", "w", encoding="ascii") as file:
                file.write(name)
        child = self.child(f"cd {where}")
        found = step("sync", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        found = step("unmount", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        self.assertEqual(self.mine(), [self.mnt.encode()] + [where.encode()] * 2)
        with open(f"/proc/{child.pid}/cwd/file", encoding="ascii") as file:
            self.assertEqual(file.read(), "two")
        os.close(os.open(self.loop, os.O_RDONLY | os.O_EXCL))

    def test_shutdown_under_a_mount(self):
        self.mount("-t", "tmpfs", "innocent", self.mnt)
        found = step("shutdown", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        with open(self.mnt + "/file", "w", encoding="ascii") as file:
            file.write("x")
        run("umount", self.mnt)
        with self.assertRaises(OSError):
            os.mkdir(self.mnt + "/late")

    def test_unmount_hidden_by_a_mount_above(self):
        inner = self.mkdir("outer") + "/inner"
        os.mkdir(inner)
        self.mount("--bind", self.mnt, inner)
        self.mount("-t", "tmpfs", "none", self.dir + "/outer")
        os.mkdir(inner)
        found = step("unmount", self.dev, status=1)
        self.assertEqual({r["RESULT"] for r in found}, {b"ok", b"overmounted"})

    def test_unmount_no_links_followed(self):
        # The path to the mount point goes through a link by now.
        inner = self.mkdir("outer") + "/inner"
        os.mkdir(inner)
        decoy = self.mkdir("decoy") + "/inner"
        os.mkdir(decoy)
        self.mount("--bind", self.mnt, inner)
        self.mount("-t", "tmpfs", "innocent", decoy)
        os.rename(self.dir + "/outer", self.dir + "/moved")
        os.symlink(self.dir + "/decoy", self.dir + "/outer")
        step("unmount", self.dev, status=0)
        self.assertEqual(self.mine(), [decoy.encode()])

    @unittest.skipUnless(os.path.exists("/dev/fuse"), "no FUSE here")
    def test_unmount_what_lets_nobody_in(self):
        where = self.mnt + "/fuse"
        os.mkdir(where)
        self.children.append(PythonChild(FUSE.format(where)))
        with self.assertRaises(PermissionError):
            os.stat(where)
        found = step("unmount", self.dev, status=0)
        self.assertEqual([(r["PATH"], r["RESULT"]) for r in found],
                         [(where.encode(), b"ok"), (self.mnt.encode(), b"ok")])
        self.assertEqual(self.mine(), [])

    @unittest.skipUnless(os.path.exists("/dev/fuse"), "no FUSE here")
    def test_unmount_below_what_never_answers(self):
        # Of the device there, root is asked for leave to go where the mounter's own FUSE says so.
        self.children.append(PythonChild(MUTE.format(self.mnt)))
        started = time.monotonic()
        found = step("unmount", self.dev, status=1)
        self.assertLess(time.monotonic() - started, 5)
        self.assertEqual([(r["PATH"], r["RESULT"]) for r in found if r["HOST"] == b"1"],
                         [(self.mnt.encode(), b"ok")])
        self.assertEqual({r["RESULT"] for r in found if r["HOST"] == b"0"}, {b"locked"})

    def test_unmount_locked(self):
        child = self.child(":", "-U", "-r", "-m", "--propagation", "private")
        found = step("unmount", self.dev, status=1)
        self.assertEqual([(r["RESULT"], r["HOST"]) for r in found],
                         [(b"ok", b"1"), (b"locked", b"0")])
        self.assertEqual(int(found[1]["PID"]), child.pid)

    def test_unmount_root_of_a_namespace(self):
        # A container that lives on the device; its file system must not become read-only.
        child = PythonChild(f"unshare()\nos.chdir('{self.mnt}')\n"
                            f"check(libc.syscall({PIVOT_ROOT}, b'.', b'.'))\n"
                            "check(libc.umount2(b'.', 2))\nos.mkdir('/sub')\n"
                            "check(libc.mount(b'', b'/sub', b'tmpfs', 0, None))\nos.chdir('/')")
        self.children.append(child)
        found = step("unmount", self.dev, status=1)
        self.assertEqual([(r["RESULT"], r["HOST"]) for r in found],
                         [(b"ok", b"1"), (b"locked", b"0")])
        self.assertEqual(found[1]["PATH"], b"/")
        with open(f"/proc/{child.pid}/mounts", encoding="ascii") as file:
            self.assertIn(" /sub ", file.read())  # nothing is won without it
        with open(f"/proc/{child.pid}/root/file", "w", encoding="ascii") as file:
            file.write("x")
        self.assertEqual([r["RESULT"] for r in step("detach", self.dev, status=1)], [b"locked"])

    def inner_loop(self):
        """A loop device on a file there."""
        inner = os.path.join(self.mnt, "inner")
        with open(inner, "wb") as file:
            file.truncate(4 * 1024 * 1024)
        return self.loop_device(inner), inner

    def test_unmount_kernel_user(self):
        loop, inner = self.inner_loop()
        with open(loop, "rb"):
            found = step("unmount", self.dev, status=1)
        self.assertEqual([r["RESULT"] for r in found if "RESULT" in r], [b"busy"])
        users = [(r["KERNEL"], r["NAME"], r["PATH"]) for r in found if "KERNEL" in r]
        self.assertEqual(users, [(b"loop", loop.encode(), inner.encode())])

    def test_unmount_nested(self):
        loop, _ = self.inner_loop()
        run("mkfs.ext4", "-q", loop)
        where = self.mkdir("inner")
        self.mount(loop, where)
        with open(where + "/file", "w", encoding="ascii") as file:
            file.write("kept")
        child = self.child(f"cd {where}")
        found = step("sync", self.dev, status=0)
        self.assertEqual([r["PATH"] for r in found], [where.encode(), self.mnt.encode()])
        found = step("unmount", self.dev, status=1)
        self.assertEqual({(r["PATH"], r["RESULT"]) for r in found if "RESULT" in r},
                         {(where.encode(), b"busy"), (self.mnt.encode(), b"busy")})
        child.stop()
        found = step("unmount", self.dev, status=0)
        self.assertEqual([r["PATH"] for r in found], [where.encode(), self.mnt.encode()])
        self.assertEqual(self.mine(), [])

    @staticmethod
    def close_after_unmount(fd, where):
        """Some passes later; without one, in the end."""
        end = time.monotonic() + 20
        while os.path.ismount(where) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.06)
        os.close(fd)

    def test_unmount_nested_that_somebody_looks_at(self):
        """A loop device is there until the last one has closed it, as udev does soon."""
        loop, _ = self.inner_loop()
        run("mkfs.ext4", "-q", loop)
        where = self.mkdir("inner")
        self.mount(loop, where)
        probe = os.open(loop, os.O_RDONLY)
        closer = threading.Thread(target=self.close_after_unmount, args=(probe, where), daemon=True)
        closer.start()
        try:
            step("unmount", self.dev, status=0)
        finally:
            closer.join()
        self.assertEqual(self.mine(), [])

    def test_unmount_overlay(self):
        for name in ("lower:1", "upper", "work"):
            os.mkdir(f"{self.mnt}/{name}")
        where, other, lower, lower2 = (self.mkdir(name) for name in ("overlay", "other", "lower", "lower2"))
        escaped = self.mnt + r"/lower\:1"
        self.mount("-t", "overlay", "-o", f"lowerdir={lower}:{escaped}", "mine", where)
        self.mount("-t", "overlay", "-o", f"lowerdir={lower}:{lower2}", "innocent", other)
        self.child(":", "-m", "--propagation", "private")
        user = self.child(f"cd {where}")
        found = step("unmount", self.dev, status=1)
        # Without its own path it could not be synced, nor the overlay told again.
        self.assertEqual({(r["PATH"], r.get("RESULT", r.get("KERNEL"))) for r in found if r.get("HOST") != b"0"},
                         {(where.encode(), b"busy"), (where.encode(), b"overlay"), (self.mnt.encode(), b"busy")})
        user.stop()
        found = step("unmount", self.dev, status=0)
        self.assertEqual([(r["PATH"], r["RESULT"]) for r in found],
                         [(where.encode(), b"ok"), (self.mnt.encode(), b"ok")])
        self.assertEqual(self.mine(), [other.encode()])
        os.close(os.open(self.loop, os.O_RDONLY | os.O_EXCL))

    def test_unmount_no_overlay_by_somebodys_word(self):
        # In a namespace of his own anybody can make a layer's name lead to the device.
        where, lower, lower2 = (self.mkdir(name) for name in ("overlay", "lower", "lower2"))
        self.mount("-t", "overlay", "-o", f"lowerdir={lower}:{lower2}", "innocent", where)
        self.child(f"mount --bind {self.mnt} {lower}", "-U", "-r", "-m", "--propagation", "private")
        for verb in ("mounts", "unmount", "detach"):
            step(verb, self.dev)
        self.assertEqual(self.mine(), [where.encode()])

    def test_unmount_child_in_use(self):
        os.mkdir(self.mnt + "/sub")
        self.mount("-t", "tmpfs", "none", self.mnt + "/sub")
        child = self.child(f"cd {self.mnt}/sub; echo x >file")
        found = step("unmount", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"detached", b"ok"])
        with open(f"/proc/{child.pid}/cwd/file", encoding="ascii") as file:
            self.assertEqual(file.read(), "x\n")

    def test_unmount_in_a_namespace_of_nobody(self):
        where = self.mkdir("namespaces")
        self.mount("-t", "tmpfs", "none", where)
        self.mount("--make-private", where)
        with open(where + "/one", "w", encoding="ascii"):
            pass
        # From 6.18 on numbers of namespaces may come in another order, and the kernel
        # binds none within one of a higher number.
        for _ in range(50):
            child = self.child(":", "-m", "--propagation", "private")
            bound = libc.mount(f"/proc/{child.pid}/ns/mnt".encode(), f"{where}/one".encode(), None, 4096, None) == 0
            child.stop()
            if bound:
                break
        self.assertTrue(bound)
        found = step("unmount", self.dev, status=0)
        self.assertEqual([(r["RESULT"], r["HOST"], r["PID"]) for r in found],
                         [(b"ok", b"1", b"1"), (b"ok", b"0", b"0")])
        os.close(os.open(self.loop, os.O_RDONLY | os.O_EXCL))

    # -- detach and shutdown

    def test_detach(self):
        self.child(f"cd {self.mnt}")
        self.child(f"cd {self.mnt}", "-m", "--propagation", "private")
        found = step("detach", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok", b"ok"])
        self.assertEqual(self.mine(), [])

    def test_shutdown(self):
        child = self.child(f"cd {self.mnt}")
        with open(self.mnt + "/file", "w", encoding="ascii") as file:
            file.write("kept")
        found = step("shutdown", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        with self.assertRaises(OSError):
            os.mkdir(self.mnt + "/late")
        child.stop()
        run("umount", self.mnt)
        self.mount(self.loop, self.mnt)
        with open(self.mnt + "/file", encoding="ascii") as file:
            self.assertEqual(file.read(), "kept")


class XfsTest(UnmountTest):
    fs = "xfs"


if __name__ == "__main__":
    main()
