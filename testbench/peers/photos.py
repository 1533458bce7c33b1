"""The photos that programs are compared on, the two halves of the 500 labelled ones, and their pixels.

photos.py folds PHOTOS OUT: PHOTOS/CCC_nXXXXXXXX.jpg are the labelled photos, one a class, CCC is the class. Writes
    OUT/photos.json          {"names", "classes"}: the names sorted, and the class of each
    OUT/photos_224.npy       the pixels, uint8 [n, 224, 224, 3] RGB, in the order of the names, unless it is there already
    OUT/fold_a.json, …_b     positions of the photos of each half that a network is calibrated on
    OUT/fold_a/, fold_b/     links to them
    OUT/score_a/, score_b/   links to the photos that a network is scored on which was calibrated on fold_a, fold_b: the other half
photos.py pixels FOLDER OUT.npy SIZE: writes the pixels of all photos below FOLDER, sorted by path, unless OUT.npy is there already.

The rule, here and nowhere else: of the photos sorted by name the even positions are half a, the odd ones half b. The first
CALIBRATION photos of a half are calibrated on; all photos of the other half are scored on.

The pixels should be sightd's own, so that all programs are given the same ones: a .npy that is there is kept. Else they are prepared
by OpenCV as sightd does it: the whole photo squashed to a square by INTER_AREA. Photos that would have to grow are refused.
"""

import json
import os
import pathlib
import sys

import numpy as np

SIZE = 224
CALIBRATION = 200
FOLDS = ("a", "b")


def halves(names):
    """{"a": positions, "b": positions} of the names, which have to be sorted."""
    if list(names) != sorted(names):
        raise ValueError("split the photos: want their names sorted")
    return {"a": list(range(0, len(names), 2)), "b": list(range(1, len(names), 2))}


def calibration(names, fold):
    """The positions of the photos that a fold calibrates on."""
    return halves(names)[fold][:CALIBRATION]


def scored(names, fold):
    """The positions of the photos that a fold's network is scored on."""
    return halves(names)["b" if fold == "a" else "a"]


def load(out):
    """What OUT has: names, classes, and the pixels, which are read as they are used."""
    listed = json.loads((pathlib.Path(out) / "photos.json").read_text())
    pixels = np.load(pathlib.Path(out) / f"photos_{SIZE}.npy", mmap_mode="r")
    want = (len(listed["names"]), SIZE, SIZE, 3)
    if pixels.shape != want or pixels.dtype != np.uint8:
        raise ValueError(f"read photos_{SIZE}.npy: want uint8 {want}, have {pixels.dtype} {pixels.shape}")
    return listed["names"], np.array(listed["classes"]), pixels


def prepare(file, size):
    """A photo's pixels, squashed to size by size."""
    import cv2  # only here: where sightd has written the pixels, OpenCV isn't needed

    decoded = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if decoded is None or min(decoded.shape[:2]) < size:
        have = "none" if decoded is None else f"{decoded.shape[1]}x{decoded.shape[0]}"
        raise ValueError(f"read {file}: want a picture of at least {size}x{size}, have {have}")
    return cv2.cvtColor(cv2.resize(decoded, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)


def write_pixels(files, where, size):
    """Writes the photos' pixels, unless they are there."""
    if not where.exists():
        np.save(where, np.array([prepare(file, size) for file in files]))


def link(files, folder):
    """Makes folder hold links to the files and nothing else."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for file in files:
        os.symlink(file.resolve(), folder / file.name)


def write_folds(source, out):
    """Writes what the first form of the command line promises."""
    out.mkdir(exist_ok=True)
    files = sorted(source.glob("*.jpg"), key=lambda file: file.name)
    names = [file.name for file in files]
    listed = {"names": names, "classes": [int(name.split("_")[0]) for name in names]}
    (out / "photos.json").write_text(json.dumps(listed, indent=1))
    for fold in FOLDS:
        chosen = calibration(names, fold)
        (out / f"fold_{fold}.json").write_text(json.dumps(chosen))
        link([files[i] for i in chosen], out / f"fold_{fold}")
        link([files[i] for i in scored(names, fold)], out / f"score_{fold}")
    write_pixels(files, out / f"photos_{SIZE}.npy", SIZE)
    print(f"{len(files)} photos: each half calibrates on {CALIBRATION} and is scored on the other's {len(files) // 2}")


def main():
    command, source, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    if command == "folds":
        write_folds(source, out)
    elif command == "pixels":
        files = [f for f in sorted(source.rglob("*")) if f.suffix.lower() in (".jpg", ".jpeg", ".png")]
        write_pixels(files, out, int(sys.argv[4]))
    else:
        raise ValueError(f"read the command line: want folds or pixels, have {command}")


if __name__ == "__main__":
    main()
