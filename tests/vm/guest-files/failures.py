#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that fail, and what the module tells of it: failures.py WHAT DEVICE FILE
plays the registered daemon. FILE is on DEVICE, or DEVICE itself is a device-dax.
Prints a line for each thing looked at, "ok …" or "FAIL …".

WHAT: one     a page that many map; scan, signal, unmap
      shared  a page of two files, FILE and FILE.clone
      nofile  a page that no file names
      burst   ten thousand pages one by one, and some in a row
      kept    the module is loaded anew with records in it
      held    a page fails while the device is being removed: the last argument
"""
import collections
import json
import os
import signal
import socket
import subprocess
import sys
import time

import dgnl

POISON = "/usr/lib/daxguard-test/poison"
STATUS = "/sys/kernel/debug/daxguard/status"
EARLY_KILL = "/proc/sys/vm/memory_failure_early_kill"
PAGE = 4096
SO_RCVBUFFORCE = 33
BUS_ADRERR, BUS_MCEERR_AR, BUS_MCEERR_AO = 2, 4, 5
NO_FILE, SHARED, WIDENED, REMOVING, TOLD_MORE, MORE = (1 << n for n in range(6))
MEMORY_FAILURE, BADBLOCKS = 0, 1

good = True


def check(what, have, want):
    global good
    right = have == want
    good &= right
    print(f"ok {what}" if right else f"FAIL {what}: {have!r}, expected {want!r}", flush=True)
    return right


class Holder:
    """A process that maps a part of a file."""

    def __init__(self, kind, path, offset=0, length=16 * PAGE):
        self.kind, self.offset, self.length = kind, offset, length
        self.log = f"/run/poison-{kind}-{time.monotonic_ns()}"
        self.process = subprocess.Popen([POISON, kind, path, str(offset), str(length), self.log])
        ready = self.wait_for("ready")
        self.pid, self.address, self.frame = int(ready[1]), int(ready[2], 16), int(ready[3])

    def lines(self):
        try:
            with open(self.log, encoding="ascii") as log:
                return [line.split() for line in log]
        except FileNotFoundError:
            return []

    def wait_for(self, event, timeout=20):
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for line in self.lines():
                if line[0] == event:
                    return line
            time.sleep(0.02)
        raise TimeoutError(f"{self.kind}: no {event} in {self.lines()}")

    def told(self):
        """Its signals, once it has had one."""
        self.wait_for("sigbus")
        return self.signals()

    def signals(self):
        """(code, offset in the mapping, lsb)"""
        return [(int(line[1]), int(line[2], 16) - self.address, int(line[3]))
                for line in self.lines() if line[0] == "sigbus"]

    def touch(self):
        """Whether it could read all, or the code of the signal it had."""
        before = len(self.lines())
        os.kill(self.pid, signal.SIGUSR1)
        end = time.monotonic() + 20
        while len(self.lines()) == before and time.monotonic() < end:
            time.sleep(0.02)
        return self.lines()[before][0]

    def end(self):
        self.process.kill()
        self.process.wait()
        os.unlink(self.log)


def hard_offline(frame):
    """As the kernel does it with a page that somebody else finds bad; false: it says it failed."""
    # A Python file would write it again when it is closed.
    fd = os.open("/sys/devices/system/memory/hard_offline_page", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, hex(frame * PAGE).encode())
        return True
    except OSError:
        return False
    finally:
        os.close(fd)


def early_kill(on):
    with open(EARLY_KILL, "w", encoding="ascii") as file:
        file.write("1" if on else "0")


def data_start(disk):
    """The physical address of a disk's first byte."""
    with open(f"/sys/block/{disk}/device/resource", encoding="ascii") as resource:
        return int(resource.read(), 0)


def counters():
    with open(STATUS, encoding="ascii") as status:
        return {key: int(value) for key, value in (line.strip().split("=", 1) for line in status
                                                   if "pending" not in line) if value.isdigit()}


