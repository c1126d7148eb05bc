#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguard-step against real file systems on loop devices: what it finds, and syncs.

Needs root and loop devices; without root there is only what needs none.

usage: test-step.py DAXGUARD_STEP [unittest arguments]
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from stepcase import PythonChild, StepCase, devno, main, run, step

STEP_OUTPUT_MAX = 4 << 20  # io/steps.h


class StepTest(StepCase):
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
            done = subprocess.run([self.program, verb, self.dev], stdout=subprocess.PIPE, timeout=60, check=False)
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
                     ["protected", "1:2"], ["--proc"], ["sync", "-1:2"], ["names"], ["names", "root"],
                     ["processes"], ["processes", "1"], ["processes", "1:1:x"], ["processes", "0:1:5"]):
            done = subprocess.run([StepCase.program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  check=False)
            self.assertEqual((done.returncode, done.stdout), (2, b""), args)
            self.assertIn(b"usage", done.stderr)
        done = subprocess.run([StepCase.program, "--proc=/nonexistent", "protected"], stderr=subprocess.PIPE,
                              check=False)
        self.assertEqual(done.returncode, 3)

    def test_dies_with_its_parent(self):
        with tempfile.TemporaryDirectory() as proc:
            os.mkdir(proc + "/7")
            os.mkfifo(proc + "/7/cgroup")  # which nobody opens
            parent = subprocess.Popen(["sh", "-c", '"$@" & wait', "", StepCase.program, "--proc=" + proc,
                                       "protected"], stdout=subprocess.PIPE)
            time.sleep(0.5)
            parent.kill()
            parent.wait()
            self.assertEqual(select.select([parent.stdout], [], [], 10)[0], [parent.stdout])
            parent.stdout.close()


    def test_parent_that_died_before(self):
        for parent, status in ((os.getpid(), 0), (os.getppid() + 100000, 3)):
            done = subprocess.run([StepCase.program, "protected"], env={"DAXGUARD_PARENT": str(parent)},
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            self.assertEqual((done.returncode, done.stderr), (status, b""))


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

    def task(self, pid, status, cgroup, exe):
        base = f"{self.dir}/{pid}/task/{pid}"
        for name, text in (("status", status), ("cgroup", cgroup)):
            if text is not None:
                with open(f"{base}/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        if exe is not None:
            os.symlink(exe, base + "/exe")

    def test_processes(self):
        status = "Name:\ta\nUid:\t0\t0\t0\t0\nGid:\t1\t2\t3\t4\nGroups:\t{}\nNgid:\t0\n"
        for pid in (10, 11, 12, 13):
            self.process(pid, "", start=pid)
        self.task(10, status.format("100 200 "), "0::/a.service (deleted)\n", "/bin/a (deleted)")
        self.task(11, status.format(""), "4:cpu:/x\n1:name=systemd:/b.service\n", None)
        # More groups than are read: none is told, rather than some.
        self.task(12, status.format("7 " * 40000), "0::/c:d\n", "/c\nd")
        self.task(13, None, None, "/bin/e")
        found = step(f"--proc={self.dir}", "processes", *(f"{pid}:{pid}:{pid}0000000" for pid in (10, 11, 12)),
                     "13:13:990000000", "14:14:140000000", status=0)
        self.assertEqual([int(r["PID"]) for r in found], [10, 11, 12])
        self.assertEqual([r.get("EXE") for r in found], [b"/bin/a (deleted)", None, b"/c\nd"])
        self.assertEqual([r.get("CGROUP") for r in found], [b"/a.service", b"/b.service", b"/c:d"])
        self.assertEqual([r.get("GIDS") for r in found], [b"2 100 200 ", b"2 ", None])

    def test_who(self):
        """Whatever it uses; not a thread, and nobody who is not there."""
        self.process(10, "", start=10)
        self.process(11, "", start=11)
        self.task(10, "Name:\ta\nTgid:\t10\nUid:\t1\t2\t3\t4\nSigCgt:\t0000000000000040\n", "", None)
        self.task(11, "Name:\ta\nTgid:\t10\n", "", None)
        for pid in (10, 11):
            shutil.copy(f"{self.dir}/{pid}/stat", f"{self.dir}/{pid}/task/{pid}/stat")
        found = step(f"--proc={self.dir}", "who", "10", "11", "12", status=0)
        self.assertEqual([(r["PID"], r["UID"], r["SIG_CAUGHT"], r["USE"]) for r in found],
                         [(b"10", b"2", b"0000000000000040", b"mapped")])
        step("who", "0", status=2)
        step("who", "1x", status=2)

    def test_names(self):
        found = step("names", "user:root", "user:no such user", "group:root", "group:no:such", "user:", status=0)
        self.assertEqual(found, [{"USER": b"root", "ID": b"0"}, {"GROUP": b"root", "ID": b"0"}])

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


class UnbindTest(unittest.TestCase):
    """In a directory that looks like sysfs."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="daxguard-sys-")
        self.addCleanup(shutil.rmtree, self.dir)
        for name in ("bus/nd/devices", "bus/nd/drivers/nd_pmem", "devices/pfn0.0/block/pmem0",
                     "devices/pfn0.01/block/pmem1", "devices/dax0.1/dax/dax0.0", "dev/block", "dev/char"):
            os.makedirs(f"{self.dir}/{name}")
        for name in ("pfn0.0", "pfn0.01", "dax0.1"):
            os.symlink(f"../../../devices/{name}", f"{self.dir}/bus/nd/devices/{name}")
            os.symlink("../../bus/nd/drivers/nd_pmem", f"{self.dir}/devices/{name}/driver")
        os.symlink("../../devices/pfn0.0/block/pmem0", f"{self.dir}/dev/block/259:0")
        os.symlink("../../devices/pfn0.01/block/pmem1", f"{self.dir}/dev/block/259:1")
        os.symlink("../../devices/dax0.1/dax/dax0.0", f"{self.dir}/dev/char/252:0")
        self.file = f"{self.dir}/bus/nd/drivers/nd_pmem/unbind"
        with open(self.file, "w", encoding="ascii"):
            pass

    def unbind(self, *words, status=0):
        found = step("--sys=" + self.dir, "unbind", *words, status=status)
        with open(self.file, encoding="ascii") as file:
            return [r["RESULT"] for r in found], file.read()

    def test_a_disk(self):
        self.assertEqual(self.unbind("259:0", "block", "pfn0.0"), ([b"ok"], "pfn0.0"))

    def test_a_character_device(self):
        self.assertEqual(self.unbind("252:0", "char", "dax0.1"), ([b"ok"], "dax0.1"))

    def test_the_name_is_anothers_by_now(self):
        # One whose path only begins alike, too.
        for name in ("pfn0.01", "dax0.1"):
            self.assertEqual(self.unbind("259:0", "block", name, status=1), ([b"ESTALE"], ""))
        self.assertEqual(self.unbind("259:1", "block", "pfn0.0", status=1), ([b"ESTALE"], ""))

    def test_it_is_gone(self):
        self.assertEqual(self.unbind("259:7", "block", "pfn0.0", status=1), ([b"ENOENT"], ""))
        self.assertEqual(self.unbind("259:0", "block", "pfn7.0", status=1), ([b"ENOENT"], ""))
        os.unlink(f"{self.dir}/devices/pfn0.0/driver")
        self.assertEqual(self.unbind("259:0", "block", "pfn0.0", status=1), ([b"ENOENT"], ""))

    def test_names_that_lead_elsewhere(self):
        for words in (("259:0", "block", "../nd/devices/pfn0.0"), ("259:0", "block", ".."), ("259:0", "block", ""),
                      ("259:0", "../dev/block", "pfn0.0"), ("../block/259:0", "block", "pfn0.0"), ("259:0", "block")):
            self.assertEqual(self.unbind(*words, status=2), ([], ""), words)


if __name__ == "__main__":
    main(["UsageTest", "FakeProcTest", "UnbindTest"])
