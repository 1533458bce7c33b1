#!/usr/bin/env bash
# peers_speed.sh: compares how many pictures a second sightd and other programs classify: Python with ai-edge-litert, ONNX Runtime,
# OpenCV's DNN module and ncnn, and go-tflite's example. Installs Python packages, 0.6 GB of them, below .venv, and takes ten minutes, seven of them measuring.
# Leaves its figures in .venv/peers/throughput.json. ROUNDS=1 is a quick look.
set -euo pipefail
cd "$(dirname "$0")/.."
source native/env.sh
export PYTHONDONTWRITEBYTECODE=1

shared=../shared
photos=$shared/images/imagenet
if [ ! -d "$photos" ] || [ ! -d "$shared/weights" ]; then
	echo "peers_speed.sh: $photos or $shared/weights isn't there: the weights and photos are no part of the repository" >&2
	exit 1
fi
list=testbench/peers/requirements-speed.txt venv=.venv/speed
[ -x $venv/bin/python ] || python3 -m venv $venv
if ! cmp -s $list $venv/installed.txt; then
	pip=("$venv/bin/pip" install -q --disable-pip-version-check --no-deps)
	if ! "${pip[@]}" -r $list; then
		# Not every machine has a wheel of each: what is missing is told as not measured.
		grep -E '^[A-Za-z]' $list | while read -r package; do "${pip[@]}" "$package" || echo "peers_speed.sh: no $package for this machine" >&2; done
	fi
	cp $list $venv/installed.txt
fi

out=$PWD/.venv/throughput calibration=$shared/images/imagenette/calibration
mkdir -p "$out/networks"
$venv/bin/python testbench/peers/speed_pictures.py "$photos" "$out"
$venv/bin/python testbench/peers/speed_networks.py $shared/weights/googlenet_imagenette.safetensors $calibration "$out/networks" >"$out/networks.log" 2>&1 ||
	{ cat "$out/networks.log" >&2; exit 1; }
cp models/googlenet_imagenette.tflite "$out/networks/default.tflite" # programs map it, and crash where it is remade meanwhile
bin/sightd export $shared/weights/googlenet_imagenette.pth -o "$out/networks/float32.tflite" --type float32 --size 160 --quiet \
	--labels $shared/weights/imagenette_labels.txt >>"$out/networks.log"
# It needs no OpenCV: it isn't linked to it, and its memory is its own.
(cd testbench/plain && CGO_LDFLAGS="-L$NATIVE_PARTS/lib -Wl,-rpath,$NATIVE_PARTS/lib" go build -o "$out/plain" .)
$venv/bin/python testbench/peers/throughput.py bin/sightd "$out" .venv/peers/throughput.json "${ROUNDS:-5}"
