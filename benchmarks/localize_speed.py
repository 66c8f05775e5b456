"""How long the default localizer takes on a 10 s 720p clip, against decoding it with ``ffmpeg -f null``.

Twice: ``avel localize CLIP -o FILE`` in a new process each time, on a warm disk and with compiled networks in the
cache; and a localizer that has run before, in this process. Both take turns with ffmpeg in one run, so that ratios hold
on a busy machine. With ``--hour``, also how the process's peak memory grows from a ten-minute to a one-hour video.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _common import SHARED, save

CLIP_SECONDS = 10


def make_clip(folder: Path) -> Path:
    """The race car, at 1280x720 and 30 pictures a second, H.264 and AAC, 10 s."""
    source = SHARED / "data" / "media" / "events" / "race_car.mp4"
    clip = folder / "clip720p.mp4"
    ffmpeg(
        "-i",
        source,
        "-t",
        CLIP_SECONDS,
        "-vf",
        "scale=1280:720,fps=30",
        "-c:v",
        "libx264",
        "-crf",
        23,
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        clip,
    )
    return clip


def ffmpeg(*arguments: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", *map(str, arguments)], check=True)


def spent() -> tuple[float, float]:
    """Wall and CPU seconds so far, those of finished child processes included."""
    times = os.times()
    return time.perf_counter(), times.user + times.system + times.children_user + times.children_system


def measure(action) -> tuple[float, float]:
    wall, cpu = spent()
    action()
    wall_after, cpu_after = spent()
    return wall_after - wall, cpu_after - cpu


def run(*command: object) -> tuple[float, float, float]:
    """Wall and CPU seconds of a process and its children, and the peak memory in MB of the largest of them."""
    start = time.perf_counter()
    process = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with exit code {process.returncode}.")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def ratios(ours: list[tuple[float, ...]], null: list[tuple[float, ...]]) -> dict[str, object]:
    """Medians, and ratios of pairs, of wall and CPU seconds."""
    result: dict[str, object] = {}
    for i, kind in enumerate(("wall", "cpu")):
        pairs = sorted(a[i] / b[i] for a, b in zip(ours, null, strict=True))
        result[f"{kind}_seconds"] = round(statistics.median(a[i] for a in ours), 3)
        result[f"{kind}_seconds_ffmpeg_null"] = round(statistics.median(b[i] for b in null), 3)
        result[f"{kind}_ratio"] = {
            "median": round(statistics.median(pairs), 2),
            "min": round(pairs[0], 2),
            "max": round(pairs[-1], 2),
        }
    return result


def new_processes(clip: Path, folder: Path, repeats: int) -> dict[str, object]:
    """Of the command line; the first run, which compiles the networks where the cache lacks them, is not counted."""
    command = (sys.executable, "-m", "avel", "localize", clip, "-o", folder / "out.json", "--force")
    run(*command)
    null, ours = [], []
    for _ in range(repeats):
        null.append(run("ffmpeg", "-v", "error", "-i", clip, "-f", "null", "-"))
        ours.append(run(*command))
    return {**ratios(ours, null), "peak_memory_mb": round(max(memory for _, _, memory in ours))}


def peak_memory_mb(minutes: int, clip: Path, folder: Path) -> float:
    """Peak memory of a process of its own that localizes the clip repeated for so long."""
    long_clip = folder / f"{minutes}.mp4"
    ffmpeg("-stream_loop", minutes * 60 // CLIP_SECONDS - 1, "-i", clip, "-c", "copy", long_clip)
    code = (
        "import resource, sys, avel; avel.localize(sys.argv[1]);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(long_clip)], check=True, capture_output=True, text=True)
    long_clip.unlink()
    return int(done.stdout) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--hour", action="store_true", help="also measure memory on long videos (some minutes)")
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("This benchmark compares with ffmpeg, which is not installed.")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = make_clip(folder)
        result: dict[str, object] = {"new_process": new_processes(clip, folder, args.repeats)}
        import avel

        localizer = avel.Localizer()
        localizer(clip)
        result["backbones"] = localizer.backbone_names
        ours, null = [], []
        for _ in range(args.repeats):
            null.append(measure(lambda: ffmpeg("-i", clip, "-f", "null", "-")))
            ours.append(measure(lambda: localizer(clip)))
        result["steady"] = ratios(ours, null)
        if args.hour:
            result["peak_memory_mb"] = {f"{m} min": round(peak_memory_mb(m, clip, folder)) for m in (1, 10, 60)}
        result["load_average"] = round(os.getloadavg()[1], 1)
        result["peak_memory_mb_here"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    for key, value in result.items():
        print(f"{key}: {value}")
    save(__file__, result)


if __name__ == "__main__":
    main()
