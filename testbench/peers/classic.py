"""Classifies photos as TensorFlow Lite's Python example label_image.py does, which knows nothing of the model but its input's type.

classic.py MODEL.tflite LABELS.txt OUT.json PHOTO...: writes {"version", "photos": [{"file", "labels", "indices", "scores"}]}, the five best
of each photo. A uint8 input gets the pixels as they are, a float one (pixel-127.5)/127.5; integer scores are divided by 255.
"""

import json
import pathlib
import sys
from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image


def classify(interpreter, file):
    """The scores of one photo."""
    taken, given = interpreter.get_input_details(), interpreter.get_output_details()
    height, width = taken[0]["shape"][1], taken[0]["shape"][2]
    image = Image.open(file).convert("RGB").resize((int(width), int(height)))
    data = np.expand_dims(image, axis=0)
    if taken[0]["dtype"] == np.float32:
        data = (np.float32(data) - 127.5) / 127.5
    interpreter.set_tensor(taken[0]["index"], data)
    interpreter.invoke()
    results = np.squeeze(interpreter.get_tensor(given[0]["index"]))
    if given[0]["dtype"] == np.float32:
        return results
    return results / 255.0


def main():
    model, names, out, files = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
    labels = pathlib.Path(names).read_text().splitlines()
    interpreter = Interpreter(model_path=model)
    interpreter.allocate_tensors()
    photos = []
    for file in files:
        scores = classify(interpreter, file)
        best = scores.argsort()[-5:][::-1]
        photos.append(
            {"file": file, "labels": [labels[i] for i in best], "indices": best.tolist(), "scores": [float(scores[i]) for i in best]}
        )
    out.write_text(json.dumps({"version": version("ai-edge-litert"), "photos": photos}, indent=1))
    first = f"{photos[0]['labels'][0]} {photos[0]['scores'][0]:.3f}"
    print(f"ai-edge-litert {version('ai-edge-litert')}: {len(photos)} photos, the first is {first}")


if __name__ == "__main__":
    main()
