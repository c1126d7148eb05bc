# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two removals and more at the same time."""
from check import Case, Setup
from expect import nothing_was_lost, signals_were_right
from removal import Disk, Mapper, files_are_there, incidents, is_mounted, removed
from scenario import LIBRARY, Scenario

TWO = Setup(nvdimms=2)


def remove_all(check, scripts, timeout=90):
    """All at the same time; each must come back well."""
    jobs = [check.guest.start(LIBRARY + script, timeout) for script in scripts]
    results = [job.wait() for job in jobs]
    for script, result in zip(scripts, results):
        check.equal(f"'{script}'", (result.rc, result.out.strip()), (0, ""))
    return max(result.secs for result in results)


def begin_and_hold(check, script):
    """A removal, once it is held."""
    held = check.counters()["held"] + 1
    job = check.guest.start(LIBRARY + script, 75)
    check.run(f"wait_for 30 grep -q ^held={held}$ /sys/kernel/debug/daxguard/status")
    return job


def delta(before, after, *keys):
    return {key: after[key] - before[key] for key in keys}


def all_were_clean(check, count):
    found = incidents(check, count)
    check.equal("incidents", [(i["Outcome"], i["Result"], i["Revoke"]) for i in found],
                [("clean", "acked", "clean")] * count)
    return found


def two_devices(check):
    """Each has its own incident, with its own processes, and nobody else's."""
    check.start_daemon()
    scenarios = [Scenario(check.guest, fs, region=region)
                 for fs, region in (("ext4", "region0"), ("xfs-rmapbt1", "region1"))]
    for scenario in scenarios:
        scenario.prepare()
        scenario.start_workload()
    before = check.counters()
    jobs = [scenario.begin_removal(timeout=75) for scenario in scenarios]
    check.equal("exit statuses", [job.wait().rc for job in jobs], [0, 0])
    check.equal("holds", delta(before, check.counters(), "held", "result-acked", "revoke-clean"),
                {"held": 2, "result-acked": 2, "revoke-clean": 2})
    told = {frozenset(holder["Pid"] for holder in incident["Holders"]) for incident in all_were_clean(check, 2)}
    check.equal("holders", told, {frozenset(scenario.pids()) for scenario in scenarios})
    for scenario in scenarios:
        signals_were_right(check, scenario)
        scenario.kill_workload()
        nothing_was_lost(check, scenario)


class Half:
    """One of two namespaces of region0."""

    def __init__(self, check, name):
        self.check, self.name = check, name
        self.dev, self.where = f"/dev/{name}", f"/mnt/{name}"
        self.nd = check.run(f"nd_of {name}").strip()
        check.run(f"make_fs ext4 {self.dev}")
        self.use()

    def use(self):
        self.check.run(f"mount_dax {self.dev} {self.where}; rm -f {self.where}/file")
        self.mapper = Mapper(self.check, f"{self.where}/file")

    def is_whole(self):
        self.check.run(f"mount_dax {self.dev} {self.where}")
        files_are_there(self.check, self.mapper.path)
        self.check.run(f"umount {self.where}")


def one_region(check):
    """Two namespaces, removed by themselves at the same time, then with their
    region: which is one removal, and one hold."""
    check.start_daemon()
    halves = [Half(check, name) for name in check.run("split_region region0").split()]
    before = check.counters()
    remove_all(check, [f"unbind_nd {half.nd}" for half in halves])
    check.equal("counters", delta(before, check.counters(), "held", "joined"), {"held": 2, "joined": 0})
    all_were_clean(check, 2)
    check.run("bind_nd " + " ".join(half.nd for half in halves))
    for half in halves:
        half.is_whole()
        half.use()
    incident = removed(check, "REGION=region0; disable_region")
    check.equal("disks", sorted(target["Name"] for target in incident["Targets"]), sorted(half.name for half in halves))
    for half in halves:
        half.mapper.was_ended(incident)
    check.run("REGION=region0; enable_region")
    for half in halves:
        half.is_whole()


