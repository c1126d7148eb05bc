# SPDX-License-Identifier: LGPL-2.1-or-later
"""Memory that the module has lost, by the kernel's leak detector (debug kernels).

Once with the module still loaded, once after its end: what only a pointer in
its own data kept reachable shows then. Its code has no names any more by that
time, so the second list is read by addresses.
"""
import re

# An object is not looked at in its first five seconds, and reported only if it
# did not change from one scan to the next.
SCAN = "sleep 6; for i in 1 2; do echo scan >/sys/kernel/debug/kmemleak; done; cat /sys/kernel/debug/kmemleak"
LOADED = f"""
systemctl stop daxguardd.service daxguardd.socket 2>/dev/null
modprobe daxguard && grep '^daxguard ' /proc/modules && {SCAN}"""
GONE = f"rmmod daxguard && {SCAN}"


def lost(text, start, size):
    """The objects of kmemleak's list that were allocated from the module."""
    found = []
    for block in re.split(r"^(?=unreferenced object)", text, flags=re.M):
        if not block.startswith("unreferenced object"):
            continue
        addresses = (int(word, 16) for word in re.findall(r"0x([0-9a-f]{16})", block.partition("backtrace")[2]))
        if "[daxguard]" in block or any(start <= address < start + size for address in addresses):
            found.append(block.strip())
    return found


def look(guest):
    """What is wrong, as texts."""
    result = guest.run(LOADED, timeout=120)
    if result.rc != 0:
        return [f"kmemleak cannot be asked: {result.out}"]
    words, _, text = result.out.partition("\n")
    size, start = int(words.split()[1]), int(words.split()[5], 16)
    found = lost(text, start, size)
    result = guest.run(GONE, timeout=120)
    if result.rc != 0:
        return found + [f"the module cannot be unloaded: {result.out}"]
    return found + [block for block in lost(result.out, start, size) if block not in found]
