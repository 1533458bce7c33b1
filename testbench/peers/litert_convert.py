"""Converts a GoogLeNet with litert-torch and quantizes it with litert-quantizer, as their guides say: recipe static_wi8_ai8, with
BVLC's local response normalization left float.

litert_convert.py NETWORK WEIGHTS PIXELS OUT [--end softmax|logits] [--type int8|float32] [--photos LIST]
               [--ranges average|extremes]
    the same command line as that of converter.py; OUT's input and output are int8, too, as the recipe has it
    --ranges average: the tool's default, a moving average of each picture's least and largest value, which the last twenty pictures
             decide; extremes: the least and largest of all pictures, which the tool offers to those who build their own Calibrator

Prints a JSON object with the seconds that each of the tools took. Time and memory of the whole process are measured from outside:
measure.py.
"""

import json
import time
from importlib.metadata import version

import litert_torch
import torch
from litert_quantizer import Quantizer, recipe
from litert_quantizer.algorithm_manager import AlgorithmName
from litert_quantizer.calibrator import Calibrator
from litert_quantizer.qtyping import TFLOperationName
from litert_quantizer.recipe_manager import RecipeManager
from litert_quantizer.utils import qsv_utils

import commandline
import inputs
import torch_networks

# BVLC's local response normalization, which litert-torch writes as ten operators, among them a STABLEHLO_REDUCE_WINDOW with a subgraph of
# its own, which the recipe as it is doesn't get through. In int8 its squares would be lost besides.
LEFT_FLOAT = (".*LocalResponseNorm.*", ".*STABLEHLO_REDUCE_WINDOW.*")


def convert(network, weights, size, end, out):
    """Writes the float .tflite, whose input is NHWC."""
    module = litert_torch.to_channel_last_io(torch_networks.build(network, weights, end), args=[0])
    litert_torch.convert(module, (torch.zeros(1, size, size, 3),)).export(str(out))


def quantize(network, pixels, out, ranges):
    """Quantizes the .tflite, calibrated on pixels."""
    quantizer = Quantizer(str(out), recipe.static_wi8_ai8())
    for name in LEFT_FLOAT:
        quantizer.update_quantization_recipe(name, TFLOperationName.ALL_SUPPORTED, algorithm_key=AlgorithmName.NO_QUANTIZE)
    data = {"serving_default": [{"args_0": inputs.real(torch_networks.INPUT[network], picture[None])} for picture in pixels]}
    if ranges == "average":
        seen = quantizer.calibrate(data)
    else:
        manager = RecipeManager()
        manager.load_quantization_recipe(quantizer.get_quantization_recipe())
        calibrator = Calibrator(str(out), qsv_update_func=qsv_utils.min_max_update)
        calibrator.calibrate(data, manager)
        seen = calibrator.get_model_qsvs()
    result = quantizer.quantize(seen, enable_progress_report=False)
    result.export_model(str(out), overwrite=True)


def main():
    parser = commandline.parser()
    parser.add_argument("--ranges", choices=("average", "extremes"), default="average")
    a = parser.parse_args()
    pixels = commandline.pixels(a)
    figures = {"photos": len(pixels), "litert-torch": version("litert-torch"), "litert-quantizer": version("litert-quantizer")}
    begin = time.perf_counter()
    convert(a.network, a.weights, pixels.shape[1], a.end, a.out)
    figures["convert_s"] = round(time.perf_counter() - begin, 2)
    if a.type == "int8":
        begin = time.perf_counter()
        quantize(a.network, pixels, a.out, a.ranges)
        figures["quantize_s"] = round(time.perf_counter() - begin, 2)
    print(json.dumps(figures | {"bytes": a.out.stat().st_size}))


if __name__ == "__main__":
    main()
