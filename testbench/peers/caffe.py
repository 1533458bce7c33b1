"""Reads the weights of a .caffemodel: Caffe's NetParameter as a binary protobuf.

Needs NumPy only. Reads V1 layers (field 2) and V2 layers (field 100), packed floats, and a blob's shape in either form. Reads no
layer's settings: what a layer does is in the .prototxt.
"""

import pathlib

import numpy as np

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

# Field numbers of caffe.proto: of NetParameter the layers of both versions, and of such a layer its name and its blobs.
LAYERS = {2: {"name": 4, "blobs": 6}, 100: {"name": 1, "blobs": 7}}

# Field numbers of BlobProto and, in its shape, of BlobShape.
LEGACY_SHAPE, DATA, SHAPE, DIM = (1, 2, 3, 4), 5, 7, 1


def varint(data, at):
    """The number at an offset, and the offset behind it."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data):
    """The fields of a message: number, wire type, and value. That of BYTES is a memoryview, that of the fixed types is left out."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        number, wire = key >> 3, key & 7
        value = None
        if wire == VARINT:
            value, at = varint(data, at)
        elif wire == BYTES:
            size, at = varint(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise ValueError(f"read field {number}: want wire type 0, 1, 2 or 5, have {wire}")
        if at > len(data):
            raise ValueError(f"read field {number}: want it to end within {len(data)} bytes, ends at {at}")
        yield number, wire, value


def shape_of(message):
    """The dimensions in a BlobShape, packed or one by one."""
    dims = []
    for number, wire, value in fields(message):
        if number != DIM:
            continue
        if wire == VARINT:
            dims.append(value)
            continue
        at = 0
        while at < len(value):
            dim, at = varint(value, at)
            dims.append(dim)
    return dims


def blob(message):
    """A blob's values as a float32 array. Leading dimensions of 1 of the legacy shape stay."""
    legacy, shape, values = dict.fromkeys(LEGACY_SHAPE, 1), None, []
    for number, wire, value in fields(message):
        if number in LEGACY_SHAPE and wire == VARINT:
            legacy[number] = value
        elif number == SHAPE and wire == BYTES:
            shape = shape_of(value)
        elif number == DATA and wire == BYTES:
            values.append(np.frombuffer(value, "<f4"))
        elif number == DATA:
            raise ValueError("read a blob: want packed floats, have one a field")
    return np.concatenate(values).reshape(shape or [legacy[number] for number in LEGACY_SHAPE])


def read(path):
    """{layer: (weight, bias)} of the layers that have two blobs. The bias is flat; the weight is OIHW, a classifier's 1,1,O,I."""
    found = {}
    for number, wire, layer in fields(memoryview(pathlib.Path(path).read_bytes())):
        if number not in LAYERS or wire != BYTES:
            continue
        numbers, name, blobs = LAYERS[number], None, []
        for part, _, value in fields(layer):
            if part == numbers["name"]:
                name = bytes(value).decode()
            elif part == numbers["blobs"]:
                blobs.append(blob(value))
        if len(blobs) == 2:
            found[name] = (blobs[0], blobs[1].reshape(-1))
    return found
