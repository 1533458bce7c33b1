"""Compares float .tflite files made of torchvision_states.py's state dicts with PyTorch's own logits.

torchvision_compare.py PHOTOS.npy OUT RESULT.json FILE.tflite...: PHOTOS.npy as for torchvision_states.py, OUT/torch_logits.npy from it.
Each FILE takes float32 RGB in [-1, 1], its output 0 is the scores, and one tensor before that, [1, classes] too, is the logits. Writes
for each file the largest difference of a logit, in plain kernels, whose logits can be read, and with XNNPACK that of a score and the
photos with the same five best classes in the same order. Exits with 1 where a logit is off by more than 1e-3 or a photo's classes differ.
"""

import json
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

import inputs
from bvlc import softmax

MAX_DIFFERENCE = 1e-3


def run(interpreter, pixels, index):
    """A tensor's values for each photo."""
    where = interpreter.get_input_details()[0]
    rows = []
    for photo in pixels:
        interpreter.set_tensor(where["index"], inputs.tensor("unit", photo[None], where))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(index)[0].astype(np.float64))
    return np.array(rows)


def logits_of(file, pixels):
    """The logits, read from within the network."""
    interpreter = Interpreter(
        file,
        experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    interpreter.allocate_tensors()
    output = interpreter.get_output_details()[0]
    found = [
        detail["index"]
        for detail in interpreter.get_tensor_details()
        if list(detail["shape"]) == list(output["shape"]) and detail["index"] != output["index"]
    ]
    if len(found) != 1:
        raise ValueError(f"read {file}: want 1 tensor of shape {list(output['shape'])} beside the output, have {len(found)}")
    return run(interpreter, pixels, found[0])


def compare(file, pixels, want):
    """One file's figures."""
    logits = logits_of(file, pixels)
    interpreter = Interpreter(file)
    interpreter.allocate_tensors()
    scores = run(interpreter, pixels, interpreter.get_output_details()[0]["index"])
    best = [np.argsort(-values, axis=1, kind="stable")[:, :5] for values in (want, scores)]
    return {
        "file": pathlib.Path(file).name,
        "photos": len(want),
        "logit_difference": float(np.abs(logits - want).max()),
        "score_difference": float(np.abs(scores - softmax(want)).max()),
        "same_top5": int((best[0] == best[1]).all(axis=1).sum()),
    }


def main():
    want = np.load(pathlib.Path(sys.argv[2]) / "torch_logits.npy").astype(np.float64)
    pixels = np.load(sys.argv[1], mmap_mode="r")[: len(want)]
    figures = [compare(file, pixels, want) for file in sys.argv[4:]]
    pathlib.Path(sys.argv[3]).write_text(json.dumps(figures, indent=1))
    good = True
    for f in figures:
        ok = f["logit_difference"] <= MAX_DIFFERENCE and f["same_top5"] == f["photos"]
        good = good and ok
        print(
            f"{'ok   ' if ok else 'FAIL '} {f['file']}: logits within {f['logit_difference']:.2g} of PyTorch's, scores within"
            f" {f['score_difference']:.2g}, same five best on {f['same_top5']} of {f['photos']} photos"
        )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
