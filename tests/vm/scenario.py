# SPDX-License-Identifier: LGPL-2.1-or-later
"""A removal under the workload, step by step, as the baseline, the suite and
the demo all play it."""
import collections
import json
import time

FILE_SYSTEMS = ("ext4", "xfs-rmapbt0", "xfs-rmapbt1")
EVENTS = {"unbind": "unbind_pfn", "region-unbind": "disable_region"}
RETURNS = {"unbind": "rebind_pfn {}", "region-unbind": "REGION={}; enable_region"}
ROLES = ("term", "sigbus", "blocker", "stopped", "private", "mountns")
WORKLOAD = "/usr/lib/daxguard-test/workload"
LIBRARY = ". /usr/lib/daxguard-test/lib.sh\n"

Record = collections.namedtuple("Record", "t role event pid signo code addr lsb value")


def newest_incident(guest):
    """As daxguardctl tells it. A removal may return before the daemon has heard
    that it is over."""
    for _ in range(50):
        incident = json.loads(guest.run("daxguardctl show --json", check=True).out)["Incident"]
        if incident["State"] in ("done", "expired", "abandoned", "stayed"):
            break
        time.sleep(0.2)
    return incident


class Scenario:
    """One disk with one file system, one workload, one removal."""

    def __init__(self, guest, fs, layer="plain", event="unbind", region="region0"):
        self.guest, self.fs, self.layer, self.event, self.region = guest, fs, layer, event, region
        self.log = f"/run/workload-{region}.log"
        self.library = f"{LIBRARY}[ {region} = region0 ] || MNT=/mnt/{region}\n"
        self.processes = None

    def sh(self, script, timeout=60, check=False):
        return self.guest.run(f"{self.library}use_disk {self.region} {self.layer}\n{script}", timeout, check)

    def prepare(self):
        """Disk, file system, mount; all of it on the medium."""
        self.guest.run(f"{self.library}set -e\nmake_fsdax {self.region}\nmake_layer {self.layer}\nmake_fs {self.fs} $DEV\n"
                       "mount_dax $DEV\nsync", timeout=90, check=True)

    def start_workload(self):
        out = self.sh(f"{WORKLOAD} start $MNT {self.log}", check=True).out
        self.processes = json.loads(out.splitlines()[-1])

    def begin_removal(self, timeout):
        return self.guest.start(f"{self.library}use_disk {self.region} {self.layer}\n{EVENTS[self.event]}", timeout)

    def touch(self):
        """Every process that still maps reads the last word that it wrote."""
        # One after the other, so that a fault of one is not mixed with another's.
        self.guest.run("".join(f"kill -USR1 {pid}; sleep 0.1; " for pid in self.pids()) + "sleep 1", timeout=30)

    def pids(self):
        return [role["pid"] for role in self.processes["roles"].values()] if self.processes else []

    def records(self):
        out = self.guest.run(f"{WORKLOAD} dump {self.log}", timeout=30, check=True).out
        return [Record(**json.loads(line)) for line in out.splitlines()]

    def alive(self):
        """Roles whose process is neither gone nor a zombie."""
        roles = self.processes["roles"]
        out = self.guest.run("".join(
            f"grep -q '^State:.[^ZX]' /proc/{roles[name]['pid']}/status 2>/dev/null && echo {name}; "
            for name in roles), timeout=20).out
        return out.split()

    def kill_workload(self):
        if self.processes:
            pids = " ".join(map(str, self.pids()))
            self.guest.run(f"kill -KILL {pids} 2>/dev/null; "
                           f"for i in $(seq 50); do kill -0 {pids} 2>/dev/null || break; sleep 0.1; done",
                           timeout=20)

    def come_back(self, timeout=60):
        """The device is bound again, without a mount."""
        return self.guest.run(f"{LIBRARY}drop_layer {self.layer} 2>/dev/null\n"
                              f"{RETURNS[self.event].format(self.region)}\n"
                              f"find_layer {self.layer}", timeout)

    def verify(self):
        """What is there of the files, on the mounted file system."""
        result = self.sh(f"{WORKLOAD} verify $MNT", timeout=120)
        if result.rc != 0:
            return None
        return json.loads(result.out.splitlines()[-1])
