"""Reads the weights of a .safetensors file. Needs NumPy only, not the package safetensors."""

import json
import pathlib

import numpy as np


def read(path):
    """{name: array} of a .safetensors file of float32 and int64 tensors."""
    data = pathlib.Path(path).read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    types, found = {"F32": "<f4", "I64": "<i8"}, {}
    for name, entry in json.loads(data[8:begin]).items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            found[name] = np.frombuffer(data[begin + first : begin + last], types[entry["dtype"]]).reshape(entry["shape"])
    return found
