"""Clips of equal length with labels, from videos of any length.

A model is trained on clips of T segments. Where a video is longer it is cut into windows of T; a shorter one is a clip
with padding at its end::

    video      |===================================|       23 segments, T = 10
    measured   |---------|---------|--- .......            every segment once, padding at the end
    trained    |---------|---------|                       starts every ``hop_segments``,
                    |---------|                            and one that ends with the video
                                |---------|
"""

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avel.data import labels as label_maker
from avel.data.annotations import SPLITS, Annotation, Split

Rows = npt.NDArray[np.int64]

_SHORTEST_SECONDS = 1e-6
"""What is left of an event at a window's border by rounding is no event."""


class LabelledClips(Protocol):
    """Clips that models are trained on; `avel.data.ave.dataset.AveDataset` and `WindowedVideos` are such."""

    @property
    def categories(self) -> tuple[str, ...]:
        """Event categories in the order of the classes."""

    @property
    def num_categories(self) -> int:
        """Number of event categories, without background."""

    @property
    def num_classes(self) -> int:
        """Number of event categories and background."""

    @property
    def splits(self) -> Mapping[Split, Rows]:
        """(M,) clips of each split."""

    @property
    def classes(self) -> Rows:
        """(N,) the class that most stands for each clip."""

    def __len__(self) -> int: ...

    def events_of(self, row: int) -> tuple[Annotation, ...]:
        """Events of a clip, in seconds from its start."""


@dataclass(frozen=True)
class LabelledVideo:
    """A video with its events.

    Attributes:
        name: as in the label file.
        num_segments: how long it is.
        events: in it, in seconds from its start.
        split: which part of the data it is in.
    """

    name: str
    num_segments: int
    events: tuple[Annotation, ...]
    split: Split


@dataclass(frozen=True)
class WindowedVideos:
    """Videos of any length as clips of T segments.

    Attributes:
        videos: in any order.
        categories: event categories in the order of the classes.
        num_segments: T.
        hop_segments: how far training clips of one video start apart; fewer than T lets them overlap.
        segment_seconds: length of a segment.

    Raises:
        ValueError: if a length is not allowed.
    """

    videos: tuple[LabelledVideo, ...]
    categories: tuple[str, ...]
    num_segments: int = 10
    hop_segments: int = 5
    segment_seconds: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.hop_segments <= self.num_segments:
            raise ValueError(
                f"hop_segments must be from 1 to the {self.num_segments} segments of a window, "
                f"got {self.hop_segments}: otherwise segments are left out."
            )

    def __len__(self) -> int:
        return len(self.video_of)

    @property
    def num_categories(self) -> int:
        """Number of event categories, without background."""
        return len(self.categories)

    @property
    def num_classes(self) -> int:
        """Number of event categories and background."""
        return len(self.categories) + 1

    @cached_property
    def _windows(self) -> Rows:
        """(N, 2) video and first segment of each clip."""
        found = [(v, start) for v, video in enumerate(self.videos) for start in self._starts(video)]
        return np.array(found, np.int64).reshape(-1, 2)

    @property
    def video_of(self) -> Rows:
        """(N,) which of the videos each clip is of."""
        return self._windows[:, 0]

    @property
    def starts(self) -> Rows:
        """(N,) first segment of each clip in its video."""
        return self._windows[:, 1]

    @cached_property
    def splits(self) -> dict[Split, Rows]:
        """(M,) clips of each split."""
        of_clip = np.array([video.split for video in self.videos])[self.video_of]
        return {split: np.flatnonzero(of_clip == split) for split in SPLITS}

    @cached_property
    def classes(self) -> Rows:
        """(N,) the event category that most segments of each clip have; background where none has."""
        return np.array([self._main_class(i) for i in range(len(self))], np.int64)

    def events_of(self, row: int) -> tuple[Annotation, ...]:
        """What of the video's events is in a clip, in seconds from the clip's start."""
        begin = int(self.starts[row]) * self.segment_seconds
        end = begin + self.num_segments * self.segment_seconds
        return tuple(
            Annotation(e.video, max(e.start_seconds - begin, 0.0), min(e.end_seconds, end) - begin, e.category)
            for e in self._events_near[row]
            if min(e.end_seconds, end) - max(e.start_seconds, begin) > _SHORTEST_SECONDS
        )

    @cached_property
    def _events_near(self) -> list[list[Annotation]]:
        """For each clip the events of its video that reach into it, found in one pass over the events of each video."""
        found: list[list[Annotation]] = [[] for _ in range(len(self))]
        bounds = np.searchsorted(self.video_of, np.arange(len(self.videos) + 1)).tolist()
        begins = (self.starts * self.segment_seconds).tolist()
        ends = (self.starts * self.segment_seconds + self.num_segments * self.segment_seconds).tolist()
        for video, low, high in zip(self.videos, bounds, bounds[1:], strict=False):
            for event in video.events:
                first = bisect_right(ends, event.start_seconds, low, high)
                for row in range(first, bisect_left(begins, event.end_seconds, low, high)):
                    found[row].append(event)
        return found

    @cached_property
    def _class_of(self) -> dict[str, int]:
        return {category: number for number, category in enumerate(self.categories)}

    def _starts(self, video: LabelledVideo) -> Sequence[int]:
        if video.split != "train" or video.num_segments <= self.num_segments:
            return range(0, video.num_segments, self.num_segments)
        last = video.num_segments - self.num_segments
        return [*range(0, last, self.hop_segments), last]

    def _main_class(self, row: int) -> int:
        events = self.events_of(row)
        here = label_maker.classes_in(events, self._class_of)
        there = [self.categories[number] for number in here]
        covered = label_maker.coverage(events, there, self.num_segments, self.segment_seconds).sum(0)
        return here[int(covered.argmax())] if covered.any() else len(self.categories)


def overlapping_segments(events: Sequence[Annotation], num_segments: int, segment_seconds: float = 1.0) -> int:
    """Number of segments that one class cannot describe: at least half of it in each of two categories, at once.

    Two events that only meet within a segment share it out, and do not overlap.

    Args:
        events: of one video.
        num_segments: of the video.
        segment_seconds: length of a segment.
    """
    categories = sorted({event.category for event in events})
    covered = label_maker.coverage(events, categories, num_segments, segment_seconds)
    enough = np.where(covered >= label_maker.MIN_COVERAGE, covered, 0.0)
    return int(((enough > 0).sum(1) > 1)[enough.sum(1) > 1 + 1e-6].sum())
