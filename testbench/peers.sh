#!/usr/bin/env bash
# peers.sh: exports the default weights with each type of input, and compares sightd on them, and on the default model, with the
# Python package ai-edge-litert. Installs Python packages into .venv. Leaves its figures in .venv/peers/peers.json.
set -euo pipefail
cd "$(dirname "$0")/.."
source native/env.sh

shared=../shared
if [ ! -d "$shared/weights" ]; then
	echo "peers.sh: $shared/weights isn't there: the weights and photos are no part of the repository" >&2
	exit 1
fi
[ -x .venv/bin/pip ] || python3 -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check -r testbench/peers/requirements.txt

out=$PWD/.venv/peers
rm -rf "$out"
mkdir -p "$out"
for io in int8 uint8 float32; do
	bin/sightd export "$shared/weights/googlenet_imagenette.pth" -o "$out/exported_$io.tflite" --io "$io" --size 160 --quiet \
		--labels "$shared/weights/imagenette_labels.txt" --calibration "$shared/images/imagenette/calibration"
done
TEST_PEERS_OUT=$out go test -count=1 -run '^TestPeers$' ./testbench
.venv/bin/python testbench/peers/peers.py "$out"
