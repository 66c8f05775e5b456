import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.metrics.events import event_scores
from avel.metrics.multi_label import (
    MultiLabelMetrics,
    average_precision,
    choose_thresholds,
    mean_average_precision,
    measure_multi_label,
)


def test_average_precision_by_hand():
    # By falling score: right, wrong, right. (1/1 + 2/3) / 2
    assert average_precision([0.9, 0.8, 0.7], [True, False, True]) == pytest.approx(5 / 6)
    assert average_precision([0.1, 0.9], [False, True]) == 1
    assert average_precision([0.9, 0.1], [False, True]) == 0.5


def test_equal_scores_are_one_step():
    # Whatever the order of the two that share a score: recall rises from 0 to 1 at precision 1/2.
    assert average_precision([0.5, 0.5], [True, False]) == average_precision([0.5, 0.5], [False, True]) == 0.5
    assert average_precision([0.3] * 10, [True] * 3 + [False] * 7) == pytest.approx(0.3)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=40))
def test_average_precision_is_torchmetrics(rows):
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    scores, true = [row[0] / 8 for row in rows], [row[1] for row in rows]
    ours = average_precision(scores, true)
    if not any(true):
        assert math.isnan(ours)
        return
    theirs = functional.binary_average_precision(torch.tensor(scores), torch.tensor(true, dtype=torch.int64))
    assert ours == pytest.approx(float(theirs), abs=1e-5)


def test_the_mean_is_over_the_categories_that_occur():
    scores = [[0.9, 0.2, 0.5], [0.1, 0.8, 0.5]]
    assert mean_average_precision(scores, [[True, True, False], [False, False, False]]) == pytest.approx(0.75)
    assert math.isnan(mean_average_precision(scores, np.zeros((2, 3), bool)))


def test_thresholds_are_halfway_and_best():
    # 0.6 and 0.3 are right; taking both costs the 0.4 between them: F1 4/5 against 2/3 for 0.6 alone.
    scores = np.array([[0.6], [0.4], [0.3], [0.1]])
    assert choose_thresholds(scores, [[True], [False], [True], [False]]) == pytest.approx((0.2,))
    assert choose_thresholds(scores, [[True], [False], [False], [False]]) == pytest.approx((0.5,))
    assert choose_thresholds(scores, np.zeros((4, 1), bool)) == (0.5,)
    assert choose_thresholds([[1.0], [1.0]], [[True], [True]]) == (0.5,)
    assert choose_thresholds([[0.0], [0.0]], [[True], [True]]) == (0.5,)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=30))
def test_no_other_threshold_has_a_better_f1(rows):
    scores, true = np.array([[row[0] / 10] for row in rows]), np.array([[row[1]] for row in rows])
    if not true.any():
        return

    def f1(threshold):
        said = scores >= threshold
        return 2 * (said & true).sum() / (said.sum() + true.sum())

    (chosen,) = choose_thresholds(scores, true)
    assert 0 < chosen < 1
    assert f1(chosen) == pytest.approx(max(f1(threshold / 100) for threshold in range(1, 100)))


def hand_made():
    """One video of four segments, two categories that overlap in the second segment; the last is padding."""
    true = np.array([[[1, 0], [1, 1], [0, 0], [1, 1]]], bool)
    scores = np.array([[[0.9, 0.2], [0.4, 0.8], [0.6, 0.1], [0.0, 0.0]]])
    valid = np.array([[True, True, True, False]])
    return scores, scores >= 0.5, true, valid


def test_metrics_by_hand():
    scores, present, true, valid = hand_made()
    found = measure_multi_label(scores, present, true, thresholds=(0.5, 0.5), valid=valid, segment_seconds=2.0)
    first, second = found.categories
    assert (first.true, first.predicted) == (2, 2)
    assert (first.precision, first.recall, first.f1) == (0.5, 0.5, 0.5)
    assert first.average_precision == pytest.approx((1 + 2 / 3) / 2)
    assert (second.f1, second.average_precision) == (1, 1)
    assert found.macro_f1 == 0.75
    assert found.micro_f1 == pytest.approx(2 * 2 / (3 + 3))
    assert found.mean_average_precision == pytest.approx((5 / 6 + 1) / 2)
    assert (found.videos, found.segments) == (1, 3)
    # First category: [0, 1) and [2, 3) against [0, 2), of which the first overlaps by half; second: [1, 2) twice.
    assert (found.events.predicted, found.events.true, found.events.matched) == (3, 2, 2)
    assert found.events.offset_error_seconds == pytest.approx((2.0 + 0.0) / 2)
    assert found.events.onset_error_seconds == 0


def test_perfect_and_empty():
    _, _, true, valid = hand_made()
    perfect = measure_multi_label(true.astype(float), true, true, valid=valid)
    assert perfect.mean_average_precision == perfect.macro_f1 == perfect.micro_f1 == perfect.events.f1 == 1
    nothing = np.zeros((1, 2, 2), bool)
    empty = measure_multi_label(nothing.astype(float), nothing, nothing)
    assert math.isnan(empty.mean_average_precision)
    assert math.isnan(empty.macro_f1)
    assert math.isnan(empty.micro_f1)
    again = MultiLabelMetrics.from_dict(empty.to_dict())
    assert again.to_dict() == empty.to_dict()
    assert empty.to_dict()["categories"][0]["average_precision"] is None


def test_shapes_that_differ():
    with pytest.raises(ValueError, match="scores and true must have one shape of 1 dimensions"):
        average_precision([0.1, 0.2], [True])
    with pytest.raises(ValueError, match="scores must be finite"):
        average_precision([math.nan], [True])
    with pytest.raises(ValueError, match="present and valid must have shapes"):
        measure_multi_label(np.zeros((1, 2, 3)), np.zeros((1, 2, 2)), np.zeros((1, 2, 3)))


def test_events_of_categories_are_those_of_each_alone() -> None:
    random = np.random.default_rng(0)
    present, true = random.random((2, 5, 9, 3)) < 0.5
    valid = random.random((5, 9)) < 0.8
    found = measure_multi_label(present.astype(float), present, true, valid=valid, segment_seconds=0.5).events
    alone = [event_scores(1 - present[..., k], 1 - true[..., k], 2, valid=valid, segment_seconds=0.5) for k in range(3)]
    assert found.predicted == sum(one.predicted for one in alone)
    assert found.matched == sum(one.matched for one in alone)
    errors = sum(one.onset_error_seconds * one.matched for one in alone if one.matched)
    assert found.onset_error_seconds == pytest.approx(errors / found.matched)
