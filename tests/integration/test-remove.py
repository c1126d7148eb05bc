#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals that are asked for: the real daemon and steps, a fake sysfs to unbind in.

usage: as test-daemon.py
"""

import json
import os
import select
import signal
import subprocess

from daemoncase import EXIT_ON_TERM, IGNORE_TERM, OPEN_ONLY, DaemonCase, eventually, main
from procfs import is_mounted

FIRST = 10**9


class RemoveTest(DaemonCase):
    def setUp(self):
        super().setUp()
        self.make_sysfs()
        self.topology(self.pmem0())

    def start_known(self):
        daemon = self.start()
        eventually(self.can_be_asked)
        eventually(lambda: self.ctl("Devices", "list"))
        return daemon

    def remove(self, *args, status=0):
        """The lines that are said; and what is said of an error."""
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "remove", "pmem0", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.splitlines(), done.stderr

    def last(self):
        return self.ctl("Incident", "show")

    def test_in_use(self):
        holder = self.holder(EXIT_ON_TERM)
        self.start_known()
        lines, _ = self.remove()
        self.assertEqual(holder.wait(5), 0)
        self.assertFalse(is_mounted(self.dev))
        self.assertEqual(self.unbound(), "pfn0.0")
        self.assertRegex(lines[-1], "^pmem0 is removed: clean$")
        for text in ("syncing", f"python3 ({holder.pid}): sigbus: no", f"python3 ({holder.pid}): term: sent",
                     "unmounting", "unbinding", "done: clean after"):
            self.assertTrue(any(text in line for line in lines), (text, lines))
        incident = self.last()
        self.assertGreater(incident["Id"], FIRST)
        self.assertEqual((incident["Source"], incident["State"], incident["Outcome"], incident["Result"]),
                         ("user", "done", "clean", "none"))
        # Nothing was asked of the module that is for a hold.
        for word in ("TAKE", "ACK", "RELEASE", "SCAN", "SIGBUS", "EXTEND"):
            self.assertEqual(self.module.said(word), [], word)
        eventually(lambda: any("Removal of pfn0.0 took" in text for text in self.journal.texts()))

    def test_grace_is_whole(self):
        """More than a hold would have: the ladder says how long it takes."""
        self.rule("10-slow.policy", "Device=pmem0", "Action=term@4s kill")
        self.module.hold_s = 2.0
        holder = self.holder(IGNORE_TERM)
        self.start_known()
        self.remove("--no-progress")
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        told = [h for h in self.last()["Holders"] if h["Pid"] == holder.pid][0]
        self.assertEqual(told["GracePermille"], 1000)
        self.assertGreater(told["Actions"][1]["AtUsec"] - told["Actions"][0]["AtUsec"], 3900000)

    def test_who_stays(self):
        holder = self.holder(code=OPEN_ONLY)
        self.start_known()
        lines, said = self.remove("--no-progress", status=7)
        self.assertEqual(lines, [])
        self.assertIn("pmem0 was not removed: busy", said)
        self.assertIsNone(holder.poll())
        self.assertTrue(is_mounted(self.dev))
        self.assertEqual(self.unbound(), "")
        self.assertEqual(self.last()["State"], "stayed")
        for verb in ("shutdown", "detach", "unbind"):
            self.assertNotIn(verb, self.steps())
        # What was in the way is gone: it may be asked for again.
        holder.kill()
        holder.wait()
        self.remove()
        self.assertEqual(self.unbound(), "pfn0.0")
        self.assertEqual([i["State"] for i in self.ctl("Incidents", "incidents")], ["stayed", "done"])

    def test_forced_under_who_stays(self):
        self.holder(code=OPEN_ONLY)
        self.start_known()
        self.remove("--force")
        self.assertEqual(self.unbound(), "pfn0.0")
        self.assertFalse(is_mounted(self.dev))
        self.assertEqual((self.last()["State"], self.last()["Forced"]), ("done", True))

    def test_kept(self):
        self.rule("10-keep.device", "Device=pmem0", "OnBusy=keep")
        self.holder(code=OPEN_ONLY)
        self.start_known()
        _, said = self.remove("--force", status=7)
        self.assertIn("not removed: kept", said)
        self.assertEqual(self.unbound(), "")
        self.assertTrue(is_mounted(self.dev))

    def test_refused(self):
        self.topology(self.pmem0(), {"SYSTEM_OF": "pmem0", "WHY": "/var"})
        self.start_known()
        _, said = self.remove(status=7)
        self.assertIn("carries the running system (/var)", said)
        self.assertEqual(self.ctl("Incidents", "incidents"), [])
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "remove", "pmem9"],
                              stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 4)
        self.assertIn("no device that is guarded", done.stderr)
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "--force", "list"],
                              stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 2)
        self.remove("--force")
        self.assertEqual(self.unbound(), "pfn0.0")

    def test_never_under_the_root(self):
        self.topology(self.pmem0(), {"SYSTEM_OF": "pmem0", "WHY": "/"})
        self.start_known()
        _, said = self.remove("--force", status=7)
        self.assertIn("carries the running system (/)", said)
        self.assertEqual(self.unbound(), "")

    def test_twice(self):
        """Also while the kernel holds it; and one of ours is nothing that the kernel forgets."""
        self.start_known()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        _, said = self.remove(status=7)
        self.assertIn("is being removed already", said)
        self.unblock("sync")
        self.module.wait()

    def watched_to_unmount(self):
        """Who watches a removal that waits in its unmount step."""
        self.block("unmount")
        watcher = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "remove", "pmem0"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(watcher)
        eventually(lambda: "unmount" in self.steps())
        return watcher

    def test_interrupted(self):
        """Ctrl-C ends the watching, and nothing else."""
        self.start_known()
        watcher = self.watched_to_unmount()
        watcher.send_signal(signal.SIGINT)
        _, said = watcher.communicate(timeout=10)
        self.assertEqual(watcher.returncode, 8)
        self.assertIn("goes on", said)
        number = self.ctl("Incidents", "incidents")[0]["Id"]
        self.assertIn(f"daxguardctl show {number}", said)
        _, said = self.remove(status=7)
        self.module.lose()      # asks the kernel what is pending: ours is not
        self.unblock("unmount")
        eventually(lambda: self.unbound() == "pfn0.0")
        eventually(lambda: self.last()["State"] == "done")

    def test_it_cannot_be_unbound(self):
        os.unlink(self.path("sys/dev/block/" + self.number))
        self.start_known()
        _, said = self.remove(status=7)
        self.assertIn("not removed: unbind-failed", said)
        self.assertEqual(self.unbound(), "")
        step = [s for s in self.last()["Steps"] if s["Step"] == "unbind"][0]
        self.assertIn("No such file", step["Error"])

    def test_without_a_module(self):
        self.module.load(False)
        holder = self.holder(EXIT_ON_TERM)
        self.start(wait=False)
        eventually(self.can_be_asked)
        eventually(lambda: self.ctl("Devices", "list"))
        self.remove()
        self.assertEqual(holder.wait(5), 0)
        self.assertEqual(self.unbound(), "pfn0.0")

    def test_the_module_goes(self):
        """Meanwhile: what it held is over, what was asked for is not."""
        self.start_known()
        watcher = self.watched_to_unmount()
        self.module.load(False)
        self.unblock("unmount")
        watcher.communicate(timeout=20)
        self.assertEqual(watcher.returncode, 0)
        self.assertEqual(self.unbound(), "pfn0.0")

    def test_the_daemon_stops(self):
        daemon = self.start_known()
        watcher = self.watched_to_unmount()
        daemon.terminate()
        self.assertEqual(daemon.wait(20), 0)
        watcher.communicate(timeout=10)
        self.assertEqual(watcher.returncode, 7)
        self.unblock("unmount")
        self.start()
        eventually(lambda: self.last()["State"] == "abandoned")
        self.assertEqual(self.unbound(), "")

    def test_the_daemon_dies(self):
        """The next one does not go on with it, and says so; it may be asked again."""
        daemon = self.start_known()
        watcher = self.watched_to_unmount()
        daemon.kill()
        daemon.wait()
        _, said = watcher.communicate(timeout=10)
        self.assertEqual(watcher.returncode, 3)
        self.unblock("unmount")
        self.start_known()
        incident = self.last()
        self.assertEqual((incident["State"], incident["Source"]), ("abandoned", "user"))
        self.assertIn("may be asked for again", json.dumps(incident["Notes"]))
        self.remove()
        self.assertEqual(self.unbound(), "pfn0.0")
        self.assertGreater(self.last()["Id"], incident["Id"])

    def test_json(self):
        self.holder(EXIT_ON_TERM)
        self.start_known()
        lines, _ = self.remove("--json=pretty")
        told = [json.loads(line) for line in lines]
        self.assertEqual({t["Schema"] for t in told}, {1})
        self.assertEqual([t["Event"]["Signal"] for t in told[:1] + told[-1:]], ["IncidentBegan", "IncidentEnded"])
        self.assertEqual([(t["State"], t["Outcome"]) for t in [told[-1]["Event"]]], [("done", "clean")])

    def test_monitor_speaks_in_lines(self):
        self.start_known()
        monitor = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "--json=pretty", "monitor"],
                                   stdout=subprocess.PIPE, text=True)
        self.processes.append(monitor)
        # Nothing tells that it listens but that it hears something.
        for _ in range(10):
            self.remove()
            if select.select([monitor.stdout], [], [], 1)[0]:
                break
        heard = [json.loads(monitor.stdout.readline()) for _ in range(3)]
        self.assertEqual({h["Schema"] for h in heard}, {1})
        self.assertTrue(all(h["Event"]["Id"] > FIRST and h["Event"]["TimeUsec"] > 0 for h in heard))

    def dry_run(self, *args):
        """What it would come to, of which nothing is done."""
        lines, _ = self.remove("--dry-run", "--json", *args)
        self.assertEqual(self.ctl("Incidents", "incidents"), [])
        self.assertEqual(self.unbound(), "")
        self.assertTrue(is_mounted(self.dev))
        return json.loads(lines[0])["Simulation"]

    def compare(self, simulation):
        """The rule and the ladder of each, when each rung came, and what became of the device."""
        incident = self.last()
        for key in ("State", "Outcome", "Marks", "Source", "DeviceRule", "OnBusy"):
            self.assertEqual(simulation[key], incident[key], key)
        then = {h["Pid"]: h for h in incident["Holders"]}
        self.assertEqual({h["Pid"] for h in simulation["Holders"]}, set(then))
        for holder in simulation["Holders"]:
            told = then[holder["Pid"]]
            self.assertEqual((holder["Rule"], holder["GracePermille"]), (told["Rule"], told["GracePermille"]))
            self.assertEqual([(a["Action"], a["Outcome"] or "sent", a["GraceMsec"]) for a in holder["Actions"]],
                             [(a["Action"], a["Outcome"], a["GraceMsec"]) for a in told["Actions"]])

    def test_dry_run(self):
        """Longer graces than a hold has, and SIGBUS by nobody."""
        self.rule("10-slow.policy", "Device=pmem0", "Action=sigbus@1s term@3s kill")
        self.module.hold_s = 2.0
        holder = self.holder("signal.signal(signal.SIGBUS, lambda *a: None)\n" + IGNORE_TERM)
        self.start_known()
        simulation = self.dry_run()
        self.assertEqual((simulation["Source"], simulation["State"], simulation["Outcome"]), ("user", "done", "clean"))
        self.assertEqual([(a["Action"], a["Outcome"]) for a in simulation["Holders"][0]["Actions"]],
                         [("sigbus", "not-held"), ("term", ""), ("kill", "")])
        self.assertIsNone(holder.poll())
        self.remove()
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.compare(simulation)

    def test_dry_run_of_who_stays(self):
        self.holder(code=OPEN_ONLY)
        self.start_known()
        forced = self.dry_run("--force")
        self.assertEqual((forced["State"], forced["Outcome"]), ("done", "detached-pinned"))
        simulation = self.dry_run()
        self.assertEqual((simulation["State"], simulation["Outcome"]), ("stayed", "busy"))
        self.remove(status=7)
        self.compare(simulation)

    def test_dry_run_of_what_is_refused(self):
        self.topology(self.pmem0(), {"SYSTEM_OF": "pmem0", "WHY": "/var"})
        self.write("output-mounts", f"DEV={self.number}\0TYPE=tmpfs\0PATH={self.pmem}\0NS=1\0PID=1\0HOST=1\0\0"
                                    "SYSTEM=/var\0\0", 0o600)
        self.start_known()
        simulation = self.dry_run()
        self.assertEqual((simulation["State"], simulation["Outcome"], simulation["System"]),
                         ("stayed", "system-device", ["/var"]))

    def test_no_driver(self):
        self.topology(self.pmem0(DRIVER=""))
        self.start_known()
        _, said = self.remove("--dry-run", status=1)
        self.assertIn("no driver on the nd bus", said)
        _, again = self.remove(status=1)
        self.assertEqual(again, said)

    def test_oldest_go_first(self):
        self.write("daxguardd.conf", "[Daemon]\nIncidentsMax=2\n", 0o644)
        self.start_known()
        self.remove()
        self.module.hold(8)
        self.module.wait(8)
        self.ended(8)
        self.module.hold(9)
        self.module.wait(9)
        self.ended(9)
        eventually(lambda: [i["Id"] for i in self.ctl("Incidents", "incidents")] == [8, 9])
        self.assertEqual(self.last()["Id"], 9)


if __name__ == "__main__":
    main()
