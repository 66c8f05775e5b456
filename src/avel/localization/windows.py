"""A model of short windows on a video of any length: overlapping windows, joined without seams, in bounded memory.

A model that was trained on windows of T segments is given windows of T segments. Where two of them meet, their
predictions are crossfaded, so that no boundary shows; the weights of all windows at a segment add up to 1::

    window 0   1 1 1 1 1 1 . . 0                       T = 9, overlap 4
    window 1             0 . . 1 1 . . 0
    window 2                       0 . . 1 1 1 1 1
    the last one is moved back, so that it is full: a video's end is no reason for a model to see less of it

The outermost segment of an inner window counts for nothing: what a model says there rests on one side alone. At the
video's own ends there is nothing to fade into. A video shorter than T is one window with padding.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

SegmentArrays = Mapping[str, npt.NDArray[Any]]
"""Arrays by name, all with one row a segment."""

RunWindow = Callable[[SegmentArrays, npt.NDArray[np.bool_]], SegmentArrays]
"""A model: inputs of T segments and their validity (T,), False in padding, to its predictions for T segments."""


@dataclass(frozen=True)
class Windows:
    """How a video is cut into windows.

    Attributes:
        length: T, segments of a window.
        overlap: segments that a window has in common with the one before; the last window may have more.

    Raises:
        ValueError: if windows could not move on.
    """

    length: int
    overlap: int

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"A window has 1 segment or more, got {self.length}.")
        if not 0 <= self.overlap < self.length:
            raise ValueError(
                f"Windows of {self.length} segments overlap by 0 to {self.length - 1}, got {self.overlap}."
            )

    @classmethod
    def half_overlapping(cls, length: int) -> "Windows":
        """Windows of which every segment is in two, but for the first and last ones."""
        return cls(length, length // 2)


def slide(batches: Iterable[SegmentArrays], windows: Windows, run: RunWindow) -> Iterator[SegmentArrays]:
    """Predictions for all segments in order, a few at a time, as soon as no later window changes them.

    After each batch there is an empty one, so that whoever iterates knows that it is done. Holds inputs and predictions
    of less than two windows and a batch, however long the video is.

    Args:
        batches: inputs of segments, in order.
        windows: how they are cut.
        run: the model.
    """
    inputs = _Rows()
    predictions = _Rows()
    next_start = 0

    def run_at(start: int) -> SegmentArrays:
        padding = windows.length - (inputs.end - start)
        window = inputs.take(start, start + windows.length)
        valid = np.arange(windows.length) < windows.length - max(padding, 0)
        found = run(window if padding <= 0 else _padded(window, padding), valid)
        crossfade(predictions, start, {name: array[valid] for name, array in found.items()})
        inputs.drop(start + 1)  # the next window starts later
        return predictions.drop(start + 1)

    for batch in batches:
        inputs.append(batch)
        while inputs.end >= next_start + windows.length:
            yield run_at(next_start)
            next_start += windows.length - windows.overlap
        yield {}
    last = max(inputs.end - windows.length, 0)
    if inputs.end > predictions.end:
        yield run_at(last)
    if predictions.end > predictions.start:
        yield predictions.drop(predictions.end)


def crossfade(predictions: "_Rows", start: int, window: SegmentArrays) -> None:
    """Join the predictions of a window to those of the ones before.

    Args:
        predictions: of the windows before; they reach to ``start`` or beyond, and are changed.
        start: first segment of the window.
        window: its predictions; they reach at least as far as those before.
    """
    overlap = predictions.end - start
    if overlap > 0:
        ramp = np.linspace(0, 1, overlap, dtype=np.float32) if overlap > 1 else np.full(1, 0.5, np.float32)
        before = predictions.cut(start)
        for name, old in before.items():
            weight = ramp.reshape(-1, *[1] * (old.ndim - 1))
            new = window[name][:overlap]
            # In this form equal predictions stay as they are, to the last bit.
            before[name] = old + (new - old) * weight
        predictions.append(before)
    predictions.append({name: array[max(overlap, 0) :] for name, array in window.items()})


class _Rows:
    """Rows of some arrays that are appended at the end and dropped at the start; they keep their numbers."""

    def __init__(self) -> None:
        self._parts: list[SegmentArrays] = []
        self.start = self.end = 0

    def append(self, arrays: SegmentArrays) -> None:
        count = len(next(iter(arrays.values())))
        if count:
            self._parts.append(arrays)
            self.end += count

    def take(self, start: int, end: int) -> dict[str, npt.NDArray[Any]]:
        joined = self._joined()
        return {name: array[start - self.start : end - self.start] for name, array in joined.items()}

    def drop(self, end: int) -> dict[str, npt.NDArray[Any]]:
        """Take the rows before ``end`` away."""
        end = min(end, self.end)
        joined = self._joined()
        dropped = {name: array[: end - self.start] for name, array in joined.items()}
        # Copied, so that what is dropped is not kept in memory by what is not.
        self._parts = [{name: array[end - self.start :].copy() for name, array in joined.items()}]
        self.start = end
        return dropped

    def cut(self, start: int) -> dict[str, npt.NDArray[Any]]:
        """Take the rows from ``start`` on away."""
        rest = self.take(start, self.end)
        kept = self.take(self.start, start)
        self._parts, self.end = [kept], start
        return rest

    def _joined(self) -> SegmentArrays:
        if len(self._parts) != 1:
            names = self._parts[0] if self._parts else ()
            self._parts = [{name: np.concatenate([part[name] for part in self._parts]) for name in names}]
        return self._parts[0]


def _padded(arrays: SegmentArrays, count: int) -> SegmentArrays:
    return {name: np.pad(array, [(0, count), *[(0, 0)] * (array.ndim - 1)]) for name, array in arrays.items()}
