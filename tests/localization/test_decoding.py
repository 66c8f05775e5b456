from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avel.events import BACKGROUND
from avel.localization.decoding import (
    ARGMAX,
    Decoding,
    SegmentScores,
    decode,
    exclusive_scores,
    independent_scores,
    spans,
)

PLAIN = Decoding(threshold=0.5, keep=0.5, max_gap_segments=0)
HYSTERESIS = Decoding(threshold=0.5, keep=0.3, max_gap_segments=0)


def decoded(events, audio=None, visual=None, seen_alone=None, decoding=PLAIN):
    def column(x):
        return None if x is None else np.array(x, np.float32)[:, None]

    t = len(events)
    scores = SegmentScores(("Bark",), column(events), column(audio), column(visual), seen_alone)
    everywhere = np.ones(t, bool)
    return decode(scores, [(float(i), i + 1.0) for i in range(t)], everywhere, everywhere, decoding)


def found(events):
    return [(e.start_seconds, e.end_seconds, e.modality) for e in events]


def test_segments_above_the_threshold_are_an_event():
    events, segments = decoded([0.1, 0.8, 0.6, 0.2])
    assert found(events) == [(1.0, 3.0, "audio-visual")]
    assert events[0].score == pytest.approx(0.8)
    assert [s.category for s in segments] == [BACKGROUND, "Bark", "Bark", BACKGROUND]
    assert [s.score for s in segments] == pytest.approx([0.9, 0.8, 0.6, 0.8])


def test_an_event_goes_on_while_the_score_stays_up_but_does_not_begin_there():
    assert spans(np.array([0.4, 0.1, 0.4, 0.9, 0.4, 0.2]), HYSTERESIS) == [(2, 5)]


def test_events_close_together_are_one():
    scores = np.array([0.9, 0.1, 0.9, 0.1, 0.1, 0.9])
    assert spans(scores, Decoding(keep=0.5, max_gap_segments=1)) == [(0, 3), (5, 6)]


def test_what_is_only_heard_or_only_seen_is_reported_as_such():
    events, segments = decoded([0.1, 0.9, 0.1], audio=[0.9, 0.9, 0.1], visual=[0.1, 0.9, 0.9])
    assert found(events) == [(0.0, 1.0, "audio"), (1.0, 2.0, "audio-visual"), (2.0, 3.0, "visual")]
    assert [s.category for s in segments] == [BACKGROUND, "Bark", BACKGROUND]


def test_proxy_evidence_is_not_reported_when_it_is_only_seen():
    events, _ = decoded([0.1], audio=[0.1], visual=[0.9], seen_alone=np.array([False]))
    assert events == ()


def test_a_segment_is_named_after_its_best_category():
    scores = SegmentScores(("Bark", "Cat"), np.array([[0.6, 0.9]], np.float32))
    events, segments = decode(scores, [(0.0, 0.4)], np.array([True]), np.array([False]), PLAIN)
    assert segments[0].category == "Cat"
    assert not segments[0].valid.visual
    assert {e.category for e in events} == {"Bark", "Cat"}
    assert all(e.end_seconds == 0.4 for e in events)


def test_thresholds_are_checked():
    with pytest.raises(ValueError, match="0 < keep <= threshold <= 1"):
        Decoding(threshold=0.3, keep=0.5)
    with pytest.raises(ValueError, match="max_gap_segments must be 0 or more"):
        Decoding(max_gap_segments=-1)


@given(hnp.arrays(np.float32, st.integers(1, 40), elements=st.floats(0, 1, width=32)), st.integers(0, 3))
def test_spans_are_ordered_and_hold_every_segment_above_the_threshold(scores, gap):
    result = spans(scores, Decoding(threshold=0.5, keep=0.3, max_gap_segments=gap))
    inside = np.zeros(len(scores), bool)
    for start, end in result:
        assert scores[start:end].max() >= 0.5
        assert scores[start] >= 0.3
        assert scores[end - 1] >= 0.3
        inside[start:end] = True
    assert inside[scores >= 0.5].all()
    assert all(b.start - a.end > gap for a, b in pairwise(result))


PROBABILITIES = hnp.arrays(
    np.float32, st.tuples(st.integers(1, 8), st.integers(2, 6)), elements=st.floats(0, 1, width=32)
)


def test_the_score_of_a_class_is_what_it_has_of_itself_and_its_strongest_rival():
    scores = exclusive_scores(np.array([[0.3, 0.1, 0.2, 0.4], [0.25, 0.6, 0.1, 0.05]], np.float32))
    np.testing.assert_allclose(scores, [[3 / 7, 1 / 5, 1 / 3], [25 / 85, 60 / 85, 10 / 70]], rtol=1e-6)


@given(PROBABILITIES)
def test_exclusive_scores_decide_as_argmax_does(probabilities):
    scores = exclusive_scores(probabilities)
    assert ((scores >= 0) & (scores <= 1)).all()
    best = probabilities.argmax(axis=1)
    names = tuple(f"c{i}" for i in range(scores.shape[1]))
    everywhere = np.ones(len(scores), bool)
    bounds = [(float(t), t + 1.0) for t in range(len(scores))]
    _, segments = decode(SegmentScores(names, scores), bounds, everywhere, everywhere, ARGMAX)
    assert [segment.category for segment in segments] == [(*names, BACKGROUND)[c] for c in best]


def test_a_threshold_becomes_a_half_and_the_ends_stay():
    scores = independent_scores(np.array([[0.2, 0.9], [0.0, 1.0], [0.1, 0.89]], np.float32), [0.2, 0.9])
    np.testing.assert_allclose(scores[:2], [[0.5, 0.5], [0, 1]], atol=1e-6)
    assert (scores[2] < 0.5).all()


@given(PROBABILITIES, st.floats(0.01, 0.99))
def test_independent_scores_are_a_half_or_more_from_the_threshold_on(probabilities, threshold):
    scores = independent_scores(probabilities, [threshold] * probabilities.shape[1])
    np.testing.assert_array_equal(scores >= 0.5, probabilities.astype(np.float64) >= threshold)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_a_model_that_tells_no_modality_has_scores_of_both_only():
    _, (segment,) = decode(
        SegmentScores(("Bark",), np.array([[0.7]], np.float32)),
        [(0.0, 1.0)],
        np.array([True]),
        np.array([True]),
        ARGMAX,
    )
    assert (segment.audio_scores, segment.visual_scores) == (None, None)
    assert segment.scores == {"Bark": pytest.approx(0.7)}
