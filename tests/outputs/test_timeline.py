import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.outputs import timeline


@pytest.mark.parametrize(
    ("seconds", "decimals", "text"),
    [
        (0, 0, "0:00"),
        (59.96, 1, "1:00.0"),
        (59.94, 1, "0:59.9"),
        (3599.99, 1, "1:00:00.0"),
        (3661.25, 2, "1:01:01.25"),
        (36000, 0, "10:00:00"),
    ],
)
def test_clock(seconds, decimals, text):
    assert timeline.clock(seconds, decimals) == text


@given(st.floats(0.05, 1e6))
def test_ticks_are_few_and_on_the_timeline(duration):
    moments = timeline.ticks(duration)
    assert 1 <= len(moments) <= 13
    assert moments[0] == 0
    assert moments[-1] <= duration * (1 + 1e-9)
    assert len({text for _, text in timeline.tick_labels(duration)}) == len(moments)


def test_lanes_put_the_strongest_audio_visual_event_first(make):
    result = make(
        events=[
            ("Goat", 0, 1, "audio", 0.99),
            ("Bark", 1, 2, "audio-visual", 0.6),
            ("Cat", 3, 4, "audio-visual", 0.8),
        ]
    )
    assert [lane.category for lane in timeline.lanes(result)] == ["Cat", "Bark", "Goat"]


def test_overlapping_events_of_a_category_get_rows_of_their_own(make):
    result = make(
        events=[("Bark", 0, 4, "audio", 0.6), ("Bark", 2, 5, "visual", 0.6), ("Bark", 4, 6, "audio-visual", 0.9)]
    )
    (lane,) = timeline.lanes(result)
    assert lane.rows == 2
    assert [(band.start_seconds, band.row) for band in lane.bands] == [(0, 0), (2, 1), (4, 0)]


def test_what_the_eye_cannot_part_is_one_band(make):
    second = make(events=[("Bark", t, t + 0.5, "audio", 0.6) for t in range(10)])
    assert len(timeline.lanes(second)[0].bands) == 10
    hours = make(duration_seconds=40_000.0, events=[("Bark", t, t + 0.5, "audio", 0.6) for t in range(10)])
    (band,) = timeline.lanes(hours)[0].bands
    assert (band.start_seconds, band.end_seconds, len(band.events)) == (0, 9.5, 10)


def test_touching_events_stay_apart_where_they_can_be_seen(make):
    result = make(events=[("Bark", 0, 4, "audio-visual", 0.9), ("Bark", 4, 6, "visual", 0.6)])
    assert len(timeline.lanes(result)[0].bands) == 2


def test_at_most_so_many_lanes(make):
    result = make(events=[(f"category {i}", 0, 1, "audio", 0.5 + i / 200) for i in range(50)])
    lanes = timeline.lanes(result)
    assert len(lanes) == timeline.MAX_LANES
    assert lanes[0].category == "category 49"


def test_scores_are_those_of_the_segments(make):
    scores = timeline.scores(make(unheard=(3,), unseen=(2, 3)))
    np.testing.assert_allclose(scores.edges, range(11))
    assert scores.categories == ("Bark", "Goat", "Cat")
    nan = np.nan
    np.testing.assert_allclose(scores.heard["Bark"], [0, 0, 0.9, nan, 0.9, 0, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(scores.seen["Bark"], [0, 0, nan, nan, 0.9, 0, 0, 0, 0, 0], atol=1e-6)


def test_long_scores_keep_their_peaks(make):
    hour = make(duration_seconds=3600.0, events=[("Bark", 1801, 1802, "audio-visual", 0.9)], unheard=tuple(range(8)))
    scores = timeline.scores(hour)
    assert len(scores.edges) - 1 == 900
    assert len(scores.heard["Bark"]) == 900
    column = int(np.flatnonzero(scores.heard["Bark"] > 0.5)[0])
    assert scores.edges[column] <= 1801 < scores.edges[column + 1]
    assert np.isnan(scores.heard["Bark"][:2]).all()
    assert not np.isnan(scores.heard["Bark"][2:]).any()


def test_background_is_no_category_to_show(make):
    result = make(events=[])
    assert timeline.scores(result).categories == ("Cat",)
    assert timeline.lanes(result) == []


def test_unreadable_spans_are_joined(make):
    result = make(unheard=(1, 2, 5), unseen=(3,))
    assert timeline.unreadable(result, "audio") == [(1, 3), (5, 6)]
    assert timeline.unreadable(result, "audio", "visual") == [(1, 4), (5, 6)]
    assert timeline.unreadable(result) == []


def test_summary_says_what_was_found(make):
    assert timeline.summary(make()) == "One audio-visual event: Bark, from 0:02.0 to 0:05.0. Heard only: Goat."
    assert timeline.summary(make(events=[])) == "No event was both heard and seen."
    many = [(name, 0, 1, "audio-visual", 0.9 - i / 100) for i, name in enumerate("ABCDEF")]
    assert timeline.summary(make(events=[*many, ("G", 0, 1, "visual", 0.5)])) == (
        "6 audio-visual events: A · B · C · D · 2 more. Seen only: G."
    )


@pytest.mark.parametrize(("peak", "text"), [(1.0, "0 dBFS"), (0.5, "−6 dBFS"), (0.97, "0 dBFS")])
def test_decibels(peak, text):
    assert timeline.decibels(peak) == text
