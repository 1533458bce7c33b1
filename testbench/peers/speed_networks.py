"""The default network in the forms that other programs take: speed_networks.py WEIGHTS.safetensors CALIBRATION OUT

OUT/float.onnx                     torchvision's GoogLeNet with float weights, batch norms folded into the convolutions
OUT/int8.onnx                      the same quantized by ONNX Runtime as its guide says for x86: QDQ, a scale for each channel, calibrated
                                   on a hundred of the photos below CALIBRATION
OUT/float.ncnn.param, …bin         the same as float.onnx, converted by pnnx

Their input is RGB, pixel/127.5-1, [1, 3, SIZE, SIZE]; their output is the scores.
"""

import importlib.util
import pathlib
import subprocess
import sys

import cv2
import numpy as np

import plain_safetensors

SIZE = 160  # that of the default model
MODULES = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
POOL_BEHIND = {"3b": 3, "4e": 2}  # the window's side; stride 2
BATCH_NORM_EPSILON = 0.001
CALIBRATION = 100


def tensor(picture):
    """The input for a picture of OpenCV's with the network's size."""
    return cv2.dnn.blobFromImage(picture, 1 / 127.5, mean=(127.5, 127.5, 127.5), swapRB=True)


class Graph:
    """The network's nodes as they come, and the weights that they take."""

    def __init__(self, tensors):
        self.tensors, self.nodes, self.weights = tensors, [], []

    def add(self, kind, inputs, **attributes):
        """A node. Gives the name of its output."""
        from onnx import helper  # only here: the programs that are timed import this file, too

        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def weight(self, name, values):
        """A constant. Gives its name."""
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values, np.float32), name))
        return name

    def convolution(self, x, name, stride=1):
        """Convolution, batch norm and ReLU."""
        t = {key: self.tensors[f"{name}.bn.{key}"] for key in ("weight", "bias", "running_mean", "running_var")}
        kernel = self.tensors[name + ".conv.weight"]
        scale = t["weight"] / np.sqrt(t["running_var"] + BATCH_NORM_EPSILON)
        inputs = [
            x,
            self.weight(name + ".weight", kernel * scale[:, None, None, None]),
            self.weight(name + ".bias", t["bias"] - t["running_mean"] * scale),
        ]
        side = kernel.shape[2]
        x = self.add("Conv", inputs, kernel_shape=[side, side], strides=[stride, stride], pads=[side // 2] * 4)
        return self.add("Relu", [x])

    def pool(self, x, side, stride):
        """The maximum; with stride 2 in ceil mode, with stride 1 of a map that is padded."""
        how = {"ceil_mode": 1} if stride == 2 else {"pads": [side // 2] * 4}
        return self.add("MaxPool", [x], kernel_shape=[side, side], strides=[stride, stride], **how)

    def inception(self, x, module):
        """The four branches, joined along the channels."""
        at = f"inception{module}."
        branches = [
            self.convolution(x, at + "branch1"),
            self.convolution(self.convolution(x, at + "branch2.0"), at + "branch2.1"),
            self.convolution(self.convolution(x, at + "branch3.0"), at + "branch3.1"),
            self.convolution(self.pool(x, 3, 1), at + "branch4.1"),
        ]
        return self.add("Concat", branches, axis=1)

    def network(self):
        """All of it. Gives the name of the scores."""
        x = self.pool(self.convolution("input", "conv1", stride=2), 3, 2)
        x = self.pool(self.convolution(self.convolution(x, "conv2"), "conv3"), 3, 2)
        for module in MODULES:
            x = self.inception(x, module)
            if module in POOL_BEHIND:
                x = self.pool(x, POOL_BEHIND[module], 2)
        x = self.add("Flatten", [self.add("GlobalAveragePool", [x])])
        inputs = [x, self.weight("fc.weight", self.tensors["fc.weight"]), self.weight("fc.bias", self.tensors["fc.bias"])]
        return self.add("Softmax", [self.add("Gemm", inputs, transB=1)], axis=1)


def write_onnx(weights, out):
    """Writes the float network."""
    import onnx
    from onnx import TensorProto, helper

    graph = Graph(plain_safetensors.read(weights))
    scores = graph.network()
    given = [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIZE, SIZE])]
    made = [helper.make_tensor_value_info(scores, TensorProto.FLOAT, [1, len(graph.tensors["fc.bias"])])]
    model = helper.make_model(
        helper.make_graph(graph.nodes, "googlenet", given, made, graph.weights),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,  # of the same year as the operators, for programs that are older than the onnx package
    )
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, out)


def quantize(model, photos, out):
    """Writes the int8 network."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            resized = (cv2.resize(cv2.imread(str(photo)), (SIZE, SIZE), interpolation=cv2.INTER_AREA) for photo in photos)
            self.rows = ({"input": tensor(picture)} for picture in resized)

        def get_next(self):
            return next(self.rows, None)

    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    quantize_static(model, out, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, **types)


def convert_to_ncnn(model, out):
    """Has pnnx convert the network. Its Python part wants PyTorch; the converter itself doesn't."""
    package = importlib.util.find_spec("pnnx")
    if package is None:
        print("pnnx isn't installed: no network for ncnn")
        return
    converter = pathlib.Path(package.origin).parent / "pnnx"
    names = {"pnnxparam": "pnnx.param", "pnnxbin": "pnnx.bin", "pnnxpy": "_pnnx.py", "pnnxonnx": "pnnx.onnx", "ncnnpy": "_ncnn.py"}
    names |= {"ncnnparam": "ncnn.param", "ncnnbin": "ncnn.bin"}
    where = [f"{key}={out}/float.{name}" for key, name in names.items()]
    subprocess.run([converter, model, f"inputshape=[1,3,{SIZE},{SIZE}]", *where], check=True, stdout=subprocess.DEVNULL)


def main():
    weights, photos, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    model = out / "float.onnx"
    write_onnx(weights, model)
    files = sorted(photos.rglob("*.jpg")) + sorted(photos.rglob("*.JPEG"))
    quantize(model, files[:: max(1, len(files) // CALIBRATION)][:CALIBRATION], out / "int8.onnx")
    convert_to_ncnn(model, out)


if __name__ == "__main__":
    main()