def busy_and_idle(check):
    """Who is on the other namespace of the region is not touched; and where the
    other is not used at all, the region goes with one hold all the same."""
    check.start_daemon()
    busy, idle = [Half(check, name) for name in check.run("split_region region0").split()]
    incident = removed(check, f"unbind_nd {busy.nd}")
    busy.mapper.was_ended(incident)
    idle.mapper.was_spared()
    check.expect(is_mounted(check, idle.where), "the other one is not mounted any more")
    check.run(f"echo on >{idle.where}/goes; sync -f {idle.where}")
    idle.mapper.end()
    check.run(f"umount {idle.where}; bind_nd {busy.nd}")
    busy.is_whole()
    busy.use()
    incident = removed(check, "REGION=region0; disable_region")
    busy.mapper.was_ended(incident)
    check.equal("holders", [holder["Pid"] for holder in incident["Holders"]], [busy.mapper.pid])
    check.run("REGION=region0; enable_region")
    idle.is_whole()


def used_to_the_end(check):
    """A disk, and who maps a file there and is stopped: he takes his ladder to its end."""
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mount_dax {disk.dev}")
    mapper = Mapper(check, "/mnt/pmem/file")
    check.run(f"kill -STOP {mapper.pid}")
    return disk, mapper


def second_removal(check):
    """Who removes a device that is held waits for that hold, and makes no other:
    a second unbind in the driver core, the region's unbind in ours."""
    check.start_daemon()
    disk, mapper = used_to_the_end(check)
    before = check.counters()
    first = begin_and_hold(check, disk.unbind)
    others = [check.guest.start(LIBRARY + script, 75) for script in (disk.unbind, f"REGION={disk.region}; disable_region")]
    results = [job.wait() for job in (first, *others)]
    check.equal("exit statuses", [(result.rc, result.out) for result in results], [(0, "")] * 3)
    check.equal("counters", delta(before, check.counters(), "held", "joined", "result-acked"),
                {"held": 1, "joined": 1, "result-acked": 1})
    mapper.was_ended(all_were_clean(check, 1)[0])
    check.run(f"REGION={disk.region}; enable_region; mount_dax {disk.dev}")
    files_are_there(check, mapper.path)
    check.run("umount /mnt/pmem")


def nothing_was_shut_down(check):
    """Not outside of a hold either, which no incident tells of."""
    check.equal("file systems that were shut down", check.run("dmesg | grep 'shut down requested' || true"), "")


def partly_overlapping(check):
    """A namespace, then its region: the other namespace gets a hold of its own,
    with all that belongs to one, when the first one's is over."""
    check.start_daemon()
    halves = [Half(check, name) for name in check.run("split_region region0").split()]
    check.run("kill -STOP " + " ".join(str(half.mapper.pid) for half in halves))
    before = check.counters()
    jobs = [begin_and_hold(check, f"unbind_nd {halves[0].nd}"),
            check.guest.start(LIBRARY + "REGION=region0; disable_region", 75)]
    check.equal("exit statuses", [(job.rc, job.out) for job in [job.wait() for job in jobs]], [(0, "")] * 2)
    check.equal("counters", delta(before, check.counters(), "held", "joined", "result-acked"),
                {"held": 2, "joined": 1, "result-acked": 2})
    nothing_was_shut_down(check)
    for half, incident in zip(halves, all_were_clean(check, 2)):
        check.equal("disks", [target["Name"] for target in incident["Targets"]], [half.name])
        half.mapper.was_ended(incident)
    check.run("REGION=region0; enable_region")
    for half in halves:
        half.is_whole()


