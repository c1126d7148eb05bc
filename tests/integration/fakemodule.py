# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kernel module as the daemon sees it, at the other end of fake-klink.c.

Holds one or more requests, times them as the module does, and answers from
what is really mounted and really mapped in this pid and mount namespace: a
scan reads /proc, and an ACK is refused while the file system is mounted.
"""

import errno
import os
import re
import secrets
import select
import signal
import socket
import struct
import threading
import time

from procfs import is_mounted, same_memory, scan, start_ns, status_of

TAKEOVER_S = 2.0


def _enums(header):
    """Names and numbers of the contract, from the header itself."""
    with open(header, encoding="ascii") as file:
        text = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.S)
    numbers = {}
    for body in re.findall(r"enum \w+ \{(.*?)\};", text, flags=re.S):
        names = [name.strip() for name in body.split(",") if name.strip()]
        numbers.update({name: i for i, name in enumerate(names)})
    for name, shift in re.findall(r"#define\s+(DAXGUARD_\w+)\s+\(1U << (\d+)\)", text):
        numbers[name] = 1 << int(shift)
    return numbers


class Encoder:
    def __init__(self, header):
        self.numbers = _enums(header)

    def __getitem__(self, name):
        return self.numbers["DAXGUARD_" + name]

    def attr(self, name, data):
        kind = self["A_" + name] if isinstance(name, str) else name
        return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)

    def u8(self, name, value):
        return self.attr(name, struct.pack("=B", value))

    def u32(self, name, value):
        return self.attr(name, struct.pack("=I", value))

    def u64(self, name, value):
        return self.attr(name, struct.pack("=Q", value))

    def text(self, name, value):
        return self.attr(name, (value if isinstance(value, bytes) else value.encode()) + b"\0")

    def message(self, command, *attrs):
        # An attribute that no daemon knows: a newer module has more to say.
        return (struct.pack("=BBH", self["CMD_" + command], 1, 0) + b"".join(attrs) +
                self.attr(900, b"newer"))


def dev_u64(dev):
    return os.major(dev) << 32 | os.minor(dev)


def hung_up(conn):
    """Also while what it said before is not read yet."""
    if conn.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(conn, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


class Request:
    def __init__(self, module, number, **more):
        self.id = number
        self.cookie = more.get("cookie", secrets.token_bytes(16))
        self.device = more.get("device", "pfn0.0")
        self.dev = more.get("dev", module.dev)
        self.hold_s = more.get("hold_s", module.hold_s)
        self.unbinder = more.get("unbinder", 0)
        self.flags = more.get("flags", 0)
        self.begin = time.monotonic()
        self.deadline = self.begin + module.activation_s
        self.announced = 0.0
        self.state = "ANNOUNCED"
        self.result = None
        self.taken_by = None


class FakeModule:
    def __init__(self, path, header, dev, *, present=True, hold_s=20.0, activation_s=3.0):
        self.encoder = Encoder(header)
        self.dev = dev
        self.present = present
        self.hold_s = hold_s
        self.activation_s = activation_s
        self.lock = threading.RLock()
        self.commands = []	    # (seconds, words), as they came
        self.requests = {}
        self.results = {}	    # id: how it ended
        self.refusals = {}	    # command: [(errno, text), …], used up one by one
        self.hooks = []		    # (command, func): called once, before the answer
        self.extra_usages = []	    # messages that every scan has besides
        self.sigbus = []	    # (pid, address)
        self.daemon = None	    # the registered connection
        self.tokens = 0
        self.snapshots = {}
        self.closed = False
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(path)
        self.listener.listen(4)
        self.acceptor = threading.Thread(target=self._accept, daemon=True)
        self.acceptor.start()
        threading.Thread(target=self._tick, daemon=True).start()

    # -- what a test does

    def hold(self, number=7, **more):
        with self.lock:
            self.requests[number] = Request(self, number, **more)

    def wait(self, number=7, timeout=30):
        """How the hold ended."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            with self.lock:
                if number in self.results:
                    return self.results[number]
            time.sleep(0.01)
        raise TimeoutError(f"hold {number}: {self.words()}")

    def words(self):
        with self.lock:
            return [words[0] for _, words in self.commands]

    def state(self):
        """For who has to find out why nobody talks to it."""
        now = time.monotonic()
        with self.lock:
            said = [(round(at - now, 2), *words[:2]) for at, words in self.commands[-20:]]
            return {"present": self.present, "daemon": self.daemon, "connections": self.conns, "said": said}

    def said(self, command):
        with self.lock:
            return [words for _, words in self.commands if words[0] == command]

    def wait_for(self, command, n=1, timeout=15):
        end = time.monotonic() + timeout
        while len(self.said(command)) < n:
            if time.monotonic() > end:
                raise TimeoutError(f"no {command}: {self.words()}")
            time.sleep(0.01)

    def load(self, present):
        with self.lock:
            self.present = present
            if not present:
                self.daemon = None
            for conn in self.conns:
                self._send(conn, b"M1" if present else b"M0")

    def withdraw(self, number=7):
        """The kernel goes on alone."""
        with self.lock:
            self._end(self.requests[number], "TIMEOUT")

    def lose(self):
        with self.lock:
            self._send(self.daemon, b"L")

    def announce(self, request):
        with self.lock:
            if self.daemon:
                self._send(self.daemon, b"E" + self._event("EVENT", request))

    def close(self):
        self.closed = True
        # The next module's listener may have this number: nobody may be about to use it.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.acceptor.join()
        self.listener.close()

    # -- connections

    conns = ()

    @staticmethod
    def _send(conn, packet):
        try:
            conn.send(packet)
        except (OSError, AttributeError):
            pass

    def _accept(self):
        while not self.closed:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.conns = (*self.conns, conn)
                self._send(conn, b"M1" if self.present else b"M0")
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn):
        while True:
            try:
                packet = conn.recv(4096)
            except OSError:
                packet = b""
            if not packet:
                break
            self._command(conn, packet.decode().split())
        conn.close()
        with self.lock:
            self.conns = tuple(c for c in self.conns if c is not conn)
            if self.daemon is conn:
                self.daemon = None
            for request in self.requests.values():
                if request.taken_by is conn and request.state == "TAKEN":
                    request.state = "ORPHANED"
                    request.deadline = min(request.deadline, time.monotonic() + TAKEOVER_S)

    def _wait_for_the_dead(self, conn):
        """A kernel has closed a process's sockets before anybody can wait(2) for it."""
        end = time.monotonic() + 10
        while True:
            with self.lock:
                other = self.daemon
                if other in (None, conn) or not hung_up(other) or time.monotonic() > end:
                    return
            time.sleep(0.005)

    def _command(self, conn, words):
        if words[0] == "REGISTER":
            self._wait_for_the_dead(conn)
        with self.lock:
            self.commands.append((time.monotonic(), words))
            hook = next((h for h in self.hooks if h[0] == words[0]), None)
            if hook:
                self.hooks.remove(hook)
        if hook:
            hook[1]()
        with self.lock:
            refusals = self.refusals.get(words[0])
            if refusals:
                self._answer(conn, *refusals.pop(0))
                return
            getattr(self, "do_" + words[0], self._unknown)(conn, *words[1:])

    def _unknown(self, conn, *_):
        """An older module: of failed memory it knows nothing, see failingmodule.py."""
        self._answer(conn, errno.EOPNOTSUPP, "")

    def _answer(self, conn, error=0, text="", *messages):
        packet = b"R" + struct.pack("=iI", -error, len(text)) + text.encode()
        for message in messages:
            packet += struct.pack("=I", len(message)) + message
        self._send(conn, packet)

    # -- commands

    def do_REGISTER(self, conn):
        e = self.encoder
        if self.daemon and self.daemon is not conn:
            self._answer(conn, errno.EBUSY, "another daemon is registered")
            return
        self.daemon = conn
        self._answer(conn, 0, "", e.message(
            "REGISTER", e.text("VERSION", "fake"), e.text("BOOT_ID", self.boot_id()),
            e.u32("HOLD_MS", int(self.hold_s * 1000)), e.u32("CAP_MS", 60000),
            e.u32("ACTIVATION_MS", int(self.activation_s * 1000))))

    @staticmethod
    def boot_id():
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()

    def _event(self, command, request):
        e = self.encoder
        now = time.monotonic()
        target = e.attr("TARGET", e.text("NAME", "pmem0") + e.u64("DEV", dev_u64(request.dev)) +
                        e.u8("MODE", e["MODE_FSDAX"]) + e.text("NS_DEVICE", request.device) +
                        e.attr("NS_UUID", bytes(range(16))) + e.attr("IN_USE", b"") +
                        e.attr("RANGE", e.u64("START", 1 << 32) + e.u64("LEN", 1 << 30)))
        return e.message(
            command, e.u64("ID", request.id), e.text("BOOT_ID", self.boot_id()),
            e.attr("COOKIE", request.cookie), e.text("DEVICE", request.device),
            e.text("BUS", "nd"), e.text("DRIVER", "nd_pmem"), e.u32("FLAGS", request.flags),
            e.u8("STATE", e["STATE_" + request.state]),
            e.u32("DEADLINE_MS", max(0, int((request.deadline - now) * 1000))),
            e.u32("ELAPSED_MS", int((now - request.begin) * 1000)), e.u32("CAP_MS", 60000),
            e.u32("UNBINDER_PID", request.unbinder),
            e.u64("UNBINDER_START_NS", start_ns(request.unbinder) if request.unbinder else 0),
            target)

    def do_GET_PENDING(self, conn):
        # Until DONE is sent, as the module does.
        self._answer(conn, 0, "", *(self._event("GET_PENDING", r) for _, r in sorted(self.requests.items())))

    def _open(self, conn, number, cookie=None):
        request = self.requests.get(int(number))
        if self.daemon is not conn:
            self._answer(conn, errno.EACCES, "only the registered daemon may say this")
        elif not request or (cookie and bytes.fromhex(cookie) != request.cookie):
            self._answer(conn, errno.ENOENT, "no such request, or it has ended")
        else:
            return request
        return None

    def do_TAKE(self, conn, number):
        request = self._open(conn, number)
        if not request:
            return
        if request.state in ("ANNOUNCED", "ORPHANED"):
            if request.state == "ORPHANED":
                request.flags |= self.encoder["F_TAKEN_OVER"]
            request.deadline = request.begin + request.hold_s
        request.state = "TAKEN"
        request.taken_by = conn
        self._answer(conn)

    def do_ACK(self, conn, number, cookie):
        request = self._open(conn, number, cookie)
        if not request:
            return
        if is_mounted(request.dev):
            self._answer(conn, errno.EBUSY, "a file system is live on the device")
            return
        self._answer(conn)
        self._end(request, "ACKED")

    def do_RELEASE(self, conn, number, cookie):
        request = self._open(conn, number, cookie)
        if request:
            self._answer(conn)
            self._end(request, "RELEASED")

    def do_EXTEND(self, conn, number, cookie, ms):
        request = self._open(conn, number, cookie)
        if request:
            request.deadline = min(time.monotonic() + int(ms) / 1000, request.begin + 60)
            self._answer(conn)

    def _queue(self, conn, command, result):
        self.tokens += 1
        token = self.tokens
        self._answer(conn, 0, "", self.encoder.message(command, self.encoder.u32("TOKEN", token)))
        threading.Timer(0.02, self._complete, (conn, token, result)).start()

    def _complete(self, conn, token, result):
        e = self.encoder
        error = result(token)
        self._send(conn, b"E" + e.message("COMPLETED", e.u32("TOKEN", token),
                                          e.u32("ERROR", error)))

    def _snapshot(self, token, dev):
        self.snapshots[token] = (self._usages(dev), self._fses(dev))
        return 0

    def do_SCAN(self, conn, number):
        if int(number) not in self.requests:
            self._answer(conn, errno.ENOENT, "no such request, or it has ended")
            return
        dev = self.requests[int(number)].dev
        self._queue(conn, "SCAN", lambda token: self._snapshot(token, dev))

    def do_SCAN_DEVICE(self, conn, number):
        if int(number) != dev_u64(self.dev):
            self._answer(conn, errno.ENODEV, "not a disk that daxguard guards")
            return
        self._queue(conn, "SCAN", lambda token: self._snapshot(token, self.dev))

    def do_SYNC(self, conn, number):
        if self._open(conn, number):
            self._queue(conn, "SYNC", lambda token: 0)

    def do_SHUTDOWN(self, conn, number):
        if self._open(conn, number):
            self._queue(conn, "SHUTDOWN", lambda token: errno.EOPNOTSUPP)

    def _usages(self, dev):
        e = self.encoder
        messages, owners = [], []
        for pid, use, addr, length, ino in sorted(scan(dev)):
            shared = 0
            if use == "MAPPED":
                shared = next((owner for owner in owners if owner != pid and same_memory(owner, pid)), 0)
                if not shared and pid not in owners:
                    owners.append(pid)
            try:
                status, start = status_of(pid), start_ns(pid)
            except OSError:
                continue
            messages.append(self.usage(
                pid, start, use, status["Name"][:15],
                e.u64("SIG_CAUGHT", int(status["SigCgt"], 16)),
                e.u64("SIG_BLOCKED", int(status["SigBlk"], 16)),
                e.u64("SIG_IGNORED", int(status["SigIgn"], 16)),
                e.u64("FS_DEV", dev_u64(dev)), e.u64("INO", ino), e.u64("ADDR", addr),
                e.u64("LEN", length), *([e.u32("SHARED_WITH", shared)] if shared else []), uid=int(status["Uid"].split()[1])))
        return messages + list(self.extra_usages)

    def usage(self, pid, start, use, comm, *more, uid=0):
        e = self.encoder
        return e.message("GET_HOLDERS", e.u32("PID", pid), e.u32("TID", pid),
                         e.u64("START_NS", start), e.text("COMM", comm), e.u32("UID", uid),
                         e.u8("HOLDER_USE", e["USE_" + use]), e.u32("COUNT", 1), *more)

    def _fses(self, dev):
        e = self.encoder
        if not is_mounted(dev):
            return []
        return [e.message("GET_FS", e.u64("FS_DEV", dev_u64(dev)), e.u64("DEV", dev_u64(dev)),
                          e.text("FS_TYPE", "tmpfs"),
                          e.u32("FS_FLAGS", e["FS_LIVE"] | e["FS_MOUNTED"] | e["FS_DAX"]))]

    def do_GET_HOLDERS(self, conn, token):
        snapshot = self.snapshots.get(int(token))
        if snapshot is None:
            self._answer(conn, errno.ENOENT, "no such snapshot of this socket, or not ready")
            return
        self._answer(conn, 0, "", *snapshot[0])

    def do_GET_FS(self, conn, token):
        snapshot = self.snapshots.get(int(token))
        if snapshot is None:
            self._answer(conn, errno.ENOENT, "no such snapshot of this socket, or not ready")
            return
        self._answer(conn, 0, "", *snapshot[1])

    def do_SIGBUS(self, conn, number, pid, start, addr, lsb, code):
        if not self._open(conn, number):
            return
        pid = int(pid)
        usages = [u for u in scan(self.dev) if u[0] == pid and u[1] == "MAPPED"]
        if int(start) != start_ns(pid):
            self._answer(conn, errno.ESRCH, "the process is gone")
        elif not any(low <= int(addr) < low + n for _, _, low, n, _ in usages):
            self._answer(conn, errno.EFAULT, "the address is not in a mapping of the device")
        elif int(lsb) < 12 or int(code) not in (4, 5):
            self._answer(conn, errno.EINVAL, "LSB or CODE")
        else:
            self.sigbus.append((pid, int(addr), int(code)))
            os.kill(pid, signal.SIGBUS)
            self._answer(conn)

    # -- time

    def _end(self, request, result):
        request.result = result
        request.state = "REVOKING"
        threading.Timer(0.05, self._done, (request,)).start()

    def _done(self, request):
        e = self.encoder
        with self.lock:
            held = int((time.monotonic() - request.begin) * 10**6)
            self.requests.pop(request.id, None)
            self._send(self.daemon, b"E" + e.message(
                "DONE", e.u64("ID", request.id), e.u8("RESULT", e["RESULT_" + request.result]),
                e.u8("REVOKE", e["REVOKE_CLEAN"]), e.u64("INODES", 1), e.u64("ENTRIES", 2),
                e.u64("VMAS", 0), e.u64("PAGES_PINNED", 0), e.u32("SHUTDOWNS", 0),
                e.u64("HELD_US", held), e.u64("REVOKE_US", 1000)))
            self.results[request.id] = request.result

    def _tick(self):
        while not self.closed:
            time.sleep(0.02)
            now = time.monotonic()
            with self.lock:
                for request in list(self.requests.values()):
                    if request.result:
                        continue
                    if now > request.deadline:
                        self._end(request, "TIMEOUT" if request.state == "TAKEN" else "NO_DAEMON")
                    elif request.state == "ANNOUNCED" and now - request.announced > 1:
                        request.announced = now
                        self.announce(request)
