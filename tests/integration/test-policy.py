#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon with rule files: read, read again, and carried out.

usage: as test-daemon.py
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading

from daemoncase import EXIT_ON_TERM, IGNORE_TERM, OPEN_ONLY, DaemonCase, eventually, main
from procfs import is_mounted


class PolicyCase(DaemonCase):
    def tool_says(self, *args):
        return subprocess.run([self.tool, "--socket=" + self.path("run/control"), *args], check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, text=True)

    def start_with_socket(self, **more):
        daemon = self.start(**more)
        eventually(self.can_be_asked)
        return daemon

    def status(self):
        return self.ctl("Status", "status")

    def reload(self):
        done = self.tool_says("reload")
        self.assertEqual(done.returncode, 0, done.stderr)

    def held(self, **more):
        self.module.hold(**more)
        result = self.module.wait()
        self.ended()
        return result

    def rule_of(self, process):
        return self.events("holder", pid=process.pid)[-1]["rule"]

    def in_cgroup(self, pid):
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            return [line.rstrip("\n").split(":", 2)[2] for line in file if line.startswith("0::")]


class PolicyTest(PolicyCase):
    """Which rule each gets."""

    def test_by_what_a_process_is(self):
        self.rule("10-program.policy", f"Executable={os.path.realpath(sys.executable)}\nAccess=mapped",
                  "Action=kill")
        self.rule("20-others.policy", "Access=open", "Action=term@5s leave")
        mapper, opener = self.holder(), self.holder(EXIT_ON_TERM, code=OPEN_ONLY)
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(mapper.wait(5), -signal.SIGKILL)
        self.assertEqual(opener.wait(5), 0)
        self.assertEqual(self.rule_of(mapper), "10-program.policy")
        self.assertEqual(self.rule_of(opener), "20-others.policy")
        self.assertEqual(self.steps().count("processes"), 1)
        holders = self.ctl("Incident", "show", "7")["Holders"]
        self.assertEqual({h["Pid"]: h["Rule"] for h in holders},
                         {mapper.pid: "10-program.policy", opener.pid: "20-others.policy"})
        shown = self.tool_says("show", "7").stdout
        for process, name, line in ((mapper, "10-program.policy", 5), (opener, "20-others.policy", 4)):
            self.assertRegex(shown, rf"(?m)^ +{process.pid}  {re.escape(self.path('policy.etc/' + name))}:{line}$")

    def test_each_key(self):
        """Those that hold, and one after the other with a value that does not."""
        exe = os.path.realpath(sys.executable)
        keys = {"Device": "pmem0", "Driver": "nd_pmem", "FileSystem": "tmpfs", "MountPoint": self.pmem,
                "Access": "mapped", "Executable": exe, "Command": "python*", "User": "0", "Group": "0",
                "Container": "!*"}
        wrong = {"Device": "pmem1", "Driver": "nd_blk", "FileSystem": "ext4", "MountPoint": "/mnt",
                 "Access": "cwd", "Executable": "/bin/no", "Command": "perl", "User": "1", "Group": "1",
                 "Container": "a"}
        for i, key in enumerate(wrong):
            self.rule(f"{i}.policy", "\n".join(f"{k}={(wrong if k == key else keys)[k]}" for k in keys),
                      "Action=leave")
        self.rule("all.policy", "\n".join(f"{k}={v}" for k, v in keys.items()), "Action=kill")
        holder = self.holder()
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "all.policy")

    def test_names_of_the_device(self):
        """The UUID in the kernel's event; an unknown one is not matched by its absence."""
        self.rule("1.policy", "Device=!region9", "Action=leave")
        self.rule("2.policy", "Device=00010203-0405-0607-0809-0a0b0c0d0e0f", "Action=kill")
        self.write("output-topology", "", 0o600)
        holder = self.holder()
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "2.policy")

    def test_what_was_known_at_rest(self):
        with open(self.path("output-topology"), "wb") as file:
            file.write(b"NAME=pmem0\0REGION=region3\0NAMESPACE=namespace3.0\0DRIVER=nd_pmem\0"
                       b"BY_PATH=/dev/disk/by-path/acpi-1\0BY_PATH=/dev/disk/by-path/acpi-2\0\0")
        self.rule("1.policy", "Device=!acpi-2", "Action=leave")
        self.rule("2.policy", "Device=region4", "Action=leave")
        self.rule("3.policy", "Device=acpi-2", "Action=kill")
        holder = self.holder()
        self.start_with_socket()
        eventually(lambda: self.ctl("Devices", "list"))
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "3.policy")

    def test_by_unit(self):
        holder = self.holder()
        cgroup = self.in_cgroup(holder.pid)
        if not cgroup:
            self.skipTest("no unified hierarchy")
        self.rule("1.policy", f'ControlGroup="{cgroup[0]}"\nUnit=!no-such.service', "Action=kill")
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "1.policy")

    def test_who_cannot_be_looked_at(self):
        """It is not waited for: the rules that ask for more are passed over, also with a `!`."""
        self.block("processes")
        self.rule("1.policy", "Executable=*", "Action=leave")
        self.rule("2.policy", "Unit=!a.service", "Action=leave")
        self.rule("3.policy", "Command=*", "Action=kill")
        holder = self.holder()
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "3.policy")
        incident = self.ctl("Incident", "show", "7")
        (note,) = incident["Notes"]
        self.assertIn("1 of the processes could not be looked at", note)
        self.assertEqual(self.steps().count("processes"), 1)
        (took,) = (state["TookUsec"] for state in incident["States"] if state["State"] == "scanning")
        self.assertGreaterEqual(took, 1000000)

    def test_nobody_is_looked_at_for_nothing(self):
        self.rule("1.policy", "Command=*\nUser=0", "Action=kill")
        self.holder()
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertNotIn("processes", self.steps())

    def test_takeover_with_other_rules(self):
        """The ladder that was begun goes on, though its file says leave by now."""
        self.rule("1.policy", "Access=mapped", "Action=term@1s kill")
        holder = self.holder(IGNORE_TERM)
        first = self.start()
        self.module.hold()
        eventually(lambda: os.path.exists(self.path("run/incidents/7")) and self.events("acted", action="term"), 15)
        first.kill()
        first.wait()
        self.rule("1.policy", "Access=mapped", "Action=leave")
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), -signal.SIGKILL)
        self.ended()
        self.assertEqual(len(self.events("act", action="term")), 1)
        self.assertEqual(len(self.events("act", action="kill")), 1)
        (told,) = self.ctl("Incident", "show", "7")["Holders"]
        self.assertEqual((told["Rule"], told["RulePath"], told["RuleLine"]),
                         ("1.policy", self.path("policy.etc/1.policy"), 4))

    def test_a_hold_keeps_its_rules(self):
        """Reloading is refused while something is held; SIGHUP is put off."""
        self.rule("1.policy", "Access=mapped", "Action=term@2s kill")
        self.block("sync")
        holder = self.holder()
        daemon = self.start_with_socket()
        eventually(lambda: self.status()["Rules"] == 1)
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        self.rule("2.policy", "Access=mapped", "Action=leave")
        self.rule("1.policy", "Access=mapped", "Action=leave")
        done = self.tool_says("reload")
        self.assertEqual(done.returncode, 1)
        self.assertIn("a removal is under way", done.stderr)
        daemon.send_signal(signal.SIGHUP)
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), -signal.SIGTERM)
        eventually(lambda: self.status()["Rules"] == 2)


