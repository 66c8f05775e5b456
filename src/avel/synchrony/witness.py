"""Synchrony as a witness: segment by segment, whether what is heard is seen, and where, whatever it is.

A segment is judged by the sound around it, for which 4 s are few moments where something happens once a second and
12 s hold more than one thing where much happens: the better of the two counts. Where it is sure, the sound is made by
what moves in the picture; where it is not, nothing is said: most things that are heard and seen do not show it.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from avel.backbones.base import Floats
from avel.synchrony.alignment import SURE, align, sides
from avel.synchrony.changes import COLUMNS, ROWS, joined

SPANS_SECONDS = (4.0, 12.0)
SOFTNESS = 0.5


@dataclass(frozen=True)
class Witness:
    """What synchrony says of T segments.

    Attributes:
        confidence: (T,) in [0, 1]; 0.5 or more where sound and picture change together beyond doubt
            (`avel.synchrony.alignment.SURE`).
        deviations: (T,) the same in standard deviations; -inf where there was too little to compare.
        blocks: (T, rows, columns) share of each block of the picture in it, adding up to 1 where `confidence` is 0.5 or
            more, and all 0 elsewhere.
    """

    confidence: Floats
    deviations: Floats
    blocks: Floats


def witness(
    motion: Floats,
    onsets: Floats,
    segment_seconds: float,
    visual_valid: npt.NDArray[np.bool_] | None = None,
    audio_valid: npt.NDArray[np.bool_] | None = None,
) -> Witness:
    """What synchrony says of the segments of a video.

    Args:
        motion: (T, R, F) as `avel.synchrony.changes.Motion` gives it.
        onsets: (T, 2 F) as `avel.synchrony.changes.Onsets` gives it.
        segment_seconds: length of a segment.
        visual_valid: (T,) which segments' pictures could be read; all when ``None``.
        audio_valid: (T,) the same of sound.
    """
    count = len(motion)
    both = sides(*joined(motion, onsets), motion.shape[2] / segment_seconds)
    deviations = np.full(count, -np.inf, np.float32)
    blocks = np.zeros((count, ROWS * COLUMNS), np.float32)
    for index in range(count):
        middle = (index + 0.5) * segment_seconds
        for span in SPANS_SECONDS:
            found = align(both, middle - span / 2, middle + span / 2)
            if found is not None and found.score > deviations[index]:
                deviations[index], blocks[index] = found.score, found.blocks
    for valid in (visual_valid, audio_valid):
        if valid is not None:
            deviations[~valid] = -np.inf
    confidence: Floats = expit((deviations - SURE) / SOFTNESS).astype(np.float32)
    blocks[confidence < 0.5] = 0
    return Witness(confidence, deviations, blocks.reshape(count, ROWS, COLUMNS))
