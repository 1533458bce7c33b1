#!/usr/bin/env bash
# release.sh VERSION: writes a bill of materials beside each package that build.sh made, and bin/SHA256SUMS of all that is released.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: release.sh VERSION}
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
for arch in amd64 arm64; do
	go run ./systemd/sbom -program "bin/deb/$arch/sightd" -libraries "bin/deb/$arch/lib" -arch $arch -version "$version" -epoch "$epoch" \
		>"bin/sightd_${version}_$arch.cdx.json"
done
cd bin
sha256sum "sightd_${version}"_{amd64,arm64}.{deb,cdx.json} >SHA256SUMS
cat SHA256SUMS
