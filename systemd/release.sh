#!/usr/bin/env bash
# release.sh VERSION ARCH ...: writes a bill of materials beside each package that build.sh made, ARCH being amd64 or arm64, and bin/SHA256SUMS
# of all that is released.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: release.sh VERSION ARCH ...}
shift
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
files=()
for arch in "$@"; do
	stage=bin/deb/$arch
	bill() { go run ./systemd/sbom -name "$1" -arch "$arch" -version "$version" -epoch "$epoch" "${@:2}" >"bin/$1_${version}_$arch.cdx.json"; }
	bill sightd -program "$stage/sightd" -libraries "$stage/lib"
	bill sightd-gpu -libraries "$stage/gpu/lib"
	files+=({sightd,sightd-gpu}_"${version}_$arch".{deb,cdx.json})
done
cd bin
sha256sum "${files[@]}" >SHA256SUMS
cat SHA256SUMS
