#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon and the real steps, with a fake kernel link.

Runs in a pid, mount (and, without root, user) namespace of its own.

usage: test-daemon.py DAXGUARDD_FAKE DAXGUARD_STEP DAXGUARDCTL UAPI_HEADER [unittest arguments]
"""

import errno
import json
import os
import signal
import subprocess
import time
import unittest

from daemoncase import (EXIT_ON_TERM, IGNORE_TERM, OPEN_ONLY, UNMAP_ON_BUS, DaemonCase,
                        eventually, main)
from procfs import is_mounted, start_ns


class IncidentTest(DaemonCase):
    def test_terminated(self):
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        self.assertEqual(self.module.words()[:2], ["REGISTER", "GET_PENDING"])
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.assertFalse(is_mounted(self.dev))
        self.assert_order("REGISTER", "GET_PENDING", "TAKE", "SCAN", "GET_HOLDERS", "ACK")
        self.assertEqual(self.module.said("RELEASE"), [])
        steps = self.steps()
        self.assertLess(steps.index("sync"), steps.index("unmount"))
        self.assertGreaterEqual(steps.count("sync"), 2)
        self.assertEqual(self.ended()["state"], "done")
        self.assertEqual([e["action"] for e in self.events("act", pid=holder.pid)][-1], "term")
        self.assertEqual(self.events("freed", pid=holder.pid)[0]["how"], "exited")
        self.assertEqual(self.events("done")[0]["result"], "acked")
        self.assertEqual([e["result"] for e in self.events("mount") if e.get("result")], ["ok"])
        eventually(lambda: any(str(holder.pid) == e.get("DAXGUARD_PID")
                               for e in self.journal.entries))
        self.assertEqual(len(self.ctl("Incidents", "incidents")), 1)
        self.assertIn(str(holder.pid), json.dumps(self.ctl("Incident", "show", "7")))

    def test_data_is_synced_before_anybody_is_signalled(self):
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        time.sleep(0.5)
        self.assertIsNone(holder.poll())
        self.assertEqual(self.module.said("ACK"), [])
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")

    def test_one_too_many(self):
        """Of 65 at once the last is not taken: the kernel goes on without us."""
        self.block("sync")
        self.start()
        for number in range(1, 66):
            self.module.hold(number, hold_s=4)
        self.assertEqual(self.module.wait(65), "NO_DAEMON")
        self.assertEqual({words[1] for words in self.module.said("TAKE")},
                         {str(number) for number in range(1, 65)})
        text = "Removal of pfn0.0 is left to the kernel: too many are under way"
        eventually(lambda: text in self.journal.texts(), 15)
        self.assertEqual(self.journal.texts().count(text), 1)

    def test_killed(self):
        holder = self.holder(IGNORE_TERM)
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.ended()
        self.assertEqual([e["action"] for e in self.events("act", pid=holder.pid)][-2:],
                         ["term", "kill"])

    def test_sigbus_is_enough(self):
        # Refused once, its mappings being locked: sent again after the next look.
        holder = self.holder(after=UNMAP_ON_BUS)
        self.module.refusals["SIGBUS"] = [(errno.EBUSY, "busy with its mappings")]
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertIsNone(holder.poll())
        self.assertEqual([(p, c) for p, _, c in self.module.sigbus], [(holder.pid, 5)])
        self.ended()
        self.assertEqual([(e["action"], e["outcome"]) for e in self.events("acted")],
                         [("sigbus", "EBUSY"), ("sigbus", "sent")])
        self.assertEqual(self.events("freed", pid=holder.pid)[0]["how"], "unmapped")

    def test_no_handler_no_sigbus(self):
        self.holder(EXIT_ON_TERM)
        self.start()
        begin = time.monotonic()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.module.sigbus, [])
        self.assertLess(time.monotonic() - begin, 3)  # nor is its grace waited for

    def test_stopped(self):
        holder = self.holder(EXIT_ON_TERM)
        os.kill(holder.pid, signal.SIGSTOP)
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertIsNotNone(holder.wait(5))

    def test_open_only_is_left(self):
        holder = self.holder(code=OPEN_ONLY)
        self.start()
        self.module.hold()
        result = self.module.wait()
        self.assertIsNone(holder.poll())
        self.assertFalse(is_mounted(self.dev))
        self.assertIn(result, ("ACKED", "RELEASED"))
        self.ended()
        self.assertEqual(self.events("act", pid=holder.pid, action="term"), [])
        self.assertIn("detach", self.steps())
        self.assertIn("shutdown", self.steps())

    def test_many_at_once(self):
        holders = [self.holder(EXIT_ON_TERM) for _ in range(5)]
        holders += [self.holder(IGNORE_TERM) for _ in range(3)]
        self.start()
        begin = time.monotonic()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertLess(time.monotonic() - begin, 8)
        for holder in holders:
            self.assertIsNotNone(holder.wait(5))

    def test_very_many(self):
        # More than once fitted into a record; they are gone when it comes to them.
        self.module.extra_usages = [
            self.module.usage(4000000 + n, 10**9, "MAPPED", "crowd") for n in range(1200)]
        self.start()
        self.module.hold()
        self.module.wait()
        self.ended()
        self.assertEqual(len(self.events("holder", comm="crowd")), 1200)
        incident = self.ctl("Incident", "show", "7")
        self.assertFalse(incident["Unrecorded"])
        self.assertEqual((incident["HolderCount"], incident["LeftOut"]), (1200, 0))

    def test_gone_already_and_pid_used_again(self):
        # The list names a pid that is somebody else's by now: hands off.
        innocent = self.holder(path=self.path("kmsg"), before="os.ftruncate(fd, 65536)")
        e = self.module.encoder
        self.module.extra_usages = [
            self.module.usage(innocent.pid, start_ns(innocent.pid) - 5 * 10**9, "MAPPED", "other",
                              e.u64("ADDR", 4096), e.u64("LEN", 4096)),
            self.module.usage(2**22 - 1, 10**9, "MAPPED", "gone", e.u64("ADDR", 4096),
                              e.u64("LEN", 4096)),
        ]
        self.module.hooks.append(("GET_FS", lambda: self.module.extra_usages.clear()))
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertIsNone(innocent.poll())
        self.assertEqual(self.module.sigbus, [])

    def test_unbinder_is_spared(self):
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        self.module.hold(unbinder=holder.pid)
        self.module.wait()
        self.assertIsNone(holder.poll())

    def test_protected_is_spared(self):
        holder = self.holder(EXIT_ON_TERM)
        self.write("output-protected", f"PID={holder.pid}\0START_NS={start_ns(holder.pid)}\0"
                   "NAME=dbus.service\0\0", 0o600)
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        self.assertIsNone(holder.poll())
        self.assertIn("still-mapped", self.ended()["outcome"])

    def test_system_device(self):
        # The machine lives on it: sync, signal nobody, unmount nothing, let go.
        holder = self.holder(EXIT_ON_TERM)
        self.write("output-mounts", "SYSTEM=/usr\0\0", 0o600)
        self.start()
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        self.assertIsNone(holder.poll())
        self.assertTrue(is_mounted(self.dev))
        self.assertIn("sync", self.steps())
        for verb in ("unmount", "shutdown", "detach"):
            self.assertNotIn(verb, self.steps())
        self.ended()
        self.assertIn("system-device", {e["name"] for e in self.events("mark")} |
                      {e["outcome"] for e in self.events("end")})

    def test_refused_ack_once(self):
        # Something was live for a moment: looked at again, then said again.
        self.start()
        self.module.refusals["ACK"] = [(errno.EBUSY, "a file system is live")]
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(len(self.module.said("ACK")), 2)

    def test_refused_ack_then_release(self):
        self.start()
        self.module.refusals["ACK"] = [(errno.EBUSY, "a file system is live")] * 1000
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        self.assertGreaterEqual(len(self.module.said("ACK")), 1)
        self.ended()

    def test_surprise_is_not_synced(self):
        self.start()
        self.module.hold(flags=self.module.encoder["F_SURPRISE"])
        self.assertIn(self.module.wait(), ("ACKED", "RELEASED"))
        self.assertNotIn("sync", self.steps())

    def test_pending_at_start(self):
        # Held before the daemon is there: its activation in real life.
        self.module.hold()
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.module.words()[:3], ["REGISTER", "GET_PENDING", "TAKE"])
        self.assertNotIn("topology", self.steps())

    def test_lost_messages(self):
        self.start()
        n = len(self.module.words())
        self.module.lose()
        # The registration may have been lost with them, unheard.
        eventually(lambda: "REGISTER GET_PENDING GET_FAILURES" in " ".join(self.module.words()[n:]))

    def test_done_arrives_with_the_dump(self):
        # The dump does not name it any more, and how it ended is not read yet.
        def ask_at_the_end():
            self.module.hooks.append(("GET_PENDING", self.module.wait))
            self.module.lose()
        self.start()
        self.module.hooks.append(("ACK", ask_at_the_end))
        self.module.hold()
        self.ended()
        self.assertEqual(self.events("done")[0]["revoke"], "clean")

    def test_event_of_unknown_hold_ends(self):
        self.start()
        self.module.refusals["TAKE"] = [(errno.ENOENT, "no such request")] * 5
        self.module.hold()
        self.module.wait_for("TAKE")
        with self.module.lock:
            self.module.requests.clear()
        self.assertIn(self.ended()["state"], ("abandoned", "expired"))

    def test_two_holds(self):
        self.start()
        self.module.hold(7)
        self.module.hold(8, device="pfn1.0", dev=os.makedev(240, 77))
        self.assertEqual(self.module.wait(7), "ACKED")
        self.assertEqual(self.module.wait(8), "ACKED")

    def test_nothing_is_said_while_a_hold_is_open(self):
        holder = self.holder(IGNORE_TERM)
        self.start()
        eventually(lambda: "topology" in self.steps())
        time.sleep(0.3)
        n = len(self.journal.entries)
        self.block("unmount")
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        self.assertEqual(len(self.journal.entries), n)
        self.unblock("unmount")
        self.module.wait()
        self.assertIsNotNone(holder.wait(5))
        eventually(lambda: len(self.journal.entries) > n)


class StuckStepTest(DaemonCase):
    config = "[Daemon]\nStepTimeoutSec=1\n"

    def test_sync(self):
        self.start()
        self.block("sync")
        self.module.hold()
        self.assertIn(self.module.wait(), ("ACKED", "RELEASED"))
        self.ended()
        self.assertEqual(self.events("job-end", name="sync")[0]["end"], "timeout")
        # The unmount has synced it.
        self.assertNotIn("sync-failed", {e["name"] for e in self.events("mark")})

    def test_sync_with_somebody_left(self):
        self.holder(code=OPEN_ONLY)
        self.start()
        self.block("sync")
        self.block("shutdown")
        self.module.hold()
        self.module.wait()
        self.ended()
        self.assertIn("sync-failed", {e["name"] for e in self.events("mark")})

    def test_unmount(self):
        self.start()
        self.block("unmount")
        self.module.hold()
        self.module.wait()
        self.ended()
        self.assertEqual(self.events("job-end", name="unmount")[0]["end"], "timeout")

    def test_unmount_in_the_middle_of_a_word(self):
        os.mkfifo(self.path("output-unmount"))
        fd = os.open(self.path("output-unmount"), os.O_RDWR)
        self.addCleanup(os.close, fd)
        os.write(fd, b"PATH=/x\0RESULT=bu")
        self.start()
        self.module.hold()
        self.module.wait()
        self.ended()
        self.assertEqual(self.events("job-end", name="unmount")[0]["end"], "timeout")

    def test_claim_lasts_until_the_deadline(self):
        # As long as it is wanted: that it ends then is no loss.
        self.module.hold_s = 4.0
        self.start()
        self.block("claim")
        self.module.refusals["ACK"] = self.module.refusals["RELEASE"] = [(errno.EBUSY, "not now")] * 1000
        self.module.hold()
        self.assertEqual(self.module.wait(), "TIMEOUT")
        self.ended()
        self.assertEqual([e["end"] for e in self.events("job-end", name="claim")], ["timeout"])
        self.assertEqual(self.ctl("Status", "status")["LostSteps"], 0)

    def test_all(self):
        # Nothing that may block comes back: the hold ends by us all the same.
        self.start()
        for verb in ("sync", "mounts", "protected", "unmount", "shutdown", "detach", "procscan"):
            self.block(verb)
        holder = self.holder(EXIT_ON_TERM)
        self.module.hold()
        self.assertEqual(self.module.wait(), "RELEASED")
        # Nobody could say whether the machine lives on it: nobody is signalled.
        self.assertIsNone(holder.poll())


class PreconditionTest(DaemonCase):
    def test_second_daemon(self):
        self.start()
        second = self.start(wait=False)
        self.assertEqual(second.wait(10), 4)
        self.assertIn(b"another daemon", second.stderr.read())

    def test_start_that_fails_is_no_storm(self):
        # The service manager does not pause before it tries again.
        self.module.refusals["REGISTER"] = [(errno.EPERM, "not now")]
        begin = time.monotonic()
        daemon = self.start(wait=False, notify=True)
        self.assertEqual(daemon.wait(10), 1)
        self.assertGreater(time.monotonic() - begin, 0.5)
        self.assertIn(b"cannot start", daemon.stderr.read())

    def test_wrong_configuration(self):
        self.write("daxguardd.conf", "[Daemon]\nReserveSec=soon\n", 0o644)
        self.start()
        eventually(lambda: any("daxguardd.conf:2:" in text for text in self.journal.texts()))
        status = self.ctl("Status", "status")
        self.assertTrue(status["ConfigBuiltin"])
        self.assertIn("daxguardd.conf:2:", status["ConfigErrors"][0])
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")

    def test_configuration_that_others_may_write(self):
        self.write("daxguardd.conf", "[Daemon]\nReserveSec=5\n", 0o666)
        self.start()
        eventually(lambda: any("daxguardd.conf" in text for text in self.journal.texts()))

    def test_terminates(self):
        daemon = self.start()
        eventually(lambda: "topology" in self.steps())
        daemon.terminate()
        self.assertEqual(daemon.wait(10), 0)
        self.assertEqual(daemon.stderr.read(), b"")

    def test_usage(self):
        done = subprocess.run([self.daemon, "--nonsense"], stderr=subprocess.PIPE, check=False,
                              env={"DAXGUARD_TEST_DIR": self.dir})
        self.assertEqual(done.returncode, 2)


class ModuleTest(DaemonCase):
    def new_module(self, **more):
        return super().new_module(present=False, **more)

    def test_comes_goes_and_comes_back(self):
        daemon = self.start(wait=False)
        eventually(lambda: any("modprobe daxguard" in text for text in self.journal.texts()))
        self.assertEqual(self.module.words(), [])
        self.assertFalse(self.ctl("Status", "status", status=5)["ModuleLoaded"])
        for _ in range(2):
            n = len(self.module.said("REGISTER"))
            self.module.load(True)
            self.module.wait_for("REGISTER", n + 1)
            self.module.wait_for("GET_PENDING", n + 1)
            self.module.load(False)
        self.assertIsNone(daemon.poll())
        self.module.load(True)
        self.module.wait_for("GET_PENDING", 3)
        self.assertTrue(self.ctl("Status", "status")["Registered"])
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")

    def test_refused_at_first(self):
        def last():
            return ([""] + [t for t in self.journal.texts() if t.startswith("Removals are")])[-1]
        self.start(wait=False)
        eventually(lambda: "modprobe daxguard" in last())
        self.module.refusals["REGISTER"] = [(errno.EBUSY, "another one")]
        self.module.load(True)
        eventually(lambda: last() == "Removals are not held: another daemon is registered")
        eventually(lambda: last() == "Removals are held")

    def test_numbers_begin_anew(self):
        # The same number from the module's next life is another hold.
        self.start(wait=False)
        self.module.load(True)
        self.module.wait_for("GET_PENDING")
        for n in range(2):
            self.module.results.clear()
            self.module.hold()
            self.assertEqual(self.module.wait(), "ACKED")
            self.ended()
            eventually(lambda: self.ctl("Incidents", "incidents")[-1].get("EndedUsec"))
            self.assertEqual(len(self.events("begin")), 1)
            self.assertEqual(self.events("resume"), [])
            self.assertEqual(len(self.ctl("Incidents", "incidents")), 1)
            self.module.load(False)
            self.module.load(True)
            self.module.wait_for("GET_PENDING", n + 2)


if __name__ == "__main__":
    main()
