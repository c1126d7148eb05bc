# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2034
#
# What tools/check and tools/demo share. Sourced; sets -e is the caller's.

tree=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
me=$(basename "$0")
cache=${DAXGUARD_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/daxguard}

die() {
	echo "$me: $*" >&2
	exit 1
}

need_root() {
	[ "$(id -u)" = 0 ] || die "must run as root: it installs packages, makes a Debian root and boots guests"
}

# Packages, in the order in which they are needed: images can be made while
# the emulator is still being installed.
image_packages=(mmdebstrap e2fsprogs cpio kmod xz-utils util-linux debian-archive-keyring ca-certificates)
guest_packages=(qemu-system-x86 python3)
build_packages=(gcc libc6-dev meson ninja-build pkg-config systemd udev dbus python3 shellcheck
	libglib2.0-bin python3-dbus
	libsystemd-dev libudev-dev libndctl-dev libdaxctl-dev libnl-3-dev libnl-genl-3-dev
	libmount-dev libjson-c-dev libcmocka-dev xfsprogs mount mandoc zsh)
lint_packages=(clang-tidy cppcheck sparse)

install_packages() {
	local missing=() package
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "needs ${missing[*]} and knows only apt-get to install them"
	echo "$me: installing ${missing[*]}"
	mkdir -p "$cache"
	if ! { apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends \
		-o DPkg::Options::=--force-unsafe-io -o DPkg::Lock::Timeout=120 "${missing[@]}"; } >"$cache/apt.log" 2>&1; then
		tail -n 5 "$cache/apt.log" >&2
		die "could not install ${missing[*]} (all of it: $cache/apt.log)"
	fi
}

images_job=

# The images are made beside other work. Ctrl-C does not reach what runs in the
# background: whoever starts this has stop_images in its EXIT trap.
start_images() {
	"$tree/tests/vm/mkimage" "$@" >/dev/null &
	images_job=$!
}

wait_images() {
	wait "$images_job"
	images_job=
}

stop_images() {
	[ -z "$images_job" ] || kill -TERM "$images_job" 2>/dev/null || true
	wait
}
