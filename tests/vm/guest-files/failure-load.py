#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that fails in great numbers, or at a bad moment, and what the daemon makes of
it: failure-load.py WHAT FILE [ARGUMENT]. Prints lines as failures.py does.

WHAT: burst N     every second one of N pages; some processes map some of them
      overrun N   the same, and what the module says of them is lost
      held CMD    a page fails while CMD removes the device, and its holders are asked
      removed CMD CMD begins to remove the device as the first has been told, where the daemon halts
      full        the disk of the ledger is full, and then it is not
      killed      the daemon is killed again and again while pages fail
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import failures
from failures import (BUS_MCEERR_AO, PAGE, STATUS, Holder, ask, check, counters, hard_offline, incidents, inject,
                      wait_until)

CONTROL = "/run/daxguard/control"
LEDGER = pathlib.Path("/var/lib/daxguard")
RSS_MAX = 32 << 10  # KiB, above what it had
HALT = pathlib.Path("/run/daxguard-halt")  # see libhalt.c


def status():
    return ask("Status", "status")


def ledger():
    return ask("Failures", "poison")


def pages_of(ranges, key="Offset"):
    pages = set()
    for one in ranges:
        pages.update(range(one[key] // PAGE, (one[key] + one["Length"]) // PAGE))
    return pages


def is_over():
    """A daemon that died, and had nothing left to go on with, has left it abandoned."""
    answer = ask("Incidents", "incidents")
    return answer is not None and all(i["State"] in ("done", "abandoned") for i in answer)


def journal(since):
    command = ["journalctl", "-b", "-o", "cat", "--no-pager", "-u", "daxguardd.service", f"--since=@{since}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def daemon_pid():
    return int(subprocess.check_output(["systemctl", "show", "-P", "MainPID", "daxguardd.service"]))


class Watch(threading.Thread):
    """The daemon's memory, and whether its loop comes to somebody who knocks while it has much to
    do. That no turn takes too long, its watchdog knows: it would be another daemon then."""

    def __init__(self):
        super().__init__(daemon=True)
        self.pid = daemon_pid()
        self.before, self.most, self.slowest = self.memory(), 0, 0.0
        self.knocks, self.meanwhile, self.refused = 0, 0, 0
        self.end = threading.Event()
        self.start()

    def memory(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))

    @staticmethod
    def knock():
        """A new connection, greeted: two turns of the loop."""
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(30)
            try:
                one.connect(CONTROL)
                one.sendall(b"\0AUTH EXTERNAL 30\r\n")
                return one.recv(256).startswith(b"OK ")
            except OSError:
                return False

    def run(self):
        while not self.end.wait(0.05):
            begin = time.monotonic()
            answered = self.knock()
            self.slowest = max(self.slowest, time.monotonic() - begin)
            self.knocks += 1
            self.refused += not answered
            self.meanwhile += answered and counters()["failures-kept"] > 0
            self.most = max(self.most, self.memory())

    def stop(self):
        self.end.set()
        self.join()
        if not check("it is the same daemon", daemon_pid(), self.pid):
            return
        after = self.memory()
        print(f"ok = memory {self.before} kB before, {self.most} at most, {after} after; "
              f"the slowest answer of {self.knocks}: {self.slowest:.2f} s")
        check("memory is bounded", max(self.most, after) - self.before < RSS_MAX, True)
        check("who knocked in vain", self.refused, 0)
        check("who knocked was let in before it was over", self.meanwhile > 0, True)


def drops():
    """What generic netlink could not deliver."""
    with open("/proc/net/netlink", encoding="ascii") as file:
        return sum(int(words[8]) for words in map(str.split, file) if words[1] == "16")


def told_offsets(holder):
    """(code, offset in the file) of each of its signals."""
    return sorted((code, at + holder.offset) for code, at, _ in holder.signals())


def burst(path, pages, stopped=False):
    pages = int(pages)
    begin = int(time.time())
    before = pages_of(ledger())
    dropped = status()["LogDropped"]
    # Sixteen pages of each, eight of which fail; the last one's do not.
    holders = [Holder("write", path, at * PAGE) for at in (0, pages // 2 & ~15, pages - 16)]
    other = Holder("write", path, pages * PAGE)
    watch = Watch()
    failed = counters()["failures"]
    if stopped:
        os.kill(watch.pid, signal.SIGSTOP)
    n = inject(path, pages, 2)
    os.kill(watch.pid, signal.SIGCONT)
    check("injections", n, pages // 2)
    wait_until("all were seen by the module", lambda: counters()["failures"] - failed == n, 60)
    wait_until("it is over", lambda: counters()["failures-kept"] == 0 and is_over(), 120)
    print(f"ok = over {time.time() - begin:.0f} s after the beginning")
    watch.stop()
    for holder in holders:
        check("what a holder was told", told_offsets(holder),
              [(BUS_MCEERR_AO, holder.offset + at * PAGE) for at in range(0, 16, 2)])
    check("what one elsewhere was told", other.signals(), [])
    known = ledger()
    check("pages in the ledger", len(pages_of(known) - before), n)
    check("pages of the file", pages_of((f for f in known if f["Length"] and f.get("Inode") == os.stat(path).st_ino),
                                        "FileOffset") >= set(range(0, pages, 2)), True)
    check("not written, or coarse", [f for f in known if not f["Written"] or f["Coarse"]], [])
    told = journal(begin)
    failures_told = [line for line in told if line.startswith("Memory of ")]
    print("\n".join(f"ok = {line}" for line in failures_told))
    check("lines of the journal", len(told) < 30, True)
    check("they say how many", sum(int(line.split(": ")[1].split()[0]) for line in failures_told), n)
    check("messages that were dropped", status()["LogDropped"], dropped)
    for holder in (*holders, other):
        holder.end()


def overrun(path, pages):
    before = drops()
    burst(path, pages, stopped=True)
    print(f"ok = {drops() - before} messages could not be delivered")
    check("messages could not be delivered", drops() > before, True)


def removal_is_clean():
    check("the removal", [(i["State"], i["Result"], i["Outcome"]) for i in incidents("removal")],
          [("done", "acked", "clean")])


def held(path, command):
    """The holders are in the grace of their first rung when it fails."""
    holders = [Holder("write", path) for _ in range(3)]
    removal = subprocess.Popen(["sh", "-c", command])
    for holder in holders:
        holder.told()
    check("the kernel", hard_offline(holders[0].frame + 3), True)
    check("exit status of the removal", removal.wait(60), 0)
    wait_until("it is over", lambda: counters()["failures-kept"] == 0 and is_over(), 60)
    removal_is_clean()
    check("outcome of the failure", [i["Outcome"] for i in incidents()], ["removal"])
    # What the removal's own rule sends, and no more.
    for holder in holders:
        check("signals", [code for code, _, __ in holder.signals()], [BUS_MCEERR_AO])
        holder.end()
    check("in the ledger", [(f["Length"], f["Written"]) for f in ledger()], [(PAGE, True)])


def is_pending():
    """A hold that nobody has taken: the daemon is halted."""
    with open(STATUS, encoding="ascii") as file:
        return any(line.startswith("pending=") for line in file)


def removed(path, command):
    """All of many pages have failed, and the first has been told, when it begins."""
    pages = 400
    holders = [Holder("write", path, 0, pages * PAGE) for _ in range(2)]
    n = inject(path, pages, 2)
    wait_until("the daemon halts", lambda: not HALT.exists())
    removal = subprocess.Popen(["sh", "-c", command])
    wait_until("it begins", is_pending)
    os.kill(daemon_pid(), signal.SIGCONT)
    check("exit status of the removal", removal.wait(60), 0)
    wait_until("it is over", lambda: counters()["failures-kept"] == 0 and is_over(), 60)
    removal_is_clean()
    outcomes = [i["Outcome"] for i in incidents()]
    check("outcome of the failure", outcomes[0], "removal")
    for holder in holders:
        addresses = [at for _, at, __ in holder.signals()]
        print(f"ok = {len(addresses)} signals, {outcomes}")
        # The removal's own names where the mapping begins, which has failed as well.
        check("not all were told", len(addresses) < n, True)
        check("told of a page twice", [at for at in set(addresses) if addresses.count(at) > 1 + (at == 0)], [])
        holder.end()
    check("pages in the ledger", len(pages_of(ledger())), n)


def full(path):
    begin = int(time.time())
    (LEDGER / "filler").write_bytes(b"")
    filler = f"dd if=/dev/zero of={LEDGER}/filler oflag=append conv=notrunc"
    subprocess.run(f"{filler} bs=4k; {filler} bs=1", shell=True, stderr=subprocess.DEVNULL, check=False)
    holder = Holder("write", path)
    for page in (3, 5):
        check("the kernel", hard_offline(holder.frame + page), True)
    wait_until("the holder is told", lambda: len(holder.signals()) == 2, 20)
    check("what it was told", told_offsets(holder), [(BUS_MCEERR_AO, 3 * PAGE), (BUS_MCEERR_AO, 5 * PAGE)])
    wait_until("status says so", lambda: status()["LedgerError"] == "ENOSPC", 20)
    check("records that wait", status()["LedgerUnwritten"] >= 2, True)
    check("announced as written", [f["Written"] for f in ledger()], [False, False])
    check("the journal says so", [line for line in journal(begin) if "No space left on device" in line] != [], True)
    check("the kernel keeps them", counters()["failures-kept"] > 0, True)
    (LEDGER / "filler").unlink()
    wait_until("it is written", lambda: status()["LedgerUnwritten"] == 0 and status()["LedgerError"] == "", 70)
    wait_until("the kernel forgets them", lambda: counters()["failures-kept"] == 0, 30)
    check("announced as written", [f["Written"] for f in ledger()], [True, True])
    check("the journal says so", "The ledger of failures is written again" in journal(begin), True)
    check("complaints", len([line for line in journal(begin) if "could not be written" in line]), 1)
    check("lines of the file", (LEDGER / "ledger").read_text(encoding="ascii").count(" bad ") >= 2, True)
    check("signals after that", len(holder.signals()), 2)
    holder.end()


def announced():
    """Pages that are in the ledger, and those of them that are said to be on the disk; or
    None. What is reported anew, after a restart, waits for that again."""
    answer = ledger()
    if answer is None:
        return None
    return pages_of(answer), pages_of(f for f in answer if f["Written"])


def killed(path, pages=600, kills=12):
    holder = Holder("write", path, pages * PAGE)  # its pages are good
    first = pages_of(ledger())
    injector = threading.Thread(target=lambda: [
        (inject(path, 10, 2, at * PAGE), time.sleep(0.15)) for at in range(0, pages, 10)])
    injector.start()
    seen, reads = set(), 0
    for n in range(kills):
        pid = daemon_pid()
        # Now before it has read its ledger, now while it writes, now when it has announced it.
        end = time.monotonic() + (0.05, 0.4, 1.2, 2.5)[n % 4]
        while time.monotonic() < end:
            answer = announced()
            if answer and seen - answer[0]:
                check("announced before, and not known now", seen - answer[0], set())
            if answer:
                seen |= answer[1]
                reads += 1
        os.kill(pid, 9)
        wait_until("another one is there", lambda old=pid: daemon_pid() not in (0, old), 30)
    injector.join()
    wait_until("it is over", lambda: counters()["failures-kept"] == 0 and is_over() and announced() is not None, 60)
    print(f"ok = killed {kills} times; {reads} answers, {len(seen)} pages seen before the end")
    check("something was announced in between", len(seen - first) > 0, True)
    now = announced()[1]
    check("pages that were announced, and are lost", seen - now, set())
    check("pages in the ledger", len(now - first), pages // 2)
    check("lines that cannot be read", status()["LedgerSkipped"], 0)
    subprocess.run("systemctl stop daxguardd.service && rmmod daxguard && modprobe daxguard && "
                   "systemctl start daxguardd.service", shell=True, check=True)
    wait_until("it is read", lambda: announced() is not None, 60)
    check("kept over another module and daemon", announced()[1], now)
    check("signals elsewhere", holder.signals(), [])
    holder.end()


def main():
    what, path, *arguments = sys.argv[1:]
    functions = {"burst": burst, "overrun": overrun, "held": held, "removed": removed, "full": full, "killed": killed}
    functions[what](path, *arguments)
    return 0 if failures.good else 1


if __name__ == "__main__":
    sys.exit(main())
