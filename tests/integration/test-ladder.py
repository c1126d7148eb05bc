#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What rules can ask for of a process, done by the real daemon to real ones.

usage: as test-daemon.py
"""

import json
import os
import sys

from daemoncase import EXIT_ON_TERM, eventually, main
from laddercase import LadderCase

ON_USR1 = "signal.signal(signal.SIGUSR1, lambda *a: os._exit(7))"


class LadderTest(LadderCase):
    def test_notify(self):
        self.ladder("Action=notify@9s kill\nSignal=SIGUSR1")
        holder = self.holder(ON_USR1)
        self.removal()
        self.assertEqual(holder.wait(5), 7)
        self.assertEqual(self.acts(holder), ["notify"])
        self.assertEqual(self.outcome("notify"), "sent")

    def test_notify_without_a_handler(self):
        self.ladder("Action=notify@9s term@9s kill\nSignal=SIGUSR1")
        holder = self.holder(EXIT_ON_TERM)
        self.removal()
        self.assertEqual(holder.wait(5), 0)
        self.assertEqual(self.outcome("notify"), "no-handler")

    def test_dry_run(self):
        self.ladder("Action=notify term@3s kill\nSignal=SIGUSR1\nDryRun=yes")
        holder = self.holder(ON_USR1)
        self.start()
        self.module.hold()
        # Nobody is asked, and so nobody waited for.
        self.assertEqual(self.module.wait(), "RELEASED")
        self.ended()
        self.assertIsNone(holder.poll())
        self.assertEqual(self.acts(holder), ["notify", "term", "kill"])
        self.assertEqual({e["outcome"] for e in self.events("acted", pid=holder.pid)}, {"dry-run"})
        self.assertEqual(self.events("freed", pid=holder.pid)[0]["how"], "left")


class HookTest(LadderCase):
    def hold(self, script, rule="Action=exec@9s term@9s kill", timeout="4", holder=EXIT_ON_TERM):
        self.ladder(f"{rule}\nExec={self.script(script)} 'one word' $HOME\nExecTimeoutSec={timeout}")
        process = self.holder(holder)
        self.start()
        self.module.hold()
        return process

    def hook(self):
        return next(a for h in self.ctl("Incident", "show", "7")["Holders"] for a in h["Actions"]
                    if a["Action"] == "exec")

    def test_it_is_told_all(self):
        holder = self.hold('echo "$0 $1 $2" > {0}/said\nenv >> {0}/said\ncat > {0}/json\n'
                           'echo done\necho >&2 well\nkill $DAXGUARD_PID\n'.format(self.dir))
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        with open(self.path("said"), encoding="ascii") as file:
            said = file.read().splitlines()
        # No shell has seen them.
        self.assertEqual(said[0], self.path("hook") + " one word $HOME")
        env = dict(line.split("=", 1) for line in said[1:])
        self.assertEqual(env["DAXGUARD_PID"], str(holder.pid))
        self.assertEqual(env["DAXGUARD_DEVICE"], "pfn0.0")
        self.assertEqual(env["DAXGUARD_RULE"], "50-test.policy")
        self.assertEqual(env["DAXGUARD_TIMEOUT_MSEC"], "4000")
        self.assertNotIn("DAXGUARD_TEST_DIR", env)
        self.assertNotIn("DAXGUARD_PARENT", env)
        with open(self.path("json"), encoding="ascii") as file:
            told = json.load(file)
        self.assertEqual(told["Pid"], holder.pid)
        self.assertEqual(told["Incident"], 7)
        self.assertIs(told["Surprise"], False)
        self.assertEqual(told["Mounts"], [self.pmem])
        self.assertEqual(self.acts(holder), ["exec"])
        eventually(lambda: self.hook()["Outcome"] in ("ok", "canceled"))
        self.assertLess(told["DeadlineMsec"], 21000)

    def test_one_that_does_well(self):
        holder = self.hold("echo all; echo right >&2", rule="Action=exec@1s term@9s kill")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        self.assertEqual(self.outcome("exec"), "ok")
        self.assertEqual(self.hook()["Output"], "all\nright\n")
        self.assertEqual(self.acts(holder), ["exec", "term"])

    def test_one_that_fails(self):
        self.hold("echo no way; exit 3", rule="Action=exec@1s term@9s kill")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        hook = self.hook()
        self.assertEqual((hook["Outcome"], hook["Status"], hook["Output"]),
                         ("hook-failed", 3, "no way\n"))

    def test_one_that_is_not_there(self):
        self.ladder("Action=exec@100ms kill\nExec=/nowhere/at/all")
        self.holder()
        self.removal()
        self.assertEqual(self.outcome("exec"), "hook-failed")
        self.assertIn("No such file", self.hook()["Output"])

    def test_one_that_hangs_and_forks(self):
        # Also those who leave its session, and their children.
        self.hold("trap '' TERM\nfor i in 1 2 3; do setsid sh -c 'sleep 987 & sleep 987' & done\n"
                  "echo $$ > {}/pid\nwhile :; do sleep 987; done".format(self.dir),
                  timeout="500ms", rule="Action=exec@3s term@9s kill")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("exec"), "hook-timeout")
        eventually(lambda: not self.sleepers())

    @staticmethod
    def sleepers():
        found = []
        for name in os.listdir("/proc"):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    if file.read() == b"sleep\x00987\x00":
                        found.append(int(name))
            except OSError:
                continue
        return found

    def test_what_it_leaves_behind_is_ended(self):
        self.hold("setsid sleep 987 & exit 0", rule="Action=exec@1s term@9s kill")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("exec"), "ok")
        self.assertEqual(self.sleepers(), [])

    def test_one_that_floods(self):
        self.hold("exec yes", timeout="300ms", rule="Action=exec@1s term@9s kill")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("exec"), "hook-timeout")
        self.assertEqual(self.hook()["Output"], "y\n" * 512)

    def test_it_is_no_holder(self):
        # It maps the device, as does what it has started.
        code = ("import mmap, os, time\nm = mmap.mmap(os.open({!r}, os.O_RDWR), 4096)\n"
                "open({!r} % os.getpid(), 'w').close()\ntime.sleep(60)\n")
        self.write("map.py", code.format(self.pmem + "/data", self.path("maps-%d")), 0o644)
        holder = self.hold(f"{sys.executable} {self.path('map.py')} &\n"
                           f"exec {sys.executable} {self.path('map.py')}",
                           rule="Action=exec@3s term@9s kill")

        def mappers():
            return [int(name[5:]) for name in os.listdir(self.dir) if name.startswith("maps-")]
        self.assertIn(self.module.wait(), ("ACKED", "RELEASED"))
        self.ended()
        self.assertEqual(len(mappers()), 2)
        self.assertEqual({int(e["pid"]) for e in self.events("holder")}, {holder.pid})

    def test_it_ends_with_the_incident(self):
        # Its holder lets go at once, and nobody waits for the rest of it.
        self.hold("kill $DAXGUARD_PID; sleep 987", timeout="9")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        self.assertEqual(self.outcome("exec"), "canceled")
        eventually(lambda: not self.sleepers())

    def test_it_is_not_run_again(self):
        self.ladder(f"Action=exec@4s term@9s kill\nExec={self.script('echo x >> %s/ran; sleep 987' % self.dir)}"
                  "\nExecTimeoutSec=30")
        holder = self.holder(EXIT_ON_TERM)
        first = self.start()
        self.module.hold()
        eventually(lambda: os.path.exists(self.path("ran")))
        first.kill()
        first.wait()
        eventually(lambda: not self.sleepers())
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.ended()
        self.assertEqual(self.outcome("exec"), "lost")
        with open(self.path("ran"), encoding="ascii") as file:
            self.assertEqual(file.read(), "x\n")

    def test_so_many_at_a_time(self):
        self.ladder(f"Action=exec@10s term@9s kill\nExecTimeoutSec=10\n"
                  f"Exec={self.script('echo x >> %s/ran; sleep 0.3; kill $DAXGUARD_PID' % self.dir)}")
        holders = [self.holder(EXIT_ON_TERM) for _ in range(12)]
        self.removal()
        for holder in holders:
            self.assertEqual(holder.wait(5), 0)
            self.assertEqual(self.acts(holder), ["exec"])


if __name__ == "__main__":
    main()
