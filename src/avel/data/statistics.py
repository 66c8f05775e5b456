"""Figures of a labelled data set, as Fig. 2 of Tian et al. (ECCV 2018) has them of AVE.

How many videos each event category has, how long events are, and which share of the segments holds an event. A video
may be labelled several times in AVE's table; it counts once for each of its labels, as it is a sample each time.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avel.data.annotations import Annotation
from avel.data.labels import MIN_COVERAGE, classes_in, coverage
from avel.events import segment_bounds
from avel.files import replacing
from avel.records import Record
from avel.wording import counted


@dataclass(frozen=True)
class CategoryStatistics(Record):
    """Figures of one event category.

    Attributes:
        name: of the category.
        videos: how many videos hold it.
        events: how many events there are.
        seconds: how long they are together.
    """

    name: str
    videos: int
    events: int
    seconds: float


@dataclass(frozen=True)
class Statistics(Record):
    """Figures of a data set.

    Attributes:
        videos: how many there are.
        videos_without_event: how many of them hold none.
        events: how many there are.
        categories: the event categories, the one with the most videos first.
        event_seconds: number of events by their length in whole seconds, rounded up, the shortest first.
        segments: how many segments of ``segment_seconds`` there are; 0 when the videos' lengths are not known.
        event_segments: how many of them an event covers by half.
        segment_seconds: length of a segment.
    """

    videos: int
    videos_without_event: int
    events: int
    categories: tuple[CategoryStatistics, ...]
    event_seconds: dict[int, int]
    segments: int
    event_segments: int
    segment_seconds: float

    def lines(self) -> list[str]:
        """For a person to read."""
        width = max([len("category"), *(len(one.name) for one in self.categories)])
        share = f"{100 * self.event_segments / self.segments:.1f} %" if self.segments else "not known"
        lengths = [f"{seconds} s: {count}" for seconds, count in self.event_seconds.items()]
        return [
            f"videos: {self.videos}, of which {self.videos_without_event} without event",
            f"events: {self.events} of {counted(len(self.categories), 'category')}",
            f"segments with an event: {share}",
            f"events by length, rounded up: {', '.join(lengths) or 'none'}",
            "",
            f"{'category':<{width}}  videos  events  mean length",
            *(
                f"{one.name:<{width}}  {one.videos:>6}  {one.events:>6}  {one.seconds / max(one.events, 1):>9.1f} s"
                for one in self.categories
            ),
        ]


def statistics(
    videos: Iterable[tuple[Sequence[Annotation], float | None]],
    categories: Sequence[str],
    *,
    segment_seconds: float = 1.0,
) -> Statistics:
    """Figures of labelled videos.

    Args:
        videos: of each video its events, and how many seconds it lasts if that is known.
        categories: the event categories.
        segment_seconds: length of a segment.

    Raises:
        ValueError: if an event's category is not among ``categories``, or the length of a segment is not allowed.
    """
    num_videos = empty = segments = covered = 0
    of_category: Counter[str] = Counter()
    events_of: Counter[str] = Counter()
    seconds_of: Counter[str] = Counter()
    lengths: Counter[int] = Counter()
    class_of = {category: number for number, category in enumerate(categories)}
    for events, duration in videos:
        num_videos += 1
        empty += not events
        of_category.update({event.category for event in events})
        for event in events:
            length = event.end_seconds - event.start_seconds
            events_of[event.category] += 1
            seconds_of[event.category] += length  # type: ignore[assignment]  # a Counter may count parts
            lengths[max(1, -int(-(length - 1e-6) // 1))] += 1
        if duration is not None:
            count = len(segment_bounds(duration, segment_seconds))
            segments += count
            here = [categories[number] for number in classes_in(events, class_of)]
            shares = coverage(events, here, count, segment_seconds)
            covered += int((shares >= MIN_COVERAGE).any(1).sum())
    figures = [
        CategoryStatistics(name, of_category[name], events_of[name], float(seconds_of[name])) for name in categories
    ]
    figures.sort(key=lambda one: (-one.videos, one.name))
    return Statistics(
        videos=num_videos,
        videos_without_event=empty,
        events=sum(events_of.values()),
        categories=tuple(figures),
        event_seconds=dict(sorted(lengths.items())),
        segments=segments,
        event_segments=covered,
        segment_seconds=segment_seconds,
    )


def draw(found: Statistics, path: Path) -> None:
    """Draw videos by category and events by length, as a picture whose format the ending of ``path`` says.

    Raises:
        OutputError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, max(3.0, 1.2 + 0.22 * len(found.categories))), layout="constrained")
    left, right = figure.subplots(1, 2)
    names = [one.name for one in found.categories][::-1]
    left.barh(names, [one.videos for one in found.categories][::-1])
    left.set_xlabel("videos")
    left.tick_params(axis="y", labelsize=7)
    right.bar(list(found.event_seconds), list(found.event_seconds.values()))
    right.set_xlabel("length of an event in seconds, rounded up")
    right.set_ylabel("events")
    with replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix(".") or "png")
