# SPDX-License-Identifier: LGPL-2.1-or-later
"""A mounted file system with something in it, its removal, and what must be so
afterwards."""
from expect import REMOVAL_LIMIT, remove
from scenario import Scenario

ODD = "/usr/lib/daxguard-test/odd"
# errno of mount(2), as the tools do not say it.
MOUNT_ERRNO = r"""
python3 - $DEV $MNT <<'END'
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
dev, path = (os.fsencode(word) for word in sys.argv[1:])
r = libc.mount(dev, path, {fs!r}.encode(), 0, b"dax=always")
print("ok" if r == 0 else errno.errorcode[ctypes.get_errno()])
END
"""


class Mounted(Scenario):
    """The device, the file system with a file of known content, the daemon."""

    def __init__(self, check, fs="ext4", options="dax=always", daemon=True):
        super().__init__(check.guest, fs)
        self.check = check
        if daemon:
            check.start_daemon()
        self.prepare()
        self.sh(f"set -e; echo kept >$MNT/kept; sync; umount $MNT; mount -o {options} $DEV $MNT", check=True)

    def must(self, script, timeout=60):
        return self.sh(script, timeout, check=True).out

    def background(self, command):
        """The pid of a sleep that this command becomes."""
        out = self.must(f"({command}) </dev/null >/dev/null 2>&1 &\n"
                        "pid=$!; is_sleep() { [ \"$(cat /proc/$pid/comm)\" = sleep ]; }\n"
                        "wait_for 20 is_sleep && echo $pid")
        return int(out.split()[-1])

    def odd(self, kind, where="$MNT"):
        """(pid) of an odd user of the file system."""
        log = f"/run/odd-{kind}"
        out = self.must(f"rm -f {log}; {ODD} {kind} {where} >{log} 2>&1 & wait_for 20 test -s {log} && cat {log}")
        return int(out.split()[-2])

    def end(self, *pids):
        words = " ".join(map(str, pids))
        self.must(f"kill -KILL {words} 2>/dev/null; gone() {{ ! kill -0 {words} 2>/dev/null; }}; wait_for 20 gone")

    def is_alive(self, pid):
        return self.sh(f"grep -q '^State:.[^ZX]' /proc/{pid}/status").rc == 0

    def remove(self, outcome, result, shutdowns=None, revoke="clean"):
        """Lets the device go; the incident, which must have ended so."""
        remove(self.check, self, REMOVAL_LIMIT)
        incident = self.check.incident()
        self.check.equal("outcome", incident["Outcome"], outcome)
        self.check.equal("result of the hold", incident["Result"], result)
        self.check.equal("result of the revoke", incident["Revoke"], revoke)
        if shutdowns is not None:
            self.check.equal("file systems that the module shut down", incident["Shutdowns"], shutdowns)
        return incident

    def mounts_left(self):
        """Sources and mount points on the host that have to do with the device."""
        return self.must("findmnt -rno SOURCE,TARGET | grep pmem || true").splitlines()

    def mount_errno(self):
        """ok, or the name of an errno."""
        return self.must(MOUNT_ERRNO.format(fs=self.fs.split("-")[0])).split()[-1]

    def comes_back(self):
        """Bound and mounted again, the file is there."""
        if self.check.equal("the device comes back", self.come_back().rc, 0):
            self.is_there()

    def is_there(self):
        # Who has just ended is still being cleaned up.
        self.must("try() { mount_dax $DEV 2>/dev/null; }; wait_for 20 try")
        out = self.sh("cat $MNT/kept && umount $MNT").out
        self.check.equal("what was in it", out.strip(), "kept")


def results(incident, host=None):
    """(path, type, result) of each mount that was tried."""
    return {(mount["Path"], mount["Type"], mount["Result"]) for mount in incident["Mounts"]
            if mount["Result"] and host in (None, mount["Host"])}


def acted_on(incident):
    """Who got something that reached him."""
    return {holder["Pid"] for holder in incident["Holders"]
            if any(action["Outcome"] == "sent" for action in holder["Actions"])}
