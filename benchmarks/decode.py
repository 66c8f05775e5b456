"""What reading a clip costs, against decoding it and throwing the pictures away.

    python benchmarks/decode.py race_car.mp4 [--seconds 10] [--repeats 7]

The clip is looped and scaled to 1280x720, 30 pictures a second, H.264 and AAC, by the ffmpeg program; the reference is
``ffmpeg -v error -i CLIP -f null -`` with its own default threads. Every repeat runs the reference and all cases once,
so that they share whatever else the machine does; medians are compared. One untimed repeat comes first.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av

from avel.media import reader as reader_module
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat

TAGS_4 = {"tags": PictureFormat(4, width=224, height=224)}
TAGS_16 = {"tags": PictureFormat(16, width=224, height=224)}
TAGS_AND_FACES = {**TAGS_4, "faces": PictureFormat(4, longest_side=640)}


def make_720p(source: Path, target: Path, seconds: float) -> None:
    subprocess.run(
        [
            *["ffmpeg", "-v", "error", "-stream_loop", "-1", "-i", str(source), "-t", str(seconds)],
            *["-vf", "scale=1280:720,fps=30", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac", str(target)],
        ],
        check=True,
    )


def null_decode(clip: Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", str(clip), "-f", "null", "-"], check=True)


def read(clip: Path, formats: dict[str, PictureFormat], thread_type: str, threads: int) -> None:
    reader_module.THREAD_TYPE = thread_type
    with MediaReader(clip, pictures=formats, threads=threads) as reader:
        for _ in reader:
            pass


def timed(function: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds, child processes included."""

    def cpu() -> float:
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    wall, before = time.perf_counter(), cpu()
    function()
    return time.perf_counter() - wall, cpu() - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_720p(options.clip, clip, options.seconds)
        cases: dict[str, Callable[[], None]] = {
            "ffmpeg -f null": lambda: null_decode(clip),
            "4/s at 224x224": lambda: read(clip, TAGS_4, "AUTO", 0),
            "16/s at 224x224": lambda: read(clip, TAGS_16, "AUTO", 0),
            "4/s at 224x224 + 4/s at 640": lambda: read(clip, TAGS_AND_FACES, "AUTO", 0),
            "16/s, slice threads": lambda: read(clip, TAGS_16, "SLICE", 0),
            "16/s, frame threads": lambda: read(clip, TAGS_16, "FRAME", 0),
            "16/s, one thread": lambda: read(clip, TAGS_16, "AUTO", 1),
        }
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for repeat in range(options.repeats + 1):
            for name, case in cases.items():
                taken = timed(case)
                if repeat:
                    times[name].append(taken)

    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in times.items()}
    base_wall, base_cpu = medians["ffmpeg -f null"]
    machine = f"{platform.machine()}, {os.cpu_count()} CPUs, PyAV {av.__version__}, Python {platform.python_version()}"
    print(f"{options.seconds:g} s of 720p, median of {options.repeats}; {machine}")
    print(f"{'':30}{'wall s':>8}{'ratio':>7}{'CPU s':>8}{'ratio':>7}")
    for name, (wall, cpu) in medians.items():
        print(f"{name:30}{wall:8.3f}{wall / base_wall:7.2f}{cpu:8.3f}{cpu / base_cpu:7.2f}")
    if options.json:
        rows = {name: {"wall_seconds": wall, "cpu_seconds": cpu} for name, (wall, cpu) in medians.items()}
        options.json.write_text(json.dumps({"machine": machine, "median_of": options.repeats, "cases": rows}, indent=2))


if __name__ == "__main__":
    main()
