#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The steps that make checkpoints, and daxguard-checkpoint, with a CRIU that only says that it dumps.

usage: as test-step.py; DAXGUARD_FAKE_UNITS: the program
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import unittest

from checkpointcase import CheckpointCase, eventually, read, start_ns, state
from procfs import opened
from stepcase import main, records


def status_of_child(pid):
    return read(f"/proc/{int(read(f'/proc/{pid}/task/{pid}/children'))}/status")


class DumpTest(CheckpointCase):
    def test_it_is_kept_and_gone(self):
        holder = self.holder()
        result = self.dump(holder.pid)
        self.assertEqual(result["PIDS"], str(holder.pid))
        self.assertEqual((result["BYTES"], result["CRIU"]), ("4096", "4.1.1"))
        self.assertEqual(holder.wait(5), -9)
        where = f"{self.boot}-7/{holder.pid}"
        self.assertEqual(self.kept(), [where + "/images/pages-1.img", where + "/manifest"])
        listed = self.list()
        self.assertEqual(len(listed), 1)
        self.assertEqual((listed[0]["STATE"], listed[0]["ID"]), ("whole", self.id(holder.pid)))
        self.assertEqual((listed[0]["MOUNT"], listed[0]["RESTORE"]), (self.mnt, "1"))
        with open(os.path.join(self.store, where, "manifest"), "rb") as file:
            manifest = file.read()
        self.assertIn(f"FILE={self.mnt}/data\0INO={os.stat(self.mnt + '/data').st_ino}\0".encode(), manifest)
        self.assertEqual(os.stat(self.store).st_mode & 0o777, 0o700)
        self.assertEqual(os.stat(os.path.join(self.store, where, "manifest")).st_mode & 0o777, 0o600)
        call = self.criu_calls("dump")[0]
        for option in ("--leave-stopped", "--file-locks", "--manage-cgroups=ignore"):
            self.assertIn(option, call)
        self.assertNotIn("--shell-job", call)
        eventually(lambda: not [n for n in os.listdir(self.run_dir) if n.endswith(("request", "tree"))])
        self.assertIn(self.id(holder.pid) + ".result", os.listdir(self.run_dir))

    def test_who_asks_again_is_told_the_same(self):
        holder = self.holder()
        self.dump(holder.pid)
        start = 10**10
        again = self.dump(holder.pid, start=start)
        self.assertEqual((again["JOINED"], again["PIDS"]), ("1", str(holder.pid)))
        self.assertEqual(len(self.criu_calls("dump")), 1)

    def test_results_are_not_kept_for_ever(self):
        """But those of this incident, whatever the clock says."""
        os.mkdir(self.run_dir, 0o700)
        old = {f"{self.boot}-6-1.result", f"{self.boot}-6-1.restore-result", "ffffffff-7-1.result"}
        kept = {f"{self.boot}-7-1.result", f"{self.boot}-6-1.request", "nothing.result", "7.result", "result"}
        for name in old | kept:
            with open(os.path.join(self.run_dir, name), "wb") as file:
                os.utime(file.fileno(), (0, 0))
        young = f"{self.boot}-6-2.result"
        with open(os.path.join(self.run_dir, young), "wb"):
            pass
        self.dump(self.holder().pid)
        self.assertEqual(set(os.listdir(self.run_dir)) & (old | kept | {young}), kept | {young})

    def test_a_step_that_was_killed(self):
        go = os.path.join(self.dir, "go")
        self.criu(f"stop(); image()\n    while not os.path.exists({go!r}): time.sleep(0.01)")
        holder = self.holder()
        first = self.ask_dump(holder.pid)
        eventually(lambda: self.criu_calls("dump"))
        first.kill()
        first.wait()
        second = self.ask_dump(holder.pid)
        with open(go, "wb"):
            pass
        result = self.result(second)
        self.assertEqual((result["RESULT"], result["JOINED"]), ("ok", "1"))
        self.assertEqual(len(self.told("start")), 1)

    def test_its_unit_waits_to_be_started(self):
        """A machine has more to start than it can: that unit is inactive until then."""
        self.systemd("slow")
        self.dump(self.holder().pid)

    def test_criu_fails(self):
        self.criu("stop()\n    for pid in children(int(option('--tree'))): os.kill(pid, signal.SIGCONT)\n"
                  "    fail('(00.01) Error (criu/sk-unix.c:80): External socket is used',"
                  " '(00.02) Error (criu/cr-dump.c:99): Dumping FAILED.')")
        holder = self.holder()
        result = self.dump(holder.pid, word="failed")
        self.assertEqual(result["TEXT"], "External socket is used; Dumping FAILED.")
        self.runs(holder)

    def test_criu_hangs(self):
        self.criu("stop(); image(); time.sleep(1000)")
        holder, stopped = self.holder(), self.holder("if os.fork() == 0: os.kill(os.getpid(), signal.SIGSTOP)")
        self.dump(holder.pid, word="timeout", timeout_ms=3000)
        self.runs(holder)
        self.dump(stopped.pid, word="timeout", timeout_ms=3000)
        self.runs(stopped)
        with open(f"/proc/{stopped.pid}/task/{stopped.pid}/children", encoding="ascii") as file:
            self.assertEqual(state(int(file.read())), "T")

    def test_one_that_was_stopped(self):
        holder = self.holder()
        holder.send_signal(signal.SIGSTOP)
        eventually(lambda: state(holder.pid) == "T")
        self.dump(holder.pid)
        self.assertEqual(holder.wait(5), -9)
        with open(os.path.join(self.store, f"{self.boot}-7/{holder.pid}/manifest"), "rb") as file:
            self.assertIn(b"STOPPED=1", file.read())

    def test_the_program_is_killed(self):
        self.criu("stop(); image(); time.sleep(1000)")
        holder = self.holder()
        step = self.ask_dump(holder.pid)
        eventually(lambda: self.criu_calls("dump") and state(holder.pid) == "T")
        os.kill(int(self.told("start")[0].split()[2]), signal.SIGKILL)
        result = self.result(step)
        self.assertEqual((result["RESULT"], result["TEXT"]), ("failed", "it was killed"))
        self.runs(holder)

    def test_the_disk_is_full(self):
        os.mkdir(self.store)
        self.mount("-t", "tmpfs", "-o", "size=12m,mode=0700", "none", self.store)
        self.criu("stop()\n    try:\n        image(b'x' * (64 << 20))\n    except OSError as e:\n"
                  "        fail(f'(00.1) Error (criu/image.c:9): Unable to write: {e.strerror}')")
        holder = self.holder()
        result = self.dump(holder.pid, word="no-space")
        self.assertIn("Unable to write", result["TEXT"])
        self.runs(holder)

    def test_too_big(self):
        holder = self.holder()
        for more, why in ((("KEEP_FREE", 1 << 62), "space: "), (("MAX_BYTES", 1), "space: ")):
            result = self.dump(holder.pid, more, word="too-big")
            self.assertTrue(result["TEXT"].startswith(why), result)
            self.incident += 1	# in one it would be told this again
        with open(self.store + "/throughput", "w", encoding="ascii") as file:
            file.write("1000\n")
        result = self.dump(holder.pid, word="too-big")
        self.assertTrue(result["TEXT"].startswith("time: "), result)
        self.assertEqual(self.criu_calls("dump"), [])
        self.runs(holder)

    def test_a_bad_moment(self):
        """Which nobody has to suffer from for ever: the next one measures anew."""
        os.mkdir(self.store, 0o700)
        with open(self.store + "/throughput", "w", encoding="ascii") as file:
            file.write("1000\n")
        holder = self.holder()
        self.assertTrue(self.dump(holder.pid, word="too-big")["TEXT"].startswith("time: "))
        self.assertEqual(os.listdir(self.store), [])
        self.incident += 1
        self.dump(holder.pid)
        self.assertGreater(int(read(self.store + "/throughput")), 1000)

    def thought(self, holder):
        """How much he would be."""
        text = self.dump(holder.pid, ("MAX_BYTES", 1), word="too-big")["TEXT"]
        return int(re.search("about ([0-9]+) bytes", text)[1])

    def test_memory_that_is_shared(self):
        """It is no file's; what parent and child share is there once."""
        touch = "for i in range(0, 16 << 20, 4096): s[i] = 1\n"
        share = "s = mmap.mmap(-1, 16 << 20)\nr, w = os.pipe()\n"
        fork = f"if os.fork() == 0:\n {touch} os.write(w, b'x'); time.sleep(1000)\nos.read(r, 1)\n"
        alone = self.thought(self.holder())
        self.assertAlmostEqual(self.thought(self.holder(share + touch)), alone + (16 << 20), delta=4 << 20)
        both = self.thought(self.holder(share + fork + touch))
        self.assertAlmostEqual(both, 2 * alone + (16 << 20), delta=8 << 20)

    def test_more_than_was_thought(self):
        """What is left free is counted when all is written."""
        os.mkdir(self.store)
        self.mount("-t", "tmpfs", "-o", "size=64m,mode=0700", "none", self.store)
        self.criu("stop(); image(b'x' * (32 << 20))")
        holder = self.holder()
        result = self.dump(holder.pid, ("KEEP_FREE", 40 << 20), word="too-big")
        self.assertTrue(result["TEXT"].startswith("space: "), result)
        self.assertEqual(len(self.criu_calls("dump")), 1)
        self.runs(holder)

    def test_together_they_are_too_big(self):
        """Each of them would have fit; neither was there when the other one was looked at."""
        self.criu("stop(); image(b'x' * (20 << 20))\n"
                  f"    while sum(line.startswith('dump ') for line in open({self.log!r})) < 2: time.sleep(0.01)")
        holders = [self.holder(), self.holder()]
        self.systemd()
        steps = [self.ask_dump(h.pid, [("MAX_BYTES", 32 << 20)]) for h in holders]
        results = [self.result(s) for s in steps]
        self.assertEqual(sorted(r["RESULT"] for r in results), ["ok", "too-big"])
        left = holders[results[0]["RESULT"] == "ok"]
        self.assertTrue(results[holders.index(left)]["TEXT"].startswith("space: "), results)
        eventually(lambda: state(left.pid) == "S")
        self.assertEqual([r["BYTES"] for r in self.list()], [str(20 << 20)])

    def test_the_store_is_locked(self):
        """By another one, until it is too late."""
        os.mkdir(self.store, 0o700)
        held = os.open(self.store, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        holder = self.holder()
        result = self.dump(holder.pid, word="timeout", timeout_ms=3000)
        self.assertIn(self.store, result["TEXT"])
        self.runs(holder)
        os.close(held)

    def test_what_is_refused(self):
        holder = self.holder()
        other = self.holder()
        self.dump(other.pid, ("PROTECTED", other.pid), word="protected")
        self.runs(other)
        self.dump(holder.pid, word="gone", start=start_ns(holder.pid) + 10**9)
        self.runs(holder)
        self.incident += 1
        self.dump(holder.pid, word="timeout", start=start_ns(holder.pid) + 10**9, timeout_ms=0)

    def test_a_device_dax(self):
        """Whatever the device is: its driver is looked up by its number."""
        self.mount("-t", "tmpfs", "none", "/sys/dev/char")
        self.addCleanup(subprocess.run, ["umount", "/sys/dev/char"], check=False)
        rdev = os.stat("/dev/full").st_rdev
        driver = f"/sys/dev/char/{os.major(rdev)}:{os.minor(rdev)}"
        os.mkdir(driver)
        os.symlink("../../../bus/dax", driver + "/subsystem")
        holder = self.holder("full = open('/dev/full')")
        result = self.dump(holder.pid, word="device-dax")
        self.assertIn(str(holder.pid), result["TEXT"])
        self.assertEqual(self.criu_calls("dump"), [])
        self.runs(holder)
        self.dump(self.holder().pid)

    def test_no_criu(self):
        os.environ["DAXGUARD_CRIU"] = "/nonexistent"
        holder = self.holder()
        self.assertEqual(self.list("criu"), [])
        self.dump(holder.pid, word="no-criu")
        self.runs(holder)
        self.criu()
        self.assertEqual(self.list("criu"), [{"CRIU": self.dir + "/criu"}])

    def test_images_on_the_device(self):
        self.store = self.mnt + "/store"
        holder = self.holder()
        self.dump(holder.pid, ("GUARDED", "240:7"), ("GUARDED", self.dev), word="on-guarded-device")
        self.runs(holder)

    def test_who_is_not_root(self):
        """Nor is everybody below him."""
        child = "if os.fork() == 0:\n os.setresuid(0, 0, 65534)\n time.sleep(1000)"
        for before in ("os.setuid(65534)", "os.setreuid(65534, 0)"):
            holder = self.holder(before)
            result = self.dump(holder.pid, word="not-trusted")
            self.assertIn(f"process {holder.pid} (python3) is not root's", result["TEXT"])
            self.runs(holder)
        parent = self.holder(child)
        eventually(lambda: "65534" in status_of_child(parent.pid))
        self.assertNotIn(f"process {parent.pid} ", self.dump(parent.pid, word="not-trusted")["TEXT"])
        self.runs(parent)
        self.incident += 1
        self.dump(parent.pid, ("TRUSTED", 1))

    def test_who_becomes_somebody_else_meanwhile(self):
        """Who he was is not who CRIU has opened files for."""
        self.criu("os.kill(int(option('--tree')), signal.SIGUSR1)\n"
                  "    while '65534' not in open('/proc/' + option('--tree') + '/status').read(): time.sleep(0.001)\n"
                  "    stop(); image()")
        holder = self.holder("signal.signal(signal.SIGUSR1, lambda *a: os.setresuid(65534, 65534, 65534))\n")
        self.assertIn(f"process {holder.pid} ", self.dump(holder.pid, word="not-trusted")["TEXT"])
        self.assertEqual(len(self.criu_calls("dump")), 1)
        self.assertEqual(self.kept(), [])
        self.runs(holder)

    def test_a_namespace_of_its_own(self):
        """A child's is enough."""
        unshare = "import ctypes\nif ctypes.CDLL(None).unshare(0x20000) != 0: sys.exit(1)\n"  # CLONE_NEWNS
        own = self.holder(unshare)
        child = "r, w = os.pipe()\nif os.fork() == 0:\n " + unshare.replace("\n", "\n ")
        parent = self.holder(child + "os.write(w, b'x'); time.sleep(1000)\nos.read(r, 1)\n")
        for holder in (own, parent):
            result = self.dump(holder.pid, word="namespace")
            self.assertIn("a mount namespace of its own", result["TEXT"])
            self.assertEqual(f"process {holder.pid} " in result["TEXT"], holder is own)
            self.runs(holder)
            self.incident += 1
        user = self.holder(unshare.replace("0x20000", "0x10000000"))  # CLONE_NEWUSER
        self.assertIn(f"process {user.pid} (python3) has a user namespace", self.dump(user.pid, word="namespace")["TEXT"])
        self.runs(user)
        self.assertEqual(self.criu_calls("dump"), [])

    FORK = "pid = os.fork()\nif pid == 0:\n time.sleep(1000)\n"

    def test_the_highest_holder(self):
        parent = self.holder(self.FORK)
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        start = start_ns(parent.pid)
        result = self.dump(child, ("HOLDER", parent.pid), ("HOLDER", child))
        self.assertEqual(result["PIDS"], f"{parent.pid} {child}")
        self.assertEqual(parent.wait(5), -9)
        # Whose turn comes later is told where he is.
        result = self.dump(parent.pid, ("HOLDER", parent.pid), ("HOLDER", child), word="with", start=start)
        self.assertEqual(result["OF"], self.id(child))

    def test_a_child_alone(self):
        parent = self.holder(self.FORK)
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        self.dump(child, ("HOLDER", child))
        self.assertIsNone(parent.poll())
        # Its session is its parent's.
        self.assertIn("--shell-job", self.criu_calls("dump")[0])

    def test_at_a_terminal(self):
        """CRIU is to refuse it: there is no other terminal when they go on."""
        parent = self.holder("import fcntl\nfcntl.ioctl(os.openpty()[1], 0x540e, 0)\n" + self.FORK)  # TIOCSCTTY
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        self.dump(child, ("HOLDER", child))
        self.assertNotIn("--shell-job", self.criu_calls("dump")[0])

    def test_a_stream_of_the_journal(self):
        """Its other end is left out; of others that is not said."""
        holder, inode = self.journalling()
        self.dump(holder.pid)
        call = self.criu_calls("dump")[0]
        self.assertEqual(call[call.index("--external") + 1], f"unix[{inode}]")
        self.dump(self.holder().pid)
        self.assertNotIn("--external", self.criu_calls("dump")[1])

    LOCK = "import fcntl\nlocked = open({!r}, 'r+b')\nfcntl.{}(locked, fcntl.LOCK_EX)\n"

    def test_a_lock_that_would_be_lost(self):
        """On the file that it maps, and of the kind that any close(2) of it ends."""
        holder = self.holder(self.LOCK.format(self.mnt + "/data", "lockf"))
        result = self.dump(holder.pid, word="failed")
        self.assertIn(self.mnt + "/data, which it maps", result["TEXT"])
        self.assertEqual(self.criu_calls("dump"), [])
        self.runs(holder)

    def test_locks_that_are_kept(self):
        with open(self.mnt + "/other", "wb"):
            pass
        holder = self.holder(self.LOCK.format(self.mnt + "/data", "flock") + self.LOCK.format(self.mnt + "/other", "lockf"))
        self.dump(holder.pid)

    def test_map_sync_on_blocks_that_are_there(self):
        """It is marked: there it has to be on a DAX again."""
        with open(self.mnt + "/other", "wb") as file:
            holder = self.holder(f"g = open({file.name!r}, 'rb')")
        self.dump(self.synced(holder).pid)
        with open(os.path.join(self.store, f"{self.boot}-7/{holder.pid}/manifest"), "rb") as file:
            marks = {record["FILE"]: record["SYNC"] for record in records(file.read()) if "FILE" in record}
        self.assertEqual(marks, {(self.mnt + "/data").encode(): b"1", (self.mnt + "/other").encode(): b"0"})

    def test_map_sync_on_a_hole(self):
        with open(self.mnt + "/data", "r+b") as file:
            file.truncate(0)
            file.truncate(8192)
        holder = self.synced(self.holder())
        result = self.dump(holder.pid, word="map-sync")
        self.assertIn(f"process {holder.pid} ", result["TEXT"])
        self.assertIn(f"{self.mnt}/data with MAP_SYNC, whose byte 0 is a hole", result["TEXT"])
        self.assertEqual(self.criu_calls("dump"), [])
        self.runs(holder)

    def test_map_sync_on_what_is_only_allocated(self):
        with open(self.mnt + "/data", "r+b") as file:
            file.truncate(0)
            os.posix_fallocate(file.fileno(), 0, 8192)
        result = self.dump(self.synced(self.holder()).pid, word="map-sync")
        self.assertIn("byte 0 is not written yet", result["TEXT"])

    def test_map_sync_of_who_cannot_write(self):
        """The file was only open for reading, or the mapping is its own."""
        with open(self.mnt + "/data", "r+b") as file:
            file.truncate(0)
            file.truncate(8192)
        for flags in "rd mr me ms sf", "rd wr mr mw me sf", "rd wr sh mr mw me ms":
            self.dump(self.synced(self.holder(), flags).pid)

    def test_map_sync_where_the_file_system_does_not_tell(self):
        self.mount("-t", "tmpfs", "none", self.mnt)
        self.addCleanup(subprocess.run, ["umount", "-l", self.mnt], check=False)
        with open(self.mnt + "/data", "wb") as file:
            file.write(b"\0" * 8192)
        result = self.dump(self.synced(self.holder()).pid, word="map-sync")
        self.assertIn("its file system does not tell", result["TEXT"])

    def test_map_sync_and_a_hole_made_meanwhile(self):
        """Found when they are stopped; they go on."""
        self.criu(f"stop(); image(); os.truncate({self.mnt + '/data'!r}, 0)")
        holder = self.synced(self.holder())
        self.dump(holder.pid, word="map-sync")
        self.assertEqual(len(self.criu_calls("dump")), 1)
        self.assertEqual(self.kept(), [])
        self.runs(holder)

    def test_the_version_is_asked_once(self):
        """Of one program: the next one at its place is asked again."""
        for again in range(2):
            for _ in range(2):
                self.dump(self.holder().pid)
            self.assertEqual(len(self.criu_calls("--version")), again + 1)
            os.unlink(os.environ["DAXGUARD_CRIU"])
            self.criu()

    def test_both_at_once(self):
        parent = self.holder(self.FORK)
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        self.systemd()
        more = (("HOLDER", parent.pid), ("HOLDER", child))
        steps = [self.ask_dump(pid, more) for pid in (parent.pid, child)]
        self.assertEqual(sorted(self.result(s)["RESULT"] for s in steps), ["ok", "with"])
        self.assertEqual(len(self.list()), 1)
        eventually(lambda: not [n for n in os.listdir(self.run_dir) if n.endswith(".lock")])

    def test_the_lock_of_a_tree_has_gone(self):
        """Who has waited for it has nothing, if somebody else has the next one."""
        holder = self.holder()
        os.mkdir(self.run_dir, 0o700)
        path = os.path.join(self.run_dir, f"root-{holder.pid}.lock")

        def lock():
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX)
            return fd
        first = lock()
        step = self.ask_dump(holder.pid, timeout_ms=6000)
        eventually(lambda: self.told("start"))
        eventually(lambda: path in opened(self.told("start")[0].split()[2]))
        os.unlink(path)
        second = lock()
        os.close(first)
        self.assertEqual(self.result(step)["RESULT"], "timeout")
        self.assertEqual(self.criu_calls("dump"), [])
        os.unlink(path)
        os.close(second)
        self.incident += 1
        self.dump(holder.pid)
        eventually(lambda: not os.path.exists(path))

    def test_twenty_at_once(self):
        holders = [self.holder() for _ in range(20)]
        self.systemd()
        steps = [self.ask_dump(h.pid, timeout_ms=60000) for h in holders]
        self.assertEqual({self.result(s)["RESULT"] for s in steps}, {"ok"})
        self.assertEqual({h.wait(5) for h in holders}, {-9})
        self.assertEqual(len([r for r in self.list() if r["STATE"] == "whole"]), 20)


