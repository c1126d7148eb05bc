# SPDX-License-Identifier: LGPL-2.1-or-later
"""What file systems stand on, other than one whole disk in fsdax mode: dm and
LVM over two, a log, journal or real-time device, a BTT, none at all."""
from check import Case, Setup
from removal import Disk, Mapper, files_are_there, is_mounted, removed

TWO = Setup(nvdimms=2)
MNT = "/mnt/stack"
# So that a file system which fills allocation groups by directory uses both disks.
DIRS = [f"{MNT}/d{n}" for n in range(4)]


def make_linear(disks):
    """One dm device over both, and how it goes and comes."""
    sizes = [f"$(blockdev --getsz {disk.dev})" for disk in disks]
    create = (f"printf '0 %s linear {disks[0].dev} 0\\n%s %s linear {disks[1].dev} 0\\n' "
              f"{sizes[0]} {sizes[0]} {sizes[1]} | dmsetup create both && udevadm settle")
    return "/dev/mapper/both", create, "dmsetup remove --retry both", create


def make_lvm(disks):
    devs = " ".join(disk.dev for disk in disks)
    create = f"{{ pvcreate -qy {devs} && vgcreate -qy both {devs} && lvcreate -qy -n data -l 100%FREE both; }} >/dev/null 2>&1"
    # The removed devices' numbers are in the table still: lvm2 would not touch it.
    return ("/dev/both/data", create, "dmsetup remove --retry both-data",
            "wait_for 20 vgchange -qay both >/dev/null 2>&1; udevadm settle; test -b /dev/both/data")


LAYERS = {"linear": make_linear, "lvm": make_lvm}


def over_two(check, layer, fs):
    """The file system is one: with either disk all of it goes, in order; the
    other disk then carries nothing that could be lost."""
    check.start_daemon()
    disks = [Disk(check, f"region{n}") for n in range(2)]
    dev, create, drop, again = LAYERS[layer](disks)
    check.run(f"{create}; make_fs {fs} {dev}; mount_dax {dev} {MNT}; mkdir {' '.join(DIRS)}", timeout=90)
    mappers = [Mapper(check, f"{where}/file") for where in DIRS]
    innocent = Mapper(check, "/var/tmp/innocent")
    try:
        incident = removed(check, disks[0].unbind)
        for mapper in mappers:
            mapper.was_ended(incident)
        innocent.was_spared()
        check.expect(not is_mounted(check, MNT), "it is mounted still")
        # Claimed by dm: held, though nobody is there, and let go at once.
        incident = removed(check, disks[1].unbind)
        check.equal("holders of the other disk", incident["Holders"], [])
        check.run(f"{drop}; {disks[0].bind}; {disks[1].bind}; {again}")
        check.run(f"mount_dax {dev} {MNT}")
        files_are_there(check, *(mapper.path for mapper in mappers))
    finally:
        innocent.end()
        check.guest.run(f"umount {MNT}; {drop}; wipefs -qa {disks[0].dev} {disks[1].dev}", timeout=30)


def part_of_xfs(check, option, mkfs, mode):
    """The data is elsewhere; what goes is the log or the real-time device."""
    check.start_daemon()
    data, part = Disk(check, "region0"), Disk(check, "region1", mode)
    mount = f"mkdir -p {MNT}; mount -o {option}={part.dev} {data.dev} {MNT}"
    check.run(f"mkfs.xfs -q -f {mkfs.format(part.dev)} {data.dev}; {mount}")
    path = f"{MNT}/file"
    if option == "rtdev":
        check.run(f"xfs_io -f -c 'chattr +r' -c 'chattr +x' {path}")
    mapper = Mapper(check, path)
    check.run(f"echo here >{MNT}/small")
    innocent = Mapper(check, "/var/tmp/innocent")
    try:
        incident = removed(check, part.unbind)
        mapper.was_ended(incident)
        innocent.was_spared()
        check.expect(not is_mounted(check, MNT), "it is mounted still")
        check.run(f"{part.bind}; {mount}")
        files_are_there(check, path)
        check.equal("a small file", check.run(f"cat {MNT}/small").strip(), "here")
    finally:
        innocent.end()
        check.guest.run(f"umount {MNT}")


