"""BVLC's GoogLeNet, computed from the definition in its deploy.prototxt with NumPy alone.

It is the judge of other computations of the network, so it shares nothing with them: Caffe's layouts (NCHW, OIHW), padding and
ceil-mode pooling done literally, local response normalization by its formula, a sum of products for a convolution. It is as slow as
that sounds: a quarter of a second a photo.

bvlc.py CAFFEMODEL OUT [N]: writes OUT/reference_logits.npy and reference_scores.npy (float64 [n, 1000], in the order of
OUT/photos.json; the scores are the logits' softmax) for OUT/photos_224.npy, or its first N photos, and prints the share whose best class
is right.
"""

import pathlib
import sys

import numpy as np

import caffe
import photos

# Mean of each input channel, in BGR. It isn't in the prototxt: Caffe's data layer subtracted it in training.
MEAN = (104, 117, 123)

# The channels of an inception module's convolutions, which only the weights' shapes say, are not repeated here.
MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
POOL_BEHIND = {"3b": "pool3", "4e": "pool4"}  # 3x3 maximum, stride 2


class Network:
    """The network with its weights as float64, or as another type."""

    def __init__(self, layers, dtype=np.float64):
        self.layers = {name: (w.astype(dtype), b.astype(dtype)) for name, (w, b) in layers.items()}
        self.dtype = dtype

    def convolution(self, x, name, stride=1, pad=0):
        """Convolution and ReLU. Each is followed by one, in place."""
        weight, bias = self.layers[name]
        return np.maximum(convolve(x, weight, stride, pad) + bias[:, None, None], 0)

    def inception(self, x, name):
        """The four branches, joined along the channels."""
        at = f"inception_{name}/"
        b1 = self.convolution(x, at + "1x1")
        b2 = self.convolution(self.convolution(x, at + "3x3_reduce"), at + "3x3", pad=1)
        b3 = self.convolution(self.convolution(x, at + "5x5_reduce"), at + "5x5", pad=2)
        b4 = self.convolution(pool(x, 3, 1, 1, np.max), at + "pool_proj")
        return np.concatenate((b1, b2, b3, b4))

    def logits(self, pixels):
        """The classifier's 1000 outputs for one picture, uint8 [224, 224, 3] RGB."""
        x = pixels[:, :, ::-1].astype(self.dtype) - np.array(MEAN, self.dtype)
        x = x.transpose(2, 0, 1)
        x = self.convolution(x, "conv1/7x7_s2", stride=2, pad=3)
        x = normalize(pool(x, 3, 2, 0, np.max))
        x = self.convolution(x, "conv2/3x3_reduce")
        x = normalize(self.convolution(x, "conv2/3x3", pad=1))
        x = pool(x, 3, 2, 0, np.max)
        for name in MODULES:
            x = self.inception(x, name)
            if name in POOL_BEHIND:
                x = pool(x, 3, 2, 0, np.max)
        x = pool(x, 7, 1, 0, np.mean).reshape(-1)
        weight, bias = self.layers["loss3/classifier"]
        return weight.reshape(-1, x.size) @ x + bias


def convolve(x, weight, stride, pad):
    """A convolution as Caffe has it: zeros around the map, outputs rounded down."""
    out, _, kernel, _ = weight.shape
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    patches = np.lib.stride_tricks.sliding_window_view(x, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    _, height, width = patches.shape[:3]
    columns = patches.transpose(0, 3, 4, 1, 2).reshape(-1, height * width)
    return (weight.reshape(out, -1) @ columns).reshape(out, height, width)


def pool(x, kernel, stride, pad, reduce):
    """Pooling as Caffe has it: outputs rounded up, less one that would begin beyond the map and the padding before it. A window is cut to
    the map, so that neither padding nor what lies beyond takes part. (Caffe's average counts its padding; the network's one has none.)"""
    channels, size, _ = x.shape
    outputs = -(-(size + 2 * pad - kernel) // stride) + 1
    if pad and (outputs - 1) * stride >= size + pad:
        outputs -= 1
    y = np.empty((channels, outputs, outputs), x.dtype)
    for i in range(outputs):
        top, bottom = max(i * stride - pad, 0), min(i * stride - pad + kernel, size)
        for j in range(outputs):
            left, right = max(j * stride - pad, 0), min(j * stride - pad + kernel, size)
            y[:, i, j] = reduce(x[:, top:bottom, left:right], axis=(1, 2))
    return y


def normalize(x, local_size=5, alpha=1e-4, beta=0.75):
    """Local response normalization across channels: each value over (1 + alpha/5 * the sum of the squares of its 5 neighbours)^beta."""
    half = local_size // 2
    squares = np.pad(x * x, ((half, half), (0, 0), (0, 0)))
    around = sum(squares[d : d + len(x)] for d in range(local_size))
    return x / (1 + alpha / local_size * around) ** beta


def softmax(logits):
    """Of each row."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def main():
    model, out = sys.argv[1], pathlib.Path(sys.argv[2])
    _, classes, pixels = photos.load(out)
    n = int(sys.argv[3]) if len(sys.argv) > 3 else len(pixels)
    network = Network(caffe.read(model))
    logits = np.array([network.logits(photo) for photo in pixels[:n]])
    np.save(out / "reference_logits.npy", logits)
    np.save(out / "reference_scores.npy", softmax(logits))
    print(f"float64 computation: {100 * (logits.argmax(axis=1) == classes[:n]).mean():.1f} % top-1 of {n} photos")


if __name__ == "__main__":
    main()