def ask(key, *words):
    """What daxguardctl says under this key, or None: the daemon does not answer, or is not ready."""
    answer = subprocess.run(["daxguardctl", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                            check=False)
    return json.loads(answer.stdout)[key] if answer.returncode == 0 else None


def incidents(kind="memory-failure"):
    """The oldest first."""
    return [i for i in ask("Incidents", "incidents") or [] if i["Kind"] == kind]


def wait_until(what, true, timeout=40):
    """What it came to, or None."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if (value := true()):
            return value
        time.sleep(0.1)
    print(f"ok = {counters()['failures-kept']} records kept, incidents {ask('Incidents', 'incidents')}")
    return check(what, "not in time", f"in {timeout} s") or None


def failures(link):
    return link.call("GET_FAILURES", dump=True)


def wait_for_failures(link, count, timeout=60):
    """All events looked up; the records."""
    end = time.monotonic() + timeout
    while counters()["failures"] < count and time.monotonic() < end:
        time.sleep(0.1)
    check("pages that failed and were looked up", counters()["failures"], count)
    return failures(link)


def forget(link):
    kept = failures(link)
    if kept:
        link.call("FORGET", FAILURE=kept[-1]["FAILURE"])
    check("records that are left", failures(link), [])


def start():
    link = dgnl.Client(timeout=20)
    # What is multicast in a burst is not to take the dump's place.
    link.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    link.listen()
    link.call("REGISTER")
    return link


def span(failure):
    return failure["RANGE"][0]["START"], failure["RANGE"][0]["LEN"]


def of_page(holders, pages):
    """What SCAN is to say: (pid, address) of each holder that maps the page."""
    return sorted((h.pid, h.address + pages * PAGE - h.offset) for h in holders)


def scan_range(link, dev, failure):
    start_, length = span(failure)
    rows, fs, completed = link.scan(DEV=dev, START=start_, LEN=length)
    check("scan", (completed["ERROR"], "TRUNCATED" in completed, fs), (0, False, []))
    return rows


def one_record(link, before, flags, told, path, page, dev):
    kept = wait_for_failures(link, before + 1)
    if not check("records", len(kept), 1):
        sys.exit(1)
    failure = kept[0]
    check("it was multicast", link.wait("FAILURE")["FAILURE"], failure["FAILURE"])
    check("source, type, result", (failure["SOURCE"], failure["MF_TYPE"], failure["MF_RESULT"]),
          (MEMORY_FAILURE, "dax page", "Recovered"))
    check("flags", failure["FAILURE_FLAGS"], flags)
    check("device", (failure["DEV"], failure["NAME"]), (dev, os.path.basename(sys.argv[2])))
    check("UUID of the namespace", "NS_UUID" in failure, True)
    check("count", failure["COUNT"], 1)
    if os.path.isfile(path) and not flags:
        status = os.stat(path)
        check("file", (failure.get("INO"), failure.get("OFFSET")), (status.st_ino, page * PAGE))
        check("superblock", failure.get("FS_DEV"), os.major(status.st_dev) << 32 | os.minor(status.st_dev))
    else:
        check("no file", "INO" in failure, False)
    check("who was told by the kernel", [(t["PID"], t["ADDR"]) for t in failure.get("TOLD", [])], told)
    return failure


def tell(link, dev, row, failure_address):
    for _ in range(100):
        try:
            return link.call("SIGBUS", DEV=dev, PID=row["PID"], START_NS=row["START_NS"], ADDR=failure_address,
                             LSB=12, CODE=BUS_MCEERR_AO)
        except dgnl.Refused as why:
            if why.errno != 16:
                raise
            time.sleep(0.05)
    raise TimeoutError("SIGBUS: busy for ever")


def one(link, dev, path, chardev):
    kinds = ("write", "read", "idle") if chardev else ("write", "read", "private", "idle", "early")
    size = (2 << 20) if chardev else 16 * PAGE
    holders = [Holder(kind, path, 0, size) for kind in kinds]
    others = [] if chardev else [Holder("copy", path, 0, size)]
    others.append(Holder("write", path, size, size))
    page = 5
    before = counters()["failures"]
    early = [h for h in holders if h.kind == "early"]
    frame = holders[0].frame + page
    check("the kernel", hard_offline(frame), True)
    failure = one_record(link, before, 0, of_page(early, page), path, page, dev)
    check("range", span(failure), (frame * PAGE, PAGE))
    if chardev:
        check("offset on the device", failure["DISK_OFFSET"], page * PAGE)
    rows = scan_range(link, dev, failure)
    check("who maps it", sorted((r["PID"], r["ADDR"]) for r in rows), of_page(holders, page))
    check("how much of it, and where", {(r["LEN"], r["OFFSET"]) for r in rows}, {(PAGE, page * PAGE)})
    for row in rows:
        if row["PID"] not in {h.pid for h in early}:
            tell(link, dev, row, row["ADDR"])
    for holder in holders:
        check(f"what {holder.kind} was told", holder.told(), [(BUS_MCEERR_AO, page * PAGE, 12)])
    for holder in others:
        check(f"what {holder.kind} elsewhere was told", holder.signals(), [])
    start_, length = span(failure)
    check("unmapped", link.job("UNMAP", DEV=dev, START=start_, LEN=length)["ERROR"], 0)
    check("who reads it after that", holders[1].touch(), "touched")
    if chardev:
        check("no bad blocks there", link.job("UNMAP", DEV=dev, START=start_, LEN=length, BADBLOCKS=True)["ERROR"], 95)
        check("nothing to look at", link.job("CHECK", DEV=dev)["ERROR"], 0)
    else:
        check("unmapped and listed", link.job("UNMAP", DEV=dev, START=start_, LEN=length, BADBLOCKS=True)["ERROR"], 0)
        check("who reads it now", holders[1].touch(), "sigbus")
        check("with a code", holders[1].signals()[-1][0] in (BUS_ADRERR, BUS_MCEERR_AR), True)
        check("a copy is still good", others[0].touch(), "touched")
        forget(link)
        check("looked at", link.job("CHECK", DEV=dev)["ERROR"], 0)
        listed = failures(link)
        check("what is listed", [(f["SOURCE"], span(f), f["DISK_OFFSET"], "MF_TYPE" in f) for f in listed],
              [(BADBLOCKS, (start_, PAGE), failure["DISK_OFFSET"], False)])
        check("and in which file", [(f.get("INO"), f.get("OFFSET")) for f in listed], [(failure["INO"], page * PAGE)])
    forget(link)
    for holder in holders + others:
        holder.end()


def shared(link, dev, path, _):
    holders = [Holder("read", path), Holder("read", path + ".clone"), Holder("private", path + ".clone")]
    check("one page", holders[0].frame, holders[1].frame)
    before = counters()["failures"]
    hard_offline(holders[0].frame)
    # 6.1 warns, and names the file that touched it last.
    old = os.uname().release.startswith("6.1.")
    failure = one_record(link, before, 0 if old else SHARED, [], path + ".clone" if old else path, 0, dev)
    rows = scan_range(link, dev, failure)
    check("who maps it", sorted((r["PID"], r["ADDR"]) for r in rows), of_page(holders, 0))
    check("through which files", {r["INO"] for r in rows}, {os.stat(path).st_ino, os.stat(path + ".clone").st_ino})
    forget(link)
    for holder in holders:
        holder.end()


def nofile(link, dev, path, _):
    """Mapped once, and unlinked: free space by now."""
    holder = Holder("write", path)
    frame = holder.frame
    holder.end()
    os.unlink(path)
    os.sync()
    before = counters()["failures"]
    # What the kernel makes of it depends on the file system.
    hard_offline(frame)
    kept = wait_for_failures(link, before + 1)
    check("flags", [f["FAILURE_FLAGS"] for f in kept], [NO_FILE])
    check("range", [span(f) for f in kept], [(frame * PAGE, PAGE)])
    check("who maps it", scan_range(link, dev, kept[0]), [])
    forget(link)


def covered(kept):
    """Pages on the device that the records are over."""
    pages = set()
    for failure in kept:
        first = failure["DISK_OFFSET"] // PAGE
        pages.update(range(first, first + failure["RANGE"][0]["LEN"] // PAGE))
    return pages


def inject(path, pages, step, offset=0):
    begin = time.monotonic()
    n = int(subprocess.check_output([POISON, "inject", path, str(offset), str(pages * PAGE), str(step)]))
    print(f"ok {n} injections in {time.monotonic() - begin:.1f} s", flush=True)
    return n


def burst(link, _, path, __):
    before = counters()["failures"]
    n = inject(path, 20000, 2)
    check("injections", n, 10000)
    kept = wait_for_failures(link, before + n)
    failed = {f["OFFSET"] // PAGE for f in kept}
    check("pages in the file", (len(failed), failed), (n, set(range(0, 20000, 2))))
    check("pages on the disk", len(covered(kept)), n)
    check("in order", [f["FAILURE"] for f in kept], sorted(f["FAILURE"] for f in kept))
    check("records that lost who was told", sum(bool(f["FAILURE_FLAGS"] & TOLD_MORE) for f in kept), 0)
    check("each with the injector told", {len(f.get("TOLD", [])) for f in kept}, {1})
    told = collections.Counter()
    try:
        link.timeout = 2
        while True:
            told[bool(link.wait("FAILURE")["FAILURE_FLAGS"] & MORE)] += 1
    except TimeoutError:
        link.timeout = 20
    print(f"ok multicast: {sum(told.values())}, with MORE: {told[True]}")
    check("the multicasts say that there are more", told[True] > 0 and sum(told.values()) < n // 2, True)
    forget(link)
    before = counters()["failures"]
    n = inject(path, 3000, 1)
    kept = wait_for_failures(link, before + n)
    check("pages in a row", len(covered(kept)), 3000)
    check("records are merged", len(kept) < 50, True)
    check("and counted", sum(f["COUNT"] for f in kept), n)
    print(f"ok {len(kept)} records, told {[len(f.get('TOLD', [])) for f in kept][:8]}")
    forget(link)


def kept_over_reload(link, _, path, __):
    before = counters()["failures"]
    n = inject(path, 64, 2)
    last = wait_for_failures(link, before + n)[-1]["FAILURE"]
    link.sock.close()
    subprocess.check_call(["rmmod", "daxguard"])
    inject(path, 64, 2)
    subprocess.check_call(["modprobe", "daxguard"])
    link = start()
    check("nothing of the last one", failures(link), [])
    inject(path, 1, 1)
    check("serials go on", wait_for_failures(link, 1)[0]["FAILURE"] > last, True)
    forget(link)


def held(link, dev, path, _):
    holder = Holder("write", path)
    removal = subprocess.Popen(["sh", "-c", sys.argv[4]])
    request = link.wait("EVENT")
    link.call("TAKE", ID=request["ID"])
    before = counters()["failures"]
    hard_offline(holder.frame + 3)
    failure = wait_for_failures(link, before + 1)[0]
    check("flags", failure["FAILURE_FLAGS"], REMOVING)
    check("file", (failure.get("INO"), failure.get("OFFSET")), (os.stat(path).st_ino, 3 * PAGE))
    rows = scan_range(link, dev, failure)
    check("who maps it", sorted((r["PID"], r["ADDR"]) for r in rows), of_page([holder], 3))
    tell(link, dev, rows[0], rows[0]["ADDR"])
    check("what it was told", holder.told(), [(BUS_MCEERR_AO, 3 * PAGE, 12)])
    link.call("RELEASE", ID=request["ID"], COOKIE=request["COOKIE"])
    check("the removal", (link.wait("DONE")["RESULT"], removal.wait(60)), (2, 0))
    check("the record outlives the device", [f["FAILURE"] for f in failures(link)], [failure["FAILURE"]])
    try:
        link.call("SCAN", DEV=dev, START=span(failure)[0], LEN=PAGE)
        check("SCAN of what is gone", "accepted", "refused")
    except dgnl.Refused as why:
        check("SCAN of what is gone", why.errno, 19)
    forget(link)
    holder.end()


def main():
    what, device, path = sys.argv[1:4]
    link = start()
    chardev = path == device
    functions = {"one": one, "shared": shared, "nofile": nofile, "burst": burst, "kept": kept_over_reload, "held": held}
    functions[what](link, dgnl.device_number(device), path, chardev)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
