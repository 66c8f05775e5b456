"""A person's own videos and labels as a data set to train on.

    labels = read_labels("labels.csv", "videos")
    extract_many(labels.files.values(), "run/features", preset("fast"))
    data = open_labelled(labels, "run/features", settings)

Everything that can be wrong with labels is found before the features are extracted, which is what takes long.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.data.annotations import (
    SPLITS,
    AnnotationSet,
    Split,
)
from avel.data.clips import LabelledVideo, Rows, WindowedVideos, overlapping_segments
from avel.data.formats import LabelFormat, read_annotations
from avel.data.formats.table import labels_whole_videos, read_video_labels
from avel.data.labels import MIN_COVERAGE, coverage
from avel.data.splits import stratified_split
from avel.data.videos import find_videos
from avel.errors import AnnotationsError, FeaturesError, MediaError
from avel.events import segment_bounds
from avel.features.source import absolute_text
from avel.features.store import FeatureStore
from avel.training.data import LocalizationData
from avel.training.settings import NO_BACKGROUNDS, TrainingSettings
from avel.training.sources import StoreSource, store_record

STRETCH_WINDOWS = 30
"""Of a video that are measured in one piece: bounds the memory that one long video among short ones takes."""

_SHOWN = 5


@dataclass(frozen=True)
class VideoLabelling:
    """Labels and the videos that they are of.

    Attributes:
        annotations: events; those of labels without times last as long as their videos.
        files: path of each video's file.
        has_times: whether the labels say when events are.
        durations: seconds of each video, where its file declares them.
    """

    annotations: AnnotationSet
    files: Mapping[str, Path]
    has_times: bool
    durations: Mapping[str, float]

    @property
    def source(self) -> str:
        """The file or folder of the labels."""
        return self.annotations.source

    def overlap(self, segment_seconds: float = 1.0) -> tuple[int, str]:
        """Segments that hold events of several categories at once, and the first video with one.

        Without times, they are the videos of several categories.
        """
        count, first = 0, ""
        for video, events in self.annotations.by_video().items():
            if self.has_times and events:
                last = max(event.end_seconds for event in events)
                num_segments = len(segment_bounds(last, segment_seconds))
                found = overlapping_segments(events, self.annotations.categories, num_segments, segment_seconds)
            else:
                found = int(len({event.category for event in events}) > 1)
            first = first or (video if found else "")
            count += found
        return count, first

    def asks_for(self, segment_seconds: float = 1.0) -> dict[str, Any]:
        """Settings that fit these labels where a person has not said otherwise.

        Args:
            segment_seconds: length of a segment.
        """
        settings: dict[str, Any] = {"backgrounds": NO_BACKGROUNDS}
        if not self.has_times:
            settings["task"] = "weak"
        if self.overlap(segment_seconds)[0]:
            settings["multi_label"] = True
        return settings


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
        self.warnings = tuple(warnings)
        self.windows = dataset
        videos = Counter(video.split for video in dataset.videos)
        self.notes = {
            "videos": {split: videos[split] for split in SPLITS},
            "training_events": _training_events(dataset.videos, dataset.categories),
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
        of_video = self.windows.video_of[self.splits[split]]
        return [np.flatnonzero(of_video == video) for video in dict.fromkeys(of_video.tolist())]

    def video_classes(self, split: Split) -> Rows:
        """(N,) the event category that most segments of each video have; background where none has."""
        background = self.windows.num_categories
        classes = self.as_videos(split, self.examples(split).labels.argmax(-1), background)
        counts = (classes[..., None] == np.arange(background)).sum(1)  # (N, C - 1)
        return np.where(counts.any(1), counts.argmax(1), background)

    def _places(self, split: Split) -> tuple[Rows, Rows]:
        """(M,) row and first column of each window, when those of a video lie side by side."""
        chosen = self.splits[split]
        stretch = STRETCH_WINDOWS * self.num_segments
        starts = self.windows.starts[chosen]
        keys = np.stack([self.windows.video_of[chosen], starts // stretch], axis=1)
        rows = np.unique(keys, axis=0, return_inverse=True)[1].reshape(-1)
        return rows, starts % stretch


def read_labels(
    labels: str | Path,
    videos: str | Path,
    *,
    format: LabelFormat | None = None,  # noqa: A002 - the word that people look for
    categories: Sequence[str] | None = None,
    frames_per_second: float | None = None,
) -> VideoLabelling:
    """Read labels and find the videos that they name.

    Args:
        labels: a file in any format of `avel.data.formats.read_annotations`, or a folder of such files; or a CSV
            file ``video,category[,split]`` without times.
        videos: folder of the videos.
        format: of the labels; found out if left out.
        categories: event categories that may occur, in the order wanted; all that occur if left out.
        frames_per_second: for timelines of Label Studio.

    Raises:
        AnnotationsError: if labels are wrong, an event ends after its video, or a video is missing or cannot be opened.
    """
    has_times = format not in (None, "csv") or not labels_whole_videos(labels)
    if has_times:
        options: dict[str, Any] = {"categories": categories, "frames_per_second": frames_per_second}
        annotations = read_annotations(labels, format, **options)
        files = find_videos(annotations.videos, videos, where=annotations.where)
        durations = _durations(files, annotations.where)
        annotations = read_annotations(labels, format, **options, durations=durations)
    else:
        of_videos = read_video_labels(labels, categories=categories)
        files = find_videos(of_videos.videos, videos, where=of_videos.where)
        durations = _durations(files, of_videos.where)
        annotations = of_videos.spanning({video: durations.get(video, 1.0) for video in files})
    if not annotations.events:
        raise AnnotationsError(f"{labels}: marks no event in any video, so there is nothing to learn.")
    return VideoLabelling(annotations, files, has_times, durations)


def split_videos(
    labelling: VideoLabelling, settings: TrainingSettings, needed: Sequence[Split] = SPLITS
) -> dict[str, Split]:
    """The split of each video: as the label file says, else by seed, whole videos at a time, each category alike.

    Args:
        labelling: labels and videos.
        settings: ``split_shares`` and ``split_seed``.
        needed: splits that must not be empty.

    Raises:
        AnnotationsError: if only some videos have a split, one that is needed is empty, or a category cannot be both
            trained and measured.
    """
    annotations, source = labelling.annotations, labelling.source
    categories_of = {video: {e.category for e in events} for video, events in annotations.by_video().items()}
    videos_of = Counter(category for found in categories_of.values() for category in found)
    given = annotations.split_of()
    named = {video: split for video, split in given.items() if split is not None}
    if named:
        if len(named) < len(given):
            without = next(video for video, split in given.items() if split is None)
            raise AnnotationsError(
                f"{annotations.where.get(without, source)}: '{without}' has no split, but {len(named)} other videos "
                f"have one. Give each video one of {', '.join(SPLITS)}, or none of them."
            )
        splits = named
    else:
        single = [category for category, count in videos_of.items() if count < 2]
        if single:
            raise AnnotationsError(
                f"{source}: {_some(single)} {'is' if len(single) == 1 else 'are'} in one video only, which cannot be "
                "both learned from and measured on. Label more videos (three or more of each category), leave the "
                "category out, or name the splits in a column 'split'."
            )
        if len(categories_of) < len(SPLITS):
            raise AnnotationsError(f"{source}: {len(categories_of)} videos cannot be split into {', '.join(SPLITS)}.")
        splits = stratified_split(categories_of, settings.split_shares, seed=settings.split_seed)
    counts = Counter(splits.values())
    for split in needed:
        if not counts[split]:
            found = ", ".join(f"{counts[name]} in {name}" for name in SPLITS)
            raise AnnotationsError(
                f"{source}: no video is in split {split} ({found}). "
                + ("Put some rows in it." if named else "Label three or more videos of each category.")
            )
    trained = {category for video, split in splits.items() if split == "train" for category in categories_of[video]}
    missing = [category for category in annotations.categories if videos_of[category] and category not in trained]
    if missing and "train" in needed:
        raise AnnotationsError(
            f"{source}: {_some(missing)} {'is' if len(missing) == 1 else 'are'} in no video of split train, so that "
            "it cannot be learned. Put some of its videos there."
        )
    return splits


def open_labelled(
    labelling: VideoLabelling,
    store: str | Path,
    settings: TrainingSettings,
    *,
    needed: Sequence[Split] = SPLITS,
) -> LabelledData:
    """Labels with the features of their videos.

    Args:
        labelling: labels and videos.
        store: with features of the videos; those that it does not have are left out with a warning.
        settings: windows and splits.
        needed: splits that must not be empty.

    Raises:
        AnnotationsError: as `split_videos`.
        FeaturesError: if the store cannot be read, or has no video of a needed split.
        ValueError: if windows are not allowed.
    """
    splits = split_videos(labelling, settings, needed)
    opened = FeatureStore(store)
    rows = {row.source: row for row in opened.index()[0]}
    record = store_record(opened)
    seconds = record.segment_seconds
    found = {video: rows.get(absolute_text(path)) for video, path in labelling.files.items()}
    there = {video: row for video, row in found.items() if row is not None}
    events_of = labelling.annotations.by_video()
    videos, late = [], 0
    for video, row in there.items():
        end = row.segments * seconds
        events = events_of[video]
        if not labelling.has_times:
            events = tuple(replace(event, end_seconds=end) for event in events)
        inside = tuple(event for event in events if event.start_seconds < end)
        late += len(events) - len(inside)
        videos.append(LabelledVideo(video, row.segments, inside, splits[video]))
    counts = Counter(video.split for video in videos)
    for split in needed:
        if not counts[split]:
            raise FeaturesError(
                f"{store}: has features of no video of split {split}. `avel features info {store}` says what failed."
            )
    windows = WindowedVideos(
        tuple(videos),
        labelling.annotations.categories,
        settings.window_segments,
        min(settings.hop_segments, settings.window_segments),
        seconds,
    )
    keys = [there[windows.videos[video].name].key for video in windows.video_of]
    source = StoreSource(opened, keys, settings.window_segments, record, windows.starts.tolist())
    warnings = [
        *_left_out([video for video, row in found.items() if row is None], late),
        *_copies(splits, {video: row.sha256 for video, row in there.items()}),
        *_warnings(labelling, windows, settings),
    ]
    return LabelledData(source, windows, labelling.source, labelling.has_times, warnings)


def splits_csv(data: LabelledData) -> str:
    """``video,split`` of each video, as a CSV file."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "split"])
    table.writerows([video.name, video.split] for video in data.windows.videos)
    return text.getvalue()


