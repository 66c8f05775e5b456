"""Labels with the features of their videos."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from avel.data.annotations import SPLITS, Split
from avel.data.clips import LabelledVideo, WindowedVideos
from avel.errors import FeaturesError
from avel.features.index import IndexRow
from avel.features.lookup import find_rows
from avel.features.store import FeatureStore
from avel.training.features import FeatureRecord
from avel.training.own.dataset import LabelledData
from avel.training.own.labels import VideoLabelling
from avel.training.own.splits import split_videos
from avel.training.own.warnings import copies, doubts, left_out
from avel.training.settings import TrainingSettings
from avel.training.sources import StoreSource, store_record


def open_labelled(
    labelling: VideoLabelling,
    store: str | Path,
    settings: TrainingSettings,
    *,
    needed: Sequence[Split] = SPLITS,
    splits: Mapping[str, Split] | None = None,
) -> LabelledData:
    """Labels with the features of their videos.

    Args:
        labelling: labels and videos.
        store: with features of the videos; those that it does not have are left out with a warning.
        settings: windows and splits.
        needed: splits that must not be empty.
        splits: of each video, as `split_videos` gives them, which is called if they are left out.

    Raises:
        AnnotationsError: as `split_videos`.
        FeaturesError: if the store cannot be read, or has no video of a needed split.
        ValueError: if windows are not allowed.
    """
    splits = split_videos(labelling, settings, needed) if splits is None else splits
    opened = FeatureStore(store)
    digests = opened.digests()
    rows = find_rows(labelling.files.values(), opened.index()[0], digests.of)
    digests.save()
    record = store_record(opened)
    seconds = record.segment_seconds
    found = {video: rows.get(path) for video, path in labelling.files.items()}
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
    counts, wanted = Counter(video.split for video in videos), Counter(splits.values())
    for split in needed:
        if not counts[split]:
            raise FeaturesError(
                f"{store}: holds features of no video of split {split}, of which the labels name {wanted[split]}. "
                f"Extract them with `avel extract VIDEOS -o {store}`; `avel features info {store}` says what "
                "could not be extracted."
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
        *labelling.annotations.warnings,
        *_missing_modality(there.values(), record),
        *left_out([video for video, row in found.items() if row is None], late),
        *copies(splits, {video: row.sha256 for video, row in there.items()}),
        *doubts(labelling, windows, settings),
    ]
    return LabelledData(source, windows, labelling.source, labelling.has_times, warnings)


def _missing_modality(rows: Collection[IndexRow], record: FeatureRecord) -> list[str]:
    """Where no video at all has pictures, or sound, that a network could look at."""
    warnings = []
    if record.visual and rows and not any(row.visual_valid for row in rows):
        warnings.append(f"none of the {len(rows)} videos has pictures, so that only sound can be learned from")
    if record.audio and rows and not any(row.audio_valid for row in rows):
        warnings.append(f"none of the {len(rows)} videos has sound, so that only pictures can be learned from")
    return warnings
