#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Removes the driver of a pmem device under a mounted DAX file system.
#
#	unbind-under-dax.sh ext4|xfs|xfs-rmapbt [mapped|unmapped] [DISK]
#
# DISK (default pmem0) loses its contents, and the kernel may not survive: use a
# virtual machine. An fsdax namespace on an emulated NVDIMM will do (ndctl
# create-namespace -f -e namespace0.0 -m fsdax --map=mem), or the kernel argument
# memmap=512M!1G. "mapped" has a process map 16 MiB of a file and touch it again
# after the removal; "unmapped" has a file, but no process.
#
# What is not back after 30 seconds is said, with its stack, and left behind.

fs=$1 how=${2:-mapped} disk=${3:-pmem0}
dir=$(mktemp -d) heard=$(mktemp)

map_and_touch='
import mmap, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.posix_fallocate(fd, 0, 16 << 20)
m = mmap.mmap(fd, 16 << 20)
for offset in range(0, len(m), 4096):
    m[offset] = 97
print("mapped", flush=True)
signal.sigwait([signal.SIGUSR1])
print("reads", m[4096], flush=True)
m[4096] = 98
print("has written", flush=True)
m.close()
print("has unmapped", flush=True)'

unbind() {
	echo "$device" >/sys/bus/nd/drivers/nd_pmem/unbind
}

# watch NAME PID: until it is gone, 30 seconds at most.
watch() {
	local name=$1 pid=$2 i
	for ((i = 0; i < 300; i++)); do
		if ! kill -0 "$pid" 2>/dev/null; then
			wait "$pid"
			echo "$name: status $? after $((i / 10)).$((i % 10)) s"
			return
		fi
		sleep 0.1
	done
	echo "$name: not back after 30 s, state $(ps -o stat= -p "$pid"), in"
	cat "/proc/$pid/stack"
	echo l >/proc/sysrq-trigger # where it runs, if it does, is in the kernel's log
}

case $fs in
ext4) mkfs.ext4 -q -F -b 4096 "/dev/$disk" ;;
xfs) mkfs.xfs -q -f -m rmapbt=0 "/dev/$disk" ;;
xfs-rmapbt) mkfs.xfs -q -f -m rmapbt=1 "/dev/$disk" ;;
*)
	sed -n '4,15s/^# \{0,1\}//p' "$0"
	exit 2
	;;
esac || exit
mount -o dax=always "/dev/$disk" "$dir" || exit
device=$(basename "$(readlink -f "/sys/block/$disk/device")")
if [ "$how" = mapped ]; then
	python3 -c "$map_and_touch" "$dir/file" >"$heard" &
	mapper=$!
	until grep -q mapped "$heard"; do sleep 0.1; done
else
	head -c 1M /dev/zero >"$dir/file"
fi
sync

echo "$(uname -r), $fs, $how: unbind of $device" | tee /dev/kmsg
unbind &
watch unbind $!
if [ "$how" = mapped ]; then
	echo "end of the process" >/dev/kmsg
	kill -USR1 "$mapper"
	watch "process that maps" "$mapper"
	sed 's/^/  it said: /' "$heard"
fi
echo "umount" >/dev/kmsg
umount "$dir" &
watch umount $!
