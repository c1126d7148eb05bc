# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who keeps a mounted file system busy without mapping it, and how it was mounted."""
import json

from check import Case
from mounted import Mounted, acted_on, results

# No daemon: activation_ms is 3 s; then sync, shutdown and revoke.
ALONE_LIMIT = 12
# What mount(2) says while the old file system of the device is still kept: its
# directory in sysfs is there.
TAKEN = "EEXIST"


def refused(check, disk):
    """It cannot be mounted. The kernel warns of ext4's directory in /proc, which
    is there as well."""
    check.equal("mounted while it is kept", disk.mount_errno(), TAKEN)
    check.equal("kernel log", check.guest.problems(allow=[r"WARNING:.*proc_register"]), [])
    check.guest.mark()


def pinned_by(check, fs, command):
    """Who does not map is left alone: the file system is shut down and detached
    under him, he is named as long as he lives, and then all is as before."""
    disk = Mounted(check, fs)
    pid = disk.background(command)
    try:
        incident = disk.remove("detached-pinned", "released")
        holders = {holder["Pid"]: holder["End"] for holder in incident["Holders"]}
        check.equal("who was found, and left", holders, {pid: "left"})
        check.equal("who was acted on", acted_on(incident), set())
        check.expect(disk.is_alive(pid), "it was killed")
        check.equal("mounts left", disk.mounts_left(), [])
        for verb in ("status", "show"):
            text = check.run(f"daxguardctl {verb}")
            check.expect(any(f"{pid}" in line and "sleep" in line for line in text.splitlines()),
                         f"{verb} does not name {pid}:\n{text}")
        pinned = json.loads(check.run("daxguardctl status --json"))["Status"]["Pinned"]
        check.equal("pinned, says status", [(p["Incident"], p["Pid"]) for p in pinned], [(incident["Id"], pid)])
        check.equal("the device comes back", disk.come_back().rc, 0)
        refused(check, disk)
    finally:
        disk.end(pid)
    check.equal("pinned, when it has ended",
                json.loads(check.run("daxguardctl status --json"))["Status"]["Pinned"], [])
    disk.comes_back()


def pinned_by_file(check):
    pinned_by(check, "ext4", "exec sleep 1000 9<$MNT/kept")


def pinned_by_cwd(check):
    pinned_by(check, "xfs-rmapbt1", "cd $MNT && exec sleep 1000")


def freeze(disk):
    """Frozen by somebody, with a writer and somebody who touches his mapping
    blocked on it; their pids."""
    mapper = disk.odd("shared")
    writer = disk.must("fsfreeze -f $MNT\n"
                       "(echo late >$MNT/late) >/dev/null 2>&1 & writer=$!\n"
                       f"kill -USR1 {mapper}\n"
                       "in_d() { grep -q '^State:.D' /proc/$1/status; }\n"
                       f"wait_for 20 in_d $writer && wait_for 20 in_d {mapper} && echo $writer")
    return mapper, int(writer.split()[-1])


def frozen(check, fs):
    disk = Mounted(check, fs)
    mapper, writer = freeze(disk)
    incident = disk.remove("clean", "acked", 0)
    check.equal("who was acted on", acted_on(incident) & {mapper, writer}, {mapper})
    check.expect(not disk.is_alive(mapper), "who mapped it is still there")
    check.equal("mounts left", disk.mounts_left(), [])
    check.equal("the device comes back", disk.come_back().rc, 0)
    check.equal("what the writer wrote", disk.sh("mount_dax $DEV && cat $MNT/late; umount $MNT").out.strip(), "late")
    disk.is_there()


def frozen_alone(check):
    """The module thaws as well; else the revoke would wait for the mapper's locks."""
    check.run("systemctl mask --runtime --now daxguardd.service")
    check.patience(3000)
    try:
        disk = Mounted(check, "xfs-rmapbt1", daemon=False)
        before = check.counters()
        mapper, _ = freeze(disk)
        result = disk.begin_removal(timeout=75).wait()
        check.equal("exit status of the removal", result.rc, 0)
        check.expect(result.secs < ALONE_LIMIT, f"the removal took {result.secs:.1f} s")
        after = check.counters()
        check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
        disk.end(mapper)
        disk.must("gone() { umount $MNT; }; wait_for 20 gone")
        disk.comes_back()
    finally:
        check.run("systemctl unmask --runtime daxguardd.service")


