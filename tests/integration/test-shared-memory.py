#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Threads, and processes with the same memory, are one holder.

usage: as test-daemon.py, with DAXGUARD_VM_SIBLING in the environment
"""

import os
import signal
import subprocess

from daemoncase import DaemonCase, eventually, main
from procfs import same_memory


class SharedMemoryTest(DaemonCase):
    def siblings(self, *args):
        """Two processes, and the pid of the second."""
        process = subprocess.Popen([os.environ["DAXGUARD_VM_SIBLING"], self.pmem + "/data", *args],
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        word, pid = process.stdout.readline().split()
        self.assertEqual(word, b"ready")
        if not same_memory(process.pid, int(pid)):
            self.skipTest("no kcmp(2) here")
        return process, int(pid)

    def remove(self):
        eventually(self.can_be_asked)
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        return {h["Pid"]: h for h in self.ctl("Incident", "show", "7")["Holders"]}

    @staticmethod
    def got(holder):
        return [(a["Action"], a["Outcome"]) for a in holder["Actions"]]

    def test_one_ladder(self):
        """Who was there first is asked, for both; both are ended, since his memory lives as long as one of them."""
        self.rule("1.policy", "Access=mapped", "Action=sigbus@200ms term@200ms kill")
        leader, other = self.siblings()
        self.start()
        holders = self.remove()
        self.assertEqual(leader.wait(5), -signal.SIGKILL)
        eventually(lambda: not os.path.exists(f"/proc/{other}/exe"))
        self.assertEqual(self.got(holders[leader.pid]), [("sigbus", "sent"), ("term", "sent"), ("kill", "sent")])
        self.assertEqual(self.got(holders[other]), [("sigbus", "shared-memory"), ("term", "sent"), ("kill", "sent")])
        self.assertEqual(holders[other]["SharedWith"], leader.pid)
        self.assertNotIn("SharedWith", holders[leader.pid])
        self.assertEqual({pid for pid, _, _ in self.module.sigbus}, {leader.pid})
        # Neither waits for the other.
        at = {pid: holders[pid]["Actions"][1]["AtUsec"] for pid in holders}
        self.assertAlmostEqual(at[leader.pid], at[other], delta=100000)

    def test_one_lets_go_for_both(self):
        self.rule("1.policy", "Access=mapped", "Action=sigbus@5s term@5s kill")
        leader, other = self.siblings("unmap")
        self.start()
        holders = self.remove()
        self.assertEqual({pid: h["End"] for pid, h in holders.items()}, {leader.pid: "unmapped", other: "unmapped"})
        self.assertIsNone(leader.poll())
        self.assertTrue(os.path.exists(f"/proc/{other}/exe"))

    def test_foreseen(self):
        """In advance as it comes then."""
        self.rule("1.policy", "Access=mapped", "Action=sigbus@100ms term@100ms kill")
        self.topology(self.pmem0())
        leader, other = self.siblings()
        self.start()
        eventually(lambda: self.can_be_asked() and self.ctl("Devices", "list"))
        now = {h["Pid"]: h for h in self.ctl("Simulation", "explain", "pmem0")["Holders"]}
        self.assertEqual(now[other]["SharedWith"], leader.pid)
        then = self.remove()
        for pid in (leader.pid, other):
            self.assertEqual([(a["Action"], a["Outcome"]) for a in now[pid]["Actions"]],
                             [(action, "" if outcome == "sent" else outcome) for action, outcome in self.got(then[pid])])
            self.assertEqual(now[pid]["Rule"], then[pid]["Rule"])

    def test_threads(self):
        """One pid, one ladder, whatever its threads."""
        self.rule("1.policy", "Access=mapped", "Action=term@2s kill")
        holder = self.holder("import threading\n"
                             "for _ in range(8): threading.Thread(target=time.sleep, args=(9,), daemon=True).start()")
        self.start()
        holders = self.remove()
        self.assertEqual({pid: self.got(h) for pid, h in holders.items()}, {holder.pid: [("term", "sent")]})


if __name__ == "__main__":
    main()
