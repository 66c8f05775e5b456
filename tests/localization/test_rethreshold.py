"""Hand-worked: four segments of a second, with events that are finer than segments."""

import pytest

from avel.events import BACKGROUND, Event, Localization, Segment, Validity
from avel.localization.rethreshold import events_at


def result(audio, visual, both, events, *, tells=True, unheard=(), model=None):
    def scores(values, t):
        return {"Bark": values[t]} if values[t] else {}

    segments = tuple(
        Segment(
            start_seconds=float(t),
            end_seconds=float(t + 1),
            category=BACKGROUND,
            score=0.5,
            audio_scores=scores(audio, t) if tells else None,
            visual_scores=scores(visual, t) if tells else None,
            valid=Validity(audio=t not in unheard, visual=True),
            scores=scores(both, t),
        )
        for t in range(len(both))
    )
    found = tuple(Event("Bark", *event) for event in events)
    return Localization(
        "a.mp4", float(len(both)), 1.0, model or {"name": "x"}, (*found, Event("Cat", 0, 1, 0.9, "audio")), segments
    )


def spans(events):
    return [(e.start_seconds, e.end_seconds, e.modality) for e in events]


HEARD = [0.1, 0.8, 0.6, 0.45]
SEEN = [0.1, 0.9, 0.9, 0.1]
BOTH = [0.1, 0.8, 0.6, 0.1]


@pytest.fixture
def bark():
    """Heard and seen from 1.2 s to 2.9 s, as the localizer tells in steps of a tenth of a second."""
    return result(HEARD, SEEN, BOTH, [(1.2, 2.9, 0.8, "audio-visual")])


def test_its_own_thresholds_give_its_own_events(bark):
    assert events_at(bark, "Bark") == bark.events[:1]
    assert events_at(bark, "Nothing") == ()


def test_edges_that_do_not_move_stay_where_they_were_found(bark):
    # From 0.75 on: only the second segment is heard, and an event goes on over 0.35 and more.
    # odds(0.6) / odds(0.75) = 0.5, which is 0.33: not kept. The end moves to a segment's, the start stays.
    assert spans(events_at(bark, "Bark", audio=0.75))[0] == (1.2, 2.0, "audio-visual")
    assert spans(events_at(bark, "Bark", visual=0.6)) == [(1.2, 2.9, "audio-visual")]


def test_what_is_heard_no_more_is_seen_only(bark):
    assert spans(events_at(bark, "Bark", audio=0.95)) == [(1.2, 2.9, "visual")]
    assert spans(events_at(bark, "Bark", audio=0.95, visual=0.95)) == []


def test_a_lower_threshold_hears_more(bark):
    low = spans(events_at(bark, "Bark", audio=0.4))
    assert low[0] == (1.2, 2.9, "audio-visual")
    assert low[1:] == [(2.9, 4.0, "audio")]  # 0.45 of it is heard in the last segment, and nothing seen


def test_what_the_localizer_passed_over_for_other_reasons_stays_away():
    """The segments alone would say that it is heard from 0 s to 1 s; the localizer knew better, as by a rival."""
    of = result([0.7, 0, 0, 0.6], [0, 0, 0, 0], [0, 0, 0, 0], [(3.1, 3.8, 0.6, "audio")])
    assert spans(events_at(of, "Bark", audio=0.55)) == [(3.1, 3.8, "audio")]
    assert spans(events_at(of, "Bark", audio=0.65)) == []


def test_events_that_a_threshold_does_not_concern_stay_as_they_are():
    """The segments alone would make one event of two."""
    of = result(
        [0.7, 0.7, 0.7, 0.7], [0.9, 0, 0, 0], [0, 0, 0, 0], [(0.0, 0.8, 0.6, "audio"), (3.2, 4.0, 0.6, "audio")]
    )
    assert spans(events_at(of, "Bark", visual=0.6)) == [(0.0, 0.8, "audio"), (3.2, 4.0, "audio")]


def test_what_is_new_joins_what_it_goes_on_from():
    of = result([0.1, 0.8, 0.8, 0.45], SEEN, [0.1, 0.8, 0.8, 0.1], [(1.2, 2.9, 0.8, "audio-visual")])
    seen, both = events_at(of, "Bark", audio=0.4, visual=0.1)
    assert (both.start_seconds, both.end_seconds, both.modality, both.score) == (1.2, 4.0, "audio-visual", 0.8)
    assert (seen.start_seconds, seen.end_seconds, seen.modality) == (0.0, 1.2, "visual")
    assert seen.score == pytest.approx(0.1)  # as the localizer has it


def test_what_no_segment_shows_stays_as_long_as_its_score_does():
    of = result([0, 0.3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [(1.4, 1.7, 0.62, "audio")])
    assert spans(events_at(of, "Bark", audio=0.6)) == [(1.4, 1.7, "audio")]
    assert spans(events_at(of, "Bark", audio=0.7)) == []


def test_what_synchrony_confirmed_counts_as_seen():
    of = result([0, 0.8, 0.8, 0], [0, 0, 0, 0], [0, 0.7, 0.7, 0], [(1.0, 3.0, 0.7, "audio-visual")])
    assert spans(events_at(of, "Bark", audio=0.6)) == [(1.0, 3.0, "audio-visual")]
    assert spans(events_at(of, "Bark", visual=0.9)) == [(1.0, 3.0, "audio")]


def test_models_that_tell_only_both():
    of = result(
        HEARD,
        SEEN,
        BOTH,
        [(1.0, 3.0, 0.8, "audio-visual")],
        tells=False,
        model={"decoding": {"threshold": 0.5, "keep": 0.5, "max_gap_segments": 0}},
    )
    assert spans(events_at(of, "Bark", combined=0.7)) == [(1.0, 2.0, "audio-visual")]
    assert spans(events_at(of, "Bark", audio=0.9)) == [(1.0, 3.0, "audio-visual")]  # it has no such threshold


def test_what_cannot_be_heard_is_not_both(bark):
    of = result(HEARD, SEEN, BOTH, [], unheard=(1, 2))
    assert all(event.modality != "audio-visual" for event in events_at(of, "Bark", visual=0.4))


def test_the_users_selection_stays():
    selection = {"modality": "audio-visual", "merge_gap_seconds": 0.0, "min_length_seconds": 0.0, "min_score": 0.0}
    of = result(HEARD, SEEN, BOTH, [(1.2, 2.9, 0.8, "audio-visual")], model={"selection": selection})
    assert spans(events_at(of, "Bark", audio=0.95)) == []


@pytest.mark.parametrize("model", [{"decoding": {"keep": 9}, "selection": {"x": 1}}, {"decoding": 3, "selection": [1]}])
def test_a_record_of_anybody_is_read_with_care(model):
    of = result(HEARD, SEEN, BOTH, [(1.2, 2.9, 0.8, "audio-visual")], model=model)
    assert spans(events_at(of, "Bark", audio=0.95)) == [(1.2, 2.9, "visual")]


@pytest.mark.parametrize("name", ["audio", "visual", "combined"])
def test_a_threshold_is_a_share(bark, name):
    for value in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=f"The threshold {name} must be above 0 and below 1"):
            events_at(bark, "Bark", **{name: value})
