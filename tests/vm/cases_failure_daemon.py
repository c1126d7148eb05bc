# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that fails: who maps it is told by the daemon (guest-files/told.py)."""
from check import Case
from cases_failure import mounted, play

TOLD = "/usr/lib/daxguard-test/told.py"

# So that what is 2 MiB of a file may be that on the disk.
XFS = "-d agcount=2,su=2m,sw=1 -l size=64m"
ALIGNED = {"ext4": "-E stride=512,stripe_width=512", "xfs-rmapbt0": XFS, "xfs-rmapbt1": XFS}


def more(fs, kernel):
    """What this kernel survives there."""
    if fs != "xfs-rmapbt1":
        return ""
    # On 6.1 the kernel warns, on 6.12 it oopses without rmapbt, see docs/kernels.md.
    return "metadata" if kernel == "6.1" else "shared metadata"


def file_data(check, fs):
    check.start_daemon()
    check.run(f"set -e; make_fsdax; make_fs {fs} /dev/$PMEM {ALIGNED[fs]}; mount_dax\n"
              "xfs_io -f -c 'falloc 0 4m' -c 'pwrite -q 0 4m' -c fsync $MNT/data.huge\n"
              "dd if=/dev/zero of=$MNT/data bs=1M count=4 conv=fsync 2>/dev/null", timeout=90)
    play(check, f"find_fsdax; {TOLD} /dev/$PMEM $MNT/data {more(fs, check.guest.kernel)}", timeout=240)


def chardev(check):
    check.start_daemon()
    check.run("make_devdax")
    play(check, f"find_devdax; {TOLD} /dev/$DAX /dev/$DAX", timeout=240)


def too_many(check):
    """The device is emptied while it still answers (guest-files/emptied.py)."""
    check.start_daemon()
    mounted(check, "xfs-rmapbt1", 4)
    play(check, "find_fsdax; /usr/lib/daxguard-test/emptied.py /dev/$PMEM $MNT/data", timeout=120)


# Each takes two minutes. Those that are not here are alone in cases_failure.py, so
# that every kernel meets each kind; --every-kernel has all of them.
KERNELS = {"ext4": ("7",), "xfs-rmapbt0": ("6.1",), "xfs-rmapbt1": ("6.12",)}
CASES = {f"daemon/failure/{fs}": Case(lambda c, f=fs: file_data(c, f), KERNELS[fs], spoils=True) for fs in ALIGNED}
CASES["daemon/failure/devdax"] = Case(chardev, ("6.12",), spoils=True)
CASES["daemon/failure/limit"] = Case(too_many, kernels=("7",), spoils=True)
