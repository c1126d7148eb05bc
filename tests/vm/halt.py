# SPDX-License-Identifier: LGPL-2.1-or-later
"""The daemon stops, or dies, exactly in a state of an incident: see
guest-files/libhalt.c."""
import contextlib
import signal

DROP_IN = "/run/systemd/system/daxguardd.service.d/halt.conf"
ORDER = "/run/daxguard-halt"
LIBRARY = "/usr/lib/daxguard-test/libhalt.so"


def halt_at(check, line, signo=signal.SIGSTOP, watchdog=0):
    """The running daemon will get the signal at the record's line, as in
    "state name=acting". One that is stopped is taken for one that hangs after
    that many seconds, if any."""
    check.run(f"mkdir -p $(dirname {DROP_IN})\n"
              f"printf '[Service]\\nEnvironment=LD_PRELOAD={LIBRARY}\\nWatchdogSec={watchdog}\\n' >{DROP_IN}\n"
              f"echo {int(signo)} {line} >{ORDER}\n"
              "systemctl daemon-reload; systemctl restart daxguardd.service")
    check.start_daemon()


@contextlib.contextmanager
def halting(check, line, signo=signal.SIGSTOP, watchdog=0):
    """halt_at(); afterwards the daemon is as it was."""
    try:
        halt_at(check, line, signo, watchdog)
        yield
    finally:
        check.run(f"rm -f {ORDER} {DROP_IN}; systemctl daemon-reload\n"
                  "systemctl kill -s CONT daxguardd.service; systemctl restart daxguardd.service")


def has_halted(check, seconds=20):
    """Waits until the signal was sent."""
    return check.expect(check.guest.run(
        f"for i in $(seq {seconds * 10}); do [ -e {ORDER} ] || exit 0; sleep 0.1; done; exit 1").rc == 0,
        "the daemon did not come to the line at which it was to halt")
