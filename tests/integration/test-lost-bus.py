#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A system bus that is not there, dies, stops, or says nothing: the daemon does without.

usage: as test-bus.py
"""

import os
import socket
import subprocess
import time

from buscase import MANAGER, NAME, ROOT_PATH, BusCase
from daemoncase import EXIT_ON_TERM, IGNORE_TERM, eventually, main
from procfs import start_ns


class LostBusTest(BusCase):
    def hold_is_served(self, number=7, ignore=False):
        holder = self.holder(IGNORE_TERM if ignore else EXIT_ON_TERM)
        begin = time.monotonic()
        self.module.hold(number)
        self.assertEqual(self.module.wait(number), "ACKED")
        self.assertIsNotNone(holder.wait(5))
        self.assertEqual(self.ended(number)["state"], "done")
        self.assertLess(time.monotonic() - begin, 8)

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

    def test_frozen_from_the_begin(self):
        """A daemon that is started for a hold connects in it; it waits for no greeting."""
        self.start_bus()
        self.freeze_bus()
        holder = self.holder(EXIT_ON_TERM)
        self.module.hold()
        begin = time.monotonic()
        self.start()
        self.assertEqual(self.module.wait(), "ACKED")
        self.assertLess(time.monotonic() - begin, 8)
        self.assertEqual(holder.wait(5), 0)
        self.thaw_bus()
        eventually(self.is_on_bus, 20)
        eventually(lambda: self.manager("ListIncidents")[0]["State"] == "done")

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
        wrapper = os.environ.get("DAXGUARD_TEST_WRAPPER", "")
        self.addCleanup(os.environ.update, DAXGUARD_TEST_WRAPPER=wrapper)
        os.environ["DAXGUARD_TEST_WRAPPER"] = "setpriv --inh-caps=-net_admin --bounding-set=-net_admin " + wrapper
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