def _durations(files: Mapping[str, Path], where: Mapping[str, str]) -> dict[str, float]:
    """Seconds that the files declare; those that do not are found out when they are read."""
    from avel.media.reader import probe

    durations = {}
    for video, path in files.items():
        try:
            seconds = probe(path).duration_seconds
        except MediaError as error:
            raise AnnotationsError(
                f"{where.get(video, 'labels')}: '{video}' is no video that can be read. {error}"
            ) from error
        if seconds is not None:
            durations[video] = seconds
    return durations


def _left_out(missing: Sequence[str], late: int) -> list[str]:
    warnings = []
    if missing:
        warnings.append(f"{len(missing)} videos have no features and are left out: {_some(missing)}")
    if late:
        warnings.append(f"{late} events start after what could be read of their videos and are left out")
    return warnings


def _copies(splits: Mapping[str, Split], digests: Mapping[str, str]) -> list[str]:
    """Files of equal content on both sides of a split, which make every measure too good."""
    seen: dict[str, str] = {}
    warnings = []
    for video, digest in digests.items():
        other = seen.setdefault(digest, video)
        if splits[other] != splits[video]:
            warnings.append(
                f"'{video}' ({splits[video]}) and '{other}' ({splits[other]}) are copies of one file; "
                "what is measured is too good"
            )
    return warnings[:_SHOWN]


