#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The ledger of failures in step with the kernel: what is good again, and how often what was found.

usage: as test-daemon.py
"""

import errno
import os
import time

from daemoncase import STEP_WRAPPER, eventually, main
from failingmodule import PAGE
from failurecase import GOES_ON, UUID, FailureCase
from ledgerfile import line


def bad(seq, page, n=1, source="badblocks"):
    return line(f"bad seq={seq} ns={UUID} offset={page * PAGE} length={n * PAGE} source={source} content=unknown "
                f"first=1000 last=2000 times=1")


def answer(*records):
    return "".join(f"{record}\0\0" for record in records)


class LedgerCase(FailureCase):
    def device(self):
        self.topology(self.pmem0(UUID=UUID))

    def ledger(self, *lines):
        self.write("state/ledger", "".join(lines), 0o600)

    def poison(self, *args):
        return self.ctl("Failures", "poison", *args)

    def known(self, *args):
        """(page, pages, times, told) of each range, when all of it is written."""
        self.loaded()
        eventually(lambda: all(f["Written"] for f in self.poison()))
        return [(f["Offset"] // PAGE, f["Length"] // PAGE, f["Times"], f["Told"]) for f in self.poison(*args)]


class RepairsTest(LedgerCase):
    def said(self):
        return [text for text in self.journal.texts() if "is good again" in text]

    def asked(self, n):
        eventually(lambda: self.steps().count("repaired") >= n)

    def test_repaired(self):
        """What the list has no more is history, which is on the disk before it is said."""
        self.ledger(bad(1, 1), bad(2, 4), bad(3, 8))
        self.write("output-repaired", answer("RANGE=0\0RESULT=repaired\0WHY=not-listed",
                                             "RANGE=1\0RESULT=unknown\0WHY=scrubbing",
                                             "RANGE=2\0RESULT=repaired\0WHY=not-listed"), 0o600)
        self.start()
        heard = self.monitor()
        for n in range(1, 21):	# it has to connect first
            self.module.hold(n)
            self.module.wait(n)
            if heard():
                break
        self.device()
        self.module.hold(99)	# the devices are looked at again after it
        self.module.wait(99)
        eventually(self.said)
        eventually(lambda: any(e["Signal"] == "FailuresRepaired" for e in heard()))
        signal = next(e for e in heard() if e["Signal"] == "FailuresRepaired")
        self.assertEqual((signal["Device"], signal["RepairedRanges"], signal["RepairedBytes"]), ("pmem0", 2, 8192))
        self.assertEqual(self.said(), ["Bad memory of pmem0 is good again: 2 ranges of 8192 bytes in all"])
        self.assertEqual(self.known(), [(4, 1, 1, 0)])
        was = [f for f in self.poison("--history") if f["State"] == "repaired"]
        self.assertEqual([f["Offset"] // PAGE for f in was], [1, 8])
        self.assertLess(abs(time.time() - was[0]["RepairedUsec"] / 1e6), 60)
        with open(self.path("state/ledger"), encoding="ascii") as file:
            self.assertEqual([words.split()[2] for words in file][3:], ["repaired"] * 2)
        entry, = (e for e in self.journal.entries if "is good again" in e.get("MESSAGE", ""))
        self.assertEqual((entry["DAXGUARD_DEVICE"], entry["DAXGUARD_RANGES"], entry["DAXGUARD_BYTES"]),
                         ("pmem0", "2", "8192"))
        self.assertEqual(self.steps().count("repaired"), 1)

    def test_a_part(self):
        """What is cleared of a range that is listed still; and no more than was asked about."""
        self.ledger(bad(1, 4, 4))
        self.write("output-repaired", answer("RANGE=0\0RESULT=still\0WHY=listed",
                                             f"RANGE=0\0GOOD_OFFSET={5 * PAGE}\0GOOD_LEN={PAGE}",
                                             f"RANGE=0\0GOOD_OFFSET={7 * PAGE}\0GOOD_LEN={99 * PAGE}"), 0o600)
        self.device()
        self.start()
        eventually(self.said)
        self.assertEqual(self.known(), [(4, 1, 1, 0), (6, 1, 1, 0)])
        self.assertIn("2 ranges of 8192 bytes", self.said()[0])

    def test_many(self):
        """More than one step is asked about."""
        self.ledger(*(bad(n + 1, n * 2) for n in range(1500)))
        self.write("output-repaired", answer(*(f"RANGE={n}\0RESULT=repaired\0WHY=not-listed" for n in range(1024))),
                   0o600)
        self.device()
        self.start()
        eventually(lambda: len(self.said()) == 2, 30)
        self.assertEqual(self.known(), [])
        self.assertEqual(self.steps().count("repaired"), 2)

    def test_nobody_is_asked(self):
        """Of nothing that is bad; of what no list has had; of a device that is not there."""
        self.ledger(bad(1, 1, source="memory-failure"), bad(2, 4).replace(UUID, "pmem7"))
        self.device()
        self.start()
        self.loaded()
        self.module.wait_for("CHECK")
        time.sleep(1.5)
        self.assertNotIn("repaired", self.steps())
        self.assertEqual(self.said(), [])

    def test_not_while_held(self):
        self.ledger(bad(1, 1))
        self.device()
        self.block("sync")
        self.block("repaired")
        self.write("output-repaired", answer("RANGE=0\0RESULT=repaired\0WHY=not-listed"), 0o600)
        self.start()
        self.asked(1)
        self.module.hold()	# the step is given up, and what it says does not count
        eventually(lambda: "sync" in self.steps())
        self.unblock("repaired")
        time.sleep(1.5)
        self.assertEqual(self.steps().count("repaired"), 1)
        self.assertEqual(len(self.poison()), 1)
        self.unblock("sync")
        self.assertEqual(self.module.wait(), "ACKED")
        self.asked(2)
        eventually(self.said)

    def test_reported_meanwhile(self):
        """What is newer than the question counts, and it is asked again."""
        self.ledger(bad(1, 1))
        self.device()
        self.block("repaired")
        self.write("output-repaired", answer("RANGE=0\0RESULT=repaired\0WHY=not-listed"), 0o600)
        self.start()
        self.asked(1)
        self.module.listed = [(1, 1)]
        self.module.check()
        eventually(lambda: self.poison()[0]["LastSeenUsec"] > 10**6)
        self.unblock("repaired")
        self.asked(2)	# the first answer did not count: nothing would be bad
        eventually(self.said)
        self.assertEqual(self.known(), [])

    def test_listed_again(self):
        """Bad again, and found anew; then good again."""
        self.ledger(bad(1, 1))
        self.device()
        self.write("output-repaired", answer("RANGE=0\0RESULT=repaired\0WHY=not-listed"), 0o600)
        self.start()
        eventually(self.said)
        self.assertEqual(self.known(), [])
        self.write("output-repaired", answer("RANGE=0\0RESULT=still\0WHY=listed"), 0o600)
        self.module.listed = [(1, 1)]
        self.module.check()
        eventually(lambda: self.known() == [(1, 1, 1, 0)])
        self.asked(2)
        self.assertEqual(self.known("--history"), [(1, 1, 1, 0)] * 2)

    def test_step_fails(self):
        """It is said once, and the range stays bad."""
        self.ledger(bad(1, 1))
        self.device()
        os.mkdir(self.path("output-repaired"))
        self.start()
        eventually(lambda: any("good again could not be told: failed" in text for text in self.journal.texts()))
        self.assertEqual(self.known(), [(1, 1, 1, 0)])
        self.module.listed = [(1, 1)]
        for n in (2, 3):	# one begins when the one before is over
            self.module.check()
            self.asked(n)
        os.rmdir(self.path("output-repaired"))
        self.write("output-repaired", answer("RANGE=0\0RESULT=repaired\0WHY=not-listed"), 0o600)
        self.module.check()
        eventually(self.said)	# nothing that was said before that is still to come
        self.assertEqual(len([t for t in self.journal.texts() if "could not be told" in t]), 1)


class CountTest(LedgerCase):
    """Each event once, whatever becomes of the kernel's record of it, and of the daemon."""

    def keep_forever(self):
        self.module.refusals["FORGET"] = [(errno.EACCES, "not now")] * 1000

    def dumps(self):
        return len(self.module.said("GET_FAILURES"))

    def test_grows(self):
        """What the kernel has had before, and whom it had told by then."""
        holder = self.holder(GOES_ON)
        self.start()
        self.loaded()
        self.keep_forever()
        serial = self.module.fail(1, told=[(holder.pid, self.address(holder, 1))])
        eventually(lambda: self.known() == [(1, 1, 1, 1)])
        serial = self.module.fail(1, 2, replaces=serial, told=[(holder.pid, self.address(holder, 1))])
        eventually(lambda: self.known() == [(1, 2, 2, 1)])
        # The same page, and three others with it.
        serial = self.module.fail(1, 5, replaces=serial, count=6, told=[(holder.pid, self.address(holder, 1))])
        eventually(lambda: self.known() == [(1, 5, 6, 1)])
        self.module.fail(1, 5, replaces=serial, count=7, told=[(holder.pid, self.address(holder, 1))])
        eventually(lambda: self.known() == [(1, 5, 7, 1)])
        self.over()

    def test_grows_as_it_is_forgotten(self):
        self.start()
        self.loaded()
        serial = self.module.fail(2)
        self.module.hooks.append(("FORGET", lambda: self.module.fail(2, 2, replaces=serial, event=False)))
        self.module.wait_forgotten(serial + 1)
        self.assertEqual(self.known(), [(2, 2, 2, 0)])

    def test_fails_again(self):
        """After it was forgotten."""
        self.start()
        self.loaded()
        for n in range(1, 4):
            self.module.wait_forgotten(self.module.fail(2))
            eventually(lambda n=n: self.known() == [(2, 1, n, 0)])

    def test_restart(self):
        """The kernel has it still, and shows it again."""
        self.keep_forever()
        told, other = self.holder(GOES_ON), self.holder(GOES_ON)
        daemon = self.start()
        self.loaded()
        serial = self.module.fail(2, told=[(told.pid, self.address(told, 2))])
        self.over()
        eventually(lambda: self.known() == [(2, 1, 1, 2)])
        self.assertEqual([pid for pid, _, _ in self.module.told], [other.pid])
        self.kill(daemon)
        daemon = self.start()
        self.loaded()
        n = self.dumps()
        eventually(lambda: self.dumps() > n)
        self.assertEqual(self.known(), [(2, 1, 1, 2)])
        # And grows while there is none.
        self.kill(daemon)
        self.module.fail(2, 2, replaces=serial, event=False, told=[(told.pid, self.address(told, 2))])
        self.start()
        self.loaded()
        eventually(lambda: self.known() == [(2, 2, 2, 3)])
        # The ledger is read: now it may forget it.
        self.module.refusals["FORGET"] = []
        self.module.wait_forgotten(serial + 1)

    def test_killed_before_it_was_written(self):
        """What was taken, and not written, is not taken for written."""
        daemon = self.start()
        self.loaded()
        self.block("ledger")
        self.module.fail(2)
        self.over()
        self.kill(daemon)
        self.unblock("ledger")
        self.start()
        self.loaded()
        eventually(lambda: self.known() == [(2, 1, 1, 0)])

    def test_a_list_is_read_again(self):
        """It refreshes when it was seen, and counts once."""
        self.device()
        self.write("output-repaired", answer("RANGE=0\0RESULT=still\0WHY=listed"), 0o600)
        self.module.listed = [(4, 2)]
        daemon = self.start()
        eventually(lambda: self.known() == [(4, 2, 1, 0)])
        seen = self.poison()[0]["LastSeenUsec"]
        daemon.terminate()
        daemon.wait()
        self.module.listed = [(4, 3)]
        self.start()
        self.loaded()
        eventually(lambda: self.known() == [(4, 3, 2, 0)])
        self.assertGreater(self.poison()[0]["LastSeenUsec"], seen)

    def test_told_of_one_of_many(self):
        """More ranges than are told one by one of an incident."""
        self.holder(GOES_ON)
        self.start()
        self.loaded()
        with self.module.lock:	# or what is not announced may come after the daemon has asked
            for n in range(4200):
                self.module.fail(100 + 2 * n, event=n == 0)
            last = self.module.fail(2, event=False)
        self.module.wait_forgotten(last)
        self.over()
        self.assertEqual(len(self.module.told), 1)
        eventually(lambda: self.poison()[0]["Told"] == 1)


