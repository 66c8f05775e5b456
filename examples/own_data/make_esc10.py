"""Make clips of real sounds with pictures: the recordings of ESC-10, each category with a shape of its own.

    python make_esc10.py ESC10 FOLDER

reads ESC10/NNN - Category/*.ogg (Piczak, ACM Multimedia 2015, https://github.com/karolpiczak/ESC-10; CC BY 3.0) and
writes FOLDER/videos/*.mp4 and FOLDER/labels.csv. A clip of 12 s has one recording of up to 5 s, during which its shape
is in view; elsewhere there is faint noise, or another category's shape without a sound. The recordings' own folds are
the splits: 1 to 3 are for training, 4 for validation, 5 for test, since each fold's recordings have other sources.
"""

import argparse
import csv
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from avel.testing.shapes import SHAPES, make_shapes_clip

SECONDS, RATE = 12.0, 16000
CATEGORIES = ("Dog bark", "Rooster", "Helicopter")
SPLITS = {"1": "train", "2": "train", "3": "train", "4": "val", "5": "test"}


def main() -> None:
    """Read the command line and write the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-category", type=int, default=40)
    arguments = parser.parse_args()
    make(arguments.recordings, arguments.folder, arguments.per_category)


def make(recordings: Path, folder: Path, per_category: int = 40) -> None:
    """Write the clips and their labels."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    rows = []
    for number, (category, shape) in enumerate(zip(CATEGORIES, SHAPES, strict=True)):
        (of_category,) = recordings.glob(f"* - {category}")
        files = sorted(of_category.glob("*.ogg"))
        chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(per_category, len(files))).round().astype(int)]
        for i, file in enumerate(chosen):
            random = np.random.default_rng([number, i])
            sound = read(file)
            length = len(sound) / RATE
            start = float(random.uniform(0.5, SECONDS - length - 0.5))
            end = start + length
            # A shape of another category, without its sound, where there is room for it.
            decoy = list(SHAPES)[(number + 1 + i % 2) % len(SHAPES)]
            free = (0.0, start - 0.5) if start > SECONDS - end else (end + 0.5, SECONDS)
            name = f"{category.replace(' ', '_')}-{i:02d}.mp4"
            make_shapes_clip(
                folder / "videos" / name,
                SECONDS,
                [],
                seen_only=[(shape, start, end), *([(decoy, *free)] if i % 2 else [])],
                waveforms=[(start, sound)],
                seed=1000 * number + i,
            )
            rows.append([name, round(start, 3), round(end, 3), category, SPLITS[file.name[0]]])
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["video", "start_seconds", "end_seconds", "category", "split"], *rows])


def read(path: Path) -> npt.NDArray[np.float32]:
    """A recording, (S,) in [-1, 1], without the silence that ESC-10 fills short ones up with."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=RATE)
    with av.open(str(path)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    sound = np.concatenate([frame.to_ndarray()[0] for frame in [*frames, *resampler.resample(None)]])
    loud = np.flatnonzero(np.abs(sound) > 1e-3)
    return sound[: loud[-1] + 1] if len(loud) else sound


if __name__ == "__main__":
    main()
