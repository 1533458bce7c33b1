"""Python with ai-edge-litert, which runs XNNPACK on all cores, and OpenCV: speed_litert_opencv.py MODEL.tflite FOLDER"""

import sys
from importlib.metadata import version

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import speed_loop


def main():
    model, folder = sys.argv[1:]
    interpreter = Interpreter(model_path=model, num_threads=speed_loop.THREADS)
    interpreter.allocate_tensors()
    taken, given = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    _, height, width, _ = taken["shape"]

    def classify(file):
        picture = cv2.resize(cv2.imread(file), (int(width), int(height)), interpolation=cv2.INTER_AREA)
        pixels = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        interpreter.set_tensor(taken["index"], (pixels ^ 0x80).view(np.int8)[None])
        interpreter.invoke()
        return interpreter.get_tensor(given["index"])[0].argmax()

    speed_loop.run("Python, ai-edge-litert, OpenCV", f"{version('ai-edge-litert')}, OpenCV {cv2.__version__}", folder, classify)


if __name__ == "__main__":
    main()
