import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avel.data.ave import dataset as ave
from avel.data.labels import ClassRun, class_runs
from avel.evaluation.baselines import ALWAYS_BACKGROUND, RANDOM, WHOLE_VIDEO, baselines
from avel.metrics.events import event_scores, iou
from avel.metrics.segments import (
    Metrics,
    category_accuracy,
    category_f1,
    confusion_matrix,
    measure,
    segment_accuracy,
)

# Classes 0 and 1 are categories, 2 is background.
TRUE = np.array([[0, 0, 0, 0, 2, 2], [2, 1, 1, 2, 2, 2]])
PREDICTED = np.array([[2, 0, 0, 0, 0, 2], [2, 1, 0, 0, 2, 1]])


def test_accuracy_by_hand() -> None:
    # First video: right at 1, 2, 3 and 5. Second: right at 0, 1 and 4.
    assert segment_accuracy(PREDICTED, TRUE) == 7 / 12


def test_accuracy_counts_segments_not_videos() -> None:
    valid = np.array([[True] * 6, [True, False, False, False, False, False]])
    assert segment_accuracy(PREDICTED, TRUE, valid=valid) == 5 / 7  # the mean of the videos would be (4/6 + 1) / 2


def test_confusion_by_hand() -> None:
    assert confusion_matrix(PREDICTED, TRUE, 3).tolist() == [[3, 0, 1], [1, 1, 0], [2, 1, 3]]


def test_category_f1_by_hand() -> None:
    # Category 0: 3 right, 4 true, 6 said. Category 1: 1 right, 2 true, 2 said. Background does not count.
    confusion = confusion_matrix(PREDICTED, TRUE, 3)
    assert category_f1(confusion) == pytest.approx((6 / 10 + 2 / 4) / 2)
    assert category_f1(confusion_matrix(np.full_like(TRUE, 2), TRUE, 3)) == 0
    assert math.isnan(category_f1([[0, 0], [1, 5]]))


def test_category_accuracy_by_hand() -> None:
    assert category_accuracy([[3, 0, 1], [1, 1, 0], [0, 0, 0]])[:2] == (3 / 4, 1 / 2)
    assert math.isnan(category_accuracy([[1, 0], [0, 0]])[1])


def test_events_by_hand() -> None:
    # Video 1: true [0, 4), predicted [1, 5) of class 0: 3 of 5, matched; onset 1 s off, offset 1 s off.
    # Video 2: true [1, 3) of class 1; predicted [1, 2) of class 1 (1 of 2, matched at exactly one half; offset 1 s
    # off), [2, 4) of class 0 and [5, 6) of class 1, both wrong.
    scores = event_scores(PREDICTED, TRUE, 3)
    assert (scores.predicted, scores.true, scores.matched) == (4, 2, 2)
    assert (scores.precision, scores.recall, scores.f1) == (0.5, 1.0, 4 / 6)
    assert (scores.onset_error_seconds, scores.offset_error_seconds) == (0.5, 1.0)


def test_event_errors_are_in_seconds() -> None:
    scores = event_scores(PREDICTED, TRUE, 3, segment_seconds=0.5)
    assert (scores.onset_error_seconds, scores.offset_error_seconds) == (0.25, 0.5)


def test_a_true_event_is_matched_once() -> None:
    # Both halves overlap the event by exactly one half; only one of them can have found it.
    scores = event_scores([[0, 0, 1, 0, 0]], [[0, 0, 0, 0, 0]], 2, min_iou=0.4)
    assert (scores.predicted, scores.matched, scores.precision) == (2, 1, 0.5)


def test_matching_takes_the_larger_overlap() -> None:
    # Of three predicted events in a true one of 8 s, the 4 s long one overlaps most.
    predicted = [[0, 1, 0, 0, 0, 0, 1, 0]]
    scores = event_scores(predicted, [[0] * 8], 2, min_iou=0.1)
    assert (scores.matched, scores.onset_error_seconds, scores.offset_error_seconds) == (1, 2.0, 2.0)


def test_neighbouring_events_of_two_categories_are_two() -> None:
    assert event_scores([[0, 0, 1, 1]], [[0, 0, 1, 1]], 3).matched == 2


def test_padding_ends_an_event() -> None:
    valid = np.array([[True, True, False, False]])
    scores = event_scores([[0, 0, 0, 0]], [[0, 0, 1, 1]], 2, valid=valid)
    assert (scores.f1, scores.offset_error_seconds) == (1.0, 0.0)


def test_perfect_prediction() -> None:
    metrics = measure(TRUE, TRUE, 3)
    assert metrics.segment_accuracy == 1
    assert metrics.category_accuracy == (1, 1, 1)
    assert metrics.events.f1 == 1
    assert metrics.events.onset_error_seconds == metrics.events.offset_error_seconds == 0
    assert (metrics.videos, metrics.segments) == (2, 12)


def test_what_is_not_defined_is_nan_and_null_in_json() -> None:
    metrics = measure([[1, 1]], [[1, 1]], 2)  # background only
    assert math.isnan(metrics.events.f1)
    assert math.isnan(metrics.events.onset_error_seconds)
    text = json.dumps(metrics.to_dict(), allow_nan=False)
    again = Metrics.from_dict(json.loads(text))
    assert json.dumps(again.to_dict()) == text
    assert math.isnan(segment_accuracy(np.zeros((0, 10), int), np.zeros((0, 10), int)))


