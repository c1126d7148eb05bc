# SPDX-License-Identifier: LGPL-2.1-or-later
"""The same removal twice, on the same kernel: bare, and with daxguard.

Everything in the table at the end was seen in this very run.
"""
import argparse
import signal
import sys
import textwrap
import threading
import time

import baseline
import guest as vm
from scenario import LIBRARY, ROLES, Scenario, newest_incident

# The telling one: a mounted XFS is enough to make the bare kernel spin.
KERNEL, FS = "7", "xfs-rmapbt1"
WHO = {
    "term": "handles SIGTERM",
    "sigbus": "catches SIGBUS, lives on",
    "blocker": "blocks both signals",
    "stopped": "is stopped",
    "private": "private mapping",
    "mountns": "own mount namespace",
}
WIDTH = 42
started = time.monotonic()


def say(text):
    print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)


def story(records, role):
    """What a process says, or is known, to have got from the removal."""
    words = []
    for r in records:
        if r.role != role:
            continue
        if r.event == "signal":
            name = signal.Signals(r.signo).name
            words.append(f"{name} (address {r.addr:#x})" if r.signo == signal.SIGBUS else name)
        elif r.event == "let-go":
            words.append("unmapped, lives on")
        elif r.event == "exited":
            words.append("exited by itself")
        elif r.event == "killed":
            words.append("killed" if r.signo == signal.SIGKILL else f"killed by {signal.Signals(r.signo).name}")
    return ", ".join(words) or "nothing"


def guarded(images):
    """The right column: {row: text}."""
    nvdimm = vm.nvdimm_file("demo-guarded")
    rows = {}
    with vm.Guest(images, KERNEL, nvdimms=[nvdimm], name="demo-daxguard") as guest:
        guest.run("systemctl start daxguardd.service", check=True)
        scenario = Scenario(guest, FS)
        scenario.prepare()
        say(f"daxguard: {FS} mounted, starting six processes and 1000 files")
        scenario.start_workload()
        guest.mark()
        say("daxguard: unbind")
        result = scenario.begin_removal(75).wait()
        rows["unbind"] = f"returned in {result.secs:.1f} s" if result.rc == 0 else f"exit {result.rc}"
        say(f"daxguard: {rows['unbind']}")
        records = scenario.records()
        for role in ROLES:
            rows[role] = story(records, role)
        left = guest.run("findmnt -rno SOURCE | grep -c pmem || true", check=True).out.strip()
        rows["umount"] = "done by daxguard" if left == "0" else f"still mounted {left} times"
        incident = newest_incident(guest)
        scenario.kill_workload()
        say("daxguard: bind and mount again")
        back = scenario.come_back()
        mounted = scenario.sh("mount_dax $DEV") if back.rc == 0 else back
        rows["again"] = "mounted, no recovery" if mounted.rc == 0 else mounted.out.strip()
        files(rows, scenario.verify() if mounted.rc == 0 else None)
        guest.run(f"{LIBRARY}umount $MNT")
        rows["off"] = "yes" if guest.poweroff(30) else "no"
        complaints(rows, guest.problems())
        if "recovery" in guest.console_text(guest.last_mark).lower():
            rows["again"] = "mounted, after log recovery"
    return rows, incident


def files(rows, verified):
    if verified:
        small = verified["small"]
        rows["files"] = f"{small['good']} of 1000 there"
        wrong = sum(verified["wrong_words"].values()) * 8
        rows["bytes"] = "all there" if wrong == 0 else f"{wrong} bytes lost"
    else:
        rows["files"] = rows["bytes"] = "cannot be read"


def complaints(rows, problems):
    rows["log"] = ", ".join(f"{n} × {what}" for what, n in baseline.kinds_of(problems).items()) or "clean"


def bare(images):
    """The left column."""
    limits = baseline.Limits(unbind=15, step=15)
    o = baseline.play(images, KERNEL, FS, lambda text: say(f"bare kernel: {text}"), limits)
    rows = {"unbind": o.steps.get("unbind", "?"), "umount": o.steps.get("umount", "?"),
            "off": "yes" if o.poweroff else "no: it has to be reset", **o.signals}
    rows["again"] = o.steps.get("bind and mount again") or f"not before a reset ({o.steps.get('next boot', '?')} then)"
    if o.lost is None:
        rows["files"] = rows["bytes"] = "cannot be read"
    else:
        reset = ", but only after a reset" if "next boot" in o.steps else ""
        rows["files"] = f"{1000 - o.lost} of 1000 there{reset}"
        rows["bytes"] = ("all there" if o.words == 0 else f"{o.words * 8} bytes lost") + reset
    complaints(rows, o.problems)
    return rows


def print_table(release, left, right, incident):
    titles = {"unbind": "unbind", **{role: f"{role}: {WHO[role]}" for role in ROLES}, "umount": "umount",
              "again": "bind, mount again", "files": "unsynced files", "bytes": "mapped bytes",
              "log": "kernel log", "off": "can power off"}
    print(f"\necho pfn0.0 > /sys/bus/nd/drivers/nd_pmem/unbind, kernel {release}, {FS}, "
          "six processes with 16 MiB each mapped\n")
    line = "-" * 32 + "+" + "-" * (WIDTH + 2) + "+" + "-" * (WIDTH + 2)
    print(f"{'':32}| {'bare kernel':{WIDTH}} | with daxguard\n{line}")
    for row, title in titles.items():
        cells = [textwrap.wrap(text, width) or [""] for text, width in
                 ((title, 31), (left.get(row, "?"), WIDTH), (right.get(row, "?"), WIDTH))]
        for i in range(max(map(len, cells))):
            a, b, c = (cell[i] if i < len(cell) else "" for cell in cells)
            print(f"{a:32}| {b:{WIDTH}} | {c}")
    print(line)
    print("\nThe hold, as daxguardctl show tells it (state: time in it):")
    for state in incident["States"]:
        print(f"  {state['State']:12} {state['TookUsec'] / 1e6:7.3f} s")
    print(f"  {incident['Device']}: {incident['Result']}, revoke {incident['Revoke']}, "
          f"held for {incident['HeldUsec'] / 1e6:.2f} s")


def main():
    argparse.ArgumentParser(prog="demo", description=__doc__).parse_args()
    vm.stop_on_signals()
    say("images")
    images = vm.Images([KERNEL])
    # The project is built while the bare kernel has its turn.
    failed = []

    def build():
        try:
            for kind in ("module", "userland"):
                images.payload(kind, KERNEL)
        except vm.subprocess.CalledProcessError as e:
            failed.append(e)

    builder = threading.Thread(target=build, daemon=True)
    builder.start()
    left = bare(images)
    builder.join()
    if failed:
        sys.exit("demo: the project could not be built, see above")
    right, incident = guarded(images)
    print_table(images.release(KERNEL), left, right, incident)
    say("done")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except vm.GuestFailure as e:
        sys.exit(f"demo: {e}")
    except vm.subprocess.CalledProcessError as e:
        sys.exit(e.returncode or 1)
