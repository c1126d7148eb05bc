# SPDX-License-Identifier: LGPL-2.1-or-later
"""The processes of test-step.py, each in a namespace of its own or in a chroot."""

import subprocess
import sys
import time


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
