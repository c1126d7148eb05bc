# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a case of the guest suite is, and what it works with."""
import collections

from scenario import LIBRARY, newest_incident

# The machine a case wants; the next case that wants the same shares its boot.
# keeps: it can be switched off and on, and its disks are as they were.
# thread: "single" has its processors take turns in one thread of the emulator, which is
# slower and keeps a much patched kernel alive (docs/kernels.md, 23).
Setup = collections.namedtuple("Setup", "nvdimms memory args devices keeps thread",
                               defaults=(1, "1G", "", (), False, "multi"))
PLAIN = Setup()

# kernels: where it runs if nobody asks for more; None for all. A case that
# does not depend on the kernel's version names one of them.
# spoils: the guest is not fit for another case afterwards.
# heavy: no other case runs meanwhile, in whatever guest.
Case = collections.namedtuple("Case", "function kernels setup spoils heavy", defaults=(None, PLAIN, False, False))


class Check:
    """One case's view of the guest, and what it found wrong."""

    def __init__(self, guest, say):
        self.guest, self.say = guest, say
        self.failures = []

    def expect(self, good, text):
        if not good:
            self.failures.append(text)
        return good

    def equal(self, what, have, want):
        return self.expect(have == want, f"{what}: {have!r}, expected {want!r}")

    def run(self, script, timeout=60):
        """A script that must succeed; its output."""
        return self.guest.run(LIBRARY + script, timeout, check=True).out

    def counters(self):
        """The module's own view."""
        pairs = {}
        for line in self.run("load_module; cat /sys/kernel/debug/daxguard/status").splitlines():
            key, _, value = line.partition("=")
            pairs[key] = int(value) if value.isdigit() else value
        return pairs

    def patience(self, milliseconds):
        """How long a hold waits to be taken, or taken over. The defaults are for a
        machine; emulated ones, three on two processors, start a daemon when they can."""
        self.run("load_module; cd /sys/module/daxguard/parameters; "
                 f"echo {milliseconds} >activation_ms; echo {max(2000, milliseconds)} >takeover_ms")
        if self.guest.debug:
            # There it needs more than the default; not more than the cap.
            self.run("echo 55000 >/sys/module/daxguard/parameters/hold_ms")

    def start_daemon(self):
        self.patience(20000)
        self.run("systemctl start daxguardd.service")
        self.expect(self.counters()["registered"], "the daemon runs but is not registered with the module")

    def incident(self):
        """The newest one's whole story."""
        return newest_incident(self.guest)
