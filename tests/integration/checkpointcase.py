# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of test-checkpoint.py and test-restore.py stand on: a store, a fake CRIU, a
service manager that runs the units, and processes that use a file of the device.
"""

import os
import subprocess
import sys
import time

from stepcase import StepCase, records

CRIU = """#!{python}
import os, signal, subprocess, sys, time
def state(pid):
    with open(f"/proc/{{pid}}/stat") as file:
        return file.read().rsplit(") ", 1)[1].split()[0]
def children(pid):
    found = [pid]
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{{name}}/stat") as file:
                if name.isdigit() and file.read().rsplit(") ", 1)[1].split()[1] == str(pid):
                    found += children(int(name))
        except OSError:
            pass
    return found
def option(name):
    return sys.argv[sys.argv.index(name) + 1]
def stop():
    for pid in children(int(option("--tree"))):
        os.kill(pid, signal.SIGSTOP)
        while state(pid) != "T":
            time.sleep(0.001)
def image(text=b"x" * 4096):
    with open(option("--images-dir") + "/pages-1.img", "wb") as file:
        file.write(text)
def fail(*lines):
    for line in lines:
        print(line, file=sys.stderr)
    sys.exit(1)
with open({log!r}, "a") as log:
    log.write(" ".join(sys.argv[1:]) + "\\n")
if sys.argv[1] == "--version":
    print("Version: 4.1.1")
    sys.exit(0)
if sys.argv[1] == "dump":
    {dump}
else:
    {restore}
"""


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def start_ns(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return int(file.read().rsplit(") ", 1)[1].split()[19]) * 10**7


def state(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(") ", 1)[1].split()[0]
    except FileNotFoundError:
        return "X"


def eventually(condition):
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it has not come to that")


def fields(record):
    """As core/record.h has it."""
    return b"".join(f"{key}={value}".encode() + b"\0" for key, value in record) + b"\0"


VM_FLAGS = "rd wr sh mr mw me ms sf"


class CheckpointCase(StepCase):
    fake_units = os.environ.get("DAXGUARD_FAKE_UNITS")

    def setUp(self):
        super().setUp()
        self.store = os.path.join(self.dir, "store")
        self.run_dir = os.path.join(self.dir, "run")
        self.log = os.path.join(self.dir, "criu.log")
        self.address = os.path.join(self.dir, "systemd")
        self.manager = None
        self.incident = 7
        self.ns_uuid = ""
        self.processes = []
        self.addCleanup(self.end)
        self.criu()
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            self.boot = file.read()[:8]
        with open(self.mnt + "/data", "wb") as file:
            file.write(b"\0" * 8192)

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    stream.close()

    def criu(self, dump="stop(); image()", restore="pass"):
        path = os.path.join(self.dir, "criu")
        with open(path, "w", encoding="utf-8") as file:
            file.write(CRIU.format(python=sys.executable, log=self.log, dump=dump, restore=restore))
        os.chmod(path, 0o755)
        os.environ["DAXGUARD_CRIU"] = path

    def criu_calls(self, verb):
        try:
            with open(self.log, encoding="utf-8") as file:
                return [line.split() for line in file if line.startswith(verb)]
        except FileNotFoundError:
            return []

    def systemd(self, *words):
        self.said = os.path.join(self.dir, "systemd.log")
        with open(self.said, "wb") as log:
            self.manager = subprocess.Popen([self.fake_units, self.address, *words], stdout=log)
        self.processes.append(self.manager)
        eventually(lambda: self.told("ready"))

    def told(self, what):
        with open(self.said, encoding="ascii") as file:
            return [line.strip() for line in file if line.startswith(what)]

    def holder(self, before="", name="data"):
        """Maps the file, and counts in it."""
        code = ("import mmap, os, signal, sys, time\n"
                f"f = open('{self.mnt}/{name}', 'r+b')\nm = mmap.mmap(f.fileno(), 4096)\n{before}\n"
                "print('ready', flush=True)\ntime.sleep(1000)\n")
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE,
                                   start_new_session=True)
        self.processes.append(process)
        self.assertEqual(process.stdout.readline(), b"ready\n")
        return process

    def synced(self, holder, flags=VM_FLAGS):
        """What the kernel would say of its mapping on a DAX: none can be had here."""
        with open(self.mnt + "/data", "rb") as file:
            os.fsync(file.fileno())  # with a page cache its blocks come late
        smaps = read(f"/proc/{holder.pid}/smaps")
        path = os.path.join(self.dir, "smaps")
        with open(path, "w", encoding="ascii") as file:
            mine = False
            for line in smaps.splitlines(keepends=True):
                if "-" in line.split()[0]:
                    mine = line.rstrip().endswith(self.mnt + "/data")
                file.write(f"VmFlags: {flags} \n" if mine and line.startswith("VmFlags:") else line)
        self.mount("--bind", path, f"/proc/{holder.pid}/smaps")
        self.addCleanup(subprocess.run, ["umount", "-l", f"/proc/{holder.pid}/smaps"], check=False,
                        stderr=subprocess.DEVNULL)
        return holder

    def journalling(self):
        """A holder that prints to a stream of journald's, as it thinks; and the stream's inode."""
        holder = self.holder("""import socket
