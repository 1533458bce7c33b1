#!/usr/bin/env bash
# export_peers.sh: compares what sightd export makes of GoogLeNet's weights with what TensorFlow's converter and litert-quantizer make
# of them, with the network computed independently, and with torch; and runs its files in MediaPipe and in TensorFlow Lite's Python
# example. Installs Python packages, 9 GB of them, below .venv and takes half an hour. Leaves its figures in .venv/export.
set -euo pipefail
cd "$(dirname "$0")/.."
source native/env.sh
export PYTHONDONTWRITEBYTECODE=1 TF_CPP_MIN_LOG_LEVEL=3

shared=../shared
photos=$shared/images/imagenet
bvlc=$shared/weights/bvlc_googlenet.caffemodel
imagenette=$shared/weights/googlenet_imagenette.safetensors
if [ ! -f "$bvlc" ]; then
	echo "export_peers.sh: $bvlc isn't there: the weights and photos are no part of the repository" >&2
	exit 1
fi
out=$PWD/.venv/export
mkdir -p "$out"

# python NAME ARGUMENT...: with the packages of peers/requirements-NAME.txt
python() {
	local venv=.venv/$1 list=testbench/peers/requirements-$1.txt
	shift
	[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
	if ! cmp -s "$list" "$venv/installed.txt"; then
		"$venv/bin/pip" install -q --disable-pip-version-check -r "$list"
		cp "$list" "$venv/installed.txt"
	fi
	"$venv/bin/python" "$@"
}
run() { echo "-- $*"; "$@"; }
# measured NAME PROGRAM ARGUMENT...: its seconds and memory go to NAME.cost.json
measured() { local name=$1; shift; run python3 testbench/peers/measure.py "$out/$name.cost.json" "$@"; }
peer() { local name=$1 packages=$2; shift 2; python "$packages" -c '' && measured "$name" ".venv/$packages/bin/python" "$@"; }

# All programs get the pixels that sightd prepares.
TEST_EXPORT_PEERS_OUT=$out go test -count=1 -run '^TestExportPeers$' ./testbench
run python tensorflow testbench/peers/photos.py folds "$photos" "$out"
[ -f "$out/reference_scores.npy" ] || run python tensorflow testbench/peers/bvlc.py "$bvlc" "$out" # minutes, and always the same

labels=$shared/weights/imagenet_labels.txt
sightd() { local name=$1; shift; measured "$name" bin/sightd export "$@" -o "$out/$name.tflite" --quiet; }
sightd sightd_float32 "$bvlc" --labels "$labels" --type float32
for fold in a b; do
	sightd "sightd_$fold" "$bvlc" --labels "$labels" --calibration "$out/fold_$fold"
	peer "tf_$fold" tensorflow testbench/peers/converter.py bvlc "$bvlc" "$out/photos_224.npy" "$out/tf_$fold.tflite" --photos "$out/fold_$fold.json"
	peer "tf_logits_$fold" tensorflow testbench/peers/converter.py bvlc "$bvlc" "$out/photos_224.npy" "$out/tf_logits_$fold.tflite" \
		--end logits --photos "$out/fold_$fold.json"
	for ranges in average extremes; do
		peer "litert_${ranges}_$fold" torch testbench/peers/litert_convert.py bvlc "$bvlc" "$out/photos_224.npy" "$out/litert_${ranges}_$fold.tflite" \
			--end logits --ranges $ranges --photos "$out/fold_$fold.json" 2>/dev/null
	done
done
python3 - "$out" <<'SPEC'
import json, sys
out = sys.argv[1]
entry = lambda program, fold, name, form, end: {"program": program, "fold": fold, "file": f"{out}/{name}.tflite", "form": form, "end": end}
spec = [entry("sightd float32", "", "sightd_float32", "rgb", "softmax")]
for fold in "ab":
    spec += [
        entry("sightd", fold, f"sightd_{fold}", "pixels", "softmax"),
        entry("tensorflow", fold, f"tf_{fold}", "bgr", "softmax"),
        entry("tensorflow, logits", fold, f"tf_logits_{fold}", "bgr", "logits"),
        entry("litert-quantizer", fold, f"litert_average_{fold}", "bgr", "logits"),
        entry("litert-quantizer, ranges of extremes", fold, f"litert_extremes_{fold}", "bgr", "logits"),
    ]
json.dump(spec, open(f"{out}/spec.json", "w"))
SPEC
run python tensorflow testbench/peers/compare.py "$out" "$out/spec.json" "$out/compare.json"

# The network with batch norm: for the time that Invoke takes.
run python tensorflow testbench/peers/photos.py pixels "$shared/images/imagenette/calibration" "$out/imagenette_224.npy" 224
peer tf_imagenette tensorflow testbench/peers/converter.py torchvision "$imagenette" "$out/imagenette_224.npy" "$out/tf_imagenette.tflite"
sightd sightd_imagenette "$imagenette" --labels "$shared/weights/imagenette_labels.txt" --calibration "$shared/images/imagenette/calibration"

# torch's own answers of a network of 1000 classes, saved in both of its formats.
run python torch testbench/peers/torchvision_states.py "$out/photos_224.npy" "$out"
for format in zip legacy; do
	sightd "torch_$format" "$out/googlenet_$format.pth" --labels "$labels" --type float32
done
run python tensorflow testbench/peers/torchvision_compare.py "$out/photos_224.npy" "$out" "$out/torch.json" "$out/torch_zip.tflite" "$out/torch_legacy.tflite"

# Programs that know nothing of sightd, on the files that it writes for them.
sightd sightd_uint8 "$bvlc" --labels "$labels" --calibration "$out/fold_a" --io uint8
sightd sightd_integer "$bvlc" --labels "$labels" --calibration "$out/fold_a" --io uint8 --integer-output
some=("$out"/score_a/*) # photos that weren't calibrated on
for name in sightd_uint8 sightd_integer; do
	run python mediapipe testbench/peers/mediapipe_classify.py "$out/$name.tflite" "$out/mediapipe_$name.json" "${some[@]:0:50}" 2>/dev/null
	run python tensorflow testbench/peers/classic.py "$out/$name.tflite" "$labels" "$out/classic_$name.json" "${some[@]:0:50}"
done
TEST_EXPORT_PEERS_OUT=$out go test -count=1 -v -run '^TestExportPeersAnswers$' ./testbench
