# SPDX-License-Identifier: LGPL-2.1-or-later
"""Mount points that are hard to write down, or to walk to."""
import shlex

from check import Case
from mounted import Mounted, results

BASE = "/run/names"
NAMES = ["a space", "a\nnewline", "a\ttab", "a\\040backslash", "a\x1b[31mescape", "a#hash", "-dash", "a'quote\"",
         "umlaut-\u00fc"]
INVALID = b"not-utf-8-\xff\xfe"
DEEP = "/".join(["d" * 240] * 16)  # 3,855 bytes: what a path may have is 4,095

BIND_ALL = r"""
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for name in {names!r}:
    os.makedirs(name, exist_ok=True)
    if libc.mount(b"/mnt/pmem", name, None, 4096, None) != 0:
        sys.exit(f"{{name}}: {{os.strerror(ctypes.get_errno())}}")
"""


def as_text(name):
    """As JSON has it: a string, or numbers where it is none."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return list(name)


def awkward_names(check):
    disk = Mounted(check)
    names = [f"{BASE}/{name}".encode() for name in NAMES + [DEEP]] + [f"{BASE}/".encode() + INVALID]
    check.run("python3 -c " + shlex.quote(BIND_ALL.format(names=names)))
    try:
        incident = disk.remove("clean", "acked", 0)
        told = [mount["Path"] for mount in incident["Mounts"] if mount["Host"] and mount["Result"] == "ok"]
        for name in names:
            check.expect(as_text(name) in told, f"not told as unmounted: {as_text(name)!r}")
        check.equal("mounts left", disk.mounts_left(), [])
        text = check.run("daxguardctl show")
        for name in (r"a\nnewline", r"a\x1b[31mescape", r"not-utf-8-\xff\xfe"):
            check.expect(name in text, f"show does not have {name}:\n{text}")
        check.expect("\x1b" not in text, "show writes an escape sequence")
    finally:
        check.run(f"rm -rf --one-file-system {BASE}")
    disk.comes_back()


# The path to the mount point is a directory now, and then a link to a place
# where an innocent mount has the same name.
SWAPPER = r"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
while not os.path.exists("/run/swap-stop"):
    libc.renameat2(-100, b"/run/swap/outer", -100, b"/run/swap/link", 2)
"""


def swapped_link(check):
    """No link is followed, whenever it appears: nothing but the device's own is
    ever unmounted."""
    disk = Mounted(check)
    disk.must("set -e; rm -f /run/swap-stop; mkdir -p /run/swap/outer/inner /run/swap/decoy/inner; "
              "ln -s decoy /run/swap/link; mount --bind $MNT /run/swap/outer/inner; umount $MNT; "
              "mount -t tmpfs innocent /run/swap/decoy/inner; echo mine >/run/swap/decoy/inner/file")
    out = disk.must(f"python3 -c {shlex.quote(SWAPPER)} >/dev/null 2>&1 & echo $!")
    pid = int(out.split()[-1])
    try:
        incident = disk.remove("clean", "acked", 0)
        check.expect(all(kind == "ext4" for _, kind, _ in results(incident)), f"others: {results(incident)}")
        check.equal("what stands there", disk.must("cat /run/swap/decoy/inner/file").strip(), "mine")
        check.equal("mounts left", disk.mounts_left(), [])
    finally:
        disk.must(f"touch /run/swap-stop; gone() {{ ! kill -0 {pid} 2>/dev/null; }}; wait_for 20 gone; "
                  "umount /run/swap/decoy/inner; rm -rf --one-file-system /run/swap")
    disk.comes_back()


CASES = {
    "mounts/names": Case(awkward_names, kernels=("7",)),
    "mounts/swapped-link": Case(swapped_link, kernels=("7",)),
}
