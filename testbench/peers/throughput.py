"""Compares the pictures a second that sightd and other programs classify: throughput.py BIN FOLDER OUT.json [ROUNDS]

BIN is sightd; FOLDER has what speed_pictures.py and speed_networks.py make, sightd's default.tflite and float32.tflite in
networks/, and the program plain.
All programs run one after the other in each round, ROUNDS (5) times on the small pictures, fewer times on the large ones and on one
core, so that a machine that slows down slows them all.

How it is counted. The Python programs and plain time their own loop over the pictures, after opening the network and three pictures
that aren't counted. sightd is timed from outside, as a whole process; the time of a process that classifies one picture is taken off, and
that picture too. So the threads that sightd starts for a folder count against it, and its check of the model, which opening is for the
others, doesn't. CPU is counted alike; the peak of resident memory is the whole process's. Slow programs get every fifth
picture, on one core all do.

OUT.json: {"machine", "sightd", "how", "rows", "one_core", "failed"}. A row has
    name, version, network, set, cores, pictures, rounds
    pictures_per_s, spread              median of the rounds; the least and the most
    cpu_ms_per_picture, peak_mb         medians
    top1_same                           share of pictures that sightd's int8 network gives the same class
    sightd_ratio, sightd_ratio_spread   sightd's int8 pictures a second over the row's, round by round: median, least and most
    target                              what sightd_ratio should be at least, where that is set
Of a program that couldn't run there is name, network, set and not_measured, the reason. Prints a table, and exits with 1 when a program
with sightd's own .tflite gives other classes than it may.

This file imports nothing large: measure.py says why.
"""

import dataclasses
import json
import os
import pathlib
import platform
import sys
import tempfile

from measure import measure

HERE = pathlib.Path(__file__).resolve().parent
INT8 = "int8 default"  # sightd's embedded model, and a copy of its file
FLOAT = "float, same weights"
FEWER_ROUNDS = 3


@dataclasses.dataclass
class Program:
    """A program, and what it has to do as sightd does."""

    name: str
    network: str
    command: list
    own_clock: bool = True  # it times its loop and prints the figures
    slow: bool = False
    min_same: float = 0.0  # share of the small pictures that must get sightd's class; other weights and filters decide otherwise
    target: float = 0.0  # of sightd's throughput over its own


@dataclasses.dataclass
class Run:
    """What a program did in a round, less its start."""

    pictures: int
    wall: float
    cpu: float
    peak: float
    top1: list
    version: str


def programs(sightd, folder):
    """All of them, sightd on the default network first."""
    networks = folder / "networks"
    default = networks / "default.tflite"
    classify = [sightd, "classify", "--json"]

    def python(file, model):
        return [sys.executable, str(HERE / file), str(model)]

    return [
        Program("sightd", INT8, classify, own_clock=False),
        Program("Python, ai-edge-litert, OpenCV", INT8, python("speed_litert_opencv.py", default), min_same=0.97, target=1.2),
        Program("Python, ai-edge-litert, OpenCV, a process a core", INT8, python("speed_litert_processes.py", default), min_same=0.97),
        Program("Python, ai-edge-litert, Pillow", INT8, python("speed_litert_pillow.py", default), min_same=0.94, target=1.4),
        Program("Go, go-tflite's example", INT8, [str(folder / "plain"), str(default)], slow=True, min_same=0.9, target=6),
        Program("Python, ONNX Runtime", "int8 by ONNX Runtime, same weights", python("speed_onnxruntime.py", networks / "int8.onnx")),
        Program("Python, ONNX Runtime", FLOAT, python("speed_onnxruntime.py", networks / "float.onnx"), slow=True),
        Program("Python, OpenCV DNN", FLOAT, python("speed_opencv_dnn.py", networks / "float.onnx"), slow=True),
        Program("Python, ncnn", FLOAT, python("speed_ncnn.py", networks / "float.ncnn.param"), slow=True),
        Program("sightd", FLOAT, classify + ["--model", str(networks / "float32.tflite")], own_clock=False, slow=True),
    ]


def execute(command):
    """Runs a program. Gives what it printed and its figures."""
    with tempfile.TemporaryFile("w+") as errors:
        status, text, figures = measure(command, errors)
        errors.seek(0)
        told = errors.read().strip().splitlines()
    if status != 0:
        crashed = [line for line in told if line.startswith(("panic:", "fatal error:", "SIG"))]  # Go tells much behind that
        raise RuntimeError((crashed or told[-1:] or [f"status {status}, and no reason given"])[0])
    return text, figures


def run(program, pictures, one, prefix):
    """One run of a program over the folder pictures. The folder one has a single picture."""
    command = prefix + program.command
    text, figures = execute(command + [str(pictures)])
    if program.own_clock:
        printed = figures["printed"]
        peak = printed.get("peak_mb", figures["peak_mb"])  # a pool of processes adds its own up
        return Run(printed["pictures"], printed["wall_s"], printed["cpu_s"], peak, printed["top1"], printed["version"])
    _, start = execute(command + [str(one)])
    lines = sorted((json.loads(line) for line in text.splitlines()), key=lambda line: line["file"])
    top1 = [line["index"] for line in lines]  # of a picture that was refused there is none: a KeyError
    cpu = figures["cpu_s"] - start["cpu_s"]
    return Run(len(lines) - 1, figures["wall_s"] - start["wall_s"], cpu, figures["peak_mb"], top1, "")


