"""Converts a GoogLeNet with TensorFlow's converter, as its guide says: full-integer int8, calibrated on pictures.

converter.py NETWORK WEIGHTS PIXELS OUT [--end softmax|logits] [--type int8|float32] [--photos LIST]
    NETWORK  bvlc (WEIGHTS: .caffemodel) or torchvision (.safetensors)
    PIXELS   a .npy of uint8 [n, size, size, 3] RGB; says the size too
    OUT      the .tflite that it writes
    --photos a JSON list of positions in PIXELS to calibrate on; else all

Everything is the converter's default but what is said here: Optimize.DEFAULT, a representative dataset, int8 input and output.
TFLITE_BUILTINS is allowed beside the int8 kernels, as local response normalization has a float kernel only: where the network has it,
the converter puts DEQUANTIZE and QUANTIZE around it.

Prints a JSON object with the seconds of convert() alone. Time and memory of the whole process are measured from outside: measure.py.
"""

import json
import time

import tensorflow as tf

import commandline
import inputs
import networks


def convert(network, weights, pixels, end, kind):
    """The .tflite's bytes, and the seconds that convert() took."""
    function = networks.build(network, weights, pixels.shape[1], end)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function.get_concrete_function()])
    if kind == "int8":

        def dataset():
            for picture in pixels:
                yield [inputs.real(networks.INPUT[network], picture[None])]

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if network == "bvlc":
            converter.target_spec.supported_ops.append(tf.lite.OpsSet.TFLITE_BUILTINS)
        converter.inference_input_type = converter.inference_output_type = tf.int8
    begin = time.perf_counter()
    data = converter.convert()
    return data, time.perf_counter() - begin


def main():
    a = commandline.parser().parse_args()
    pixels = commandline.pixels(a)
    data, seconds = convert(a.network, a.weights, pixels, a.end, a.type)
    a.out.write_bytes(data)
    print(json.dumps({"convert_s": round(seconds, 2), "photos": len(pixels), "bytes": len(data), "tensorflow": tf.__version__}))


if __name__ == "__main__":
    main()