if "JOURNAL_STREAM" not in os.environ:
    ours, theirs = socket.socketpair()
    os.dup2(ours.fileno(), 2)
    status = os.fstat(2)
    os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino}"
    os.execv(sys.executable, sys.orig_argv)""")
        return holder, os.stat(f"/proc/{holder.pid}/fd/2").st_ino

    def id(self, pid):
        return f"{self.boot}-{self.incident}-{pid}"

    def ask(self, verb, *asked):
        step = subprocess.Popen([self.program, verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.processes.append(step)
        step.stdin.write(b"".join(map(fields, asked)))
        step.stdin.close()
        step.stdin = None
        return step

    def base(self, ident, timeout_ms):
        return [("ADDRESS", f"unix:path={self.address}"), ("RUN", self.run_dir), ("ID", ident),
                ("DIR", self.store), ("TIMEOUT_MSEC", timeout_ms)]

    def ask_dump(self, pid, more=(), timeout_ms=20000, start=None, scope="process"):
        if not self.manager:
            self.systemd()
        # The first field of a name counts.
        asked = [*self.base(self.id(pid), timeout_ms), *more, ("INCIDENT", self.incident), ("PID", pid),
                  ("START_NS", start or start_ns(pid)), ("COMM", "python3"), ("UID", 0), ("SCOPE", scope),
                  ("RULE", "50-a.policy:1"), ("RESTORE", 1), ("MAX_BYTES", 0), ("KEEP_FREE", 0)]
        mount = [("MOUNT", self.mnt), ("TYPE", self.fs), ("DEVICE", "pmem0"), ("NS_UUID", self.ns_uuid),
                 ("FS_DEV", self.dev)]
        return self.ask("checkpoint", asked, mount)

    def result(self, step):
        output = step.communicate(timeout=90)[0]
        found = records(output)
        self.assertEqual(len(found), 1, output)
        self.assertEqual(step.returncode, 0 if found[0]["RESULT"] == b"ok" else 1)
        return {key: value.decode() for key, value in found[0].items()}

    def dump(self, pid, *more, word="ok", **how):
        result = self.result(self.ask_dump(pid, more, **how))
        self.assertEqual(result["RESULT"], word, result)
        self.assertEqual(result["ID"], self.id(pid))
        return result

    def kept(self):
        """What is in the store, without what it knows of its speed."""
        return sorted(os.path.relpath(os.path.join(path, name), self.store)
                      for path, _, names in os.walk(self.store) for name in names if name != "throughput")

    def list(self, *words):
        done = subprocess.run([self.program, *(words or ("checkpoints", self.store))],
                              stdout=subprocess.PIPE, timeout=60, check=False)
        self.status = done.returncode
        return [{key: value.decode() for key, value in record.items()} for record in records(done.stdout)]

    def runs(self, process):
        """It is there, nobody has stopped it, and nothing is kept of it."""
        eventually(lambda: state(process.pid) == "S")
        self.assertEqual(self.kept(), [])
        self.assertIsNone(process.poll())
