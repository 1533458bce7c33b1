#!/usr/bin/env bash
# fuzz.sh TIME: runs every fuzz target of the repository for TIME (such as 10s), one after the other. Go fuzzes one target of one
# package at a time. Expects the environment of native/env.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?usage: fuzz.sh TIME, such as 10s}
failed=0
# Only packages with a fuzz target are built.
for folder in $(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -r -n 1 dirname | sort -u); do
	for target in $(go test -list '^Fuzz' "$folder" | grep '^Fuzz'); do
		echo "== $folder $target"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x "$folder" || failed=1
	done
done
if [ "$failed" != 0 ]; then
	echo "fuzzing found failures: each lies in its package's testdata/fuzz" >&2
	exit 1
fi
