# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of test-daemon.py and test-takeover.py stand on: a daemon, a device, its holders.

A tmpfs is the file system of the device, real processes map it, real signals
end them. Each case has a directory of its own for all that the daemon would
otherwise find in /run and /etc.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from fakemodule import FakeModule

libc = ctypes.CDLL(None, use_errno=True)

HOLDER = """
import mmap, os, signal, sys, time
fd = os.open({path!r}, os.O_RDWR)
{before}
m = mmap.mmap(fd, 16384)
os.close(fd)
m[0] = 1
{after}
print("ready", flush=True)
while True:
    time.sleep(0.05)
"""
OPEN_ONLY = HOLDER.replace("m = mmap.mmap(fd, 16384)\nos.close(fd)\nm[0] = 1\n", "")
# Not by way of sys.exit(), which unmaps some time before.
EXIT_ON_TERM = "signal.signal(signal.SIGTERM, lambda *a: os._exit(0))"
IGNORE_TERM = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
UNMAP_ON_BUS = "signal.signal(signal.SIGBUS, lambda *a: m.close())"

STEP_WRAPPER = """#!/bin/sh
# Writes down what is asked for; waits while the file block-VERB is there, says
# what is in output-VERB, or leaves it to fake-VERB.
[ "$1" != --wait ] || set -- $(tr '\\0' ' ')
[ $# -gt 0 ] || exit 0
echo "$1" >> {dir}/steps
while [ -e {dir}/block-$1 ]; do sleep 0.05; done
[ ! -e {dir}/output-$1 ] || exec cat {dir}/output-$1
[ ! -e {dir}/fake-$1 ] || exec {dir}/fake-$1 "$@"
exec {step} --sys={dir}/sys "$@"
"""


class Journal:
    """What the daemon tells journald, as dicts."""

    def __init__(self, path):
        self.entries = []
        self.reads = threading.Event()
        self.reads.set()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self):
        """Who is about to read would read from the next one's, which may have the number."""
        self.reads.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.reader.join()
        self.socket.close()

    def _read(self):
        while True:
            self.reads.wait()
            packet = self.socket.recv(1 << 18)
            if not packet:
                return
            fields = {}
            for line in packet.decode(errors="replace").split("\n"):
                key, _, value = line.partition("=")
                fields[key] = value
            self.entries.append(fields)

    def texts(self):
        return [entry.get("MESSAGE", "") for entry in self.entries]


# Nobody who passes waits so long, however busy the machine.
def eventually(what, timeout=30):
    end = time.monotonic() + timeout
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)


def doing(pid):
    """What a process hangs in, for who has to find out why."""
    parts = []
    for name in ("wchan", "syscall", "stack"):
        try:
            with open(f"/proc/{pid}/{name}", encoding="ascii") as file:
                parts.append(f"{name}: {file.read().strip()}")
        except OSError as e:
            parts.append(f"{name}: {e}")
    return "; ".join(parts)


