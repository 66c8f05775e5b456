"""Events that no class of a tagger shows, confirmed by synchrony: what is heard changes together with the picture."""

from dataclasses import replace

import numpy as np

from avel.localization.decoding import SegmentScores
from avel.synchrony.witness import Witness


def confirmed(scores: SegmentScores, witness: Witness) -> SegmentScores:
    """Scores of events that are heard and either seen by name or confirmed by synchrony.

    Args:
        scores: of T segments, with what is heard.
        witness: of the same segments.

    Returns:
        The same, with events at least as high as the smaller of what is heard and the witness's confidence, for those
        categories that `SegmentScores.in_time` allows: whose sound is made by a motion that can be seen.
    """
    if scores.audio is None or scores.in_time is None:
        return scores
    both = np.where(scores.in_time, np.minimum(scores.audio, witness.confidence[:, None]), 0)
    return replace(scores, events=np.maximum(scores.events, both).astype(np.float32))
