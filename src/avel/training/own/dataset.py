"""A person's videos as windows, with their features."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.data.annotations import SPLITS, Split
from avel.data.clips import LabelledVideo, Rows, WindowedVideos
from avel.training.data import LocalizationData
from avel.training.sources import StoreSource

STRETCH_WINDOWS = 30
"""Of a video that are measured in one piece: bounds the memory that one long video among short ones takes."""


class LabelledData(LocalizationData):
    """Windows of labelled videos.

    Attributes:
        dataset: the windows.
    """

    def __init__(
        self, source: StoreSource, dataset: WindowedVideos, name: str, has_times: bool, warnings: Sequence[str]
    ) -> None:
        super().__init__(source, dataset, np.arange(len(dataset)))
        self.name = name
        self.has_times = has_times
        self.warnings: tuple[str, ...] = tuple(warnings)
        self.windows = dataset
        videos = Counter(video.split for video in dataset.videos)
        self.notes: dict[str, Any] = {
            "videos": {split: videos[split] for split in SPLITS},
            "training_events": training_events(dataset.videos, dataset.categories),
            "labels_have_times": has_times,
        }

    def as_videos(self, split: Split, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """What was said of windows as said of videos, (N, L, ...); a very long video is cut into several rows."""
        rows, columns = self._places(split)
        count, length = int(rows.max(initial=-1)) + 1, int(columns.max(initial=0)) + self.num_segments
        whole = np.full((count, length, *values.shape[2:]), fill, values.dtype)
        within = columns[:, None] + np.arange(self.num_segments)
        whole[rows[:, None], within] = values
        return whole

    def by_video(self, split: Split) -> list[Rows]:
        """For each video of a split, the numbers of its windows among the split's."""
        of_video = self.windows.video_of[self.splits[split]]  # in the order of videos
        if not len(of_video):
            return []
        return np.split(np.arange(len(of_video)), np.flatnonzero(np.diff(of_video)) + 1)

    def video_classes(self, split: Split) -> Rows:
        """(N,) the event category that most segments of each video have; background where none has."""
        background = self.windows.num_categories
        classes = self.as_videos(split, self.examples(split).labels.first_classes, background)
        rows = np.arange(len(classes))[:, None] * background
        pairs, counts = np.unique((rows + classes)[classes != background], return_counts=True)
        videos, categories = np.divmod(pairs, background)
        order = np.lexsort((categories, -counts, videos))  # of each video the most frequent first
        with_event, first = np.unique(videos[order], return_index=True)
        main = np.full(len(classes), background)
        main[with_event] = categories[order[first]]
        return main

    def _places(self, split: Split) -> tuple[Rows, Rows]:
        """(M,) row and first column of each window, when those of a video lie side by side."""
        chosen = self.splits[split]
        stretch = STRETCH_WINDOWS * self.num_segments
        starts = self.windows.starts[chosen]
        keys = np.stack([self.windows.video_of[chosen], starts // stretch], axis=1)
        rows = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        return rows, starts % stretch


def training_events(videos: Sequence[LabelledVideo], categories: Sequence[str]) -> dict[str, int]:
    """Number of events of each category to learn from."""
    counts = Counter(event.category for video in videos if video.split == "train" for event in video.events)
    return {category: counts[category] for category in categories}