class DeviceRuleTest(PolicyCase):
    def test_keep(self):
        """Who is left keeps his file system, mounted."""
        self.rule("1.device", "MountPoint=" + self.pmem, "OnBusy=keep")
        self.rule("1.policy", "Access=open", "Action=leave")
        holder = self.holder(code=OPEN_ONLY)
        self.start()
        self.assertEqual(self.held(), "RELEASED")
        self.assertTrue(is_mounted(self.dev))
        self.assertIsNone(holder.poll())
        self.assertNotIn("detach", self.steps())
        self.assertNotIn("shutdown", self.steps())
        incident = self.ctl("Incident", "show", "7")
        self.assertEqual(incident["Outcome"], "kept")
        self.assertEqual(incident["DeviceRule"], "1.device")

    def test_detach_is_the_default(self):
        self.rule("1.device", "MountPoint=/elsewhere", "OnBusy=keep")
        self.holder(code=OPEN_ONLY)
        self.start()
        self.held()
        self.assertFalse(is_mounted(self.dev))
        self.assertEqual(self.events("device-rule")[0]["name"], "built-in:device")

    def test_keep_but_nobody_is_there(self):
        self.rule("1.device", "Device=*", "OnBusy=keep")
        self.holder(EXIT_ON_TERM)
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertFalse(is_mounted(self.dev))
        self.assertEqual(self.ctl("Incident", "show", "7")["Outcome"], "clean")

    def test_shorter_budget(self):
        """A ladder of a minute in a hold of twenty seconds, of which eight are to be used."""
        self.rule("1.device", "Device=pmem0", "Budget=8s")
        self.rule("1.policy", "Access=mapped", "Action=term@60s kill")
        self.holder(IGNORE_TERM)
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertLess(float(self.events("done")[0]["held_us"]) / 1e6, 9)
        self.assertEqual(self.module.said("EXTEND"), [])

    def test_longer_budget(self):
        self.rule("1.device", "Device=pmem0", "Budget=45s")
        self.holder(EXIT_ON_TERM)
        self.start()
        self.assertEqual(self.held(), "ACKED")
        (said,) = self.module.said("EXTEND")
        self.assertGreater(int(said[3]), 40000)
        self.assertLessEqual(int(said[3]), 45000)

    def test_a_budget_that_is_refused(self):
        self.module.refusals["EXTEND"] = [(34, "more than the cap")]
        self.rule("1.device", "Device=pmem0", "Budget=10min")
        self.holder(EXIT_ON_TERM)
        self.start()
        self.assertEqual(self.held(), "ACKED")
        self.assertIn("more than the cap", self.ctl("Incident", "show", "7")["Notes"])

    def test_takeover(self):
        """The next daemon has no such rule; the removal has."""
        self.rule("1.device", "Device=*", "OnBusy=keep")
        self.block("unmount")
        self.holder(code=OPEN_ONLY)
        first = self.start()
        self.module.hold()
        eventually(lambda: "unmount" in self.steps(), 15)
        first.kill()
        first.wait()
        os.unlink(self.path("policy.etc/1.device"))
        self.unblock("unmount")
        self.start()
        self.assertEqual(self.module.wait(), "RELEASED")
        self.assertEqual(self.ended()["outcome"], "kept")
        self.assertTrue(is_mounted(self.dev))


