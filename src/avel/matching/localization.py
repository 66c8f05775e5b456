"""A2V and V2A: where in one modality is what is heard or seen in the other (Tian et al., ECCV 2018, Eq. 8).

    A2V   the query is a span of the sound; it is slid over the pictures   ..####....
    V2A   the query is a span of the pictures; it is slid over the sound     ->

Each possible start has the sum of the distances of the pairs that then meet; the smallest is the answer, the first of
equal ones. An answer is right only if it is the exact start. Clips count whose event is shorter than they are.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.matching.base import Matcher
from avel.wording import counted

Direction = Literal["a2v", "v2a"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)

_CLIPS_AT_ONCE = 64


@dataclass(frozen=True)
class MatchingAccuracy:
    """Exact-start accuracy in [0, 1], beside what needs no learning.

    Attributes:
        a2v: visual localization from an audio query.
        v2a: audio localization from a visual query.
        clips: how many counted.
        random_start: expected of guessing among the possible starts.
        last_window: of always answering the last possible start.
    """

    a2v: float
    v2a: float
    clips: int
    random_start: float
    last_window: float

    @property
    def mean(self) -> float:
        """Of both directions."""
        return (self.a2v + self.v2a) / 2


def window_sums(distances: Tensor) -> Tensor:
    """Summed distance of a query at each possible start (Eq. 8).

    Args:
        distances: (..., T, l), of T candidates from l query segments.

    Returns:
        (..., T - l + 1).

    Raises:
        ValueError: if the query is longer than what it is looked for in, or empty.
    """
    num_segments, length = distances.shape[-2:]
    if not 1 <= length <= num_segments:
        raise ValueError(
            f"a query of {length} segments cannot lie in {num_segments}; it must have 1 to {num_segments}."
        )
    offsets = torch.arange(length, device=distances.device)
    starts = torch.arange(num_segments - length + 1, device=distances.device)
    return distances[..., starts[:, None] + offsets, offsets].sum(dim=-1)


@torch.no_grad()
def find_start(matcher: Matcher, query: Tensor, candidates: Tensor, direction: Direction) -> int:
    """The segment of ``candidates`` at which a query starts.

    Args:
        matcher: trained; it is used as it is, see ``Module.eval``.
        query: (l, D_a) under ``a2v``, (l, D_v) under ``v2a``.
        candidates: (T, D_v) under ``a2v``, (T, D_a) under ``v2a``.
        direction: ``a2v`` or ``v2a``.

    Raises:
        ValueError: if ``direction`` is unknown or the query is too long.
    """
    _check_direction(direction)
    visual, audio = (candidates, query) if direction == "a2v" else (query, candidates)
    distances = matcher.distances(visual, audio)
    return int(window_sums(distances if direction == "a2v" else distances.mT).argmin())


@torch.no_grad()
def predicted_starts(
    matcher: Matcher, visual: Tensor, audio: Tensor, spans: npt.NDArray[np.int64], direction: Direction
) -> npt.NDArray[np.int64]:
    """Where each clip's event is found when its span is the query.

    Args:
        matcher: trained.
        visual: (N, T, D_v).
        audio: (N, T, D_a).
        spans: (N, 2) start and end segment of each event, within the clip and not empty.
        direction: ``a2v`` or ``v2a``.

    Returns:
        (N,) starts.

    Raises:
        ValueError: if shapes do not go together, a span is empty or leaves its clip, or ``direction`` is unknown.
    """
    _check_direction(direction)
    spans = _checked_spans(spans, visual.shape[1])
    if visual.shape[:2] != audio.shape[:2] or len(spans) != len(visual):
        raise ValueError(
            f"visual, audio and spans must be of the same clips and segments, got {tuple(visual.shape)}, "
            f"{tuple(audio.shape)} and {spans.shape}."
        )
    if len(spans) and ((spans[:, 0] >= spans[:, 1]).any()):
        raise ValueError("spans must not be empty; leave clips without event out.")
    found = np.empty(len(spans), np.int64)
    lengths = spans[:, 1] - spans[:, 0]
    for length in np.unique(lengths):  # queries of one length are slid together
        of_length = np.flatnonzero(lengths == length)
        for first in range(0, len(of_length), _CLIPS_AT_ONCE):
            clips = of_length[first : first + _CLIPS_AT_ONCE]
            index = torch.from_numpy(clips).to(visual.device)
            distances = matcher.distances(visual[index], audio[index])  # (n, T_v, T_a)
            if direction == "v2a":
                distances = distances.mT
            query = torch.from_numpy(spans[clips, :1] + np.arange(length)).to(visual.device)  # (n, l)
            of_query = distances.gather(2, query[:, None, :].expand(-1, distances.shape[1], -1))
            found[clips] = window_sums(of_query).argmin(dim=-1).cpu().numpy()
    return found


def evaluate(matcher: Matcher, visual: Tensor, audio: Tensor, spans: npt.ArrayLike) -> MatchingAccuracy:
    """Exact-start accuracy on clips, both directions, beside the trivial answers.

    Args:
        matcher: trained.
        visual: (N, T, D_v).
        audio: (N, T, D_a).
        spans: (N, 2) start and end segment of each event; clips without event or whose event fills them do not count.

    Raises:
        ValueError: if no clip counts, or shapes do not go together.
    """
    num_segments = visual.shape[1]
    checked = _checked_spans(spans, num_segments)
    kept = short_events(checked, num_segments)
    if not len(kept):
        raise ValueError(f"none of {counted(len(checked), 'clip')} has an event shorter than {num_segments} segments.")
    index = torch.from_numpy(kept).to(visual.device)
    visual, audio, checked = visual[index], audio[index], checked[kept]
    was_training = matcher.training
    matcher.eval()
    a2v, v2a = (
        float(np.mean(predicted_starts(matcher, visual, audio, checked, direction) == checked[:, 0]))
        for direction in DIRECTIONS
    )
    matcher.train(was_training)
    return MatchingAccuracy(a2v, v2a, len(kept), *trivial_accuracies(checked, num_segments))


def trivial_accuracies(spans: npt.ArrayLike, num_segments: int) -> tuple[float, float]:
    """Expected accuracy of a random start, and accuracy of always the last window, over clips with short events.

    Raises:
        ValueError: if there is no such clip, or a span leaves its clip.
    """
    checked = _checked_spans(spans, num_segments)
    checked = checked[short_events(checked, num_segments)]
    if not len(checked):
        raise ValueError(f"there is no clip with an event shorter than {num_segments} segments.")
    possible = num_segments - (checked[:, 1] - checked[:, 0]) + 1
    return float(np.mean(1 / possible)), float(np.mean(checked[:, 0] == possible - 1))


def short_events(spans: npt.NDArray[np.int64], num_segments: int) -> npt.NDArray[np.int64]:
    """Clips of (N, 2) spans whose event is there and shorter than the clip."""
    lengths = spans[:, 1] - spans[:, 0]
    return np.flatnonzero((lengths > 0) & (lengths < num_segments))


def _checked_spans(spans: npt.ArrayLike, num_segments: int) -> npt.NDArray[np.int64]:
    checked = np.asarray(spans, dtype=np.int64)
    if checked.ndim != 2 or checked.shape[1] != 2:
        raise ValueError(f"spans must have shape (N, 2), got {checked.shape}.")
    outside = (checked < 0) | (checked > num_segments)
    if outside.any() or (checked[:, 0] > checked[:, 1]).any():
        raise ValueError(f"spans must be [start, end) within 0-{num_segments}.")
    return checked


def _check_direction(direction: str) -> None:
    if direction not in DIRECTIONS:
        raise ValueError(f"Unknown direction '{direction}'. Supported directions are {', '.join(DIRECTIONS)}.")
