#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Holders are checkpointed: by the real daemon, with a step that only says so.

usage: as test-daemon.py
"""

import os
import signal
import sys
import unittest

from daemoncase import EXIT_ON_TERM, HOLDER, eventually, main
from laddercase import LadderCase
from unitcase import UnitCase, cgroup_root

# Keeps what it was told; then it is whatever the file "result" says, or done.
STEP = """#!{python}
import os, signal, sys, time
data = sys.stdin.buffer.read()
first = dict(f.split("=", 1) for f in data.decode().split("\\0\\0")[0].split("\\0"))
with open("{dir}/request-" + first["ID"], "wb") as file:
    file.write(data)
with open("{dir}/requests", "a") as file:
    file.write(first["ID"] + "\\n")
if os.path.exists("{dir}/hang"):
    signal.pause()
while os.path.exists("{dir}/wait"):
    time.sleep(0.05)
result = "RESULT=ok\\0BYTES=4096\\0DUMP_USEC=1\\0\\0"
if os.path.exists("{dir}/result"):
    with open("{dir}/result") as file:
        result = file.read()
else:
    for field in data.decode().split("\\0"):
        if field.startswith(("PID=", "HOLDER=")):
            try:
                os.kill(int(field.split("=")[1]), signal.SIGKILL)
            except ProcessLookupError:
                pass
