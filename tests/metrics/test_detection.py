import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.metrics.detection import DetectionMetrics, TimedEvent, mean_average_precision, measure_events

TRUE = [TimedEvent("v", "bark", 0, 10), TimedEvent("v", "bark", 20, 30), TimedEvent("w", "bell", 1, 2)]


def bark(start: float, end: float, score: float, video: str = "v") -> TimedEvent:
    return TimedEvent(video, "bark", start, end, score)


def test_average_precision_by_hand() -> None:
    # By score: a hit (tIoU 0.8), a miss in another video, a second answer for the same event, a hit (tIoU 0.5).
    predicted = [bark(0, 8, 0.9), bark(0, 10, 0.8, "w"), bark(1, 9, 0.7), bark(20, 25, 0.6)]
    # Precision at the hits: 1 and 2 / 4. Bell is not found at all.
    assert mean_average_precision(predicted, TRUE, 0.5) == pytest.approx((1 / 2 + (2 / 4) / 2 + 0) / 2)
    assert mean_average_precision(predicted, TRUE, 0.6) == pytest.approx((1 / 2) / 2)
    assert mean_average_precision(predicted, TRUE, 0.9) == 0
    assert math.isnan(mean_average_precision(predicted, [], 0.5))


def test_precision_is_interpolated() -> None:
    # A miss before two hits: at both recalls the best precision that follows is 2 / 3.
    predicted = [bark(50, 60, 0.9), bark(0, 10, 0.8), bark(20, 30, 0.7)]
    assert mean_average_precision(predicted, TRUE[:2], 0.5) == pytest.approx(2 / 3)


def test_collars_by_hand() -> None:
    def f1(start: float, end: float) -> float:
        return measure_events([bark(start, end, 1.0)], TRUE[:1]).event_f1

    assert f1(0.2, 10) == 1
    assert f1(0.21, 10) == 0
    assert f1(0, 5) == 1  # half of the event's length
    assert f1(0, 4.9) == 0
    # Two predictions near one event are one match.
    found = measure_events([bark(0, 10, 1.0), bark(0.1, 10, 0.9)], TRUE[:2])
    assert (found.event_precision, found.event_recall, found.event_f1) == (0.5, 0.5, 0.5)


def test_segments_by_hand() -> None:
    # Bark touches 0-9 and 20-29, bell 1; predicted are 9 and 10 of v: one of two is right.
    found = measure_events([bark(9.5, 10.5, 1.0)], TRUE)
    assert found.segment_f1 == pytest.approx(2 * 1 / (2 + 21))
    assert measure_events(TRUE, TRUE).segment_f1 == 1


def test_f1_is_that_of_sed_eval() -> None:
    true = [bark(0, 4, 1), bark(6, 6.5, 1), TimedEvent("v", "bell", 3.2, 9), bark(1, 2, 1, "w")]
    true += [TimedEvent("w", "car", 5.5, 12.25)]
    predicted = [bark(0.15, 2.1, 1), bark(0.1, 3.9, 1), bark(6.19, 6.8, 1), TimedEvent("v", "car", 3.2, 9)]
    predicted += [bark(0.85, 2.45, 1, "w"), TimedEvent("w", "car", 5.35, 9.0), TimedEvent("w", "bell", 15.5, 16.5)]
    found = measure_events(predicted, true, durations={"v": 20.0, "w": 20.0})
    # sed_eval 0.2.1, collars of 0.2 s and half of the length, segments of 1 s.
    assert (found.event_f1, found.event_precision, found.event_recall) == (0.5, pytest.approx(0.42857142857142855), 0.6)
    assert found.segment_f1 == 0.5


def test_a_perfect_answer_and_none() -> None:
    found = measure_events(TRUE, TRUE)
    assert set(found.mean_average_precision.values()) == {1.0}
    assert (found.average, found.event_f1) == (1.0, 1.0)
    assert DetectionMetrics.from_dict(found.to_dict()) == found
    nothing = measure_events([], TRUE)
    assert (nothing.average, nothing.event_f1, nothing.segment_f1) == (0, 0, 0)
    assert "mean average precision: 0.0 %" in nothing.lines()[1]
    with pytest.raises(ValueError, match="not an event with a start, a later end and a score"):
        measure_events([bark(3, 2, 1.0)], TRUE)


def slow_average_precision(predicted: list[TimedEvent], true: list[TimedEvent], tiou: float) -> float:
    """ActivityNet's evaluation, as its text describes it, event by event: of one category."""
    points = [(0.0, 1.0)]
    for count in range(1, len(predicted) + 1):
        best = sorted(predicted, key=lambda event: -event.score)[:count]
        free = list(true)
        hits = 0
        for event in best:
            near = [(overlap(event, other), number, other) for number, other in enumerate(free)]
            near = [one for one in near if one[2].video == event.video and one[0] >= tiou]
            if near:
                hits += 1
                free.remove(max(near)[2])
        points.append((hits / len(true), hits / count))
    area = 0.0
    for recall in sorted({recall for recall, _ in points if recall > 0}):
        before = max((other for other, _ in points if other < recall), default=0.0)
        area += (recall - before) * max(precision for other, precision in points[1:] if other >= recall)
    return area


def overlap(one: TimedEvent, other: TimedEvent) -> float:
    steps = {n for n in range(40) if one.start_seconds <= n < one.end_seconds}
    others = {n for n in range(40) if other.start_seconds <= n < other.end_seconds}
    return len(steps & others) / len(steps | others)


spans = st.tuples(st.sampled_from("vw"), st.integers(0, 20), st.integers(1, 10))


@given(st.lists(spans, min_size=1, max_size=6), st.lists(spans, max_size=8), st.sampled_from([0.1, 0.5, 0.75]))
def test_average_precision_is_that_of_a_slow_one(true_spans, predicted_spans, tiou) -> None:
    true = [TimedEvent(video, "bark", start, start + length) for video, start, length in true_spans]
    predicted = [
        bark(start, start + length, 1 / (rank + 1), video)
        for rank, (video, start, length) in enumerate(predicted_spans)
    ]
    assert mean_average_precision(predicted, true, tiou) == pytest.approx(slow_average_precision(predicted, true, tiou))


def test_segment_accuracy_by_hand() -> None:
    # Of v's 30 segments 5 are missed and 1 has bell besides; w ends at 2 s and is missed in one; x is only background.
    predicted = [bark(0, 10, 1.0), bark(20, 25, 1.0), TimedEvent("v", "bell", 3.4, 4.2, 0.5)]
    found = measure_events(predicted, TRUE, durations={"v": 30.0, "x": 4.0})
    assert found.segments == 30 + 2 + 4
    assert found.segment_accuracy == pytest.approx((24 + 1 + 4) / 36)