def second_removal_killed(check):
    """Who waits for another's hold and is killed leaves it alone."""
    check.start_daemon()
    disk, mapper = used_to_the_end(check)
    before = check.counters()
    first = begin_and_hold(check, disk.unbind)
    second = check.guest.start("exec bash -c 'echo $$ >/run/second; "
                               f"echo {disk.region} >/sys/bus/nd/drivers/nd_region/unbind'", 75)
    check.run(f"cd /sys/kernel/debug/daxguard; wait_for 30 grep -q ^joined={before['joined'] + 1}$ status\n"
              "kill -KILL $(cat /run/second); grep -q ' taken ' status")
    check.equal("exit statuses", [job.wait().rc for job in (first, second)], [0, -9])
    check.equal("counters", delta(before, check.counters(), "held", "joined", "result-acked"),
                {"held": 1, "joined": 1, "result-acked": 1})
    mapper.was_ended(all_were_clean(check, 1)[0])
    nothing_was_shut_down(check)
    check.run(f"REGION={disk.region}; enable_region; mount_dax {disk.dev}")
    files_are_there(check, mapper.path)
    check.run("umount /mnt/pmem")


N_DISKS = 16
# Of 32 MiB each, at a distance that keeps the kernel from joining them, below
# where the boot loader puts the initrd. KASLR knows of four of them, and puts the
# kernel into one of the others.
SIXTEEN = Setup(nvdimms=0, memory="2G",
                args="nokaslr " + " ".join(f"memmap=32M!{1024 + 48 * n}M" for n in range(N_DISKS)))


def sixteen(check):
    """All at once, each with a file system and a process."""
    check.start_daemon()
    # An emulated processor needs more than 20 s for sixteen; not more than the cap.
    check.run("echo 55000 >/sys/module/daxguard/parameters/hold_ms; modprobe nd_e820")
    disks = [f"pmem{n}" for n in range(N_DISKS)]
    # They are probed one after the other, and not by modprobe.
    check.run("set -e\n" + "".join(f"wait_for 60 test -b /dev/{disk}\n" for disk in disks) + "udevadm settle", 90)
    check.run("".join(f"mkfs.ext4 -q -F -b 4096 /dev/{disk}; mount_dax /dev/{disk} /mnt/{disk}\n" for disk in disks), 120)
    mappers = [Mapper(check, f"/mnt/{disk}/file") for disk in disks]
    nd = check.run(f"for disk in {' '.join(disks)}; do nd_of $disk; done").split()
    before = check.counters()
    took = remove_all(check, [f"unbind_nd {dev}" for dev in nd])
    after = check.counters()
    check.say(f"{N_DISKS} removals at once took {took:.1f} s")
    check.equal("holds", delta(before, after, "held", "result-acked", "revoke-clean"),
                {"held": N_DISKS, "result-acked": N_DISKS, "revoke-clean": N_DISKS})
    found = all_were_clean(check, N_DISKS)
    holders = sorted((incident["Device"], [holder["Pid"] for holder in incident["Holders"]]) for incident in found)
    check.equal("holders", holders, sorted((dev, [mapper.pid]) for dev, mapper in zip(nd, mappers)))
    check.run(f"bind_nd {' '.join(nd)}; " + "; ".join(f"mount_dax /dev/{disk} /mnt/{disk}" for disk in disks), 120)
    files_are_there(check, *(mapper.path for mapper in mappers))
    check.run("; ".join(f"umount /mnt/{disk}" for disk in disks))


CASES = {
    "many/two-devices": Case(two_devices, ("6.12",), TWO),
    "many/one-region": Case(one_region, ("6.12",), spoils=True),
    "many/busy-and-idle": Case(busy_and_idle, ("6.12",), spoils=True),
    "many/second-removal": Case(second_removal, ("6.12",), TWO),
    "many/partly-overlapping": Case(partly_overlapping, ("6.12",), spoils=True),
    "many/second-removal-killed": Case(second_removal_killed, ("6.12",), TWO),
    # Beside others its scans took longer than the daemon waits for them.
    "many/sixteen": Case(sixteen, ("7",), SIXTEEN, spoils=True, heavy=True),
}
