"""What a person should know of labels and videos before believing a result."""

from collections.abc import Mapping, Sequence

from avel.data.annotations import Split
from avel.data.clips import LabelledVideo, WindowedVideos
from avel.data.labels import MIN_COVERAGE, coverage
from avel.training.own.dataset import training_events
from avel.training.own.labels import VideoLabelling
from avel.training.own.names import some
from avel.training.settings import TrainingSettings
from avel.wording import counted

_MOST_COPIES = 5


def left_out(missing: Sequence[str], late: int) -> list[str]:
    """Videos without features, and events after the end of what could be read of their videos."""
    warnings = []
    if missing:
        warnings.append(f"left out without features: {counted(len(missing), 'video')} ({some(missing)})")
    if late:
        warnings.append(f"left out: {counted(late, 'event')} after the end of what could be read of the video")
    return warnings


def copies(splits: Mapping[str, Split], digests: Mapping[str, str]) -> list[str]:
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
    return warnings[:_MOST_COPIES]


def doubts(labelling: VideoLabelling, windows: WindowedVideos, settings: TrainingSettings) -> list[str]:
    """What a person should know before believing a result."""
    warnings = []
    counts = training_events(windows.videos, windows.categories)
    few = [f"{category} ({count})" for category, count in counts.items() if count < settings.few_events]
    what = "training events" if labelling.has_times else "training videos"
    if few:
        warnings.append(f"fewer than {settings.few_events} {what}: {some(few, 20)}; such categories are hardly learned")
    for split in ("val", "test"):
        there = {event.category for video in windows.videos if video.split == split for event in video.events}
        missing = [category for category in windows.categories if category not in there]
        if missing and any(video.split == split for video in windows.videos):
            warnings.append(f"no video of split {split} has {some(missing)}; nothing is known of how well it is found")
    overlap, first = labelling.overlap(windows.segment_seconds)
    if overlap and not settings.multi_label:
        unit = "segment" if labelling.has_times else "video"
        hold = counted(overlap, f"{unit} holds", f"{unit}s hold")
        warnings.append(
            f"{hold} several categories at once (the first in '{first}'), of which only one is learned; "
            "multi_label learns all"
        )
    if not labelling.has_times:
        longer = sum(video.num_segments > windows.num_segments for video in windows.videos)
        if longer:
            longest = max(video.num_segments for video in windows.videos)
            warnings.append(
                f"{counted(longer, 'video is', 'videos are')} longer than a window of {windows.num_segments} segments, "
                f"whose windows are each taken to hold what the whole video does; window_segments={longest} takes "
                "whole videos"
            )
        return warnings
    lost = sum(_is_lost(video, windows.segment_seconds) for video in windows.videos)
    if lost:
        warnings.append(
            f"{counted(lost, 'event covers', 'events cover')} no segment of {windows.segment_seconds:g} s by half, "
            "which is not learned; extract with a smaller segment_seconds"
        )
    return warnings


def _is_lost(video: LabelledVideo, segment_seconds: float) -> int:
    """Number of events that are too short to be in any segment's label."""
    return sum(
        int(coverage([event], [event.category], video.num_segments, segment_seconds).max() < MIN_COVERAGE)
        for event in video.events
        if event.end_seconds - event.start_seconds < segment_seconds
    )
