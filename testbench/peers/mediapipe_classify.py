"""Classifies photos with MediaPipe's ImageClassifier, as its guide does, on a .tflite with metadata.

mediapipe_classify.py MODEL.tflite OUT.json PHOTO...: writes {"version", "photos": [{"file", "labels", "indices", "scores"}]}, the five best
of each photo. MediaPipe decodes and resizes the photos itself, and finds normalization and labels in the model's metadata.
"""

import json
import pathlib
import sys
from importlib.metadata import version

import mediapipe as mp
from mediapipe.tasks import python
from mediapipe.tasks.python import vision


def main():
    model, out, files = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    options = vision.ImageClassifierOptions(base_options=python.BaseOptions(model_asset_path=model), max_results=5)
    photos = []
    with vision.ImageClassifier.create_from_options(options) as classifier:
        for file in files:
            found = classifier.classify(mp.Image.create_from_file(file)).classifications[0].categories
            photos.append(
                {
                    "file": file,
                    "labels": [category.category_name for category in found],
                    "indices": [category.index for category in found],
                    "scores": [category.score for category in found],
                }
            )
    out.write_text(json.dumps({"version": version("mediapipe"), "photos": photos}, indent=1))
    print(f"MediaPipe {version('mediapipe')}: {len(photos)} photos, the first is {photos[0]['labels'][0]} {photos[0]['scores'][0]:.3f}")


if __name__ == "__main__":
    main()
