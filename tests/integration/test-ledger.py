#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledger of failures as the daemon finds it: what it says of it, to whom, and when.

How it is written is in test-keeper.c.

usage: as test-bus.py
"""

import fcntl
import os
import time

from buscase import NOBODY, BusCase, Refused
from daemoncase import eventually, main
from ledgerfile import line

UUID = "0b1cf8cc-4a2a-4e3a-9b33-1f5e7a1d0001"


def bad(seq, offset, ns=UUID, length=4096):
    return line(f"bad seq={seq} ns={ns} offset={offset} length={length} source=memory-failure type=dax\\x20page "
                f"content=file path=/mnt/\\x1b[2J\\xff dev={259 << 32} inode=12 at={offset} first=1000 last=2000 times=1")


class LedgerTest(BusCase):
    def ledger(self, text):
        os.makedirs(self.path("state"), 0o700, exist_ok=True)
        self.write("state/ledger", text, 0o600)

    def poison(self, *args, status=0):
        return self.ctl("Failures", "poison", *args, status=status)

    def loaded(self, n):
        eventually(lambda: self.ctl("Status", "status")["LedgerRead"])
        self.assertEqual(self.ctl("Status", "status")["BadRanges"], n)

    def test_poison(self):
        """What a daemon before this one has written, by what the device is called now."""
        self.ledger(bad(1, 0) + bad(2, 8192) + bad(3, 0, "pmem1") +
                    line(f"repaired seq=4 ns={UUID} offset=8192 length=4096 repaired=5000"))
        self.topology(self.pmem0(UUID=UUID.upper()))
        self.start()
        self.loaded(2)
        eventually(lambda: len(self.ctl("Devices", "list")) == 1)
        self.assertEqual([(f["Namespace"], f["Device"], f["Offset"]) for f in self.poison()],
                         [(UUID, "pmem0", 0), ("pmem1", "", 0)])
        for name in ("pmem0", "/dev/pmem0", "pfn0.0", UUID):
            self.assertEqual([f["State"] for f in self.poison(name, "--history")], ["active", "repaired"])
        self.assertEqual(len(self.poison("pmem1")), 1)
        self.assertTrue(all(f["Written"] for f in self.poison("--history")))
        self.assertEqual(bytes(self.poison()[0]["Path"]), b"/mnt/\x1b[2J\xff")
        for args in ((), ("--history",), ("pmem0", "--history")):
            said = self.text("poison", *args, columns=80)
            self.assertIn("/mnt/\\x1b[2J\\xff", said)
            self.assertLessEqual(max(map(len, said.splitlines())), 80)
        with self.assertRaisesRegex(AssertionError, "exit 4: .*no device that is guarded"):
            self.poison("pmem2")
        with self.assertRaisesRegex(AssertionError, "exit 2: "):
            self.ctl("Status", "status", "--history")

    def test_many(self):
        """More than go into one answer."""
        self.ledger("".join(bad(n + 1, n * 8192) for n in range(2500)))
        self.start()
        self.loaded(2500)
        self.assertEqual([f["Offset"] for f in self.poison()], [n * 8192 for n in range(2500)])

    def test_none(self):
        daemon = self.start()
        self.loaded(0)
        self.assertEqual(self.poison(), [])
        self.assertIsNone(daemon.poll())
        self.assertFalse(os.path.exists(self.path("state")))

    def test_damaged(self):
        """Said, and what else there is counts."""
        self.ledger(bad(1, 0) + bad(2, 8192).replace("8192", "8193") + bad(3, 16384) + "1 0123")
        self.start()
        self.loaded(2)
        self.assertEqual(self.ctl("Status", "status")["LedgerSkipped"], 2)
        eventually(lambda: any("2 lines that cannot be read; the first of them is 2: not as it was written" in text
                               for text in self.journal.texts()))
        self.assertEqual([f["Offset"] for f in self.poison()], [0, 16384])

    def test_not_to_be_read(self):
        """Somebody else has written it; that is no reason not to serve removals."""
        self.ledger(bad(1, 0))
        os.chmod(self.path("state/ledger"), 0o666)
        self.start()
        eventually(lambda: self.ctl("Status", "status")["LedgerError"] == "EPERM")
        eventually(lambda: any("could not be read: Operation not permitted" in text for text in self.journal.texts()))
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        os.chmod(self.path("state/ledger"), 0o600)
        self.loaded(1)

    def test_not_while_held(self):
        """A daemon that is started in a hold reads it afterwards."""
        self.ledger(bad(1, 0))
        self.block("sync")
        self.module.hold()
        self.start()
        eventually(lambda: "sync" in self.steps())
        self.assertEqual(self.module.words()[:3], ["REGISTER", "GET_PENDING", "TAKE"])
        time.sleep(0.5)
        self.assertNotIn("ledger", self.steps())
        with self.assertRaisesRegex(AssertionError, "was not read as yet"):
            self.poison()
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.loaded(1)

    def test_a_disk_that_does_not_answer(self):
        """A removal begins while it is being read."""
        self.ledger(bad(1, 0))
        self.block("ledger")
        self.start()
        eventually(lambda: "ledger" in self.steps())
        self.module.hold()
        self.assertEqual(self.module.wait(), "ACKED")
        self.unblock("ledger")
        self.loaded(1)

    def test_another_is_at_it(self):
        """A step of a daemon that died hangs in the kernel, and may yet write."""
        self.ledger(bad(1, 0))
        fd = os.open(self.path("state"), os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.start()
        eventually(lambda: self.ctl("Status", "status")["LedgerError"] == "EBUSY")
        os.close(fd)
        self.loaded(1)

    def test_users(self):
        """A user sees ranges and counts, and nothing of files; and none while something is held."""
        self.users()
        self.ledger(bad(1, 0) + line(f"told seq=2 ns={UUID} offset=0 length=4096 told=3"))
        self.start_on_bus()
        self.loaded(1)
        root, user = (self.manager("ListFailures", "a{sv}", "0", uid=uid)[0] for uid in (0, NOBODY))
        for key in ("Path", "Inode", "FileDevNum", "FileOffset"):
            self.assertIn(key, root)
            self.assertNotIn(key, user)
        self.assertEqual((user["Offset"], user["Length"], user["Told"], user["Content"]), (0, 4096, 3, "file"))
        with self.assertRaisesRegex(Refused, "not known"):
            self.manager("ListFailures", "a{sv}", "1", "Depth", "u", "1", uid=NOBODY)
        self.block("sync")
        self.module.hold()
        eventually(lambda: "sync" in self.steps())
        with self.assertRaisesRegex(Refused, "removal is under way"):
            self.manager("ListFailures", "a{sv}", "0", uid=NOBODY)
        self.assertEqual(len(self.manager("ListFailures", "a{sv}", "0")), 1)
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")


if __name__ == "__main__":
    main()
