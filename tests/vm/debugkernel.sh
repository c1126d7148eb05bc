# SPDX-License-Identifier: LGPL-2.1-or-later
# shellcheck shell=bash disable=SC2154
#
# Makes a kernel with the kernel's own checks on (debugkernel.config), from
# Debian's source package of a series. Sourced by mkimage, whose functions it
# uses; the result has the shape of mkimage's other kernels.
#
# It is built in the guests' base root, by the compiler that builds our module.

# Of the series' own suites. The build tools are unpacked over the base root,
# not installed: they need nothing that is not there.
debug_packages() {
	echo "linux-source busybox-static flex bison bc m4 libelf-dev zlib1g-dev libzstd-dev libssl-dev"
}

# The series whose source debug kernel NAME is made from.
debug_series() {
	case $1 in
	debug) echo 6.12 ;;
	debug-7) echo 7 ;;
	*) return 1 ;;
	esac
}

# Package versions as resolve() has them, for the source instead of the image.
# linux-source only points at linux-source-VERSION.
resolve_debug() {
	local series=$1 package record
	for package in $(debug_packages); do
		record=$(series_apt "$series" apt-cache show --no-all-versions "$package") ||
			die "kernel $series: no package $package on the mirror"
		if [ "$package" = linux-source ]; then
			package=$(sed -n 's/^Depends:.*\(linux-source-[0-9.]*\).*/\1/p' <<<"$record")
		fi
		echo "$package=$(sed -n 's/^Version: //p' <<<"$record")"
	done
}

debug_dir() {
	local name=$1
	echo "$cache/kernel-$name-$({
		cat "$cache/resolved-$name" "$here/initrd-init" "$here/debugkernel.config"
		declare -f make_debug build_in make_initrd choose_modules
		echo "$debug_recipe" "${guest_modules[*]}"
	} | hash_of)"
}

# What the build has said so far is in the layer's log; a failed one's is shown.
make_debug() {
	local dir=$1 name=$2 base=$3 packages package release
	mapfile -t packages <"$cache/resolved-$name"
	mkdir -p "$dir"/{deb,root,build/upper/linux,build/work,build/root}
	(cd "$dir/deb" && series_apt "$(debug_series "$name")" apt-get -q download "${packages[@]}") >"$dir/log" 2>&1 || {
		tail -n 5 "$dir/log" >&2
		return 1
	}
	for package in "$dir"/deb/*.deb; do
		case $(basename "$package") in
		linux-source-*)
			dpkg-deb --fsys-tarfile "$package" | tar -xO --wildcards '*.tar.xz' | xz -dc |
				tar -x -C "$dir/build/upper/linux" --strip-components=1
			;;
		busybox-static_*) dpkg-deb -x "$package" "$dir/root" ;;
		*) dpkg-deb -x "$package" "$dir/build/upper" ;;
		esac
	done
	cp "$here/debugkernel.config" "$dir/build/upper/linux/"
	note "$name: building a kernel from $(grep -o 'linux-source.*' <<<"${packages[*]%% *}"), this takes a while (log: $dir/log)"
	if ! build_in "$dir/build" "$base/root" "$debug_recipe" >>"$dir/log" 2>&1; then
		grep -B 5 -A 5 -m 3 -iE 'error|did not take' "$dir/log" >&2 || tail -n 20 "$dir/log" >&2
		return 1
	fi
	cp -a "$dir/build/upper/out/." "$dir/root/"
	release=$(basename "$dir"/root/usr/lib/modules/*)
	echo "$release" >"$dir/release"
	mv "$dir/root/vmlinuz" "$dir/root/config" "$dir/"
	make_initrd "$dir" "$release" "$dir/root/usr/lib/modules/$release"
	rm -rf "$dir/deb" "$dir/build" "$dir/root/usr/share"
}

# A script in a writable view of LAYERS; what is to be there beforehand is put
# into WORK/upper, and there is what it leaves behind. In a mount namespace of
# its own: whatever happens, no mount stays.
build_in() {
	local work=$1 layers=$2 script=$3
	# shellcheck disable=SC2016 # expanded by the inner shell
	unshare --mount --pid --fork --kill-child bash -euc '
		mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
		mount -t proc proc "$1/root/proc"
		mount --rbind /dev "$1/root/dev"
		export LC_ALL=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin
		unset MAKEFLAGS DESTDIR CFLAGS LDFLAGS
		exec chroot "$1/root" /bin/bash -euc "$3"
	' build_in "$work" "$layers" "$script"
}

# shellcheck disable=SC2016 # expanded by the inner shell
debug_recipe='
	cd /linux
	make -s KCONFIG_ALLCONFIG=debugkernel.config allnoconfig
	sed -n "s/^\(CONFIG_[A-Z0-9_]*\)=n$/\1=/p" debugkernel.config | while read -r off; do
		! grep "^$off" .config || { echo "this did not take: ${off}n"; exit 1; }
	done
	grep "^CONFIG_.*[^n]$" debugkernel.config | while read -r line; do
		grep -qxF "$line" .config || { echo "this did not take: $line"; exit 1; }
	done
	nice -n 5 make -s -j"$(nproc)" bzImage modules
	release=$(make -s kernelrelease)
	headers=/out/usr/src/linux-headers-$release
	mkdir -p /out/usr/src
	make -s modules_install INSTALL_MOD_PATH=/out/usr
	make -s run-command KBUILD_RUN_COMMAND="scripts/package/install-extmod-build $headers"
	ln -sfn "../../../src/linux-headers-$release" "/out/usr/lib/modules/$release/build"
	cp arch/x86/boot/bzImage /out/vmlinuz
	cp .config "$headers/"
	cp .config /out/config
'
