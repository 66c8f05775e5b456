import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.data.annotations import Annotation
from avel.data.labels import (
    ClassRun,
    class_runs,
    coverage,
    multi_labels,
    proportions,
    segment_labels,
    video_label,
)

CATEGORIES = ("Bark", "Cat", "Bus")


def event(start: float, end: float, category: str = "Bark") -> Annotation:
    return Annotation("v", start, end, category)


def classes(events, num_segments=10, segment_seconds=1.0, **options) -> list[int]:
    labels = segment_labels(events, CATEGORIES, num_segments, segment_seconds, **options)
    assert labels.shape == (num_segments, 4)
    assert labels.dtype == np.float32
    assert (labels.sum(1) == 1).all()
    return labels.argmax(1).tolist()


def test_whole_segments():
    assert classes([event(2, 5)]) == [3, 3, 0, 0, 0, 3, 3, 3, 3, 3]
    assert classes([event(0, 10, "Bus")]) == [2] * 10
    assert classes([]) == [3] * 10


def test_a_segment_is_of_the_event_when_half_of_it_is_covered():
    #  |----|--==|==--|   half, half       |----|---=|==--|   less, half
    assert classes([event(1.5, 2.5)], 4) == [3, 0, 0, 3]
    assert classes([event(1.51, 2.5)], 4) == [3, 3, 0, 3]
    assert classes([event(1.51, 2.5)], 4, min_coverage=0.49) == [3, 0, 0, 3]
    assert classes([event(0.1, 0.2)], 4, 0.25) == [3, 3, 3, 3]
    assert classes([event(0.1, 0.3)], 4, 0.2) == [0, 0, 3, 3]  # 0.3 / 0.2 is not exact in floating point


def test_parts_of_one_category_add_up_and_overlaps_count_once():
    assert classes([event(0.0, 0.3), event(0.6, 0.9)], 1) == [0]
    assert classes([event(0.0, 0.3), event(0.1, 0.4)], 1) == [3]
    np.testing.assert_allclose(coverage([event(0, 0.3), event(0.1, 0.4)], CATEGORIES, 1), [[0.4, 0, 0]])


def test_where_categories_meet_the_largest_share_wins_then_the_first():
    events = [event(0, 3, "Bus"), event(1.0, 3.4, "Cat"), event(2.5, 4, "Bark")]
    assert classes(events, 5) == [2, 1, 1, 0, 3]
    np.testing.assert_array_equal(
        multi_labels(events, CATEGORIES, 5), [[0, 0, 1], [0, 1, 1], [1, 1, 1], [1, 0, 0], [0, 0, 0]]
    )


def test_what_reaches_past_the_last_segment_is_left_out():
    assert classes([event(1, 99)], 3) == [3, 0, 0]
    assert classes([event(50, 99)], 3) == [3, 3, 3]


def test_weak_labels_in_both_protocols():
    events = [event(0, 2), event(1, 3, "Cat")]
    np.testing.assert_array_equal(video_label(events[:1], CATEGORIES, 4), [1, 0, 0, 0])
    np.testing.assert_array_equal(video_label(events, CATEGORIES, 4), [1, 1, 0, 0])
    np.testing.assert_array_equal(video_label([], CATEGORIES, 4), [0, 0, 0, 1])
    np.testing.assert_array_equal(video_label(events[:1], CATEGORIES, 4, protocol="proportion"), [0.5, 0, 0, 0.5])
    np.testing.assert_array_equal(video_label(events, CATEGORIES, 4, protocol="proportion"), [0.5, 0.25, 0, 0.25])
    # An event too short for any segment is still in the video.
    np.testing.assert_array_equal(video_label([event(0, 0.1)], CATEGORIES, 4), [1, 0, 0, 0])


def test_without_categories_everything_is_background():
    np.testing.assert_array_equal(segment_labels([], (), 2), [[1], [1]])


def test_two_calls_share_no_memory():
    one, other = segment_labels([event(0, 2)], CATEGORIES, 4), segment_labels([event(0, 2)], CATEGORIES, 4)
    one[:] = 7
    assert other.max() == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_segments": 0}, "num_segments must be 1 or more, got 0."),
        ({"segment_seconds": 0.0}, "segment_seconds must be above 0, got 0.0."),
        ({"segment_seconds": float("nan")}, "segment_seconds must be above 0, got nan."),
        ({"min_coverage": 0.0}, r"min_coverage must be in \(0, 1\], got 0.0."),
        ({"events": [event(0, 1, "Dog")]}, "Event category 'Dog' is not among the 3 categories given."),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment_labels(**{"events": [], "categories": CATEGORIES, "num_segments": 3, **arguments})


def test_unknown_protocol():
    with pytest.raises(ValueError, match="Unknown protocol 'mean'. Supported protocols are one-hot, proportion."):
        video_label([], CATEGORIES, 3, protocol="mean")


def test_runs():
    assert class_runs([3, 0, 0, 1, 3, 1], background=3) == [ClassRun(0, 1, 3), ClassRun(1, 3, 4), ClassRun(1, 5, 6)]
    assert class_runs([], background=3) == []
    with pytest.raises(ValueError, match=r"classes must have shape \(T,\), got \(1, 2\)"):
        class_runs([[0, 1]], background=3)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.sampled_from([0.1, 0.5, 0.96, 1.0, 3.0]))
def test_segments_to_intervals_and_back(wanted, segment_seconds):
    events = [
        event(run.start * segment_seconds, run.end * segment_seconds, CATEGORIES[run.category])
        for run in class_runs(wanted, background=3)
    ]
    assert classes(events, len(wanted), segment_seconds) == wanted


@given(st.integers(0, 9), st.integers(1, 10), st.sampled_from(CATEGORIES))
def test_whole_second_intervals_to_segments_and_back(start, length, category):
    end = min(start + length, 10)
    labels = classes([event(start, end, category)])
    assert class_runs(labels, background=3) == [ClassRun(CATEGORIES.index(category), start, end)]


EVENTS = st.lists(
    st.builds(lambda s, n, c: event(s, s + n, c), st.floats(0, 12), st.floats(0.01, 12), st.sampled_from(CATEGORIES)),
    max_size=6,
)


@given(EVENTS, st.integers(1, 20), st.floats(0.1, 2))
def test_labels_agree_with_each_other_and_with_a_slow_count(events, num_segments, segment_seconds):
    single = segment_labels(events, CATEGORIES, num_segments, segment_seconds)
    several = multi_labels(events, CATEGORIES, num_segments, segment_seconds)
    assert (single[:, :-1] <= several).all()
    assert ((single[:, -1] == 1) == (several.sum(1) == 0)).all()
    np.testing.assert_allclose(proportions(single), single.mean(0), atol=1e-6)
    # 1000 moments in each segment, each of which an event covers or not
    moments = (np.arange(num_segments)[:, None] + (np.arange(1000) + 0.5) / 1000) * segment_seconds
    for c, category in enumerate(CATEGORIES):
        inside = np.zeros(moments.shape, bool)
        for found in events:
            if found.category == category:
                inside |= (moments >= found.start_seconds) & (moments < found.end_seconds)
        np.testing.assert_allclose(
            coverage(events, CATEGORIES, num_segments, segment_seconds)[:, c], inside.mean(1), atol=0.007
        )
