#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The step that restores checkpoints, with a CRIU that only says that it does.

usage: as test-step.py; DAXGUARD_FAKE_UNITS: the program
"""

import fcntl
import os
import shutil
import socket
import subprocess

from checkpointcase import CheckpointCase, eventually, fields
from stepcase import main, run


class RestoreTest(CheckpointCase):
    def setUp(self):
        super().setUp()
        self.done = os.path.join(self.dir, "restored")
        self.criu(restore=f"open({self.done!r}, 'a').write(option('--images-dir') + chr(10))")
        holder = self.holder()
        self.systemd()
        self.dump(holder.pid)
        holder.wait(5)
        self.pid, self.ident = holder.pid, self.id(holder.pid)
        # The unit of the dump goes when its last process has.
        eventually(lambda: not os.path.exists(f"{self.run_dir}/{self.ident}.request"))

    def ask_restore(self, *more, timeout_ms=20000, ident=None):
        return self.ask("restore", [*self.base(ident or self.ident, timeout_ms), *more])

    def restore(self, *more, word="ok", **how):
        result = self.result(self.ask_restore(*more, **how))
        self.assertEqual(result["RESULT"], word, result)
        return result

    def refused(self, word, *more):
        """And nothing has been done."""
        calls = len(self.criu_calls("restore"))
        result = self.restore(*more, word=word)
        self.assertEqual(len(self.criu_calls("restore")), calls)
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])
        return result["TEXT"]

    def test_they_go_on(self):
        result = self.restore()
        self.assertEqual((result["PIDS"], result["ID"]), (str(self.pid), self.ident))
        self.assertTrue(os.path.exists(self.done))
        call = self.criu_calls("restore")[0]
        for option in ("--restore-detached", "--file-locks", "--manage-cgroups=ignore"):
            self.assertIn(option, call)
        self.assertEqual(len(self.told(f"scope daxguard-restored-{self.ident}.scope ")), 1)
        # It is said first, and goes then.
        eventually(lambda: self.list() == [])

    def test_what_they_print(self):
        """Goes to a new stream of the journal, where it is of the same unit, however long that takes."""
        path = os.path.join(self.dir, "journal")
        with socket.socket(socket.AF_UNIX) as journal:
            journal.bind(path)
            journal.listen()
            journal.settimeout(20)
            words = "option('--inherit-fd').split(']')[0].split('[')[1]"
            self.criu(restore="import socket\n"
                      f"    stream = socket.socket(fileno=int({words}))\n"
                      "    stream.send(b'hello' + stream.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16))")
            holder, inode = self.journalling()
            self.dump(holder.pid, ("UNIT", "app.service"))
            holder.wait(5)
            self.restore(("JOURNAL", path), ident=self.id(holder.pid))
            with journal.accept()[0] as stream:
                said = b"".join(iter(lambda: stream.recv(4096), b""))
        self.assertEqual(said, b"python3\napp.service\n6\n1\n0\n0\n0\nhello" + bytes(16))
        call = self.criu_calls("restore")[0]
        self.assertTrue(call[call.index("--inherit-fd") + 1].endswith(f":socket:[{inode}]"))

    def test_no_journal(self):
        holder = self.journalling()[0]
        self.dump(holder.pid)
        holder.wait(5)
        result = self.restore(("JOURNAL", "/nonexistent"), ident=self.id(holder.pid), word="failed")
        self.assertIn("/nonexistent: No such file", result["TEXT"])

    def test_once(self):
        self.restore()
        eventually(lambda: self.list() == [] and not os.path.exists(f"{self.run_dir}/{self.ident}.restore-request"))
        self.assertIn("it was restored", self.restore(word="running")["TEXT"])
        self.assertEqual(len(self.criu_calls("restore")), 1)

    def test_the_program_is_killed_at_the_end(self):
        """It has said that they run, and could not remove what they came from."""
        path = os.path.join(self.run_dir, self.ident)
        for word, left in (("failed", ["whole"]), ("ok", [])):
            with open(path + ".restore-request", "wb") as file:
                file.write(fields(self.base(self.ident, 20000)))
            with open(path + ".restore-result", "wb") as file:
                file.write(fields([("RESULT", word), ("TEXT", ""), ("ID", self.ident)]))
            run(os.path.join(os.path.dirname(self.program), "daxguard-checkpoint"), "abandon-restore",
                f"--request={path}.restore-request")
            self.assertEqual([r["STATE"] for r in self.list()], left)
            self.assertFalse(os.path.exists(path + ".restore-request"))

    def test_two_at_once(self):
        results = [self.result(step) for step in [self.ask_restore() for _ in range(4)]]
        # Who comes when it is over finds that they run.
        self.assertLessEqual({r["RESULT"] for r in results}, {"ok", "running"})
        self.assertEqual(len(self.criu_calls("restore")), 1)

    def test_what_is_not_there(self):
        self.restore(word="unknown", ident=f"{self.boot}-{self.incident + 1}-{self.pid}")
        self.store += "-not"
        self.restore(word="unknown")

    def test_half_a_checkpoint(self):
        path = os.path.join(self.store, f"{self.boot}-7/{self.pid}/manifest")
        with open(path, "r+b") as file:
            file.truncate(os.stat(path).st_size - 1)
        self.restore(word="not-whole")
        self.assertEqual(self.criu_calls("restore"), [])

    def test_somebody_is_at_it(self):
        held = os.open(os.path.join(self.store, f"{self.boot}-7/{self.pid}"), os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
        self.refused("running")
        os.close(held)
        self.restore()

    def test_no_criu(self):
        os.environ["DAXGUARD_CRIU"] = "/nonexistent"
        self.refused("no-criu")

    def test_the_pid_is_taken(self):
        with self.process_of_pid() as other:
            self.assertIn(str(self.pid), self.refused("pid-taken"))
            other.kill()

    def process_of_pid(self):
        """Others on this machine begin processes as well."""
        for _ in range(100):
            with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as file:
                file.write(str(self.pid - 1))
            other = subprocess.Popen(["sleep", "1000"])
            if other.pid == self.pid:
                return other
            other.kill()
            other.wait()
        raise AssertionError(f"somebody else always gets {self.pid}")

    def test_not_mounted(self):
        run("umount", self.mnt)
        self.assertIn(self.mnt, self.refused("not-mounted"))
        self.mount(self.loop, self.mnt)
        self.restore()

    def namespace(self, path, uuid):
        """The device that the file system is on, as sysfs has it."""
        os.makedirs(path + "/device")
        with open(path + "/device/uuid", "w", encoding="ascii") as file:
            file.write(uuid + "\n")

    def test_another_namespace(self):
        """With the same files on it, at the same place."""
        self.ns_uuid = "6e49ee6d-1b54-4ee5-8d4d-0b0c1f0b9c11"
        holder = self.holder()
        self.dump(holder.pid)
        holder.wait(5)
        self.ident = self.id(holder.pid)
        self.mount("-t", "tmpfs", "none", "/sys/dev/block")
        self.addCleanup(run, "umount", "/sys/dev/block")
        device = "/sys/dev/block/" + self.dev
        for place in (device, device + "/slaves/pmem0", device + "/slaves/dm-0/slaves/pmem1"):
            os.makedirs(device, exist_ok=True)
            self.namespace(place, "7" + self.ns_uuid[1:])
            result = self.restore(word="not-mounted")
            self.assertIn(self.ns_uuid, result["TEXT"])
            shutil.rmtree(device)
        self.assertEqual(self.criu_calls("restore"), [])
        self.namespace(device, self.ns_uuid.upper())
        self.restore()

    def test_a_file_has_changed(self):
        with open(self.mnt + "/data", "r+b") as file:
            file.write(b"x")
        self.assertIn(self.mnt + "/data", self.refused("file-changed"))
        self.restore(("FORCE", 1))

    def test_a_file_is_another_one(self):
        status = os.stat(self.mnt + "/data")
        os.rename(self.mnt + "/data", self.mnt + "/old")
        with open(self.mnt + "/data", "wb") as file:
            file.write(b"\0" * 8192)
        os.utime(self.mnt + "/data", ns=(status.st_atime_ns, status.st_mtime_ns))
        self.refused("file-changed")

    def test_no_dax_any_more(self):
        """Nor was there one, but the kernel says that it was mapped with MAP_SYNC."""
        holder = self.synced(self.holder())
        self.dump(holder.pid)
        holder.wait(5)
        run(self.program, "forget", self.store, "0", "0", self.ident)
        self.ident = self.id(holder.pid)
        self.assertEqual(self.refused("file-changed"), f"{self.mnt}/data is not mounted with DAX, "
                         "as it was when it was mapped with MAP_SYNC")
        self.restore(("FORCE", 1))

    def test_a_file_is_held(self):
        with open(self.mnt + "/data", "rb"):
            self.assertIn(str(os.getpid()), self.refused("file-held"))
        self.holder()
        self.refused("file-held", ("FORCE", 1))

    def test_criu_fails_and_is_asked_again(self):
        self.criu(restore="fail('(00.1) Error (criu/files.c:1): File has bad size')")
        result = self.restore(word="failed")
        self.assertEqual(result["TEXT"], "File has bad size")
        self.assertEqual(self.told("kill"), [f"kill daxguard-restored-{self.ident}.scope 9"])
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])
        eventually(lambda: not os.path.exists(f"{self.run_dir}/{self.ident}.restore-request"))
        self.criu()
        self.restore()

    def test_criu_hangs(self):
        self.criu(restore="time.sleep(1000)")
        self.restore(word="timeout", timeout_ms=1500)
        self.assertEqual(len(self.told("kill")), 1)
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])


class RestoreUnitTest(CheckpointCase):
    def setUp(self):
        super().setUp()
        with open(self.mnt + "/other", "wb") as file:
            file.write(b"\0" * 8192)

    def dumped(self):
        """It was the main process of a service, of which a new service manager knows nothing."""
        holder = self.holder()
        self.systemd(f"app.service={holder.pid}")
        self.dump(holder.pid, ("UNIT", "app.service"))
        holder.wait(5)
        self.address += "2"
        return self.id(holder.pid)

    def restore(self, ident, word, force=0):
        result = self.result(self.ask("restore", [*self.base(ident, 20000), ("FORCE", force)]))
        self.assertEqual(result["RESULT"], word, result)
        return result["TEXT"]

    def test_the_unit_is_active_again(self):
        again = self.holder(name="other")
        ident, address = self.dumped(), self.address
        for state in ("active", "activating", "reloading"):
            self.address = address + state
            self.systemd(state, f"app.service={again.pid}")
            for force in (0, 1):
                self.assertEqual(self.restore(ident, "unit-active", force), "app.service is active again")
        self.assertEqual(self.criu_calls("restore"), [])

    def test_the_unit_is_about_to_be_started(self):
        """Also if that is queued when it has been looked at."""
        ident, address = self.dumped(), self.address
        for how in ("queued", "late"):
            self.address = address + how
            self.systemd(how)
            self.assertEqual(self.restore(ident, "unit-active"), "app.service is about to be started")
        self.assertEqual(self.criu_calls("restore"), [])
        self.assertEqual([r["STATE"] for r in self.list()], ["whole"])

    def test_another_job_is_against_it(self):
        ident = self.dumped()
        self.systemd("shutdown")
        self.assertIn("is destructive", self.restore(ident, "failed"))

    def test_who_starts_the_unit_ends_it(self):
        ident = self.dumped()
        self.systemd()
        self.restore(ident, "ok")
        self.assertEqual(self.told("conflicts") + self.told("before"),
                         ["conflicts app.service", "before app.service"])
        # Who is dumped again is in that scope, and its service is what it was.
        holder = self.holder()
        self.incident += 1
        self.dump(holder.pid, ("UNIT", f"daxguard-restored-{ident}.scope"))
        with open(os.path.join(self.store, f"{self.boot}-{self.incident}/{holder.pid}/manifest"), "rb") as file:
            self.assertIn(b"\0UNIT=app.service\0", file.read())


if __name__ == "__main__":
    main()
