# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where a guarded file system stands in the mount table, and in how many of them."""
from check import Case
from mounted import Mounted, acted_on, results

ON_HOST = "/mnt/pmem"


def bind_mounts(check):
    """Of directories and of single files, here and in a namespace of somebody's."""
    disk = Mounted(check)
    disk.must("mkdir -p $MNT/dir /mnt/bound; touch /mnt/bound-file; "
              "mount --bind $MNT/dir /mnt/bound; mount --bind $MNT/kept /mnt/bound-file")
    pid = disk.background("exec unshare -m --propagation private sh -c "
                          "'mount --bind /mnt/bound-file /mnt/bound-file; umount /mnt/bound; exec sleep 1000'")
    try:
        incident = disk.remove("clean", "acked", 0)
        paths = [ON_HOST, "/mnt/bound", "/mnt/bound-file"]
        check.equal("unmounted on the host", results(incident, host=True), {(path, "ext4", "ok") for path in paths})
        # One name stands for both mounts of the file there.
        check.equal("unmounted elsewhere", results(incident, host=False),
                    {(path, "ext4", "ok") for path in (ON_HOST, "/mnt/bound-file")})
        check.expect(disk.is_alive(pid), "who has a namespace of his own was killed")
    finally:
        disk.end(pid)
    disk.comes_back()


def overmounted(check):
    """What stands on top of it is somebody else's and stays as it is; the file
    system below is taken away from under it."""
    disk = Mounted(check)
    disk.must("mount -t tmpfs innocent $MNT; mount --bind $MNT $MNT; echo mine >$MNT/file")
    pid = disk.background("exec sleep 1000 9<$MNT/file")
    try:
        incident = disk.remove("clean", "acked", 0)
        check.equal("mounts that were acted on", results(incident, host=True), {(ON_HOST, "ext4", "ok")})
        check.equal("who was acted on", acted_on(incident), set())
        check.equal("what stands there", disk.must("findmnt -rno SOURCE $MNT; cat $MNT/file").split(),
                    ["innocent", "innocent", "mine"])
    finally:
        disk.end(pid)
    disk.must("umount $MNT && umount $MNT")
    disk.comes_back()


def overmounted_privately(check):
    """Where no change is passed on between namespaces, it cannot be reached: it
    is shut down, named, and left for him whose mount covers it."""
    disk = Mounted(check)
    disk.must("umount $MNT; mount --bind /mnt /mnt; mount --make-private /mnt; mkdir -p $MNT; mount_dax $DEV; "
              "mount -t tmpfs innocent $MNT; echo mine >$MNT/file")
    try:
        incident = disk.remove("overmounted", "released")
        check.equal("mounts that were acted on", results(incident, host=True), {(ON_HOST, "ext4", "overmounted")})
        check.equal("what stands there", disk.must("cat $MNT/file").strip(), "mine")
        check.equal("mounts left", len(disk.mounts_left()), 2)
    finally:
        disk.must("umount $MNT; umount $MNT; umount /mnt")
    disk.comes_back()


def over_itself(check):
    """The same one three times at one place."""
    disk = Mounted(check)
    disk.must("mount_dax $DEV; mount --bind $MNT $MNT")
    disk.remove("clean", "acked", 0)
    check.equal("mounts left", disk.mounts_left(), [])
    disk.comes_back()


def children(check):
    """What is mounted beneath goes too, it has no place any more: unmounted if
    nobody uses it, and else taken out of sight for those who come."""
    disk = Mounted(check)
    disk.must("mkdir $MNT/idle $MNT/used; mount -t tmpfs idle $MNT/idle; mount -t tmpfs used $MNT/used; "
              "mkdir $MNT/used/deep; mount -t tmpfs deep $MNT/used/deep; echo mine >$MNT/used/file")
    pid = disk.background("cd $MNT/used && exec sleep 1000 9>>file")
    try:
        incident = disk.remove("clean", "acked", 0)
        check.equal("what happened to each", results(incident, host=True),
                    {(ON_HOST, "ext4", "ok"), (ON_HOST + "/idle", "tmpfs", "ok"),
                     (ON_HOST + "/used", "tmpfs", "detached"), (ON_HOST + "/used/deep", "tmpfs", "ok")})
        check.equal("who was acted on", acted_on(incident), set())
        check.equal("what he has there", disk.must(f"cat /proc/{pid}/cwd/file").strip(), "mine")
    finally:
        disk.end(pid)
    check.equal("mounts left", disk.mounts_left(), [])
    disk.comes_back()


