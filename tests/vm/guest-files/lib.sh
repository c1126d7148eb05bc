# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Shell library of the test guests; sourced by every script run there. A process
# takes an emulated machine a twentieth of a second: what bash can do itself, it does.
#
# A test disk is one namespace in fsdax mode on an emulated NVDIMM. Its parts
# are kept in variables, because names move: region and namespace follow the
# DIMM, the pfn device's number depends on what was configured before.

MNT=/mnt/pmem
ND=/sys/bus/nd/drivers

say() {
	echo "$*"
}

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

# load_nd: the drivers of emulated NVDIMMs, and their regions.
load_nd() {
	modprobe -a nfit nd_pmem
	udevadm settle
}

# make_fsdax [REGION]: (re)makes the region's namespace in fsdax mode with its
# page map in memory, and sets NS, PMEM (block device name) and REGION.
make_fsdax() {
	REGION=${1:-region0}
	load_nd
	local json ns
	ns=namespace${REGION#region}.0
	json=$(ndctl create-namespace -f -e "$ns" -m fsdax --map=mem) || fail "create-namespace $ns"
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after create-namespace: $json"
}

# find_fsdax [REGION]: sets NS, PMEM and PFN from what there is.
find_fsdax() {
	REGION=${1:-region0}
	# shellcheck disable=SC2034 # for the scripts that source this
	NS=namespace${REGION#region}.0
	PFN='' PMEM=''
	local dev block
	# Where a region has no labels, the namespace itself may carry the pages.
	for dev in /sys/bus/nd/devices/"$REGION"/{pfn,namespace}*/; do
		dev=${dev%/}
		if [ -d "$dev/block" ]; then
			PFN=${dev##*/}
			block=("$dev"/block/*)
			PMEM=${block[0]##*/}
		fi
	done
}

# make_layer plain|partition|dm: what the file system is to sit on; sets DEV.
# A partition table is kept on the disk, a dm table is not: see find_layer.
make_layer() {
	if [ "$1" = partition ]; then
		parted -s "/dev/$PMEM" mklabel gpt mkpart data 2MiB 100% || fail "parted"
		udevadm settle
	fi
	find_layer "$1"
}

# find_layer plain|partition|dm: sets DEV, making the dm device anew.
find_layer() {
	case $1 in
	plain) DEV=/dev/$PMEM ;;
	partition) DEV=/dev/${PMEM}p1 ;;
	dm)
		DEV=/dev/mapper/guarded
		if [ ! -e $DEV ]; then
			dmsetup create guarded --table "0 $(blockdev --getsz "/dev/$PMEM") linear /dev/$PMEM 0" ||
				fail "dmsetup create"
			udevadm settle
		fi
		;;
	*) fail "no such layer: $1" ;;
	esac
	[ -b "$DEV" ] || fail "$DEV does not exist"
}

# drop_layer plain|partition|dm: what must go before the disk can come back.
drop_layer() {
	[ "$1" != dm ] || dmsetup remove --retry guarded
}

# use_disk REGION LAYER: all the variables, in a new script.
use_disk() {
	find_fsdax "$1"
	[ -z "$PMEM" ] || [ "$2" = dm ] || find_layer "$2"
	[ "$2" != dm ] || DEV=/dev/mapper/guarded
}

# make_fs FS [DEVICE [OPTION...]]: ext4, xfs-rmapbt0 or xfs-rmapbt1.
make_fs() {
	local dev=${2:-/dev/$PMEM}
	local more=("${@:3}")
	case $1 in
	ext4) mkfs.ext4 -q -F -b 4096 "${more[@]}" "$dev" ;;
	xfs-rmapbt0) mkfs.xfs -q -f -m rmapbt=0,reflink=1 "${more[@]}" "$dev" ;;
	xfs-rmapbt1) mkfs.xfs -q -f -m rmapbt=1,reflink=1 "${more[@]}" "$dev" ;;
	*) fail "make_fs: unknown file system $1" ;;
	esac
}

