#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon on a system bus: what it says there, and to whom.

usage: as test-daemon.py, with DAXGUARD_TEST_DBUS, the directory of what is
installed for D-Bus, and DAXGUARD_FAKE_POLKIT in the environment
"""

import os
import select
import subprocess
import time
import xml.etree.ElementTree as ET

from buscase import DBUS, MANAGER, NAME, NOBODY, ROOT_PATH, BusCase, Refused
from daemoncase import EXIT_ON_TERM, eventually, main

DEVICE, INCIDENT = NAME + ".Device", NAME + ".Incident"
POLKIT = os.environ.get("DAXGUARD_FAKE_POLKIT", "")
TOLD = "string \"Pid\"", "string \"Comm\"", "string \"Path\"", "string \"Address\""


def shape(interface):
    """All that somebody may rely on, in no order."""
    def of(element):
        notes = {(a.get("name"), a.get("value")) for a in element.findall("annotation")}
        args = [(a.get("name"), a.get("type"), a.get("direction")) for a in element.findall("arg")]
        return (element.tag, element.get("name"), element.get("type"), element.get("access"), tuple(args),
                frozenset(notes))
    return {of(element) for element in interface if element.tag != "annotation"}


class BusTest(BusCase):
    def watch(self, uid=0):
        """What somebody sees who listens to all that the daemon says."""
        more = {"user": uid, "group": uid, "extra_groups": []} if uid else {}
        log = open(self.bus_dir + f"/seen-{uid}", "w+", encoding="utf-8", errors="replace")
        self.addCleanup(log.close)
        self.processes.append(subprocess.Popen(
            ["dbus-monitor", "--address", self.address, f"type='signal',path_namespace='{ROOT_PATH}'"],
            stdout=log, stderr=subprocess.DEVNULL, cwd="/", **more))

        def seen():
            with open(log.name, encoding="utf-8", errors="replace") as file:
                return file.read()
        eventually(lambda: "NameAcquired" in seen() or "NameLost" in seen())
        return seen

    def test_introspection(self):
        """What is installed for who writes a client is what the daemon says."""
        self.topology(self.pmem0())
        self.start_on_bus()
        self.module.hold()
        self.module.wait()
        eventually(lambda: DEVICE in str(self.objects()))
        for name, path in ((MANAGER, ROOT_PATH), (DEVICE, ROOT_PATH + "/device/pmem0"),
                           (INCIDENT, ROOT_PATH + "/incident/7")):
            said = ET.fromstring(self.call(NAME, path, "org.freedesktop.DBus.Introspectable", "Introspect")[0])
            written = ET.parse(f"{DBUS}/{name}.xml").getroot()
            with self.subTest(name):
                self.assertEqual(shape(said.find(f"interface[@name='{name}']")),
                                 shape(written.find(f"interface[@name='{name}']")))

    def test_objects(self):
        """Devices and incidents come, change and go, with the signals that say so."""
        self.topology(self.pmem0(DRIVER=""), self.pmem0(NAME="dax0.0", DEV="252:0", MODE="devdax"))
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 2)
        path = ROOT_PATH + "/device/dax0_2e0"
        self.assertEqual(self.objects().keys(), {ROOT_PATH + "/device/pmem0", path})
        self.assertEqual((self.properties(path, DEVICE)["Name"], self.properties(path, DEVICE)["Mode"]),
                         ("dax0.0", "devdax"))
        seen = self.watch()
        self.topology(self.pmem0(),
                      {"MOUNT_OF": "pmem0", "PATH": self.pmem, "TYPE": "tmpfs", "DEV": "0:1"})
        self.holder(EXIT_ON_TERM)
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        self.assertEqual(self.properties(ROOT_PATH + "/device/pmem0", DEVICE)["Incident"], 7)
        self.assertEqual(self.properties(ROOT_PATH + "/incident/7", INCIDENT)["State"], "syncing")
        self.unblock("sync")
        self.module.wait()
        eventually(lambda: "IncidentEnded" in seen())
        incident = self.properties(ROOT_PATH + "/incident/7", INCIDENT)
        self.assertEqual((incident["Id"], incident["State"], incident["Result"], incident["HolderCount"]),
                         (7, "done", "acked", 1))
        self.assertEqual(incident, self.manager("ListIncidents")[0])
        # Half a second later it has looked again.
        eventually(lambda: "InterfacesRemoved" in seen())
        self.assertNotIn(path, self.objects())
        device = self.objects()[ROOT_PATH + "/device/pmem0"][DEVICE]
        self.assertEqual((device["Driver"], device["Incident"], bytes(device["Mounts"][0]["Path"]).decode()),
                         ("nd_pmem", 0, self.pmem))
        words = [line.split("member=")[1] for line in seen().splitlines() if "member=" in line]
        words = [word for word in words if not word.startswith("Name")]
        self.assertEqual(words[:3], ["InterfacesAdded", "PropertiesChanged", "IncidentBegan"])
        for word in ("StateChanged", "HolderActed", "IncidentEnded"):
            self.assertIn(word, words)
        for word in ("string \"Driver\"", "string \"Mounts\"", "string \"State\""):
            self.assertIn(word, seen())
        with self.assertRaises(Refused):
            self.properties(ROOT_PATH + "/incident/07", INCIDENT)
        with self.assertRaises(Refused):
            self.properties(ROOT_PATH + "/device/pmem1", DEVICE)

    def test_forgotten(self):
        self.write("daxguardd.conf", "[Daemon]\nIncidentsMax=1\n", 0o644)
        self.start_on_bus()
        for number in (7, 8):
            self.module.hold(number)
            self.module.wait(number)
            self.ended(number)
            eventually(lambda: list(self.objects()) == [f"{ROOT_PATH}/incident/{number}"])

    def test_names_that_are_none(self):
        """A process may be called anything; it breaks no message, and no client."""
        self.module.extra_usages = [self.module.usage(4000000, 10**9, "MAPPED", b"a\x1b[2J\xff\xfe")]
        self.start_on_bus()
        device = f"{os.major(self.dev)}:{os.minor(self.dev)}"
        holders = self.manager("ListHolders", "s", device)["Holders"]
        self.assertEqual(bytes(holders[0]["Comm"]), b"a\x1b[2J\xff\xfe")
        self.module.hold()
        self.module.wait()
        self.ended()
        story = self.manager("GetIncident", "t", "7")
        self.assertEqual(bytes(story["Holders"][0]["Comm"]), b"a\x1b[2J\xff\xfe")
        with self.assertRaisesRegex(Refused, "more arguments than anybody needs"):
            self.manager("ListHolders", "s", "x" * 10000)
        with self.assertRaisesRegex(Refused, "no device"):
            self.manager("ListHolders", "s", "\x1b[2J")

    def test_clients(self):
        """Those that people use; gdbus and python3-dbus where there are any."""
        self.topology(self.pmem0())
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 1)
        self.assertIn("pmem0", self.busctl("tree", NAME, "--list"))
        self.assertIn(".ListDevices", self.busctl("introspect", NAME, ROOT_PATH))
        env = dict(os.environ, DBUS_SYSTEM_BUS_ADDRESS=self.address)
        gdbus = ["gdbus", "call", "--system", "--dest", NAME, "--object-path", ROOT_PATH, "--method"]
        code = ("import dbus\n"
                f"m = dbus.Interface(dbus.SystemBus().get_object('{NAME}', '{ROOT_PATH}'), '{MANAGER}')\n"
                "print([str(d['Name']) for d in m.ListDevices()], int(m.GetStatus()['OpenIncidents']))")
        for command, answer in ((gdbus + [MANAGER + ".ListDevices"], "<'pmem0'>"),
                                (["/usr/bin/python3", "-c", code], "['pmem0'] 0")):
            with self.subTest(command[0]):
                try:
                    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30,
                                          check=False)
                except FileNotFoundError:
                    self.skipTest(f"no {command[0]} here")
                if b"No module named 'dbus'" in done.stderr:
                    self.skipTest("no python3-dbus here")
                self.assertIn(answer, done.stdout.decode(), done.stderr)

    def test_refused_here(self):
        """/etc may lie on what is held: sd-bus is kept from reading there."""
        self.start_on_bus()
        with self.assertRaisesRegex(Refused, "ask somebody else"):
            self.call(NAME, ROOT_PATH, "org.freedesktop.DBus.Peer", "GetMachineId")
        self.call(NAME, ROOT_PATH, "org.freedesktop.DBus.Peer", "Ping")

    def test_seen_by_everybody(self):
        """Signals go to all who listen: no process is in them, nor where it is."""
        self.users()
        self.start_on_bus()
        root, nobody = self.watch(), self.watch(NOBODY)
        self.holder(EXIT_ON_TERM)
        self.module.hold()
        self.module.wait()
        for seen in root, nobody:
            eventually(lambda: "IncidentEnded" in seen())
            self.assertIn("member=HolderActed", seen())
            for word in TOLD:
                self.assertNotIn(word, seen())


class PrivacyTest(BusCase):
    def test_holders(self):
        """His own in full, the others in numbers; addresses for root alone."""
        self.users()
        os.chmod(self.pmem + "/data", 0o666)
        self.topology(self.pmem0())
        his = self.holder(f"os.setuid({NOBODY})\n" + EXIT_ON_TERM)
        others = [self.holder(EXIT_ON_TERM) for _ in range(2)]
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 1)
        for uid, pids in ((0, {his.pid, others[0].pid, others[1].pid}), (NOBODY, {his.pid})):
            users = self.manager("ListHolders", "s", "pmem0", uid=uid)
            self.assertEqual({holder["Pid"] for holder in users["Holders"]}, pids)
            self.assertEqual({"Mappings" in holder for holder in users["Holders"]}, {uid == 0})
            if uid == NOBODY:
                self.assertEqual(users["Holders"][0]["Uid"], NOBODY)
                self.assertEqual((users["Others"]["Holders"], users["Others"]["Mapped"],
                                  users["Others"]["MappedBytes"]), (2, 2, 2 * 16384))
            else:
                self.assertNotIn("Others", users)
        self.module.hold()
        self.module.wait()
        self.ended()
        root, user = (self.manager("GetIncident", "t", "7", uid=uid) for uid in (0, NOBODY))
        self.assertEqual(len(root["Holders"]), 3)
        self.assertEqual([holder["Pid"] for holder in user["Holders"]], [his.pid])
        self.assertEqual(user["Holders"][0]["End"], "exited")
        self.assertEqual(user["Others"]["Holders"], 2)
        for key in ("Notes", "UnbinderPid"):
            self.assertIn(key, root)
            self.assertNotIn(key, user)
        self.assertIn("Address", root["Holders"][0])
        self.assertNotIn("Address", user["Holders"][0])
        self.assertNotIn("Error", user["Steps"][0])
        status = self.manager("GetStatus", uid=NOBODY)
        self.assertEqual(status["TotalIncidents"], 1)
        for key in ("Protected", "Pinned", "ConfigFiles", "ConfigErrors", "Refused", "PolicyWarnings"):
            self.assertIn(key, self.manager("GetStatus"))
            self.assertNotIn(key, status)

    def test_failed_memory(self):
        """What it was used for; but which file that is is root's."""
        self.users()
        number = 10**12 + 1
        os.makedirs(self.path("run/incidents"), 0o700)
        events = (f"begin id={number} kind=memory-failure device=pmem0", "file fs_dev=259:0 ino=12 path=/mnt/secret",
                  "place offset=0 len=4096 kind=file fs_dev=259:0 ino=12", "end state=done outcome=nobody")
        self.write(f"run/incidents/{number}", "".join(f"1 1 {event}\n" for event in events), 0o600)
        self.start_on_bus()
        root, user = (self.manager("GetIncident", "t", str(number), uid=uid) for uid in (0, NOBODY))
        self.assertEqual([place["Content"] for place in user["Places"]], ["file"])
        self.assertIn("Path", root["Places"][0])
        for key in ("Path", "NoPath", "Deleted", "Elsewhere"):
            self.assertNotIn(key, user["Places"][0])

    def test_rules(self):
        """Whose files they are is the administrator's affair."""
        self.start_on_bus()
        self.assertEqual([rule["Name"] for rule in self.manager("GetPolicy")["Rules"]],
                         ["built-in:protected", "built-in:mapped", "built-in:memory-failure", "built-in:other"])
        with self.assertRaises(Refused):
            self.manager("GetPolicy", uid=NOBODY)

    def test_not_while_held(self):
        """A user's question does not keep the kernel from looking for the daemon."""
        self.users()
        self.topology(self.pmem0())
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 1)
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        with self.assertRaisesRegex(Refused, "too many ask at once"):
            self.manager("ListHolders", "s", "pmem0", uid=NOBODY)
        self.manager("ListHolders", "s", "pmem0")
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")

    def test_a_user_keeps_nobody_out(self):
        """Who asks for all at once gets some, and root his answer."""
        self.users()
        self.topology(self.pmem0())
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 1)
        hooks = self.module.hooks
        hooks.append(("SCAN_DEVICE", lambda: time.sleep(3)))
        asking = [self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "ListHolders", "s", "pmem0", uid=NOBODY)
                  for _ in range(12)]
        ended = [(process.communicate(timeout=30), process.returncode) for process in asking]
        self.assertIn(0, {code for _, code in ended})
        self.assertIn(b"too many ask at once", b"".join(err for (_, err), _ in ended))
        self.assertEqual(self.manager("ListHolders", "s", "pmem0")["Device"], "pmem0")


