"""Synchrony as a witness: segment by segment, whether what is heard is seen, and where, whatever it is.

A segment is judged by the sound around it, for which 4 s are few moments where something happens once a second and
12 s hold more than one thing where much happens: the better of the two counts. Where it is sure, the sound is made by
what moves in the picture; where it is not, nothing is said: most things that are heard and seen do not show it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from avel.backbones.arithmetic import sigmoid
from avel.backbones.base import Floats
from avel.synchrony.alignment import SURE, align, sides
from avel.synchrony.changes import COLUMNS, ROWS, joined

SPANS_SECONDS = (4.0, 12.0)
SOFTNESS = 0.5
STRETCH_SECONDS, CONTEXT_SECONDS = 10.0, 12.0


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

    def first(self, count: int) -> "Witness":
        """The same of the first segments."""
        return Witness(self.confidence[:count], self.deviations[:count], self.blocks[:count])


class WitnessStream:
    """The witness of a video that is being read, in bounded memory.

    Segments are judged in stretches of `STRETCH_SECONDS`, each with `CONTEXT_SECONDS` around it and nothing else: what
    is said of one does not change when more of the video is read, but for the last ones.

    Args:
        segment_seconds: length of a segment.
    """

    def __init__(self, segment_seconds: float) -> None:
        self._segment_seconds = segment_seconds
        self._stretch = max(1, round(STRETCH_SECONDS / segment_seconds))
        self._context = math.ceil(CONTEXT_SECONDS / segment_seconds)
        self._rows: list[_Segment] = []
        self._first = 0  # the segment of the first row
        self._judged: list[_Verdict] = []

    def add(
        self,
        motion: Floats,
        onsets: Floats,
        visual_valid: npt.NDArray[np.bool_],
        audio_valid: npt.NDArray[np.bool_],
    ) -> None:
        """Segments that come after those before.

        Args:
            motion: (T, R, F) as `avel.synchrony.changes.Motion` gives it.
            onsets: (T, 2 F) as `avel.synchrony.changes.Onsets` gives it.
            visual_valid: (T,) which segments' pictures could be read.
            audio_valid: (T,) the same of sound.
        """
        usable = visual_valid & audio_valid
        self._rows += [_Segment(*row) for row in zip(motion, onsets, usable, strict=True)]
        while self._end >= len(self._judged) + self._stretch + self._context:
            start = len(self._judged)
            self._judged += self._judge(start, start + self._stretch)
            kept = max(len(self._judged) - self._context, self._first)
            self._rows = self._rows[kept - self._first :]
            self._first = kept

    def result(self) -> Witness:
        """What it says of all segments so far."""
        verdicts = list(self._judged)
        while len(verdicts) < self._end:
            verdicts += self._judge(len(verdicts), min(len(verdicts) + self._stretch, self._end))
        deviations = np.array([verdict.deviations for verdict in verdicts], np.float32)
        blocks = np.stack([verdict.blocks for verdict in verdicts]) if verdicts else np.zeros((0, ROWS * COLUMNS))
        confidence: Floats = sigmoid((deviations - SURE) / SOFTNESS).astype(np.float32)
        blocks = np.where((confidence >= 0.5)[:, None], blocks, 0).astype(np.float32)
        return Witness(confidence, deviations, blocks.reshape(-1, ROWS, COLUMNS))

    @property
    def _end(self) -> int:
        return self._first + len(self._rows)

    def _judge(self, start: int, end: int) -> "list[_Verdict]":
        first = max(start - self._context, self._first)
        rows = self._rows[first - self._first : end + self._context - self._first]
        motion, onsets = np.stack([row.motion for row in rows]), np.stack([row.onsets for row in rows])
        both = sides(*joined(motion, onsets), motion.shape[2] / self._segment_seconds)
        verdicts = []
        for index in range(start, end):
            middle = (index - first + 0.5) * self._segment_seconds
            verdict = _Verdict(-math.inf, np.zeros(ROWS * COLUMNS, np.float32))
            for span in SPANS_SECONDS if rows[index - first].usable else ():
                found = align(both, middle - span / 2, middle + span / 2)
                if found is not None and found.score > verdict.deviations:
                    verdict = _Verdict(found.score, found.blocks)
            verdicts.append(verdict)
        return verdicts


class _Segment(NamedTuple):
    motion: Floats
    onsets: Floats
    usable: bool


class _Verdict(NamedTuple):
    deviations: float
    blocks: Floats


def witness(motion: Floats, onsets: Floats, segment_seconds: float) -> Witness:
    """What synchrony says of the segments of a video; see `WitnessStream`.

    Args:
        motion: (T, R, F) as `avel.synchrony.changes.Motion` gives it.
        onsets: (T, 2 F) as `avel.synchrony.changes.Onsets` gives it.
        segment_seconds: length of a segment.
    """
    stream = WitnessStream(segment_seconds)
    usable = np.ones(len(motion), dtype=bool)
    stream.add(motion, onsets, usable, usable)
    return stream.result()
