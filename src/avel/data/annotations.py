"""What people wrote down about videos: event intervals, in the one form that every label format is read into.

All times are seconds from the start of the video; all spans are half open, ``[start, end)``. `avel.data.formats` reads
and writes label files.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Self, get_args

from avel.events import BACKGROUND, MODALITIES, Modality
from avel.wording import counted

Split = Literal["train", "val", "test"]
WeakProtocol = Literal["one-hot", "proportion"]
"""How a label stands for a whole video, see `avel.data.labels`."""
SPLITS: tuple[Split, ...] = get_args(Split)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One event that somebody marked in a video.

    Attributes:
        video: the video as the label file names it: a path, a file name, or an identifier.
        start_seconds: first moment, inclusive; 0 or more.
        end_seconds: last moment, exclusive; after ``start_seconds``.
        category: name of the event category, never `BACKGROUND`.
        split: part of the data set, one of `SPLITS`, or ``None`` when the file does not say.
        modality: whether the event is both heard and seen, or only one of them; ``None`` when the file does not say.
    """

    video: str
    start_seconds: float
    end_seconds: float
    category: str
    split: Split | None = None
    modality: Modality | None = None

    def __post_init__(self) -> None:
        if not self.video:
            raise ValueError("The video has no name.")
        if not (math.isfinite(self.start_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"Times must be finite, got [{self.start_seconds}, {self.end_seconds}).")
        if self.start_seconds < 0:
            raise ValueError(f"The event starts at {self.start_seconds:g} s. Times must be 0 or more.")
        if not self.end_seconds > self.start_seconds:
            raise ValueError(
                f"The event ends at {self.end_seconds:g} s but starts at {self.start_seconds:g} s. "
                "An event must end after it starts."
            )
        if not self.category:
            raise ValueError("The event has no category.")
        if self.category == BACKGROUND:
            raise ValueError(f"'{BACKGROUND}' is where no event is, not an event category. Leave such spans out.")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"Unknown split '{self.split}'. Supported splits are {', '.join(SPLITS)}.")
        if self.modality is not None and self.modality not in MODALITIES:
            raise ValueError(f"Unknown modality '{self.modality}'. Supported modalities are {', '.join(MODALITIES)}.")


@dataclass(frozen=True)
class AnnotationSet:
    """The annotations of a set of videos. Videos may have several events, and events may overlap.

    Attributes:
        events: in the order of the file.
        categories: event categories, C - 1 of them: those given to the reader, or else in order of first appearance.
        videos_without_event: split (or ``None``) of each video that was looked at and has no event.
        source: the file or folder it was read from.
        where: for messages, the place in the files where each video is first named.
        warnings: what was left out or understood in a way that a person should know, each with its file.
    """

    events: tuple[Annotation, ...]
    categories: tuple[str, ...]
    videos_without_event: Mapping[str, Split | None] = field(default_factory=dict)
    source: str = ""
    where: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def videos(self) -> tuple[str, ...]:
        """Each video once: those with events in order of first appearance, then those without."""
        return tuple(dict.fromkeys([*(e.video for e in self.events), *self.videos_without_event]))

    @property
    def num_categories(self) -> int:
        """Number of event categories, without background."""
        return len(self.categories)

    @property
    def num_classes(self) -> int:
        """Number of event categories and background."""
        return len(self.categories) + 1

    def split_of(self) -> dict[str, Split | None]:
        """Split of each video, in the order of `videos`; ``None`` where the file does not say."""
        of_events = {e.video: e.split for e in self.events}
        return {video: of_events.get(video, self.videos_without_event.get(video)) for video in self.videos}

    def by_video(self) -> dict[str, tuple[Annotation, ...]]:
        """Events of each video in the order of `videos`; empty for a video without event."""
        events: dict[str, list[Annotation]] = {video: [] for video in self.videos}
        for event in self.events:
            events[event.video].append(event)
        return {video: tuple(found) for video, found in events.items()}

    def in_split(self, split: Split) -> "AnnotationSet":
        """The part of the set that belongs to a split; the categories stay the same.

        Raises:
            ValueError: if there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"Unknown split '{split}'. Supported splits are {', '.join(SPLITS)}.")
        return AnnotationSet(
            events=tuple(e for e in self.events if e.split == split),
            categories=self.categories,
            videos_without_event={v: s for v, s in self.videos_without_event.items() if s == split},
            source=self.source,
            where=self.where,
            warnings=self.warnings,
        )

    def only_audio_visual(self) -> "AnnotationSet":
        """The set without the events that are marked as only heard or only seen, which `warnings` then says.

        Their videos stay, and so do the categories if an event that stays has them.
        """
        kept = tuple(event for event in self.events if event.modality in (None, "audio-visual"))
        left = len(self.events) - len(kept)
        if not left:
            return self
        one, several = (f"{events} only heard or only seen" for events in ("event is", "events are"))
        splits, with_event = self.split_of(), {event.video for event in kept}
        there = {event.category for event in kept}
        return replace(
            self,
            events=kept,
            categories=tuple(category for category in self.categories if category in there),
            videos_without_event={video: splits[video] for video in self.videos if video not in with_event},
            warnings=(
                *self.warnings,
                f"{self.source}: {counted(left, one, several)}, and left out: an event is both",
            ),
        )

    @classmethod
    def merged(cls, sets: Iterable[Self], source: str = "") -> "AnnotationSet":
        """Several sets as one, such as the label files of several videos."""
        sets = list(sets)
        events = tuple(e for s in sets for e in s.events)
        with_event = {e.video for e in events}
        return AnnotationSet(
            events=events,
            categories=tuple(dict.fromkeys(c for s in sets for c in s.categories)),
            videos_without_event={
                v: split for s in sets for v, split in s.videos_without_event.items() if v not in with_event
            },
            source=source,
            where={v: place for s in reversed(sets) for v, place in s.where.items()},
            warnings=tuple(warning for s in sets for warning in s.warnings),
        )


@dataclass(frozen=True)
class VideoLabels:
    """Which categories are in each video, without saying when.

    Attributes:
        videos: categories of each video in the order of the file; none for a video without event.
        categories: event categories, as in `AnnotationSet`.
        splits: split (or ``None``) of each video.
        source: the file it was read from.
        where: for messages, the place in the file where each video is first named.
        warnings: as in `AnnotationSet`.
    """

    videos: Mapping[str, tuple[str, ...]]
    categories: tuple[str, ...]
    splits: Mapping[str, Split | None]
    source: str = ""
    where: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    warnings: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def spanning(self, durations: Mapping[str, float]) -> AnnotationSet:
        """As annotations whose events last as long as their videos, which is what a video's label stands for.

        Args:
            durations: seconds of each video, above 0.
        """
        return AnnotationSet(
            events=tuple(
                Annotation(video, 0.0, durations[video], category, self.splits[video])
                for video, found in self.videos.items()
                for category in found
            ),
            categories=self.categories,
            videos_without_event={video: self.splits[video] for video, found in self.videos.items() if not found},
            source=self.source,
            where=self.where,
            warnings=self.warnings,
        )
