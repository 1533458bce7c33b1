"""The command line that converter.py and litert_convert.py share: NETWORK WEIGHTS PIXELS OUT [--end] [--type] [--photos]."""

import argparse
import json
import pathlib

import numpy as np


def parser():
    """An ArgumentParser to which a program may add what it alone has."""
    p = argparse.ArgumentParser()
    p.add_argument("network", choices=("bvlc", "torchvision"))
    p.add_argument("weights")
    p.add_argument("pixels")
    p.add_argument("out", type=pathlib.Path)
    p.add_argument("--end", choices=("softmax", "logits"), default="softmax")
    p.add_argument("--type", choices=("int8", "float32"), default="int8")
    p.add_argument("--photos", type=pathlib.Path)
    return p


def pixels(arguments):
    """The pixels to calibrate on, uint8 [n, size, size, 3]: those at the positions that --photos lists, or all."""
    every = np.load(arguments.pixels, mmap_mode="r")
    positions = json.loads(arguments.photos.read_text()) if arguments.photos else range(len(every))
    return every[list(positions)]
