"""Runs a program and measures it from outside: measure.py OUT.json PROGRAM [ARGUMENT...]

Writes {"wall_s", "cpu_s", "peak_mb", "printed"} to OUT.json: the seconds from start to end, those of all its threads, the peak of its
resident memory in MB of 10^6 bytes, and the last line it printed where that is JSON. Exits as the program does.

This file imports nothing large: Linux counts what a process had before it became another program into the peak.
"""

import json
import os
import subprocess
import sys
import time


def measure(command, errors=None):
    """Runs a command to its end, with its standard error going to errors. Gives its exit status, what it printed, and the figures."""
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    text = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    try:
        printed = json.loads(text.splitlines()[-1])
    except (IndexError, ValueError):
        printed = None  # not every program says something of itself
    figures = {
        "wall_s": round(wall, 3),
        "cpu_s": round(usage.ru_utime + usage.ru_stime, 3),
        "peak_mb": round(usage.ru_maxrss * 1024 / 1e6),  # Linux counts in KiB
        "printed": printed,
    }
    return os.waitstatus_to_exitcode(status), text, figures


def main():
    status, text, figures = measure(sys.argv[2:])
    sys.stdout.write(text)
    with open(sys.argv[1], "w") as out:
        json.dump(figures, out)
    print(json.dumps(figures))
    return status


if __name__ == "__main__":
    sys.exit(main())
