# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cases with real control groups stand on: holders that are in units."""

import os

from daemoncase import eventually
from laddercase import LadderCase


def cgroup_root():
    """Where a hierarchy of version 2 is mounted that we may change; or None."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        for line in file:
            fields = line.split()
            if fields[fields.index("-") + 1] == "cgroup2" and os.access(fields[4], os.W_OK):
                return fields[4]
    return None


class UnitCase(LadderCase):
    """Processes in units: groups below a slice of our own."""

    root = None

    def setUp(self):
        super().setUp()
        self.top = os.path.join(self.root, f"daxguardtest{os.path.basename(self.dir)[9:]}.slice")
        os.mkdir(self.top)
        self.addCleanup(self.remove_groups)

    def remove_groups(self):
        self.kill_all()
        for path, _, _ in os.walk(self.top, topdown=False):
            with open(path + "/cgroup.freeze", "w", encoding="ascii") as file:
                file.write("0")
            eventually(lambda path=path: not self.pids(path))
            os.rmdir(path)

    @staticmethod
    def pids(path):
        with open(path + "/cgroup.procs", encoding="ascii") as file:
            return file.read().split()

    def start(self, **more):
        return super().start(DAXGUARD_TEST_CGROUP=self.root, **more)

    def unit(self, name):
        path = os.path.join(self.top, name)
        os.makedirs(path, exist_ok=True)
        return path

    def put(self, process, name):
        with open(self.unit(name) + "/cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(process.pid))
        return process

    def bystander(self, name, before=""):
        """Of the unit, and not on the device."""
        self.write("other", "x" * 16384, 0o600)
        return self.put(self.holder(before, path=self.path("other")), name)

    def frozen(self, name):
        with open(self.unit(name) + "/cgroup.events", encoding="ascii") as file:
            return "frozen 1" in file.read()
