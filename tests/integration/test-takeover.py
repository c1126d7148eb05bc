#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon dies while a hold is open, and another one goes on.

usage: as test-daemon.py
"""

import errno
import os
import signal
import threading

from daemoncase import EXIT_ON_TERM, IGNORE_TERM, DaemonCase, eventually, main
from procfs import is_mounted


class TakeoverTest(DaemonCase):
    """The daemon is killed in each state; another one goes on."""

    def takeover(self, reached, before_restart=lambda: None):
        holder = self.holder(IGNORE_TERM)
        first = self.start()
        self.module.hold()
        eventually(reached, 15)
        first.kill()
        first.wait()
        states = self.states()
        before_restart()
        self.start()
        result = self.module.wait()
        self.assertIn(result, ("ACKED",))
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.assertFalse(is_mounted(self.dev))
        self.assertIn(self.ended()["state"], ("done",))
        self.assertEqual(len(self.events("resume")), 1)
        self.assertEqual(len(self.module.said("REGISTER")), 2)
        # Nobody is told twice what he has had.
        self.assertLessEqual(len(self.events("act", action="term", pid=holder.pid)), 1)
        return states

    def test_syncing(self):
        self.block("sync")
        states = self.takeover(lambda: "sync" in self.steps(), lambda: self.unblock("sync"))
        self.assertEqual(states[-1], "syncing")

    def test_scanning(self):
        gate = threading.Event()
        self.module.hooks.append(("SCAN", gate.set))
        self.takeover(gate.is_set)

    def test_acting(self):
        def acting():
            try:
                return any(kind == "acted" and e["action"] == "term" for kind, e in self.record())
            except FileNotFoundError:
                return False
        states = self.takeover(acting)
        self.assertEqual(states[-1], "acting")

    def test_settling(self):
        # The second sync is that of settling.
        def reached():
            if self.steps().count("sync") == 1 and not os.path.exists(self.path("block-sync")):
                self.block("sync")
            return self.steps().count("sync") == 2
        states = self.takeover(reached, lambda: self.unblock("sync"))
        self.assertEqual(states[-1], "settling")

    def test_unmounting(self):
        self.block("unmount")
        states = self.takeover(lambda: "unmount" in self.steps(), lambda: self.unblock("unmount"))
        self.assertEqual(states[-1], "unmounting")

    def test_verifying(self):
        reached = threading.Event()
        self.module.refusals["ACK"] = [(errno.EBUSY, "a file system is live")]
        self.module.hooks.append(("ACK", reached.set))
        states = self.takeover(reached.is_set)
        self.assertEqual(states[-1], "verifying")

    def test_acked(self):
        # Dead between the ACK and DONE: the next one closes the record.
        holder = self.holder(EXIT_ON_TERM)
        first = self.start()
        self.module.hooks.append(("ACK", lambda: (first.kill(), first.wait())))
        self.module.hold()
        self.module.wait()
        holder.wait(5)
        self.start()
        self.assertIn(self.ended()["state"], ("done", "abandoned", "expired"))

    def test_step_that_does_not_die(self):
        # As one in uninterruptible sleep: known by name, and nobody's holder.
        self.block("sync")
        first = self.start()
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        eventually(lambda: self.events("step", name="sync"))
        first.kill()
        first.wait()
        self.start()
        eventually(lambda: self.events("job-end", name="sync"))
        self.assertEqual(self.events("job-end", name="sync")[0]["end"], "stuck")
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.events("holder"), [])

    def test_stopped_and_started(self):
        self.block("unmount")
        first = self.start()
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        first.terminate()
        self.assertEqual(first.wait(10), 0)
        self.unblock("unmount")
        self.assertIn("told to stop", self.events("note")[-1]["text"].replace("\\x20", " "))
        eventually(lambda: any(text.startswith("Stopping while") for text in self.journal.texts()))
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertTrue(self.ctl("Incident", "show", "7")["TakenOver"])
        self.assertEqual(self.ctl("Status", "status")["TakenOver"], 1)

    def test_nobody_takes_over(self):
        self.block("unmount")
        first = self.start()
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        first.kill()
        first.wait()
        self.assertEqual(self.module.wait(), "NO_DAEMON")
        self.unblock("unmount")
        # Whoever comes later says so in the record, and in the journal, once.
        later = self.start()
        self.assertEqual(self.ended()["state"], "abandoned")
        self.assertIn("none took over", self.ctl("Incident", "show", "7")["Notes"][-1])
        told = "Removal of pfn0.0 had no daemon at its end: abandoned, 0 holders (daxguardctl show 7)"
        eventually(lambda: self.journal.texts().count(told) == 1)
        later.terminate()
        later.wait(10)
        self.start()
        eventually(lambda: self.ctl("Status", "status"))
        self.assertEqual(self.journal.texts().count(told), 1)


if __name__ == "__main__":
    main()
