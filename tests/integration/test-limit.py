#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a device's rule wants done when its memory fails: FailureLimit=, MetadataFailure=.

usage: as test-daemon.py
"""

import errno
import os
import signal
import time

from daemoncase import DaemonCase, eventually, main
from failingmodule import PAGE
from failurecase import FIRST, GOES_ON, UUID, FailureCase
from procfs import is_mounted

REMOVAL = 10**9
FAILURE = "Event=memory-failure\nDevice=pmem0"


class LimitTest(FailureCase):
    def setUp(self):
        super().setUp()
        self.make_sysfs()
        self.topology(self.pmem0(UUID=UUID))

    def start(self, *args, **more):
        daemon = super().start(*args, **more)
        self.loaded()
        eventually(lambda: self.ctl("Devices", "list"))
        return daemon

    def fails(self, *pages, **more):
        """One incident of each; the last one's record, once it is over."""
        for page in pages:
            serial = self.module.fail(page, **more)
            self.ended(10**12 + serial)
        return self.ctl("Incident", "show", str(10**12 + serial))

    @staticmethod
    def reaction(incident):
        reaction, = incident["Reactions"]
        return reaction["Cause"], reaction["Action"], reaction["Outcome"]

    def removals(self):
        return [i["Id"] for i in self.ctl("Incidents", "incidents") if i["Kind"] == "removal"]

    def hook(self, text):
        self.write("hook", "#!/bin/sh\n" + text, 0o755)
        return f"FailureAction=exec\nExec={self.path('hook')} word"

    def hooked(self):
        try:
            with open(self.path("hooked"), encoding="utf-8") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def test_remove(self):
        """By the second bad page, after who maps it has been told of it; and by no other one."""
        self.rule("1.device", FAILURE, "FailureLimit=2\nFailureAction=remove")
        holder = self.holder(GOES_ON)
        self.start()
        first = self.fails(1)
        self.assertEqual((first["BadPages"], first["LimitReached"], first["Reactions"]), (1, False, []))
        self.assertEqual(self.removals(), [])
        incident = self.fails(2)
        removal, = self.removals()
        self.assertGreater(removal, REMOVAL)
        self.assertEqual((incident["BadPages"], incident["LimitReached"], incident["Outcome"]), (2, True, "told"))
        self.assertEqual(self.reaction(incident), ("limit", "remove", "asked"))
        self.assertEqual((incident["Reactions"][0]["Removal"], incident["Reactions"][0]["Rule"]), (removal, "1.device"))
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid] * 2)
        told = max(int(line.split()[1]) for line in self.lines(FIRST + 1) if line.split()[2] == "told")
        began = int(self.lines(removal)[0].split()[1])
        self.assertGreater(began, told)
        self.assertEqual(holder.wait(20), -signal.SIGTERM)
        eventually(lambda: self.unbound() == "pfn0.0")
        eventually(lambda: any(f"2 pages, which is the limit: remove by 1.device: asked (daxguardctl show {removal})" in text
                               for text in self.journal.texts()))
        self.assertFalse(is_mounted(self.dev))

    def metadata(self, page):
        """The file system says so of this page."""
        place = {"RANGE": 0, "OFFSET": page * PAGE, "LEN": PAGE, "KIND": "metadata", "WHAT": "inodes",
                 "FS_DEV": self.number}
        self.write("output-place", "".join(f"{key}={value}\0" for key, value in place.items()) + "\0END=ok\0\0",
                   0o600)

    def lines(self, number):
        with open(self.path(f"run/incidents/{number}"), encoding="ascii") as file:
            return file.read().splitlines()

    def test_none(self):
        """Without a rule nothing is counted."""
        self.start()
        self.assertNotIn("FailureLimit", self.fails(1, 2, 3))
        self.assertEqual(self.removals(), [])

    def test_several_at_once(self):
        self.rule("1.device", FAILURE, "FailureLimit=3\nFailureAction=remove")
        self.start()
        serial = self.module.fail(4, 3)
        self.ended(10**12 + serial)
        self.assertEqual(len(self.removals()), 1)

    def test_not_twice(self):
        """Not by what was bad already, not by more, nor by the next daemon."""
        self.rule("1.device", FAILURE, "FailureLimit=2\n" + self.hook(f"echo x >> {self.dir}/hooked\n"))
        daemon = self.start()
        self.assertEqual(self.fails(1, 2)["Reactions"][0]["Outcome"], "ok")
        self.assertEqual(self.fails(2)["Reactions"], [])
        self.assertEqual(self.fails(3)["Reactions"], [])
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)
        self.gone(daemon)
        self.start()
        again = self.fails(3)
        self.assertEqual((again["Reactions"], again["BadPages"], again["NewBadPages"]), ([], 3, 0))
        again = self.fails(5)
        self.assertEqual((again["Reactions"], again["BadPages"], again["LimitReached"]), ([], 4, True))
        self.assertEqual(self.hooked(), "x\n")

    def test_exceeded_before(self):
        """What is bad since another boot does nothing; one page more does."""
        self.rule("1.device", FAILURE, "FailureLimit=2\n" + self.hook(f"echo x >> {self.dir}/hooked\n"))
        daemon = self.start()
        self.fails(1, 2)
        self.kill(daemon)
        for name in os.listdir(self.path("run/incidents")):
            os.unlink(self.path("run/incidents/" + name))
        os.unlink(self.path("hooked"))
        # It is told of before the ledger is read.
        serial = self.module.fail(1, event=False)
        self.block("ledger")
        DaemonCase.start(self)
        eventually(lambda: os.path.exists(self.path(f"run/incidents/{10**12 + serial}")))
        time.sleep(1.5)
        self.assertNotIn("end", [kind for kind, _ in self.record(10**12 + serial)])
        self.unblock("ledger")
        self.ended(10**12 + serial)
        eventually(self.can_be_asked)
        incident = self.ctl("Incident", "show", str(10**12 + serial))
        self.assertEqual((incident["Reactions"], incident["BadPages"], incident["NewBadPages"]), ([], 2, 0))
        self.assertEqual(self.hooked(), "")
        eventually(lambda: self.ctl("Devices", "list"))
        self.assertEqual(self.reaction(self.fails(3)), ("limit", "exec", "ok"))
        self.assertEqual(self.hooked(), "x\n")

    def test_killed_before(self):
        """The next daemon does what the one before has not come to."""
        self.rule("1.device", FAILURE, "FailureLimit=1\n" + self.hook(f"echo x >> {self.dir}/hooked\n"))
        holder = self.holder(GOES_ON)
        daemon = self.start()
        self.dies_at(daemon, "SIGBUS_DEVICE")
        serial = self.module.fail(2)
        self.gone(daemon)
        self.assertEqual(self.hooked(), "")
        self.start()
        self.ended(10**12 + serial)
        incident = self.ctl("Incident", "show", str(10**12 + serial))
        self.assertEqual((self.reaction(incident), incident["Resumes"]), (("limit", "exec", "ok"), 1))
        self.assertEqual(self.hooked(), "x\n")
        self.assertIsNone(holder.poll())

    def test_within_a_time(self):
        """Neighbours in a file, of which the ledger makes one range, are pages of their own."""
        self.rule("1.device", FAILURE, "FailureLimit=2 in 10s\nFailureAction=remove")
        self.start()
        self.fails(1)
        time.sleep(10.5)
        incident = self.fails(2)
        self.assertEqual((incident["BadPages"], incident["LimitCount"], incident["Reactions"]), (2, 1, []))
        incident = self.fails(3)
        self.assertEqual((incident["BadPages"], incident["LimitCount"]), (3, 2))
        self.assertEqual(self.reaction(incident), ("limit", "remove", "asked"))

    def test_exec(self):
        """What it is told, and what it says; a process of its own does not count as one that maps it."""
        self.rule("1.device", FAILURE, "FailureLimit=1\n" + self.hook(
            f"env | grep ^DAXGUARD_ | sort > {self.dir}/hooked\ncat >> {self.dir}/hooked\necho done \"$@\"\nexit 3\n"))
        self.start()
        incident = self.fails(2)
        self.assertEqual(self.reaction(incident), ("limit", "exec", "hook-failed"))
        self.assertEqual((incident["Reactions"][0]["Status"], incident["Reactions"][0]["Output"]), (3, "done word\n"))
        said = self.hooked()
        for line in ("EVENT=memory-failure", f"INCIDENT={FIRST}", "DEVICE=pfn0.0", f"NAMESPACE={UUID}",
                     "FAILED_PAGES=1", "FAILURE_LIMIT=1", "RULE=1.device", "TIMEOUT_MSEC=5000"):
            self.assertIn(f"DAXGUARD_{line}\n", said)
        self.assertIn('"FailedPages":1,"FailureLimit":1,"Targets":["pmem0"]', said)

    def test_exec_takes_long(self):
        """Meanwhile others are told of what fails, in an incident of its own; and it ends by its time."""
        self.rule("1.device", FAILURE, "FailureLimit=1\nExecTimeoutSec=8s\n" + self.hook("sleep 60\n"))
        holder = self.holder(GOES_ON)
        self.start()
        first = self.module.fail(1)
        eventually(lambda: "hook" in self.steps())
        self.module.wait_forgotten(first)
        time.sleep(1.2)
        self.fails(2)
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid] * 2)
        self.assertNotIn("end", [kind for kind, _ in self.record(FIRST)])
        self.ended(FIRST)
        self.assertEqual(self.reaction(self.ctl("Incident", "show", str(FIRST))), ("limit", "exec", "hook-timeout"))

    def test_killed_in_exec(self):
        """It is not run again, and the record says so."""
        self.rule("1.device", FAILURE, "FailureLimit=1\nExecTimeoutSec=30s\n" +
                  self.hook(f"echo x >> {self.dir}/hooked\nsleep 60\n"))
        daemon = self.start()
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000
        self.module.fail(2)
        eventually(self.hooked)
        self.kill(daemon)
        self.start()
        self.ended(FIRST)
        self.assertEqual(self.reaction(self.ctl("Incident", "show", str(FIRST))), ("limit", "exec", "lost"))
        self.assertEqual(self.hooked(), "x\n")

    def test_system_device(self):
        self.topology(self.pmem0(UUID=UUID), {"SYSTEM_OF": "pmem0", "WHY": "/var"})
        self.rule("1.device", FAILURE, "FailureLimit=1\nFailureAction=remove")
        self.start()
        self.assertEqual(self.reaction(self.fails(2)), ("limit", "remove", "system-device"))
        self.assertEqual(self.removals(), [])

    def test_removal_under_way(self):
        self.rule("1.device", FAILURE, "FailureLimit=1\nFailureAction=remove")
        self.start()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        incident = self.fails(2, flags=self.module.encoder["FAIL_REMOVING"])
        self.assertEqual(self.reaction(incident), ("limit", "remove", "under-way"))
        self.assertEqual(incident["Reactions"][0]["Removal"], 7)
        self.unblock("sync")
        self.module.wait()
        self.assertEqual(self.removals(), [7])

    def test_metadata_sync(self):
        """After everybody has been told of all that has failed; once."""
        self.rule("1.device", FAILURE, "MetadataFailure=sync")
        self.metadata(3)
        holders = [self.holder(GOES_ON) for _ in range(2)]
        self.start()
        early = []
        self.module.hooks.append(("SIGBUS_DEVICE", lambda: early.extend(self.steps())))
        self.block("protected")
        for page in (3, 1):
            self.module.fail(page)
        self.unblock("protected")
        self.ended(FIRST)
        incident = self.ctl("Incident", "show", str(FIRST))
        self.assertEqual(self.reaction(incident), ("metadata", "sync", "ok"))
        self.assertNotIn("sync", early)
        self.assertEqual(self.steps().count("sync"), 1)
        self.assertEqual({pid for pid, _, _ in self.module.told}, {h.pid for h in holders})
        self.assertEqual(self.removals(), [])

    def test_metadata_sync_hangs(self):
        """Others are told meanwhile, and no second one hangs beside it."""
        self.rule("1.device", FAILURE, "MetadataFailure=sync")
        holder = self.holder(GOES_ON)
        daemon = self.start()
        self.block("sync")
        self.metadata(1)
        self.module.fail(1)
        eventually(lambda: "sync" in self.steps())
        time.sleep(1.5)
        self.metadata(2)
        self.assertEqual(self.reaction(self.fails(2)), ("metadata", "sync", "running"))
        self.assertEqual([pid for pid, _, _ in self.module.told], [holder.pid] * 2)
        self.assertEqual(self.reaction(self.ctl("Incident", "show", str(FIRST))), ("metadata", "sync", "begun"))
        # It is the end of the step that is waited for.
        eventually(lambda: self.sleeps(daemon))
        self.unblock("sync")
        self.ended(FIRST)
        self.assertEqual(self.reaction(self.ctl("Incident", "show", str(FIRST))), ("metadata", "sync", "ok"))

    def test_metadata_remove(self):
        self.rule("1.device", FAILURE, "MetadataFailure=remove\nFailureLimit=1\nFailureAction=remove")
        self.metadata(2)
        self.start()
        incident = self.fails(2)
        removal, = self.removals()
        self.assertEqual([(r["Cause"], r["Outcome"], r["Removal"]) for r in incident["Reactions"]],
                         [("metadata", "asked", removal), ("limit", "under-way", removal)])

    def test_metadata_none(self):
        self.metadata(2)
        self.start()
        self.assertEqual(self.fails(2)["Reactions"], [])


if __name__ == "__main__":
    main()
