#!/usr/bin/env bash
# go.sh: says what to do where Go is missing, too old, or not for 64 bits. From 1.21 on Go fetches the version that go.mod asks for by itself.
set -euo pipefail
want="1.25 or later (1.21 or later, where it may download a newer toolchain by itself)"
if ! command -v go >/dev/null 2>&1; then
	echo "sightd is built with Go $want, and there is no go command here." >&2
	echo "Please install Go (Debian 12: the package golang from bookworm-backports) and run make again." >&2
	exit 1
fi
version=$(go env GOVERSION)
minor=${version#go1.}
minor=${minor%%[!0-9]*}
if [ "${minor:-0}" -lt 21 ]; then
	echo "sightd is built with Go $want; this is $version." >&2
	echo "Please install a newer Go (Debian 12: the package golang from bookworm-backports) and run make again." >&2
	exit 1
fi
case $(go env GOHOSTARCH) in
amd64 | arm64) ;;
*)
	echo "sightd needs a 64-bit system, and this Go is for $(go env GOHOSTARCH). A 32-bit Raspberry Pi OS has a 64-bit kernel, too:" >&2
	echo "please install the 64-bit Raspberry Pi OS, or cross-build on a PC: make arm64" >&2
	exit 1
	;;
esac
