#!/usr/bin/env bash
# gpu.sh ARCH: puts what sightd needs to run networks on a GPU into native/ARCH (x86_64 or arm64), which fetch.sh has made:
#   lib/      LiteRT 2.3 as libLiteRt.so, and libLiteRtWebGpuAccelerator.so, which computes with Vulkan
#   licenses/ what their package says about itself
# They are taken out of a Python package, which is checked against GPU_SHA256SUMS before anything of it is unpacked.
#
# gpu.sh ARCH vulkan: puts a Vulkan device into native/ARCH/vulkan that is all software, for tests: SwiftShader, out of Debian's package
# chromium-common. Debian signs it; it's no part of sightd. The system's Vulkan loader, which finds devices, is installed where there is none.
#
# Does nothing where that is there already.
set -euo pipefail
cd "$(dirname "$0")"

arch=${1:?usage: gpu.sh x86_64|arm64 [vulkan]}
case $arch in
x86_64) wheel_arch=x86_64 debian_arch=amd64 ;;
arm64) wheel_arch=aarch64 debian_arch=arm64 ;;
*)
	echo "gpu.sh: no native parts for $arch: sightd runs on 64-bit x86 and Arm only" >&2
	exit 2
	;;
esac
if [ ! -d "$arch/lib" ]; then
	echo "gpu.sh: there is no native/$arch/lib: please run native/fetch.sh $arch first" >&2
	exit 1
fi

work=
trap 'rm -rf "$work"' EXIT

litert() {
	local stamp wheel
	stamp=$(cat GPU_SHA256SUMS gpu.sh | sha256sum | cut -d' ' -f1)
	[ "$(cat "$arch/.gpu-stamp" 2>/dev/null || true)" = "$stamp" ] && return
	./packages.sh python3:python3 unzip:unzip
	python3 -m pip --version >/dev/null 2>&1 || ./packages.sh "pip of python3":python3-pip # no command of this name: installs it
	work=$(mktemp -d)
	wheel=ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_$wheel_arch.whl
	echo "fetching $wheel"
	# Which Python this machine has doesn't matter: none of the package's own code is run.
	if ! python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --platform "manylinux_2_27_$wheel_arch" \
		--python-version 311 --implementation cp --abi cp311 -d "$work" ai-edge-litert==2.3.0 >"$work/pip.log" 2>&1; then
		cat "$work/pip.log" >&2
		echo "gpu.sh: could not download the Python package ai-edge-litert 2.3.0 with pip." >&2
		echo "This needs a connection to the Python package index, once. Behind a proxy or with a mirror: set that in pip's configuration." >&2
		exit 1
	fi
	if ! (cd "$work" && grep -F "  $wheel" "$OLDPWD/GPU_SHA256SUMS" | sha256sum -c --quiet -); then
		echo "gpu.sh: $wheel is not the file that GPU_SHA256SUMS names: nothing was unpacked." >&2
		exit 1
	fi
	mkdir -p "$arch/licenses"
	unzip -qoj "$work/$wheel" 'ai_edge_litert/libLiteRt.so' 'ai_edge_litert/libLiteRtWebGpuAccelerator.so' -d "$work/lib"
	unzip -qop "$work/$wheel" '*.dist-info/licenses/LICENSE' >"$arch/licenses/LiteRT.txt"
	for file in libLiteRt.so libLiteRtWebGpuAccelerator.so; do
		chmod 755 "$work/lib/$file"
		mv "$work/lib/$file" "$arch/lib/$file.new"
		mv "$arch/lib/$file.new" "$arch/lib/$file" # a running process keeps the old one
	done
	echo "$stamp" >"$arch/.gpu-stamp"
	echo "LiteRT and its GPU accelerator for $arch are in native/$arch/lib"
}

# loader: whether the system has a Vulkan loader.
loader() { PATH=$PATH:/usr/sbin:/sbin ldconfig -p | grep -qF libvulkan.so.1; }

vulkan() {
	loader || ./packages.sh libvulkan.so.1:libvulkan1 # no command of this name: installs it
	[ -e "$arch/vulkan/vk_swiftshader_icd.json" ] && return
	# Ubuntu, and so JetPack, has Chromium as a snap alone.
	if ! command -v apt-get >/dev/null 2>&1 || [ "$(dpkg --print-architecture)" != "$debian_arch" ] || ! grep -qE '^(ID|ID_LIKE)="?debian' /etc/os-release || grep -q '^ID=ubuntu' /etc/os-release; then
		echo "gpu.sh: SwiftShader is taken out of Debian's package chromium-common for $debian_arch, which this system hasn't: tests of the GPU are skipped." >&2
		echo "To run them put libvk_swiftshader.so and vk_swiftshader_icd.json, as Chromium has them, into native/$arch/vulkan." >&2
		return
	fi
	work=$(mktemp -d)
	chmod 755 "$work" # apt's own user looks in
	echo "fetching SwiftShader in chromium-common"
	download() { (cd "$work" && apt-get download -q chromium-common) >"$work/apt.log" 2>&1; }
	# Without package lists, or where they are so old that the server doesn't have the file any more, these are fetched first.
	if ! download && ! { update && download; }; then
		cat "$work/apt.log" >&2
		echo "gpu.sh: could not download the Debian package chromium-common." >&2
		echo "Please run this once as root, then run make again:  apt-get update" >&2
		exit 1
	fi
	mkdir -p "$work/vulkan"
	dpkg-deb --fsys-tarfile "$work"/chromium-common_*.deb | tar -x -C "$work/vulkan" --strip-components 4 \
		./usr/lib/chromium/libvk_swiftshader.so ./usr/lib/chromium/vk_swiftshader_icd.json
	chmod 755 "$work/vulkan"
	rm -rf "$arch/vulkan"
	mv "$work/vulkan" "$arch/vulkan"
	echo "SwiftShader, a Vulkan device for tests, is in native/$arch/vulkan"
}

update() {
	local sudo=()
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null 2>&1 || return 1
		sudo=(sudo)
	fi
	"${sudo[@]}" apt-get update -q >>"$work/apt.log" 2>&1
}

case ${2:-} in
"") litert ;;
vulkan) vulkan ;;
*)
	echo "usage: gpu.sh x86_64|arm64 [vulkan]" >&2
	exit 2
	;;
esac
