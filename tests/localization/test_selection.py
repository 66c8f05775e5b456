import pytest

from avel.events import Event
from avel.localization.selection import Selection, select

EVENTS = (
    Event("Bark", 0.0, 0.4, 0.6, "audio-visual"),
    Event("Bark", 0.7, 1.0, 0.8, "audio-visual"),
    Event("Bark", 1.1, 2.0, 0.7, "audio"),
    Event("Speech", 0.5, 0.7, 0.9, "visual"),
)


def test_everything_is_kept_unless_asked_otherwise():
    assert set(select(EVENTS, Selection())) == set(EVENTS)


@pytest.mark.parametrize("modality", ["audio-visual", "audio", "visual"])
def test_one_modality(modality):
    assert {event.modality for event in select(EVENTS, Selection(modality=modality))} == {modality}


def test_events_of_one_category_and_modality_are_merged_across_a_gap():
    merged = select(EVENTS, Selection(merge_gap_seconds=0.3))
    assert merged[0] == Event("Bark", 0.0, 1.0, 0.8, "audio-visual")
    assert len(merged) == 3
    assert len(select(EVENTS, Selection(merge_gap_seconds=0.29))) == 4


def test_length_is_asked_for_after_merging():
    long_ones = select(EVENTS, Selection(merge_gap_seconds=0.3, min_length_seconds=0.9))
    assert [(event.start_seconds, event.end_seconds) for event in long_ones] == [(0.0, 1.0), (1.1, 2.0)]


def test_low_scores_are_left_out():
    assert [event.score for event in select(EVENTS, Selection(min_score=0.75))] == [0.9, 0.8]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modality": "smell"}, "modality must be one of all, audio-visual, audio, visual, got 'smell'"),
        ({"merge_gap_seconds": -1}, "merge_gap_seconds must be 0 or more, got -1"),
        ({"min_length_seconds": float("nan")}, "min_length_seconds must be 0 or more, got nan"),
        ({"min_score": 1.1}, "min_score must be from 0 to 1, got 1.1"),
    ],
)
def test_values_that_are_not_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        Selection(**settings)
