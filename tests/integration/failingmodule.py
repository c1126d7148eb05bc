# SPDX-License-Identifier: LGPL-2.1-or-later
"""The part of the module that keeps records of failed memory, beside fakemodule.py."""

import errno
import os
import signal
import time

from fakemodule import FakeModule, dev_u64
from procfs import mappings, scan, start_ns, status_of

PAGE = 4096
DATA = 1 << 32	# where the device's memory begins; the file "data" lies there, from its begin


class FailingModule(FakeModule):
    def __init__(self, *args, **more):
        self.ino = 0		    # of the file "data"
        self.serial = 0
        self.failures = {}	    # serial: message, without its command
        self.forgotten = 0
        self.told = []		    # (pid, address, lsb) of failures
        self.unmapped = []	    # (start, length, badblocks)
        self.listed = []	    # (page, n): the disk's list of bad blocks, as CHECK finds it
        super().__init__(*args, **more)

    # -- what a test does

    def fail(self, page, n=1, *, event=True, replaces=0, flags=0, told=(), dev=None, place=True,
             word="dax page", count=0):
        """Pages of the file have failed; a record that grows gets a new serial. count: events, else one a page."""
        e = self.encoder
        with self.lock:
            self.failures.pop(replaces, None)
            attrs = self._record(page, n, dev or self.dev)
            attrs += [e.u8("SOURCE", e["SOURCE_MEMORY_FAILURE"]), e.text("MF_TYPE", word),
                      e.text("MF_RESULT", "Recovered"), e.u32("FAILURE_FLAGS", flags), e.u32("COUNT", count or n)]
            if place:
                attrs += [e.u64("FS_DEV", dev_u64(self.dev)), e.u64("INO", self.ino), e.u32("GENERATION", 0),
                          e.u64("OFFSET", page * PAGE)]
            attrs += [e.attr("TOLD", e.u32("PID", pid) + e.u64("START_NS", start_ns(pid)) + e.u64("ADDR", addr) +
                             e.u64("LEN", n * PAGE)) for pid, addr in told]
            self.failures[self.serial] = attrs
            if event and self.daemon:
                self._send(self.daemon, b"E" + e.message("FAILURE", *attrs))
            return self.serial

    def _record(self, page, n, dev):
        e = self.encoder
        self.serial += 1
        return [e.u64("FAILURE", self.serial), e.text("NAME", "pmem0"), e.u64("DEV", dev_u64(dev)),
                e.u8("MODE", e["MODE_FSDAX"]), e.text("NS_DEVICE", "pfn0.0"), e.attr("NS_UUID", bytes(range(16))),
                e.attr("RANGE", e.u64("START", DATA + page * PAGE) + e.u64("LEN", n * PAGE)),
                e.u64("DISK_OFFSET", page * PAGE), e.u64("TIME_NS", time.clock_gettime_ns(time.CLOCK_BOOTTIME))]

    def check(self):
        """What is listed becomes records, also what was forgotten."""
        e = self.encoder
        with self.lock:
            for page, n in self.listed:
                attrs = self._record(page, n, self.dev)
                attrs += [e.u8("SOURCE", e["SOURCE_BADBLOCKS"]), e.u32("FAILURE_FLAGS", e["FAIL_NO_FILE"]),
                          e.u32("COUNT", 1)]
                self.failures[self.serial] = attrs
                if self.daemon:
                    self._send(self.daemon, b"E" + e.message("FAILURE", *attrs))
        return 0

    def wait_forgotten(self, serial, timeout=30):
        end = time.monotonic() + timeout
        while self.forgotten < serial:
            if time.monotonic() > end:
                raise TimeoutError(f"{self.forgotten} of {serial}: {self.words()[-20:]}")
            time.sleep(0.01)

    # -- commands

    def do_GET_FAILURES(self, conn, after):
        some = [s for s in sorted(self.failures) if s > int(after)][:200]
        self._answer(conn, 0, "", *(self.encoder.message("GET_FAILURES", *self.failures[s]) for s in some))

    def do_FORGET(self, conn, serial):
        self.forgotten = int(serial)
        self.failures = {s: f for s, f in self.failures.items() if s > self.forgotten}
        self._answer(conn)

    def _guards(self, conn, number):
        if int(number) == dev_u64(self.dev):
            return True
        self._answer(conn, errno.ENODEV, "not a disk that daxguard guards")
        return False

    def _range_snapshot(self, token, start, length):
        e = self.encoder
        messages = []
        for pid, addr, n, offset in mappings(self.dev, self.ino, start - DATA, length):
            try:
                status, start_time = status_of(pid), start_ns(pid)
            except OSError:
                continue
            messages.append(self.usage(
                pid, start_time, "MAPPED", status["Name"][:15], e.u64("SIG_CAUGHT", int(status["SigCgt"], 16)),
                e.u64("SIG_BLOCKED", int(status["SigBlk"], 16)), e.u64("SIG_IGNORED", int(status["SigIgn"], 16)),
                e.u64("FS_DEV", dev_u64(self.dev)), e.u64("INO", self.ino), e.u64("ADDR", addr), e.u64("LEN", n),
                e.u64("OFFSET", offset), uid=int(status["Uid"].split()[1])))
        self.snapshots = {token: (messages, [])}
        return 0

    def do_SCAN_RANGE(self, conn, number, start, length):
        if self._guards(conn, number):
            self._queue(conn, "SCAN", lambda token: self._range_snapshot(token, int(start), int(length)))

    def do_UNMAP(self, conn, number, start, length, badblocks):
        if self._guards(conn, number):
            self.unmapped.append((int(start), int(length), int(badblocks)))
            self._queue(conn, "UNMAP", lambda token: 0)

    def do_CHECK(self, conn, number):
        if self._guards(conn, number):
            self._queue(conn, "CHECK", lambda token: self.check())

    def do_SIGBUS_DEVICE(self, conn, number, pid, start, addr, lsb, code):
        if not self._guards(conn, number):
            return
        pid, addr = int(pid), int(addr)
        try:
            gone = int(start) != start_ns(pid)
        except OSError:
            gone = True
        mapped = not gone and any(low <= addr < low + n for p, _, low, n, _ in scan(self.dev) if p == pid)
        if gone:
            self._answer(conn, errno.ESRCH, "the process is gone")
        elif not mapped:
            self._answer(conn, errno.EFAULT, "the address is not in a mapping of the device")
        elif int(code) != 5:
            self._answer(conn, errno.EINVAL, "CODE")
        else:
            self.told.append((pid, addr, int(lsb)))
            os.kill(pid, signal.SIGBUS)
            self._answer(conn)
