# SPDX-License-Identifier: LGPL-2.1-or-later
"""A removal beside systemd: units that mount, unmount and start again what the
removal has just ended."""
from check import Case
from removal import Disk, Mapper, files_are_there, is_mounted, removed

MNT = "/mnt/unit"
UNIT = "mnt-unit.mount"
UNITS = "/run/systemd/system"
MAPPER_SERVICE = """[Unit]
StartLimitIntervalSec=0
{unit}
[Service]
ExecStart=/usr/lib/daxguard-test/one-mapping map {file} 1048576
Restart=always
RestartSec=0
"""


def make(check):
    disk = Disk(check)
    check.run(f"make_fs ext4 {disk.dev}; mkdir -p {MNT}; udevadm trigger --settle /sys/block/{disk.name}")
    return disk


def fstab(check, disk, options):
    """As the administrator writes it; the units come from the generator."""
    check.run(f"cp /etc/fstab /run/fstab; echo '{disk.dev} {MNT} ext4 dax=always,{options} 0 0' >>/etc/fstab; "
              "systemctl daemon-reload")


def forget(check, *units):
    check.run(f"systemctl stop {' '.join(units)} {UNIT} || true; [ ! -e /run/fstab ] || mv /run/fstab /etc/fstab; "
              f"systemctl daemon-reload; systemctl reset-failed; ! mountpoint -q {MNT} || umount {MNT}")


def comes_back(check, disk, mount, *mappers):
    check.run(f"{disk.bind}; wait_for 20 systemctl -q is-active dev-{disk.name}.device; {mount}")
    check.expect(is_mounted(check, MNT), "it cannot be mounted again")
    files_are_there(check, *(mapper.path for mapper in mappers))


def from_fstab(check):
    check.start_daemon()
    disk = make(check)
    fstab(check, disk, "nofail")
    check.run(f"systemctl start {UNIT}")
    mapper = Mapper(check, f"{MNT}/file")
    try:
        mapper.was_ended(removed(check, disk.unbind))
        check.equal("the unit", check.run(f"systemctl is-active {UNIT} || true").strip(), "inactive")
        comes_back(check, disk, f"systemctl start {UNIT}", mapper)
    finally:
        forget(check)


def transient(check):
    check.start_daemon()
    disk = make(check)
    mount = f"systemd-mount -q --options=dax=always {disk.dev} {MNT}"
    check.run(mount)
    mapper = Mapper(check, f"{MNT}/file")
    try:
        mapper.was_ended(removed(check, disk.unbind))
        check.expect(not is_mounted(check, MNT), "it is mounted still")
        comes_back(check, disk, mount, mapper)
    finally:
        forget(check)


def automount(check):
    """Somebody goes there all the time. It is not mounted again during the hold;
    he gets an error."""
    check.start_daemon()
    disk = make(check)
    fstab(check, disk, "noauto,x-systemd.automount,x-systemd.device-timeout=2s")
    check.run("systemctl start mnt-unit.automount")
    mapper = Mapper(check, f"{MNT}/file")
    check.run("rm -f /run/visits; while [ ! -e /run/enough ]; do "
              f"ls {MNT} >/dev/null 2>>/run/visits; sleep 0.02; done </dev/null >/dev/null 2>&1 &")
    try:
        mapper.was_ended(removed(check, disk.unbind))
        check.expect(not is_mounted(check, disk.dev), "it is mounted still")
        check.run("wait_for 20 test -s /run/visits")
    finally:
        check.run("touch /run/enough; sleep 0.1; systemctl stop mnt-unit.automount; rm -f /run/enough")
    try:
        comes_back(check, disk, f"systemctl reset-failed; systemctl start mnt-unit.automount; ls {MNT}", mapper)
    finally:
        forget(check, "mnt-unit.automount")


def restart_always(check, needs_mount):
    """A service that is there again as soon as it has been ended. Between two
    of its lives the file system is unmounted, and then it fails. If its unit
    needs the mount, systemd may stop it before it is started again: whether the
    device's end comes before the unmount is noticed is a race within PID 1,
    which looks at the mounts five times a second at most."""
    check.start_daemon()
    disk = make(check)
    fstab(check, disk, "nofail")
    unit = f"RequiresMountsFor={MNT}" if needs_mount else ""
    check.guest.put(f"{UNITS}/again.service", MAPPER_SERVICE.format(unit=unit, file=f"{MNT}/dir/file"))
    check.run(f"systemctl daemon-reload; systemctl start {UNIT}; mkdir {MNT}/dir; systemctl start again.service; "
              f"wait_for 20 test -e {MNT}/dir/file")
    try:
        incident = removed(check, disk.unbind)
        check.expect(incident["Holders"], "nobody was found")
        check.equal("how they ended", {holder["End"] for holder in incident["Holders"]}, {"exited"})
        check.expect(not is_mounted(check, disk.dev), "it is mounted still")
        if not needs_mount:
            check.run("wait_for 20 eval 'test $(systemctl show -P NRestarts again.service) -gt 0'")
        check.run(f"systemctl stop again.service; {disk.bind}")
        check.run(f"wait_for 20 systemctl start {UNIT}; test -e {MNT}/dir/file")
    finally:
        forget(check, "again.service")
        check.run(f"rm {UNITS}/again.service; systemctl daemon-reload")


def bound(check):
    """systemd unmounts by itself, because the device is not ready any more by its
    lights, while we do the same."""
    check.start_daemon()
    disk = make(check)
    check.run("mkdir -p /run/udev/rules.d")
    check.guest.put("/run/udev/rules.d/99-not-ready.rules",
                    f'KERNEL=="{disk.name}", TEST=="/run/not-ready", ENV{{SYSTEMD_READY}}="0"\n')
    fstab(check, disk, "nofail,x-systemd.device-bound")
    check.run(f"udevadm control --reload; systemctl start {UNIT}")
    mapper = Mapper(check, f"{MNT}/file")
    check.run(f"kill -STOP {mapper.pid}")  # so the hold takes a moment
    before = check.counters()["held"]
    job = check.guest.start(f"touch /run/not-ready; . /usr/lib/daxguard-test/lib.sh; wait_for 30 grep -q ^held={before + 1}$ "
                            f"/sys/kernel/debug/daxguard/status && udevadm trigger -c change /sys/block/{disk.name}")
    try:
        mapper.was_ended(removed(check, disk.unbind))
        check.equal("the other one", job.wait().rc, 0)
        check.expect(not is_mounted(check, MNT), "it is mounted still")
        check.run("rm /run/not-ready /run/udev/rules.d/99-not-ready.rules; udevadm control --reload")
        comes_back(check, disk, f"systemctl start {UNIT}", mapper)
    finally:
        forget(check)


CASES = {f"stack/{name}": Case(function, ("6.1",)) for name, function in {
    "fstab": from_fstab,
    "systemd-mount": transient,
    "automount": automount,
    "restart-always": lambda check: restart_always(check, False),
    "restart-always-mount": lambda check: restart_always(check, True),
    "bound": bound,
}.items()}
