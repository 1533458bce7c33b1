"""Python with OpenCV's DNN module on the float network: speed_opencv_dnn.py MODEL.onnx FOLDER"""

import sys

import cv2

import speed_loop
from speed_networks import SIZE


def main():
    model, folder = sys.argv[1:]
    network = cv2.dnn.readNetFromONNX(model)

    def classify(file):
        picture = cv2.resize(cv2.imread(file), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        network.setInput(cv2.dnn.blobFromImage(picture, 1 / 127.5, mean=(127.5, 127.5, 127.5), swapRB=True))
        return network.forward()[0].argmax()

    speed_loop.run("Python, OpenCV DNN", cv2.__version__, folder, classify)


if __name__ == "__main__":
    main()