def test_refuses_what_is_no_prediction() -> None:
    with pytest.raises(ValueError, match=r"must have one shape \(N, T\), got \(1, 2\), \(1, 3\)"):
        measure([[0, 1]], [[0, 1, 1]], 2)
    with pytest.raises(ValueError, match="predicted has classes 0 to 2; with num_classes=2, they must be 0 to 1"):
        measure([[0, 2]], [[0, 1]], 2)
    with pytest.raises(ValueError, match="true must be whole numbers, got float64"):
        measure([[0, 1]], [[0.0, 1.0]], 2)
    with pytest.raises(ValueError, match=r"min_iou must be in \(0, 1\], got 0"):
        event_scores([[0]], [[0]], 2, min_iou=0)


SETS = st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(2, 4), st.integers(0, 2**32))


@given(SETS)
@settings(max_examples=60)
def test_segment_metrics_agree_with_torchmetrics(shape: tuple[int, int, int, int]) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchmetrics.functional.classification")
    n, t, c, seed = shape
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(c, size=(2, n, t))
    valid = rng.random((n, t)) < 0.8
    valid.flat[0] = True
    mine = measure(predicted, true, c, valid=valid)
    p, r = torch.tensor(predicted[valid]), torch.tensor(true[valid])
    assert mine.confusion.tolist() == functional.multiclass_confusion_matrix(p, r, c).tolist()
    accuracy = functional.multiclass_accuracy(p, r, c, average="micro")
    assert mine.segment_accuracy == pytest.approx(float(accuracy), abs=1e-6)
    of_classes = functional.multiclass_accuracy(p, r, c, average=None).tolist()  # 0 where there is no segment
    assert np.nan_to_num(mine.category_accuracy).tolist() == pytest.approx(of_classes, abs=1e-6)


@given(SETS)
@settings(max_examples=60)
def test_matching_finds_as_many_events_as_any_matching(shape: tuple[int, int, int, int]) -> None:
    n, t, c, seed = shape
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(c, size=(2, n, t))
    most = 0
    for p, r in zip(predicted, true, strict=True):
        most += _most_pairs(class_runs(p, c - 1), class_runs(r, c - 1), 0.25)
    scores = event_scores(predicted, true, c, min_iou=0.25)
    assert scores.matched == most
    assert scores.matched <= min(scores.predicted, scores.true)


def _most_pairs(ours: list[ClassRun], theirs: list[ClassRun], least: float) -> int:
    """The size of the largest matching, by trying all (augmenting paths)."""
    matched: dict[int, int] = {}

    def augment(i: int, seen: set[int]) -> bool:
        for j, other in enumerate(theirs):
            if j in seen or ours[i].category != other.category or iou(ours[i], other) < least:
                continue
            seen.add(j)
            if j not in matched or augment(matched[j], seen):
                matched[j] = i
                return True
        return False

    return sum(augment(i, set()) for i in range(len(ours)))


def test_iou_by_hand() -> None:
    spans = [ClassRun(0, *span) for span in itertools.combinations(range(4), 2)]
    assert iou(ClassRun(0, 0, 4), ClassRun(0, 2, 6)) == 1 / 3
    assert iou(ClassRun(0, 0, 2), ClassRun(0, 2, 4)) == 0
    assert all(iou(a, b) == iou(b, a) for a in spans for b in spans)


def test_baselines_by_hand() -> None:
    found = baselines(TRUE, [0, 1], 3)
    assert found[ALWAYS_BACKGROUND].segment_accuracy == 6 / 12
    assert found[ALWAYS_BACKGROUND].events.predicted == 0
    assert found[WHOLE_VIDEO].segment_accuracy == 6 / 12
    assert found[WHOLE_VIDEO].events.matched == 1  # 4 of 6 s is more than one half, 2 of 6 s is not
    assert found[RANDOM].segment_accuracy == baselines(TRUE, [0, 1], 3)[RANDOM].segment_accuracy
    with pytest.raises(ValueError, match=r"video_classes shape \(N,\), got \(2, 6\) and \(3,\)"):
        baselines(TRUE, [0, 1, 1], 3)


def test_baselines_agree_with_the_anchors_of_ave(shared) -> None:
    dataset = ave.load(shared / "data" / "ave")
    test = dataset.splits["test"]
    true = dataset.segment_labels()[test].argmax(-1)
    found = baselines(true, dataset.classes[test], dataset.num_classes)
    anchors = ave.anchors(dataset)
    assert found[ALWAYS_BACKGROUND].segment_accuracy == pytest.approx(anchors.always_background, abs=1e-12)
    assert found[WHOLE_VIDEO].segment_accuracy == pytest.approx(anchors.whole_video, abs=1e-12)
    assert found[RANDOM].segment_accuracy == pytest.approx(1 / 29, abs=0.015)


@given(
    st.integers(1, 4).flatmap(
        lambda classes: st.lists(
            st.tuples(*[st.lists(st.integers(0, classes), min_size=8, max_size=8)] * 2), min_size=1, max_size=3
        ).map(lambda videos: (classes + 1, videos))
    ),
    st.sampled_from([0.5, 0.75, 1.0]),
)
def test_events_are_counted_as_one_would_by_hand(case: tuple[int, list], least: float) -> None:
    count, videos = case
    predicted, true = (np.array([video[i] for video in videos]) for i in (0, 1))
    pairs = [
        (mine, other)
        for p, t in zip(predicted, true, strict=True)
        for mine in class_runs(p, count - 1)
        for other in class_runs(t, count - 1)
        if mine.category == other.category and iou(mine, other) >= least
    ]
    scores = event_scores(predicted, true, count, min_iou=least)
    assert scores.matched == len(pairs)
    assert scores.predicted == sum(len(class_runs(p, count - 1)) for p in predicted)
    if pairs:
        assert scores.onset_error_seconds == pytest.approx(np.mean([abs(a.start - b.start) for a, b in pairs]))
        assert scores.offset_error_seconds == pytest.approx(np.mean([abs(a.end - b.end) for a, b in pairs]))