def _warnings(labelling: VideoLabelling, windows: WindowedVideos, settings: TrainingSettings) -> list[str]:
    """What a person should know before believing a result."""
    warnings = []
    counts = _training_events(windows.videos, windows.categories)
    few = [f"{category} ({count})" for category, count in counts.items() if count < settings.few_events]
    what = "training events" if labelling.has_times else "training videos"
    if few:
        warnings.append(
            f"fewer than {settings.few_events} {what}: {_some(few, 20)}; such categories are hardly learned"
        )
    for split in ("val", "test"):
        there = {event.category for video in windows.videos if video.split == split for event in video.events}
        missing = [category for category in windows.categories if category not in there]
        if missing and any(video.split == split for video in windows.videos):
            warnings.append(f"no video of split {split} has {_some(missing)}; nothing is known of how well it is found")
    overlap, first = labelling.overlap(windows.segment_seconds)
    if overlap and not settings.multi_label:
        unit = "segments" if labelling.has_times else "videos"
        warnings.append(
            f"{overlap} {unit} hold several categories at once (the first in '{first}'), of which only one is learned; "
            "multi_label learns all"
        )
    if not labelling.has_times:
        longer = sum(video.num_segments > windows.num_segments for video in windows.videos)
        if longer:
            longest = max(video.num_segments for video in windows.videos)
            warnings.append(
                f"{longer} videos are longer than a window of {windows.num_segments} segments, and each of their "
                f"windows is taken to hold what its video does; window_segments={longest} takes whole videos"
            )
        return warnings
    lost = sum(_is_lost(video, windows.segment_seconds) for video in windows.videos)
    if lost:
        warnings.append(
            f"{lost} events cover no segment of {windows.segment_seconds:g} s by half and are not learned; "
            "extract with a smaller segment_seconds"
        )
    return warnings


def _is_lost(video: LabelledVideo, segment_seconds: float) -> int:
    """Number of events that are too short to be in any segment's label."""
    return sum(
        int(coverage([event], [event.category], video.num_segments, segment_seconds).max() < MIN_COVERAGE)
        for event in video.events
        if event.end_seconds - event.start_seconds < segment_seconds
    )


def _training_events(videos: Sequence[LabelledVideo], categories: Sequence[str]) -> dict[str, int]:
    counts = Counter(event.category for video in videos if video.split == "train" for event in video.events)
    return {category: counts[category] for category in categories}


def _some(names: Sequence[str], most: int = _SHOWN) -> str:
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"