class UnitTest(CheckpointCase):
    def test_it_is_stopped_and_not_started_again(self):
        holder = self.holder()
        self.systemd(f"app.service={holder.pid}")
        self.dump(holder.pid, ("UNIT", "app.service"))
        self.assertEqual(self.told("stop"), ["stop app.service"])
        self.assertEqual(holder.wait(5) in (-9, -15), True)
        self.assertEqual(self.told("restarted"), [])

    def test_one_that_nobody_stops(self):
        for how in ("refuse", "ignore"):
            holder = self.holder()
            self.address = os.path.join(self.dir, how)
            self.systemd(how, f"app.service={holder.pid}")
            result = self.dump(holder.pid, ("UNIT", "app.service"), word="stop-failed")
            self.assertIn("app.service" if how == "ignore" else "not loaded", result["TEXT"])
            self.runs(holder)

    def parent(self, before=""):
        """A holder with two children."""
        holder = self.holder(before + "\nfor _ in range(2):\n if os.fork() == 0:\n  time.sleep(1000)")
        children = [int(pid) for pid in read(f"/proc/{holder.pid}/task/{holder.pid}/children").split()]
        self.assertEqual(len(children), 2)
        return holder, children

    def kill_the_program(self, step):
        """It has made the checkpoint, and has asked for the unit to be stopped."""
        eventually(lambda: self.told("stop"))
        self.assertIn("whole", [r["STATE"] for r in self.list()])
        os.kill(int(self.told("start")[0].split()[2]), signal.SIGKILL)
        return self.result(step)

    def test_the_program_is_killed_before_the_unit_stops(self):
        holder = self.holder()
        self.systemd("ignore", f"app.service={holder.pid}")
        result = self.kill_the_program(self.ask_dump(holder.pid, [("UNIT", "app.service")]))
        self.assertEqual((result["RESULT"], result["TEXT"]), ("failed", "it was killed"))
        self.runs(holder)
        self.assertEqual(self.list(), [])

    def test_the_program_is_killed_while_the_unit_stops(self):
        """There is no way back: who is continued is ended."""
        holder = self.holder()
        self.systemd("silent", f"app.service={holder.pid}")
        result = self.kill_the_program(self.ask_dump(holder.pid, [("UNIT", "app.service")]))
        self.assertEqual((result["RESULT"], result["BYTES"]), ("ok", "4096"))
        self.assertEqual(holder.wait(5), -9)
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])

    def kill_the_program_and(self, which):
        """One of them that the service manager does not stop; then all are dead."""
        holder, children = self.parent()
        self.systemd("ignore", f"app.service={holder.pid}")
        step = self.ask_dump(holder.pid, [("UNIT", "app.service")])
        eventually(lambda: self.told("stop"))
        # Who is gone is as good as a unit that stops: it must not see that.
        os.kill(int(self.told("start")[0].split()[2]), signal.SIGSTOP)
        pid = [holder.pid, *children][which]
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: state(pid) == "Z")
        result = self.kill_the_program(step)
        self.assertEqual((result["RESULT"], result["PIDS"]), ("ok", " ".join(map(str, [holder.pid, *children]))))
        self.assertLessEqual({state(pid) for pid in [holder.pid, *children]}, {"X", "Z"})
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])

    def test_the_program_is_killed_and_a_child_is_dead(self):
        self.kill_the_program_and(1)

    def test_the_program_is_killed_and_their_parent_is_dead(self):
        """He is theirs no more, and they are found all the same."""
        self.kill_the_program_and(0)

    def test_who_had_ended_before_is_not_dead(self):
        """A child that goes before CRIU stops the others: they can all go on."""
        holder, children = self.parent("signal.signal(signal.SIGCHLD, signal.SIG_IGN)")
        self.criu(f"os.kill({children[0]}, signal.SIGKILL)\n"
                  f"    while os.path.exists('/proc/{children[0]}'): time.sleep(0.001)\n"
                  "    stop(); image()")
        self.systemd("ignore", f"app.service={holder.pid}")
        result = self.kill_the_program(self.ask_dump(holder.pid, [("UNIT", "app.service")]))
        self.assertEqual(result["RESULT"], "failed")
        self.runs(holder)
        self.assertEqual(state(children[1]), "S")

    def test_an_answer_that_does_not_come(self):
        """The unit stops all the same."""
        holder = self.holder()
        self.systemd("silent", f"app.service={holder.pid}")
        self.dump(holder.pid, ("UNIT", "app.service"))
        self.assertEqual(holder.wait(5), -9)

    def test_a_main_process_that_is_not_told(self):
        """It may be the one that is to be dumped, and would be started again."""
        holder = self.holder()
        self.systemd("mute", f"app.service={holder.pid}")
        result = self.dump(holder.pid, ("UNIT", "app.service"), word="failed")
        self.assertIn("app.service: ", result["TEXT"])
        self.runs(holder)
        self.incident += 1
        self.dump(holder.pid, ("UNIT", "session-1.scope"))

    def test_a_worker_is_not_its_unit(self):
        main_process, worker = self.holder(), self.holder()
        self.systemd(f"app.service={main_process.pid}")
        self.dump(worker.pid, ("UNIT", "app.service"))
        self.assertEqual(self.told("stop"), [])
        self.assertIsNone(main_process.poll())

    def test_a_unit_is_dumped_from_its_main_process(self):
        parent = self.holder(DumpTest.FORK)
        with open(f"/proc/{parent.pid}/task/{parent.pid}/children", encoding="ascii") as file:
            child = int(file.read())
        self.systemd(f"app.service={parent.pid}")
        result = self.dump(child, ("UNIT", "app.service"), scope="unit")
        self.assertEqual(result["PIDS"], f"{parent.pid} {child}")
        self.assertEqual(self.told("stop"), ["stop app.service"])

    def test_who_is_not_below_the_main_process(self):
        main_process, other = self.holder(), self.holder()
        self.systemd(f"app.service={main_process.pid}")
        self.dump(other.pid, ("UNIT", "app.service"), scope="unit", word="not-a-tree")
        self.runs(other)
        self.assertEqual(state(main_process.pid), "S")

    def group(self, path, processes):
        os.mkdir(path)

        def clean():
            self.end()
            eventually(lambda: not read(path + "/cgroup.procs"))
            os.rmdir(path)
        self.addCleanup(clean)
        for process in processes:
            with open(path + "/cgroup.procs", "w", encoding="ascii") as file:
                file.write(str(process.pid))

    def cgroup(self, *processes):
        """Whatever the machine has: the mount namespace is ours. As /proc shows it."""
        name = f"daxguardtest{os.path.basename(self.dir)}"
        if "name=systemd" in read("/proc/self/cgroup"):
            self.mount("-t", "cgroup", "-o", "none,name=systemd", "none", self.mkdir("cgroup"))
            self.group(os.path.join(self.dir, "cgroup", name), processes)
        self.mount("-t", "cgroup2", "none", "/sys/fs/cgroup")
        self.addCleanup(subprocess.run, ["umount", "/sys/fs/cgroup"], check=False)
        self.group("/sys/fs/cgroup/" + name, processes)
        self.assertIn(f"0::/{name}\n", read(f"/proc/{processes[0].pid}/cgroup"))
        return "/" + name

    def test_nobody_runs_on_beside_his_dump(self):
        late = os.path.join(self.dir, "late")
        holder = self.holder(f"def term(*_):\n open({late!r}, 'w').close()\n"
                             "signal.signal(signal.SIGTERM, term)")
        group = self.cgroup(holder)
        self.systemd(f"app.service={holder.pid}:{group}")
        self.dump(holder.pid, ("UNIT", "app.service"), scope="unit")
        self.assertEqual(holder.wait(5), -9)
        self.assertFalse(os.path.exists(late))
        self.assertEqual(read(f"/sys/fs/cgroup{group}/cgroup.freeze"), "0\n")

    def test_a_stranger_in_the_unit(self):
        holder, other = self.holder(), self.holder()
        group = self.cgroup(holder, other)
        self.systemd(f"app.service={holder.pid}:{group}")
        # To end the main process alone ends the unit, too.
        for scope in ("unit", "process"):
            result = self.dump(holder.pid, ("UNIT", "app.service"), scope=scope, word="not-a-tree")
            self.assertIn(str(other.pid), result["TEXT"])
            self.runs(holder)
            self.incident += 1


