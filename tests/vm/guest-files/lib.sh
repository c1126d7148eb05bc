# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash
#
# Shell library of the test guests; sourced by every script run there.
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
	ns=$(cd /sys/bus/nd/devices && echo namespace"${REGION#region}".0)
	json=$(ndctl create-namespace -f -e "$ns" -m fsdax --map=mem) || fail "create-namespace $ns"
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after create-namespace: $json"
}

# find_fsdax [REGION]: sets NS, PMEM and PFN from what there is.
find_fsdax() {
	REGION=${1:-region0}
	NS=namespace${REGION#region}.0
	PFN='' PMEM=''
	local dev
	for dev in /sys/bus/nd/devices/"$REGION"/pfn*/; do
		dev=${dev%/}
		if [ -d "$dev/block" ]; then
			PFN=$(basename "$dev")
			PMEM=$(basename "$dev"/block/*)
		fi
	done
}

# make_fs FS [DEVICE]: ext4, xfs-rmapbt0 or xfs-rmapbt1.
make_fs() {
	local dev=${2:-/dev/$PMEM}
	case $1 in
	ext4) mkfs.ext4 -q -F -b 4096 "$dev" ;;
	xfs-rmapbt0) mkfs.xfs -q -f -m rmapbt=0,reflink=1 "$dev" ;;
	xfs-rmapbt1) mkfs.xfs -q -f -m rmapbt=1,reflink=1 "$dev" ;;
	*) fail "make_fs: unknown file system $1" ;;
	esac
}

# mount_dax [DEVICE] [DIR]
mount_dax() {
	local dev=${1:-/dev/$PMEM} dir=${2:-$MNT}
	mkdir -p "$dir"
	mount -o dax=always "$dev" "$dir"
}

# unbind_pfn: what the kernel facts call the namespace's removal; PFN is kept
# for rebind_pfn. The write returns when the teardown is over.
unbind_pfn() {
	echo "$PFN" >$ND/nd_pmem/unbind
}

# Binding the namespace lets the driver find the pfn seed on it again, under
# whatever name it gets now.
rebind_pfn() {
	echo "$PFN" >$ND/nd_pmem/bind 2>/dev/null || echo "$NS" >$ND/nd_pmem/bind
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after bind"
}

disable_region() {
	ndctl disable-region "$REGION"
}

enable_region() {
	ndctl enable-region "$REGION" || return 1
	udevadm settle
	find_fsdax "$REGION"
	[ -n "$PMEM" ] || fail "no block device after enable-region"
}

# check_fs FS [DEVICE]: read-only check of an unmounted file system.
check_fs() {
	local dev=${2:-/dev/$PMEM}
	case $1 in
	ext4) e2fsck -fn "$dev" ;;
	xfs-*) xfs_repair -n "$dev" ;;
	esac
}

# wait_for SECONDS COMMAND...: polls; a deadline for everything.
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.1
	done
}
