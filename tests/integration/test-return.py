#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Checkpoints come back: asked for, and when their device returns. The real daemon, with steps
that only say so.

usage: as test-bus.py
"""

import ctypes
import os
import signal
import subprocess
import sys

from buscase import NAME, NOBODY, ROOT_PATH, BusCase, Refused
from daemoncase import DaemonCase, eventually, libc, main
from procfs import has_socket

UUID = "0b1cf8cc-0000-4000-8000-000000000001"
FIRST, SECOND, BY_HAND = "0123abcd-7-42", "0123abcd-7-43", "0123abcd-8-44"

# Keeps what it was told, waits as long as the file "hang" is there, and says what is in "said".
RESTORE = """#!{python}
import os, sys, time
data = sys.stdin.buffer.read()
fields = dict(f.split("=", 1) for f in data.decode().split("\\0") if f)
with open("{dir}/restores", "a") as file:
    file.write(fields["ID"] + "\\n")
with open("{dir}/request-" + fields["ID"], "wb") as file:
    file.write(data)
while os.path.exists("{dir}/hang"):
    time.sleep(0.05)
name = "{dir}/said-" + fields["ID"]
with open(name if os.path.exists(name) else "{dir}/said", "rb") as file:
    sys.stdout.buffer.write(file.read())
"""
LIST = """#!/bin/sh
[ $# = 2 ] || exit 0
echo "$@" >> {dir}/lists
exec cat {dir}/stored
"""
FORGET = """#!/bin/sh
shift
echo "$@" >> {dir}/forgets
[ ! -e {dir}/forgot ] || cat {dir}/forgot
[ ! -e {dir}/left ] || exit 1
"""


def records(*items):
    return "".join("".join(f"{key}={value}\0" for key, value in item) + "\0" for item in items)


class Store:
    """What the store has, in the words of the steps; for a DaemonCase."""

    def make_store(self):
        self.write("fake-restore", RESTORE.format(python=sys.executable, dir=self.dir), 0o755)
        self.write("fake-checkpoints", LIST.format(dir=self.dir), 0o755)
        self.write("fake-forget", FORGET.format(dir=self.dir), 0o755)
        self.write("said", records([("RESULT", "ok"), ("PIDS", "42 99")]), 0o600)
        self.store()

    def whole(self, name, restore=1, uid=0, time=1000, paths=None, uuid=UUID, **more):
        boot, incident, pid = name.split("-")
        mounts = [field for path in paths or [self.pmem] for field in (("MOUNT", path), ("NS_UUID", uuid))]
        return [("ID", name), ("STATE", "whole"), ("VERSION", 1), ("INCIDENT", incident),
                ("BOOT_ID", boot + "-0000-0000-0000-000000000000"), ("TIME_USEC", time), ("PID", pid),
                ("COMM", "counter"), ("UID", uid), ("UNIT", "counter.service"), ("SCOPE", "unit"),
                ("RULE", "50-test.policy"), ("RESTORE", restore), ("BYTES", 123456), ("DUMP_USEC", 250000),
                ("CRIU", "4.1.1"), *more.items(), *mounts]

    def store(self, *items):
        self.write("stored", records(*items), 0o600)

    def restores(self):
        return self.lines("restores")

    def journal_of(self, name):
        return [(e.get("DAXGUARD_RESULT"), e.get("MESSAGE")) for e in self.journal.entries
                if e.get("DAXGUARD_CHECKPOINT") == name]

    def told_of(self, name):
        """Waits for its outcome."""
        try:
            eventually(lambda: self.journal_of(name))
        except TimeoutError:
            self.fail(f"nothing is said of {name}: {self.journal.texts()}, steps: {self.steps()}")
        return self.journal_of(name)

    def device(self, mounted=True, **more):
        device = self.pmem0(UUID=UUID.upper(), **more)
        mount = {"MOUNT_OF": "pmem0", "PATH": self.pmem, "TYPE": "tmpfs", "DEV": self.number}
        self.topology(*([device, mount] if mounted else [device]))

    def start_known(self):
        daemon = self.start()
        eventually(self.can_be_asked)
        eventually(lambda: self.ctl("Devices", "list"))
        return daemon


class ReturnTest(Store, DaemonCase):
    def setUp(self):
        super().setUp()
        self.make_store()

    def tool_says(self, *args, status=0):
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr if status else done.stdout

    def look_again(self):
        """The daemon does, after a removal in which nothing has happened."""
        number = len(self.module.said("ACK")) + 70
        self.module.hold(number)
        self.assertEqual(self.module.wait(number), "ACKED")
        self.ended(number)

    def change_mounts(self):
        """Something is mounted, whatever it is."""
        path = self.path("other-mount")
        os.makedirs(path, exist_ok=True)
        if libc.mount(b"none", path.encode(), b"tmpfs", 0, None) < 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        self.addCleanup(libc.umount2, path.encode(), 2)

    def test_listed(self):
        self.device()
        self.store(self.whole(FIRST, restore=0), [("ID", SECOND), ("STATE", "part")], [("ID", "../x"), ("STATE", "whole")])
        self.start_known()
        listed = self.ctl("Checkpoints", "checkpoints")
        self.assertEqual([c["Id"] for c in listed], [SECOND, FIRST])
        first = listed[1]
        self.assertEqual((first["State"], first["Incident"], first["Pid"], first["Comm"], first["Uid"], first["Unit"]),
                         ("whole", 7, 42, "counter", 0, "counter.service"))
        self.assertEqual((first["Bytes"], first["DumpUsec"], first["Criu"], first["RestoreOnReturn"], first["Rule"]),
                         (123456, 250000, "4.1.1", False, "50-test.policy"))
        self.assertEqual(first["Mounts"], [{"Path": self.pmem, "Namespace": UUID, "Device": "pmem0"}])
        text = self.text("checkpoints", columns=300)
        self.assertRegex(text, rf"(?m)^{FIRST} .* counter \(42\) +counter.service +120.6 KiB +by hand +{self.pmem}$")
        self.assertRegex(text, rf"(?m)^{SECOND} .* part ")
        self.assertIn("2 checkpoints", text)
        self.assertIn(f"{self.pmem}, namespace {UUID} (pmem0)", self.text("checkpoints", FIRST))
        self.tool_says("checkpoints", "0123abcd-1-1", status=4)
        self.store()
        self.assertEqual(self.ctl("Checkpoints", "checkpoints"), [])
        self.write("stored", "ID=0123", 0o600)
        self.assertIn("could not be read", self.tool_says("checkpoints", status=1))

    def test_by_hand(self):
        self.device()
        self.start_known()
        self.assertEqual(self.ctl("Restored", "restore", FIRST), {"Id": FIRST, "Pids": [42, 99]})
        with open(self.path("request-" + FIRST), encoding="ascii") as file:
            told = dict(field.split("=", 1) for field in file.read().split("\0") if field)
        self.assertEqual(told, {"ADDRESS": "unix:path=/nowhere", "RUN": self.path("run/checkpoints"), "ID": FIRST,
                                "DIR": self.path("state/checkpoints"), "TIMEOUT_MSEC": "60000", "FORCE": "0"})
        self.assertEqual(self.told_of(FIRST), [("ok", f"Checkpoint {FIRST} is restored: 42 99")])
        self.assertEqual(self.tool_says("restore", "--force", SECOND), f"{SECOND} is restored: 42 99\n")
        with open(self.path("request-" + SECOND), encoding="ascii") as file:
            self.assertIn("FORCE=1\0", file.read())

    def test_refused(self):
        """With the word why, and what is more to be said, whatever characters are in it."""
        self.start_known_without()
        self.write("said", "RESULT=file-changed\0TEXT=/mnt/\x1b is larger\0\0", 0o600)
        self.assertEqual(self.tool_says("restore", FIRST, status=9),
                         "daxguardctl: file-changed: /mnt/? is larger\n")
        self.assertEqual(self.told_of(FIRST)[0][0], "file-changed")
        self.write("said", "RESULT=unknown\0\0", 0o600)
        self.assertIn("no such checkpoint", self.tool_says("restore", FIRST, status=4))
        # No word at all.
        self.write("fake-restore", "#!/bin/sh\necho no memory >&2\nexit 3\n", 0o755)
        self.assertIn("failed: no memory", self.tool_says("restore", FIRST, status=9))
        n = len(self.steps())
        for wrong in ("../../etc", "0123abcd-7", "0123ABCD-7-1", "0123abcd-7-1/", "", "x" * 200):
            self.tool_says("restore", wrong, status=4)
            self.tool_says("checkpoints", "--delete", wrong, status=4)
        self.assertEqual(self.steps()[n:], [])
        for wrong in (("--delete", "checkpoints"), ("--prune", "checkpoints", FIRST), ("--delete", "list"),
                      ("--force", "checkpoints"), ("--prune", "--delete", "checkpoints", FIRST)):
            self.tool_says(*wrong, status=2)

    def start_known_without(self):
        self.start()
        eventually(self.can_be_asked)

    def test_one_at_a_time(self):
        """Who asks again is told so; who leaves does not end what he asked for."""
        self.start_known_without()
        self.write("hang", "", 0o600)
        asker = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "restore", FIRST])
        self.processes.append(asker)
        eventually(lambda: self.restores() == [FIRST])
        self.assertIn("running: ", self.tool_says("restore", FIRST, status=9))
        self.assertIn("made or restored", self.tool_says("checkpoints", "--delete", FIRST, status=7))
        asker.kill()
        asker.wait()
        os.unlink(self.path("hang"))
        self.assertEqual(self.told_of(FIRST)[0][0], "ok")
        self.assertEqual(self.restores(), [FIRST])

    def test_removed(self):
        self.write("daxguardd.conf", "[Daemon]\nCheckpointMaxBytes=1M\nCheckpointMaxAgeSec=7\n", 0o644)
        self.start_known_without()
        directory = self.path("state/checkpoints")
        self.write("forgot", records([("REMOVED", FIRST), ("BYTES", 7)]), 0o600)
        self.assertEqual(self.ctl("Removed", "checkpoints", "--delete", FIRST), [FIRST])
        self.assertIn(f"{directory} 0 0 {FIRST}", self.lines("forgets"))
        eventually(lambda: any(text == f"Checkpoint {FIRST} is removed" for text in self.journal.texts()))
        # Another one went, as it was half made.
        self.assertIn("no such checkpoint", self.tool_says("checkpoints", "--delete", SECOND, status=4))
        self.write("forgot", records([("BUSY", FIRST)]), 0o600)
        self.write("left", "", 0o600)
        self.assertIn("being made or restored", self.tool_says("checkpoints", "--delete", FIRST, status=7))
        self.write("forgot", records([("FAILED", FIRST), ("RESULT", "EROFS")], [("REMOVED", SECOND)]), 0o600)
        self.assertIn("could not be read or changed", self.tool_says("checkpoints", "--delete", FIRST, status=1))
        eventually(lambda: any("could not be removed: EROFS" in text for text in self.journal.texts()))
        self.assertEqual(self.ctl("Removed", "checkpoints", "--prune"), [SECOND])
        self.assertEqual(self.lines("forgets")[-1], f"{directory} 1048576 7")

    def waiting_steps(self, daemon):
        """Those that were started and have no verb as yet."""
        found = set()
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
                with open(f"/proc/{name}/stat", encoding="ascii", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (OSError, IndexError):
                continue
            if b"--wait" in words and parent == daemon.pid:
                found.add(name)
        return found

    def test_no_step_of_a_removal_is_used_up(self):
        self.device()
        daemon = self.start_known()
        eventually(lambda: self.sleeps(daemon))
        ready = self.waiting_steps(daemon)
        self.assertTrue(ready)
        self.ctl("Checkpoints", "checkpoints")
        self.ctl("Removed", "checkpoints", "--prune")
        self.tool_says("checkpoints", "--delete", FIRST, status=4)
        self.assertEqual(self.waiting_steps(daemon), ready)

    def test_prune_ends_when_something_is_held(self):
        self.device()
        self.start_known()
        eventually(lambda: len(self.lines("forgets")) == 1)
        self.write("block-forget", "", 0o600)
        n = self.steps().count("forget")
        asker = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "checkpoints", "--prune"],
                                 stderr=subprocess.PIPE, text=True)
        self.processes.append(asker)
        eventually(lambda: self.steps().count("forget") == n + 1)
        self.block("sync")
        self.module.hold()
        self.assertIn("a removal is under way", asker.stderr.read())
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.unblock("forget")

    def test_pruned_while_awaited(self):
        self.device(mounted=False)
        self.store(self.whole(FIRST))
        daemon = self.start_known()
        eventually(lambda: self.steps().count("topology") == 2)
        self.write("forgot", records([("REMOVED", FIRST)]), 0o600)
        self.assertEqual(self.ctl("Removed", "checkpoints", "--prune"), [FIRST])
        self.device()
        self.change_mounts()
        eventually(lambda: self.steps().count("topology") >= 3)
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual(self.restores(), [])

    def test_not_while_held(self):
        self.device()
        self.start_known()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        for args in (("restore", FIRST), ("checkpoints", "--delete", FIRST), ("checkpoints", "--prune")):
            self.assertIn("a removal is under way", self.tool_says(*args, status=1))
        self.assertEqual(self.ctl("Checkpoints", "checkpoints"), [])
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.restores(), [])

    def test_after_a_reboot(self):
        """The device is there, and its file system comes later. The oldest is the first, and one
        that is not whole, or was not meant, is none."""
        self.device(mounted=False)
        self.store(self.whole(SECOND, time=2000), self.whole(FIRST, time=1000), self.whole(BY_HAND, restore=0),
                   [("ID", "0123abcd-9-1"), ("STATE", "part")],
                   self.whole("0123abcd-9-2", uuid="0b1cf8cc-0000-4000-8000-000000000002"))
        self.write("said-" + SECOND, "RESULT=pid-taken\0TEXT=43\0\0", 0o600)
        daemon = self.start_known()
        eventually(lambda: self.lines("lists"))
        eventually(lambda: self.sleeps(daemon))
        n = self.steps().count("topology")
        self.assertEqual(self.restores(), [])
        self.device()
        self.change_mounts()
        eventually(lambda: len(self.restores()) == 2)
        self.assertEqual(self.restores(), [FIRST, SECOND])
        self.told_of(SECOND)
        self.assertEqual(self.journal_of(FIRST),
                         [("ok", f"Checkpoint {FIRST} is restored, its device has returned: 42 99")])
        self.assertEqual(self.journal_of(SECOND),
                         [("pid-taken", f"Checkpoint {SECOND} was not restored when its device returned: pid-taken: 43")])
        # It is not tried for ever.
        self.look_again()
        eventually(lambda: self.steps().count("topology") > n + 1)
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual(self.restores(), [FIRST, SECOND])

    def test_comes_again(self):
        """A device that was away; not one that was only looked at again."""
        self.device(DISKSEQ=5)
        daemon = self.start_known()
        eventually(lambda: len(self.lines("lists")) == 1)
        self.store(self.whole(FIRST))
        self.look_again()
        eventually(lambda: self.steps().count("topology") == 2)
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual(len(self.lines("lists")), 1)
        self.device(DISKSEQ=6)
        self.look_again()
        eventually(lambda: self.restores() == [FIRST])
        self.store()
        self.topology()
        self.look_again()
        eventually(lambda: self.ctl("Devices", "list") == [])
        self.store(self.whole(SECOND))
        self.device(DISKSEQ=6)
        self.look_again()
        eventually(lambda: self.restores() == [FIRST, SECOND])

    def test_never_mounted(self):
        """One of its file systems is, the other is not."""
        self.write("daxguardd.conf", "[Daemon]\nRestoreWaitSec=1\n", 0o644)
        self.device()
        self.store(self.whole(FIRST, paths=[self.pmem, "/mnt/never"]))
        daemon = self.start_known()
        self.assertEqual(self.told_of(FIRST),
                         [("not-mounted", f"Checkpoint {FIRST} was not restored when its device returned: "
                           "not-mounted: /mnt/never")])
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual((self.restores(), len(self.journal_of(FIRST))), ([], 1))

    def test_a_list_that_cannot_be_had(self):
        """It is asked for again, at the latest after the next removal, and does not say what is not so."""
        self.device()
        self.write("stored", "ID=0123", 0o600)
        self.start_known()
        eventually(lambda: any("could not be listed" in text for text in self.journal.texts()))
        self.store(self.whole(FIRST))
        self.look_again()
        eventually(lambda: self.restores() == [FIRST])
        self.assertEqual(self.told_of(FIRST)[0][0], "ok")

    def test_a_list_that_is_not_to_be_had(self):
        self.write("daxguardd.conf", "[Daemon]\nRestoreWaitSec=1\n", 0o644)
        self.device()
        self.write("stored", "ID=0123", 0o600)
        self.start_known()
        eventually(lambda: any("nothing is restored" in text for text in self.journal.texts()))

    def test_a_mount_that_nobody_has_heard_of(self):
        """There is a last look before it is given up."""
        self.write("daxguardd.conf", "[Daemon]\nRestoreWaitSec=2\n", 0o644)
        self.device(mounted=False)
        self.store(self.whole(FIRST))
        self.start_known()
        eventually(lambda: self.steps().count("topology") == 2)
        self.device()
        eventually(lambda: self.restores() == [FIRST])

    def test_waits_for_a_removal(self):
        """Nothing is begun while something is held, and its time does not count."""
        self.device(mounted=False)
        self.store(self.whole(FIRST))
        self.start_known()
        eventually(lambda: self.steps().count("topology") == 2)	# with an eye on the mounts
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        self.device()
        self.change_mounts()
        self.assertEqual(self.restores(), [])
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        eventually(lambda: self.restores() == [FIRST])

    def test_deleted_while_awaited(self):
        self.device(mounted=False)
        self.store(self.whole(FIRST))
        daemon = self.start_known()
        eventually(lambda: self.steps().count("topology") == 2)
        self.write("forgot", records([("REMOVED", FIRST)]), 0o600)
        self.tool_says("checkpoints", "--delete", FIRST)
        self.device()
        self.change_mounts()
        eventually(lambda: self.steps().count("topology") >= 3)
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual(self.restores(), [])

    def test_killed_meanwhile(self):
        """The next daemon asks for the same, and the step waits for what goes on."""
        self.device()
        self.store(self.whole(FIRST))
        self.write("hang", "", 0o600)
        daemon = self.start_known()
        eventually(lambda: self.restores() == [FIRST])
        daemon.send_signal(signal.SIGKILL)
        daemon.wait()
        daemon.stderr.close()
        self.start_known()
        eventually(lambda: self.restores() == [FIRST, FIRST])
        os.unlink(self.path("hang"))
        self.assertEqual([result for result, _ in self.told_of(FIRST)], ["ok"])

    def test_monitored(self):
        self.start_known_without()
        watcher = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "monitor"],
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(watcher)
        # It is asked how it is before it listens, and says nothing of that.
        eventually(lambda: has_socket(watcher.pid))
        self.write("said", "RESULT=file-held\0TEXT=by 7\0\0", 0o600)
        self.tool_says("restore", FIRST, status=9)
        self.assertIn(f"checkpoint {FIRST}: not restored, file-held", watcher.stdout.readline())


class ReturnBusTest(Store, BusCase):
    def setUp(self):
        super().setUp()
        self.make_store()

    def test_who_may(self):
        """Root may; others need polkit, which is not here."""
        self.users()
        self.start_on_bus()
        self.write("forgot", records([("REMOVED", FIRST)]), 0o600)
        for call in (("Restore", "sa{sv}", FIRST, "0"), ("DeleteCheckpoint", "s", FIRST), ("PruneCheckpoints",)):
            with self.assertRaisesRegex(Refused, "polkit|denied|privilege"):
                self.manager(*call, uid=NOBODY)
        self.assertEqual((self.restores(), self.lines("forgets")[1:]), ([], []))
        self.assertEqual(self.manager("Restore", "sa{sv}", FIRST, "0"), [42, 99])
        self.manager("DeleteCheckpoint", "s", FIRST)
        self.assertEqual(self.manager("PruneCheckpoints"), [FIRST])
        with self.assertRaisesRegex(Refused, "no option"):
            self.manager("Restore", "sa{sv}", FIRST, "1", "Fast", "b", "true")
        with self.assertRaisesRegex(Refused, "no option"):
            self.manager("ListCheckpoints", "a{sv}", "1", "All", "b", "true")

    def test_who_sees_what(self):
        """His own, and no others; that something is restored everybody hears, but not who."""
        self.users()
        self.store(self.whole(FIRST, uid=NOBODY), self.whole(SECOND), [("ID", BY_HAND), ("STATE", "part")])
        self.start_on_bus()
        self.assertEqual({c["Id"] for c in self.manager("ListCheckpoints", "a{sv}", "0")}, {FIRST, SECOND, BY_HAND})
        self.assertEqual([c["Id"] for c in self.manager("ListCheckpoints", "a{sv}", "0", uid=NOBODY)], [FIRST])
        with open(self.bus_dir + "/seen", "w+", encoding="utf-8") as log:
            self.processes.append(subprocess.Popen(
                ["dbus-monitor", "--address", self.address, f"type='signal',path_namespace='{ROOT_PATH}'"],
                stdout=log, stderr=subprocess.DEVNULL, cwd="/", user=NOBODY, group=NOBODY, extra_groups=[]))

        def seen():
            with open(self.bus_dir + "/seen", encoding="utf-8") as log:
                return log.read()
        eventually(lambda: "NameAcquired" in seen() or "NameLost" in seen())
        self.manager("Restore", "sa{sv}", SECOND, "0")
        eventually(lambda: "member=CheckpointRestored" in seen())
        eventually(lambda: "OnReturn" in seen())
        self.assertIn(f'string "{SECOND}"', seen())
        self.assertNotIn("counter", seen())
        self.assertTrue(NAME)


if __name__ == "__main__":
    main()
