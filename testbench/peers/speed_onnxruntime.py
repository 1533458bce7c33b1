"""Python with ONNX Runtime and OpenCV, on a network whose input is float: speed_onnxruntime.py MODEL.onnx FOLDER"""

import sys

import cv2
import onnxruntime

import speed_loop
from speed_networks import SIZE, tensor


def main():
    model, folder = sys.argv[1:]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = speed_loop.THREADS
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def classify(file):
        picture = cv2.resize(cv2.imread(file), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        return session.run(None, {name: tensor(picture)})[0][0].argmax()

    version = f"{onnxruntime.__version__}, OpenCV {cv2.__version__}"
    speed_loop.run("Python, ONNX Runtime, OpenCV", version, folder, classify)


if __name__ == "__main__":
    main()
