"""GoogLeNet as PyTorch modules, for litert-torch: BVLC's layout, written here, and torchvision's.

build(network, weights, end) gives a module in evaluation mode from the network's own input, float32 [n, 3, size, size] in the form that
INPUT names (inputs.py), to the scores (end "softmax") or the logits (end "logits"), [n, classes].
"""

import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file
from torch import nn

import caffe

INPUT = {"bvlc": "bgr", "torchvision": "unit"}
MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")


class Bvlc(nn.Module):
    """BVLC's layers by their names in the prototxt, with a .caffemodel's weights."""

    def __init__(self, path):
        super().__init__()
        self.norm1, self.norm2 = (nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0) for _ in range(2))
        self.convolutions = nn.ModuleDict()
        for name, (weight, bias) in caffe.read(path).items():
            if name == "loss3/classifier":
                self.classifier = nn.Linear(weight.shape[-1], len(bias))
                layer, weight = self.classifier, weight.reshape(len(bias), -1)
            else:
                out, channels, kernel, _ = weight.shape
                layer = nn.Conv2d(channels, out, kernel, stride=2 if kernel == 7 else 1, padding=kernel // 2)
                self.convolutions[name] = layer
            layer.load_state_dict({"weight": torch.tensor(weight), "bias": torch.tensor(bias)})

    def convolution(self, x, name):
        return F.relu(self.convolutions[name](x))

    def inception(self, x, module):
        at = f"inception_{module}/"
        return torch.cat(
            (
                self.convolution(x, at + "1x1"),
                self.convolution(self.convolution(x, at + "3x3_reduce"), at + "3x3"),
                self.convolution(self.convolution(x, at + "5x5_reduce"), at + "5x5"),
                self.convolution(F.max_pool2d(x, 3, 1, padding=1), at + "pool_proj"),
            ),
            dim=1,
        )

    def forward(self, x):
        x = self.convolution(x, "conv1/7x7_s2")
        x = self.norm1(F.max_pool2d(x, 3, 2, ceil_mode=True))
        x = self.convolution(self.convolution(x, "conv2/3x3_reduce"), "conv2/3x3")
        x = F.max_pool2d(self.norm2(x), 3, 2, ceil_mode=True)
        for module in MODULES:
            x = self.inception(x, module)
            if module in ("3b", "4e"):
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return self.classifier(x.mean(dim=(2, 3)))


def load_torchvision(path):
    """torchvision's GoogLeNet without auxiliary heads, with a .safetensors file's weights."""
    state = load_file(path)
    network = torchvision.models.googlenet(num_classes=len(state["fc.bias"]), aux_logits=False, transform_input=False, init_weights=False)
    network.load_state_dict(state)
    return network


def build(network, weights, end):
    """The network as a module."""
    module = {"bvlc": Bvlc, "torchvision": load_torchvision}[network](weights)
    if end == "softmax":
        module = nn.Sequential(module, nn.Softmax(dim=1))
    return module.eval()
