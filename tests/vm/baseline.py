# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a stock kernel does when a mounted pmem device loses its driver.

Nothing here passes or fails: the result is recorded as it is. Each case has a
guest of its own, since few of them leave a machine that could run another.
"""
import collections
import re
import signal

import guest as vm
from scenario import ROLES, Scenario, LIBRARY

# Seconds: what is not back then is taken as never coming back.
Limits = collections.namedtuple("Limits", "unbind step")
PATIENT = Limits(unbind=45, step=40)

Outcome = collections.namedtuple("Outcome", "kernel release fs steps signals problems lost words poweroff")


def _step(steps, name, result, limit):
    """Names what a command did; True if it came back at all."""
    if result is None:
        steps[name] = "the machine does not answer"
    elif result.rc is None:
        steps[name] = f"not back in {limit} s"
    elif result.rc < 0 or result.rc == 137:
        steps[name] = f"killed by the kernel after {result.secs:.1f} s"
    elif result.rc:
        reason = (result.out.strip().splitlines() or ["no reason given"])[-1]
        steps[name] = f"error: {reason}"
    else:
        steps[name] = f"returned in {result.secs:.1f} s"
    return result is not None and result.rc == 0


def _spins(guest, word):
    """Whether some task sits in the kernel and burns its CPU there."""
    result = guest.run(
        f"for p in $(pgrep -f '{word}'); do a=$(cut -d' ' -f15 /proc/$p/stat); sleep 2; "
        "b=$(cut -d' ' -f15 /proc/$p/stat); [ $((b - a)) -lt 150 ] || echo spins; done", timeout=30)
    return "spins" in result.out


def _signals(records):
    """Role -> what it got, in words."""
    words = {}
    for role in ROLES:
        mine = [r for r in records if r.role == role and r.event in ("signal", "killed", "exited", "touched")]
        got = collections.Counter()
        for r in mine:
            if r.event == "signal":
                got[f"{signal.Signals(r.signo).name} code {r.code}"] += 1
            elif r.event == "killed":
                got[f"killed by {signal.Signals(r.signo).name}"] += 1
            elif r.event == "touched":
                got["not told, reads on" if r.value else "not told, reads garbage"] += 1
        words[role] = ", ".join(f"{n} × {what}" if n > 1 else what for what, n in got.items()) or "not told"
    return words


def play(images, kernel, fs, say=lambda text: None, limits=PATIENT):
    """One bare kernel, one file system: an Outcome."""
    steps, signals, verified = {}, {}, None
    nvdimm = vm.nvdimm_file(f"bare-{kernel}-{fs}")
    name = f"bare-{kernel}-{fs}"
    problems, off = [], False
    with vm.Guest(images, kernel, ("tests",), [nvdimm], name=name) as guest:
        scenario = Scenario(guest, fs)
        scenario.prepare()
        say(f"{images.release(kernel)}, {fs}: mounted, starting the workload")
        scenario.start_workload()
        guest.mark()
        say("unbind")
        try:
            came_back = _step(steps, "unbind", scenario.begin_removal(limits.unbind).wait(), limits.unbind)
            if not came_back and "not back" in steps["unbind"] and _spins(guest, "bash -c"):
                steps["unbind"] += ", spins in the kernel"
            say(f"unbind: {steps['unbind']}")
            scenario.touch()
            signals = _signals(scenario.records())
            scenario.kill_workload()
            say("umount")
            result = guest.run("umount /mnt/pmem", limits.step)
            unmounted = _step(steps, "umount", result, limits.step)
            say(f"umount: {steps['umount']}")
            if came_back and unmounted:
                if _step(steps, "bind and mount again", guest.run(
                        f"{LIBRARY}rebind_pfn region0 && mount_dax", limits.step), limits.step):
                    verified = scenario.verify()
                    guest.run("umount /mnt/pmem", limits.step)
        except vm.GuestFailure as e:
            steps["machine"] = str(e)
        say("power off")
        try:
            off = guest.poweroff(limits.step)
        except vm.GuestFailure as e:
            steps["machine"] = str(e)
        say("powers off" if off else "cannot power off")
        problems = guest.problems()
    if verified is None:
        # What is on the medium is seen by the next boot.
        say("next boot: what is left of the files?")
        steps["next boot"], verified = _look_again(images, kernel, fs, nvdimm, name)
    nvdimm.unlink()
    lost = words = None
    if verified:
        lost = verified["small"]["missing"] + verified["small"]["wrong"]
        words = sum(verified["wrong_words"].values())
    return Outcome(kernel, images.release(kernel), fs, steps, signals, problems, lost, words, off)


def _look_again(images, kernel, fs, nvdimm, name):
    try:
        with vm.Guest(images, kernel, ("tests",), [nvdimm], name=name + "-after") as guest:
            scenario = Scenario(guest, fs)
            mounted = guest.run(f"{LIBRARY}load_nd; find_fsdax region0; mount_dax", 60)
            if mounted.rc != 0:
                return "cannot be mounted: " + (mounted.out.strip().splitlines() or ["?"])[-1], None
            return "mounted", scenario.verify()
    except vm.GuestFailure as e:
        return str(e), None


def kinds_of(problems):
    """The kernel's complaints, short and counted."""
    found = collections.Counter()
    for line in problems:
        text = re.sub(r"^\[ *[\d.]+\](\[ *[TC]\d+\])? *", "", line)
        if "soft lockup" in text:
            found["soft lockup"] += 1
        elif "blocked for more than" in text:
            found["hung task"] += 1
        elif "stall" in text:
            found["RCU stall"] += 1
        elif "general protection" in text:
            found["general protection fault"] += 1
        elif text.startswith("BUG:"):
            found[re.sub(r"[:,] (address|0x|[0-9a-f]{8}).*", "", text)] += 1
        elif text.startswith("WARNING:"):
            found["WARNING in " + (re.findall(r" at (\w+)\+", text) or ["?"])[0]] += 1
        elif "Oops" in text:
            found["oops"] += 1
        else:
            found[text[:60]] += 1
    return found


def table(outcomes):
    """All outcomes as a Markdown table."""
    lines = ["| kernel | file system | unbind | umount afterwards | kernel log | small files lost "
             "| mapped bytes lost | power off |", "|" + "---|" * 8]
    for o in outcomes:
        complaints = ", ".join(f"{n} × {what}" if n > 1 else what for what, n in kinds_of(o.problems).items())
        words = "?" if o.words is None else f"{o.words * 8}"
        lost = "?" if o.lost is None else f"{o.lost} of 1000"
        lines.append(f"| {o.release} | {o.fs} | {o.steps.get('unbind', '?')} | {o.steps.get('umount', '?')} "
                     f"| {complaints or 'clean'} | {lost} | {words} | {'yes' if o.poweroff else 'no'} |")
    return "\n".join(lines)


def signal_table(outcomes):
    """What the processes got; all of it without their having been asked first."""
    lines = ["| kernel | file system | " + " | ".join(ROLES) + " |", "|" + "---|" * (len(ROLES) + 2)]
    for o in outcomes:
        lines.append(f"| {o.release} | {o.fs} | " + " | ".join(o.signals.get(role, "?") for role in ROLES) + " |")
    return "\n".join(lines)
