# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that fails in great numbers, in a removal, and while its ledger cannot be
written: what the daemon makes of it (guest-files/failure-load.py)."""
import halt
from cases_failure import mounted, play
from check import Case

LOAD = "/usr/lib/daxguard-test/failure-load.py"


def load(check, what, size=4, timeout=90):
    check.start_daemon()
    mounted(check, "ext4", size)
    # Thirty thousand lines on an emulated serial line would be all that happens. What
    # an oops has to say still gets there.
    check.run("echo N >/sys/module/printk/parameters/ignore_loglevel; dmesg -n 3")
    play(check, f"find_fsdax; {LOAD} {what}", timeout)


def burst(check):
    """Ten thousand, on a disk of half a gibibyte."""
    load(check, "burst $MNT/data 20000", size=80, timeout=300)


def small_buffers(check):
    """What the kernel says is lost, again and again, and asked for."""
    check.run("sysctl -q net.core.rmem_max=2304 net.core.rmem_default=2304; "
              "systemctl restart daxguardd.service")
    load(check, "overrun $MNT/data 2000", size=8, timeout=240)


def in_a_removal(check):
    load(check, "held $MNT/data \"echo $PFN >$ND/nd_pmem/unbind\"")


def before_a_removal(check):
    """It begins when one of two hundred pages has been told, and not before all have failed."""
    with halt.halting(check, "told"):
        load(check, "removed $MNT/data \"echo $PFN >$ND/nd_pmem/unbind\"", timeout=120)


def disk_is_full(check):
    check.run("systemctl stop daxguardd.service; mount -t tmpfs -o size=64k,mode=0700 ledger /var/lib/daxguard")
    load(check, "full $MNT/data", timeout=150)


def killed(check):
    load(check, "killed $MNT/data", timeout=240)


def _case(function, kernels):
    # Pages stay marked as failed.
    return Case(function, kernels=kernels, spoils=True)


CASES = {
    "daemon/failure/burst": _case(burst, ("6.12",)),
    "daemon/failure/overrun": _case(small_buffers, ("6.12",)),
    "daemon/failure/removal": _case(in_a_removal, ("6.12",)),
    "daemon/failure/before-removal": _case(before_a_removal, ("7",)),
    "daemon/failure/ledger-full": _case(disk_is_full, ("6.12",)),
    "daemon/failure/ledger-killed": _case(killed, ("6.12",)),
}
