"""Labels and the videos that they are of, before any feature is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.data.annotations import Annotation, AnnotationSet
from avel.data.clips import overlapping_segments
from avel.data.formats import LabelFormat, labels_whole_videos, read_annotations
from avel.data.formats.label_file import CategoryFrom
from avel.data.formats.table import read_video_labels
from avel.data.videos import find_videos
from avel.errors import AnnotationsError, MediaError
from avel.events import segment_bounds
from avel.features.source import absolute_text
from avel.features.store import FeatureStore
from avel.training.settings import NO_BACKGROUNDS


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
                found = overlapping_segments(events, num_segments, segment_seconds)
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


def read_labels(
    labels: str | Path,
    videos: str | Path,
    *,
    format: LabelFormat | None = None,  # noqa: A002 - the word that people look for
    categories: Sequence[str] | None = None,
    frames_per_second: float | None = None,
    tiers: Sequence[str] = (),
    category_from: CategoryFrom = "text",
    annotator: str | None = None,
    store: str | Path | None = None,
) -> VideoLabelling:
    """Read labels and find the videos that they name.

    Args:
        labels: a file in any format of `avel.data.formats.read_annotations`, or a folder of such files; or a CSV
            file ``video,category[,split]`` without times.
        videos: folder of the videos.
        format: of the labels; found out if left out.
        categories: event categories that may occur, in the order wanted; all that occur if left out.
        frames_per_second: for timelines of Label Studio and tracks of CVAT.
        tiers: of ELAN and Praat that are read, see `avel.data.formats.read_annotations`.
        category_from: whether a category is an annotation's text or its tier's name.
        annotator: whose annotations of Label Studio are read.
        store: a feature store that may hold some of the videos. It knows how long these are, so that they need not be
            opened, which takes a hundred times longer.

    Raises:
        AnnotationsError: if labels are wrong, an event ends after its video, or a video is missing or cannot be opened.
    """
    has_times = format not in (None, "csv") or not labels_whole_videos(labels)
    if has_times:
        options: dict[str, Any] = {
            "categories": categories,
            "frames_per_second": frames_per_second,
            "tiers": tiers,
            "category_from": category_from,
            "annotator": annotator,
        }
        annotations = read_annotations(labels, format, **options).only_audio_visual()
        files = find_videos(annotations.videos, videos, where=annotations.where)
        known = _known_durations(files, store, annotations.by_video())
        durations = _durations(files, annotations.where, known)
        annotations = read_annotations(labels, format, **options, durations=durations).only_audio_visual()
    else:
        of_videos = read_video_labels(labels, categories=categories)
        files = find_videos(of_videos.videos, videos, where=of_videos.where)
        durations = _durations(files, of_videos.where, _known_durations(files, store, {}))
        annotations = of_videos.spanning({video: durations.get(video, 1.0) for video in files})
    if not annotations.events:
        raise AnnotationsError(f"{labels}: marks no event in any video, so there is nothing to learn.")
    return VideoLabelling(annotations, files, has_times, durations)


def _known_durations(
    files: Mapping[str, Path], store: str | Path | None, events: Mapping[str, Sequence[Annotation]]
) -> dict[str, float]:
    """Seconds of the videos that a store has features of, unless they have changed since, or an event ends later."""
    if store is None or not (Path(store) / "store.json").exists():
        return {}
    rows = {row.source: row for row in FeatureStore(store).index()[0]}
    known = {}
    for video, path in files.items():
        row = rows.get(absolute_text(path))
        last = max((event.end_seconds for event in events.get(video, ())), default=0.0)
        if row is not None and row.source_bytes == path.stat().st_size and last <= row.duration_seconds:
            known[video] = row.duration_seconds
    return known


def _durations(files: Mapping[str, Path], where: Mapping[str, str], known: Mapping[str, float]) -> dict[str, float]:
    """Seconds that are known, or that the files declare; what neither says is found out when they are read."""
    from avel.media.reader import probe

    durations = dict(known)
    for video, path in files.items():
        if video in known:
            continue
        try:
            seconds = probe(path).duration_seconds
        except MediaError as error:
            raise AnnotationsError(
                f"{where.get(video, 'labels')}: '{video}' is no video that can be read. {error}"
            ) from error
        if seconds is not None:
            durations[video] = seconds
    return durations