class PolkitTest(BusCase):
    def polkit(self, mode):
        self.fake = subprocess.Popen([POLKIT, self.address, mode], stdout=subprocess.PIPE, bufsize=0)
        self.processes.append(self.fake)
        self.assertEqual(self.said(), ["ready"])

    def said(self):
        """The next thing that happens to polkit; soon, not at a deadline."""
        self.assertTrue(select.select([self.fake.stdout], [], [], 10)[0])
        return self.fake.stdout.readline().decode().split()

    def reload(self, uid=NOBODY, options=()):
        return self.manager("Reload", uid=uid, options=options)

    def error_of_reload(self):
        """In the daemon's words, of which busctl has its own."""
        done = subprocess.run(["dbus-send", "--bus=" + self.address, "--print-reply", "--dest=" + NAME, ROOT_PATH,
                               MANAGER + ".Reload"], user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, check=False)
        self.assertNotEqual(done.returncode, 0)
        return done.stderr.decode()

    def test_root(self):
        """Root needs no polkit; what is refused leaves what was."""
        self.start_on_bus()
        self.reload(uid=0)
        self.write("daxguardd.conf", "[Daemon]\nIncidentsMax=\x01no\n", 0o644)
        with self.assertRaisesRegex(Refused, "daxguardd.conf:2:14: "):
            self.reload(uid=0)
        self.assertFalse(self.manager("GetStatus")["ConfigBuiltin"])
        self.write("daxguardd.conf", "[Daemon]\nIncidentsMax=1\n", 0o644)
        self.reload(uid=0)
        for number in (7, 8):
            self.module.hold(number)
            self.module.wait(number)
            self.ended(number)
        eventually(lambda: [i["Id"] for i in self.manager("ListIncidents")] == [8])

    def test_not_while_held(self):
        """The files may be on what is held."""
        self.start_on_bus()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        with self.assertRaisesRegex(Refused, "a removal is under way"):
            self.reload(uid=0)
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.ended()
        eventually(lambda: self.manager("GetStatus")["OpenIncidents"] == 0)
        self.reload(uid=0)

    def test_remove(self):
        """Nobody but who may; and to force it is another thing to be allowed."""
        self.users()
        self.topology(self.pmem0())
        self.start_on_bus()
        eventually(lambda: self.manager("ListDevices"))
        with self.assertRaises(Refused):
            self.manager("Remove", "sa{sv}", "pmem0", "0", uid=NOBODY)
        self.polkit("no")
        for force, action in (("false", "remove"), ("true", "force-remove")):
            with self.assertRaises(Refused):
                self.manager("Remove", "sa{sv}", "pmem0", "1", "Force", "b", force, uid=NOBODY)
            self.assertEqual(self.said()[:2], ["check", "org.daxguard1." + action])
        for options in (("1", "Fast", "b", "true"), ("1", "Force", "s", "yes")):
            with self.assertRaises(Refused):
                self.manager("Remove", "sa{sv}", "pmem0", *options)
        with self.assertRaisesRegex(Refused, "no device that is guarded"):
            self.manager("Remove", "sa{sv}", "pmem1", "0")
        self.assertEqual(self.manager("ListIncidents"), [])
        self.fake.kill()
        self.polkit("yes")
        number = self.manager("Remove", "sa{sv}", "pmem0", "0", uid=NOBODY)
        path = f"{ROOT_PATH}/incident/{number}"
        eventually(lambda: self.properties(path, INCIDENT)["State"] == "stayed")
        # There is no such device on the nd bus here.
        self.assertEqual(self.properties(path, INCIDENT)["Outcome"], "unbind-failed")
        self.assertEqual(self.properties(path, INCIDENT)["Source"], "user")

    def test_allowed(self):
        self.users()
        self.start_on_bus()
        self.polkit("yes")
        for options, flags in ((["--allow-interactive-authorization=no"], "0"), ((), "1")):
            self.reload(options=options)
            words = self.said()
            self.assertEqual((words[:2], words[3]), (["check", "org.daxguard1.reload"], flags))

    def test_refused(self):
        self.users()
        self.start_on_bus()
        for mode, text in (("no", "polkit refused it"), ("challenge", "administrator's password"),
                           ("nonsense", "polkit gave no answer")):
            self.polkit(mode)
            self.assertIn(text, self.error_of_reload())
            self.fake.kill()
            self.fake.wait()
        self.assertIn("no polkit", self.error_of_reload())
        self.reload(uid=0)

    def test_asker_goes(self):
        """A person is not asked on for somebody who has hung up."""
        self.users()
        self.start_on_bus()
        self.polkit("never")
        asker = self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "Reload", uid=NOBODY)
        check = self.said()
        asker.kill()
        asker.communicate()
        self.assertEqual(self.said(), ["cancel", check[4]])

    def test_never(self):
        """A hold is served while polkit thinks, and the bus answers others."""
        self.users()
        self.start_on_bus()
        self.polkit("never")
        askers = [self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "Reload", uid=NOBODY) for _ in range(6)]
        self.assertEqual(self.said()[0], "check")
        self.holder(EXIT_ON_TERM)
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.manager("GetStatus", uid=NOBODY)["TotalIncidents"], 1)
        for asker in askers:
            asker.kill()
        said = [asker.communicate()[1] for asker in askers]
        self.assertEqual(sum(b"too many ask at once" in text for text in said), 2)


if __name__ == "__main__":
    main()
