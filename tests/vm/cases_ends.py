# SPDX-License-Identifier: LGPL-2.1-or-later
"""Cases with awkward ends: whatever ends a hold, it ends, the revoke follows,
and nothing that was written is lost."""
import re
import subprocess

from cases_process import ended_as, holders_of, mapped, remove
from check import Case
from halt import halt_at, halting, has_halted
from mappers import Mappers
from scenario import Scenario

STATUS = "/sys/kernel/debug/daxguard/status"
STEP = "/usr/libexec/daxguard-step"
# Of enum daxguard_result.
KILLED, STOPPING = 5, 6
# The machine goes down, and syncs nothing first.
REBOOT = "python3 -c 'import ctypes; ctypes.CDLL(None).reboot(0x1234567)'"
# What a request says while it is held.
TAKEN = "^pending=.* taken "


def begin_in_background(check, scenario):
    """Removes the device; the pid of who does."""
    check.run("echo dead >/run/unbinder")
    scenario.sh("setsid sh -c 'echo $$ >/run/unbinder; echo \"$0\" >\"$1\"; echo $? >/run/unbinder-rc' "
                "$PFN $ND/nd_pmem/unbind </dev/null >/dev/null 2>&1 &", check=True)
    check.run(f"wait_for 30 grep -q '{TAKEN}' {STATUS}", timeout=50)
    return int(check.run("cat /run/unbinder"))


def wait_until_unbound(check, seconds=60):
    check.run(f"over() {{ ! grep -q ^pending= {STATUS} && ! ls /sys/block | grep -q pmem; }}\n"
              f"wait_for {seconds} over", timeout=seconds + 20)


def nothing_was_lost(check, scenario):
    """After an end that was not ours: it can be unmounted, comes back, and has
    what was written before."""
    check.run("for i in $(seq 100); do grep -q ' /mnt/pmem ' /proc/mounts || exit 0; umount $MNT; sleep 0.2; done; exit 1")
    check.equal("the device comes back", scenario.come_back().rc, 0)
    late = scenario.sh("mount_dax $DEV && cat $MNT/late; umount $MNT", timeout=60)
    check.equal("what was written last", late.out.strip().splitlines()[-1:], ["saved"])


def unbinder_killed(check):
    with mapped(check) as (scenario, mappers):
        check.run("echo saved >$MNT/late")
        mappers.start("stubborn")
        pid = begin_in_background(check, scenario)
        check.run(f"kill -KILL {pid}; gone() {{ [ ! -e /proc/{pid} ]; }}; wait_for 60 gone", timeout=80)
        wait_until_unbound(check)
        incident = check.incident()
        for what, want in (("State", "expired"), ("Result", "killed"), ("Outcome", "expired"), ("Revoke", "clean"),
                           ("UnbinderPid", pid)):
            check.equal(f"{what} of the incident", incident[what], want)
        mappers.end()
        nothing_was_lost(check, scenario)


def unbinder_stopped(check):
    """It stops when it has come back from the kernel, not in the middle."""
    with mapped(check) as (scenario, mappers):
        mappers.start("stubborn")
        pid = begin_in_background(check, scenario)
        check.run(f"kill -STOP {pid}")
        wait_until_unbound(check)
        incident = check.incident()
        ended_as(check, incident, "acked", "clean")
        check.run(f"stopped() {{ grep -q '^State:.T' /proc/{pid}/status; }}; wait_for 10 stopped")
        check.run(f"kill -CONT {pid}; gone() {{ [ ! -e /proc/{pid} ]; }}; wait_for 10 gone\n"
                  "grep -qx 0 /run/unbinder-rc")


def unload(check):
    """It cannot be unloaded under a hold; by force, which the kernel lets root
    do, it goes when the hold is over."""
    with mapped(check) as (scenario, mappers):
        mappers.start("stubborn")
        removal = scenario.begin_removal(timeout=90)
        check.run(f"wait_for 30 grep -q '{TAKEN}' {STATUS}", timeout=50)
        result = check.guest.run("rmmod daxguard 2>&1")
        check.expect(result.rc != 0 and "in use" in result.out, f"rmmod: exit {result.rc}: {result.out}")
        result = check.guest.run("rmmod -f daxguard && ! grep -q ^daxguard /proc/modules && echo gone", timeout=90)
        check.equal("rmmod -f", (result.rc, result.out), (0, "gone\n"))
        check.equal("exit status of the removal", removal.wait().rc, 0)
        check.run("modprobe daxguard; systemctl restart daxguardd.service")
        ended_as(check, check.incident(), "acked", "clean")


def suspend(check):
    """Refused while something is held, and only then."""
    freezer = "echo 1 >/sys/module/suspend/parameters/pm_test_delay; echo freezer >/sys/power/pm_test; " \
              "echo freeze >/sys/power/state"
    with mapped(check) as (scenario, mappers):
        mappers.start("stubborn")
        removal = scenario.begin_removal(timeout=90)
        check.run(f"wait_for 30 grep -q '{TAKEN}' {STATUS}", timeout=50)
        result = check.guest.run(freezer)
        check.expect(result.rc != 0 and "busy" in result.out, f"suspend: exit {result.rc}: {result.out}")
        check.equal("exit status of the removal", removal.wait().rc, 0)
        ended_as(check, check.incident(), "acked", "clean")
    check.run(freezer + "; echo none >/sys/power/pm_test")
    # A hold begins again when user space is back.
    with mapped(check) as (scenario, mappers):
        mappers.start("plain")
        ended_as(check, remove(check, scenario), "acked", "clean")


