#!/usr/bin/env bash
# packages.sh COMMAND:PACKAGE[,PACKAGE ...] ...: installs the Debian packages whose commands are missing, and says what to do where it can't.
set -euo pipefail

PATH=$PATH:/usr/local/sbin:/usr/sbin # where some systems keep servers, out of a user's way
missing=()
for pair in "$@"; do
	IFS=, read -ra packages <<<"${pair#*:}"
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing+=("${packages[@]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "sightd's build needs these programs, and this system has no apt-get to install them: ${missing[*]}" >&2
	echo "Please install them with your system's package manager and run make again." >&2
	exit 1
fi
sudo=()
if [ "$(id -u)" != 0 ]; then
	if ! command -v sudo >/dev/null 2>&1; then
		echo "Please run this once as root, then run make again:  apt-get install ${missing[*]}" >&2
		exit 1
	fi
	sudo=(sudo)
fi
echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { "${sudo[@]}" apt-get update -q && DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -q --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "Installing failed. Please run this by hand, then run make again:  apt-get install ${missing[*]}" >&2
	exit 1
fi
