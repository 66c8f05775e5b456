"""Memory of a process that extracts an hour of video into a store, over its course.

    python benchmarks/extraction_memory.py [--frames-per-segment 16]

The hour is a clip of 10 s at 1280x720, repeated without encoding it again. 8-bit arithmetic; fewer pictures a segment
take less time.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from _common import SHARED, save
from decode import make_720p

CLIP = "hammer_00323.mp4"
EXTRACT = """
import sys
from avel.features.recipe import Recipe
from avel.features.run import extract_many
recipe = Recipe(audio=("yamnet-embedding",), precision="int8", frames_per_segment=int(sys.argv[3]))
done = extract_many(sys.argv[1], sys.argv[2], recipe)
assert done.done == 1, done
"""


def memory_mb(pid: int, name: str) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:")), 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--frames-per-segment", type=int, default=16)
    parser.add_argument("--minutes", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip, long_clip = folder / "clip.mp4", folder / "long.mp4"
        make_720p(SHARED / "data" / "media" / "events" / CLIP, clip, 10)
        copies = str(options.minutes * 6 - 1)
        copy = ["ffmpeg", "-v", "error", "-stream_loop", copies, "-i", str(clip), "-c", "copy", str(long_clip)]
        subprocess.run(copy, check=True)
        arguments = [str(long_clip), str(folder / "store"), str(options.frames_per_segment)]
        start = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", EXTRACT, *arguments])
        resident, peak = [], 0.0
        while process.poll() is None:
            resident.append(memory_mb(process.pid, "VmRSS"))
            peak = max(peak, memory_mb(process.pid, "VmHWM"))
            time.sleep(0.5)
        seconds = time.perf_counter() - start
        if process.returncode:
            sys.exit("Extracting the video failed.")
        stored = sum(file.stat().st_size for file in (folder / "store").rglob("*.safetensors")) / 1e6
    result = {
        "minutes": options.minutes,
        "frames_per_segment": options.frames_per_segment,
        "wall_seconds": round(seconds),
        "peak_mb": round(peak),
        "greatest_in_each_tenth_mb": [round(float(max(part))) for part in np.array_split(resident, 10)],
        "stored_mb": round(stored),
    }
    for key, value in result.items():
        print(f"{key}: {value}")
    save(__file__, result)


if __name__ == "__main__":
    main()