def mapped_is_ended(check, options, kinds):
    """Who maps is found and ended, also where his pages are those of the page
    cache; then it is unmounted as always."""
    disk = Mounted(check, "ext4", options)
    pids = {disk.odd(kind) for kind in kinds}
    incident = disk.remove("clean", "acked", 0)
    check.equal("who was acted on", acted_on(incident), pids)
    check.equal("who lives on", [pid for pid in pids if disk.is_alive(pid)], [])
    check.equal("mounts that were unmounted", results(incident, host=True), {("/mnt/pmem", "ext4", "ok")})
    disk.comes_back()


def executable(check):
    mapped_is_ended(check, "dax=always", ["exe"])


def read_only(check):
    mapped_is_ended(check, "ro,dax=always", ["reader"])


def dax_never(check):
    mapped_is_ended(check, "dax=never", ["shared", "private", "reader"])


ROUNDS = 4
# Mounts and unmounts as fast as it can, whatever comes of it.
BUSY_MOUNTER = """
rm -f /run/mounter-stop
(while [ ! -e /run/mounter-stop ]; do
	mount -t {fs} -o dax=always /dev/pmem0 $MNT
	umount $MNT
done) >/run/mounter.log 2>&1 &
echo $!
"""


def in_flight(check):
    """Somebody mounts and unmounts all the time: each removal is held or not,
    by what it finds, and each is safe."""
    disk = Mounted(check, "xfs-rmapbt1" if check.guest.kernel == "7" else "ext4")
    disk.must("umount $MNT")
    mounter = int(disk.must(BUSY_MOUNTER.format(fs=disk.fs.split("-")[0])).split()[-1])
    before = check.counters()
    outcomes = []
    for _ in range(ROUNDS):
        disk.must("mounted() { mountpoint -q $MNT; }; wait_for 20 mounted")
        held = check.counters()["held"]
        removal = disk.begin_removal(timeout=75).wait()
        check.equal("exit status of the removal", removal.rc, 0)
        outcomes.append(check.incident()["Outcome"] if check.counters()["held"] > held else "not held")
        check.equal("the device comes back", disk.come_back().rc, 0)
    check.run(f"touch /run/mounter-stop; gone() {{ ! kill -0 {mounter} 2>/dev/null; }}; wait_for 30 gone")
    disk.must("unmounted() { ! grep -q ' /mnt/pmem ' /proc/mounts || { umount $MNT; false; }; }; wait_for 20 unmounted")
    check.say(", ".join(outcomes))
    # Busy: what is not mounted yet cannot be unmounted; the module ends it.
    check.expect(set(outcomes) <= {"not held", "clean", "shut-down", "busy"}, f"outcomes: {outcomes}")
    after = check.counters()
    check.equal("removals that were seen", after["held"] + after["not-held"] - before["held"] - before["not-held"],
                ROUNDS)
    check.equal("revokes that were not clean", after["revoke-busy"] + after["revoke-pinned"],
                before["revoke-busy"] + before["revoke-pinned"])
    disk.is_there()


CASES = {
    "mounts/pinned-by-file": pinned_by_file,
    "mounts/pinned-by-cwd": pinned_by_cwd,
    "mounts/frozen-ext4": Case(lambda check: frozen(check, "ext4"), kernels=("6.12",)),
    "mounts/frozen-xfs": lambda check: frozen(check, "xfs-rmapbt1"),
    "mounts/frozen-alone": frozen_alone,
    "mounts/in-flight": in_flight,
    "mounts/executable": Case(executable, kernels=("7",)),
    "mounts/read-only": Case(read_only, kernels=("7",)),
    "mounts/dax-never": Case(dax_never, kernels=("7",)),
}