class DaemonCase(unittest.TestCase):
    # Paths, set by main().
    daemon = step = tool = header = None
    config = ""
    python = sys.executable	# of holders

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="daxguard-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.pmem = self.path("pmem")
        os.mkdir(self.pmem)
        if libc.mount(b"none", self.pmem.encode(), b"tmpfs", 0, None) < 0:
            raise OSError(ctypes.get_errno(), "mount tmpfs")
        self.dev = os.stat(self.pmem).st_dev
        self.number = f"{os.major(self.dev)}:{os.minor(self.dev)}"
        self.addCleanup(libc.umount2, self.pmem.encode(), 2)
        with open(self.pmem + "/data", "wb") as file:
            file.truncate(65536)
        os.mkdir(self.path("run"))
        self.write("step", STEP_WRAPPER.format(dir=self.dir, step=self.step), 0o755)
        self.write("daxguardd.conf", self.config, 0o644)
        self.write("kmsg", "", 0o600)
        self.write("steps", "", 0o600)
        self.journal = Journal(self.path("journal"))
        self.addCleanup(self.journal.close)
        self.module = self.new_module()
        self.addCleanup(self.module.close)
        self.processes, self.daemons = [], []
        self.addCleanup(self.kill_all)
        self.addCleanup(self.stop_daemons)

    def new_module(self, **more):
        return FakeModule(self.path("klink"), self.header, self.dev, **more)

    def stop_daemons(self):
        """A daemon that still runs ends in order, where a leak would be told; and
        no sanitizer has had a word to say, of a step neither."""
        said = b""
        for daemon in self.daemons:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGCONT)
                daemon.terminate()
                self.assertEqual(daemon.wait(20), 0, daemon.stderr.read())
            if not daemon.stderr.closed:
                said += daemon.stderr.read()
        incidents = self.path("run/incidents")
        for name in os.listdir(incidents) if os.path.isdir(incidents) else ():
            with open(os.path.join(incidents, name), "rb") as file:
                said += file.read()
        said += "".join(self.journal.texts()).encode()
        for word in (b"Sanitizer", b"runtime\\x20error", b"runtime error"):
            self.assertNotIn(word, said)

    def kill_all(self):
        # Steps outlive a daemon that was killed, and we are their pid 1: the
        # next test's file system may get the device number that they know.
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != os.getpid():
                try:
                    os.kill(int(name), signal.SIGKILL)
                except ProcessLookupError:
                    pass
        for process in self.processes:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        try:
            while os.waitpid(-1, 0)[0] > 0:
                pass
        except ChildProcessError:
            pass

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode):
        with open(self.path(name), "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def lines(self, name):
        """Of a file that may not be there."""
        try:
            with open(self.path(name), encoding="ascii") as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def rule(self, name, match, what, where="etc", mode=0o644):
        section = "Device" if name.endswith(".device") else "Policy"
        os.makedirs(self.path("policy." + where), exist_ok=True)
        self.write(f"policy.{where}/{name}", f"[Match]\n{match}\n[{section}]\n{what}\n", mode)

    def pmem0(self, **more):
        """What there is, as the step topology says it."""
        return {"NAME": "pmem0", "NS_DEVICE": "pfn0.0", "NAMESPACE": "namespace0.0", "MODE": "fsdax", "BUS": "ndbus0",
                "DRIVER": "nd_pmem", "DEV": self.number, "SIZE": 65536, **more}

    def topology(self, *records):
        """What that step will say: dicts."""
        text = "".join("".join(f"{key}={value}\0" for key, value in record.items()) + "\0" for record in records)
        self.write("output-topology", text, 0o600)

    def make_sysfs(self):
        """In which pmem0 can be unbound."""
        for name in ("bus/nd/devices", "bus/nd/drivers/nd_pmem", "devices/pfn0.0/block/pmem0", "dev/block"):
            os.makedirs(self.path("sys/" + name))
        os.symlink("../../../devices/pfn0.0", self.path("sys/bus/nd/devices/pfn0.0"))
        os.symlink("../../bus/nd/drivers/nd_pmem", self.path("sys/devices/pfn0.0/driver"))
        os.symlink("../../devices/pfn0.0/block/pmem0", self.path("sys/dev/block/" + self.number))
        self.write("sys/bus/nd/drivers/nd_pmem/unbind", "", 0o600)

    def unbound(self):
        with open(self.path("sys/bus/nd/drivers/nd_pmem/unbind"), encoding="ascii") as file:
            return file.read()

    def start(self, wait=True, notify=False, **more):
        env = dict(os.environ, DAXGUARD_TEST_DIR=self.dir, DAXGUARD_FAKE_KLINK=self.path("klink"), **more)
        env.pop("NOTIFY_SOCKET", None)
        if notify:
            env["NOTIFY_SOCKET"] = self.path("notify")
        n = len(self.module.said("GET_PENDING"))
        # Of meson test --setup valgrind; not for the steps: it does not know openat2(2).
        wrapper = env.get("DAXGUARD_TEST_WRAPPER", "").split()
        daemon = subprocess.Popen([*wrapper, self.daemon], env=env, stderr=subprocess.PIPE)
        self.processes.append(daemon)
        self.daemons.append(daemon)
        if wait:
            try:
                eventually(lambda: len(self.module.said("GET_PENDING")) > n or daemon.poll() is not None)
            except TimeoutError:
                self.fail(f"the daemon asks for nothing; {doing(daemon.pid)}; journal: {self.journal.texts()[-9:]}; "
                          f"module: {self.module.state()}")
            if daemon.poll() is not None:
                self.fail(f"the daemon ended with {daemon.returncode}: {daemon.stderr.read().decode()}")
        return daemon

    def can_be_asked(self):
        """It listens: that its socket has a name is what a daemon of before may have left."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            try:
                client.connect(self.path("run/control"))
                # Who counts the daemon's files does not count this one.
                client.shutdown(socket.SHUT_WR)
                while client.recv(4096):
                    pass
            # Also one that died with us in its queue, or has not come to us as yet.
            except (FileNotFoundError, ConnectionError, TimeoutError):
                return False
        return True

    def holder(self, before="", after="", code=HOLDER, path=None):
        text = code.format(path=path or self.pmem + "/data", before=before, after=after)
        process = subprocess.Popen([self.python, "-c", text], stdout=subprocess.PIPE)
        self.processes.append(process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def steps(self):
        with open(self.path("steps"), encoding="ascii") as file:
            return file.read().split()

    def block(self, verb):
        self.write("block-" + verb, "", 0o600)

    def unblock(self, verb):
        os.unlink(self.path("block-" + verb))

    @staticmethod
    def sleeps(daemon):
        """It waits for what wakes it: now and then it is left alone for half a second.
        Who looks ten times a second never is, however busy the machine."""
        def naps():
            with open(f"/proc/{daemon.pid}/status", encoding="ascii", errors="replace") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt"))
        n = naps()
        time.sleep(0.5)
        return naps() - n <= 2

    def record(self, number=7):
        """The events of an incident: (kind, {key: value})."""
        events = []
        with open(self.path(f"run/incidents/{number}"), encoding="ascii") as file:
            for line in file:
                if not line.endswith("\n"):
                    break	# is being written
                words = line.split()
                events.append((words[2], dict(w.split("=", 1) for w in words[3:])))
        return events

    def states(self, number=7):
        return [e["name"] for kind, e in self.record(number) if kind == "state"]

    def ended(self, number=7):
        """Wait for the end of the record; the end event."""
        def over():
            try:
                return any(kind == "end" for kind, _ in self.record(number))
            except FileNotFoundError:
                return False
        eventually(over)
        return [e for kind, e in self.record(number) if kind == "end"][-1]

    def events(self, kind, **match):
        return [e for k, e in self.record() if k == kind and
                all(e.get(key) == str(value) for key, value in match.items())]

    def ctl(self, key, *args, status=0):
        """What daxguardctl says, under this key of its JSON."""
        done = subprocess.run([self.tool, "--socket=" + self.path("run/control"), "--json", *args],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
                              check=False)
        if done.returncode != status:
            raise AssertionError(f"{args}: exit {done.returncode}: {done.stderr!r}")
        return json.loads(done.stdout)[key]

    def text(self, *args, columns=120):
        """What daxguardctl says to people, on a terminal of that width."""
        return subprocess.run([self.tool, "--socket=" + self.path("run/control"), *args],
                              env=dict(os.environ, COLUMNS=str(columns)), stdout=subprocess.PIPE, timeout=60,
                              check=True).stdout.decode()

    def assert_order(self, *words):
        """These commands were said in this order, others between them."""
        said = iter(self.module.words())
        for word in words:
            self.assertIn(word, said, self.module.words())


def main():
    """Of a file of cases; as pid 1 of namespaces of its own."""
    program = os.path.abspath(sys.argv[0])
    paths = [os.path.abspath(arg) for arg in sys.argv[1:5]]
    del sys.argv[1:5]
    DaemonCase.daemon, DaemonCase.step, DaemonCase.tool, DaemonCase.header = paths
    if os.getpid() != 1:
        unshare = ["unshare", "-p", "-m", "-f", "--mount-proc", "--kill-child"]
        if os.geteuid() != 0:
            unshare += ["-U", "-r"]
        if subprocess.run([*unshare, "true"], check=False).returncode != 0:
            print("no namespaces to be had here")
            sys.exit(77)
        os.execvp("unshare", [*unshare, sys.executable, program, *paths, *sys.argv[1:]])
    unittest.main(verbosity=2)
