#!/usr/bin/env bash
# fuzz.sh [-plain] TIME [TARGET...]: runs the repository's fuzz targets, or those named, for TIME each (such as 10s), as many side by
# side as there are cores. Expects the environment of native/env.sh.
#
# Go would build and fuzz one target at a time. Here each package's tests are built once, and each target has one core. What is
# found to reach new code is kept where Go keeps it, in its cache; what fails goes to the package's testdata/fuzz.
#
# That code is reached is seen by instrumented builds of all packages, OpenCV's wrapper among them, which take minutes the first time.
# With -plain the tests are built as for make test, out of Go's cache, and inputs vary those in testdata/fuzz at random.
#
# At the end of TIME Go sometimes calls its own deadline a failure, though no input failed (golang/go issue 75804). That is no failure
# here if it is all that Go says: of an input that fails, or a process that dies, Go says more.
set -euo pipefail
cd "$(dirname "$0")/.."

instrument=-fuzz=.
if [ "${1:-}" = -plain ]; then
	instrument=
	shift
fi
time=${1:?usage: fuzz.sh [-plain] TIME [TARGET...], such as fuzz.sh 10s FuzzParse}
shift
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
known=$(go env GOCACHE)/fuzz/$(go list -m)
export root work time known

# Lines of package and target.
grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed -E 's|^\./(.*)/[^/]*:func (.*)|\1 \2|' | sort -u >"$work/all"
if [ $# -gt 0 ]; then
	grep -E " ($(IFS='|'; echo "$*"))\$" "$work/all" >"$work/targets" || { echo "fuzz.sh: no target is called $*" >&2; exit 2; }
else
	mv "$work/all" "$work/targets"
fi

began=$SECONDS
for package in $(cut -d' ' -f1 "$work/targets" | uniq); do
	mkdir -p "$work/$package"
	go test -c $instrument -o "$work/$package/fuzz.test" "./$package" || echo "FAIL $package: its tests don't build"
done
echo "built in $((SECONDS - began)) s"

# only_deadline LOG TARGET: whether all that failed is Go's own deadline.
only_deadline() {
	[ "$(sed -E '/^fuzz: elapsed|^warning: /d; s/^(--- FAIL: [A-Za-z0-9_]+) \(.*/\1/' "$1")" = "--- FAIL: $2
    context deadline exceeded
FAIL" ]
}
export -f only_deadline

# one PACKAGE TARGET: prints a line of what was done, or all that a failing target says.
one() {
	cd "$root/$1"
	local log=$work/$1/$2
	if "$work/$1/fuzz.test" -test.run '^$' -test.fuzz "^$2\$" -test.fuzztime "$time" -test.fuzzminimizetime 10x -test.parallel 1 \
		-test.timeout 0 -test.fuzzcachedir "$known/$1" >"$log" 2>&1 || only_deadline "$log" "$2"; then
		echo "ok $1 $2: $(grep '^fuzz: elapsed' "$log" | tail -n 1 | cut -d' ' -f3-)"
	else
		echo "FAIL $1 $2"
		cat "$log"
		echo "reproduce: go test -run '^$2\$' ./$1 (with source native/env.sh; the input lies in $1/testdata/fuzz/$2)"
		return 1
	fi
}
export -f one
if ! xargs -a "$work/targets" -P "$(nproc)" -L 1 bash -c 'one "$@"' one; then
	echo "fuzzing found failures; see the lines that begin with FAIL" >&2
	exit 1
fi
echo "$(wc -l <"$work/targets") targets in $((SECONDS - began)) s"
