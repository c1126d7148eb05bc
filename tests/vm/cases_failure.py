# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that fails: what the module alone tells of it (guest-files/failures.py)."""
from check import Case
from scenario import LIBRARY, Scenario

FAILURES = "/usr/lib/daxguard-test/failures.py"


def play(check, script, timeout=90):
    """Lines of failures.py and its like, each of which is to begin with ok; ok = is what else there is to say."""
    result = check.guest.run(LIBRARY + script, timeout)
    for line in result.out.splitlines():
        check.expect(line.startswith("ok "), line)
        if line.startswith("ok = "):
            check.say(line[5:])
    check.equal("exit status", result.rc, 0)
    check.expect("ok " in result.out, "nothing was looked at")


def without_daemon(function):
    def case(check):
        check.run("systemctl mask --runtime --now daxguardd.service; modprobe daxguard")
        check.patience(20000)
        try:
            function(check)
        finally:
            check.run("systemctl unmask --runtime daxguardd.service; dmesg --console-on")
    return case


def mounted(check, fs, size):
    scenario = Scenario(check.guest, fs)
    scenario.prepare()
    scenario.sh(f"dd if=/dev/zero of=$MNT/data bs=1M count={size} conv=fsync 2>/dev/null; dmesg --console-off",
                check=True)


def file_data(check, fs):
    """One page that many map; one of two files; one of no file any more."""
    mounted(check, fs, 4)
    play(check, f"find_fsdax; {FAILURES} one /dev/$PMEM $MNT/data")
    # On 6.1 the kernel warns, on 6.12 it oopses without rmapbt, see docs/kernels.md.
    if fs == "xfs-rmapbt1" and check.guest.kernel != "6.1":
        check.run("dd if=/dev/zero of=$MNT/old bs=64k count=1 conv=fsync 2>/dev/null; "
                  "cp --reflink=always $MNT/old $MNT/old.clone; sync")
        play(check, f"find_fsdax; {FAILURES} shared /dev/$PMEM $MNT/old")
    check.run("dd if=/dev/zero of=$MNT/gone bs=64k count=1 conv=fsync 2>/dev/null")
    play(check, f"find_fsdax; {FAILURES} nofile /dev/$PMEM $MNT/gone")


def many(check):
    """More than a daemon could be told of one by one; and what is left of it is
    freed with the module."""
    mounted(check, "ext4", 80)
    play(check, f"find_fsdax; {FAILURES} burst /dev/$PMEM $MNT/data", timeout=240)
    play(check, f"find_fsdax; {FAILURES} kept /dev/$PMEM $MNT/data")


def in_a_removal(check):
    mounted(check, "ext4", 4)
    play(check, f"find_fsdax; {FAILURES} held /dev/$PMEM $MNT/data \"echo $PFN >$ND/nd_pmem/unbind\"")
    check.run("umount $MNT")


def chardev(check):
    check.run("make_devdax; dmesg --console-off")
    play(check, f"find_devdax; {FAILURES} one /dev/$DAX /dev/$DAX")


def _case(function, kernels):
    # Pages stay marked as failed.
    return Case(without_daemon(function), kernels=kernels, spoils=True)


# Where the same is not seen with the daemon (cases_failure_daemon.py): each takes
# a minute and a boot. --every-kernel has all of them.
CASES = {
    "alone/failure/ext4": _case(lambda c: file_data(c, "ext4"), ("6.1", "6.12")),
    "alone/failure/xfs-rmapbt0": _case(lambda c: file_data(c, "xfs-rmapbt0"), ("6.12", "7")),
    "alone/failure/xfs-rmapbt1": _case(lambda c: file_data(c, "xfs-rmapbt1"), ("6.1", "7")),
    "alone/failure/devdax": _case(chardev, ("6.1", "7")),
    "alone/failure/burst": _case(many, ("7",)),
    "alone/failure/removal": _case(in_a_removal, ("6.1",)),
}