def place_of(scenario):
    """Where on the medium the file system begins, in bytes."""
    disk, region = (int(word, 16) for word in scenario.sh(
        "cat /sys/bus/nd/devices/$PFN/resource /sys/bus/nd/devices/$REGION/resource", check=True).out.split())
    return disk - region


def host(*command):
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            text=True, timeout=60, check=False)
    return result.returncode, result.stdout


def has_what_was_saved(check, medium, place):
    """Where the machine is off, after what a mount would do first."""
    image = f"{medium}.ext4"
    host("dd", f"if={medium}", f"of={image}", "bs=1M", "iflag=skip_bytes", f"skip={place}", "conv=sparse")
    status, out = host("e2fsck", "-fy", image)
    check.expect(status in (0, 1), f"e2fsck: exit {status}: {out}")
    check.equal("what was written last", host("debugfs", "-R", "cat /late", image)[1].splitlines()[-1:], ["saved"])


def tell_of_ends(check):
    """The results of holds, on the console, as long as the kernel runs: systemd's
    last kill spares who is called so."""
    check.run("cd /sys/kernel/tracing; echo 1 >events/daxguard/daxguard_hold/enable\n"
              "(exec -a @ends cat trace_pipe) >/dev/kmsg 2>&1 </dev/null &")


def going_down(check, command, seconds, results):
    """The daemon does nothing, the hold and another one have a minute: the machine goes
    down, and what was written is on the medium."""
    scenario = Scenario(check.guest, "ext4")
    halt_at(check, "state name=acting")
    check.run("cd /sys/module/daxguard/parameters; echo 60000 | tee hold_ms >takeover_ms")
    scenario.prepare()
    # Nobody but us is to save it.
    check.run("mount -o remount,commit=600 $MNT")
    place = place_of(scenario)
    Mappers(check, scenario).start("stubborn")
    tell_of_ends(check)
    begin_in_background(check, scenario)
    has_halted(check)
    check.run("echo saved >$MNT/late")
    check.guest.start(command)
    try:
        check.guest.qemu.wait(seconds)
    except subprocess.TimeoutExpired:
        check.expect(False, f"{command}: not down after {seconds} s")
        return
    ends = re.findall(r"daxguard_hold: id=\d+ end result=(\d+)", check.guest.console_text(check.guest.last_mark))
    check.expect(len(ends) == 1 and int(ends[0]) in results, f"results of the hold: {ends}, expected one of {results}")
    has_what_was_saved(check, check.guest.nvdimms[0], place)


def deadline(check, state, milliseconds, result):
    """The daemon comes to that state and no further; then it is woken again."""
    with mapped(check) as (scenario, mappers):
        check.run("echo saved >$MNT/late")
        mappers.start("plain")
        parameter = "activation_ms" if state == "announced" else "hold_ms"
        with halting(check, f"state name={state}"):
            before = check.run(f"cd /sys/module/daxguard/parameters; cat {parameter}\n"
                               f"echo {milliseconds} >{parameter}").strip()
            try:
                removal = scenario.begin_removal(timeout=90)
                has_halted(check)
                check.equal("exit status of the removal", removal.wait().rc, 0)
            finally:
                check.run(f"echo {before} >/sys/module/daxguard/parameters/{parameter}\n"
                          "systemctl kill -s CONT daxguardd.service")
            incident = check.incident()
        for what, want in (("State", "expired"), ("Result", result), ("Outcome", "expired"), ("Revoke", "clean")):
            check.equal(f"{what} of the incident", incident[what], want)
        check.equal("state in which it expired", incident["States"][-1]["State"], state)
        check.equal("steps that are not over", [step["Step"] for step in incident["Steps"]
                                                if step["End"] == "running"], [])
        mappers.end()
        nothing_was_lost(check, scenario)


# The time there is, enough to get there, and what the hold's result is then.
DEADLINES = {
    "announced": (3000, "no-daemon"),
    "syncing": (3000, "timeout"),
    "scanning": (8000, "timeout"),
    "acting": (10000, "timeout"),
    "settling": (10000, "timeout"),
    "unmounting": (10000, "timeout"),
    "verifying": (10000, "timeout"),
}

CASES = {
    "ends/unbinder-killed": unbinder_killed,
    "ends/unbinder-stopped": Case(unbinder_stopped, ("6.12",)),
    "ends/unload": Case(unload, ("6.12",), spoils=True),
    "ends/suspend": Case(suspend, ("7",)),
    "ends/reboot": Case(lambda c: going_down(c, "systemctl reboot", 90, (KILLED, STOPPING)), ("7",), spoils=True),
    "ends/poweroff": Case(lambda c: going_down(c, "systemctl poweroff", 90, (KILLED, STOPPING)), ("6.1",), spoils=True),
    # Nobody is told to end before it: only the hold could keep it from going down.
    "ends/reboot-at-once": Case(lambda c: going_down(c, REBOOT, 40, (STOPPING,)), ("7",), spoils=True),
    **{f"ends/deadline/{state}": Case(lambda c, s=state, h=how: deadline(c, s, *h), ("6.12",))
       for state, how in DEADLINES.items()},
}
