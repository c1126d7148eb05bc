# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two removals and more at the same time."""
from check import Case, Setup
from expect import nothing_was_lost, signals_were_right
from removal import Disk, Mapper, files_are_there, incidents
from scenario import LIBRARY, Scenario

TWO = Setup(nvdimms=2)


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


def second_removal(check):
    """Who removes a device that is held waits for that hold, and makes no other:
    a second unbind in the driver core, the region's unbind in ours."""
    check.start_daemon()
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mount_dax {disk.dev}")
    mapper = Mapper(check, "/mnt/pmem/file")
    check.run(f"kill -STOP {mapper.pid}")  # so it takes the ladder to its end
    before = check.counters()
    first = check.guest.start(LIBRARY + disk.unbind, 75)
    check.run(f"wait_for 30 grep -q ^held={before['held'] + 1}$ /sys/kernel/debug/daxguard/status")
    others = [check.guest.start(LIBRARY + script, 75) for script in (disk.unbind, f"REGION={disk.region}; disable_region")]
    results = [job.wait() for job in (first, *others)]
    check.equal("exit statuses", [(result.rc, result.out) for result in results], [(0, "")] * 3)
    check.equal("counters", delta(before, check.counters(), "held", "joined", "result-acked"),
                {"held": 1, "joined": 1, "result-acked": 1})
    mapper.was_ended(all_were_clean(check, 1)[0])
    check.run(f"REGION={disk.region}; enable_region; mount_dax {disk.dev}")
    files_are_there(check, mapper.path)
    check.run("umount /mnt/pmem")


CASES = {
    "many/two-devices": Case(two_devices, ("6.12",), TWO),
    "many/second-removal": Case(second_removal, ("6.12",), TWO),
}
