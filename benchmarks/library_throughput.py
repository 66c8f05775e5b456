"""Clips an hour, CPU a clip and peak memory of ``avel localize FOLDER -o OUT``, in one process and with two workers.

20 clips of ``data/media/events2``, their first 4 s, are copied under so many names, each with a comment of its own so
that its content is another. 20 and 200 of them are localized by new processes of the command line, with compiled
networks in the cache: in one process, and with ``--workers 2``; with ``--against CHECKOUT`` also in one process of
that earlier checkout, just before. What a clip adds is the difference of the two numbers
of clips, and what is left is the start. 20 and 60 clips of 10 s say what a clip of 10 s adds, of which
the table in ``docs/howto/many-videos.md`` is made. CPU seconds are those of all processes; memory is the largest sum of
their proportional set sizes (Linux), in which shared pages count once.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
from _common import ROOT, SHARED, save

FOLDER = SHARED / "data" / "media" / "events2"
SHORT_SECONDS, LONG_SECONDS = 4, 10
SOURCES = 20
WORKERS = {"1": (), "2": ("--workers", "2")}
EARLIER = "the earlier build, 1"
POLL_SECONDS = 0.5


def make_clips(folder: Path, count: int, seconds: int) -> Path:
    """A folder with so many clips."""
    with (FOLDER / "labels.csv").open(newline="", encoding="utf-8") as file:
        names = sorted({row["file"] for row in csv.DictReader(file)})[:SOURCES]
    folder.mkdir()
    for number in range(count):
        source = FOLDER / names[number % len(names)]
        command = ["ffmpeg", "-v", "error", "-i", source, "-t", seconds, "-c", "copy", "-metadata", f"comment={number}"]
        subprocess.run([*map(str, command), str(folder / f"{number:03}-{source.name}")], check=True)
    return folder


class TreeMemory(threading.Thread):
    """The largest sum of the memory of a process and all that come of it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process = psutil.Process(pid)
        self.peak_bytes = 0
        self.most_processes = 0
        self.ended = threading.Event()

    def run(self) -> None:
        """Look again and again until the process has ended."""
        while not self.ended.wait(POLL_SECONDS):
            total = count = 0
            try:
                tree = [self.process, *self.process.children(recursive=True)]
            except psutil.Error:
                continue
            for process in tree:
                try:
                    total += process.memory_full_info().pss
                    count += 1
                except psutil.Error:
                    continue
            self.peak_bytes, self.most_processes = max(self.peak_bytes, total), max(self.most_processes, count)


def busy_seconds(before: Any) -> float:
    """CPU seconds that all processes of the machine took since then."""
    now = psutil.cpu_times()
    return sum(getattr(now, kind) - getattr(before, kind) for kind in ("user", "nice", "system"))


