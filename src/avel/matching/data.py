"""Clips of AVE, or of a data set in its layout, for cross-modality localization."""

from pathlib import Path

import numpy as np
import torch

from avel.data.annotations import Split
from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import AveArrays
from avel.errors import AnnotationsError
from avel.matching.training import Clips


def load_clips(folder: str | Path, split: Split, *, short_events: bool = False) -> Clips:
    """Read the clips of a split.

    Rows come from ``*_order_match.h5``, which published numbers were made with; it is another partition than
    ``*_order.h5``: most of its test rows are training rows there, so that no model of the one may be tested on the
    other. Visual features are ``visual_feature_vec.h5``, or where it is missing the means over the regions of
    ``visual_feature.h5``.

    Args:
        folder: with ``Annotations.txt``, order files and features.
        split: ``train``, ``val`` or ``test``.
        short_events: leave out rows without event or whose event fills the clip. The authors train on all; only the
            short ones count in an evaluation, whatever is given here.

    Raises:
        AnnotationsError: if the split is not there, or as `avel.data.ave.dataset.load`.
        FeaturesError: if a feature file is missing, damaged, or does not have a row for each annotation.
    """
    dataset = ave.load(folder)
    if split not in dataset.match_splits:
        raise AnnotationsError(f"{folder}: no {split}_order_match.h5. Cross-modality localization needs its rows.")
    rows = dataset.match_splits[split]
    with AveArrays.open(folder) as arrays:
        has_means = arrays.has("visual_feature_vec")
        source = arrays.visual_vec if has_means else arrays.visual
        if len(source) != len(dataset):
            raise AnnotationsError(
                f"{folder}: {ave.ANNOTATIONS_FILE} has {len(dataset)} rows, but {source.path.name} has {len(source)}. "
                "They must be of the same data set."
            )
        spans = dataset.spans[rows]
        if short_events:
            lengths = spans[:, 1] - spans[:, 0]
            kept = (lengths > 0) & (lengths < source.shape[1])
            rows, spans = rows[kept], spans[kept]
        if has_means:
            visual = source.read(rows)
        else:
            visual = np.array([source[int(row)].mean(axis=1) for row in rows], np.float32)
        audio = arrays.audio.read(rows)
    return Clips(torch.from_numpy(visual), torch.from_numpy(audio), spans)
