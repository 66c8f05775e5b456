"""What the default localizer costs, and which of its parts cost it: CPU seconds for each second of video.

Every clip of ``data/media/events2`` (or every N-th) is decoded with ``ffmpeg -f null`` and localized five times, by
turns in one process, so that ratios hold on a busy machine: as it is by default; without I3D; without synchrony;
without either and with one window of sound a second, which is what it was before these came; and with I3D looking at
everything. Networks are loaded, and have run once, before the clock starts. Ratios are of sums over clips, with 95 %
intervals of a bootstrap over them.
"""

import argparse
import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from _common import SHARED, save

from avel.data.categories import everyday_categories
from avel.localization.localizer import Localizer
from avel.media.reader import MediaReader

FOLDER = SHARED / "data" / "media" / "events2"
RESAMPLES = 2000


def default(**settings: Any) -> Localizer:
    return Localizer(threads=1, **settings)


def without_actions(**settings: Any) -> Localizer:
    return default(categories=[replace(category, actions=()) for category in everyday_categories()], **settings)


def without_synchrony(localizer: Localizer) -> Localizer:
    localizer.system.synchrony = None
    return localizer


def looking_at_everything() -> Localizer:
    localizer = default()
    localizer.system.gates = {}
    return localizer


VARIANTS: dict[str, Callable[[], Localizer]] = {
    "default": default,
    "without I3D": without_actions,
    "without synchrony": lambda: without_synchrony(default()),
    "before: without both, one window of sound a second": lambda: without_synchrony(without_actions(refine=False)),
    "I3D looks at everything": looking_at_everything,
}


def cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def spent(action: Callable[[], object]) -> float:
    before = cpu_seconds()
    action()
    return cpu_seconds() - before


def decode(clip: Path) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-threads", "1", "-i", clip, "-f", "null", "-"], check=True)


def ratio(spent_on: Sequence[float], against: Sequence[float]) -> list[float]:
    """Of two sums over clips, with its interval."""
    pairs = np.array([spent_on, against]).T
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return [round(float(value), 2) for value in (pairs[:, 0].sum() / pairs[:, 1].sum(), low, high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--every", type=int, default=1, help="only every N-th clip")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    if shutil.which("ffmpeg") is None:
        sys.exit("This benchmark compares with ffmpeg, which is not installed.")
    with (FOLDER / "labels.csv").open(newline="", encoding="utf-8") as file:
        clips = sorted({row["file"] for row in csv.DictReader(file)})[:: args.every]
    localizers = {name: make() for name, make in VARIANTS.items()}
    for localizer in localizers.values():
        localizer(FOLDER / clips[0])
    seconds = []
    costs: dict[str, list[float]] = {name: [] for name in ("ffmpeg -f null", *VARIANTS)}
    for name in clips:
        clip = FOLDER / name
        costs["ffmpeg -f null"].append(spent(lambda clip=clip: decode(clip)))
        for variant, localizer in localizers.items():
            costs[variant].append(spent(lambda clip=clip, localizer=localizer: localizer(clip)))
        with MediaReader(clip) as reader:
            seconds.append(reader.info.duration_seconds or 0.0)
    whole, before = costs["default"], costs["before: without both, one window of sound a second"]
    result: dict[str, Any] = {
        "clips": len(clips),
        "seconds": round(sum(seconds)),
        "cpu_seconds_a_second": {name: round(sum(spent_on) / sum(seconds), 4) for name, spent_on in costs.items()},
        "default_against": {name: ratio(whole, spent_on) for name, spent_on in costs.items() if spent_on is not whole},
        "before_against_ffmpeg": ratio(before, costs["ffmpeg -f null"]),
    }
    for key, value in result.items():
        print(f"{key}: {value}")
    if not args.no_save:
        save(__file__, result)


if __name__ == "__main__":
    main()