def localize(clips: Path, output: Path, options: tuple[str, ...], checkout: Path = ROOT) -> dict[str, Any]:
    """What one run of a checkout costs."""
    shutil.rmtree(output, ignore_errors=True)
    count = len(list(clips.iterdir()))
    command = [sys.executable, "-m", "avel", "localize", str(clips), "-o", str(output), *options]
    others, start = psutil.cpu_times(), time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    memory = TreeMemory(process.pid)
    memory.start()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    memory.ended.set()
    memory.join()
    if process.returncode or len(list(output.glob("*.json"))) != count:
        sys.exit(f"{' '.join(command)} ended with exit code {process.returncode} or without all results.")
    return {
        "clips": count,
        "wall_seconds": round(wall, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "clips_per_hour": round(count / wall * 3600),
        "cores_used": round((used.ru_utime + used.ru_stime) / wall, 2),
        "peak_memory_mb": round(memory.peak_bytes / 2**20),
        "processes": memory.most_processes,
        "cores_used_by_others": round(max(busy_seconds(others) - used.ru_utime - used.ru_stime, 0) / wall, 2),
    }


def growth(few: dict[str, Any], many: dict[str, Any]) -> dict[str, float]:
    """What a clip adds, what is there without any, and how much more memory the larger number takes."""
    more = many["clips"] - few["clips"]
    cpu, wall = ((many[kind] - few[kind]) / more for kind in ("cpu_seconds", "wall_seconds"))
    return {
        "cpu_seconds_a_clip": round(cpu, 3),
        "wall_seconds_a_clip": round(wall, 3),
        "clips_per_hour": round(3600 / wall),
        "start_cpu_seconds": round(few["cpu_seconds"] - cpu * few["clips"], 1),
        "start_wall_seconds": round(few["wall_seconds"] - wall * few["clips"], 1),
        "peak_memory_ratio": round(many["peak_memory_mb"] / few["peak_memory_mb"], 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--few", type=int, default=20, help="the smaller number of clips")
    parser.add_argument("--many", type=int, default=200, help="the larger number of clips")
    parser.add_argument("--many-long", type=int, default=60, help="the larger number of clips of 10 s")
    parser.add_argument("--against", type=Path, help="an earlier checkout of avel")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    os.environ.pop("OMP_NUM_THREADS", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        of = {
            (seconds, count): make_clips(folder / f"{seconds}s-{count}", count, seconds)
            for seconds, counts in ((SHORT_SECONDS, (args.few, args.many)), (LONG_SECONDS, (args.few, args.many_long)))
            for count in dict.fromkeys(counts)
        }
        ways = {workers: (options, ROOT) for workers, options in WORKERS.items()}
        if args.against is not None:
            ways = {EARLIER: ((), args.against), **ways}
        warming = make_clips(folder / "warming", 2, SHORT_SECONDS)
        for options, checkout in ways.values():
            localize(warming, folder / "out", options, checkout)  # compiles networks where the cache lacks them
        runs: dict[str, Any] = {}
        for (seconds, count), clips in of.items():
            for workers, (options, checkout) in ways.items():
                if seconds == LONG_SECONDS and workers != "2":
                    continue
                found = runs[f"{count} clips of {seconds} s, {workers} worker(s)"] = localize(
                    clips, folder / "out", options, checkout
                )
                print(f"{count} clips of {seconds} s, {workers} worker(s): {found}", flush=True)
    result: dict[str, Any] = {"sources": SOURCES, "runs": runs}

    def pair(seconds: int, workers: str, many: int) -> dict[str, float]:
        few, more = (runs[f"{count} clips of {seconds} s, {workers} worker(s)"] for count in (args.few, many))
        return growth(few, more)

    if args.many > args.few:
        result["growth"] = {workers: pair(SHORT_SECONDS, workers, args.many) for workers in ways}
        one, two = (runs[f"{args.many} clips of {SHORT_SECONDS} s, {workers} worker(s)"] for workers in WORKERS)
        result["two_workers_against_one"] = round(two["clips_per_hour"] / one["clips_per_hour"], 2)
        result["two_workers_against_one_without_start"] = round(
            result["growth"]["2"]["clips_per_hour"] / result["growth"]["1"]["clips_per_hour"], 2
        )
        result["two_workers_cpu_against_one"] = round(two["cpu_seconds"] / one["cpu_seconds"], 2)
        if args.against is not None:
            earlier = runs[f"{args.many} clips of {SHORT_SECONDS} s, {EARLIER} worker(s)"]
            result["against"] = subprocess.run(
                ["git", "-C", args.against, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
            ).stdout.strip()
            result["two_workers_against_earlier"] = round(two["clips_per_hour"] / earlier["clips_per_hour"], 2)
            result["one_against_earlier"] = round(one["clips_per_hour"] / earlier["clips_per_hour"], 2)
    if args.many_long > args.few:
        result["ten_seconds"] = pair(LONG_SECONDS, "2", args.many_long)
    for key, value in result.items():
        if key != "runs":
            print(f"{key}: {value}")
    if not args.no_save:
        save(__file__, result)


if __name__ == "__main__":
    main()
