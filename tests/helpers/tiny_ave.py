"""A tiny data set in AVE's layout whose events can be learned: five categories, features that tell them."""

from pathlib import Path

import numpy as np

from avel.data.ave import hdf5 as ave_hdf5
from avel.data.ave.dataset import CATEGORIES

T, R, D_V, D_A, USED = 10, 4, 8, 6, 5


def write_ave_folder(
    folder: Path, clips: tuple[int, int, int] = (20, 8, 8), *, noisy: int = 4, seed: int = 0, regions: int = R
) -> Path:
    """Clips of train, val and test; an event's segments have the pattern of its category in both modalities."""
    random = np.random.default_rng(seed)
    patterns = np.random.default_rng(7)
    seen, heard = patterns.normal(size=(USED, D_V)), patterns.normal(size=(USED, D_A))
    count = sum(clips)
    lines, visual, audio = [], [], []
    for i in range(count):
        category = i % USED
        start = int(random.integers(0, 8))
        end = int(random.integers(start + 2, T + 1))
        lines.append(f"{CATEGORIES[category]}&clip{i:04d}&good&{start}&{end}")
        inside = np.zeros(T)
        inside[start:end] = 1
        v = 0.3 * random.normal(size=(T, regions, D_V))
        v[:, i % regions] += 2 * inside[:, None] * seen[category]
        visual.append(v)
        audio.append(0.3 * random.normal(size=(T, D_A)) + 2 * inside[:, None] * heard[category])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Annotations.txt").write_text("\n".join(lines) + "\n")
    ave_hdf5.write_visual(folder / "visual_feature.h5", visual, count, dtype="float64")
    ave_hdf5.write_rows(folder / "audio_feature.h5", audio, count)
    bounds = np.cumsum([0, *clips])
    for split, start, end in zip(("train", "val", "test"), bounds[:-1], bounds[1:], strict=True):
        for ending in ("", "_match"):
            ave_hdf5.write_order(folder / f"{split}_order{ending}.h5", np.arange(start, end))
    if noisy:
        ave_hdf5.write_visual(
            folder / "visual_feature_noisy.h5",
            list(random.normal(size=(noisy, T, regions, D_V))),
            noisy,
            dtype="float16",
        )
        ave_hdf5.write_rows(folder / "audio_feature_noisy.h5", list(random.normal(size=(noisy, T, D_A))), noisy)
    return folder
