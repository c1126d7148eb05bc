# SPDX-License-Identifier: LGPL-2.1-or-later
"""The module under everything that can be said to it.

DAXGUARD_FUZZ_SECONDS (default 4) is how long each half of fuzz/netlink lasts,
DAXGUARD_FUZZ_SEED what chance begins with: a fixed number here, so that two
runs say the same; "random" for another one each time.
"""
import json
import os
import random

from check import Case
from scenario import Scenario

SECONDS = float(os.environ.get("DAXGUARD_FUZZ_SECONDS", "4"))
SEED = os.environ.get("DAXGUARD_FUZZ_SEED", "20261122")
NLFUZZ = "/usr/lib/daxguard-test/nlfuzz"
# Of enum daxguard_cmd: what must have been answered or confirmed, or nothing was tried.
REGISTER, EXTEND, GET_PENDING, SCAN, GET_HOLDERS, GET_FS, SYNC = 1, 5, 6, 7, 8, 9, 10
HOLD_MS, CAP_MS, ACTIVATION_MS = 2000, 4000, 2000
# The cap, what the revoke may wait for, and an emulator that has more to do.
REMOVAL_LIMIT = CAP_MS / 1000 + 20


def seed():
    return random.randrange(1, 1 << 32) if SEED == "random" else int(SEED, 0)


def parameters(check, **values):
    check.run("".join(f"echo {value} >/sys/module/daxguard/parameters/{name}\n" for name, value in values.items()))


def result_of(check, job):
    """What the fuzzer says of itself, checked as far as it does not depend on chance;
    which commands were answered or confirmed."""
    result = job.wait()
    if not check.equal("exit status of nlfuzz", result.rc, 0):
        check.expect(False, result.out[-2000:])
        return set()
    told = json.loads(result.out.splitlines()[-1])
    check.say(f"seed {told['seed']}: {told['sent']} messages, {told['confirmed']} done, "
              f"{sum(told['refused'].values())} refused, {told['deaths']} deaths, {told['signals']} signals")
    check.equal("answers to somebody without privileges", told["leaks"], 0)
    check.equal("workers that did not come back", told["stuck"], 0)
    for error in ("EPERM", "EINVAL", "ENOENT"):
        check.expect(told["refused"].get(error), f"nothing was refused with {error}: {told['refused']}")
    return {int(command) for command in told["answered"]}


def no_snapshot_is_left(check):
    """As many sockets as there may be snapshots: each gets one."""
    check.run("cd /usr/lib/daxguard-test; python3 - /dev/$(basename /sys/block/pmem*) <<'END'\n"
              "import sys, dgnl\n"
              "dev = dgnl.device_number(sys.argv[1])\n"
              "links = [dgnl.Client() for _ in range(16)]\n"
              "for link in links:\n"
              "    link.scan(DEV=dev)\n"
              "END")


def idle(check, scenario):
    """Nothing is held: nothing comes of it."""
    before = check.counters()
    answered = result_of(check, scenario.guest.start(f"{NLFUZZ} {seed()} {SECONDS} /mnt/pmem/fuzz", SECONDS + 60))
    check.equal("commands that were never answered", {REGISTER, SCAN, GET_HOLDERS, GET_FS} - answered, set())
    after = check.counters()
    check.equal("holds", after["held"], before["held"])
    check.equal("registered port", after["registered"], 0)
    no_snapshot_is_left(check)


def held_once(check, scenario, start):
    before = check.counters()
    fuzz = scenario.guest.start(f"{NLFUZZ} {start} {SECONDS + CAP_MS / 1000} /mnt/pmem/fuzz", SECONDS + 90)
    removal = scenario.begin_removal(timeout=75).wait()
    check.equal("exit status of the removal", removal.rc, 0)
    check.expect(removal.secs < REMOVAL_LIMIT, f"the removal took {removal.secs:.1f} s, the cap is {CAP_MS} ms")
    answered = result_of(check, fuzz)
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 1)
    ends = {name: after[name] - before[name] for name in after if name.startswith("result-")}
    check.equal("ends of that hold", sum(ends.values()), 1)
    check.say(f"removed after {removal.secs:.1f} s: {[name for name in ends if ends[name]]}")
    check.expect("pending" not in after, f"still pending: {after.get('pending')}")
    check.equal("clean revokes", after["revoke-clean"] - before["revoke-clean"], 1)
    return answered


def is_back(check, scenario):
    scenario.sh("umount $MNT", check=True)
    check.equal("the device comes back", scenario.come_back().rc, 0)
    scenario.sh("mount_dax $DEV", check=True)


def held(check, scenario):
    """The device is on its way out: the hold ends by its cap, once, and all goes on.
    Again if the hold was over, by one of the messages, before others had their turn."""
    missing = {REGISTER, EXTEND, GET_PENDING, SCAN, GET_HOLDERS, SYNC}
    for n in range(1, 6):
        missing -= held_once(check, scenario, seed() + n)
        is_back(check, scenario)
        if not missing:
            break
    check.equal("commands that were never answered", missing, set())


def serves_on(check, scenario):
    """A daemon is served, and the module can go."""
    no_snapshot_is_left(check)
    check.run("systemctl unmask --runtime daxguardd.service")
    check.start_daemon()
    removal = scenario.begin_removal(timeout=75).wait()
    check.equal("exit status of a removal afterwards", removal.rc, 0)
    check.equal("how it ended", check.incident()["Result"], "acked")
    check.equal("the device comes back once more", scenario.come_back().rc, 0)
    check.run("systemctl stop daxguardd.service; rmmod daxguard; modprobe daxguard")


def netlink(check):
    scenario = Scenario(check.guest, "ext4")
    check.run("systemctl stop daxguardd.service; systemctl mask --runtime daxguardd.service; modprobe daxguard")
    try:
        scenario.prepare()
        parameters(check, hold_ms=HOLD_MS, cap_ms=CAP_MS, activation_ms=ACTIVATION_MS)
        idle(check, scenario)
        held(check, scenario)
        parameters(check, hold_ms=20000, cap_ms=60000)
        serves_on(check, scenario)
    finally:
        check.run("systemctl unmask --runtime daxguardd.service")


# On the others by hand: --every-kernel.
CASES = {"fuzz/netlink": Case(netlink, ("6.12",))}
