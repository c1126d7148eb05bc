# SPDX-License-Identifier: LGPL-2.1-or-later
"""A step that is asked about ranges of a disk, on stdin: place, repaired."""

import os
import shutil
import subprocess

from stepcase import StepCase, records

BLOCK = 4096


def rdev(path):
    st = os.stat(path).st_rdev
    return f"{os.major(st)}:{os.minor(st)}"


def text(*found):
    return b"".join(b"".join(f"{key}={value}".encode() + b"\0" for key, value in record.items()) + b"\0"
                    for record in found)


class RangesCase(StepCase):
    def setUp(self):
        if not shutil.which(f"mkfs.{self.fs}"):
            self.skipTest(f"no mkfs.{self.fs}")
        with open("/proc/filesystems", encoding="ascii") as file:
            known = file.read().split()
        if self.fs not in known and subprocess.run(["modprobe", self.fs], check=False,
                                                   stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest(f"this kernel has no {self.fs}")
        super().setUp()

    def ask(self, verb, dev, *ranges, status=0, timeout_ms=20000):
        done = subprocess.run([self.program, verb], input=text({"DEV": dev, "TIMEOUT_MSEC": timeout_ms}, *ranges),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        self.assertEqual(done.returncode, status, (done.stderr, records(done.stdout)))
        return records(done.stdout)
