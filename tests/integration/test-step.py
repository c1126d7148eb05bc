#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguard-step against real file systems on loop devices.

Runs in a pid and a mount namespace of its own, so that "the host" of the
steps is this test alone. Needs root and loop devices; else it is skipped.

usage: test-step.py DAXGUARD_STEP [unittest arguments]
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from stepcase import Child, PythonChild

PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203}[os.uname().machine]
STEP_OUTPUT_MAX = 4 << 20  # io/steps.h
STEP = None
libc = ctypes.CDLL(None, use_errno=True)


def records(output):
    """The records of a step as a list of dicts; a key that repeats keeps its first value."""
    found = []
    for record in output.split(b"\0\0"):
        fields = {}
        for field in record.split(b"\0"):
            if field:
                key, _, value = field.partition(b"=")
                fields.setdefault(key.decode(), value)
        if fields:
            found.append(fields)
    return found


def step(*args, status=None):
    done = subprocess.run([STEP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{args}: exit {done.returncode}, not {status}: "
                             f"{done.stderr!r} {records(done.stdout)}")
    return records(done.stdout)


def mounts():
    with open("/proc/self/mountinfo", "rb") as file:
        return [line.split()[4].replace(b"\\040", b" ").replace(b"\\012", b"\n")
                for line in file]


def devno(path):
    st = os.stat(path).st_dev
    return f"{os.major(st)}:{os.minor(st)}"


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, timeout=60)