class ReloadTest(PolicyCase):
    def test_all_or_nothing(self):
        self.rule("1.policy", "Access=mapped", "Action=kill")
        self.start_with_socket()
        self.assertEqual(self.status()["Rules"], 1)
        self.rule("2.policy", "Acces=mapped", "Action=kill")
        self.rule("3.policy", "Access=mapped", "Action=kil")
        done = self.tool_says("reload")
        self.assertEqual(done.returncode, 6, done.stderr)
        for line, text in enumerate((f"{self.dir}/policy.etc/2.policy:2:1: ", f"{self.dir}/policy.etc/3.policy:4:8: ")):
            self.assertIn(text, done.stderr.splitlines()[line])
            self.assertTrue(self.status()["Refused"][line].startswith(text))
            eventually(lambda text=text: any(t.startswith(text) for t in self.journal.texts()))
        self.assertFalse(self.status()["PolicyBuiltin"])
        self.assertIn("2.policy:2:1: ", self.tool_says("status").stdout)
        # What was in force is.
        holder = self.holder()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "1.policy")
        for name in ("2.policy", "3.policy"):
            os.unlink(self.path("policy.etc/" + name))
        self.reload()
        self.assertEqual(self.status()["Refused"], [])

    def test_wrong_at_the_start(self):
        self.rule("1.policy", "Access=mapped", "Action=leav")
        self.rule("2.policy", "Access=mapped", "Action=leave")
        holder = self.holder(EXIT_ON_TERM)
        self.start_with_socket()
        self.assertTrue(self.status()["PolicyBuiltin"])
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "built-in:mapped")
        self.rule("1.policy", "Access=mapped", "Action=leave")
        self.reload()
        self.assertFalse(self.status()["PolicyBuiltin"])
        self.assertEqual(self.status()["Rules"], 2)

    def test_a_wrong_configuration_refuses_the_rules(self):
        self.start_with_socket()
        self.rule("1.policy", "Access=mapped", "Action=kill")
        self.write("daxguardd.conf", "[Daemon]\nNo=1\n", 0o644)
        done = self.tool_says("reload")
        self.assertEqual(done.returncode, 6)
        self.assertIn("daxguardd.conf:", done.stderr)
        self.assertEqual(self.status()["Rules"], 0)

    def test_insecure(self):
        self.start_with_socket()
        self.rule("1.policy", "Access=mapped", "Action=kill", mode=0o666)
        done = self.tool_says("reload")
        self.assertEqual(done.returncode, 6)
        self.assertIn(f"{self.dir}/policy.etc/1.policy: ", done.stderr)
        self.assertEqual(self.status()["Rules"], 0)

    def test_precedence(self):
        self.rule("1.policy", "Access=mapped", "Action=kill", where="usr")
        self.rule("1.policy", "Access=mapped", "Action=term", where="etc")
        self.rule("2.policy", "Access=mapped", "Action=kill", where="run")
        self.write("policy.etc/2.policy", "", 0o644)
        self.start_with_socket()
        rules = self.ctl("Policy", "policy")
        self.assertEqual([r["Name"] for r in rules["Rules"]],
                         ["built-in:protected", "1.policy", "built-in:mapped", "built-in:memory-failure",
                          "built-in:other"])
        self.assertEqual(rules["Rules"][1]["Path"], self.path("policy.etc/1.policy"))

    def test_names(self):
        """Known ones match; one that nobody knows is told, and matches nobody."""
        self.rule("1.policy", "User=no-such-user", "Action=leave")
        self.rule("2.policy", "User=!no-such-user", "Action=leave")
        self.rule("3.policy", "User=root\nGroup=root", "Action=kill")
        self.start_with_socket()
        eventually(lambda: len(self.status()["PolicyWarnings"]) == 2)
        self.assertIn('1.policy:2:6: nobody here knows the user "no-such-user"', self.status()["PolicyWarnings"][0])
        holder = self.holder()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "3.policy")

    def test_names_that_do_not_come(self):
        """A hold that begins meanwhile is served; then they are looked up."""
        self.rule("3.policy", "User=root", "Action=kill")
        self.block("names")
        holder = self.holder(EXIT_ON_TERM)
        self.start_with_socket()
        eventually(lambda: "names" in self.steps())
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "built-in:mapped")
        eventually(lambda: self.steps().count("names") >= 2)
        self.unblock("names")
        eventually(lambda: self.status()["PolicyWarnings"] == [])

    def test_many_names(self):
        """More than one step is told at a time."""
        names = [f"user-{i:03}-{'x' * 40}" for i in range(200)]
        self.rule("1.policy", "User=" + " ".join(names), "Action=kill")
        self.rule("2.policy", "User=root", "Action=kill")
        self.start_with_socket()
        eventually(lambda: len(self.status()["PolicyWarnings"]) == 200)
        holder = self.holder()
        self.assertEqual(self.held(), "ACKED")
        self.assertEqual(self.rule_of(holder), "2.policy")

    def test_a_hold_begins(self):
        """Who waits for it is told that it is not done."""
        self.start_with_socket()
        self.rule("1.policy", "User=root", "Action=kill")
        self.block("names")
        said = []
        thread = threading.Thread(target=lambda: said.append(self.tool_says("reload")))
        thread.start()
        eventually(lambda: "names" in self.steps())
        self.holder(EXIT_ON_TERM)
        self.assertEqual(self.held(), "ACKED")
        thread.join(20)
        self.assertEqual(said[0].returncode, 1)
        self.assertIn("a removal is under way", said[0].stderr)
        self.unblock("names")
        self.reload()
        self.assertEqual(self.status()["Rules"], 1)

    def test_who_asks_meanwhile(self):
        """Everybody gets the answer of what was read last."""
        self.start_with_socket()
        self.rule("1.policy", "User=root", "Action=kill")
        self.block("names")
        said = []
        first = threading.Thread(target=lambda: said.append(self.tool_says("reload")))
        first.start()
        eventually(lambda: "names" in self.steps())
        self.rule("2.policy", "User=root", "Action=kil")
        self.assertEqual(self.tool_says("reload").returncode, 6)
        first.join(20)
        self.assertEqual(said[0].returncode, 6)
        self.unblock("names")
        self.assertEqual(self.status()["Rules"], 0)

    def test_the_service_manager_is_told(self):
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(told.close)
        told.bind(self.path("notify"))
        told.settimeout(15)

        def next_word():
            while True:
                word = told.recv(4096).decode()
                if "WATCHDOG" not in word:
                    return word

        daemon = self.start_with_socket(notify=True)
        self.assertEqual(next_word(), "READY=1")
        self.rule("1.policy", "Access=mapped", "Action=kill")
        daemon.send_signal(signal.SIGHUP)
        lines = next_word().split("\n")
        self.assertEqual(lines[0], "RELOADING=1")
        self.assertGreater(int(lines[1].removeprefix("MONOTONIC_USEC=")), 0)
        self.assertEqual(next_word(), "READY=1")
        self.rule("1.policy", "Access=mapped", "Action=kil")
        self.tool_says("reload")
        self.assertTrue(next_word().startswith("RELOADING=1\n"))
        self.assertEqual(next_word(), "READY=1")
        self.assertEqual(self.status()["Rules"], 1)

    def test_what_is_said_of_it(self):
        """The text is the rule again."""
        self.rule("1.policy", 'Unit="a b.service" c*\nUnit=!d.service\nAccess=mapped',
                  'Action=notify@1500ms exec@3s kill\nSignal=SIGUSR1\nExec=/bin/x "a b" \'"\'\nScope=unit')
        self.rule("1.device", "Device=pmem0", "OnBusy=keep\nBudget=2500ms")
        self.start_with_socket()
        policy = self.ctl("Policy", "policy")
        rule = policy["Rules"][1]
        self.assertEqual(rule["Match"], ['Unit="a b.service" c*', "Unit=!d.service", "Access=mapped"])
        self.assertEqual(rule["Policy"], ["Action=notify@1500ms exec@3s kill@1s", "Signal=10",
                                          'Exec=/bin/x "a b" \'"\'', "ExecTimeoutSec=5s", "Scope=unit"])
        self.assertEqual(policy["DeviceRules"][0]["Device"], ["OnBusy=keep", "Budget=2500ms"])
        self.assertEqual(policy["DeviceRules"][1]["Name"], "built-in:device")
        text = self.tool_says("policy").stdout
        self.assertIn("# " + self.path("policy.etc/1.policy"), text)
        self.write("1.policy", "\n".join(["[Match]", *rule["Match"], "[Policy]", *rule["Policy"], ""]), 0o644)
        check = subprocess.run([self.tool, "--json", "check-policy", self.path("1.policy")], check=True,
                               stdout=subprocess.PIPE)
        self.assertEqual(json.loads(check.stdout)["Check"]["Errors"], [])


if __name__ == "__main__":
    main()
