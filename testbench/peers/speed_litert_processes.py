"""Python with ai-edge-litert and OpenCV as one writes it who has read about Python's processes: a pool of them, one for each core, each
with an interpreter of one thread: speed_litert_processes.py MODEL.tflite FOLDER

The peak of memory is that of all processes of the pool added up; libraries that they share are counted in each.
"""

import json
import multiprocessing
import pathlib
import resource
import sys
import time
from importlib.metadata import version

import cv2
import numpy as np
from ai_edge_litert.interpreter import Interpreter

import speed_loop

CHUNK = 4  # pictures that a process is handed at once


class Worker:
    """What a process of the pool has: made in it by open, used by classify."""

    interpreter = taken = given = size = None

    @classmethod
    def open(cls, model):
        cv2.setNumThreads(1)
        cls.interpreter = Interpreter(model_path=model, num_threads=1)
        cls.interpreter.allocate_tensors()
        cls.taken, cls.given = cls.interpreter.get_input_details()[0], cls.interpreter.get_output_details()[0]
        _, height, width, _ = cls.taken["shape"]
        cls.size = int(width), int(height)
        cls.interpreter.invoke()  # the first one prepares what the others need

    @classmethod
    def classify(cls, file):
        """The class of a file, the CPU time that it took, and the process's name and peak of memory."""
        begin = time.process_time()
        pixels = cv2.cvtColor(cv2.resize(cv2.imread(file), cls.size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2RGB)
        cls.interpreter.set_tensor(cls.taken["index"], (pixels ^ 0x80).view(np.int8)[None])
        cls.interpreter.invoke()
        best = int(cls.interpreter.get_tensor(cls.given["index"])[0].argmax())
        cpu, peak = time.process_time() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return best, cpu, (multiprocessing.current_process().name, peak)


def main():
    model, folder = sys.argv[1:]
    files = sorted(str(file) for file in pathlib.Path(folder).glob("*.jpg"))
    with multiprocessing.Pool(speed_loop.THREADS, Worker.open, [model]) as pool:
        pool.map(Worker.classify, files[: speed_loop.WARM_UP * speed_loop.THREADS], 1)
        begin = time.perf_counter()
        results = pool.map(Worker.classify, files, CHUNK)
        wall = time.perf_counter() - begin
    peaks = dict(peak for _, _, peak in results)  # of each process the last one
    figures = {
        "name": "Python, ai-edge-litert, OpenCV, a process a core",
        "version": f"{version('ai-edge-litert')}, OpenCV {cv2.__version__}",
        "pictures": len(files),
        "wall_s": wall,
        "cpu_s": sum(cpu for _, cpu, _ in results),
        "top1": [best for best, _, _ in results],
        "peak_mb": round(sum(peaks.values()) * 1024 / 1e6),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
