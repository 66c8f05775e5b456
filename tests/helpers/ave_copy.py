"""A small, complete and sound copy of a data set in AVE's layout, to spoil in tests."""

from pathlib import Path

import numpy as np

from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import write_order, write_rows

ROWS = [
    "Church bell&aaa&good&0&10",
    "Bark&bbb&good&2&5",
    "Bark&aaa&good&6&8",
    "Cat&ccc&good&0&0",
    "Mandolin&ddd&good&7&10",
]


def write_copy(folder: Path) -> Path:
    """Write all files but the videos."""
    (folder / "Annotations.txt").write_text("\n".join(ROWS) + "\n")
    for split, rows in (("train", [0, 2]), ("val", [3]), ("test", [4, 1])):
        write_order(folder / f"{split}_order.h5", rows)
        write_order(folder / f"{split}_order_match.h5", [i for i in rows if i in (1, 2, 4)])
        (folder / f"{split}Set.txt").write_text("\n".join(ROWS[i] for i in rows))
    data = ave.load(folder)
    rng = np.random.default_rng(0)
    arrays = {
        "labels": data.segment_labels(),
        "mil_labels": data.video_labels(),
        "prob_label": data.video_labels("proportion"),
        "labels_closs": data.event_segments(),
        "visual_feature": rng.random((5, 10, 2, 2, 4)),
        "visual_feature_vec": rng.random((5, 10, 4)),
        "audio_feature": rng.random((5, 10, 4)),
        "labels_noisy": np.eye(29)[[28] * 3],
        "visual_feature_noisy": rng.random((3, 10, 2, 2, 4)),
        "audio_feature_noisy": rng.random((3, 10, 4)),
    }
    for name, values in arrays.items():
        write_rows(folder / f"{name}.h5", values, len(values))
    return folder


def spoil_rows(folder: Path) -> None:
    """Put a line that is no row between the others."""
    (folder / "Annotations.txt").write_text("\n".join([*ROWS[:2], "Bark&xxx", *ROWS[2:]]))
