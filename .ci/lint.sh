#!/usr/bin/env bash
# What tools say of the code. Expects the environment of native/env.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
	echo "gofmt would change:"
	echo "$unformatted"
	exit 1
fi
go vet ./...
(cd testbench/plain && go vet ./... && go mod tidy -diff)
go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
go mod tidy -diff
echo "gofmt, vet, staticcheck, go mod tidy: clean"
