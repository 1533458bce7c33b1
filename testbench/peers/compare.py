"""Compares .tflite files of BVLC's GoogLeNet with the float network on the photos that each wasn't calibrated on.

compare.py OUT SPEC.json RESULT.json: OUT has photos.json, photos_224.npy and reference_logits.npy. SPEC.json is a list of
    {"program": "tensorflow",   who made the file
     "fold": "a",               the half that it was calibrated on; "" for a float file, which is scored on all photos
     "file": "….tflite",
     "form": "bgr",             of its input: inputs.py
     "end": "softmax"}          what its output 0 is: softmax or logits
Prints a line a file and writes the figures of each, and of both folds of a program together, to RESULT.json.

What the figures are:
    agreement   photos whose best class is the float network's; of equal scores the first class is the best
    top1        photos whose best class is their label; float_top1 the same of the float network
    mcnemar_p   two-sided exact p-value of lost (float alone is right) against gained (this file alone is right)
    kl          mean over the photos of the sum of p*log(p/q), p the float network's scores, q the file's, in nats
    score_difference, logit_difference    the largest of any photo and class; of logits only where the file gives them

An int8 softmax has steps of 1/256: of 1000 classes it rounds nearly all to 0, where the divergence has no value. kl is null then; a
program's logits say more, and are the kinder figure.
"""

import json
import math
import pathlib
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter

import inputs
import photos
from bvlc import softmax

LEAST = 1e-30  # for a float score that was rounded to 0


def run(entry, pixels):
    """The file's output 0 for each photo as float64, and whether it is stored as integers."""
    interpreter = Interpreter(entry["file"], num_threads=1)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for photo in pixels:
        interpreter.set_tensor(taken["index"], inputs.tensor(entry["form"], photo[None], taken))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(given["index"])[0].astype(np.float64))
    values = np.array(rows)
    if given["dtype"] == np.float32:
        return values, False
    scale, zero = given["quantization"]
    return (values - zero) * scale, True


def mcnemar(lost, gained):
    """The two-sided exact p-value: how likely so uneven a split of the photos is where either was as likely as the other."""
    n = lost + gained
    tail = sum(math.comb(n, k) for k in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / 2**n)


class Counts:
    """The figures of one file, or of both folds' together."""

    def __init__(self, program, fold):
        self.program, self.fold = program, fold
        self.n = self.same = self.right = self.float_right = self.top5 = self.lost = self.gained = 0
        self.kl = self.score_difference = 0.0
        self.logit_difference = None

    def count(self, reference, scores, labels):
        """Adds photos: the reference's logits, the file's scores, and the right classes."""
        wanted = softmax(reference)
        right, float_right = scores.argmax(axis=1) == labels, wanted.argmax(axis=1) == labels
        self.n += len(labels)
        self.same += int((scores.argmax(axis=1) == wanted.argmax(axis=1)).sum())
        self.right += int(right.sum())
        self.float_right += int(float_right.sum())
        self.top5 += int((np.argsort(-scores, axis=1, kind="stable")[:, :5] == labels[:, None]).any(axis=1).sum())
        self.lost += int((float_right & ~right).sum())
        self.gained += int((right & ~float_right).sum())
        self.score_difference = max(self.score_difference, float(np.abs(scores - wanted).max()))
        self.kl += float((wanted * np.log(wanted / np.maximum(scores, LEAST))).sum())

    def add(self, other):
        for name in ("n", "same", "right", "float_right", "top5", "lost", "gained", "kl"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.score_difference = max(self.score_difference, other.score_difference)

    def figures(self):
        return {
            "program": self.program,
            "fold": self.fold,
            "n": self.n,
            "same": self.same,
            "agreement": self.same / self.n,
            "top1": self.right / self.n,
            "float_top1": self.float_right / self.n,
            "top5": self.top5 / self.n,
            "lost": self.lost,
            "gained": self.gained,
            "mcnemar_p": mcnemar(self.lost, self.gained),
            "kl": None if math.isnan(self.kl) else self.kl / self.n,
            "score_difference": self.score_difference,
            "logit_difference": self.logit_difference,
        }


def judge(entry, out, reference):
    """The counts of one file."""
    names, classes, pixels = photos.load(out)
    where = photos.scored(names, entry["fold"]) if entry["fold"] else list(range(len(names)))
    values, integer = run(entry, pixels[where])
    counts = Counts(entry["program"], entry["fold"])
    if entry["end"] == "logits":
        counts.logit_difference = float(np.abs(values - reference[where]).max())
        values = softmax(values)
    elif integer:
        counts.kl = math.nan
    counts.count(reference[where], values, classes[where])
    return counts


def line(f):
    kl = "-" if f["kl"] is None else f"{f['kl']:.5f}"
    return (
        f"{f['program']:26} {f['fold'] or 'all':4} n {f['n']}  agreement {100 * f['agreement']:.1f} %  KL {kl}"
        f"  top-1 {100 * f['top1']:.1f} % (float {100 * f['float_top1']:.1f} %, p {f['mcnemar_p']:.2f})"
        f"  scores within {f['score_difference']:.2g}"
    )


def main():
    out, spec, result = (pathlib.Path(a) for a in sys.argv[1:4])
    reference = np.load(out / "reference_logits.npy")
    figures, together = [], {}
    for entry in json.loads(spec.read_text()):
        counts = judge(entry, out, reference)
        figures.append(counts.figures())
        print(line(figures[-1]), flush=True)
        if entry["fold"]:
            together.setdefault(entry["program"], Counts(entry["program"], "both")).add(counts)
    for counts in together.values():
        figures.append(counts.figures())
        print(line(figures[-1]))
    result.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
