"""Input tensors made of pixels, uint8 [n, size, size, 3] RGB, in each form that a network wants.

    pixels  as they are; an int8 input takes them less 128
    unit    RGB in [-1, 1]: pixel/127.5 - 1, torchvision's published weights
    bgr     BGR less BVLC's mean 104, 117, 123
    rgb     the same in RGB: less 123, 117, 104

An int8 or uint8 input of any form but pixels is quantized as the file says.
"""

import numpy as np

BVLC_MEAN = (104.0, 117.0, 123.0)  # of BGR, 0..255
FORMS = ("pixels", "unit", "bgr", "rgb")


def real(form, pixels):
    """The values that the network computes with, float32."""
    values = np.asarray(pixels, np.float32)
    mean = np.array(BVLC_MEAN, np.float32)
    if form == "bgr":
        return values[..., ::-1] - mean
    if form == "rgb":
        return values - mean[::-1]
    if form == "unit":
        return values / np.float32(127.5) - 1
    raise ValueError(f"prepare an input: want one of {FORMS}, have {form}")


def tensor(form, pixels, detail):
    """The input tensor that an interpreter's detail describes."""
    dtype = np.dtype(detail["dtype"])
    if form == "pixels":
        if dtype == np.uint8:
            return np.asarray(pixels)
        if dtype == np.int8:
            return (np.asarray(pixels, np.int16) - 128).astype(np.int8)
        raise ValueError(f"prepare an input of pixels: want type uint8 or int8, have {dtype}")
    values = real(form, pixels)
    if dtype == np.float32:
        return values
    scale, zero = detail["quantization"]
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero, limits.min, limits.max).astype(dtype)
