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

from daemoncase import EXIT_ON_TERM, DaemonCase, eventually, libc, main
from fakemodule import is_mounted


class HostTest(DaemonCase):
    config = "[Daemon]\nHoldersLogMax=1000\n"

    def crowd(self, n):
        """They are gone when it comes to them, but each is a line in the journal."""
        self.module.extra_usages = [
            self.module.usage(4000000 + i, 10**9, "MAPPED", "crowd") for i in range(n)]

    @staticmethod
    def children(pid):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return file.read().split()

    def small_run(self):
        if libc.mount(b"none", self.path("run").encode(), b"tmpfs", 0, b"size=64k") < 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        self.addCleanup(libc.umount2, self.path("run").encode(), 2)

    def fill_run(self):
        eventually(lambda: os.path.exists(self.path("run/control")))
        with open(self.path("run/filler"), "wb", buffering=0) as filler, \
                self.assertRaises(OSError) as full:
            while True:
                filler.write(b"x" * 4096)
        self.assertEqual(full.exception.errno, errno.ENOSPC)

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

    def test_no_descriptors(self):
        holder = self.holder(EXIT_ON_TERM)
        daemon = self.start()
        eventually(lambda: "topology" in self.steps())
        eventually(lambda: os.path.exists(self.path("run/control")))
        eventually(lambda: not self.children(daemon.pid))
        n = len(os.listdir(f"/proc/{daemon.pid}/fd"))
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (n, hard))
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.assertIsNone(holder.poll())
        self.assertTrue(is_mounted(self.dev))
        incident = self.ctl("Incident", "show", "7")
        self.assertEqual(incident["Outcome"], "mounts-unknown")
        self.assertIn("protected-unknown", incident["Marks"])
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
