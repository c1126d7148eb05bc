# SPDX-License-Identifier: LGPL-2.1-or-later
"""What cases do to a daemon in the middle of a hold: its steps are made to
wait, its talk to the kernel is slowed down, it is killed."""
import json

STEP = "/usr/libexec/daxguard-step"
GATES = "/run/step-gates"
COPY = "/usr/lib/daxguard-test/daxguard-step"


class Daemon:
    """The daemon of one case; leave() puts everything back."""

    def __init__(self, check, step_seconds=40):
        self.check, self.step_seconds = check, step_seconds

    def __enter__(self):
        # Three emulated machines on two processors, and a tracer: the times of a
        # real one would make every other run a story about deadlines.
        self.check.run("forget_records; echo 50000 >/sys/module/daxguard/parameters/hold_ms")
        # A copy of its own inode: the mount hides the first one. Steps that were
        # started before they are needed are none of ours, hence the restart.
        self.check.run(f"cp -p {STEP} {COPY}; cp -p {STEP}-topology {COPY}-topology; mkdir -p {GATES} /etc/daxguard; "
                       f"mount --bind /usr/lib/daxguard-test/step-gate {STEP}; "
                       f"printf '[Daemon]\\nStepTimeoutSec={self.step_seconds}\\n' >/etc/daxguard/daxguardd.conf; "
                       "systemctl restart daxguardd.service")
        return self

    def __exit__(self, *exc):
        # The copy stays: those of ours that wait go on as the real one.
        self.check.run(f"rm -rf {GATES} /etc/daxguard/daxguardd.conf; umount -l {STEP}; "
                       "echo 20000 >/sys/module/daxguard/parameters/hold_ms; "
                       "systemctl unmask --runtime daxguardd.service; systemctl restart daxguardd.service")

    def close(self, verb):
        """Steps of this verb wait from now on."""
        self.check.run(self.closing(verb))

    @staticmethod
    def closing(verb):
        return f"rm -f {GATES}/{verb}.at; touch {GATES}/{verb}"

    def open(self, *verbs):
        self.check.run("; ".join(self.opening(verb) for verb in verbs))

    @staticmethod
    def opening(verb):
        return f"rm -f {GATES}/{verb}"

    @staticmethod
    def at(verb):
        return f"wait_for 30 test -s {GATES}/{verb}.at"

    def reached(self, verb):
        self.check.run(f"{self.at(verb)} || fail 'no step {verb}'")

    def state(self, name, seconds=30):
        """Waits until the record's last word is that state."""
        self.check.run(f"wait_for {seconds} in_state {name} || fail \"in $(record_state), expected {name}\"")

    def slow(self, call, seconds=2):
        """Each of these system calls of the daemon takes its time from now on, until it dies."""
        self.check.run(f"rm -f /run/strace.out; strace -o /run/strace.out -p $(main_pid) -e trace={call} "
                       f"-e inject={call}:delay_enter={seconds}s >/run/strace.err 2>&1 &\n"
                       "wait_for 30 grep -q attached /run/strace.err || fail 'no strace'", timeout=60)

    def pid(self):
        return int(self.check.run("main_pid"))

    def kill(self, when="true"):
        """SIGKILL, at once when that shell command says so; returns when it is gone."""
        self.check.run(f"pid=$(main_pid); {{ {when}; }} || fail \"in $(record_state)\"; kill -KILL $pid && "
                       "wait_for 10 is_gone $pid", timeout=90)

    def status(self):
        return json.loads(self.check.run("daxguardctl status --json"))["Status"]
