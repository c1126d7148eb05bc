# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must not grow with the number of removals."""
from check import Case
from rounds import ROUNDS, grown, sample, typical
from scenario import Scenario

LAST = 200
EVERY = 10
EARLY, LATE = (20, 30, 40), (180, 190, 200)
KEPT = 15  # incidents; reached before the first sample
CONFIG = "/etc/daxguard/daxguardd.conf"


def two_hundred_rounds(check):
    """Bound, mounted, mapped, unbound: 200 times in one guest. Each removal is clean,
    and in the end there is no more of anything than after the first few."""
    scenario = Scenario(check.guest, "xfs-rmapbt1")
    check.run(f"mkdir -p {CONFIG.rsplit('/', 1)[0]}; printf '[Daemon]\\nIncidentsMax={KEPT}\\n' >{CONFIG}; "
              "systemctl stop daxguardd.service; rm -f /run/daxguard/incidents/*")
    samples = {}
    try:
        check.start_daemon()
        scenario.prepare()
        pfn, disk = scenario.sh("umount $MNT; echo $PFN $DEV; unbind_pfn", check=True).out.split()[-2:]
        before = check.counters()
        for last in range(EVERY, LAST + 1, EVERY):
            check.run(f"{ROUNDS} {pfn} {disk} xfs /mnt/pmem {last - EVERY + 1} {last}", timeout=120)
            if last in EARLY + LATE:
                samples[last] = sample(check.run)
        after = check.counters()
        check.equal("removals that were held", after["held"] - before["held"], LAST)
        check.equal("holds that ended acked", after["result-acked"] - before["result-acked"], LAST)
        check.equal("revokes that were clean", after["revoke-clean"] - before["revoke-clean"], LAST)
        check.equal("file systems that the module shut down", after["shutdowns"] - before["shutdowns"], 0)
        early, late = (typical([samples[n] for n in when]) for when in (EARLY, LATE))
        check.say(f"after {EARLY}: {early}\nafter {LATE}: {late}")
        for text in grown(early, late):
            check.expect(False, f"grew from rounds {EARLY} to {LATE}: {text}")
    finally:
        check.run(f"rm -f {CONFIG}; systemctl restart daxguardd.service; REGION=region0; rebind_pfn")


CASES = {"long/200-rounds": Case(two_hundred_rounds, kernels=("6.12",))}
