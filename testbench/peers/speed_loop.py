"""What the programs that throughput.py runs have in common: they classify every picture of a folder, and say how long it took.

Not timed: opening the network, listing the folder, and WARM_UP pictures before the first. Timed: reading the files and all that follows.
"""

import json
import os
import pathlib
import time

THREADS = len(os.sched_getaffinity(0))  # all cores that the program may use
WARM_UP = 3


def run(name, version, folder, classify):
    """Classifies the pictures in the order of their names; classify gives the class of a file. Prints what throughput.py reads."""
    files = sorted(str(file) for file in pathlib.Path(folder).glob("*.jpg"))
    for file in files[:WARM_UP]:
        classify(file)
    wall, cpu = time.perf_counter(), time.process_time()
    top1 = [int(classify(file)) for file in files]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"name": name, "version": version, "pictures": len(files), "wall_s": wall, "cpu_s": cpu, "top1": top1}))
