#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon on a host that has nothing left: a hold is answered all the
same, and what could not be done is counted and said.

usage: as test-daemon.py
"""

import ctypes
import errno
import os
import resource
import signal
import socket
import threading
import time

from daemoncase import EXIT_ON_TERM, DaemonCase, eventually, libc, main
from procfs import is_mounted

# DG_STEPS_READY
READY = 6


class HostTest(DaemonCase):
    config = "[Daemon]\nHoldersLogMax=1000\n"

    def crowd(self, n):
        """They are gone when it comes to them, but each is a line in the journal."""
        self.module.extra_usages = [
            self.module.usage(4000000 + i, 10**9, "MAPPED", "crowd") for i in range(n)]

    @staticmethod
    def idle_steps(pid):
        """Children that wait to be told what to do; none if there are others."""
        idle = []
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            children = file.read().split()
        for child in children:
            with open(f"/proc/{child}/cmdline", "rb") as file:
                if b"--wait" not in file.read():
                    return []
            idle.append(int(child))
        return idle

    def small_run(self):
        if libc.mount(b"none", self.path("run").encode(), b"tmpfs", 0, b"size=64k") < 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        self.addCleanup(libc.umount2, self.path("run").encode(), 2)

    def fill_run(self):
        eventually(self.can_be_asked)
        with open(self.path("run/filler"), "wb", buffering=0) as filler, \
                self.assertRaises(OSError) as full:
            while True:
                filler.write(b"x" * 4096)
        self.assertEqual(full.exception.errno, errno.ENOSPC)

    def watchdog_pings(self):
        """When the daemon says that it is alive, as the service manager hears it."""
        pings = []
        notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify.bind(self.path("notify"))
        self.addCleanup(notify.close)

        def read():
            while True:
                try:
                    said = notify.recv(4096)
                except OSError:
                    return
                if b"WATCHDOG=1" in said:
                    pings.append(time.monotonic())

        threading.Thread(target=read, daemon=True).start()
        return pings

    def test_many_at_once_where_steps_start_slowly(self):
        numbers = range(7, 7 + 16)
        pings = self.watchdog_pings()
        daemon = self.start(notify=True, WATCHDOG_USEC="2000000", DAXGUARD_TEST_SPAWN_US="100000")
        eventually(lambda: len(self.idle_steps(daemon.pid)) == READY)
        del pings[:-1]
        for number in numbers:
            self.module.hold(number)
        self.module.wait_for("SCAN", len(numbers), 30)
        self.assertLess(max(b - a for a, b in zip(pings, pings[1:])), 2.5)
        # Each has heard of its time before anybody's steps were started.
        for number in numbers:
            self.assertEqual([e["name"] for kind, e in self.record(number)
                              if kind == "job-end" and e["end"] == "timeout"], [])

    def test_run_full(self):
        self.small_run()
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        self.fill_run()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        eventually(lambda: self.ctl("Incident", "show", "7")["State"] == "done")
        self.assertTrue(self.ctl("Incident", "show", "7")["Unrecorded"])
        self.assertEqual(self.ctl("Status", "status")["Unrecorded"], 1)
        eventually(lambda: any("not recorded any further" in t for t in self.journal.texts()))

    def test_run_full_and_taken_over(self):
        # Without a record the next daemon begins anew, and says that it is one.
        self.small_run()
        self.block("unmount")
        first = self.start()
        self.fill_run()
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        first.kill()
        first.wait()
        self.unblock("unmount")
        os.unlink(self.path("run/filler"))
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        eventually(lambda: self.ctl("Incident", "show", "7")["State"] == "done")
        self.assertTrue(self.ctl("Incident", "show", "7")["TakenOver"])
        self.assertEqual(self.ctl("Status", "status")["TakenOver"], 1)

    def hold_without_descriptors(self, before):
        """The incident, and its holder, of a daemon that can open no more files."""
        holder = self.holder(EXIT_ON_TERM)
        daemon = self.start()
        # The step that looked at the topology is over, those for the first hold wait.
        eventually(lambda: len(self.idle_steps(daemon.pid)) == READY)
        eventually(self.can_be_asked)
        before(daemon.pid)
        n = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (n, hard))
        self.module.hold()
        result = self.module.wait()
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        eventually(lambda: self.ctl("Incident", "show", "7")["State"] == "done")
        return result, self.ctl("Incident", "show", "7"), holder

    def test_no_descriptors(self):
        # What a removal needs was started before.
        result, incident, holder = self.hold_without_descriptors(lambda pid: None)
        self.assertEqual((result, incident["Outcome"]), ("ACKED", "clean"))
        self.assertEqual(holder.wait(5), 0)

    def test_no_descriptors_and_no_step(self):
        def kill_idle(pid):
            # Each has three pipes and a pidfd.
            n = len(os.listdir(f"/proc/{pid}/fd")) - 4 * READY
            for child in self.idle_steps(pid):
                os.kill(child, signal.SIGKILL)
            eventually(lambda: len(os.listdir(f"/proc/{pid}/fd")) == n)

        result, incident, holder = self.hold_without_descriptors(kill_idle)
        self.assertEqual((result, incident["Outcome"]), ("RELEASED", "mounts-unknown"))
        self.assertIn("protected-unknown", incident["Marks"])
        self.assertIsNone(holder.poll())
        self.assertTrue(is_mounted(self.dev))
        self.assertGreaterEqual(self.ctl("Status", "status")["LostSteps"], 4)

    def test_journal_that_does_not_read(self):
        # There is more to say than is kept.
        self.start()
        eventually(lambda: "topology" in self.steps())
        self.journal.reads.clear()
        for number in (7, 8, 9):
            self.crowd(700)
            self.module.hold(number)
            self.module.wait(number)
            self.ended(number)
        eventually(lambda: self.ctl("Status", "status")["LogDropped"] > 0)
        self.journal.reads.set()
        eventually(lambda: self.said_dropped() == self.ctl("Status", "status")["LogDropped"])

    def said_dropped(self):
        return sum(int(text.split()[0]) for text in self.journal.texts()
                   if text.endswith("messages were dropped"))


if __name__ == "__main__":
    main()
