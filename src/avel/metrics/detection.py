"""How well events are found when they are spans of seconds with scores: for the output of any tool.

Input
    True events and predicted ones, each with its video, category, start and end in seconds; predicted ones with a score
    too. Videos and categories are compared by name.

Conventions
    *Mean average precision* at a temporal intersection over union (tIoU): predictions of a category by falling score
    take the true event of their video that they overlap most of those not yet taken, if their tIoU reaches the
    threshold; precision is interpolated (each recall has the best precision at this recall or a higher one), and the
    mean is over the categories that truly occur.
    *Segment accuracy*: the share of segments whose categories are exactly the true ones; a segment has those whose
    events cover at least half of it. Where a segment has one category at most, that is the accuracy of Tian et al.
    (ECCV 2018) and the total accuracy of OV-AVEBench, whose other two metrics are those of `avel.metrics.ov_avebench`.
    *Event F1* with collars: a pair matches when the starts are at most a collar apart, and the ends at most a collar
    or a share of the true event's length, whichever is more; as many pairs as possible, each event in one. *Segment
    F1*: a segment holds a category when an event of it touches the segment. Both are micro: over all events or
    segments.

Range
    [0, 1], and ``nan`` where there is nothing true and nothing predicted.

Sources
    mAP: ActivityNet's evaluation (Caba Heilbron et al., CVPR 2015), at 0.1 to 0.9 as UnAV-100 (Geng et al., CVPR 2023).
    Collars and segments: sed_eval (Mesaros, Heittola and Virtanen, Applied Sciences 2016), with its 0.2 s, half of the
    length and segments of 1 s.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from avel.data import labels as label_maker
from avel.data.annotations import Annotation
from avel.metrics.ov_avebench import Presence, ov_avebench_f1
from avel.metrics.values import Number, ratio
from avel.records import Record
from avel.wording import counted

TIOUS = tuple(round(0.1 * step, 1) for step in range(1, 10))
COLLAR_SECONDS = 0.2
COLLAR_SHARE = 0.5
_TOLERANCE = 1e-9


class TimedEvent(NamedTuple):
    """An event in a video.

    Attributes:
        video: its name.
        category: of the event.
        start_seconds: first moment.
        end_seconds: last moment, exclusive.
        score: how sure a prediction is; any scale.
    """

    video: str
    category: str
    start_seconds: float
    end_seconds: float
    score: float = 1.0


@dataclass(frozen=True)
class DetectionMetrics(Record):
    """All metrics of predicted events.

    Attributes:
        mean_average_precision: by tIoU, ``0.1`` to ``0.9``.
        average: mean of these.
        event_f1: with collars.
        event_precision: the same.
        event_recall: the same.
        segment_f1: over segments of ``segment_seconds``.
        segment_accuracy: over all segments of all videos.
        video_segment_f1: the segment-level F1 of OV-AVEBench.
        video_event_f1: the event-level F1 of OV-AVEBench.
        segments: how many there are in all.
        true: number of true events.
        predicted: number of predicted events.
        segment_seconds: length of a segment.
    """

    mean_average_precision: dict[str, Number]
    average: Number
    event_f1: Number
    event_precision: Number
    event_recall: Number
    segment_f1: Number
    segment_accuracy: Number
    video_segment_f1: Number
    video_event_f1: Number
    segments: int
    true: int
    predicted: int
    segment_seconds: float

    def lines(self) -> list[str]:
        """For a person to read."""

        def percent(share: float) -> str:
            return "-" if math.isnan(share) else f"{100 * share:.1f} %"

        at = ", ".join(f"{tiou}: {percent(value)}" for tiou, value in self.mean_average_precision.items())
        return [
            f"{self.predicted} predicted events, {self.true} true events",
            f"mean average precision: {percent(self.average)} (by tIoU {at})",
            f"event F1 with collars: {percent(self.event_f1)} (precision {percent(self.event_precision)}, "
            f"recall {percent(self.event_recall)})",
            f"segment F1: {percent(self.segment_f1)} (segments of {self.segment_seconds:g} s)",
            f"segment accuracy: {percent(self.segment_accuracy)} of {counted(self.segments, 'segment')} "
            "(total accuracy)",
            f"mean over videos, as OV-AVEBench: segment-level F1 {percent(self.video_segment_f1)}, event-level F1 "
            f"{percent(self.video_event_f1)}",
        ]


def measure_events(
    predicted: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    *,
    segment_seconds: float = 1.0,
    durations: Mapping[str, float] | None = None,
) -> DetectionMetrics:
    """All metrics of predicted events.

    Args:
        predicted: in any order.
        true: in any order.
        segment_seconds: length of a segment, above 0.
        durations: seconds of each video, those without an event among them; of one that is not there, and where its
            events go on, the end of its last event.

    Raises:
        ValueError: if an event does not end after it starts, or a number is not finite.
    """
    for event in (*predicted, *true):
        if not (math.isfinite(event.score) and 0 <= event.start_seconds < event.end_seconds < math.inf):
            raise ValueError(f"not an event with a start, a later end and a score: {event}.")
    precisions = {str(tiou): mean_average_precision(predicted, true, tiou) for tiou in TIOUS}
    matched = _collar_matches(predicted, true)
    presence = presence_by_video(predicted, true, segment_seconds, durations or {})
    right = [(ours == theirs).all(axis=1) for ours, theirs in presence.values()]
    segments = sum(map(len, right))
    video_segment_f1, video_event_f1 = ov_avebench_f1(presence.values())
    ours, theirs = (_segments(events, segment_seconds) for events in (predicted, true))
    return DetectionMetrics(
        mean_average_precision=precisions,
        average=float(np.mean(list(precisions.values()))),
        event_f1=ratio(2 * matched, len(predicted) + len(true)),
        event_precision=ratio(matched, len(predicted)),
        event_recall=ratio(matched, len(true)),
        segment_f1=ratio(2 * len(ours & theirs), len(ours) + len(theirs)),
        segment_accuracy=ratio(int(sum(row.sum() for row in right)), segments),
        video_segment_f1=video_segment_f1,
        video_event_f1=video_event_f1,
        segments=segments,
        true=len(true),
        predicted=len(predicted),
        segment_seconds=segment_seconds,
    )


def presence_by_video(
    predicted: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    segment_seconds: float,
    durations: Mapping[str, float],
) -> dict[str, tuple[Presence, Presence]]:
    """Which categories each segment of each video has, predicted and true; arguments as `measure_events`."""
    of_video: dict[str, tuple[list[TimedEvent], list[TimedEvent]]] = {video: ([], []) for video in durations}
    for which, events in enumerate((predicted, true)):
        for event in events:
            of_video.setdefault(event.video, ([], []))[which].append(event)
    found = {}
    for video, both in sorted(of_video.items()):
        ends = [event.end_seconds for events in both for event in events]
        seconds = max([durations.get(video, 0.0), *ends])
        count = max(math.ceil(seconds / segment_seconds - _TOLERANCE), 1)
        names = sorted({event.category for events in both for event in events})
        found[video] = (
            _presence(both[0], names, count, segment_seconds),
            _presence(both[1], names, count, segment_seconds),
        )
    return found


def _presence(events: Sequence[TimedEvent], names: Sequence[str], count: int, segment_seconds: float) -> Presence:
    marked = (Annotation(e.video, e.start_seconds, e.end_seconds, e.category) for e in events)
    return np.asarray(label_maker.multi_labels(marked, names, count, segment_seconds) > 0)


def mean_average_precision(predicted: Sequence[TimedEvent], true: Sequence[TimedEvent], tiou: float) -> float:
    """Mean over the categories that truly occur of their average precision at a tIoU, in (0, 1]."""
    by_category = defaultdict(list)
    for event in predicted:
        by_category[event.category].append(event)
    of_truth = defaultdict(list)
    for event in true:
        of_truth[event.category].append(event)
    found = [_average_precision(by_category[category], events, tiou) for category, events in of_truth.items()]
    return float(np.mean(found)) if found else math.nan


def _average_precision(predicted: Iterable[TimedEvent], true: Sequence[TimedEvent], tiou: float) -> float:
    of_video: Mapping[str, list[int]] = defaultdict(list)
    for number, event in enumerate(true):
        of_video[event.video].append(number)
    taken: set[int] = set()
    hits = []
    for event in sorted(predicted, key=lambda one: -one.score):
        overlaps = sorted(((_tiou(event, true[i]), i) for i in of_video[event.video] if i not in taken), reverse=True)
        is_hit = bool(overlaps) and overlaps[0][0] >= tiou - _TOLERANCE
        if is_hit:
            taken.add(overlaps[0][1])
        hits.append(is_hit)
    if not any(hits):
        return 0.0
    hit = np.array(hits)
    precision = np.cumsum(hit) / (np.arange(len(hit)) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[hit].sum() / len(true))


def _tiou(first: TimedEvent, second: TimedEvent) -> float:
    together = min(first.end_seconds, second.end_seconds) - max(first.start_seconds, second.start_seconds)
    either = max(first.end_seconds, second.end_seconds) - min(first.start_seconds, second.start_seconds)
    return max(together, 0.0) / either if together > 0 else 0.0


def _collar_matches(predicted: Sequence[TimedEvent], true: Sequence[TimedEvent]) -> int:
    """The largest number of pairs whose starts and ends are near enough."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    of: Mapping[tuple[str, str], list[int]] = defaultdict(list)
    for number, event in enumerate(true):
        of[event.video, event.category].append(number)
    pairs = [
        (i, j) for i, event in enumerate(predicted) for j in of[event.video, event.category] if _near(event, true[j])
    ]
    if not pairs:
        return 0
    rows, columns = np.array(pairs).T
    graph = csr_array((np.ones(len(pairs), np.int8), (rows, columns)), shape=(len(predicted), len(true)))
    return int((maximum_bipartite_matching(graph, perm_type="column") >= 0).sum())


def _near(predicted: TimedEvent, true: TimedEvent) -> bool:
    ends = max(COLLAR_SECONDS, COLLAR_SHARE * (true.end_seconds - true.start_seconds))
    return (
        abs(predicted.start_seconds - true.start_seconds) <= COLLAR_SECONDS + _TOLERANCE
        and abs(predicted.end_seconds - true.end_seconds) <= ends + _TOLERANCE
    )


def _segments(events: Iterable[TimedEvent], segment_seconds: float) -> set[tuple[str, str, int]]:
    return {
        (event.video, event.category, number)
        for event in events
        for number in range(
            math.floor(event.start_seconds / segment_seconds + _TOLERANCE),
            math.ceil(event.end_seconds / segment_seconds - _TOLERANCE),
        )
    }