def median(values):
    values = sorted(values)
    return (values[len(values) // 2] + values[(len(values) - 1) // 2]) / 2


def take_turns(listed, rounds, folder, name, prefix, fifth):
    """Runs all programs in turns. Gives for each its runs, one a round, or the reason why there are none."""
    for file in (folder / name).iterdir():
        file.read_bytes()  # so that no program is the first to read it
    found = [[] for _ in listed]
    for turn in range(rounds):
        for i, program in enumerate(listed):
            if not isinstance(found[i], list):
                continue
            pictures = folder / (name + ", fifth" if fifth or program.slow else name)
            try:
                found[i].append(run(program, pictures, folder / (name + ", one"), prefix))
            except (OSError, RuntimeError) as e:
                found[i] = str(e)
            except (KeyError, TypeError) as e:
                found[i] = f"what it printed isn't understood: {type(e).__name__} {e}"
        print(f"{name}: round {turn + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def same_share(ours, theirs):
    """The share of pictures with the same class, where one may have seen every fifth of the other's."""
    if len(theirs) < len(ours):
        ours = ours[::5]
    if len(ours) != len(theirs):
        raise ValueError(f"compare classes: want those of {len(ours)} pictures, have {len(theirs)}")
    return sum(a == b for a, b in zip(ours, theirs)) / len(ours)


def rows_of(listed, found, name, cores, sightd_version, judged):
    """The rows that OUT.json promises. Only where they are judged do they have a target."""
    ours, rows = found[0], []
    for program, runs in zip(listed, found):
        row = {"name": program.name, "network": program.network, "set": name, "cores": cores}
        if not isinstance(runs, list):
            rows.append(row | {"not_measured": runs})
            continue
        rates = [r.pictures / r.wall for r in runs]
        ratios = [b.pictures / b.wall / rate for b, rate in zip(ours, rates)]
        row |= {
            "version": runs[0].version or sightd_version,
            "pictures": len(runs[0].top1),
            "rounds": len(runs),
            "pictures_per_s": round(median(rates), 2),
            "spread": [round(min(rates), 2), round(max(rates), 2)],
            "cpu_ms_per_picture": round(median([1e3 * r.cpu / r.pictures for r in runs]), 2),
            "peak_mb": median([r.peak for r in runs]),
            "top1_same": round(same_share(ours[0].top1, runs[0].top1), 4),
            "sightd_ratio": round(median(ratios), 3),
            "sightd_ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
        }
        if judged and program.target:
            row["target"] = program.target
        rows.append(row)
    return rows


def show(rows):
    """Prints the rows as a table."""
    first = rows[0]
    print(f"\n{first['set']}, {first['cores']} cores" if first["cores"] > 1 else f"\n{first['set']}, one core")
    print(f"{'':56}{'network':36}{'pictures/s':>11}{'least-most':>17}{'CPU ms':>8}{'MB':>6}{'top-1':>8}{'sightd is':>11}")
    for row in rows:
        if "not_measured" in row:
            print(f"{row['name']:56}{row['network']:36}not measured: {row['not_measured']}")
            continue
        low, high = row["spread"]
        print(
            f"{row['name']:56}{row['network']:36}{row['pictures_per_s']:11.1f}{f'{low:.1f}-{high:.1f}':>17}"
            f"{row['cpu_ms_per_picture']:8.1f}{row['peak_mb']:6.0f}{100 * row['top1_same']:7.1f}%{row['sightd_ratio']:9.2f} x"
            + (f"  (target: {row['target']:g} x)" if "target" in row else "")
        )


def machine():
    """The machine in words."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    models = [line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0))
    return f"{models[0] if models else platform.machine()}, {cores} cores, Linux {platform.release()}, Python {platform.python_version()}"


def main():
    sightd, folder, out = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    fewer = min(rounds, FEWER_ROUNDS)
    listed = programs(sightd, folder)
    cores = sorted(os.sched_getaffinity(0))
    told, _ = execute([sightd, "version"])
    version = ", ".join(told.split("\n")[:2])

    sets = (
        ("500px", "rows", rounds, len(cores), [], False),
        ("12MP", "rows", fewer, len(cores), [], False),
        ("500px", "one_core", fewer, 1, ["taskset", "-c", str(cores[0])], True),
    )
    result = {"machine": machine(), "sightd": version, "how": " ".join(__doc__.split("\n\n")[2].split())}
    result |= {"rows": [], "one_core": [], "failed": []}
    for name, part, turns, n, prefix, fifth in sets:
        found = take_turns(listed, turns, folder, name, prefix, fifth)
        if not isinstance(found[0], list):
            raise RuntimeError(found[0])
        judged = name == "500px" and part == "rows"
        rows = rows_of(listed, found, name, n, version, judged)
        result[part] += rows
        show(rows)
        for program, row in zip(listed, rows):
            if judged and row.get("top1_same", 1) < program.min_same:
                text = f"{program.name}: sightd's class on {100 * row['top1_same']:.1f} % of pictures, want {100 * program.min_same:.0f} %"
                result["failed"].append(text)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(result, indent=1))
    for text in result["failed"]:
        print("FAIL  " + text)
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