# mount_dax [DEVICE] [DIR]
mount_dax() {
	local dev=${1:-/dev/$PMEM} dir=${2:-$MNT}
	mkdir -p "$dir"
	mount -o dax=always "$dev" "$dir"
}

# unmount_dead: what may be mounted there still. Not asked by mountpoint(1), which
# a file system that was shut down answers with EIO, or not.
unmount_dead() {
	! grep -q " $MNT " /proc/mounts || umount "$MNT"
}

# unbind_pfn: what the kernel facts call the namespace's removal; PFN is kept
# for rebind_pfn. The write returns when the teardown is over.
unbind_pfn() {
	echo "$PFN" >$ND/nd_pmem/unbind
}

# rebind_pfn [REGION]: only a pfn device that was configured can be bound; the
# spare one of the region refuses.
rebind_pfn() {
	REGION=${1:-$REGION}
	local dev
	for dev in /sys/bus/nd/devices/"$REGION"/pfn*; do
		echo "${dev##*/}" >$ND/nd_pmem/bind
	done 2>/dev/null
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after bind"
}

# The driver's own unbind: "ndctl disable-region" looks for claims first and
# leaves a region alone whose devices are mounted ("disabled 0 regions").
disable_region() {
	echo "$REGION" >$ND/nd_region/unbind
}

enable_region() {
	ndctl enable-region "$REGION" || return 1
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after enable-region"
}

# make_disk REGION fsdax|sector|raw: (re)makes the region's namespace in this
# mode, and prints the name of its block device.
make_disk() {
	load_nd
	local mode=$2 json ns=namespace${1#region}.0 map=
	[ "$mode" != fsdax ] || map=--map=mem
	# shellcheck disable=SC2086 # an option or none
	json=$(ndctl create-namespace -f -e "$ns" -m "$mode" $map) || fail "create-namespace $ns"
	udevadm settle
	sed -n 's/.*"blockdev":"\([^"]*\)".*/\1/p' <<<"$json"
}

# split_region REGION: two namespaces in fsdax mode, of half the size each, with
# labels; prints the names of their block devices.
split_region() {
	load_nd
	local dimm
	dimm=$(ndctl list -D -r "$1" | sed -n 's/.*"dev":"\([^"]*\)".*/\1/p')
	{
		ndctl disable-region "$1" && ndctl init-labels -f "$dimm" && ndctl enable-region "$1" &&
			ndctl create-namespace -r "$1" -m fsdax --map=mem -s 240M &&
			ndctl create-namespace -r "$1" -m fsdax --map=mem -s 240M
	} >/dev/null 2>&1 || fail "split $1"
	udevadm settle
	basename -a "/sys/bus/nd/devices/$1"/pfn*/block/*
}

# nd_of DISK: the device of the nd bus that a disk belongs to.
nd_of() {
	basename "$(readlink "/sys/block/$1/device")"
}

# unbind_nd DEVICE: the write returns when the teardown is over.
unbind_nd() {
	echo "$1" >$ND/nd_pmem/unbind
}

# bind_nd DEVICE...
bind_nd() {
	local dev
	for dev; do
		echo "$dev" >$ND/nd_pmem/bind || fail "bind $dev"
	done
	udevadm settle
}

# check_fs FS [DEVICE]: read-only check of an unmounted file system.
check_fs() {
	local dev=${2:-/dev/$PMEM}
	case $1 in
	ext4) e2fsck -fn "$dev" ;;
	xfs-*) xfs_repair -n "$dev" ;;
	esac
}

# How much longer everything may take here; only kernels that check themselves
# are told, see guest.py.
PATIENCE=1
read -r cmdline </proc/cmdline
[[ $cmdline =~ guest\.patience=([0-9]+) ]] && PATIENCE=${BASH_REMATCH[1]}

# wait_for SECONDS COMMAND...: polls; a deadline for everything. It sleeps in a
# read from the agent's pipe that nobody writes to: to begin a process ten times a
# second takes an emulated processor half its time.
wait_for() {
	local end=$((SECONDS + $1 * PATIENCE)) pipe
	shift
	exec {pipe}<>/dev/shm/nobody-writes
	until "$@"; do
		if [ $SECONDS -ge $end ]; then
			exec {pipe}>&-
			return 1
		fi
		read -r -t 0.1 -u "$pipe" || true
	done
	exec {pipe}>&-
}

# load_module: ours. To ask modprobe about what is there costs a process.
load_module() {
	[ -d /sys/module/daxguard ] || modprobe daxguard
}

# make_devdax [REGION]: (re)makes the region's namespace as a character device,
# and sets NS, DAX (its name) and REGION.
make_devdax() {
	REGION=${1:-region0}
	load_nd
	modprobe -a dax_pmem device_dax
	NS=namespace${REGION#region}.0
	ndctl create-namespace -f -e "$NS" -m devdax --map=mem >/dev/null || fail "create-namespace $NS"
	udevadm settle
	find_devdax "$REGION"
	[ -n "$DAX" ] || fail "no character device after create-namespace"
}

# find_devdax [REGION]: sets DAX and DAX_PARENT from what there is.
find_devdax() {
	REGION=${1:-region0}
	DAX='' DAX_PARENT=''
	local dev path
	for dev in /sys/bus/dax/devices/*; do
		path=$(readlink -f "$dev")
		[[ $path != */"$REGION"/* ]] && continue
		DAX=${dev##*/}
		path=${path%/*}
		# shellcheck disable=SC2034 # for the scripts that source this
		DAX_PARENT=${path##*/}
	done
}

