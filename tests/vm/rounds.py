# SPDX-License-Identifier: LGPL-2.1-or-later
"""Many rounds of bind, mount, map and unbind, and what may not grow with them.

For cases_long.py and tests/vm/soak.
"""
import collections

ROUNDS = "/usr/lib/daxguard-test/rounds"

# In this order in SAMPLE's output. Slab is that which cannot be reclaimed. Free is
# with what the processors keep for themselves (they are free to, and do: tens of
# megabytes), and with the caches, of which the journal's files are a part.
FIELDS = ("slab_kb", "free_kb", "kmalloc", "inodes", "refs", "pending", "rss_kb", "fds", "threads", "steps",
          "records", "record_kb")
Sample = collections.namedtuple("Sample", FIELDS)

SAMPLE = r"""
# Steps are made ready, and the topology is looked at, half a second after a removal.
sleep 1.5
wait_for 20 sh -c 'test "$(pgrep -c -x daxguard-step)" = 6'
sync
echo 3 >/proc/sys/vm/drop_caches
pid=$(systemctl show -P MainPID daxguardd.service)
awk '/^SUnreclaim:/ { print $2 }' /proc/meminfo
awk '/^(MemFree|Buffers|Cached):/ { n += $2 } /^ *count:/ { n += $2 * 4 } END { print n }' /proc/meminfo /proc/zoneinfo
awk '/^kmalloc-/ { n += $2 * $4 } END { print n }' /proc/slabinfo
awk '/^(ext4|xfs)_inode/ { n += $2 } END { print n + 0 }' /proc/slabinfo
cat /sys/module/daxguard/refcnt
grep -c '^pending=' /sys/kernel/debug/daxguard/status
awk '/^RssAnon:/ { print $2 }' /proc/$pid/status
ls /proc/$pid/fd | wc -l
awk '/^Threads:/ { print $2 }' /proc/$pid/status
pgrep -c -x daxguard-step
ls /run/daxguard/incidents | wc -l
du -sk /run/daxguard | cut -f1
"""

# The noise of a kernel whose caches have just been dropped: what the same look
# at the same machine shows now and then. A page leaked in each of 160 rounds is
# 640 kB, an object of 1 KiB 160 kB and, of a kind of its own, 160 in number.
NOISE = Sample(slab_kb=320, free_kb=4096, kmalloc=80 * 1024, inodes=40, refs=0, pending=0, rss_kb=64, fds=0,
               threads=0, steps=0, records=0, record_kb=8)


def grown(early, late, scale=1):
    """What there is more of than noise explains, as texts."""
    texts = []
    noises = Sample(*(noise * scale for noise in NOISE))
    # How many records there may be is limited; one that tells of daemons that died is longer.
    noises = noises._replace(record_kb=noises.record_kb + late.records)
    for field in FIELDS:
        before, after, noise = getattr(early, field), getattr(late, field), getattr(noises, field)
        # What is free is lost where the others grow.
        if (before - after if field == "free_kb" else after - before) > noise:
            texts.append(f"{field}: {before} early, {after} late; {noise} would have passed")
    return texts


def typical(samples):
    """Field by field the median."""
    return Sample(*(sorted(values)[len(samples) // 2] for values in zip(*samples)))


def sample(run):
    """run: Check.run or the like."""
    return Sample(*(int(word) for word in run(SAMPLE, 60).split()))
