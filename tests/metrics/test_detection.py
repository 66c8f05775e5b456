import math

import pytest

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
