# SPDX-License-Identifier: LGPL-2.1-or-later
"""What is built on a file of a guarded file system: overlays, loop devices, swap."""
from check import Case
from mounted import Mounted, acted_on, results

OVERLAY = """
mkdir -p $MNT/lower $MNT/upper $MNT/work /mnt/overlay
mount -t overlay -o lowerdir=$MNT/lower,upperdir=$MNT/upper,workdir=$MNT/work overlay /mnt/overlay
"""


def overlay(check):
    """Who maps through an overlay is found as one of the device; the overlay is
    unmounted, and then what it was made of."""
    disk = Mounted(check)
    disk.must(OVERLAY)
    pid = disk.odd("shared", "/mnt/overlay")
    incident = disk.remove("clean", "acked", 0)
    check.equal("who was acted on", acted_on(incident), {pid})
    check.equal("unmounted on the host", results(incident, host=True),
                {("/mnt/pmem", "ext4", "ok"), ("/mnt/overlay", "overlay", "ok")})
    disk.comes_back()


def removed_under(disk, pid, named):
    """Who only has something open in what is built there is left, and nothing
    stays mounted. What he kept from being unmounted is named."""
    check = disk.check
    try:
        incident = disk.remove("pinned-by-kernel", "released")
        check.expect(any(named in note for note in incident["Notes"]),
                     f"{named} is not named: {incident['Notes']}")
        check.equal("who was acted on", acted_on(incident), set())
        check.expect(disk.is_alive(pid), "it was killed")
        check.equal("mounts left", disk.must("findmnt -rno TARGET | grep -e overlay -e inner -e pmem || true"), "")
    finally:
        disk.end(pid)


def overlay_in_use(check):
    """As without an overlay; it is the overlay that is named."""
    disk = Mounted(check)
    disk.must(OVERLAY)
    pid = disk.background("cd /mnt/overlay && exec sleep 1000 9>file")
    removed_under(disk, pid, "overlay on /mnt/overlay")
    disk.comes_back()


def loop_device(check):
    """Opened raw by somebody: not ours to end. It is named, with its file."""
    disk = Mounted(check)
    loop = disk.must("truncate -s 64M $MNT/image; losetup -f --show $MNT/image").split()[-1]
    pid = disk.background(f"exec sleep 1000 9<{loop}")
    try:
        incident = disk.remove("pinned-by-kernel", "released")
        check.expect(any(loop in note and "/mnt/pmem/image" in note for note in incident["Notes"]),
                     f"{loop} and its file are not named: {incident['Notes']}")
        check.expect(loop in check.run("daxguardctl show"), "show does not name it")
        check.expect(disk.is_alive(pid), "it was killed")
    finally:
        disk.end(pid)
        disk.must(f"losetup -d {loop} 2>/dev/null; gone() {{ ! losetup {loop} 2>/dev/null; }}; wait_for 20 gone")
    disk.comes_back()


def inner_comes_back(disk):
    """The device, and the file system in its file with what was written last."""
    check = disk.check
    check.equal("the device comes back", disk.come_back().rc, 0)
    inner = disk.must("wait_for 20 mount_dax $DEV; mount -o loop $MNT/image /mnt/inner; cat /mnt/inner/file; "
                      # The loop device lets go of its file a moment later.
                      "umount /mnt/inner; wait_for 20 umount $MNT 2>/dev/null")
    check.equal("what was written there last", inner.strip(), "inner")
    disk.is_there()


def loop_mounted(check):
    """A file system in a file: what was written there last is saved, it is
    unmounted first, and its loop device given back."""
    disk = Mounted(check)
    disk.must("set -e; truncate -s 128M $MNT/image; mkfs.ext4 -q $MNT/image; mkdir -p /mnt/inner; "
              "losetup -f $MNT/image; mount $(losetup -nO NAME -j $MNT/image) /mnt/inner; echo inner >/mnt/inner/file")
    incident = disk.remove("clean", "acked", 0)
    check.equal("unmounted on the host", results(incident, host=True),
                {("/mnt/pmem", "ext4", "ok"), ("/mnt/inner", "ext4", "ok")})
    check.equal("loop devices", disk.must("losetup -a"), "")
    inner_comes_back(disk)


def loop_in_use(check):
    """The same with somebody in it: shut down and detached under him, synced
    from the inside out."""
    disk = Mounted(check)
    disk.must("set -e; truncate -s 128M $MNT/image; mkfs.ext4 -q $MNT/image; mkdir -p /mnt/inner; "
              "mount -o loop $MNT/image /mnt/inner; echo inner >/mnt/inner/file")
    pid = disk.background("cd /mnt/inner && exec sleep 1000")
    removed_under(disk, pid, "/mnt/pmem/image")
    inner_comes_back(disk)


def swap(check):
    """Makes it a device of the system: synced, nobody signalled. What was
    swapped out is gone with it, and an ext4 that was shut down lets nobody
    swapoff: the guest is not used again."""
    disk = Mounted(check, options="dax=never")
    mapper = disk.odd("shared")
    disk.must("set -e; fallocate -l 32M $MNT/swap; chmod 600 $MNT/swap; mkswap -q $MNT/swap; swapon $MNT/swap")
    incident = disk.remove("system-device", "released")
    check.expect("system device: it carries swap" in incident["Notes"], f"swap is not named: {incident['Notes']}")
    check.equal("who was acted on", acted_on(incident), set())
    check.expect(disk.is_alive(mapper), "somebody was killed")
    check.equal("the device comes back", disk.come_back().rc, 0)


def no_swap_on_dax(check):
    """The kernel itself wants no swap file there."""
    disk = Mounted(check)
    refused = disk.sh("fallocate -l 32M $MNT/swap; chmod 600 $MNT/swap; mkswap -q $MNT/swap; swapon $MNT/swap")
    check.expect(refused.rc != 0, "swap on a DAX file system was not refused")
    disk.remove("clean", "acked", 0)
    disk.comes_back()


ONE = ("7",)
CASES = {
    "mounts/overlay": overlay,
    "mounts/overlay-in-use": Case(overlay_in_use, kernels=ONE),
    "mounts/loop": Case(loop_device, kernels=ONE),
    "mounts/loop-mounted": Case(loop_mounted, kernels=ONE),
    "mounts/loop-in-use": Case(loop_in_use, kernels=ONE),
    "mounts/no-swap-on-dax": Case(no_swap_on_dax, kernels=ONE),
    "mounts/swap": Case(swap, kernels=ONE, spoils=True),
}