def journal_of_ext4(check):
    check.start_daemon()
    data, journal = Disk(check, "region0"), Disk(check, "region1")
    mount = f"mkdir -p {MNT}; mount -o dax=always {data.dev} {MNT}"
    check.run(f"mke2fs -q -F -O journal_dev -b 4096 {journal.dev}; "
              f"mkfs.ext4 -q -F -b 4096 -J device={journal.dev} {data.dev}; {mount}")
    mapper = Mapper(check, f"{MNT}/file")
    try:
        incident = removed(check, journal.unbind)
        mapper.was_ended(incident)
        check.expect(not is_mounted(check, MNT), "it is mounted still")
        check.run(f"{journal.bind}; {mount}")
        files_are_there(check, mapper.path)
    finally:
        check.guest.run(f"umount {MNT}")


def without_dax(check, mode, fs):
    """A BTT, or a namespace without a map of its pages: what is mapped is page
    cache, and there is nothing to revoke; but the data must get there."""
    check.start_daemon()
    disk = Disk(check, "region0", mode)
    check.run(f"make_fs {fs} {disk.dev}; mkdir -p {MNT}; mount {disk.dev} {MNT}")
    mapper = Mapper(check, f"{MNT}/file")
    incident = removed(check, disk.unbind)
    mapper.was_ended(incident)
    check.expect(not is_mounted(check, MNT), "it is mounted still")
    check.run(f"{disk.bind}; check_fs {fs} {disk.dev}; mount {disk.dev} {MNT}")
    files_are_there(check, mapper.path)
    check.run(f"umount {MNT}")


def raw_open(check):
    """Who maps the disk itself maps page cache and keeps no file system: not
    held, and not touched. What was written gets to the disk all the same."""
    check.start_daemon()
    disk = Disk(check)
    mapper = Mapper(check, disk.dev)
    try:
        removed(check, disk.unbind, holds=0)
        mapper.was_spared()
    finally:
        mapper.end()
    check.run(disk.bind)
    files_are_there(check, disk.dev)
    check.run(f"wipefs -qa {disk.dev}")


def swap(check):
    """Swap on the disk itself: a system device. Nobody is signalled."""
    check.start_daemon()
    disk = Disk(check, "region0")
    check.run(f"mkswap -q {disk.dev}; swapon {disk.dev}")
    try:
        removed(check, disk.unbind, Outcome="system-device", Result="released")
    finally:
        check.guest.run(f"swapoff {disk.dev}; {disk.bind}; wipefs -qa {disk.dev}")


def partitions(check):
    """Two file systems on one disk: both go, with one hold."""
    check.start_daemon()
    disk = Disk(check, "region0")
    parts = [(f"{disk.dev}p{n}", f"{MNT}{n}", "ext4") for n in (1, 2)]
    check.run(f"parted -s {disk.dev} mklabel gpt mkpart a 2MiB 128MiB mkpart b 128MiB 100%; udevadm settle")
    for dev, where, fs in parts:
        check.run(f"make_fs {fs} {dev}; mount_dax {dev} {where}")
    mappers = [Mapper(check, f"{where}/file") for _, where, _ in parts]
    incident = removed(check, disk.unbind)
    for mapper in mappers:
        mapper.was_ended(incident)
    check.run(f"{disk.bind}; " + "; ".join(f"mount_dax {dev} {where}" for dev, where, _ in parts))
    files_are_there(check, *(mapper.path for mapper in mappers))
    check.run(f"umount {MNT}1 {MNT}2; wipefs -qa {disk.dev}")


def _two(function, *args, kernels=None):
    return Case(lambda check: function(check, *args), setup=TWO, kernels=kernels)


CASES = {
    "stack/linear/ext4": _two(over_two, "linear", "ext4"),
    "stack/linear/xfs": _two(over_two, "linear", "xfs-rmapbt1", kernels=("6.12",)),
    "stack/lvm/ext4": _two(over_two, "lvm", "ext4", kernels=("6.12",)),
    "stack/lvm/xfs": _two(over_two, "lvm", "xfs-rmapbt1"),
    "stack/xfs-log/fsdax": _two(part_of_xfs, "logdev", "-l logdev={},size=64m", "fsdax"),
    "stack/xfs-log/sector": _two(part_of_xfs, "logdev", "-l logdev={},size=64m", "sector"),
    "stack/xfs-rt": _two(part_of_xfs, "rtdev", "-m rmapbt=0,reflink=0 -r rtdev={}", "fsdax"),
    "stack/ext4-journal": _two(journal_of_ext4),
    "stack/sector/ext4": _two(without_dax, "sector", "ext4"),
    "stack/raw/xfs": _two(without_dax, "raw", "xfs-rmapbt1", kernels=("7",)),
    "stack/raw-open": _two(raw_open),
    "stack/swap": _two(swap),
    "stack/partitions": _two(partitions, kernels=("6.12",)),
}
