"""Make clips with known events and the labels of them: coloured shapes that sound.

    python make_shapes.py FOLDER

writes FOLDER/videos/*.mp4 and FOLDER/labels.csv. An event is a shape in view while its sound is heard. Decoys, a shape
without its sound or a sound without its shape, are no events and have no label, so that neither modality is enough.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

from avel.testing.shapes import SHAPES, make_shapes_clip

Span = tuple[str, float, float]


def main() -> None:
    """Read the command line and write the clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of a clip; every fifth is half as long")
    parser.add_argument("--overlapping", action="store_true", help="events of several categories at once")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.clips, arguments.seconds, arguments.overlapping, arguments.seed)


def make(folder: Path, clips: int, seconds: float, overlapping: bool = False, seed: int = 0) -> None:
    """Write the clips and their labels."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, float, float, str]] = []
    for number in range(clips):
        random = np.random.default_rng([seed, number])
        duration = seconds / 2 if number % 5 == 4 else seconds
        events, seen_only, heard_only = script(random, number, duration, overlapping)
        name = f"clip{number:03d}.mp4"
        make_shapes_clip(
            folder / "videos" / name, duration, events, seen_only=seen_only, heard_only=heard_only, seed=seed + number
        )
        rows += [(name, start, end, category) for category, start, end in events]
    with (folder / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["video", "start_seconds", "end_seconds", "category"])
        table.writerows(rows)


def script(
    random: np.random.Generator, number: int, duration: float, overlapping: bool
) -> tuple[list[Span], list[Span], list[Span]]:
    """What happens in a clip: events, shapes without sound, sounds without shape."""
    names = list(SHAPES)
    happenings: tuple[list[Span], list[Span], list[Span]] = ([], [], [])
    at, turn = float(random.integers(0, 3)), number
    while at + 2 <= duration:
        length = float(random.integers(2, 5))
        end = min(at + length, duration)
        kind = random.choice(3, p=[0.6, 0.2, 0.2])
        happenings[kind].append((names[turn % len(names)], at, end))
        if overlapping and kind == 0 and random.random() < 0.5:
            happenings[0].append((names[(turn + 1) % len(names)], min(at + 1, end - 1), min(end + 1, duration)))
            end = min(end + 1, duration)
        at, turn = end + float(random.integers(1, 3)), turn + 1
    if not happenings[0]:  # every clip has an event
        for other in happenings[1:]:
            happenings[0].extend(other)
            other.clear()
    return happenings


if __name__ == "__main__":
    main()