class StoreTest(CheckpointCase):
    def make(self, n):
        made = []
        for _ in range(n):
            holder = self.holder()
            self.dump(holder.pid)
            holder.wait(5)
            made.append(self.id(holder.pid))
        return made

    def path(self, ident, name=""):
        boot, incident, pid = ident.split("-")
        return os.path.join(self.store, f"{boot}-{incident}", pid, name)

    def forget(self, *words):
        return self.list("forget", self.store, *words)

    def test_no_store(self):
        self.assertEqual((self.list(), self.status), ([], 0))
        self.assertEqual((self.forget("0", "0"), self.status), ([], 0))
        for words in (("0",), ("0", "x"), ("-1", "0"), ("0", "0", "../../etc")):
            self.forget(*words)
            self.assertEqual(self.status, 2, words)

    def test_the_oldest_go(self):
        made = self.make(3)
        self.assertEqual(self.forget("0", "0"), [])
        self.assertEqual(self.forget("9000", "3600"), [{"REMOVED": made[0], "BYTES": "4096"}])
        self.assertEqual([r["REMOVED"] for r in self.forget("0", "0", made[2])], [made[2]])
        self.assertEqual([r["ID"] for r in self.list()], [made[1]])
        self.assertEqual([r["REMOVED"] for r in self.forget("1", "0")], [made[1]])
        self.assertEqual(os.listdir(self.store), ["throughput"])

    def test_what_is_half_made_goes(self):
        whole = self.make(1)[0]
        part = os.path.join(self.store, f"{self.boot}-8", ".99.part")
        os.makedirs(part + "/images/deep")
        self.assertEqual(sorted(r["STATE"] for r in self.list()), ["part", "whole"])
        held = os.open(part, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.assertEqual(self.forget("0", "0"), [])
        os.close(held)
        self.assertEqual([r["REMOVED"] for r in self.forget("0", "0")], [f"{self.boot}-8-99"])
        self.assertFalse(os.path.exists(part))
        self.assertEqual([r["ID"] for r in self.list()], [whole])

    def test_what_somebody_works_with_stays(self):
        ident = self.make(1)[0]
        held = os.open(self.path(ident), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.assertEqual(self.forget("0", "0", ident), [{"BUSY": ident}])
        self.assertEqual(self.status, 1)
        os.close(held)

    def test_a_manifest_that_is_none(self):
        ident = self.make(1)[0]
        with open(self.path(ident, "manifest"), "r+b") as file:
            file.truncate(40)
        self.assertEqual(self.list(), [{"ID": ident, "STATE": "broken"}])
        self.assertEqual(self.forget("1", "0"), [])
        self.assertEqual([r["REMOVED"] for r in self.forget("0", "0", ident)], [ident])

    def test_a_store_of_others(self):
        os.mkdir(self.store)
        os.chmod(self.store, 0o777)
        holder = self.holder()
        self.dump(holder.pid, word="failed")
        self.list()
        self.assertEqual(self.status, 3)


class ProgramTest(unittest.TestCase):
    def test_usage(self):
        program = os.path.join(os.path.dirname(CheckpointCase.program), "daxguard-checkpoint")
        for args, status in (([], 2), (["dump"], 2), (["nonsense", "--request=/x"], 2), (["dump", "--nonsense"], 2),
                             (["dump", "--request=x"], 3), (["dump", "--request=/nonexistent"], 3)):
            done = subprocess.run([program, *args], stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, status, args)
            self.assertTrue(done.stderr)


if __name__ == "__main__":
    main(["ProgramTest"])
