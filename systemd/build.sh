#!/usr/bin/env bash
# build.sh ARCH VERSION COMMIT: builds bin/sightd_VERSION_ARCH.deb and bin/sightd-gpu_VERSION_ARCH.deb, ARCH being amd64 or arm64. Two builds
# of a commit give the same bytes.
# bin/sightd, which runs here, prints the configuration that is packaged.
set -euo pipefail
cd "$(dirname "$0")/.."

nfpm=github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.43.0

arch=${1:?usage: build.sh amd64|arm64 VERSION COMMIT} version=${2:?} commit=${3:?}
case $arch in
amd64) native=x86_64 ;;
arm64) native=arm64 ;;
*)
	echo "build.sh: there is no package for $arch: sightd runs on 64-bit x86 and Arm only" >&2
	exit 2
	;;
esac
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
stage=$PWD/bin/deb/$arch
rm -rf "$stage"
mkdir -p "$stage/lib" "$stage/gpu/lib" "$stage/gpu/licenses"

# The packaged program looks for its libraries in one place only, and carries no symbols and nothing of the folder that it was built in.
(
	export TARGET=$native
	source native/env.sh
	# OpenCV's headers have their own path in error messages.
	export CGO_CFLAGS="$CGO_CFLAGS -ffile-prefix-map=$PWD=." CGO_CXXFLAGS="$CGO_CXXFLAGS -ffile-prefix-map=$PWD=."
	go build -trimpath -o "$stage/sightd" -ldflags "-s -w -buildid= -X main.version=$version -X main.commit=$commit -extldflags '-Wl,-rpath,/usr/lib/sightd -Wl,-z,relro,-z,now'" ./cmd/sightd
)
for library in native/"$native"/lib/*.so*; do
	to=$stage/lib
	case $library in
	*/libLiteRt*) to=$stage/gpu/lib ;;
	esac
	[ -L "$library" ] || cp "$library" "$to/"
done

bin/sightd config init --service >"$stage/sightd.yaml"

{
	echo "Of what the package sightd contains that others wrote, Copyright 1988-2026 of those who are named below, with licences. Their texts are"
	echo "in /usr/share/doc/sightd/licenses, some also in /usr/share/common-licenses. sightd's own source comes without a licence file."
	echo
	cat THIRD_PARTY.md
} >"$stage/copyright"

# What is for the GPU has a chapter of its own, which names all of its texts.
{
	echo "Of what the package sightd-gpu contains, all of which others wrote, Copyright 1995-2026 of those who are named below, with licences."
	echo "Their texts are in /usr/share/doc/sightd-gpu/licenses, some also in /usr/share/common-licenses."
	echo
	awk '/^## / { inside = $0 == "## For the GPU" } inside' THIRD_PARTY.md
} >"$stage/gpu/copyright"
grep -o '](licenses/[^)]*' "$stage/gpu/copyright" | cut -c3- | sort -u | while read -r text; do cp "$text" "$stage/gpu/licenses/"; done

maintainer=${DEB_MAINTAINER:-sightd maintainers <maintainers@sightd.invalid>}
changelog() { sed -e "s|^sightd |$1 |" -e "s|MAINTAINER|$maintainer|" -e "s|DATE|$(date -u -R -d "@$epoch")|" systemd/changelog | gzip -9n; }
changelog sightd >"$stage/changelog.gz"
changelog sightd-gpu >"$stage/gpu/changelog.gz"

# The manual page is what help prints.
{
	echo ".TH SIGHTD 1 $(date -u -d "@$epoch" +%Y-%m-%d) \"sightd $version\" \"User Commands\""
	printf '.SH NAME\nsightd \\- classify pictures of cameras and folders, labels over MQTT\n.SH SYNOPSIS\n.B sightd\n.I COMMAND\n[flags] [arguments]\n.SH DESCRIPTION\n.nf\n'
	bin/sightd help | sed -e 's/\\/\\\\/g' -e 's/-/\\-/g' -e "s/^[.']/\\\\\&&/"
	printf '.fi\n.SH FILES\n/etc/sightd/sightd.yaml, /var/lib/sightd, /usr/share/doc/sightd/docs\n.SH SEE ALSO\n.BR systemctl (1),\n.BR journalctl (1)\n'
} | gzip -9n >"$stage/sightd.1.gz"

# package NAME CONFIG: builds bin/NAME_VERSION_ARCH.deb as nfpm's CONFIG says.
package() {
	local deb=bin/$1_${version}_$arch.deb
	STAGE=$stage DEB_ARCH=$arch VERSION=$version MAINTAINER=$maintainer SOURCE_DATE_EPOCH=$epoch CGO_ENABLED=0 \
		go run "$nfpm" package --config "$2" --packager deb --target "$stage/plain.deb" >"$stage/nfpm.log" 2>&1 || {
		cat "$stage/nfpm.log" >&2
		exit 1
	}
	(cd "$stage" && ar x plain.deb && xz -6 -T2 data.tar && ar rcD new.deb debian-binary control.tar* data.tar.xz)
	mv "$stage/new.deb" "$deb"
	rm "$stage"/plain.deb "$stage"/debian-binary "$stage"/control.tar* "$stage"/data.tar.xz "$stage"/nfpm.log
	echo "$deb: $(stat -c %s "$deb") bytes"
}

package sightd systemd/nfpm.yaml
package sightd-gpu systemd/nfpm-gpu.yaml