# main_pid: the daemon's.
main_pid() {
	systemctl show -P MainPID daxguardd.service
}

# main_pid_is_not PID: another one is there.
main_pid_is_not() {
	local pid
	pid=$(main_pid)
	[ "$pid" -gt 0 ] && [ "$pid" != "$1" ]
}

# step_hangs: a sync is in uninterruptible sleep.
step_hangs() {
	local pid
	for pid in $(pgrep -f '^/usr/libexec/daxguard-step sync'); do
		grep -q '^State:.D' "/proc/$pid/status" && return 0
	done
	return 1
}

# journal_has PATTERN: of the daemon's messages.
journal_has() {
	journalctl -b --no-pager -o cat -u daxguardd.service | grep -q -e "$1"
}

# is_gone PID: not there, or a zombie.
is_gone() {
	! grep -q '^State:.[^ZX]' "/proc/$1/status" 2>/dev/null
}

# newest_record: the daemon's file about the last incident that was held. No process,
# since it is asked for in loops. What users ask for is numbered above all of those.
newest_record() {
	local file newest=0
	for file in /run/daxguard/incidents/*; do
		file=${file##*/}
		if [ "$file" != '*' ] && [ "$file" -gt "$newest" ] && [ "$file" -le 1000000000 ]; then
			newest=$file
		fi
	done
	[ "$newest" = 0 ] || echo "/run/daxguard/incidents/$newest"
}

# forget_records: from here on only what is newer counts.
forget_records() {
	newest_record >/dev/shm/old-record
}

# record_state: the last state that the newest one speaks of.
record_state() {
	# shellcheck disable=SC2016 # sed's last line
	sed -n -e '/ state name=/{s/.*name=//;h}' -e '${x;p}' "$(newest_record)" 2>/dev/null
}

# record_has PATTERN
record_has() {
	local record
	record=$(newest_record)
	[ "$record" != "$(cat /dev/shm/old-record 2>/dev/null)" ] && grep -q -e " $1" "$record" 2>/dev/null
}

# in_state STATE: that is where it is, and not at an end of before.
in_state() {
	[ "$(record_state)" = "$1" ] && ! record_has "end "
}
