"""Compares sightd with other programs on the same .tflite files: make peers.

peers.py FOLDER: FOLDER/sightd.json, which TestPeers writes, says which models, which input tensors, and which scores sightd gave.
Prints a line a check, writes the figures to FOLDER/peers.json, and exits with 1 when a check fails.
"""

import json
import pathlib
import sys
import zipfile
from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from PIL import Image

TYPES = {"INT8": np.int8, "UINT8": np.uint8, "FLOAT32": np.float32}

# The scores are a float softmax of logits that int8 layers lead to: where two versions of XNNPACK round a value differently, a score moves
# by far less than this.
MAX_DIFFERENCE = 0.01

# A program that decodes and resizes with Pillow prepares slightly other pixels; a wrong order of channels, or a wrong normalization,
# changes far more labels than that.
MIN_PILLOW_AGREEMENT = 0.97

failures = 0


def check(ok, text):
    global failures
    failures += not ok
    print(("ok    " if ok else "FAIL  ") + text, flush=True)


def run(interpreter, tensors):
    """Runs the interpreter on each tensor and gives output 0 of each."""
    interpreter.allocate_tensors()
    where = interpreter.get_input_details()[0]["index"]
    out = interpreter.get_output_details()[0]["index"]
    scores = []
    for tensor in tensors:
        interpreter.set_tensor(where, tensor)
        interpreter.invoke()
        scores.append(interpreter.get_tensor(out)[0].copy())
    return np.array(scores)


def labels_in(path):
    """The labels in the zip behind the model, as a program without TensorFlow Lite reads them."""
    with zipfile.ZipFile(path) as z:
        return z.namelist(), z.read("labels.txt").decode().splitlines()


def with_pillow(path, height, width, dtype):
    """A photo as an input tensor, prepared without any of sightd's code."""
    image = Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BOX)
    pixels = np.asarray(image)[None]
    if dtype == np.int8:
        return (pixels.astype(np.int16) - 128).astype(np.int8)
    if dtype == np.float32:
        return (pixels.astype(np.float32) - 127.5) / 127.5
    return pixels


def compare(model):
    """Compares one model. Gives its figures."""
    name, dtype, shape = model["name"], TYPES[model["type"]], model["shape"]
    n, classes = len(model["photos"]), len(model["labels"])
    inputs = np.fromfile(model["inputs"], dtype=dtype).reshape([n] + shape)
    want = np.fromfile(model["scores"], dtype=np.float32).reshape(n, classes)
    figures = {"model": name, "version": version("ai-edge-litert"), "photos": n}

    for program, resolver in (
        ("ai-edge-litert", OpResolverType.AUTO),
        ("ai-edge-litert without XNNPACK", OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES),
    ):
        scores = run(Interpreter(model["file"], experimental_op_resolver_type=resolver), inputs)
        same = int((scores.argmax(axis=1) == want.argmax(axis=1)).sum())
        worst = float(np.abs(scores - want).max())
        text = f"{name}: {program}: same top-1 on {same} of {n} photos, scores within {worst:.4f}"
        # Other kernels round in other places, in each of 57 convolutions: their figures are told, not judged.
        if resolver == OpResolverType.AUTO:
            check(same == n and worst <= MAX_DIFFERENCE, text)
        else:
            print("      " + text)
        figures[program] = {"same_top1": same, "score_difference": worst}

    files, labels = labels_in(model["file"])
    check(labels == model["labels"] and len(labels) == classes, f"{name}: zip lists {files}, {len(labels)} labels")

    tensors = [with_pillow(p, shape[1], shape[2], dtype) for p in model["photos"]]
    scores = run(Interpreter(model["file"]), tensors)
    share = float((scores.argmax(axis=1) == want.argmax(axis=1)).mean())
    check(share >= MIN_PILLOW_AGREEMENT, f"{name}: photos prepared by Pillow alone: same top-1 on {100 * share:.1f} %")
    figures["pillow_agreement"] = share
    return figures


def main():
    folder = pathlib.Path(sys.argv[1])
    models = json.loads((folder / "sightd.json").read_text())
    figures = [compare(model) for model in models]
    (folder / "peers.json").write_text(json.dumps(figures, indent=2))
    print(f"{failures} checks failed" if failures else "all checks passed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