sys.stdout.write(result)
"""
FORK = "child = os.fork()\nif child == 0:\n    signal.pause()\n"


class CheckpointCase(LadderCase):
    def setUp(self):
        super().setUp()
        self.write("fake-checkpoint", STEP.format(python=sys.executable, dir=self.dir), 0o755)

    def ladder(self, text):
        """Of whoever maps it, and is trusted."""
        self.rule("50-test.policy", f"Access=mapped\nUser={os.getuid()}", text)

    def result(self, word, text=""):
        self.write("result", f"RESULT={word}\0TEXT={text}\0\0", 0o600)

    def requests(self):
        return self.lines("requests")

    def request(self, name):
        """Its records, each a list of fields."""
        with open(self.path("request-" + name), "rb") as file:
            return [r.split("\0") for r in file.read().decode().split("\0\0") if r]

    def told(self, name):
        """Its first record, where each field is there once."""
        return dict(field.split("=", 1) for field in self.request(name)[0])

    def waiting(self, n=1):
        """So many are under way, and this is recorded."""
        eventually(lambda: self.requests() and
                   len(self.events("acted", action="checkpoint", outcome="waiting")) == n)

    def taken_over(self, first, result="ACKED"):
        """From a daemon that dies in a dump, which goes on."""
        first.kill()
        first.wait()
        os.unlink(self.path("hang"))
        self.start()
        self.assertEqual(self.module.wait(), result)
        self.ended()

    def id_of(self, process, incident=7):
        begin = self.record(incident)[0][1]
        return f"{begin['boot_id'][:8]}-{incident}-{process.pid}"

    def end_of(self, process):
        return self.events("freed", pid=process.pid)[-1]["how"]


class CheckpointTest(CheckpointCase):
    def test_it_is_made_and_told(self):
        self.ladder("Action=checkpoint@9s kill")
        self.rule("10.device", "Device=*", "RestoreOnReturn=yes")
        self.topology(self.pmem0(UUID="0b1cf8cc-0000-4000-8000-000000000001"))
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        eventually(lambda: self.ctl("Devices", "list"))
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.ended()
        name = self.id_of(holder)
        self.assertEqual(self.acts(holder), ["checkpoint"])
        self.assertEqual(self.outcome("checkpoint"), "checkpointed")
        self.assertEqual(self.end_of(holder), "checkpointed")
        self.assertEqual(self.events("acted", outcome="waiting")[0]["checkpoint"], name)
        first, *mounts = self.request(name)
        told = self.told(name)
        self.assertEqual((told["ID"], told["PID"], told["HOLDER"]), (name, str(holder.pid), str(holder.pid)))
        self.assertEqual((told["SCOPE"], told["INCIDENT"], told["RULE"]), ("process", "7", "50-test.policy"))
        self.assertEqual((told["DIR"], told["RESTORE"]), (self.path("state/checkpoints"), "1"))
        self.assertEqual(told["RUN"], self.path("run/checkpoints"))
        self.assertEqual((told["UID"], told["COMM"]), (str(os.getuid()), "python3"))
        self.assertEqual((told["MAX_BYTES"], told["KEEP_FREE"]), (str(4 << 30), str(256 << 20)))
        self.assertLess(int(told["TIMEOUT_MSEC"]), 9000)
        self.assertIn("GUARDED=" + self.number, first)
        self.assertIn([f"MOUNT={self.pmem}", "TYPE=tmpfs", "DEVICE=pmem0",
                       "NS_UUID=0b1cf8cc-0000-4000-8000-000000000001", f"FS_DEV={self.number}"], mounts)
        shown = self.ctl("Incident", "show", "7")["Holders"][0]
        self.assertEqual((shown["End"], shown["Actions"][0]["Checkpoint"]), ("checkpointed", name))
        self.assertIn(name, self.text("show", "7"))
        eventually(lambda: any(e.get("DAXGUARD_CHECKPOINT") == name for e in self.journal.entries))

    def test_one_that_cannot_be_made(self):
        # Nobody waits for the half hour.
        self.ladder("Action=checkpoint@30min term@9s kill")
        self.result("failed", "Can't dump a socket")
        self.make_sysfs()
        self.topology(self.pmem0())
        holder = self.holder(EXIT_ON_TERM)
        self.start()
        eventually(lambda: self.ctl("Devices", "list"))
        self.text("remove", "pmem0")
        self.assertEqual(holder.wait(5), 0)
        number = self.ctl("Incident", "show")["Id"]
        self.ended(number)
        acted = [e for kind, e in self.record(number) if kind == "acted" and e["action"] == "checkpoint"]
        self.assertEqual([e["outcome"] for e in acted], ["waiting", "failed"])
        told = self.ctl("Incident", "show", str(number))["Holders"][0]
        self.assertEqual([a["Action"] for a in told["Actions"]], ["checkpoint", "term"])
        self.assertEqual(told["Actions"][0]["Output"], "Can't dump a socket")
        self.assertEqual(told["End"], "exited")

    def test_a_word_that_is_none(self):
        self.ladder("Action=checkpoint@9s kill")
        self.result("What else\n")
        self.holder()
        self.removal()
        self.assertEqual(self.outcome("checkpoint"), "failed")

    def test_one_that_was_in_another(self):
        self.ladder("Action=checkpoint@9s term@9s kill")
        # By then it is gone.
        self.write("fake-checkpoint", "#!/bin/sh\nkill -9 $(tr '\\0' '\\n' | sed -n s/^HOLDER=//p)\n"
                   "printf 'RESULT=with\\0OF=0b1cf8cc-7-9\\0\\0'\n", 0o755)
        holder = self.holder()
        self.removal()
        self.assertEqual(self.outcome("checkpoint"), "checkpointed-with")
        self.assertEqual(self.end_of(holder), "checkpointed")
        told = self.ctl("Incident", "show", "7")["Holders"][0]["Actions"][0]
        self.assertEqual(told["Checkpoint"], "0b1cf8cc-7-9")

    def test_a_step_that_dies(self):
        self.ladder("Action=checkpoint@9s kill")
        self.write("fake-checkpoint", "#!/bin/sh\nkill -9 $$\n", 0o755)
        self.holder()
        self.removal()
        self.assertEqual(self.outcome("checkpoint"), "failed")

    def test_a_tree_is_one(self):
        self.ladder("Action=checkpoint@9s kill")
        parent = self.holder(after=FORK)
        self.removal()
        self.assertEqual(self.requests(), [self.id_of(parent)])
        child, = {e["pid"] for e in self.events("holder")} - {str(parent.pid)}
        self.assertEqual(self.outcome("checkpoint", parent.pid), "checkpointed")
        self.assertEqual(self.outcome("checkpoint", child), "checkpointed-with")
        self.assertEqual({e["how"] for e in self.events("freed")}, {"checkpointed"})

    def test_whom_a_rule_leaves_is_no_ancestor(self):
        self.rule("10-parent.policy", "Command=parent", "Action=leave")
        self.ladder("Action=checkpoint@9s kill")
        parent = self.holder(after=FORK + "open('/proc/self/comm', 'w').write('parent')\n")
        self.removal("RELEASED")
        self.assertEqual(len(self.requests()), 1)
        self.assertNotEqual(self.requests(), [self.id_of(parent)])
        self.assertIsNone(parent.poll())

    def test_who_removes_the_device_is_not_dumped(self):
        # Whose trees he is in is for the step to see.
        self.ladder("Action=checkpoint@9s term@9s kill")
        self.result("protected")
        holder = self.holder(EXIT_ON_TERM, after="""child = os.fork()
if child == 0:
    m.close()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pause()
