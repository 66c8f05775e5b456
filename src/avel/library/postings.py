"""Which segments a tagger's classes were heard or seen in: for each class its segments, as a book's index has pages.

Scores below `LEAST` are not kept; a segment has a handful above it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats
from avel.data.categories import Category, class_indices
from avel.features.feature_file import BackboneModality
from avel.library.spaces import Taggers
from avel.library.vectors import damaged, read_array
from avel.models.agreement import ALIKE

LEAST = 0.02


@dataclass(frozen=True)
class Tagged:
    """What a tagger said of N segments, without what it said next to nothing for.

    Attributes:
        segment: (P,) uint32 segments, class by class.
        score: (P,) float16, theirs.
        class_start: (C + 1,) int64, where each class begins.
        number: (P,) uint16 classes, segment by segment.
        value: (P,) float16, their scores.
        segment_start: (N + 1,) int64, where each segment begins.
    """

    segment: npt.NDArray[np.uint32]
    score: npt.NDArray[np.float16]
    class_start: npt.NDArray[np.int64]
    number: npt.NDArray[np.uint16]
    value: npt.NDArray[np.float16]
    segment_start: npt.NDArray[np.int64]

    def of_class(self, number: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
        """Segments in which a class was found, and its scores."""
        part = slice(int(self.class_start[number]), int(self.class_start[number + 1]))
        return np.asarray(self.segment[part]), np.asarray(self.score[part], np.float32)

    def rarity(self, number: int) -> float:
        """How telling a class is: above 0, the greater the fewer segments have it (inverse document frequency)."""
        held = int(self.class_start[number + 1] - self.class_start[number])
        return math.log1p((len(self.segment_start) - 1) / max(held, 1))

    def of_segments(self, first: int, end: int) -> dict[int, float]:
        """Classes that were found in some segments in a row, with the greatest score of each."""
        part = slice(int(self.segment_start[first]), int(self.segment_start[end]))
        found: dict[int, float] = {}
        for number, score in zip(self.number[part].tolist(), self.value[part].tolist(), strict=True):
            found[number] = max(score, found.get(number, 0.0))
        return found


class TaggedWriter:
    """Collects what a tagger says, some segments after the other.

    Args:
        classes: C.
    """

    def __init__(self, classes: int) -> None:
        self._classes = classes
        self._counts: list[npt.NDArray[np.int64]] = []
        self._numbers: list[npt.NDArray[np.uint16]] = []
        self._values: list[npt.NDArray[np.float16]] = []

    def add(self, scores: Floats) -> None:
        """Take (T, C) scores of the next segments."""
        rows, numbers = np.nonzero(scores >= LEAST)
        self._counts.append(np.bincount(rows, minlength=len(scores)))
        self._numbers.append(numbers.astype(np.uint16))
        self._values.append(scores[rows, numbers].astype(np.float16))

    def copy(self, tagged: Tagged, first: int, end: int) -> None:
        """Take segments that were written before."""
        starts = tagged.segment_start[first : end + 1]
        part = slice(int(starts[0]), int(starts[-1]))
        self._counts.append(np.diff(starts))
        self._numbers.append(np.asarray(tagged.number[part]))
        self._values.append(np.asarray(tagged.value[part]))

    def write(self, folder: Path, name: str) -> None:
        """Write all, if there is any segment."""
        counts, numbers = np.concatenate(self._counts), np.concatenate(self._numbers)
        values = np.concatenate(self._values)
        segments = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        order = np.argsort(numbers, kind="stable")
        arrays: dict[str, npt.NDArray[Any]] = {
            "segment": segments[order],
            "score": values[order],
            "class_start": np.searchsorted(numbers[order], np.arange(self._classes + 1)).astype(np.int64),
            "number": numbers,
            "value": values,
            "segment_start": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        }
        for what, array in arrays.items():
            np.save(folder / f"{name}_{what}.npy", array)


def read_tagged(folder: Path, name: str, count: int, classes: int) -> Tagged:
    """Read what `TaggedWriter` wrote.

    Raises:
        LibraryError: if a file is missing or is not as it was written.
    """
    starts = {}
    for what, size in (("class_start", classes), ("segment_start", count)):
        path = folder / f"{name}_{what}.npy"
        starts[what] = np.asarray(read_array(path, np.int64, (size + 1,)))
        if starts[what][0] != 0 or (np.diff(starts[what]) < 0).any():
            raise damaged(path, "its parts do not follow each other")
    kept = int(starts["class_start"][-1])
    if kept != int(starts["segment_start"][-1]):
        raise damaged(folder / f"{name}_segment_start.npy", "it is of other scores")
    types = {"segment": np.uint32, "score": np.float16, "number": np.uint16, "value": np.float16}
    arrays = {
        # Nothing can be mapped of an empty file.
        what: read_array(folder / f"{name}_{what}.npy", dtype, (kept,)) if kept else np.zeros(0, dtype)
        for what, dtype in types.items()
    }
    for what, below in (("segment", count), ("number", classes)):
        if kept and int(arrays[what].max()) >= below:
            raise damaged(folder / f"{name}_{what}.npy", "it names what is not there")
    return Tagged(**arrays, **starts)


def category_odds(
    category: Category, modality: BackboneModality, tagged: Tagged, taggers: Taggers, count: int
) -> npt.NDArray[np.float32]:
    """(N,) odds of a category in one modality, 1 at its threshold; as `avel.models.agreement`, without smoothing."""
    labels = taggers.labels(modality)
    probability = np.zeros(count, np.float32)
    if modality == "audio":
        for names, weight in ((category.audio, 1.0), (category.audio_like, ALIKE)):
            for number in class_indices(names, labels, category.name):
                rows, scores = tagged.of_class(number)
                probability[rows] = np.maximum(probability[rows], np.float32(weight) * scores)
        return np.asarray(probability / np.float32(category.audio_threshold))
    weights = _weights(category, labels)
    for number, weight in weights.items():
        rows, scores = tagged.of_class(number)
        probability[rows] += np.float32(weight) * scores
    chance = sum(weights.values()) / len(labels)
    probability = ((probability - chance) / max(1 - chance, 1e-6)).clip(0, 1)
    return np.asarray(probability / np.float32(category.visual_threshold), np.float32)


def _weights(category: Category, labels: Sequence[str]) -> dict[int, float]:
    weights = dict.fromkeys(class_indices(category.visual_like, labels, category.name), ALIKE)
    return {**weights, **dict.fromkeys(class_indices(category.visual, labels, category.name), 1.0)}
