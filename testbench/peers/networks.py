"""GoogLeNet in TensorFlow's own operators, as one writes it for TensorFlow's converter: BVLC's and torchvision's layout.

build(network, weights, size, end) gives a tf.function of one float32 picture [1, size, size, 3]. Its input is the network's
own, in INPUT's form; inputs.py prepares it from pixels. Its output is the scores (end "softmax") or the logits (end "logits"),
[1, classes].

Pools with stride 2 are padded SAME, which is Caffe's and torch's ceil mode on maps of an even size, so size is a multiple of 32.
"""

import numpy as np
import tensorflow as tf

import caffe
import plain_safetensors

INPUT = {"bvlc": "bgr", "torchvision": "unit"}
MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
BATCH_NORM_EPSILON = 0.001


def convolve(x, weight, stride, pad):
    """A convolution with OIHW weights. Where the padding isn't SAME's, zeros are put around the map first."""
    kernel = tf.constant(np.ascontiguousarray(weight.transpose(2, 3, 1, 0), np.float32))
    if stride == 1:
        return tf.nn.conv2d(x, kernel, 1, "SAME")
    return tf.nn.conv2d(tf.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0))), kernel, stride, "VALID")


class Bvlc:
    """BVLC's layers: convolutions with biases, local response normalization, a 5x5 convolution in the third branch."""

    pools = {"3b": 3, "4e": 3}

    def __init__(self, path):
        self.layers = caffe.read(path)

    def convolution(self, x, name, stride=1, pad=0):
        weight, bias = self.layers[name]
        return tf.nn.relu(tf.nn.bias_add(convolve(x, weight, stride, pad), bias))

    def normalize(self, x):
        return tf.nn.local_response_normalization(x, depth_radius=2, bias=1.0, alpha=1e-4 / 5, beta=0.75)

    def stem(self, x):
        x = self.convolution(x, "conv1/7x7_s2", stride=2, pad=3)
        x = self.normalize(tf.nn.max_pool2d(x, 3, 2, "SAME"))
        x = self.convolution(x, "conv2/3x3_reduce")
        return tf.nn.max_pool2d(self.normalize(self.convolution(x, "conv2/3x3")), 3, 2, "SAME")

    def branches(self, x, module):
        at = f"inception_{module}/"
        return (
            self.convolution(x, at + "1x1"),
            self.convolution(self.convolution(x, at + "3x3_reduce"), at + "3x3"),
            self.convolution(self.convolution(x, at + "5x5_reduce"), at + "5x5"),
            self.convolution(tf.nn.max_pool2d(x, 3, 1, "SAME"), at + "pool_proj"),
        )

    def classifier(self):
        weight, bias = self.layers["loss3/classifier"]
        return weight.reshape(len(bias), -1), bias


class Torchvision:
    """torchvision's layers: convolutions without biases, each followed by batch normalization."""

    pools = {"3b": 3, "4e": 2}

    def __init__(self, path):
        self.tensors = plain_safetensors.read(path)

    def convolution(self, x, name, stride=1, pad=0):
        t = self.tensors
        x = convolve(x, t[name + ".conv.weight"], stride, pad)
        scale, offset = t[name + ".bn.weight"], t[name + ".bn.bias"]
        mean, variance = t[name + ".bn.running_mean"], t[name + ".bn.running_var"]
        return tf.nn.relu(tf.nn.batch_normalization(x, mean, variance, offset, scale, BATCH_NORM_EPSILON))

    def stem(self, x):
        x = tf.nn.max_pool2d(self.convolution(x, "conv1", stride=2, pad=3), 3, 2, "SAME")
        return tf.nn.max_pool2d(self.convolution(self.convolution(x, "conv2"), "conv3"), 3, 2, "SAME")

    def branches(self, x, module):
        at = f"inception{module}."
        return (
            self.convolution(x, at + "branch1"),
            self.convolution(self.convolution(x, at + "branch2.0"), at + "branch2.1"),
            self.convolution(self.convolution(x, at + "branch3.0"), at + "branch3.1"),
            self.convolution(tf.nn.max_pool2d(x, 3, 1, "SAME"), at + "branch4.1"),
        )

    def classifier(self):
        return self.tensors["fc.weight"], self.tensors["fc.bias"]


def build(network, weights, size, end):
    """The network as a tf.function."""
    layers = {"bvlc": Bvlc, "torchvision": Torchvision}[network](weights)

    @tf.function(input_signature=[tf.TensorSpec([1, size, size, 3], tf.float32, name="input")])
    def classify(picture):
        x = layers.stem(picture)
        for module in MODULES:
            x = tf.concat(layers.branches(x, module), axis=3)
            if module in layers.pools:
                x = tf.nn.max_pool2d(x, layers.pools[module], 2, "SAME")
        x = tf.reduce_mean(x, axis=(1, 2))
        weight, bias = layers.classifier()
        logits = tf.nn.bias_add(tf.matmul(x, np.ascontiguousarray(weight.T, np.float32)), bias)
        return tf.nn.softmax(logits) if end == "softmax" else logits

    return classify