open({!r}, "w").write(str(child))
""".format(self.path("child")))
        with open(self.path("child"), encoding="ascii") as file:
            unbinder = int(file.read())
        self.start()
        self.module.hold(unbinder=unbinder)
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        self.assertEqual(self.outcome("checkpoint", holder.pid), "protected")
        self.assertIn(f"PROTECTED={unbinder}", self.request(self.id_of(holder))[0])

    def test_many_at_a_time(self):
        self.ladder("Action=checkpoint@12s kill")
        holders = [self.holder() for _ in range(20)]
        self.removal()
        self.assertEqual(sorted(self.requests()), sorted(self.id_of(h) for h in holders))
        self.assertEqual({self.end_of(h) for h in holders}, {"checkpointed"})

    def test_many_that_cannot_be_made(self):
        self.ladder("Action=checkpoint@12s term@9s kill")
        self.result("no-criu")
        holders = [self.holder(EXIT_ON_TERM) for _ in range(20)]
        self.removal()
        self.assertEqual({h.wait(5) for h in holders}, {0})
        self.assertEqual({self.outcome("checkpoint", h.pid) for h in holders}, {"no-criu"})

    def test_one_that_does_not_end(self):
        self.ladder("Action=checkpoint@300ms term@9s kill")
        self.write("hang", "", 0o600)
        holder = self.holder(EXIT_ON_TERM)
        self.removal()
        self.assertEqual(holder.wait(5), 0)
        self.assertEqual(self.outcome("checkpoint"), "timeout")
        self.assertEqual(self.acts(holder), ["checkpoint", "term"])
        # It is known how it ended only when it is known that it was not dumped.
        self.assertEqual(self.end_of(holder), "exited")

    def test_the_removal_is_over_before(self):
        """The record has an end then; what comes of it the journal says."""
        self.ladder("Action=checkpoint@9s kill")
        self.write("wait", "", 0o600)
        holder = self.holder()
        daemon = self.start()
        self.module.hold(hold_s=60)
        self.waiting()
        self.module.withdraw()
        self.ended()
        self.assertEqual(self.outcome("checkpoint"), "canceled")
        name = self.id_of(holder)
        os.unlink(self.path("wait"))
        eventually(lambda: any(e.get("DAXGUARD_CHECKPOINT") == name and e.get("DAXGUARD_RESULT") == "ok"
                               for e in self.journal.entries))
        said = f"Checkpoint {name} of python3 ({holder.pid}) was made, though its removal was over before"
        self.assertIn(said, self.journal.texts())
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.assertIsNone(daemon.poll())

    def test_nobody_waits_when_the_daemon_ends(self):
        self.ladder("Action=checkpoint@9s kill")
        self.write("wait", "", 0o600)
        self.holder()
        daemon = self.start()
        self.module.hold(hold_s=60)
        self.waiting()
        self.module.withdraw()
        self.ended()
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)

    def test_it_is_forecast(self):
        self.ladder("Action=checkpoint@9s kill")
        holder = self.holder()
        self.topology(self.pmem0())
        self.start()
        eventually(lambda: self.ctl("Devices", "list"))

        def first():
            return self.ctl("Process", "explain", "pmem0", str(holder.pid))["Actions"][0]
        self.assertEqual((first()["Action"], first()["Outcome"]), ("checkpoint", "no-criu"))
        self.write("criu", "", 0o755)
        self.assertEqual((first()["Outcome"], first()["GraceMsec"]), ("", 9000))

    def test_without_criu_there_is_a_warning(self):
        self.ladder("Action=checkpoint@9s kill")
        said = "50-test.policy:5: checkpoint needs CRIU, which is not installed: it is passed over"
        self.start()
        eventually(lambda: any(text.endswith(said) for text in self.journal.texts()))
        self.assertTrue(self.ctl("Policy", "policy")["Warnings"][0].endswith(said))
        self.assertIn(said, self.text("policy"))
        self.assertTrue(self.ctl("Status", "status")["PolicyWarnings"][0].endswith(said))
        self.write("criu", "", 0o755)
        self.text("reload")
        self.assertEqual(self.ctl("Status", "status")["PolicyWarnings"], [])
        os.unlink(self.path("criu"))
        self.text("reload")
        self.assertTrue(self.ctl("Policy", "policy")["Warnings"][0].endswith(said))

    @unittest.skipIf(os.geteuid() != 0, "not root")
    def test_who_is_not_named_is_not_trusted(self):
        """Root need not be; who is below him is for the step to see."""
        self.rule("50-test.policy", "Access=mapped\nCommand=python3", "Action=checkpoint@9s term@9s kill")
        os.chmod(self.dir, 0o755)
        other = self.holder(EXIT_ON_TERM, after="os.setuid(65534)\n")
        holder = self.holder()
        self.write("criu", "", 0o755)
        self.topology(self.pmem0())
        self.start()
        eventually(lambda: self.ctl("Devices", "list"))
        outcomes = [self.ctl("Process", "explain", "pmem0", str(p.pid))["Actions"][0]["Outcome"]
                    for p in (holder, other)]
        self.assertEqual(outcomes, ["", "not-trusted"])
        said = "50-test.policy:5: only processes of root are checkpointed: say Unit= or User="
        self.assertTrue(self.ctl("Policy", "policy")["Warnings"][0].endswith(said))
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(other.wait(5), 0)
        self.ended()
        self.assertEqual([self.outcome("checkpoint", p.pid) for p in (holder, other)],
                         ["checkpointed", "not-trusted"])
        self.assertEqual((self.requests(), self.told(self.id_of(holder))["TRUSTED"]), ([self.id_of(holder)], "0"))

    @unittest.skipIf(os.geteuid() != 0, "not root")
    def test_who_takes_over_knows_whom_the_rule_names(self):
        self.rule("50-test.policy", "User=65534", "Action=exec@3s checkpoint@9s term@9s kill\nExec=/bin/sleep 9")
        holder = self.holder(after="os.setuid(65534)\n")
        first = self.start()
        self.module.hold()
        eventually(lambda: os.path.exists(self.path("run/incidents/7")) and self.events("acted", action="exec"))
        first.kill()
        first.wait()
        # What the record has of it is all there is.
        os.unlink(self.path("policy.etc/50-test.policy"))
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("checkpoint", holder.pid), "checkpointed")
        self.assertEqual(self.told(self.id_of(holder))["TRUSTED"], "1")

    def test_old_ones_are_removed(self):
        self.write("daxguardd.conf", "[Daemon]\nCheckpointMaxBytes=1M\nCheckpointMaxAgeSec=7\n", 0o644)
        self.write("fake-forget", f"#!/bin/sh\necho \"$@\" >> {self.dir}/pruned\n"
                   "printf 'REMOVED=0b1cf8cc-1-2\\0\\0'\n", 0o755)
        self.ladder("Action=checkpoint@9s kill")
        self.holder()
        self.start()
        eventually(lambda: self.lines("pruned") == [f"forget {self.path('state/checkpoints')} 1048576 7"])
        eventually(lambda: any("0b1cf8cc-1-2 is removed" in text for text in self.journal.texts()))
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        # There are more of them now.
        eventually(lambda: len(self.lines("pruned")) == 2)

    def test_dry_run(self):
        self.ladder("Action=checkpoint@9s kill\nDryRun=yes")
        holder = self.holder()
        self.removal("RELEASED")
        self.assertEqual(self.outcome("checkpoint", holder.pid), "dry-run")
        self.assertEqual(self.requests(), [])

    def test_who_takes_over_waits_for_it(self):
        self.ladder("Action=checkpoint@9s term@9s kill")
        self.write("hang", "", 0o600)
        holder = self.holder()
        first = self.start()
        self.module.hold()
        self.waiting()
        self.taken_over(first)
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.assertEqual(self.requests(), [self.id_of(holder)] * 2)
        self.assertEqual(self.acts(holder), ["checkpoint"])
        self.assertEqual(self.outcome("checkpoint"), "checkpointed")
        self.assertEqual(self.end_of(holder), "checkpointed")

    def test_who_takes_over_finds_it_made(self):
        """Nobody was there when it was, and its process is gone."""
        self.ladder("Action=checkpoint@9s term@9s kill")
        self.write("wait", "", 0o600)
        holder = self.holder()
        first = self.start()
        self.module.hold(hold_s=60)
        self.waiting()
        first.kill()
        first.wait()
        os.unlink(self.path("wait"))
        self.assertEqual(holder.wait(30), -signal.SIGKILL)
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.acts(holder), ["checkpoint"])
        self.assertEqual(self.outcome("checkpoint"), "checkpointed")
        self.assertEqual(self.end_of(holder), "checkpointed")


class CheckpointUnitTest(CheckpointCase, UnitCase):
    def test_a_unit_is_one(self):
        self.ladder("Action=checkpoint@9s kill\nScope=unit")
        holders = [self.put(self.holder(), "app.service/sub") for _ in range(2)]
        self.removal()
        first, second = sorted(holders, key=lambda h: self.id_of(h) not in self.requests())
        self.assertEqual(self.requests(), [self.id_of(first)])
        told = self.told(self.id_of(first))
        self.assertEqual((told["SCOPE"], told["UNIT"]), ("unit", "app.service"))
        self.assertEqual(self.outcome("checkpoint", first.pid), "checkpointed")
        self.assertEqual(self.outcome("checkpoint", second.pid), "checkpointed-with")

    def test_the_unit_of_a_process_is_named(self):
        """A shared one is nobody's to stop, and what is in a scope nobody starts again."""
        self.ladder("Action=checkpoint@9s kill")
        holders = [self.put(self.holder(), unit) for unit in
                   ("app.service", "session-3.scope", "user@7.service/app.slice/app-a-1.scope", "plain")]
        self.removal()
        units = [[f for f in self.request(self.id_of(h))[0] if f.startswith("UNIT=")] for h in holders]
        self.assertEqual(units, [["UNIT=app.service"], [], [], []])

    def test_what_would_be_started_again(self):
        """By a user's manager, which is not asked; nor is anybody for what is in the unit of who is protected."""
        self.ladder("Action=checkpoint@9s term@9s kill")
        units = ("user@7.service/app.slice/a.service", "user@7.service", "user@7.service/init.scope", "init.scope")
        holders = [self.put(self.holder(EXIT_ON_TERM), unit) for unit in units]
        holders.append(self.put(self.holder(EXIT_ON_TERM), "app.service"))
        unbinder = self.bystander("app.service")
        self.start()
        self.module.hold(unbinder=unbinder.pid)
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual([self.outcome("checkpoint", h.pid) for h in holders],
                         ["unsupported", "shared-unit", "unsupported", "shared-unit", "protected-unit"])
        self.assertEqual(self.requests(), [])

    @unittest.skipIf(os.geteuid() != 0, "not root")
    def test_a_user_may_not_call_himself_trusted(self):
        with open("/proc/self/cgroup", encoding="ascii") as file:
            if ":name=systemd:" in file.read():
                self.skipTest("units are told by a hierarchy of version 1")
        self.rule("50-test.policy", "Unit=app.scope", "Action=checkpoint@9s term@9s kill")
        holders = [self.put(self.holder(EXIT_ON_TERM, after="os.setuid(65534)\n"), unit)
                   for unit in ("app.scope", "user@7.service/app.slice/app.scope")]
        self.removal()
        self.assertEqual([self.outcome("checkpoint", h.pid) for h in holders], ["checkpointed", "not-trusted"])

    def test_who_takes_over_waits_for_a_unit(self):
        self.ladder("Action=checkpoint@9s term@9s kill\nScope=unit")
        self.write("hang", "", 0o600)
        holders = [self.put(self.holder(), "app.service") for _ in range(2)]
        first = self.start()
        self.module.hold()
        self.waiting(2)
        self.taken_over(first)
        name, = set(self.requests())
        told = self.told(name)
        self.assertEqual((told["SCOPE"], told["UNIT"]), ("unit", "app.service"))
        self.assertEqual(sorted(self.outcome("checkpoint", h.pid) for h in holders),
                         ["checkpointed", "checkpointed-with"])
        self.assertEqual({self.end_of(h) for h in holders}, {"checkpointed"})

    def test_no_unit_is_not_waited_for(self):
        self.ladder("Action=checkpoint@9s term@9s kill\nScope=unit")
        holders = [self.put(self.holder(EXIT_ON_TERM), unit) for unit in ("plain", "session-3.scope")]
        self.removal()
        self.assertEqual([self.outcome("checkpoint", h.pid) for h in holders], ["no-unit", "shared-unit"])
        self.assertEqual(self.requests(), [])

    def test_who_makes_one_is_no_holder(self):
        self.ladder("Action=checkpoint@9s kill")
        self.write("hang", "", 0o600)
        holder = self.holder()
        self.start()
        self.module.hold()
        eventually(self.requests)
        maker = self.put(self.bystander("other.service"), "daxguard-checkpoint-1-2-3.service")
        self.assertIsNone(maker.poll())
        join = f"open({self.unit('daxguard-checkpoint-1-2-3.service')!r} + '/cgroup.procs', 'w').write('0')\n"
        # There before it has anything of the device open.
        mapper = self.holder(code=join + HOLDER)
        n = len(self.module.said("SCAN"))
        eventually(lambda: len(self.module.said("SCAN")) > n + 1)
        holder.kill()
        self.assertIn(self.module.wait(), ("ACKED", "RELEASED"))
        self.ended()
        self.assertEqual({e["pid"] for e in self.events("holder")}, {str(holder.pid)})
        self.assertIsNone(mapper.poll())


if __name__ == "__main__":
    UnitCase.root = cgroup_root()
    if "CheckpointUnitTest" in sys.argv and (os.geteuid() != 0 or not UnitCase.root):
        print("no control groups of version 2 that may be changed")
        sys.exit(77)
    main()