def locked(check):
    """Inherited by an unprivileged user's namespace, with no way back: that
    mount stays, and its owner is named."""
    disk = Mounted(check)
    pid = disk.background("exec setpriv --reuid nobody --clear-groups unshare -Urm sleep 1000")
    try:
        incident = disk.remove("mount-locked", "released")
        there = [mount for mount in incident["Mounts"] if mount["Result"] == "locked"]
        check.equal("mounts that stay", [(mount["Path"], mount["Pid"]) for mount in there], [(ON_HOST, pid)])
        check.equal("unmounted on the host", results(incident, host=True), {(ON_HOST, "ext4", "ok")})
        check.equal("times that it was tried", sum(step["Step"] == "detach" for step in incident["Steps"]), 1)
        check.expect(disk.is_alive(pid), "it was killed")
        for verb in ("status", "show"):
            check.expect(str(pid) in check.run(f"daxguardctl {verb}"), f"{verb} does not name {pid}")
    finally:
        disk.end(pid)
    disk.comes_back()


def unlocked(check):
    """The same with propagation from the host: unmounted there, it goes here."""
    disk = Mounted(check)
    pid = disk.background("exec setpriv --reuid nobody --clear-groups "
                          "unshare -Urm --propagation unchanged sleep 1000")
    try:
        disk.remove("clean", "acked", 0)
        check.expect(disk.is_alive(pid), "it was killed")
    finally:
        disk.end(pid)
    disk.comes_back()


def nobodys_namespace(check):
    """A mount namespace without a process: that a bind mount keeps, or only a
    descriptor, which before 6.12 nobody can find."""
    disk = Mounted(check)
    told = check.guest.kernel != "6.1"
    disk.must("mkdir -p /mnt/names; mount -t tmpfs names /mnt/names; mount --make-private /mnt/names; "
              "touch /mnt/names/one")
    # Numbers of namespaces may come in another order, and the kernel binds none
    # within one of a higher number.
    disk.must("bind() { unshare -m --propagation private sleep 1000 & local pid=$!\n"
              "\tis_sleep() { [ \"$(cat /proc/$pid/comm)\" = sleep ]; }; wait_for 20 is_sleep\n"
              "\tmount --bind /proc/$pid/ns/mnt /mnt/names/one; local r=$?; kill $pid; wait $pid; return $r; }\n"
              "wait_for 30 bind", timeout=60)
    second = disk.background("exec unshare -m --propagation private sleep 1000")
    keeper = disk.background(f"exec sleep 1000 9</proc/{second}/ns/mnt")
    disk.end(second)
    try:
        if not told:
            disk.end(keeper)
        incident = disk.remove("clean", "acked", 0)
        check.equal("namespaces without a process, in which it was unmounted",
                    [mount["Result"] for mount in incident["Mounts"] if not mount["Pid"]], ["ok"] * (1 + told))
    finally:
        disk.end(keeper)
        disk.must("umount /mnt/names/one; umount /mnt/names")
    disk.comes_back()


ONE = ("7",)
CASES = {
    "mounts/bind": Case(bind_mounts, kernels=ONE),
    "mounts/overmounted": overmounted,
    "mounts/overmounted-privately": Case(overmounted_privately, kernels=ONE),
    "mounts/over-itself": Case(over_itself, kernels=ONE),
    "mounts/children": Case(children, kernels=ONE),
    "mounts/locked": Case(locked, kernels=ONE),
    "mounts/unlocked": Case(unlocked, kernels=ONE),
    "mounts/nobodys-namespace": nobodys_namespace,
}
