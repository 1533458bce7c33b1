"""Python with ncnn and OpenCV: speed_ncnn.py MODEL.ncnn.param FOLDER, with MODEL.ncnn.bin beside it, both from pnnx"""

import pathlib
import sys

import cv2
import ncnn
import numpy as np

import speed_loop
from speed_networks import SIZE

MEAN, SCALE = [127.5] * 3, [1 / 127.5] * 3


def main():
    model, folder = sys.argv[1:]
    network = ncnn.Net()
    network.opt.num_threads = speed_loop.THREADS
    if network.load_param(model) or network.load_model(model.removesuffix("param") + "bin"):
        raise ValueError(f"open {pathlib.Path(model).name}: ncnn refuses it")

    def classify(file):
        picture = cv2.resize(cv2.imread(file), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        given = ncnn.Mat.from_pixels(picture, ncnn.Mat.PixelType.PIXEL_BGR2RGB, SIZE, SIZE)
        given.substract_mean_normalize(MEAN, SCALE)
        with network.create_extractor() as extractor:
            extractor.input("in0", given)
            return np.array(extractor.extract("out0")[1]).argmax()

    speed_loop.run("Python, ncnn, OpenCV", f"{ncnn.__version__}, OpenCV {cv2.__version__}", folder, classify)


if __name__ == "__main__":
    main()
