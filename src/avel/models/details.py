"""What models know beside their scores, by name: the details of a result.

A model puts them into `avel.models.base.ModelOutput.shown`; a result has those of `DETAILS`, one row a segment, where a
user asks for them (``avel localize --details``). What else a model shows is for its own training.

In windows that overlap, a detail is crossfaded as scores are. Attention between segments is kept by their distance for
that: a row of 2 L - 1 weights, of which number L - 1 + d is that of the segment d later, L being a window's segments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

DetailRows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Detail:
    """Something that a model knows of every segment.

    Attributes:
        kind: ``curve``: (T,), a number a segment; ``map``: (T, rows, columns), shares of the picture's parts, whose sum
            is 1; ``between``: (T, 2 L - 1), weights of other segments by their distance, see the head of this module;
            ``categories``: (T, K), probabilities of the event categories and, where there is one more, of background,
            whose sum is 1.
        title: on pictures.
        meaning: in a sentence, with the paper's word for it.
        low: the least that a number can be.
        high: the greatest.
        is_logit: whether models show it as a logit, whose probability the detail is.
    """

    kind: Literal["curve", "map", "between", "categories"]
    title: str
    meaning: str
    low: float = 0.0
    high: float = 1.0
    is_logit: bool = False


DETAILS: Mapping[str, Detail] = {
    "spatial_attention": Detail(
        "map", "spatial attention", "where the model looks, in segments without an event too; 'where' of CMAN"
    ),
    "temporal_attention": Detail(
        "between",
        "temporal attention",
        "which other segments a segment takes from: self-attention ('when' of CMAN), DIIA's last attention, CMRAN's "
        "over both modalities, PSP's similar pairs of a visual and an audio segment after pruning",
    ),
    "gates": Detail(
        "curve",
        "share of visual",
        "which modality counts: of CMAN the visual one's share ('which'); of gated fusions the mean of the gate",
    ),
    "audio_gates": Detail(
        "curve",
        "audio gate",
        "of CMAN, how much the audio branch keeps to its own memory and does not look at the pictures; of DIIA, the "
        "mean of the gate that the pictures put on the audio's queries and keys",
    ),
    "visual_gates": Detail(
        "curve",
        "visual gate",
        "the same of the visual branch; of DIIA, of the gate that the sound puts on the pictures",
    ),
    "event_relevance": Detail(
        "curve",
        "event relevance",
        "how likely a segment holds any event, of CMRAN and DAM; they decide from 0.5 on",
        is_logit=True,
    ),
    "video_category": Detail(
        "categories",
        "video's category",
        "of which event category the video is, the other half of what CMRAN and DAM decide by; in a long video, of "
        "the windows that a segment is in",
        is_logit=True,
    ),
    "similarity": Detail(
        "curve", "similarity", "cosine of what is seen and heard in a segment after PSP's propagation", low=-1.0
    ),
    "synchrony": Detail(
        "curve", "synchrony", "how sure it is that picture and sound change together, of agreement; sure from 0.5 on"
    ),
}
"""All details by name; which of them a model has, depends on the model and its options."""


def by_distance(weights: DetailRows) -> DetailRows:
    """(L, L) weights of the segments of a window for each other to (L, 2 L - 1), by distance."""
    length = len(weights)
    segment, other = np.indices(weights.shape)
    found = np.zeros((length, 2 * length - 1), np.float32)
    found[segment, other - segment + length - 1] = weights
    return found


def between_segments(weights: DetailRows) -> DetailRows:
    """(T, 2 L - 1) weights by distance to (T, T): row t has the weights of all segments for segment t.

    Args:
        weights: a detail of kind ``between``, as in `avel.events.Localization.details`.
    """
    count, reach = len(weights), weights.shape[1] // 2
    segment, other = np.indices((count, count))
    distance = other - segment
    is_near = np.abs(distance) <= reach
    found = np.zeros((count, count), np.float32)
    found[is_near] = weights[segment[is_near], distance[is_near] + reach]
    return found
