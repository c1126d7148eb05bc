#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon on a system bus: what it says there, to whom, and that it does without.

usage: as test-daemon.py, with DAXGUARD_TEST_DBUS, the directory of what is
installed for D-Bus, and DAXGUARD_FAKE_POLKIT in the environment
"""

import os
import socket
import subprocess
import time
import xml.etree.ElementTree as ET

from buscase import DBUS, MANAGER, NAME, NOBODY, ROOT_PATH, BusCase, Refused
from daemoncase import EXIT_ON_TERM, IGNORE_TERM, eventually, main
from fakemodule import start_ns

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
        self.topology(self.pmem0(), self.pmem0(NAME="dax0.0", DEV="252:0", MODE="devdax"))
        self.start_on_bus()
        eventually(lambda: len(self.objects()) == 2)
        path = ROOT_PATH + "/device/dax0_2e0"
        self.assertEqual(self.objects().keys(), {ROOT_PATH + "/device/pmem0", path})
        self.assertEqual((self.properties(path, DEVICE)["Name"], self.properties(path, DEVICE)["Mode"]),
                         ("dax0.0", "devdax"))
        seen = self.watch()
        self.topology(self.pmem0(DRIVER="nd_pmem"),
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
        for key in ("Protected", "Pinned", "ConfigFiles", "ConfigErrors"):
            self.assertIn(key, self.manager("GetStatus"))
            self.assertNotIn(key, status)

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
        self.fake = subprocess.Popen([POLKIT, self.address, mode], stdout=subprocess.PIPE, text=True)
        self.processes.append(self.fake)
        self.assertEqual(self.fake.stdout.readline(), "ready\n")

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

    def test_allowed(self):
        self.users()
        self.start_on_bus()
        self.polkit("yes")
        for options, flags in ((["--allow-interactive-authorization=no"], "0"), ((), "1")):
            self.reload(options=options)
            words = self.fake.stdout.readline().split()
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
        check = self.fake.stdout.readline().split()
        asker.kill()
        asker.communicate()
        self.assertEqual(self.fake.stdout.readline().split(), ["cancel", check[4]])

    def test_never(self):
        """A hold is served while polkit thinks, and the bus answers others."""
        self.users()
        self.start_on_bus()
        self.polkit("never")
        askers = [self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "Reload", uid=NOBODY) for _ in range(6)]
        self.assertTrue(self.fake.stdout.readline().startswith("check"))
        self.holder(EXIT_ON_TERM)
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(self.manager("GetStatus", uid=NOBODY)["TotalIncidents"], 1)
        for asker in askers:
            asker.kill()
        said = [asker.communicate()[1] for asker in askers]
        self.assertEqual(sum(b"too many ask at once" in text for text in said), 2)


class LostBusTest(BusCase):
    def hold_is_served(self, number=7, ignore=False):
        holder = self.holder(IGNORE_TERM if ignore else EXIT_ON_TERM)
        begin = time.monotonic()
        self.module.hold(number)
        self.assertEqual(self.module.wait(number), "ACKED")
        self.assertIsNotNone(holder.wait(5))
        self.assertEqual(self.ended(number)["state"], "done")
        self.assertLess(time.monotonic() - begin, 8)

    def remount(self):
        """The file system of the device, for the next hold."""
        subprocess.run(["mount", "-t", "tmpfs", "none", self.pmem], check=True)
        self.dev = self.module.dev = os.stat(self.pmem).st_dev
        with open(self.pmem + "/data", "wb") as file:
            file.truncate(65536)

    def test_absent(self):
        """No bus: nothing is missing. Then there is one, and it is used."""
        self.start()
        self.hold_is_served()
        self.assertEqual(len(self.ctl("Incidents", "incidents")), 1)
        self.assertNotIn("system bus", " ".join(self.journal.texts()))
        self.start_bus()
        eventually(self.is_on_bus, 20)
        self.assertEqual(len(self.manager("ListIncidents")), 1)

    def test_restarted(self):
        """Also in a hold."""
        self.start_on_bus()
        self.block("sync")
        holder = self.holder(EXIT_ON_TERM)
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        self.stop_bus()
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertEqual(holder.wait(5), 0)
        self.start_bus()
        eventually(self.is_on_bus, 20)
        self.assertEqual(self.manager("ListIncidents")[0]["State"], "done")
        eventually(lambda: any("Not on the system bus" in text for text in self.journal.texts()))
        eventually(lambda: "On the system bus" in self.journal.texts())

    def test_frozen(self):
        """With calls under way, before and while it is held; it goes on as if nothing had been."""
        daemon = self.start_on_bus()
        asking = [self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "GetStatus") for _ in range(3)]
        self.freeze_bus()
        self.hold_is_served(ignore=True)
        self.assertIsNone(daemon.poll())
        self.thaw_bus()
        for process in asking:
            self.assertIn(b"Version", process.communicate(timeout=30)[0])
        self.assertEqual(self.manager("ListIncidents")[0]["Result"], "acked")

    def test_frozen_while_it_is_asked_who_asks(self):
        """The synchronous way to ask would take 25 s."""
        self.start_on_bus()
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        for _ in range(20):
            self.start_busctl("call", NAME, ROOT_PATH, MANAGER, "GetStatus")
        time.sleep(0.05)
        self.freeze_bus()
        self.unblock("sync")
        begin = time.monotonic()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertLess(time.monotonic() - begin, 8)
        self.thaw_bus()
        eventually(lambda: self.manager("ListIncidents")[0]["State"] == "done")

    def test_frozen_for_long(self):
        """More news than are kept for it: it is hung up on, and found again."""
        # As in its unit: the buffer of its socket is no larger than wmem_max.
        os.environ["DAXGUARD_TEST_WRAPPER"] = "setpriv --inh-caps=-net_admin --bounding-set=-net_admin"
        self.addCleanup(os.environ.pop, "DAXGUARD_TEST_WRAPPER", None)
        self.start_on_bus()
        self.freeze_bus()
        number = 7
        while not any("Not on the system bus: No buffer" in text for text in self.journal.texts()):
            self.assertLess(number, 40, "the queue has no bound")
            crowd = [subprocess.Popen(["sleep", "100"]) for _ in range(400)]
            self.processes += crowd
            self.module.extra_usages = [self.module.usage(p.pid, start_ns(p.pid), "MAPPED", "crowd") for p in crowd]
            self.module.hold(number)
            self.module.wait(number)
            self.assertEqual(self.ended(number)["state"], "done")
            self.assertEqual({p.wait(5) for p in crowd}, {-15})
            number += 1
        self.thaw_bus()
        eventually(lambda: "On the system bus" in self.journal.texts(), 40)
        self.assertEqual([i["HolderCount"] for i in self.manager("ListIncidents")], [400] * (number - 7))

    def test_dead_from_the_begin(self):
        """Somebody listens, and says nothing ever."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.socket)
            sock.listen(1)
            self.start()
            self.hold_is_served()
            first, _ = sock.accept()
            with first:
                self.assertTrue(first.recv(100).startswith(b"\0AUTH"))
                first.settimeout(40)
                # At its deadline it lets go, and tries again.
                while first.recv(4096):
                    pass
            second, _ = sock.accept()
            second.close()
        eventually(lambda: any("Not on the system bus: Connection timed out" in text
                               for text in self.journal.texts()))

    def test_full(self):
        """Its backlog is full: to connect would wait."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(self.socket)
            sock.listen(0)
            kept = []
            for _ in range(8):
                kept.append(socket.socket(socket.AF_UNIX))
                kept[-1].setblocking(False)
                try:
                    kept[-1].connect(self.socket)
                except BlockingIOError:
                    break
            self.start()
            self.hold_is_served()
            for other in kept:
                other.close()

    def test_not_allowed(self):
        """Without the policy file the name is not for us; that is said once."""
        with open(self.bus_dir + "/conf", encoding="ascii") as file:
            lines = [line for line in file if "<include>" not in line]
        with open(self.bus_dir + "/conf", "w", encoding="ascii") as file:
            file.writelines(lines)
        self.start_bus()
        self.start()
        eventually(lambda: "Not on the system bus: Permission denied" in self.journal.texts())
        self.hold_is_served()
        time.sleep(2)
        self.assertEqual(sum("Not on the" in text for text in self.journal.texts()), 1)


if __name__ == "__main__":
    main()
