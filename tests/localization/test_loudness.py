import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.localization.decoding import Span
from avel.localization.loudness import Loudness

STEPS = 40


def loudness(level=None, rise=(), fall=()):
    """Of 4 s; a level from each of some steps on, and edges where they are given."""
    levels, rises, falls = np.zeros((3, STEPS), np.float32)
    for array, values in ((rises, dict(rise)), (falls, dict(fall))):
        array[list(values)] = list(values.values())
    for step, value in (level or {}).items():
        levels[step:] = value
    return Loudness(rises, falls, levels, 0.1)


def test_a_sound_starts_and_ends_at_its_greatest_change_in_reach():
    sound = loudness(rise={14: 1, 16: 2, 30: 5}, fall={22: 1, 5: 9})
    assert sound.edges(Span(10, 26)) == (14, 22)  # a window names it up to half a second early, and late


def test_silence_at_the_ends_of_a_video_is_no_sound():
    sound = loudness({0: -8, 7: 0, 35: -8})
    assert sound.edges(Span(0, 40)) == (7, 35)
    assert loudness({0: -2}).edges(Span(0, 40)) == (0, 40)


def test_a_sound_is_as_long_as_windows_can_tell():
    assert loudness(rise={14: 1}, fall={15: 1}).edges(Span(10, 19)) == (14, 17)


@pytest.mark.parametrize(("pause", "parts"), [(7, [(0, 40)]), (8, [(0, 10), (18, 40)])])
def test_a_silence_makes_two_sounds_and_a_pause_does_not(pause, parts):
    assert loudness({0: 0, 10: -3.1, 10 + pause: -1}).parts(Span(0, 40)) == parts


def test_a_sound_lasts_while_it_is_about_as_loud_and_may():
    anywhere = np.ones(STEPS, dtype=bool)
    sound = loudness({0: -6, 5: 0, 30: -6})
    assert sound.lasting(Span(15, 20), anywhere) == (5, 30)
    assert sound.lasting(Span(15, 20), np.arange(STEPS) >= 10) == (10, 30)


@given(st.lists(st.floats(-8, 2, width=32), min_size=STEPS, max_size=STEPS), st.integers(0, 35), st.integers(4, 40))
def test_what_is_made_of_a_span_stays_in_the_video_and_keeps_its_order(levels, start, length):
    span = Span(start, min(start + length, STEPS))
    level = np.array(levels, np.float32)
    change = np.diff(level, prepend=level[:1])
    sound = Loudness(change.clip(0), (-change).clip(0), level, 0.1)
    edges = sound.edges(span)
    assert 0 <= edges.start < edges.end <= STEPS
    parts = sound.parts(edges)
    assert all(0 <= part.start < part.end <= STEPS for part in parts)
    assert all(one.start < other.start for one, other in itertools.pairwise(parts))
    lasting = sound.lasting(span, np.ones(STEPS, dtype=bool))
    assert lasting.start <= span.start
    assert span.end <= lasting.end <= STEPS
