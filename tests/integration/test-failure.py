#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Failed pages: who maps them is told, once.

usage: as test-daemon.py
"""

import errno
import json
import os
import signal
import subprocess
import threading
import time

from daemoncase import HOLDER, eventually, main
from failingmodule import DATA, PAGE
from failurecase import FIRST, GOES_ON, UUID, FailureCase
from procfs import has_socket, start_ns

LSB = PAGE.bit_length() - 1
ELSEWHERE = HOLDER.replace("mmap.mmap(fd, 16384)", "mmap.mmap(fd, 16384, offset=32768)")


class FailureTest(FailureCase):
    def test_each_once(self):
        """Each where it maps the page; who maps other pages of the file is not told."""
        holders = [self.holder(GOES_ON) for _ in range(3)]
        other = self.holder(GOES_ON, code=ELSEWHERE)
        self.start()
        expected = {(h.pid, self.address(h, 2), LSB) for h in holders}
        serial = self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.module.wait_forgotten(serial)
        self.assertEqual(len(self.module.told), 3)
        self.assertEqual(set(self.module.told), expected)
        for holder in (*holders, other):
            self.assertIsNone(holder.poll())
        # A second look, after which nobody was found who was not told.
        self.assertEqual(len(self.module.said("SCAN_RANGE")), 2)
        self.assert_order("REGISTER", "GET_PENDING", "GET_FAILURES", "SCAN_RANGE", "SIGBUS_DEVICE", "SCAN_RANGE",
                          "GET_FAILURES", "FORGET")
        eventually(lambda: any(e.get("DAXGUARD_RANGES") == "1" for e in self.journal.entries))
        story = self.ctl("Incident", "show", str(FIRST))
        self.assertEqual((story["Kind"], story["Device"], story["Outcome"]), ("memory-failure", "pmem0", "told"))
        self.assertEqual({h["Pid"]: [a["Outcome"] for a in h["Actions"]] for h in story["Holders"]},
                         {h.pid: ["sent"] for h in holders})
        self.assertEqual([(f["Start"], f["Length"], f["Inode"]) for f in story["Failures"]],
                         [(DATA + 2 * PAGE, PAGE, self.module.ino)])

    def test_nobody(self):
        self.start()
        self.module.wait_forgotten(self.module.fail(2))
        self.assertEqual(self.over(), "nobody")
        self.assertEqual(len(self.module.said("SCAN_RANGE")), 1)

    def test_found_at_the_start(self):
        """What failed before there was a daemon."""
        holder = self.holder(GOES_ON)
        self.module.fail(1)
        self.start()
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])

    def test_told_by_the_kernel(self):
        """Early kill: whom it has told is not told again; whom it told of another page is."""
        told, missed, other = (self.holder(GOES_ON) for _ in range(3))
        self.start()
        self.module.fail(1, told=[(told.pid, self.address(told, 1)), (other.pid, self.address(other, 3))])
        self.assertEqual(self.over(), "told")
        self.assertEqual({pid for pid, _, _ in self.module.told}, {missed.pid, other.pid})

    def test_range_grows(self):
        """Only of the page that is new."""
        holder = self.holder(GOES_ON)
        self.start()
        serial = self.module.fail(1)
        eventually(lambda: self.module.told)
        serial = self.module.fail(1, 2, replaces=serial)
        self.module.wait_forgotten(serial)
        self.over()
        self.assertEqual(self.module.told, [(holder.pid, self.address(holder, page), LSB) for page in (1, 2)])

    def test_grows_after_the_end(self):
        """The kernel has it still, since a later one is not dealt with: also then."""
        holder = self.holder(GOES_ON)
        self.start()
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000
        serial = self.module.fail(1)
        self.assertEqual(self.over(), "told")
        self.module.fail(1, 2, replaces=serial)
        self.assertEqual(self.over(FIRST + 1), "told")
        self.assertEqual(self.module.told, [(holder.pid, self.address(holder, page), LSB) for page in (1, 2)])

    def test_restart(self):
        """Killed as it tells the second of three: each is told once, in one incident."""
        holders = [self.holder(GOES_ON) for _ in range(3)]
        daemon = self.start()
        self.dies_at(daemon, "SIGBUS_DEVICE", 2)
        serial = self.module.fail(2)
        self.gone(daemon)
        self.assertEqual(len(self.module.told), 2)
        self.start()
        self.module.wait_forgotten(serial)
        self.assertEqual(self.over(), "told")
        self.assertEqual(sorted(pid for pid, _, _ in self.module.told), sorted(h.pid for h in holders))
        kinds = [kind for kind, _ in self.record(FIRST)]
        self.assertEqual([kinds.count(kind) for kind in ("begin", "failure", "resume", "end")], [1, 1, 1, 1])

    def test_busy(self):
        """Its mappings were locked: told as soon as they are not."""
        holder = self.holder(GOES_ON)
        self.module.refusals["SIGBUS_DEVICE"] = [(errno.EBUSY, "busy with its mappings")] * 6
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])
        self.assertEqual(len([1 for kind, _ in self.record(FIRST) if kind == "missed"]), 6)

    def test_scan_fails(self):
        """For want of memory: what nobody could look at is not taken for dealt with."""
        holder = self.holder(GOES_ON)
        self.module.refusals["SCAN_RANGE"] = [(errno.ENOMEM, "no memory")] * 3
        self.start()
        self.module.wait_forgotten(self.module.fail(2))
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])

    def test_cannot_be_told(self):
        holder = self.holder(GOES_ON)
        self.module.refusals["SIGBUS_DEVICE"] = [(errno.EPERM, "not this one")] * 99
        self.start()
        self.module.wait_forgotten(self.module.fail(2))
        self.assertEqual(self.over(), "untold")
        self.assertEqual(len(self.module.said("SIGBUS_DEVICE")), 1)
        self.assertEqual([(kind, e["outcome"]) for kind, e in self.record(FIRST) if kind in ("told", "untold")],
                         [("untold", "EPERM")])
        self.assertEqual([(h["Pid"], h["TimesTold"]) for h in self.ctl("Incident", "show", str(FIRST))["Holders"]],
                         [(holder.pid, 0)])

    def test_notify_without_a_handler(self):
        """Nothing is sent, and it is not said that he was told."""
        self.rule("0.policy", "Event=memory-failure", "Action=notify\nSignal=SIGUSR1")
        holder = self.holder(GOES_ON)
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "left")
        self.assertIsNone(holder.poll())
        self.assertEqual([e["outcome"] for kind, e in self.record(FIRST) if kind == "untold"], ["no-handler"])

    def test_no_handler(self):
        """Told all the same, and the record says that it died of it."""
        holder = self.holder()
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.assertEqual(holder.wait(5), -signal.SIGBUS)
        events = self.record(FIRST)
        self.assertEqual([e["outcome"] for kind, e in events if kind == "told"], ["no-handler"])
        self.assertEqual([e["how"] for kind, e in events if kind == "freed"], ["exited"])

    def test_rules(self):
        """One is left, one is a dry run, one is killed; who has no rule gets SIGBUS; one for removals is not asked."""
        self.rule("0.policy", "Command=python*", "Action=kill")
        names = {}
        for name, what in (("a", "Action=leave"), ("b", "Action=sigbus\nDryRun=yes"), ("c", "Action=kill"), ("d", "")):
            if what:
                self.rule(f"{name}.policy", f"Event=memory-failure\nCommand=holder-{name}", what)
            names[name] = self.holder(GOES_ON + f"\nopen('/proc/self/comm', 'w').write('holder-{name}')")
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "left")
        self.assertEqual([pid for pid, _, _ in self.module.told], [names["d"].pid])
        self.assertEqual(names["c"].wait(5), -signal.SIGKILL)
        rules = {h["Rule"]: (h["RulePath"], h["RuleLine"]) for h in self.ctl("Incident", "show", str(FIRST))["Holders"]}
        self.assertEqual(rules["c.policy"], (self.path("policy.etc/c.policy"), 5))
        self.assertEqual(rules["built-in:memory-failure"], ("", 0))
        outcomes = {int(e["pid"]): e["outcome"] for kind, e in self.record(FIRST)
                    if kind in ("told", "untold")}
        self.assertEqual(outcomes, {names["a"].pid: "left", names["b"].pid: "dry-run", names["c"].pid: "sent",
                                    names["d"].pid: "sent"})

    def test_protected(self):
        holder = self.holder(GOES_ON)
        with open(self.path("output-protected"), "wb") as file:
            file.write(f"PID={holder.pid}\0START_NS={start_ns(holder.pid)}\0NAME=journald\0\0".encode())
        self.start()
        eventually(lambda: "protected" in self.steps())
        eventually(lambda: self.ctl("Status", "status")["Protected"])
        self.module.fail(2)
        self.assertEqual(self.over(), "left")
        self.assertEqual(self.module.told, [])

    def test_protected_that_end(self):
        """As udev's workers do: who is protected is asked anew, and that is known then."""
        gone = self.holder(GOES_ON)
        with open(self.path("output-protected"), "wb") as file:
            file.write(f"PID={gone.pid}\0START_NS={start_ns(gone.pid)}\0NAME=udevd\0\0".encode())
        holder = self.holder(GOES_ON)
        self.start()
        eventually(lambda: self.ctl("Status", "status")["Protected"])
        gone.kill()
        gone.wait()
        self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])

    def test_worker_of_the_protected_ends(self):
        """It does not matter who it was: nobody waits for a new list."""
        first = self.holder(GOES_ON)
        time.sleep(0.05)  # clock ticks
        worker = self.holder(GOES_ON)
        with open(self.path("output-protected"), "wb") as file:
            for process in (first, worker):
                file.write(f"PID={process.pid}\0START_NS={start_ns(process.pid)}\0NAME=udevd\0\0".encode())
        self.start()
        eventually(lambda: self.ctl("Status", "status")["Protected"])
        n = self.steps().count("protected")
        worker.kill()
        worker.wait()
        self.module.fail(2)
        self.assertEqual(self.over(), "left")
        self.assertEqual(self.steps().count("protected"), n)

    def test_unmap(self):
        self.rule("1.device", "Event=memory-failure", "UnmapPoison=yes")
        self.holder(GOES_ON)
        self.start()
        self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.assertEqual(self.module.unmapped, [(DATA + 2 * PAGE, PAGE, 1)])
        self.assert_order("SIGBUS_DEVICE", "SCAN_RANGE", "UNMAP", "FORGET")

    def test_ten_thousand(self):
        """None is lost, who maps some is told of each, and the daemon answers meanwhile."""
        holder = self.holder(GOES_ON)
        # AddressSanitizer would keep 256 MiB of what was freed.
        daemon = self.start(ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1")
        self.loaded()
        before = self.peak(daemon)
        daemon.send_signal(signal.SIGSTOP)
        for i in range(10000):
            self.module.fail(2 * i, event=i < 8, flags=self.module.encoder["FAIL_MORE"] if i == 7 else 0)
        asker, answered = [], threading.Event()
        show = self.module.do_GET_FAILURES
        dumps = []

        def slow(conn, after):
            """Somebody asks in the first dump; until he is answered the next ones fail, slowly."""
            if int(after) == 0:
                dumps.append(after)
            if not asker:
                asker.append(self.asker("status"))
            if len(dumps) == 1 or answered.is_set():
                show(conn, after)
                return
            time.sleep(0.25)
            self.module._answer(conn, errno.EAGAIN, "")

        self.module.do_GET_FAILURES = slow
        daemon.send_signal(signal.SIGCONT)
        eventually(lambda: asker)
        known = json.loads(asker[0].communicate(timeout=60)[0])["Status"]["BadRanges"]
        answered.set()
        # It had taken some of what one dump shows, and not all.
        self.assertTrue(8 < known < 10000, known)
        self.module.wait_forgotten(10000, timeout=200)
        self.over()
        self.assertEqual(sorted(addr for _, addr, _ in self.module.told),
                         [self.address(holder, page) for page in (0, 2)])
        self.assertEqual(self.module.failures, {})
        self.assertLess(self.peak(daemon) - before, 32 * 1024)
        said = [e for e in self.journal.entries if e.get("DAXGUARD_RANGES")]
        self.assertLess(len(said), 10)
        eventually(lambda: sum(int(e["DAXGUARD_RANGES"]) for e in self.journal.entries
                               if e.get("DAXGUARD_RANGES")) == 10000)

    def asker(self, *args):
        """daxguardctl, when it has connected."""
        process = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "--json", *args],
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        eventually(lambda: has_socket(process.pid))
        return process

    @staticmethod
    def peak(process):
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))

    def test_during_a_removal(self):
        """The removal tells its holders; the failure adds nothing to it."""
        holder = self.holder(GOES_ON)
        self.start()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        serial = self.module.fail(2, flags=self.module.encoder["FAIL_REMOVING"])
        self.assertEqual(self.over(), "removal")
        self.module.wait_forgotten(serial)
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertIsNotNone(holder.wait(5))
        self.assertEqual(self.module.told, [])

    def test_before_a_removal(self):
        """It begins as the first of two is told: the other one is left to it, and it waits for nothing."""
        for _ in range(2):
            self.holder(GOES_ON)
        self.start()
        self.module.hooks.append(("SIGBUS_DEVICE", self.module.hold))
        self.module.refusals["SIGBUS_DEVICE"] = [(errno.EBUSY, "busy with its mappings")] * 99
        serial = self.module.fail(2)
        self.assertEqual(self.over(), "removal")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.ended(7)["state"], "done")
        self.module.wait_forgotten(serial)

    def test_beside_a_users_removal(self):
        """Nothing is held, and the device may stay: who maps the page is told as ever."""
        self.topology(self.pmem0())
        self.write("daxguardd.conf", "[Daemon]\nStepTimeoutSec=60\n", 0o644)
        holder = self.holder(GOES_ON)
        self.start()
        eventually(lambda: self.ctl("Devices", "list"))
        self.block("sync")
        removal = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "remove", "pmem0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(removal)
        eventually(lambda: "sync" in self.steps())
        serial = self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.module.wait_forgotten(serial)
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])
        self.assertIsNone(holder.poll())
        self.unblock("sync")
        self.assertEqual(holder.wait(60), -signal.SIGTERM)
        removal.wait(60)

    def test_after_a_removal(self):
        """The flag stays in the kernel's record, also when the device is there again."""
        holder = self.holder(GOES_ON)
        self.start()
        self.module.fail(2, flags=self.module.encoder["FAIL_REMOVING"])
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])

    def test_device_is_gone(self):
        self.start()
        self.module.fail(2, dev=os.makedev(259, 77))
        self.assertEqual(self.over(), "gone")

    def test_journal_is_not_filled(self):
        self.start()
        for minor in range(15):
            self.module.fail(2, dev=os.makedev(259, 100 + minor))
        self.module.wait_forgotten(15)
        eventually(lambda: len([e for e in self.journal.entries if e.get("DAXGUARD_RANGES")]) >= 10)
        self.assertEqual(len(self.ctl("Incidents", "incidents")), 15)
        self.assertEqual(len([e for e in self.journal.entries if e.get("DAXGUARD_RANGES")]), 10)

    def test_signal(self):
        self.start()
        heard = self.monitor()
        for page in range(20):	# it has to connect first
            self.module.wait_forgotten(self.module.fail(page))
            seen = [e for e in heard() if e["Signal"] == "FailureSeen"]
            if seen:
                break
        self.assertIn("FailedRanges", seen[0])

    def test_check(self):
        """Each disk's list of bad blocks is looked at once, when it is there; and when it is back."""
        disk = self.pmem0()
        # (the devices then, how often it was checked by then)
        for n, (devices, checks) in enumerate((((disk,), 1), ((disk,), 1), ((), 1), ((disk,), 2))):
            self.topology(*devices)
            looks = self.steps().count("topology")
            if n == 0:
                self.start()
            else:
                self.module.hold(n)	# they are looked at again after it
                self.module.wait(n)
            # Others' uevents have them looked at as well.
            eventually(lambda looks=looks: self.steps().count("topology") > looks)
            eventually(lambda here=len(devices): len(self.ctl("Devices", "list")) == here)
            self.module.wait_for("CHECK", checks)
            time.sleep(0.2)
            self.assertEqual(len(self.module.said("CHECK")), checks)

    def test_check_fails(self):
        """It is looked at again, until that can be done."""
        self.topology(self.pmem0())
        self.module.refusals["CHECK"] = [(errno.EAGAIN, "no memory")] * 2
        self.start()
        self.module.wait_for("CHECK", 3, timeout=20)
        time.sleep(2)
        self.assertEqual(len(self.module.said("CHECK")), 3)

    def in_ledger(self):
        """The ranges of which the file says that they are bad."""
        try:
            with open(self.path("state/ledger"), encoding="ascii") as file:
                lines = [dict(word.partition("=")[::2] for word in line.split()[3:]) for line in file
                         if line.split()[2] == "bad"]
        except FileNotFoundError:
            return []
        return [(line["ns"], int(line.get("offset", 0)), int(line["length"])) for line in lines]

    def test_ledger(self):
        """It is on the disk before the kernel may forget it, whatever the kernel's word for it is."""
        holder = self.holder(GOES_ON)
        self.start()
        before = []
        self.module.hooks.append(("FORGET", lambda: before.extend(self.in_ledger())))
        self.module.wait_forgotten(self.module.fail(2, word=b"dax\x1bpage\xff"))
        self.assertEqual(before, [(UUID, 2 * PAGE, PAGE)])
        self.assertEqual(self.over(), "told")
        eventually(lambda: all(f["Written"] and f["Told"] == 1 for f in self.ctl("Failures", "poison")))
        failure, = self.ctl("Failures", "poison")
        self.assertEqual({key: failure[key] for key in ("Namespace", "Offset", "Length", "Sources", "Type", "Result",
                                                        "Content", "Inode", "FileOffset", "Times", "State")},
                         {"Namespace": UUID, "Offset": 2 * PAGE, "Length": PAGE, "Sources": ["memory-failure"],
                          "Type": "dax?page?", "Result": "Recovered", "Content": "file", "Inode": self.module.ino,
                          "FileOffset": 2 * PAGE, "Times": 1, "State": "active"})
        self.assertLess(abs(time.time() - failure["FirstSeenUsec"] / 1e6), 60)
        self.assertIsNone(holder.poll())

    def test_disk_of_the_ledger_is_slow(self):
        """Who maps it is told meanwhile; the kernel keeps it."""
        holder = self.holder(GOES_ON)
        self.start()
        self.loaded()
        self.block("ledger")
        serial = self.module.fail(2)
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])
        eventually(lambda: "not in the ledger as yet" in "".join(self.journal.texts()))
        time.sleep(0.5)
        self.assertEqual(self.module.said("FORGET"), [])
        self.unblock("ledger")
        self.module.wait_forgotten(serial)
        self.assertEqual(self.in_ledger(), [(UUID, 2 * PAGE, PAGE)])

    def test_ledger_cannot_be_written(self):
        """Nor is it forgotten before that can be done again."""
        self.start()
        self.loaded()
        os.rename(self.path("state"), self.path("away"))
        self.write("state", "", 0o600)	# or it would be made anew
        serial = self.module.fail(2)
        self.assertEqual(self.over(), "nobody")
        eventually(lambda: self.ctl("Status", "status")["LedgerError"] == "ENOTDIR")
        self.assertEqual(self.module.said("FORGET"), [])
        os.unlink(self.path("state"))
        os.rename(self.path("away"), self.path("state"))
        self.module.wait_forgotten(serial)
        self.assertEqual(self.in_ledger(), [(UUID, 2 * PAGE, PAGE)])

    def test_protected_are_not_known(self):
        """Nobody is told before it is known who must not be; and never, if that cannot be told."""
        self.block("protected")
        holder = self.holder(GOES_ON)
        daemon = self.start()
        self.module.fail(2)
        eventually(lambda: self.sleeps(daemon))
        self.assertEqual(self.module.told, [])
        self.unblock("protected")
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])

    def test_protected_are_known_late(self):
        """Who lists them has failed: he is asked again."""
        self.block("protected")
        holder = self.holder(GOES_ON)
        self.start()
        self.module.fail(2)
        time.sleep(8)
        self.assertEqual(self.module.told, [])
        self.unblock("protected")
        self.assertEqual(self.over(), "told")
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid])


if __name__ == "__main__":
    main()
