# SPDX-License-Identifier: LGPL-2.1-or-later
"""Removals that nobody asked for at a keyboard: from a kernel thread, and of
hardware that the bus says is gone. Both need a push by a module of the tests."""
import cases_odd
from check import Case, Setup
from expect import nothing_was_lost, signals_were_right
from scenario import Scenario

# A virtio-pmem behind a port of its own, as what is plugged and pulled.
PLUGGED = Setup(nvdimms=0, devices=(
    "-device", "pcie-root-port,id=port0,chassis=1,slot=1",
    "-object", "memory-backend-memfd,id=plugged,size=512M",
    "-device", "virtio-pmem-pci,memdev=plugged,id=pulled,bus=port0"))


def until_over(check, before):
    """The hold that began since @before has ended, and its device is gone."""
    check.run("wait_for 40 sh -c '! ls -d /sys/block/pmem* 2>/dev/null'", timeout=60)
    after = check.counters()
    check.equal("holds", after["held"] - before["held"], 1)
    return after


def from_kworker(check):
    """Nobody's process waits: pid 0, and nobody to be killed."""
    scenario = Scenario(check.guest, "ext4")
    check.start_daemon()
    scenario.prepare()
    before = check.counters()
    scenario.start_workload()
    scenario.sh("modprobe dgfault && echo $PFN >/sys/kernel/debug/dgfault/unbind", check=True)
    after = until_over(check, before)
    check.equal("holds that were acked", after["result-acked"] - before["result-acked"], 1)
    incident = check.incident()
    check.equal("who removed it", incident["UnbinderPid"], 0)
    check.equal("result of the revoke", incident["Revoke"], "clean")
    signals_were_right(check, scenario)
    scenario.kill_workload()
    nothing_was_lost(check, scenario)


def pulled(check):
    """Hardware that is gone is not synced to: that might never return."""
    check.run("modprobe -a virtio_pmem dgfault")
    scenario = Scenario(check.guest, "xfs-rmapbt1")
    check.start_daemon()
    scenario.prepare()
    before = check.counters()
    pid, _ = cases_odd.start(scenario, "private")  # virtio-pmem has no MAP_SYNC
    address = scenario.sh("readlink -f /sys/block/$PMEM | grep -o '[0-9a-f:]*\\.[0-9]/virtio' | cut -d/ -f1",
                          check=True).out.strip()
    check.run(f"echo {address} >/sys/kernel/debug/dgfault/disconnect")
    result = check.guest.run(f"echo 1 >/sys/bus/pci/devices/{address}/remove", timeout=75)
    check.equal("exit status of the removal", result.rc, 0)
    until_over(check, before)
    incident = check.incident()
    check.equal("what the bus said", incident["Surprise"], True)
    check.expect(not any("sync" in step["Step"] for step in incident["Steps"]),
                 f"something was synced: {[step['Step'] for step in incident['Steps']]}")
    check.equal("result of the revoke", incident["Revoke"], "clean")
    check.equal("who mapped it", {holder["Pid"]: holder["End"] for holder in incident["Holders"]}, {pid: "exited"})


CASES = {
    "ends/kworker": from_kworker,
    "ends/pulled": Case(pulled, kernels=("6.12",), setup=PLUGGED, spoils=True),
}
