#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages that fail, and whom the daemon tells of it: told.py DEVICE FILE [WORD...] plays what
makes them fail, and what suffers of it. FILE is on DEVICE, which carries ext4 or XFS,
or DEVICE itself is a device-dax.

Prints a line for each thing looked at, "ok …" or "FAIL …".
"""
import collections
import mmap
import os
import signal
import subprocess
import sys
import time

import failures
from failures import (BUS_ADRERR, BUS_MCEERR_AO, BUS_MCEERR_AR, PAGE, POISON, Holder, ask, check, counters, data_start,
                      early_kill, hard_offline, incidents, wait_until)

HUGE = 2 << 20
MADV_SOFT_OFFLINE, MAP_HUGETLB = 101, 0x40000
HALT = "/run/systemd/system/daxguardd.service.d/halt.conf"
ORDER = "/run/daxguard-halt"
RULE = "/etc/daxguard/policy.d/1-unmap.device"

# With early_kill, newer kernels also tell who has a copy of his own.
OVERDOES = not os.uname().release.startswith("6.")
OUTCOMES = collections.defaultdict(lambda: "sent", ignore="ignored", deadly="no-handler")


class Member(Holder):
    """One of the processes of a crowd; the first one is its leader."""

    def __init__(self, process, kind, log, offset):
        self.process, self.kind, self.log, self.offset = process, kind, log, offset
        ready = self.wait_for("ready", timeout=60)
        self.pid, self.address, self.frame = int(ready[1]), int(ready[2], 16), int(ready[3])
        self.faults = int(ready[4])

    def is_alive(self):
        try:
            with open(f"/proc/{self.pid}/stat", encoding="ascii", errors="replace") as stat:
                return stat.read().rpartition(")")[2].split()[0] not in "ZX"
        except FileNotFoundError:
            return False


def crowd(kind, path, count=1, offset=0, length=16 * PAGE):
    log = f"/run/told-{kind}-{time.monotonic_ns()}"
    process = subprocess.Popen([POISON, kind, path, str(offset), str(length), log, str(count)])
    return [Member(process, kind, f"{log}.{i}", offset) for i in range(count)]


def end(holders):
    for process in {holder.process for holder in holders}:
        process.kill()
        process.wait()
    for holder in holders:
        os.unlink(holder.log)


class Round:
    """A failure, and the incident that it is."""

    def __init__(self, name, device):
        self.name, self.device = name, os.path.basename(device)
        self.before = {incident["Id"] for incident in incidents()}
        self.failed = counters()["failures"]
        self.began = time.monotonic()

    def check(self, what, have, want):
        return check(f"{self.name}: {what}", have, want)

    def new(self):
        return [i for i in incidents() if i["Id"] not in self.before]

    def over(self, outcome="told"):
        """The incident, when it is; and all of it is in the ledger."""
        wait_until(f"{self.name}: an incident that is over", lambda: any(i["State"] == "done" for i in self.new()))
        new = self.new()
        if not self.check("incidents", len(new), 1):
            raise SystemExit(1)
        story = ask("Incident", "show", str(new[0]["Id"]))
        self.check("incident", (story["Device"], story["State"], story["Outcome"]), (self.device, "done", outcome))
        wait_until(f"{self.name}: the kernel's records are forgotten", lambda: counters()["failures-kept"] == 0)
        print(f"ok {self.name}: over after {time.monotonic() - self.began:.1f} s", flush=True)
        return story

    def told(self, story, holders, ours, page, others=()):
        """Exactly one signal each, with the right address; those of ours are in the incident."""
        for holder in holders:
            if holder.kind == "ignore":
                self.check("who ignores it", (holder.is_alive(), holder.signals()), (True, []))
            elif holder.kind == "deadly":
                wait_until(f"{self.name}: the end of who has no handler", lambda h=holder: not h.is_alive())
            else:
                code = BUS_MCEERR_AR if holder.kind == "culprit" else BUS_MCEERR_AO
                signals = holder.told()
                lsb = signals[0][2]
                # The kernel's own has the size of what was mapped, and may have the begin of that.
                self.check(f"lsb for {holder.kind}", lsb == 12 or holder not in ours and lsb == 21, True)
                self.check(f"what {holder.kind} was told", [(s[0], s[1] >> lsb) for s in signals],
                           [(code, (page * PAGE - holder.offset) >> lsb)])
        for holder in others:
            self.check(f"what {holder.kind}, which does not map it, was told",
                       (holder.is_alive(), holder.signals()), (True, []))
        begins = {h.pid: h.address - h.offset for h in holders}
        said = {h["Pid"]: (h["Address"] - begins.get(h["Pid"], 0), [a["Outcome"] for a in h["Actions"]], h["End"])
                for h in story["Holders"]}
        self.check("holders of the incident", said, {h.pid: (
            page * PAGE, [OUTCOMES[h.kind]], "exited" if h.kind == "deadly" else "") for h in ours})

    def written(self, offset):
        """What the ledger has there; None: it is not all on the disk as yet."""
        found = [f for f in ask("Failures", "poison", self.device) or []
                 if f["Offset"] <= offset < f["Offset"] + f["Length"]]
        return found if all(f["Written"] for f in found) else None

    def listed(self, story, told, inode=None, offset=None, length=PAGE):
        """Its range, as the ledger has it."""
        failed = story["Failures"]
        if not self.check("ranges of the incident", [f["Length"] for f in failed], [length]):
            return
        # What it was used for may be written later.
        ledger = wait_until(f"{self.name}: the ledger is written", lambda: self.written(failed[0]["DeviceOffset"])) or []
        if not self.check("ranges of the ledger", [(f["State"], f["Written"], f["Told"]) for f in ledger],
                          [("active", True, told)]):
            return
        if inode is not None:
            at = failed[0]["DeviceOffset"] - ledger[0]["Offset"]
            file = ledger[0]
            self.check("file of the ledger", (file["Content"], file.get("Inode"), file.get("FileOffset", 0) + at),
                       ("file", inode, offset))
            file = failed[0]
            self.check("file of the incident", (file.get("Inode"), file.get("FileOffset", 0)), (inode, offset))


class Place:
    """A file, and where in it no page has failed."""

    def __init__(self, device, path):
        self.device, self.path, self.at = device, path, 0
        self.chardev = device == path
        # Who maps a part of a device-dax maps whole pages of it, which are huge.
        self.step = HUGE if self.chardev else 16 * PAGE
        self.inode = None if self.chardev else os.stat(path).st_ino

    def begin(self):
        """Of the disk, where it is memory."""
        return data_start(os.path.basename(self.device))

    def next(self):
        self.at += self.step
        return self.at - self.step

    def crowd(self, kind, count=1, offset=0):
        return crowd(kind, self.path, count, offset, self.step)


def by_the_kernel(holders, early):
    """Those whom it told itself: it looks at page tables only, and not at who ignores it."""
    return [h for h in holders if h.kind in ("early", "culprit") or
            early and h.kind not in ("idle", "ignore", "copy") and not (h.kind == "forked" and h.frame == 0)]


def by_somebody(holders, page):
    hard_offline(next(h for h in holders if h.frame).frame + page)


def by_culprit(holders, _):
    os.kill(next(h for h in holders if h.kind == "culprit").pid, signal.SIGUSR2)


def play(name, place, kinds, *, early=False, inject=by_somebody, count=1, resumes=0, uncounted=0,
         then=lambda holders: None):
    """A page that all of these map."""
    offset = place.next()
    page = place.step // PAGE - 1
    holders = [h for kind in kinds for h in place.crowd(kind, 2 if kind == "forked" else count, offset)]
    copies = [h for h in holders if h.kind == "copy"]
    others = place.crowd("write", 1, place.next())
    holders = [h for h in holders if h.kind != "copy"]
    early_kill(early)
    round_ = Round(name, place.device)
    inject(holders, page)
    story = round_.over()
    round_.check("daemons that went on with it", story["Resumes"], resumes)
    kernels = by_the_kernel(holders, early)
    ours = [h for h in holders if h not in kernels]
    overdone = copies if early and OVERDOES else []
    round_.told(story, holders, ours, page + offset // PAGE, others + [h for h in copies if h not in overdone])
    round_.listed(story, len(holders + overdone) - uncounted, place.inode, offset + page * PAGE)
    early_kill(False)
    then(holders)
    end(holders + copies + others)


def killed(place):
    """The daemon dies as it is about to tell the first of them, or has just told him, see libhalt.c."""
    os.makedirs(os.path.dirname(HALT), exist_ok=True)
    with open(HALT, "w", encoding="ascii") as file:
        file.write("[Service]\nEnvironment=LD_PRELOAD=/usr/lib/daxguard-test/libhalt.so\n")
    subprocess.check_call(["systemctl", "daemon-reload"])
    # What was done, and not counted: see docs/ledger.md.
    for line, uncounted in (("state name=acting", 0), ("told", 1)):
        with open(ORDER, "w", encoding="ascii") as file:
            file.write(f"9 {line}\n")
        subprocess.check_call(["systemctl", "restart", "daxguardd.service"])
        play(f"killed at {line}", place, ["write", "write", "read"], resumes=1, uncounted=uncounted)
        check("killed: it was", os.path.exists(ORDER), False)
    os.unlink(HALT)
    subprocess.check_call(["systemctl", "daemon-reload"])


def huge_pages(place, path):
    """One that many map with a single entry of their page tables."""
    offset = place.next() if place.chardev else 0
    holders = [crowd(kind, path, 1, offset, HUGE)[0] for kind in ("write", "read", "early")]
    check("huge pages: faults to touch all of it", [h.faults < 64 for h in holders], [True] * 3)
    round_ = Round("huge page", place.device)
    hard_offline(holders[0].frame + 77)
    story = round_.over()
    round_.told(story, holders, holders[:2], offset // PAGE + 77)
    check("huge page: what the kernel says that it was", holders[2].signals()[0][2], 21)
    round_.listed(story, 3, None if place.chardev else os.stat(path).st_ino, offset + 77 * PAGE)
    end(holders)


def listed_as_bad(place):
    """No event of the kernel's: the list is looked at when a daemon starts."""
    offset = place.next()
    holders = [place.crowd("write", 1, offset)[0], place.crowd("read", 1, offset)[0]]
    round_ = Round("badblocks", place.device)
    with open(f"/sys/block/{os.path.basename(place.device)}/badblocks", "w", encoding="ascii") as file:
        file.write(f"{((holders[0].frame + 2) * PAGE - place.begin()) // 512} 8\n")
    subprocess.check_call(["systemctl", "restart", "daxguardd.service"])
    story = round_.over()
    round_.told(story, holders, holders, offset // PAGE + 2)
    round_.listed(story, 2, place.inode, offset + 2 * PAGE)
    check("badblocks: source", [f["Source"] for f in story["Failures"]], ["badblocks"])
    end(holders)


def shared_block(place):
    """Two files have it: who maps either is told."""
    old = place.path + ".old"
    clone = old + ".clone"
    with open(old, "wb") as file:
        file.write(b"o" * 65536)
    subprocess.check_call(["cp", "--reflink=always", old, clone])
    os.sync()
    holders = [crowd("read", old)[0], crowd("read", clone)[0], crowd("private", clone)[0]]
    check("shared: one page", len({h.frame for h in holders}), 1)
    round_ = Round("shared", place.device)
    hard_offline(holders[0].frame + 3)
    story = round_.over()
    round_.told(story, holders, holders, 3)
    round_.listed(story, 3)
    check("shared: flags", story["Failures"][0]["Flags"], ["shared"])
    end(holders)


def free_space(place):
    gone = place.path + ".gone"
    with open(gone, "wb") as file:
        file.write(b"g" * 65536)
    os.sync()
    holders = crowd("write", gone)
    frame = holders[0].frame
    end(holders)
    os.unlink(gone)
    os.sync()
    round_ = Round("free space", place.device)
    hard_offline(frame)
    story = round_.over("nobody")
    round_.check("holders", story["Holders"], [])
    round_.listed(story, 0)


def behind_metadata(place):
    """A block of xattrs is the first one, for which the kernel shuts the file system
    down: who maps the others is told all the same."""
    name = place.path + ".xattr"
    with open(name, "wb"):
        os.setxattr(name, "user.large", b"x" * 2500)
    os.sync()
    extents = subprocess.check_output(["xfs_bmap", "-a", name], text=True).splitlines()
    sector = int(extents[1].split()[-1].partition("..")[0])
    begins = [place.next() for _ in range(3)]
    crowds = [place.crowd(kind, 1, begin) + place.crowd("write", 1, begin)
              for kind, begin in zip(("read", "private", "write"), begins)]
    round_ = Round("behind metadata", place.device)
    hard_offline((place.begin() + sector * 512) // PAGE)
    for holders in crowds:
        hard_offline(holders[0].frame + 4)
    story = round_.over()
    round_.check("ranges", sorted(f.get("Inode", 0) for f in story["Failures"]), [0] + 3 * [place.inode])
    for holders in crowds:
        for holder in holders:
            round_.check(f"what {holder.kind} was told", holder.told(), [(BUS_MCEERR_AO, 4 * PAGE, 12)])
    everybody = sum(crowds, [])
    round_.check("holders of the incident", {h["Pid"]: [a["Outcome"] for a in h["Actions"]] for h in story["Holders"]},
                 {h.pid: ["sent"] for h in everybody})
    end(everybody)


def ordinary_memory(place):
    """Counted, and no business of ours."""
    with open("/proc/sys/vm/nr_hugepages", "w", encoding="ascii") as file:
        file.write("1")
    round_ = Round("ordinary memory", place.device)
    before = counters()["failures-other"]
    for advice, flags in ((mmap.MADV_HWPOISON, 0), (mmap.MADV_HWPOISON, MAP_HUGETLB), (MADV_SOFT_OFFLINE, 0)):
        if (pid := os.fork()) == 0:
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            size = HUGE if flags else PAGE
            memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | flags)
            memory[0] = 1
            memory.madvise(advice)
            os._exit(0)
        os.waitpid(pid, 0)
    wait_until("ordinary memory: counted", lambda: counters()["failures-other"] >= before + 2)
    time.sleep(1)
    round_.check("failures of ours", counters()["failures"], round_.failed)
    round_.check("incidents", round_.new(), [])


def touch(place, holders):
    for holder in holders:
        # Nothing keeps a page of a device-dax from being mapped again.
        check(f"unmapped: {holder.kind} touches it", holder.touch(), "touched" if place.chardev else "sigbus")
        if not place.chardev:
            check("unmapped: the code then", holder.signals()[-1][0] in (BUS_ADRERR, BUS_MCEERR_AR), True)


def taken_away(place):
    """UnmapPoison=yes: the next access is an error, and not what is there now."""
    os.makedirs(os.path.dirname(RULE), exist_ok=True)
    with open(RULE, "w", encoding="ascii") as file:
        file.write("[Match]\nEvent=memory-failure\n[Device]\nUnmapPoison=yes\n")
    subprocess.check_call(["systemctl", "reload", "daxguardd.service"])
    play("unmapped", place, ("write", "read"), then=lambda holders: touch(place, holders))
    os.unlink(RULE)
    subprocess.check_call(["systemctl", "reload", "daxguardd.service"])


def main():
    device, path, *more = sys.argv[1:]
    place = Place(device, path)
    kinds = ["write", "read", "idle", "early", "ignore", "deadly", "forked"]
    if not place.chardev:
        kinds += ["private", "copy"]
    play("one", place, ["write"])
    play("each kind", place, kinds)
    play("each kind, early", place, kinds, early=True)
    play("one of several", place, ["write", "read", "culprit"], inject=by_culprit)
    play("two hundred", place, ["read"], count=200)
    huge_pages(place, device if place.chardev else path + ".huge")
    ordinary_memory(place)
    if not place.chardev:
        free_space(place)
    if "shared" in more:
        shared_block(place)
    killed(place)
    # What is listed is found again by each daemon that starts.
    if not place.chardev:
        listed_as_bad(place)
    taken_away(place)
    if "metadata" in more:
        behind_metadata(place)
    return 0 if failures.good else 1


if __name__ == "__main__":
    sys.exit(main())
