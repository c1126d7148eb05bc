#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguard-step repaired, against a loop device; and what it refuses to be asked, as place does.

Needs root and loop devices; what the kernel or this system cannot do is skipped.

usage: test-step-repaired.py DAXGUARD_STEP [unittest arguments]
"""

import os
import subprocess

from rangescase import BLOCK, RangesCase, rdev, text
from stepcase import main, run


class RepairedTest(RangesCase):
    def repaired(self, *ranges, dev=None):
        """The answers, and the parts of those that are listed in part."""
        found = self.ask("repaired", dev or rdev(self.loop), *ranges)
        answers = [r for r in found if "RESULT" in r]
        self.assertEqual([int(r["RANGE"]) for r in answers], list(range(len(ranges))))
        self.parts = [tuple(int(r[key]) for key in ("RANGE", "GOOD_OFFSET", "GOOD_LEN"))
                      for r in found if "RESULT" not in r]
        return [(r["RESULT"].decode(), r["WHY"].decode()) for r in answers]

    def list(self, content, scrub=None):
        """This is the list of a disk of a bus that was scrubbed as often; and its number."""
        disk = self.mkdir("disk")
        if scrub is not None:
            disk = os.path.join(disk, "ndbus0")
            os.makedirs(disk + "/nfit")
            with open(disk + "/nfit/scrub", "w", encoding="ascii") as file:
                file.write(scrub)
        with open(disk + "/badblocks", "w", encoding="ascii") as file:
            file.write(content)
        self.mount("-t", "tmpfs", "none", "/sys/dev/block")
        self.addCleanup(run, "umount", "/sys/dev/block")
        os.symlink(disk, "/sys/dev/block/240:77")
        return "240:77"

    def test_repaired(self):
        """A loop device has an empty list of bad blocks, or, with an old kernel, none."""
        name = os.path.basename(self.loop)
        if not os.path.exists(f"/sys/block/{name}/badblocks"):
            self.skipTest("no list of bad blocks")
        bad = {"OFFSET": 8192, "LEN": BLOCK, "SOURCE": "badblocks"}
        failure = {"OFFSET": 8192, "LEN": BLOCK, "SOURCE": "memory-failure"}
        self.assertEqual(self.repaired({**bad, "SEEN": 1}, failure, {**failure, "LISTED": 1, "SEEN": 1}),
                         [("repaired", "not-listed"), ("unknown", "no-page-flags"), ("repaired", "not-listed")])
        # An empty list says nothing of what it has not had, as after a boot.
        self.assertEqual(self.repaired(bad, {**failure, "LISTED": 1}), [("unknown", "never-listed")] * 2)

    def test_listed(self):
        """In sectors; of what the kernel found a part is good if its page is."""
        bad = {"OFFSET": 8192, "LEN": 2 * BLOCK, "LISTED": 1, "SEEN": 1}
        failure = {**bad, "SOURCE": "memory-failure"}
        alone = {"OFFSET": 8192, "LEN": 2 * BLOCK, "SOURCE": "memory-failure"}
        self.assertEqual(self.repaired(bad, failure, alone, {**bad, "SEEN": 0}, {**bad, "OFFSET": 1 << 20},
                                       {**alone, "OFFSET": 1 << 20}, dev=self.list("17 2\n")),
                         [("still", "listed")] * 4 + [("repaired", "not-listed"), ("unknown", "no-page-flags")])
        self.assertEqual(self.parts, [(0, 8192, 512), (0, 19 * 512, 2 * BLOCK - 3 * 512), (1, 8192 + BLOCK, BLOCK)])

    def test_never_listed(self):
        range_ = {"OFFSET": 8192, "LEN": BLOCK, "LISTED": 1}
        self.assertEqual(self.repaired(range_, {**range_, "SEEN": 1}, dev=self.list("")),
                         [("unknown", "never-listed"), ("repaired", "not-listed")])

    def test_scrubbed(self):
        """The firmware has filled the list: what is not in it is good."""
        bad = {"OFFSET": 0, "LEN": 2 * BLOCK}
        self.assertEqual(self.repaired(bad, {**bad, "OFFSET": 1 << 20}, dev=self.list("8 8\n", "2\n")),
                         [("still", "listed"), ("repaired", "not-listed")])
        self.assertEqual(self.parts, [(0, 0, BLOCK)])

    def test_scrubbing(self):
        bad = {"OFFSET": 0, "LEN": 2 * BLOCK, "SEEN": 1}
        self.assertEqual(self.repaired(bad, {**bad, "OFFSET": 1 << 20}, dev=self.list("8 8\n", "2+\n")),
                         [("still", "listed"), ("unknown", "scrubbing")])
        self.assertEqual(self.parts, [])

    def test_list_that_is_too_long(self):
        lines = "".join(f"{n} 1\n" for n in range(100000, 109999, 10))[:4096]
        bad = {"OFFSET": 0, "LEN": BLOCK, "SEEN": 1}
        self.assertEqual(self.repaired(bad, {**bad, "OFFSET": 1 << 40}, dev=self.list(lines)),
                         [("repaired", "not-listed"), ("unknown", "list-too-long")])

    def test_repaired_without_a_list(self):
        self.assertEqual(self.repaired({"OFFSET": 0, "LEN": BLOCK}, dev="240:77"), [("unknown", "no-list")])

    def test_wrong_input(self):
        for wrong in (b"", b"DEV=1:2\0\0", b"DEV=1:2\0\0OFFSET=0\0LEN=0\0\0", b"OFFSET=0\0LEN=1\0\0",
                      b"DEV=1:2\0\0OFFSET=0\0LEN=1\0", text({"DEV": "1:2"}, {"OFFSET": (1 << 64) - 1, "LEN": 2}),
                      text({"DEV": "1:2"}, {"OFFSET": 0, "LEN": 1, "FS_DEV": "1:2", "INO": 1}),
                      text({"DEV": "1:2"}, *[{"OFFSET": 0, "LEN": 1}] * 4097)):
            for verb in ("place", "repaired"):
                done = subprocess.run([self.program, verb], input=wrong, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (3, b""), wrong[:80])
        done = subprocess.run([self.program, "place"], input=text({"DEV": "240:77"}, {"OFFSET": 0, "LEN": 1}),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, 3)


if __name__ == "__main__":
    main()
