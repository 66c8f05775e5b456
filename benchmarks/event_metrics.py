"""F1 of events and of segments beside sed_eval's own, on random answers to random truths.

    pip install "setuptools<81" sed_eval
    python benchmarks/event_metrics.py

Events overlap, repeat, have other categories or are made up; starts and ends are off by other amounts than the collar
exactly, where it depends on the rounding of floating point what sed_eval says.
"""

import importlib.metadata
import random

import sed_eval
from _common import save
from dcase_util.containers import MetaDataContainer

from avel.metrics.detection import COLLAR_SECONDS, COLLAR_SHARE, TimedEvent, measure_events

CATEGORIES = ("bark", "bell", "car")
VIDEOS = ("v", "w", "x")
SECONDS = 20.0
CASES = 200


def some_events(drawn: random.Random) -> tuple[list[TimedEvent], list[TimedEvent]]:
    """True and predicted events of three videos."""
    true, predicted = [], []
    for video in VIDEOS:
        for category in CATEGORIES:
            end = 0.0
            for _ in range(drawn.randint(0, 4)):
                start = round(end + drawn.uniform(0.05, 2), 2)
                end = round(start + drawn.uniform(0.1, 4), 2)
                if end > SECONDS:
                    break
                true.append(TimedEvent(video, category, start, end))
                first = round(max(0, start + drawn.choice([0, 0.1, 0.19, -0.15, 0.21, 0.5, -0.3])), 2)
                last = round(min(end + drawn.choice([0, 0.1, -0.19, 0.21, 0.6, -0.4, 1.5]), SECONDS), 2)
                if last > first and drawn.random() < 0.8:
                    said = category if drawn.random() < 0.9 else drawn.choice(CATEGORIES)
                    predicted.append(TimedEvent(video, said, first, last))
        for _ in range(drawn.randint(0, 2)):
            start = round(drawn.uniform(0, SECONDS - 2), 2)
            end = round(start + drawn.uniform(0.1, 2), 2)
            predicted.append(TimedEvent(video, drawn.choice(CATEGORIES), start, end))
    return true, predicted


def by_sed_eval(true: list[TimedEvent], predicted: list[TimedEvent]) -> tuple[float, float, float, float]:
    """Event F1, precision and recall, and segment F1."""
    events = sed_eval.sound_event.EventBasedMetrics(
        event_label_list=list(CATEGORIES), t_collar=COLLAR_SECONDS, percentage_of_length=COLLAR_SHARE
    )
    segments = sed_eval.sound_event.SegmentBasedMetrics(event_label_list=list(CATEGORIES), time_resolution=1.0)
    for video in VIDEOS:
        lists = [
            MetaDataContainer(
                [
                    {
                        "filename": video,
                        "event_label": e.category,
                        "event_onset": e.start_seconds,
                        "event_offset": e.end_seconds,
                    }
                    for e in of
                    if e.video == video
                ]
            )
            for of in (true, predicted)
        ]
        events.evaluate(*lists)
        segments.evaluate(*lists, evaluated_length_seconds=SECONDS)
    found = events.results_overall_metrics()["f_measure"]
    of_segments = segments.results_overall_metrics()["f_measure"]["f_measure"]
    return found["f_measure"], found["precision"], found["recall"], of_segments


def main() -> None:
    drawn = random.Random(0)
    largest = [0.0] * 4
    for _ in range(CASES):
        true, predicted = some_events(drawn)
        found = measure_events(predicted, true, durations=dict.fromkeys(VIDEOS, SECONDS))
        ours = (found.event_f1, found.event_precision, found.event_recall, found.segment_f1)
        differences = [abs(mine - other) for mine, other in zip(ours, by_sed_eval(true, predicted), strict=True)]
        largest = [max(pair) for pair in zip(largest, differences, strict=True)]
    names = ("event_f1", "event_precision", "event_recall", "segment_f1")
    result = {
        "sed_eval": importlib.metadata.version("sed_eval"),
        "cases": CASES,
        "largest_difference": dict(zip(names, largest, strict=True)),
    }
    print(result)
    save(__file__, result)


if __name__ == "__main__":
    main()
