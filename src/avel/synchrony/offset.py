"""How far a video's sound is shifted against its picture, where there is enough in it to tell.

The shift at which picture and sound fit best (`avel.synchrony.alignment`) is the offset, if it fits much better than
all others and if every quarter of the video can be left out without moving it. Elsewhere the answer is that one cannot
tell: of most videos one cannot, since nothing in view makes the sound.
"""

import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avel.backbones.arithmetic import sigmoid
from avel.features.extract import Extraction
from avel.synchrony.alignment import Alignment, Doubles, Sides, align, sides
from avel.synchrony.changes import Motion, Onsets, joined, moments

MAX_OFFSET_SECONDS = 0.7
"""Offsets beyond this are not looked for."""
NATURAL_SECONDS = 0.05
"""By which sound comes after the change that it is found by, where nothing is shifted: the median of the development
clips that tell. An animal opens its mouth and a hand sets off before there is a sound."""
SURE_DEVIATIONS = 3.8
DEVIATIONS_SOFTNESS = 0.4
MAX_ERROR_SECONDS = 0.04
"""Standard error above which an offset is not told."""
_PARTS = 4
_PEAK_SECONDS = 0.3
"""Half width of the peak that is no part of what it is compared with."""
_LONGEST_SECONDS = 120.0
"""Longer videos are judged by their first minutes."""


@dataclass(frozen=True)
class Offset:
    """How far a video's sound is shifted against its picture.

    Attributes:
        video: the file.
        seconds: by which the sound is late, below 0 where it is early; ``None`` where one cannot tell.
        confidence: in [0, 1], of the best shift that there is; 0.5 or more where `seconds` is told.
        best_seconds: the shift that fits best, whether one can tell or not; ``None`` where there is nothing to compare.
        error_seconds: standard error of `best_seconds`, by leaving out a quarter of the video at a time.
        deviations: standard deviations by which it fits better than other shifts.
        reason: why one cannot tell, in words; empty where one can.
        warnings: what could not be read.
    """

    video: str
    seconds: float | None
    confidence: float
    best_seconds: float | None
    error_seconds: float | None
    deviations: float
    reason: str
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as ``avel sync --json`` prints them."""
        return {**asdict(self), "warnings": list(self.warnings)}


def find_offset(video: str | os.PathLike[str]) -> Offset:
    """How far the sound of a video is shifted against its picture.

    Args:
        video: a video file; its first two minutes are looked at.

    Raises:
        MediaError: if nothing of the video can be read.
    """
    name = os.fspath(video)
    motion, onsets, seen, heard = [], [], [], []
    with Extraction(name, [Motion()], [Onsets()]) as extraction:
        for batch in extraction:
            motion.append(batch.visual[Motion.name])
            onsets.append(batch.audio[Onsets.name])
            seen.append(batch.visual_valid)
            heard.append(batch.audio_valid)
            if extraction.duration_seconds >= _LONGEST_SECONDS:
                break
        warnings = extraction.warnings
    if not np.concatenate(seen).any():
        return _cannot_tell(name, "It has no picture that can be read.", warnings)
    if not np.concatenate(heard).any():
        return _cannot_tell(name, "It has no sound that can be read.", warnings)
    series = joined(np.concatenate(motion), np.concatenate(onsets))
    return offset_of(sides(*series, moments(1.0)), name, warnings)


def offset_of(of: Sides, video: str = "", warnings: tuple[str, ...] = ()) -> Offset:
    """The same of changes that are there already."""
    found = align(of)
    if found is None:
        return _cannot_tell(video, f"It is too short: {of.seconds:.1f} s.", warnings)
    best, deviations = _peak(found)
    parts = (align(_without(of, part)) for part in range(_PARTS))
    others = np.array([_peak(part)[0] for part in parts if part is not None])
    error = float(np.sqrt((_PARTS - 1) / _PARTS * ((others - others.mean()) ** 2).sum()))
    confidence = float(sigmoid((deviations - SURE_DEVIATIONS) / DEVIATIONS_SOFTNESS))
    if deviations < SURE_DEVIATIONS:
        reason = "No shift fits clearly better than the others."
    elif error > MAX_ERROR_SECONDS:
        reason = "Parts of the video fit at different shifts."
        confidence = min(confidence, 0.49)
    else:
        reason = ""
    return Offset(
        video=video,
        seconds=None if reason else round(best, 3),
        confidence=round(confidence, 3),
        best_seconds=round(best, 3),
        error_seconds=round(error, 3),
        deviations=round(deviations, 2),
        reason=reason,
        warnings=warnings,
    )


def _cannot_tell(video: str, reason: str, warnings: tuple[str, ...]) -> Offset:
    return Offset(video, None, 0.0, None, None, 0.0, reason, warnings)


def _without(of: Sides, part: int) -> Sides:
    """Both sides, silent in one of `_PARTS` parts."""
    count = len(of.sound["onsets"])
    left_out = (np.arange(count) >= part * count // _PARTS) & (np.arange(count) < (part + 1) * count // _PARTS)
    return Sides(of.picture, {kind: np.where(left_out, 0, values) for kind, values in of.sound.items()}, of.rate)


def _peak(found: Alignment) -> tuple[float, float]:
    """The best offset between moments, and its deviations over what is not its own peak."""
    shifts, values = found.shifts, found.deviations
    allowed = np.abs(shifts - NATURAL_SECONDS) <= MAX_OFFSET_SECONDS
    at = int(np.flatnonzero(allowed)[values[allowed].argmax()])
    null = values[np.abs(shifts - shifts[at]) > _PEAK_SECONDS]
    deviations = float((values[at] - null.mean()) / max(float(null.std()), 1e-6))
    return float(shifts[at] + _vertex(values, at) * (shifts[1] - shifts[0]) - NATURAL_SECONDS), deviations


def _vertex(values: Doubles, at: int) -> float:
    """Where between its neighbours a parabola through a peak is highest, in [-0.5, 0.5]."""
    if not 0 < at < len(values) - 1:
        return 0.0
    before, top, after = values[at - 1 : at + 2]
    bend = before - 2 * top + after
    return float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5)) if bend < 0 else 0.0
