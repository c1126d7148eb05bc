# SPDX-License-Identifier: LGPL-2.1-or-later
"""What all benchmarks share: a guest with its tools, samples, and the report.

A figure is a list of samples taken in turn with those that it is compared to, in
one guest. What counts is the ratio of two medians: the emulator's speed, and who
else uses the machine, are in both of them.
"""
import json
import pathlib
import statistics
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "vm"))

import guest as vm  # noqa: E402 (the path comes first)
from scenario import LIBRARY  # noqa: E402

BENCH = "/usr/lib/daxguard-test/bench"

# The kernel says a line for each page and process, on a console that is
# emulated: not what is measured. And a hold is not to end for lack of patience
# with an emulated daemon.
PREPARE = """
echo N >/sys/module/printk/parameters/ignore_loglevel
dmesg -n 1
with_module() {
	modprobe daxguard
	echo 20000 >/sys/module/daxguard/parameters/activation_ms
	systemctl start daxguardd.service
	wait_for 20 grep -q '^registered=[1-9]' /sys/kernel/debug/daxguard/status || fail "not registered"
	# What it does after a start, and after a device has come, is over.
	sleep 2
}
without_module() {
	systemctl stop daxguardd.service
	modprobe -r daxguard
}
"""


class Samples:
    """Of one thing, in microseconds."""

    def __init__(self, values=()):
        self.values = list(values)

    def add(self, value):
        self.values.append(float(value))

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        if not self.values:
            return "-"
        low, high = min(self.values), max(self.values)
        return f"{time_text(self.median)} ({time_text(low)} to {time_text(high)}, {len(self.values)}×)"


def time_text(usec):
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if usec >= size:
            return f"{usec / size:.3g} {unit}"
    return f"{usec:.3g} µs"


class Report:
    """Rows as they come: a line for people, a line for machines."""

    def __init__(self, file=None):
        self.file = file
        self.rows = []

    def row(self, bench, what, text, **figures):
        plain = {key: value.values if isinstance(value, Samples) else value for key, value in figures.items()}
        self.rows.append((bench, what, text))
        print(f"{bench:8}  {what:44}  {text}", flush=True)
        if self.file:
            self.file.write(json.dumps(dict(plain, bench=bench, what=what)) + "\n")
            self.file.flush()


class Machine:
    """One guest of a benchmark; a context manager."""

    def __init__(self, images, kernel, name, mib=512, memory="1G"):
        nvdimm = vm.nvdimm_file(f"bench-{name}-{kernel}", mib)
        self.guest = vm.Guest(images, kernel, nvdimms=[nvdimm], memory=memory, name=f"bench-{name}-{kernel}")
        self.release = images.release(kernel)

    def __enter__(self):
        self.guest.__enter__()
        return self

    def __exit__(self, *exc):
        self.guest.__exit__(*exc)

    def run(self, script, timeout=120):
        """Output of a script that must succeed."""
        return self.guest.run(LIBRARY + PREPARE + script, timeout, check=True).out

    def number(self, script, timeout=120):
        """The last number that it printed."""
        return float(self.run(script, timeout).split()[-1])

    def numbers(self, script, timeout=120):
        return [float(line.split()[0]) for line in self.run(script, timeout).splitlines()]

    def incident(self):
        deadline = time.monotonic() + 20
        while True:
            incident = json.loads(self.run("daxguardctl show --json"))["Incident"]
            if incident["State"] in ("done", "expired", "abandoned"):
                return incident
            if time.monotonic() > deadline:
                raise vm.GuestFailure("command", f"the incident is still {incident['State']}")
            time.sleep(0.2)
