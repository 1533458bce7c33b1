#!/usr/bin/env bash
# Bytes and flushes an event that reach the device, of the outbox and of bbolt, each on a new ext4 file system in a file.
# Wants root, for mounting. The paced workloads take some minutes; QUICK=1 leaves them out.
set -euo pipefail
cd "$(dirname "$0")"

work=$(mktemp -d)
trap 'umount "$work/mounted" 2>/dev/null || true; rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/bbolt" .
mkdir "$work/mounted"

# measure TITLE ARGUMENTS... runs one workload on each store.
measure() {
	echo "$1"
	shift
	for store in outbox bbolt bbolt-nosync; do
		rm -f "$work/image"
		truncate -s 512M "$work/image"
		mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$work/image"
		mount -o loop "$work/image" "$work/mounted"
		"$work/bbolt" -store "$store" -dir "$work/mounted" "$@"
		umount "$work/mounted"
	done
}

measure "A: 1000 events, each acknowledged at once" -broker -events 1000
measure "B: 10000 events with the broker away, 1 a second (a sync each), then all acknowledged" -events 10000 -batch 1
measure "B: 10000 events with the broker away, 100 a second (a sync for 100), then all acknowledged" -events 10000 -batch 100
if [ -z "${QUICK:-}" ]; then
	measure "C: 60 events, 1 a second of real time, each acknowledged at once" -broker -events 60 -pace 1s
fi