# What the step was asked is in repaired.N. Of 259:77 nothing can be said as long as there is the file "broken".
WRAPPER = STEP_WRAPPER.replace("while [", """if [ $1 = repaired ]; then
	n=0
	while [ -e {dir}/repaired.$n ]; do n=$((n + 1)); done
	tr '\\0' '\\n' > {dir}/asked
	mv {dir}/asked {dir}/repaired.$n
	! [ -e {dir}/broken ] || ! grep -q DEV=259:77 {dir}/repaired.$n || exit 3
fi
while [""")


class DisksTest(LedgerCase):
    """Which disk it is."""

    def setUp(self):
        super().setUp()
        self.write("step", WRAPPER.format(dir=self.dir, step=self.step), 0o755)
        self.write("output-repaired", answer("RANGE=0\0RESULT=still\0WHY=listed"), 0o600)

    def disk(self, *others, **more):
        self.topology(self.pmem0(UUID=UUID, **more), *others)

    def asked(self):
        return len([name for name in os.listdir(self.dir) if name.startswith("repaired.")])

    def is_seen(self, n):
        """Of each range that the step was asked about: it is as new as the disk."""
        with open(self.path(f"repaired.{n}"), encoding="ascii") as file:
            _, *ranges = file.read().rstrip("\n").split("\n\n")
        return ["SEEN=1" in text.split("\n") for text in ranges]

    def look_again(self):
        """The devices are looked at after a hold, and so is what is bad of them."""
        n = self.asked()
        self.module.hold()
        self.module.wait()
        eventually(lambda: self.asked() > n)

    def test_another_disk_of_that_number(self):
        """What was found before it was there does not count as found on it, and its list is checked."""
        new = f"first={time.time_ns()} last={time.time_ns()}"
        self.ledger(bad(1, 1), line(f"{bad(2, 4)[11:-1].replace('first=1000 last=2000', new)}"))
        self.disk(DISKSEQ=7)
        self.start()
        eventually(lambda: self.asked() == 1)
        self.look_again()
        self.assertEqual([self.is_seen(0), self.is_seen(1)], [[False, True]] * 2)
        self.assertEqual(len(self.module.said("CHECK")), 1)
        self.disk(DISKSEQ=8)
        self.look_again()
        self.assertEqual(self.is_seen(2), [False, False])
        eventually(lambda: len(self.module.said("CHECK")) == 2)
        # A kernel that does not say it.
        self.disk()
        self.look_again()
        self.look_again()
        eventually(lambda: len(self.module.said("CHECK")) == 3)

    def looks_at_pmem1(self, n):
        """Again, so many times. What a hold has cut short is asked once more, and counts twice."""
        def asked():
            n = 0
            for i in range(self.asked()):
                with open(self.path(f"repaired.{i}"), encoding="ascii") as file:
                    n += "DEV=259:77\n" in file.read()
            return n
        for _ in range(n):
            before = asked()
            self.look_again()
            eventually(lambda before=before: asked() > before)
        time.sleep(0.3)

    def test_one_of_two_fails(self):
        """Each disk's failure is said once, whatever becomes of the others."""
        self.ledger(bad(1, 1), line(bad(2, 4)[11:-1].replace(UUID, "pmem1")))
        self.disk({"NAME": "pmem1", "MODE": "fsdax", "DEV": "259:77"})
        self.write("broken", "", 0o600)
        self.start()

        def warnings():
            return [t for t in self.journal.texts() if "of pmem1 is good again could not be told" in t]
        eventually(warnings)
        self.looks_at_pmem1(2)
        self.assertEqual(len(warnings()), 1)
        os.unlink(self.path("broken"))
        # The second one begins when the first is over.
        self.looks_at_pmem1(2)
        self.write("broken", "", 0o600)
        self.looks_at_pmem1(1)
        eventually(lambda: len(warnings()) == 2)

    def test_list_that_cannot_be_checked(self):
        """It is said once that nobody knows what is bad on it; and it is tried again."""
        self.disk(DISKSEQ=7)
        self.module.refusals["CHECK"] = [(errno.EIO, "broken")] * 2
        self.start()

        def warnings():
            return [t for t in self.journal.texts() if "What is bad on pmem0 is not known" in t]
        eventually(lambda: len(self.module.said("CHECK")) == 3)
        self.assertEqual(len(warnings()), 1)
        # It went well: the next failure is news.
        self.module.refusals["CHECK"] = [(errno.EIO, "broken")]
        self.disk(DISKSEQ=8)
        self.module.hold()
        self.module.wait()
        eventually(lambda: len(warnings()) == 2)


if __name__ == "__main__":
    main()
