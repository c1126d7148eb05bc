#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What rules can ask for of units, done by the real daemon in real control groups.

usage: as test-daemon.py; DAXGUARD_FAKE_SYSTEMD: the program
"""

import json
import os
import signal
import subprocess
import sys
import time

from daemoncase import EXIT_ON_TERM, eventually, main
from unitcase import UnitCase, cgroup_root

COUNT_TERM = """
def count(*_):
    with open({!r}, "a") as f:
        f.write("%d\\n" % os.getpid())
signal.signal(signal.SIGTERM, count)
"""
MAP_ON_USR2 = """
def late(*_):
    global late_m
    late_fd = os.open({!r}, os.O_RDWR)
    late_m = mmap.mmap(late_fd, 16384)
    os.close(late_fd)
signal.signal(signal.SIGUSR2, late)
"""


class UnitTest(UnitCase):
    def test_kill_is_for_all_of_it(self):
        self.ladder("Action=kill\nScope=unit")
        holder = self.put(self.holder(), "app.service/worker")
        other = self.bystander("app.service")
        else_ = self.bystander("app2.service")
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual((holder.wait(5), other.wait(5)), (-9, -9))
        self.assertIsNone(else_.poll())
        self.ended()
        self.assertEqual(self.outcome("kill"), "sent-to-unit")
        acted = self.events("acted", action="kill")[0]
        self.assertEqual(acted["unit"], "app.service")

    def test_term_is_for_all_of_it_once(self):
        self.ladder("Action=term@1500ms kill\nScope=unit")
        count = COUNT_TERM.format(self.path("terms"))
        holders = [self.put(self.holder(count), "app.service/sub") for _ in range(2)]
        other = self.bystander("app.service", count)
        self.removal()
        with open(self.path("terms"), encoding="ascii") as file:
            pids = sorted(int(line) for line in file)
        self.assertEqual(pids, sorted(p.pid for p in (*holders, other)))
        self.assertEqual(sorted(e["outcome"] for e in self.events("acted", action="term")),
                         ["sent-to-unit", "with-its-unit"])

    def test_a_session_pays_for_nobody(self):
        self.ladder("Action=term@9s kill\nScope=unit")
        for unit in ("session-3.scope", "user@7.service/app.slice/a.service", "plain"):
            self.put(self.holder(EXIT_ON_TERM), unit)
        others = [self.bystander("session-3.scope"), self.bystander("user@7.service/b.service")]
        self.removal()
        for other in others:
            self.assertIsNone(other.poll())
        acted = self.events("acted", action="term")
        self.assertEqual({e["outcome"] for e in acted}, {"sent-alone"})
        self.assertEqual(sorted(e["output"] for e in acted),
                         ["no-unit", "shared-unit", "shared-unit"])

    def test_who_removes_the_device_is_not_ended_with_its_unit(self):
        self.ladder("Action=freeze@100ms stop@100ms kill\nScope=unit")
        unbinder = self.bystander("tools.service")
        holder = self.put(self.holder(), "tools.service")
        self.start()
        self.module.hold(unbinder=unbinder.pid)
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), -9)
        self.ended()
        self.assertIsNone(unbinder.poll())
        self.assertEqual(self.outcome("freeze"), "protected-unit")
        self.assertEqual(self.outcome("stop"), "protected-unit")
        self.assertEqual(self.outcome("kill"), "sent-alone")

    def test_freeze_lasts_until_somebody_is_asked(self):
        state = self.path("state")
        script = self.script(f"cat {self.unit('app.service')}/cgroup.events > {state}\n")
        self.ladder(f"Action=freeze@300ms exec@1s term@9s kill\nScope=unit\nExec={script}")
        holder = self.put(self.holder(EXIT_ON_TERM), "app.service")
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        # TERM has reached it, and it could answer.
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        with open(state, encoding="ascii") as file:
            self.assertIn("frozen 1", file.read())
        self.assertFalse(self.frozen("app.service"))
        self.assertEqual([e["action"] for e in self.events("unit")], ["freeze", "thaw", "term"])

    def test_freeze_ends_with_the_incident(self):
        self.ladder("Action=freeze@300ms leave\nScope=unit")
        holder = self.put(self.holder(), "app.service")
        self.block("unmount")
        self.start()
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        self.assertTrue(self.frozen("app.service"))
        self.unblock("unmount")
        self.assertEqual(self.module.wait(), "RELEASED")
        self.ended()
        self.assertFalse(self.frozen("app.service"))
        self.assertIsNone(holder.poll())
        self.assertEqual(self.outcome("freeze"), "frozen")

    def test_who_was_frozen_before_stays_so(self):
        self.ladder("Action=freeze@100ms kill\nScope=unit")
        holder = self.put(self.holder(), "app.service")
        self.put(self.holder(EXIT_ON_TERM), "late.service")
        with open(self.unit("app.service") + "/cgroup.freeze", "w", encoding="ascii") as file:
            file.write("1")
        eventually(lambda: self.frozen("app.service"))
        self.removal()
        self.assertEqual(holder.wait(5), -9)
        self.assertEqual(self.outcome("freeze", holder.pid), "frozen-before")
        self.assertTrue(self.frozen("app.service"))
        self.assertFalse(self.frozen("late.service"))

    def test_without_control_groups_it_is_for_the_process(self):
        self.ladder("Action=freeze@100ms term@9s kill\nScope=unit")
        holder = self.put(self.holder(EXIT_ON_TERM), "app.service")
        other = self.bystander("app.service")
        self.root, root = self.path("nowhere"), self.root
        self.start()
        self.root = root
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.assertIsNone(other.poll())
        self.ended()
        self.assertEqual(self.outcome("freeze"), "unsupported")
        self.assertEqual(self.outcome("term"), "sent-alone")

    def stopping(self, *how, grace="1s"):
        socket = self.path("systemd")
        server = subprocess.Popen([os.environ["DAXGUARD_FAKE_SYSTEMD"], socket, *how],
                                  stdout=subprocess.PIPE)
        self.processes.append(server)
        self.assertEqual(server.stdout.readline(), b"ready\n")
        self.ladder(f"Action=stop@{grace} term@9s kill\nScope=unit")
        self.put(self.holder(EXIT_ON_TERM), "app.service/sub")
        self.put(self.holder(EXIT_ON_TERM), "app.service")
        self.start(DAXGUARD_TEST_SYSTEMD="unix:path=" + socket)
        self.module.hold()
        self.assertEqual(server.stdout.readline(), b"app.service replace\n")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        outcomes = {e["outcome"] for e in self.events("acted", action="stop")}
        self.assertIn("with-its-unit", outcomes)
        return outcomes

    def test_stop(self):
        self.assertIn("asked", self.stopping())

    def test_stop_that_is_refused(self):
        self.assertIn("stop-failed", self.stopping("refuse"))
        self.assertIn("not\\x20loaded", json.dumps(self.events("acted", action="stop")).replace(
            "\\\\", "\\"))

    def test_stop_that_is_not_answered(self):
        self.assertIn("stop-timeout", self.stopping("silent", grace="7s"))

    def test_stop_that_lasts_longer_than_the_incident(self):
        self.assertIn("canceled", self.stopping("silent"))

    def test_stop_without_a_service_manager(self):
        self.ladder("Action=stop@1s kill")
        self.put(self.holder(), "app.service")
        self.removal()
        self.assertEqual(self.outcome("stop"), "stop-failed")


class UnitTakeoverTest(UnitCase):
    def freeze(self):
        self.ladder("Action=freeze@4s term@9s kill\nScope=unit")
        holder = self.put(self.holder(EXIT_ON_TERM), "app.service")
        daemon = self.start()
        self.module.hold()
        eventually(lambda: self.frozen("app.service"))
        eventually(lambda: self.outcome("freeze"))
        return daemon, holder

    def test_who_takes_over_thaws(self):
        first, holder = self.freeze()
        first.kill()
        first.wait()
        self.assertTrue(self.frozen("app.service"))
        self.start()
        eventually(lambda: not self.frozen("app.service"), 2)
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        self.assertEqual(self.acts(holder), ["freeze", "term"])

    def test_who_starts_too_late_thaws(self):
        first, _ = self.freeze()
        first.kill()
        first.wait()
        self.assertEqual(self.module.wait(), "NO_DAEMON")
        self.assertTrue(self.frozen("app.service"))
        self.start()
        eventually(lambda: not self.frozen("app.service"))
        self.assertEqual(self.ended()["state"], "abandoned")
        self.assertEqual(self.events("unit")[-1]["action"], "thaw")

    def test_who_is_told_to_stop_thaws(self):
        first, _ = self.freeze()
        first.terminate()
        self.assertEqual(first.wait(10), 0)
        self.assertFalse(self.frozen("app.service"))

    def test_nobody_gets_it_twice(self):
        # Also who had it with his unit, and uses the device only now.
        self.ladder("Action=term@3s kill\nScope=unit")
        terms = self.path("terms")
        count = COUNT_TERM.format(terms)
        holder = self.put(self.holder(count), "app.service")
        other = self.bystander("app.service", count + MAP_ON_USR2.format(self.pmem + "/data"))

        def n_terms():
            if not os.path.exists(terms):
                return 0
            with open(terms, encoding="ascii") as file:
                return len(file.read().split())
        first = self.start()
        self.module.hold()
        eventually(lambda: n_terms() == 2)
        eventually(lambda: self.events("acted", action="term"))
        first.kill()
        first.wait()
        other.send_signal(signal.SIGUSR2)
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual((holder.wait(5), other.wait(5)), (-9, -9))
        self.ended()
        self.assertEqual(n_terms(), 2)
        self.assertEqual(self.outcome("term", holder.pid), "sent-to-unit")
        self.assertEqual(self.outcome("term", other.pid), "with-its-unit")

    def test_who_starts_later_gets_his_own(self):
        self.ladder("Action=term@3s kill\nScope=unit")
        terms = self.path("terms")
        count = COUNT_TERM.format(terms)
        self.put(self.holder(count), "app.service")
        self.start()
        self.module.hold()
        eventually(lambda: os.path.exists(terms))
        time.sleep(0.05)  # more than a tick
        # In it before it maps anything.
        join = f"with open({self.unit('app.service')!r} + '/cgroup.procs', 'w') as f: f.write('0')"
        later = self.holder(join + count)
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        acted = self.events("acted", action="term", pid=later.pid)
        self.assertEqual([(e["outcome"], e["output"]) for e in acted],
                         [("sent-alone", "started-later")])

    def test_a_freeze_that_no_record_tells_is_not_made(self):
        self.ladder("Action=freeze@1s term@9s kill\nScope=unit")
        self.put(self.holder(EXIT_ON_TERM), "app.service")
        # A directory that cannot be made.
        self.write("run/incidents", "", 0o600)
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        told = [a for h in self.ctl("Incident", "show", "7")["Holders"] for a in h["Actions"]]
        self.assertEqual([(a["Action"], a["Outcome"]) for a in told][:2],
                         [("freeze", "unrecorded"), ("term", "sent-to-unit")])


if __name__ == "__main__":
    UnitCase.root = cgroup_root()
    if os.geteuid() != 0 or not UnitCase.root:
        print("no control groups of version 2 that may be changed")
        sys.exit(77)
    main()
