# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of test-step*.py stand on: a step, a file system on a loop device, its users.

Cases run in a pid and a mount namespace of their own, so that "the host" of the
steps is this test alone.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A process that says when it is ready and then waits to be killed."""

    def __init__(self, prepare, *unshare):
        command = ["sh", "-ec", f"{prepare}\necho ready\nexec sleep 1000"]
        if unshare:
            command = ["unshare", *unshare, *command]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{command} did not start")
        # The shell says so before it is "sleep".
        for _ in range(100):
            with open(f"/proc/{self.process.pid}/comm", encoding="ascii") as file:
                if file.read() == "sleep\n":
                    return
            time.sleep(0.02)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


class PythonChild(Child):
    """The same with a program of its own, which need not find one where it ends up."""

    CODE = """
import ctypes, os, time
libc = ctypes.CDLL(None, use_errno=True)
def check(r):
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def unshare():
    check(libc.unshare(0x20000))
    check(libc.mount(None, b"/", None, 0x44000, None))
{}
print("ready", flush=True)
time.sleep(1000)
"""

    def __init__(self, code):
        self.process = subprocess.Popen([sys.executable, "-c", self.CODE.format(code)],
                                        stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"ready\n":
            raise RuntimeError("the child did not start")


def records(output):
    """The records of a step as a list of dicts; a key that repeats keeps its first value."""
    found = []
    for record in output.split(b"\0\0"):
        fields = {}
        for field in record.split(b"\0"):
            if field:
                key, _, value = field.partition(b"=")
                fields.setdefault(key.decode(), value)
        if fields:
            found.append(fields)
    return found


def step(*args, status=None):
    done = subprocess.run([StepCase.program, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60, check=False)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{args}: exit {done.returncode}, not {status}: "
                             f"{done.stderr!r} {records(done.stdout)}")
    return records(done.stdout)


def mounts():
    with open("/proc/self/mountinfo", "rb") as file:
        return [line.split()[4].replace(b"\\040", b" ").replace(b"\\012", b"\n")
                for line in file]


def devno(path):
    st = os.stat(path).st_dev
    return f"{os.major(st)}:{os.minor(st)}"


def diskseq(disk):
    with open(f"/sys/block/{os.path.basename(disk)}/diskseq", encoding="ascii") as file:
        return file.read()


def run(*args):
    subprocess.run(args, check=True, stdout=subprocess.DEVNULL, timeout=60)


class StepCase(unittest.TestCase):
    program = None  # set by main()
    fs = "ext4"
    size_mib = None  # as the file system wants it
    mkfs_options = ()

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="daxguard-step-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        image = os.path.join(self.dir, "image")
        with open(image, "wb") as file:
            file.truncate((self.size_mib or (320 if self.fs == "xfs" else 16)) * 1024 * 1024)
        run(f"mkfs.{self.fs}", "-q", *self.mkfs_options, image)
        self.loop = self.loop_device(image)
        self.children = []
        self.addCleanup(self.clean)
        self.mnt = self.mkdir("mnt")
        self.mount(self.loop, self.mnt)
        self.dev = devno(self.mnt)

    def loop_device(self, image, *options):
        """Detached in the end, unless it was; by then it may be that of another test."""
        loop = subprocess.check_output(["losetup", *options, "-f", "--show", image], text=True).strip()
        mine = diskseq(loop)
        self.addCleanup(lambda: diskseq(loop) == mine and run("losetup", "-d", loop))
        return loop

    def clean(self):
        for child in self.children:
            child.stop()
        for path in reversed(mounts()):
            if path.startswith(self.dir.encode()):
                libc.umount2(path, 2)

    def mkdir(self, name):
        path = os.path.join(self.dir, name)
        os.mkdir(path)
        return path

    def mount(self, *args):
        run("mount", *args)

    def child(self, prepare, *unshare):
        self.children.append(Child(prepare, *unshare))
        return self.children[-1]

    def mine(self):
        return [p for p in mounts() if p.startswith(self.dir.encode())]


def main(without_root=()):
    """Of a file of cases; as pid 1 of namespaces of its own. without_root: who needs none."""
    StepCase.program = os.path.abspath(sys.argv[1])
    del sys.argv[1]
    if os.getpid() != 1:
        if os.geteuid() == 0:
            os.execvp("unshare", ["unshare", "-p", "-m", "-f", "--mount-proc", "--kill-child",
                                  sys.executable, os.path.abspath(sys.argv[0]), StepCase.program, *sys.argv[1:]])
        print("not root: only what needs none")
        if not without_root:
            sys.exit(77)
        sys.argv[1:1] = without_root
    unittest.main(verbosity=2)
