#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a removal would come to, asked of the real daemon; and that it does.

usage: as test-bus.py
"""

import os
import signal
import subprocess
import sys
import time

from buscase import MANAGER, NAME, NOBODY, ROOT_PATH, BusCase, Refused
from daemoncase import EXIT_ON_TERM, IGNORE_TERM, OPEN_ONLY, DaemonCase, eventually, libc, main

EXE = os.path.realpath(sys.executable)


class ForecastCase(DaemonCase):
    def setUp(self):
        super().setUp()
        self.topology(self.pmem0(REGION="region3"), {"LAYER_OF": "pmem0", "LAYER": "dm-7", "DEV": "253:7"})

    def start_and_look(self, **more):
        daemon = self.start(**more)
        eventually(self.can_be_asked)
        eventually(lambda: self.ctl("Devices", "list"))
        return daemon

    def simulate(self, device="pmem0"):
        return self.ctl("Simulation", "explain", device)

    def explain(self, pid, device="pmem0"):
        return self.ctl("Process", "explain", device, str(pid))

    def refused(self, *args):
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "explain", *args], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30)
        return done.returncode, done.stderr.decode()

    def remove(self):
        self.module.hold()
        result = self.module.wait()
        self.ended()
        return result, self.ctl("Incident", "show", "7")


class ForecastTest(ForecastCase):
    def told(self, holder):
        """What can be said in advance: not how a signal was received."""
        return (holder["Rule"], holder["RulePath"], holder["RuleLine"],
                [(a["Action"], a["GraceMsec"], a["Outcome"] if a["Outcome"] not in ("sent", "exited") else "")
                 for a in holder["Actions"]])

    def compare(self, simulation, incident):
        """The rule and the ladder of each, and what became of the device."""
        then = {h["Pid"]: self.told(h) for h in incident["Holders"]}
        now = {h["Pid"]: self.told(h) for h in simulation["Holders"]}
        self.assertEqual(now, then)
        self.assertEqual({h["Pid"]: h["GracePermille"] for h in simulation["Holders"]},
                         {h["Pid"]: h["GracePermille"] for h in incident["Holders"]})
        keys = ["Outcome", "DeviceRule", "OnBusy", "BudgetMsec"]
        # The fake module, unlike the real one, does not count a mount that was detached.
        if simulation["Outcome"] != "detached-pinned":
            keys += ["Result", "Marks"]
        for key in keys:
            self.assertEqual(simulation[key], incident[key], key)

    def test_as_it_comes(self):
        """Rules by what a process is, by users, devices, with ladders of all kinds; all in one removal."""
        self.rule("10.policy", "Device=dm-8 region4", "Action=kill")
        self.rule("20.policy", f"Executable={EXE}\nAccess=mapped\nUser=!0", "Action=leave")
        self.rule("30.policy", f"Device=region3\nExecutable={EXE}\nAccess=mapped\nDriver=nd_pmem",
                  "Action=sigbus@100ms notify@200ms term@300ms kill\nSignal=SIGUSR1")
        self.rule("40.policy", f"MountPoint={self.pmem}\nAccess=open", "Action=term@1s\nDryRun=yes")
        self.rule("90.device", f"MountPoint={self.pmem}", "OnBusy=detach\nBudget=30s")
        before = "signal.signal(signal.SIGUSR1, lambda *a: None)\n" + IGNORE_TERM
        holders = [self.holder(before), self.holder(IGNORE_TERM), self.holder(code=OPEN_ONLY)]
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual([h["Rule"] for h in simulation["Holders"]], ["30.policy", "30.policy", "40.policy"])
        self.assertEqual([h["End"] for h in simulation["Holders"]], ["killed", "killed", "left"])
        self.assertEqual(simulation["DeadlineUsec"], 30000000)
        # Nobody has had any of it.
        for holder in holders:
            self.assertIsNone(holder.poll())
        self.assertEqual(self.module.said("TAKE"), [])
        for holder in holders:
            process = self.explain(holder.pid)
            (same,) = (h for h in simulation["Holders"] if h["Pid"] == holder.pid)
            self.assertEqual({key: process[key] for key in same}, same)
            self.assertTrue(process["Holds"])
        result, incident = self.remove()
        self.assertEqual(result, "ACKED")
        self.compare(simulation, incident)
        self.assertEqual([holder.poll() for holder in holders], [-signal.SIGKILL, -signal.SIGKILL, None])

    def test_nothing_but_built_in(self):
        self.holder(IGNORE_TERM), self.holder(EXIT_ON_TERM, code=OPEN_ONLY)
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual(simulation["Outcome"], "detached-pinned")
        self.compare(simulation, self.remove()[1])

    def test_keep(self):
        self.rule("1.device", "FileSystem=tmpfs", "OnBusy=keep")
        self.holder(code=OPEN_ONLY)
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual((simulation["Outcome"], simulation["OnBusy"]), ("kept", "keep"))
        self.assertEqual((simulation["DeviceRulePath"], simulation["DeviceRuleLine"]),
                         (self.path("policy.etc/1.device"), 3))
        self.compare(simulation, self.remove()[1])

    def test_nobody(self):
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual(simulation["Holders"], [])
        self.compare(simulation, self.remove()[1])

    def test_system_device(self):
        """The hands are kept off, and it is said why."""
        with open(self.path("output-mounts"), "wb") as file:
            file.write(f"DEV={self.number}\0TYPE=tmpfs\0PATH={self.pmem}\0NS=1\0PID=1\0HOST=1\0\0"
                       "SYSTEM=/var\0\0".encode())
        holder = self.holder()
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual((simulation["Outcome"], simulation["System"]), ("system-device", ["/var"]))
        self.assertEqual([(h["Pid"], h["Actions"]) for h in simulation["Holders"]], [(holder.pid, [])])
        self.assertEqual(self.remove()[1]["Outcome"], "system-device")
        self.assertIsNone(holder.poll())

    def test_shrinks(self):
        """By the time that there is; the removal has spent some of it when it comes to that."""
        self.rule("1.policy", "Access=mapped", "Action=term@60s kill")
        holder = self.holder(EXIT_ON_TERM)
        self.start_and_look()
        process = self.explain(holder.pid)
        (incident,) = self.remove()[1]["Holders"]
        self.assertLess(process["GracePermille"], 300)
        self.assertAlmostEqual(process["GracePermille"], incident["GracePermille"], delta=20)
        self.assertEqual(process["Actions"][0]["GraceMsec"], 60 * process["GracePermille"])
        self.assertEqual(process["Actions"][1]["AtUsec"], 60000 * process["GracePermille"])

    def test_why(self):
        self.rule("1.policy", "Device=pmem1", "Action=kill")
        self.rule("2.policy", "\nAccess=mapped open\nUser=1", "Action=kill")
        self.rule("3.policy", f"Executable=!{EXE}", "Action=kill")
        self.rule("4.policy", "User=no-such-user", "Action=kill")
        self.rule("5.policy", "Access=mapped", "\nAction=leave")
        self.rule("1.device", "MountPoint=/elsewhere", "OnBusy=keep")
        holder = self.holder()
        self.start_and_look()
        eventually(lambda: self.ctl("Status", "status")["PolicyWarnings"])
        process = self.explain(holder.pid)
        self.assertEqual([(r["Rule"], r["Key"], r["Verdict"], r["Line"]) for r in process["Passed"]],
                         [("built-in:protected", "", "not-protected", 0), ("1.policy", "Device", "differs", 2),
                          ("2.policy", "User", "differs", 4), ("3.policy", "Executable", "unwanted", 2),
                          ("4.policy", "User", "unresolved", 2)])
        self.assertEqual((process["Rule"], process["RulePath"], process["RuleLine"]),
                         ("5.policy", self.path("policy.etc/5.policy"), 5))
        simulation = self.simulate()
        self.assertEqual([(r["Rule"], r["Key"], r["Verdict"]) for r in simulation["DeviceRulesPassed"]],
                         [("1.device", "MountPoint", "differs")])
        self.assertIn("no-such-user", simulation["PolicyWarnings"][0])

    def test_who_holds_nothing(self):
        """What it would get if it mapped a file there; a thread is part of its process."""
        self.rule("1.policy", f"Executable={EXE}\nAccess=mapped", "Action=term kill")
        code = ("import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
                "print('ready', flush=True)\n")
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        self.processes.append(other)
        other.stdout.readline()
        self.start_and_look()
        process = self.explain(other.pid)
        self.assertFalse(process["Holds"])
        self.assertEqual((process["Rule"], process["Mapped"], process["Uid"]), ("1.policy", 1, 0))
        self.assertEqual([a["Action"] for a in process["Actions"]], ["term", "kill"])
        self.assertEqual(self.simulate()["Holders"], [])
        (thread,) = set(os.listdir(f"/proc/{other.pid}/task")) - {str(other.pid)}
        self.assertEqual(self.refused("pmem0", thread), (4, f"daxguardctl: there is no process {thread}\n"))

    def test_protected(self):
        self.start_and_look()
        process = self.explain(self.daemons[0].pid)
        self.assertEqual((process["Rule"], process["Exempt"], process["Actions"]), ("built-in:protected", "self", []))
        process = self.explain(1)
        self.assertEqual((process["Rule"], process["Exempt"]), ("built-in:protected", "init"))

    def test_refused(self):
        self.start_and_look()
        for args, code, text in ((("pmem9",), 4, "\"pmem9\" is no device that is guarded"),
                                 (("7:77", "1"), 4, "\"7:77\" is no device that is guarded"),
                                 (("pmem0", "4194303"), 4, "there is no process 4194303"),
                                 (("pmem0", "x"), 2, "a process has a number"),
                                 (("pmem0", "-1"), 2, ""), (("pmem0", "0"), 2, "a process has a number"),
                                 ((b"pmem\xff",), 4, "no device has such a name")):
            with self.subTest(args):
                self.assertEqual(self.refused(*args)[0], code)
                self.assertIn(text, self.refused(*args)[1])

    def test_without_module(self):
        """Who, by which rule, and that it would not come to it."""
        self.module.present = False
        self.rule("1.policy", "Access=mapped", "Action=term kill")
        holder = self.holder()
        self.start(wait=False)
        eventually(self.can_be_asked)
        eventually(lambda: self.ctl("Devices", "list"))
        simulation = self.simulate()
        self.assertFalse(simulation["Held"])
        self.assertEqual([(h["Pid"], h["Rule"]) for h in simulation["Holders"]], [(holder.pid, "1.policy")])

    def test_who_cannot_be_looked_at(self):
        """Counted, and with the rule that he would get without."""
        self.block("processes")
        self.rule("1.policy", f"Executable={EXE}", "Action=leave")
        self.rule("2.policy", "Access=mapped", "Action=term kill")
        holder = self.holder()
        self.start_and_look()
        simulation = self.simulate()
        self.assertEqual(simulation["NotLookedAt"], 1)
        self.assertEqual([(h["Pid"], h["Rule"]) for h in simulation["Holders"]], [(holder.pid, "2.policy")])
        self.unblock("processes")
        simulation = self.simulate()
        self.assertEqual(simulation["NotLookedAt"], 0)
        self.assertEqual([(h["Pid"], h["Rule"]) for h in simulation["Holders"]], [(holder.pid, "1.policy")])

    def test_names(self):
        """Of mounts and processes, that no terminal should see."""
        place = self.path("m").encode() + b"\x1b[2J\xff"
        os.mkdir(place)
        self.assertEqual(libc.mount(self.pmem.encode(), place, None, 4096, None), 0)
        self.addCleanup(libc.umount2, place, 2)
        self.module.extra_usages = [self.module.usage(4000000, 10**9, "MAPPED", b"a\x1b[2J\xff\xfe")]
        self.start_and_look()
        simulation = self.simulate()
        self.assertIn(list(place), [m["Path"] for m in simulation["Mounts"]])
        self.assertEqual(simulation["Holders"][0]["Comm"], list(b"a\x1b[2J\xff\xfe"))
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "explain", "pmem0"], check=True,
                              stdout=subprocess.PIPE, timeout=30)
        self.assertNotIn(b"\x1b", done.stdout)
        self.assertIn(b"\\x1b[2J\\xff", done.stdout)

    def test_not_while_held(self):
        """A removal does not wait for questions: who has asked is sent away."""
        self.start_and_look()
        self.block("mounts")
        asking = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "explain", "pmem0"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.processes.append(asking)
        eventually(lambda: "mounts" in self.steps())
        self.module.hold()
        self.assertIn(b"a removal is under way", asking.communicate(timeout=10)[1])
        code, text = self.refused("pmem0")
        self.assertEqual(code, 1)
        self.assertIn("a removal is under way", text)
        self.unblock("mounts")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        eventually(lambda: self.refused("pmem0")[0] == 0)

    def test_asker_goes(self):
        self.start_and_look()
        self.block("protected")
        for n in range(3):
            asking = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "explain", "pmem0", "1"])
            self.processes.append(asking)
            eventually(lambda: self.steps().count("mounts") > n)
            asking.kill()
            asking.wait()
        self.unblock("protected")
        self.assertEqual(self.simulate()["Outcome"], "clean")


class ForecastBusTest(BusCase):
    """As users ask."""

    def start_and_look(self):
        self.users()
        os.chmod(self.pmem + "/data", 0o666)
        self.topology(self.pmem0())
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 1)

    def query(self, pid, *options, uid=NOBODY):
        return self.manager("QueryPolicy", "sua{sv}", "pmem0", str(pid), *(options or ("0",)), uid=uid)

    def simulate(self, uid=NOBODY):
        return self.manager("Simulate", "sa{sv}", "pmem0", "0", uid=uid)

    def test_privacy(self):
        """His own in full, the others in numbers."""
        self.rule("1.policy", "Access=mapped", "Action=term@1s kill")
        self.rule("2.policy", "User=no-such-user", "Action=kill")
        self.users()
        os.chmod(self.pmem + "/data", 0o666)
        his, other = self.holder(f"os.setuid({NOBODY})\n" + EXIT_ON_TERM), self.holder(EXIT_ON_TERM)
        self.start_and_look()
        root, user = self.simulate(0), self.simulate()
        self.assertEqual([h["Pid"] for h in root["Holders"]], sorted([his.pid, other.pid]))
        self.assertEqual([(h["Pid"], bytes(h["Rule"])) for h in user["Holders"]], [(his.pid, b"1.policy")])
        self.assertEqual((user["Others"]["Holders"], user["Others"]["Mapped"]), (1, 1))
        self.assertNotIn("Others", root)
        self.assertIn("PolicyWarnings", root)
        self.assertNotIn("PolicyWarnings", user)
        self.assertEqual(user["Outcome"], root["Outcome"])
        process = self.query(his.pid)
        self.assertEqual((process["Pid"], process["Holds"], process["End"]), (his.pid, True, "killed"))
        with self.assertRaisesRegex(Refused, "Access denied"):
            self.query(other.pid)
        self.assertEqual(self.query(other.pid, uid=0)["Pid"], other.pid)

    def test_options(self):
        """Of a process of his that holds nothing."""
        self.rule("1.policy", "Access=cwd", "Action=term")
        self.start_and_look()
        sleeper = subprocess.Popen(["sleep", "1000"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/")
        self.processes.append(sleeper)
        eventually(lambda: os.readlink(f"/proc/{sleeper.pid}/exe").endswith(("sleep", "coreutils", "busybox")))
        self.assertEqual(bytes(self.query(sleeper.pid)["Rule"]), b"built-in:mapped")
        process = self.query(sleeper.pid, "1", "Access", "as", "2", "open", "cwd")
        self.assertEqual((bytes(process["Rule"]), process["Holds"], process["Open"], process["Mapped"]),
                         (b"1.policy", False, 1, 0))
        self.assertEqual(bytes(self.query(sleeper.pid, "1", "Access", "s", "open")["Rule"]), b"built-in:other")
        for options, text in ((("1", "Access", "s", "kernel"), "Access is mapped, open"),
                              (("1", "Acess", "s", "open"), "an option that is not known"),
                              (("1", "Access", "u", "1"), "Access is of type as")):
            with self.assertRaisesRegex(Refused, text):
                self.query(sleeper.pid, *options)
        with self.assertRaisesRegex(Refused, "there is no process 4194303"):
            self.query(4194303)
        with self.assertRaisesRegex(Refused, "no device that is guarded"):
            self.manager("Simulate", "sa{sv}", "\x1b[2J", "0", uid=NOBODY)

    def test_bounded(self):
        """Who asks for all at once gets some, and root his answer."""
        self.start_and_look()
        self.block("mounts")
        asking = [self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "Simulate", "sa{sv}", "pmem0", "0", uid=NOBODY)
                  for _ in range(12)]
        eventually(lambda: self.steps().count("mounts") == 4)
        time.sleep(0.5)
        self.assertEqual(self.steps().count("mounts"), 4)
        self.unblock("mounts")
        ended = [(process.communicate(timeout=30), process.returncode) for process in asking]
        self.assertIn(0, {code for _, code in ended})
        self.assertIn(b"too many ask at once", b"".join(err for (_, err), _ in ended))
        self.assertEqual(self.simulate(0)["Outcome"], "clean")


if __name__ == "__main__":
    main()
