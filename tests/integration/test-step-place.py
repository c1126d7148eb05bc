#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""daxguard-step place, against real file systems on loop devices.

Needs root and loop devices; what the kernel or this system cannot do is skipped.

usage: test-step-place.py DAXGUARD_STEP [unittest arguments]
"""

import fcntl
import os
import struct
import subprocess
import time

from rangescase import BLOCK, RangesCase, rdev
from stepcase import devno, main, run

GETVERSION = 0x80087601  # FS_IOC_GETVERSION
FIEMAP = 0xC020660B  # FS_IOC_FIEMAP
XATTR_FLAG = 2
MIB = 1 << 20


def generation(path):
    with open(path, "rb") as file:
        return struct.unpack("=i4x", fcntl.ioctl(file, GETVERSION, bytes(8)))[0] & 0xFFFFFFFF


def physical(path, flags=0):
    """Where its first extent lies on the device, and how long it is."""
    head = struct.pack("=QQLLLL", 0, (1 << 64) - 1, 1 | flags, 0, 1, 0) + bytes(56)
    fd = os.open(path, os.O_RDONLY)
    try:
        found = fcntl.ioctl(fd, FIEMAP, head)
    finally:
        os.close(fd)
    if struct.unpack_from("=L", found, 20)[0] != 1:
        raise AssertionError(f"{path} has no extent")
    _, where, length = struct.unpack_from("=QQQ", found, 32)
    return where, length


class PlaceCase(RangesCase):
    def place(self, *ranges, dev=None, **more):
        """The pieces, and the files by their inodes."""
        found = self.ask("place", dev or rdev(self.loop), *ranges, **more)
        self.assertEqual(found[-1], {"END": b"ok"})
        return ([r for r in found if "RANGE" in r],
                {int(r["FILE"]): r for r in found if "FILE" in r})

    def one(self, offset, length=BLOCK, **more):
        pieces, files = self.place({"OFFSET": offset, "LEN": length}, **more)
        self.assertEqual(len(pieces), 1, pieces)
        self.assertEqual((int(pieces[0]["OFFSET"]), int(pieces[0]["LEN"])), (offset, length))
        return pieces[0], files

    def kind(self, offset, **more):
        piece, _ = self.one(offset, **more)
        return piece["KIND"].decode(), piece.get("WHAT", b"").decode()

    def told(self, path, offset=None):
        st = os.stat(path)
        where = physical(path)[0] if offset is None else offset
        return {"OFFSET": where, "LEN": BLOCK, "FS_DEV": devno(path), "INO": st.st_ino,
                "GENERATION": generation(path), "FILE_OFFSET": 0}

    def write(self, name, size=16 * BLOCK):
        path = os.path.join(self.mnt, name)
        with open(path, "wb") as file:
            file.write(os.urandom(size))
            os.fsync(file.fileno())
        return path

    def disk(self, name, size):
        image = os.path.join(self.dir, name)
        with open(image, "wb") as file:
            file.truncate(size)
        return self.loop_device(image)

    def forget(self):
        """No name is in memory any more."""
        run("umount", self.mnt)
        self.mount(self.loop, self.mnt)


class Common:
    """What holds for every file system."""

    def test_told_file(self):
        path = self.write("a b\nc")
        pieces, files = self.place(self.told(path))
        self.assertEqual(len(pieces), 1)
        self.assertEqual(pieces[0]["KIND"], b"file")
        self.assertEqual(pieces[0]["TOLD"], b"1")
        self.assertEqual(int(pieces[0]["INO"]), os.stat(path).st_ino)
        self.assertEqual(files[os.stat(path).st_ino]["PATH"], path.encode())
        self.assertNotIn("ELSEWHERE", files[os.stat(path).st_ino])

    def test_told_file_that_is_not_in_memory(self):
        os.makedirs(self.mnt + "/some/where")
        path = self.write("some/where/file")
        told = self.told(path)
        os.link(path, self.mnt + "/link")
        self.forget()
        _, files = self.place(told)
        found = files[told["INO"]]
        self.assertIn(found["PATH"].decode(), (path, self.mnt + "/link"))
        self.assertEqual(found["LINKS"], b"2")

    def test_deleted_file(self):
        path = self.write("gone (deleted)")
        told = self.told(path)
        with open(path, "rb"):
            os.unlink(path)
            _, files = self.place(told)
        self.assertEqual(files[told["INO"]]["DELETED"], b"1")
        self.assertEqual(files[told["INO"]]["PATH"], path.encode())

    def test_name_that_ends_like_a_deleted_one(self):
        path = self.write("here (deleted)")
        told = self.told(path)
        _, files = self.place(told)
        self.assertEqual(files[told["INO"]]["PATH"], path.encode())
        self.assertNotIn("DELETED", files[told["INO"]])

    def test_told_file_of_another_generation(self):
        told = self.told(self.write("file"))
        told["GENERATION"] = (told["GENERATION"] + 1) & 0xFFFFFFFF
        _, files = self.place(told)
        self.assertEqual(files[told["INO"]]["NO_PATH"], b"stale")
        self.assertNotIn("PATH", files[told["INO"]])

    def test_where_only_another_namespace_has_it(self):
        path = self.write("file")
        told = self.told(path)
        self.child(":", "-m", "--propagation", "private")
        run("umount", self.mnt)
        _, files = self.place(told)
        self.assertEqual(files[told["INO"]]["PATH"], path.encode())
        self.assertEqual(files[told["INO"]]["ELSEWHERE"], b"1")

    def test_bind_mount_that_does_not_show_it(self):
        """What the kernel shows of a file outside a bind mount is no path, however it looks."""
        os.mkdir(self.mnt + "/sub")
        bind = self.mkdir("bind")
        os.makedirs(self.mnt + bind)
        path = self.write(bind[1:] + "/file")
        told = self.told(path)
        self.mount("--bind", self.mnt + "/sub", bind)
        with open(path, "rb"):
            run("umount", "-l", self.mnt)
            _, files = self.place(told)
        self.assertNotIn("PATH", files[told["INO"]])

    def test_mount_below_another(self):
        path = self.write("file")
        told = self.told(path)
        self.mount("-t", "tmpfs", "none", self.mnt)
        _, files = self.place(told)
        self.assertEqual(files[told["INO"]]["PATH"], path.encode())

    def test_free(self):
        path = self.write("file", MIB)
        where, _ = physical(path)
        os.unlink(path)
        self.forget()  # what was freed is free after a commit
        self.assertEqual(self.kind(where), ("free", ""))

    def test_behind_the_end(self):
        size = os.path.getsize(os.path.join(self.dir, "image"))
        self.assertEqual(self.kind(size), ("outside", "gap"))
        pieces, _ = self.place({"OFFSET": size - BLOCK, "LEN": 2 * BLOCK})
        self.assertEqual([int(p["OFFSET"]) for p in pieces if p.get("WHAT") == b"gap"], [size])

    def test_not_mounted(self):
        path = self.write("file")
        told = self.told(path)
        run("umount", self.mnt)
        self.assertIn(self.kind(told["OFFSET"]), (("unknown", "not-mounted"), ("outside", "raw")))
        pieces, files = self.place(told)
        self.assertEqual(pieces[0]["KIND"], b"file")
        self.assertEqual(files[told["INO"]]["NO_PATH"], b"not-mounted")

    def test_many_ranges(self):
        """All have their answer, whatever their order is, and soon."""
        path = self.write("file", 256 * BLOCK)
        where, length = physical(path)
        ranges = [{"OFFSET": where + i * 7919 % (length // BLOCK) * BLOCK, "LEN": BLOCK} for i in range(4096)]
        started = time.monotonic()
        pieces, _ = self.place(*ranges)
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(sorted(int(p["RANGE"]) for p in pieces), list(range(4096)))
        for piece in pieces:
            self.assertEqual(int(piece["OFFSET"]), ranges[int(piece["RANGE"])]["OFFSET"])
        self.assertEqual({p["KIND"] for p in pieces}, {self.of_data})

    def test_no_time(self):
        where, _ = physical(self.write("file"))
        pieces, _ = self.place({"OFFSET": where, "LEN": BLOCK}, timeout_ms=0)
        self.assertEqual((pieces[0]["KIND"], pieces[0]["WHAT"]), (b"unknown", b"ETIMEDOUT"))

    def test_shut_down(self):
        where, _ = physical(self.write("file"))
        subprocess.run([self.program, "shutdown", self.dev], check=False, stdout=subprocess.DEVNULL)
        piece, _ = self.one(where)
        self.assertIn(piece["KIND"], (b"unknown", self.of_data))


class Ext4PlaceTest(Common, PlaceCase):
    fs = "ext4"
    of_data = b"unknown"
    # The inodes of several groups in a row, of 4 MiB and more.
    mkfs_options = ("-b", "4096", "-I", "1024", "-N", "8192")
    size_mib = 256

    def fixed(self, name):
        """Blocks of the first group, from dumpe2fs."""
        out = subprocess.run(["dumpe2fs", self.loop], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                             text=True, check=True).stdout
        for line in out.splitlines():
            if line.strip().startswith(name):
                word = line.split(" at ")[1].split()[0].rstrip(",")
                return [int(n) for n in word.split("-")]
        raise AssertionError(name)

    def test_data_and_metadata_are_not_told_apart(self):
        path = self.write("file")
        self.assertEqual(self.kind(physical(path)[0]), ("unknown", "no-owners"))

    def test_metadata(self):
        self.assertEqual(self.kind(0), ("metadata", "superblock"))
        self.assertEqual(self.kind(BLOCK)[0], "metadata")
        self.assertEqual(self.kind(self.fixed("Block bitmap")[0] * BLOCK), ("metadata", "block-bitmap"))
        self.assertEqual(self.kind(self.fixed("Inode bitmap")[0] * BLOCK), ("metadata", "inode-bitmap"))

    def test_the_middle_of_an_inode_table(self):
        first, last = self.fixed("Inode table")
        for block in (first, first + 1, (first + last) // 2, last):
            self.assertEqual(self.kind(block * BLOCK), ("metadata", "inodes"), block)

    def test_a_file_on_top_of_a_told_one(self):
        """Several ranges, told and not, in one question."""
        path = self.write("file")
        where, _ = physical(path)
        pieces, _ = self.place(self.told(path), {"OFFSET": where, "LEN": BLOCK}, {"OFFSET": 0, "LEN": BLOCK})
        self.assertEqual(sorted((int(p["RANGE"]), p["KIND"]) for p in pieces),
                         [(0, b"file"), (1, b"unknown"), (2, b"metadata")])


class XfsRmapPlaceTest(Common, PlaceCase):
    fs = "xfs"
    of_data = b"file"
    mkfs_options = ("-m", "rmapbt=1,reflink=1")

    def test_file(self):
        path = self.write("file")
        where, _ = physical(path)
        piece, files = self.one(where + 3 * BLOCK, 2 * BLOCK)
        self.assertEqual(piece["KIND"], b"file")
        self.assertEqual(int(piece["INO"]), os.stat(path).st_ino)
        self.assertEqual(int(piece["FILE_OFFSET"]), 3 * BLOCK)
        self.assertEqual(piece["FS_DEV"].decode(), self.dev)
        found = files[os.stat(path).st_ino]
        self.assertEqual(found["PATH"], path.encode())
        self.assertEqual(int(found["GENERATION"]), generation(path))

    def test_file_that_is_not_in_memory(self):
        os.makedirs(self.mnt + "/some/where")
        path = self.write("some/where/file")
        where, _ = physical(path)
        self.forget()
        piece, files = self.one(where)
        self.assertEqual(files[int(piece["INO"])]["PATH"], path.encode())

    def test_shared_block(self):
        path, copy = self.write("file"), self.mnt + "/copy"
        run("cp", "--reflink=always", path, copy)
        run("sync", "-f", self.mnt)
        where, _ = physical(path)
        pieces, files = self.place({"OFFSET": where, "LEN": BLOCK})
        self.assertEqual({p["KIND"] for p in pieces}, {b"file"})
        self.assertEqual({int(p["INO"]) for p in pieces}, {os.stat(p).st_ino for p in (path, copy)})
        self.assertEqual({f["PATH"] for f in files.values()}, {path.encode(), copy.encode()})
        # The module names one of them; the other one is added.
        pieces, files = self.place(self.told(path))
        self.assertEqual({(int(p["INO"]), p.get("TOLD")) for p in pieces},
                         {(os.stat(path).st_ino, b"1"), (os.stat(copy).st_ino, None)})

    def test_two_files_in_one_range(self):
        first = self.write("first", BLOCK)
        for i in range(8):
            self.write(f"file{i}", BLOCK)
        where, _ = physical(first)
        pieces, _ = self.place({"OFFSET": where - 4 * BLOCK, "LEN": 16 * BLOCK})
        self.assertEqual(sum(int(p["LEN"]) for p in pieces), 16 * BLOCK)
        self.assertEqual(int(pieces[0]["OFFSET"]), where - 4 * BLOCK)

    def test_xattr(self):
        path = self.write("file")
        os.setxattr(path, "user.big", os.urandom(20000))
        run("sync", "-f", self.mnt)
        piece, files = self.one(physical(path, XATTR_FLAG)[0])
        self.assertEqual((piece["KIND"], piece["WHAT"]), (b"metadata", b"xattr"))
        self.assertEqual(files[int(piece["INO"])]["PATH"], path.encode())

    def test_extents(self):
        """A file of many pieces has a tree of them, which is metadata of that file."""
        path = self.mnt + "/sparse"
        with open(path, "wb") as file:
            for i in range(400):
                file.seek(i * 2 * BLOCK)
                file.write(b"x" * BLOCK)
        run("sync", "-f", self.mnt)
        pieces, _ = self.place({"OFFSET": 0, "LEN": 320 * MIB})
        # There may be some that are allocated, and not written to.
        self.assertEqual(len([p for p in pieces if p["KIND"] == b"file" and "UNWRITTEN" not in p]), 400)
        self.assertIn((b"metadata", b"extents", os.stat(path).st_ino),
                      {(p["KIND"], p.get("WHAT"), int(p.get("INO", 0))) for p in pieces})

    def test_directory(self):
        os.mkdir(self.mnt + "/dir")
        for i in range(200):
            self.write(f"dir/a file of no importance whatever {i}", 0)
        run("sync", "-f", self.mnt)
        pieces, files = self.place({"OFFSET": 0, "LEN": 320 * MIB})
        inode = os.stat(self.mnt + "/dir").st_ino
        self.assertEqual({(p["KIND"], p["WHAT"]) for p in pieces if int(p.get("INO", 0)) == inode},
                         {(b"metadata", b"directory")})
        self.assertEqual(files[inode]["PATH"].decode(), self.mnt + "/dir")

    def test_metadata(self):
        self.write("file")
        run("sync", "-f", self.mnt)
        pieces, _ = self.place({"OFFSET": 0, "LEN": 320 * MIB})
        whats = {p["WHAT"].decode() for p in pieces if p["KIND"] == b"metadata"}
        self.assertLessEqual({"superblock", "btree", "inode-btree", "inodes", "refcount-btree", "log"}, whats)
        self.assertEqual(self.kind(0), ("metadata", "superblock"))

    def test_many_owners(self):
        """Of a block that very many share a bounded number is told."""
        path = self.write("file")
        for i in range(400):
            run("cp", "--reflink=always", path, f"{self.mnt}/copy{i}")
        run("sync", "-f", self.mnt)
        pieces, _ = self.place({"OFFSET": physical(path)[0], "LEN": BLOCK})
        self.assertEqual(len(pieces), 256)

    def test_a_disk_that_only_has_the_log(self):
        data, log = self.disk("data", 320 * MIB), self.disk("log", 80 * MIB)
        run("mkfs.xfs", "-q", "-f", "-m", "rmapbt=1", "-l", f"logdev={log},size=64m", data)
        other = self.mkdir("other")
        self.mount("-o", f"logdev={log}", data, other)
        piece, _ = self.one(MIB, dev=rdev(log))
        self.assertEqual((piece["KIND"], piece["WHAT"]), (b"metadata", b"log"))
        self.assertEqual(piece["FS_DEV"].decode(), devno(other))


class XfsPlaceTest(Common, PlaceCase):
    fs = "xfs"
    of_data = b"unknown"
    mkfs_options = ("-m", "rmapbt=0")

    def test_data_and_metadata_are_not_told_apart(self):
        self.assertEqual(self.kind(physical(self.write("file"))[0]), ("unknown", "no-owners"))
        self.assertEqual(self.kind(0), ("unknown", "no-owners"))


class StackPlaceTest(PlaceCase):
    fs = "xfs"
    mkfs_options = ("-m", "rmapbt=1")

    def dm(self, name, table):
        if subprocess.run(["dmsetup", "create", "--noudevsync", "--verifyudev", name], input=table, text=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("no device mapper")
        self.addCleanup(subprocess.run, ["dmsetup", "remove", "--noudevsync", name], check=False)
        return f"/dev/mapper/{name}"

    def fill(self, device, name):
        where = self.mkdir(name)
        run("mkfs.xfs", "-q", "-f", "-m", "rmapbt=1", device)
        self.mount(device, where)
        path = where + "/file"
        with open(path, "wb") as file:
            file.write(os.urandom(BLOCK))
            os.fsync(file.fileno())
        return path

    def test_partitions(self):
        image = os.path.join(self.dir, "disk")
        with open(image, "wb") as file:
            file.truncate(700 * MIB)
            file.seek(446)
            for start, size in ((1, 320), (340, 320)):
                file.write(struct.pack("<4xB3xLL", 0x83, start * MIB // 512, size * MIB // 512))
            file.seek(510)
            file.write(b"\x55\xaa")
        loop = self.loop_device(image, "-P")
        for _ in range(100):
            if os.path.exists(loop + "p2"):
                break
            time.sleep(0.02)
        else:
            self.skipTest("this kernel shows no partitions of loop devices")
        path = self.fill(loop + "p2", "part")
        where = physical(path)[0] + 340 * MIB
        piece, files = self.one(where, dev=rdev(loop))
        self.assertEqual(piece["KIND"], b"file")
        self.assertEqual(files[int(piece["INO"])]["PATH"], path.encode())
        self.assertEqual(self.kind(0, dev=rdev(loop)), ("outside", "gap"))
        self.assertEqual(self.kind(330 * MIB, dev=rdev(loop)), ("outside", "gap"))
        self.assertIn(self.kind(2 * MIB, dev=rdev(loop)), (("unknown", "not-mounted"), ("outside", "raw")))
        # Over the edge of the partition.
        pieces, _ = self.place({"OFFSET": 340 * MIB - BLOCK, "LEN": 2 * BLOCK}, dev=rdev(loop))
        self.assertEqual([(int(p["OFFSET"]) // BLOCK, p["KIND"]) for p in sorted(pieces, key=lambda p: int(p["OFFSET"]))],
                         [(340 * MIB // BLOCK - 1, b"outside"), (340 * MIB // BLOCK, b"metadata")])

    def test_dm_linear(self):
        """A file system in two pieces of a disk, the other way round, and a hole."""
        loop = self.disk("disk", 700 * MIB)
        half = 160 * MIB // 512
        device = self.dm(f"daxguard-test-{os.getppid()}",
                         f"0 {half} linear {loop} {400 * MIB // 512}\n"
                         f"{half} {half} linear {loop} {100 * MIB // 512}\n")
        path = self.fill(device, "dm")
        at = physical(path)[0]
        where = at + 400 * MIB if at < 160 * MIB else at - 160 * MIB + 100 * MIB
        piece, files = self.one(where, dev=rdev(loop))
        self.assertEqual(piece["KIND"], b"file")
        self.assertEqual(files[int(piece["INO"])]["PATH"], path.encode())
        self.assertEqual(self.kind(400 * MIB, dev=rdev(loop)), ("metadata", "superblock"))
        self.assertEqual(self.kind(300 * MIB, dev=rdev(loop)), ("outside", "gap"))

    def test_data_that_cannot_be_read(self):
        """Its name is found all the same: nobody reads it."""
        loop = self.disk("disk", 320 * MIB)
        name = f"daxguard-bad-{os.getppid()}"
        sectors = 320 * MIB // 512
        device = self.dm(name, f"0 {sectors} linear {loop} 0\n")
        path = self.fill(device, "dm")
        at = physical(path)[0] // 512
        run("umount", os.path.dirname(path))
        subprocess.run(["dmsetup", "reload", name], text=True, check=True,
                       input=f"0 {at} linear {loop} 0\n{at} 8 error\n"
                             f"{at + 8} {sectors - at - 8} linear {loop} {at + 8}\n")
        run("dmsetup", "resume", "--noudevsync", name)
        self.mount(device, os.path.dirname(path))
        with self.assertRaises(OSError), open(path, "rb") as file:
            file.read()
        # Of the dm device, of which it is the disk here.
        piece, files = self.one(at * 512, dev=rdev(device))
        self.assertEqual(piece["KIND"], b"file")
        self.assertEqual(files[int(piece["INO"])]["PATH"], path.encode())
        # On the loop device there is nothing at this place.
        self.assertEqual(self.kind(at * 512, dev=rdev(loop)), ("outside", "gap"))

    def test_another_layer(self):
        loop = self.disk("disk", 64 * MIB)
        self.dm(f"daxguard-other-{os.getppid()}", f"0 {32 * MIB // 512} striped 1 128 {loop} 0\n")
        self.assertEqual(self.kind(0, dev=rdev(loop)), ("unknown", "stacked"))


if __name__ == "__main__":
    main()
