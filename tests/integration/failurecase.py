# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the cases of failed memory stand on: a module that keeps records of it, and a ledger."""

import json
import os
import subprocess

from daemoncase import DaemonCase, eventually
from failingmodule import PAGE, FailingModule
from procfs import mappings

FIRST = 10**12 + 1	# the incident of the module's first record
UUID = "00010203-0405-0607-0809-0a0b0c0d0e0f"
# Goes on, whatever it is told.
GOES_ON = "signal.signal(signal.SIGBUS, lambda *a: None)"


class FailureCase(DaemonCase):
    def setUp(self):
        super().setUp()
        os.mkdir(self.path("state"), 0o700)
        self.module.ino = os.stat(self.pmem + "/data").st_ino

    def new_module(self, **more):
        return FailingModule(self.path("klink"), self.header, self.dev, **more)

    def start(self, *args, **more):
        daemon = super().start(*args, **more)
        eventually(self.can_be_asked)
        return daemon

    def loaded(self):
        eventually(lambda: self.ctl("Status", "status")["LedgerRead"])

    def gone(self, daemon):
        """Also for the module."""
        eventually(lambda: daemon.poll() is not None)
        eventually(lambda: not self.module.daemon)

    def kill(self, daemon):
        daemon.kill()
        self.gone(daemon)

    def dies_at(self, daemon, command, n=1):
        """As it says this for the nth time, to which it gets no answer."""
        def kill():
            daemon.kill()
            daemon.wait(20)

        self.module.hooks += [(command, lambda: None)] * (n - 1) + [(command, kill)]

    def address(self, holder, page):
        return next(addr for pid, addr, _, offset in mappings(self.dev, self.module.ino, page * PAGE, PAGE)
                    if pid == holder.pid and offset == page * PAGE)

    def over(self, number=FIRST):
        return self.ended(number)["outcome"]

    def monitor(self):
        """daxguardctl monitor: a function that returns all that was announced up to now."""
        process = subprocess.Popen([self.tool, "--socket=" + self.path("run/control"), "--json", "monitor"],
                                   stdout=subprocess.PIPE)
        self.processes.append(process)
        os.set_blocking(process.stdout.fileno(), False)
        said = bytearray()

        def heard():
            said.extend(process.stdout.read() or b"")
            return [json.loads(line)["Event"] for line in said.split(b"\n")[:-1]]

        return heard
