"""The pictures that programs are timed on: speed_pictures.py PHOTOS OUT

OUT/500px/          every photo as a JPEG whose long side is 500 pixels
OUT/12MP/           MANY photos as JPEGs of 4000x3000 pixels, with noise such as a sensor's, so that their files have a camera's size;
                    each REPEATED times, as links, so that a run takes long enough
OUT/SET, fifth/     links to every fifth picture of a set, for slow programs
OUT/SET, one/       a link to its first picture, for the time that a program needs before the first picture

What is there already is kept.
"""

import os
import pathlib
import sys

import cv2
import numpy as np

LONG_SIDE, QUALITY = 500, 90
MANY, REPEATED, LARGE, NOISE = 16, 3, (4000, 3000), 6.0


def write(file, picture):
    """Writes a JPEG."""
    if not cv2.imwrite(str(file), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
        raise OSError(f"write {file}: OpenCV gives no reason")


def small(photo):
    """A photo with the long side that web pages and messengers give it."""
    scale = LONG_SIDE / max(photo.shape[:2])
    return cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)


def large(photo, random):
    """A photo as large as a camera's, squashed to its shape."""
    grown = cv2.resize(photo, LARGE, interpolation=cv2.INTER_CUBIC)
    noise = random.standard_normal(grown.shape, np.float32) * NOISE
    return np.clip(grown + noise, 0, 255).astype(np.uint8)


def link(file, folder, name):
    """Makes folder have the file under a name."""
    folder.mkdir(exist_ok=True)
    if not (folder / name).exists():
        os.link(file, folder / name)


def make(photos, folder, picture):
    """Writes a set's pictures that aren't there."""
    folder.mkdir(parents=True, exist_ok=True)
    for photo in photos:
        file = folder / photo.name
        if not file.exists():
            write(file, picture(cv2.imread(str(photo))))


def main():
    photos, out = sorted(pathlib.Path(sys.argv[1]).glob("*.jpg")), pathlib.Path(sys.argv[2])
    if len(photos) < MANY:
        raise ValueError(f"list {sys.argv[1]}: want {MANY} photos or more, have {len(photos)}")
    random = np.random.default_rng(1)
    make(photos, out / "500px", small)
    some = photos[:: len(photos) // MANY][:MANY]
    make(some, out / "12MP", lambda photo: large(photo, random))
    for photo in some:
        for i in range(1, REPEATED):
            link(out / "12MP" / photo.name, out / "12MP", f"{photo.stem}_{i}.jpg")
    for name in ("500px", "12MP"):
        files = sorted((out / name).iterdir())
        for i in range(0, len(files), 5):
            link(files[i], out / f"{name}, fifth", files[i].name)
        link(files[0], out / f"{name}, one", files[0].name)
        print(f"{name}: {len(files)} pictures of {sum(f.stat().st_size for f in files) / len(files) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