class StepTest(unittest.TestCase):
    fs = "ext4"

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="daxguard-step-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        image = os.path.join(self.dir, "image")
        with open(image, "wb") as file:
            file.truncate((320 if self.fs == "xfs" else 16) * 1024 * 1024)
        run(f"mkfs.{self.fs}", "-q", image)
        self.loop = subprocess.check_output(["losetup", "-f", "--show", image], text=True).strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", self.loop], check=False)
        self.children = []
        self.addCleanup(self.clean)
        self.mnt = self.mkdir("mnt")
        self.mount(self.loop, self.mnt)
        self.dev = devno(self.mnt)

    def clean(self):
        for child in self.children:
            child.stop()
        for path in reversed(mounts()):
            if path.startswith(self.dir.encode()):
                libc.umount2(path, 2)

    def mkdir(self, name):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        return path

    def mount(self, *args):
        run("mount", *args)

    def child(self, prepare, *unshare):
        self.children.append(Child(prepare, *unshare))
        return self.children[-1]

    def mine(self):
        return [p for p in mounts() if p.startswith(self.dir.encode())]

    # -- mounts

    def test_mounts(self):
        bind = self.mkdir("a b\nc")
        os.mkdir(self.mnt + "/sub")
        self.mount("--bind", self.mnt + "/sub", bind)
        other = self.child(":", "-m", "--propagation", "private")
        found = step("mounts", self.dev, status=0)
        self.assertEqual(len(found), 4)
        host = [r for r in found if r["HOST"] == b"1"]
        self.assertEqual({r["PATH"] for r in host}, {self.mnt.encode(), bind.encode()})
        self.assertEqual({r["ROOT"] for r in host}, {b"/", b"/sub"})
        self.assertEqual({r["TYPE"] for r in found}, {self.fs.encode()})
        elsewhere = [r for r in found if r["HOST"] == b"0"]
        self.assertEqual({r["PID"] for r in elsewhere}, {str(other.pid).encode()})
        self.assertEqual({r["LOCKED"] for r in found}, {b"0"})
        self.assertEqual(len({r["NS"] for r in found}), 2)

    def test_mounts_of_a_user_namespace(self):
        self.child(":", "-U", "-r", "-m")
        found = step("mounts", self.dev, status=0)
        self.assertEqual(sorted(r["LOCKED"] for r in found), [b"0", b"1"])

    def test_user_namespaces_full_of_mounts(self):
        """Anybody may make them; the host's own are unmounted, in time, and told."""
        fill = ("check(libc.unshare(0x10020000))\n"
                "for name, text in (('setgroups', 'deny'), ('uid_map', '0 0 1'), ('gid_map', '0 0 1')):\n"
                " with open('/proc/self/' + name, 'w') as file:\n"
                "  file.write(text)\n"
                "check(libc.mount(b'', b'/mnt', b'tmpfs', 0, None))\n"
                "for i in range({}):\n"
                " os.mkdir(f'/mnt/{{i}}')\n"
                f" check(libc.mount(b'{self.mnt}', f'/mnt/{{{{i}}}}'.encode(), None, 0x1000, None))")
        for n in [10000] + [1500] * 20:
            self.children.append(PythonChild(fill.format(n)))
        found = step("mounts", self.dev, status=0)
        self.assertEqual([r["PATH"] for r in found if r["HOST"] == b"1"], [self.mnt.encode()])
        self.assertLess(sum(len(b"".join(r.values())) for r in found), 1 << 20)
        for verb in ("sync", "unmount", "detach"):
            started = time.monotonic()
            done = subprocess.run([STEP, verb, self.dev], stdout=subprocess.PIPE, timeout=60, check=False)
            self.assertLess(time.monotonic() - started, 10, verb)
            self.assertLess(len(done.stdout), STEP_OUTPUT_MAX, verb)
        self.assertEqual(self.mine(), [])

    def test_mounts_seen_from_a_chroot(self):
        # The first task of its namespace sees nothing of it, a later one does.
        jail = self.mkdir("jail")
        child = PythonChild(f"unshare()\nif os.fork():\n os.chroot('{jail}')\n os.chdir('/')\n"
                            "else:\n libc.prctl(1, 9)\n time.sleep(1000)")
        self.children.append(child)
        found = step("mounts", self.dev, status=0)
        self.assertEqual(len(found), 2)
        self.assertNotEqual(int(found[1]["PID"]), child.pid)

    def test_unmount_in_a_namespace_seen_from_chroots_only(self):
        jail = self.mkdir("jail")
        self.children.append(PythonChild(f"unshare()\nos.chroot('{jail}')\nos.chdir('/')"))
        found = step("unmount", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok", b"ok"])
        os.close(os.open(self.loop, os.O_RDONLY | os.O_EXCL))

    def test_system_device(self):
        found = step("mounts", devno("/"), status=0)
        self.assertIn(b"/", [r.get("SYSTEM") for r in found])
        self.assertNotIn(b"/", [r.get("SYSTEM") for r in step("mounts", self.dev)])

    # -- sync

    def test_sync(self):
        found = step("sync", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        self.assertEqual(found[0]["DEV"].decode(), self.dev)

    def test_sync_where_only_another_namespace_has_it(self):
        self.child(":", "-m", "--propagation", "private")
        run("umount", self.mnt)
        found = step("sync", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])

    def test_sync_thaws(self):
        run("fsfreeze", "-f", self.mnt)
        # A frozen file system that is unmounted stays for ever.
        self.addCleanup(subprocess.run, ["fsfreeze", "-u", self.mnt], check=False,
                        stderr=subprocess.DEVNULL)
        found = step("sync", self.dev, status=0)
        self.assertEqual([r["RESULT"] for r in found], [b"ok"])
        with open(self.mnt + "/file", "w", encoding="ascii") as file:
            file.write("x")

    def test_sync_around_what_covers_it(self):
        bind = self.mkdir("bind")
        self.mount("--bind", self.mnt, bind)
        self.mount("-t", "tmpfs", "none", self.mnt)
        self.assertEqual([r["RESULT"] for r in step("sync", self.dev, status=0)], [b"ok"])
        self.mount("-t", "tmpfs", "none", bind)
        self.assertEqual([r["RESULT"] for r in step("sync", self.dev, status=0)], [b"ok"])

    def test_sync_of_nothing(self):
        self.assertEqual(step("sync", "240:77", status=0), [])

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
        loop = subprocess.check_output(["losetup", "-f", "--show", inner], text=True).strip()
        self.addCleanup(subprocess.run, ["losetup", "-d", loop], check=False, stderr=subprocess.DEVNULL)
        return loop, inner

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

    # -- procscan

    def test_procscan(self):
        with open(self.mnt + "/data", "wb") as file:
            file.truncate(65536)
        code = ("import mmap, os, signal, sys, time\n"
                f"f = open('{self.mnt}/data', 'r+b')\n"
                "m = mmap.mmap(f.fileno(), 8192, offset=4096)\n"
                "signal.signal(signal.SIGTERM, lambda *a: None)\n"
                "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGBUS])\n"
                f"os.chdir('{self.mnt}')\n"
                "print('ready', flush=True)\n"
                "time.sleep(1000)\n")
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as child:
            self.assertEqual(child.stdout.readline(), b"ready\n")
            try:
                found = step("procscan", self.dev, status=0)
                with open(f"/proc/{child.pid}/stat", encoding="ascii") as file:
                    start = int(file.read().rsplit(") ", 1)[1].split()[19]) * 10**7
            finally:
                child.kill()
        self.assertEqual({int(r["PID"]) for r in found}, {child.pid})
        self.assertEqual({int(r["START_NS"]) for r in found}, {start})
        self.assertEqual(sorted(r["USE"] for r in found), [b"cwd", b"mapped", b"open"])
        mapped = [r for r in found if r["USE"] == b"mapped"][0]
        self.assertEqual((mapped["LEN"], mapped["OFFSET"]), (b"8192", b"4096"))
        self.assertEqual(int(mapped["FLAGS"]), 3)  # shared, write
        self.assertEqual(mapped["INO"], str(os.stat(self.mnt + "/data").st_ino).encode())
        self.assertEqual(mapped["FS_DEV"].decode(), self.dev)
        self.assertTrue(int(mapped["SIG_CAUGHT"], 16) >> (signal.SIGTERM - 1) & 1)
        self.assertTrue(int(mapped["SIG_BLOCKED"], 16) >> (signal.SIGBUS - 1) & 1)


class XfsTest(StepTest):
    fs = "xfs"


class UsageTest(unittest.TestCase):
    def test_usage(self):
        for args in ([], ["nonsense"], ["sync"], ["sync", "1"], ["sync", "1:x"],
                     ["protected", "1:2"], ["--proc"], ["sync", "-1:2"]):
            done = subprocess.run([STEP, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)
            self.assertIn(b"usage", done.stderr)
        done = subprocess.run([STEP, "--proc=/nonexistent", "protected"], stderr=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 3)


    def test_dies_with_its_parent(self):
        with tempfile.TemporaryDirectory() as proc:
            os.mkdir(proc + "/7")
            os.mkfifo(proc + "/7/cgroup")  # which nobody opens
            parent = subprocess.Popen(["sh", "-c", '"$@" & wait', "", STEP, "--proc=" + proc,
                                       "protected"], stdout=subprocess.PIPE)
            time.sleep(0.5)
            parent.kill()
            parent.wait()
            self.assertEqual(select.select([parent.stdout], [], [], 10)[0], [parent.stdout])
            parent.stdout.close()


class FakeProcTest(unittest.TestCase):
    """Where only the text counts, a /proc made of files will do."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="daxguard-proc-")
        self.addCleanup(shutil.rmtree, self.dir)

    def process(self, pid, unit, ns=1, user=1, mountinfo="", start=100, root="/"):
        base = f"{self.dir}/{pid}"
        os.makedirs(f"{base}/ns")
        os.makedirs(f"{base}/task/{pid}")
        os.symlink(f"mnt:[{ns}]", f"{base}/ns/mnt")
        os.symlink(f"user:[{user}]", f"{base}/ns/user")
        os.symlink(root, f"{base}/root")
        for name, text in (("cgroup", unit), ("mountinfo", mountinfo),
                           ("stat", f"{pid} (a) b) S 1 " + "0 " * 17 + f"{start} 0\n")):
            with open(f"{base}/{name}", "w", encoding="ascii") as file:
                file.write(text)

    def test_protected(self):
        units = [
            (10, "0::/system.slice/systemd-journald.service\n", True),
            (11, "0::/system.slice/systemd-udevd.service/udev\n", True),
            (12, "0::/system.slice/dbus.service\n", True),
            (13, "12:cpu:/x\n1:name=systemd:/system.slice/polkit.service\n", True),
            (14, "0::/system.slice/systemd-journald@x.service\n", True),
            (15, "0::/system.slice/foo.service\n", False),
            (16, "0::/machine.slice/c.scope/system.slice/dbus.service\n", False),
            (17, "0::/user.slice/user-1.slice/user@1.service/dbus.service\n", False),
            (18, "0::/\n", False),
            (19, "12:cpu:/system.slice/dbus.service\n", False),
            (20, "", False),
        ]
        for pid, unit, _ in units:
            self.process(pid, unit, start=pid)
        found = step(f"--proc={self.dir}", "protected", status=0)
        self.assertEqual({int(r["PID"]) for r in found}, {u[0] for u in units if u[2]})
        for record in found:
            self.assertEqual(int(record["START_NS"]), int(record["PID"]) * 10**7)

    def test_mounts(self):
        root = "20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        pmem = "30 20 259:0 / {} rw,relatime shared:5 - xfs /dev/pmem0 rw\n"
        self.process(1, "", ns=1, mountinfo=root + pmem.format("/mnt/a\\040b") +
                     "31 30 0:50 / /mnt/a\\040b rw - tmpfs none rw\n" +
                     "32 20 259:1 / /var rw - ext4 /dev/pmem1 rw\n")
        self.process(7, "", ns=2, mountinfo=root, root="/jail")
        self.process(8, "", ns=2, user=9, mountinfo=root + pmem.format("/x\\012y"))
        found = step(f"--proc={self.dir}", "mounts", "259:0", status=0)
        self.assertEqual(len(found), 2)
        self.assertEqual(found[0]["PATH"], b"/mnt/a b")
        self.assertEqual((found[0]["HOST"], found[0]["OVERMOUNTED"]), (b"1", b"1"))
        self.assertEqual(found[0]["PROPAGATION"], b"shared:5")
        self.assertEqual(found[1]["PATH"], b"/x\ny")
        self.assertEqual((found[1]["PID"], found[1]["NS"]), (b"8", b"2"))
        found = step(f"--proc={self.dir}", "mounts", "259:1", status=0)
        self.assertEqual(found[0].get("SYSTEM"), b"/var")
        found = step(f"--proc={self.dir}", "mounts", "8:1", status=0)
        self.assertEqual([r["SYSTEM"] for r in found if "SYSTEM" in r], [b"/", b"/usr"])


def main():
    global STEP
    STEP = os.path.abspath(sys.argv[1])
    del sys.argv[1]
    if os.getpid() != 1:
        if os.geteuid() != 0:
            print("not root: only what needs none")
            sys.argv[1:1] = ["UsageTest", "FakeProcTest"]
        else:
            os.execvp("unshare", ["unshare", "-p", "-m", "-f", "--mount-proc",
                                  "--kill-child", sys.executable, __file__, STEP, *sys.argv[1:]])
    unittest.main(verbosity=2)


if __name__ == "__main__":
    main()
