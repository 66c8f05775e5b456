import numpy as np
import pytest

from avel.data.categories import Category
from avel.localization.decoding import Decoding
from avel.localization.loudness import Loudness
from avel.localization.naming import Naming, StepOdds

STEPS = 40
CATEGORIES = (
    Category("Strings", ("s",), ("v",), 0.2, 0.2, family="Music"),
    Category("Violin", ("v",), ("v",), 0.2, 0.2, family="Strings"),
    Category("Cello", ("c",), ("c",), 0.2, 0.2, family="Strings"),
    Category("Drum", ("d",), ("d",), 0.2, 0.2, family="Music"),
    Category("Music", ("m",), (), 0.2, 0.2, mixed=True),
    Category("Man", ("p",), ("f",), 0.2, 0.2, family="Voice", audio_requires=("low",)),
    Category("Woman", ("p",), ("f",), 0.2, 0.2, family="Voice", audio_requires=("high",)),
    Category("Voice", ("p",), ("f",), 0.2, 0.2, visual_evidence="proxy"),
    Category("Cough", ("k",), ("f",), 0.2, 0.2, visual_evidence="proxy"),
    Category("Chop", ("chop",), (), 0.2, 0.2, audio_like=("bounce",), actions=("chops",)),
    Category("Ball", ("bounce",), ("b",), 0.2, 0.2),
)
SIGHTS = tuple(map(frozenset, ([1, 2], [1], [2], [3], [], [9], [9], [9], [9], [10], [11])))
NUMBERS = {category.name: number for number, category in enumerate(CATEGORIES)}


def named(audio, visual=None, *, alike=None, done=None, in_time=None, edges=None, level=None, steps=STEPS):
    """Events of odds that hold from one step to another, as {name: (odds, start, end)}."""
    tables = []
    for given in ({**audio, **(alike or {})}, audio, {**(visual or {}), **(done or {})}, visual, done, in_time):
        odds = np.zeros((steps, len(CATEGORIES)), np.float32)
        for name, (value, start, end) in (given or {}).items():
            odds[start:end, NUMBERS[name]] = value
        tables.append(odds)
    flat = np.zeros(steps, np.float32)
    rise, fall = (flat, flat) if edges is None else edges
    sound = Loudness(rise, fall, flat if level is None else level, 0.1)
    found = StepOdds(*tables, sound, 0.1, steps / 10)
    events = Naming(CATEGORIES, SIGHTS)(found, Decoding(keep=0.25))
    return {(event.category, event.modality) for event in events}, events


def test_a_member_that_is_clear_gives_its_name():
    names, _ = named({"Violin": (3, 0, 40), "Cello": (1, 0, 40)}, {"Violin": (3, 0, 40), "Cello": (1, 0, 40)})
    assert names == {("Violin", "audio-visual")}


def test_where_members_cannot_be_told_apart_it_is_the_family():
    names, _ = named({"Violin": (3, 0, 40), "Cello": (2.5, 0, 40)}, {"Violin": (3, 0, 40), "Cello": (3, 0, 40)})
    assert names == {("Strings", "audio-visual")}


def test_a_member_that_holds_over_little_of_an_event_does_not_name_it():
    names, _ = named({"Strings": (3, 0, 40), "Violin": (3, 0, 10)}, {"Strings": (3, 0, 40), "Violin": (3, 0, 10)})
    assert names == {("Strings", "audio-visual")}


def test_a_mixed_family_is_said_only_where_no_member_is():
    heard = {"Music": (4, 0, 40), "Violin": (3, 0, 40), "Drum": (3, 0, 40)}
    seen = {"Violin": (3, 0, 40), "Drum": (3, 0, 40)}
    assert named(heard, seen)[0] == {("Violin", "audio-visual"), ("Drum", "audio-visual")}
    assert named({"Music": (4, 0, 40)})[0] == {("Music", "audio")}


def test_a_voice_that_is_nobodys_in_particular_is_a_voice():
    seen = dict.fromkeys(("Voice", "Man"), (3, 0, 40))
    assert named({"Voice": (4, 0, 40), "Man": (1.2, 0, 40)}, seen)[0] == {("Man", "audio-visual")}
    assert named({"Voice": (4, 0, 40), "Man": (1.2, 0, 15)}, seen)[0] == {("Voice", "audio-visual")}


def test_one_face_makes_one_sound_unless_both_are_heard_as_clearly():
    seen = {"Voice": (3, 0, 40), "Cough": (3, 0, 40)}
    assert named({"Voice": (4, 0, 40), "Cough": (2, 0, 40)}, seen)[0] == {("Voice", "audio-visual")}
    both = {("Voice", "audio-visual"), ("Cough", "audio-visual")}
    assert named({"Voice": (4, 0, 40), "Cough": (3.9, 0, 40)}, seen)[0] == both


def test_a_rival_has_to_be_fully_heard_and_seen():
    strong = {"Voice": (4, 0, 40)}
    weak = named({**strong, "Drum": (0.9, 0, 40)}, {**strong, "Drum": (9, 0, 40)})[0]
    assert weak == {("Voice", "audio-visual"), ("Drum", "visual")}
    assert ("Drum", "audio-visual") in named({**strong, "Drum": (2, 0, 40)}, {**strong, "Drum": (2, 0, 40)})[0]
    assert ("Drum", "audio-visual") in named({"Drum": (0.9, 0, 40)}, {"Drum": (9, 0, 40)})[0]


def test_what_only_goes_with_a_sound_does_not_say_which_it_is():
    for heard, events in ((0.9, set()), (1.1, {("Cough", "audio-visual")})):
        assert named({"Cough": (heard, 0, 40)}, {"Cough": (9, 0, 40)})[0] == events
    assert named({"Cough": (0.9, 0, 40)}, done={"Cough": (9, 0, 40)})[0] == {("Cough", "audio-visual")}


def test_synchrony_makes_an_event_audio_visual_and_no_name_surer():
    for heard, events in ((3.7, set()), (3.8, {("Drum", "audio-visual")})):  # p = 0.74 and 0.76
        assert named({"Drum": (heard, 0, 40)}, in_time={"Drum": (9, 0, 40)})[0] == events


def test_one_sound_has_one_name_of_the_category_that_is_seen():
    ball = {"Ball": (4, 0, 40)}
    alike = {"Chop": (2, 0, 40)}
    chops = {"Chop": (3, 0, 40)}
    assert named(ball, alike=alike, done=chops, in_time=ball)[0] == {("Chop", "audio-visual")}
    assert named(ball, alike=alike, done=chops)[0] == {("Chop", "audio-visual")}
    assert named(ball, alike=alike, in_time=ball)[0] == {("Ball", "audio-visual")}
    assert named(ball, ball, alike=alike, done=chops)[0] == {("Ball", "audio-visual")}


def test_what_nothing_confirms_needs_a_probability_of_its_own():
    assert named({"Cough": (3.7, 0, 40)})[0] == set()  # p = 0.74
    assert named({"Cough": (3.8, 0, 40)})[0] == {("Cough", "audio")}
    assert named({}, {"Drum": (3.8, 0, 40)})[0] == {("Drum", "visual")}
    assert named({}, {"Cough": (5, 0, 40)})[0] == set()  # a face alone is no cough


def test_what_nothing_confirms_has_to_last():
    rise, fall = np.zeros(STEPS, np.float32), np.zeros(STEPS, np.float32)
    rise[14], fall[17], fall[18] = 1, 1, 0.5
    assert named({"Cough": (4, 10, 22)}, edges=(rise, fall))[0] == set()  # 0.3 s
    fall[18] = 2
    assert named({"Cough": (4, 10, 22)}, edges=(rise, fall))[0] == {("Cough", "audio")}


def test_what_one_or_two_windows_name_is_a_slip():
    assert named({"Cough": (4, 10, 12)}, {"Cough": (4, 0, 40)})[0] == set()
    assert named({"Cough": (4, 10, 13)}, {"Cough": (4, 0, 40)})[0] == {("Cough", "audio-visual")}


def test_an_event_starts_and_ends_where_its_sound_does():
    rise, fall = np.zeros(STEPS, np.float32), np.zeros(STEPS, np.float32)
    rise[14], fall[22] = 1, 1
    rise[30] = 5  # another sound, out of reach
    _, (event,) = named({"Cough": (4, 10, 26)}, {"Cough": (4, 0, 40)}, edges=(rise, fall))
    assert (event.start_seconds, event.end_seconds) == (pytest.approx(1.4), pytest.approx(2.2))


def test_what_is_heard_from_the_first_to_the_last_step_is_not_cut():
    rise, fall = np.ones(STEPS, np.float32), np.ones(STEPS, np.float32)
    _, (event,) = named({"Cough": (4, 0, 40)}, {"Cough": (4, 0, 40)}, edges=(rise, fall))
    assert (event.start_seconds, event.end_seconds) == (0, 4)


def test_a_silence_divides_what_the_tagger_hears_as_one():
    level = np.zeros(STEPS, np.float32)
    level[15:25] = -5
    _, events = named({"Cough": (4, 0, 40)}, {"Cough": (4, 0, 40)}, level=level)
    assert [(e.start_seconds, e.end_seconds) for e in events] == [(0, 1.5), (2.5, 4)]


def test_what_the_tagger_barely_knows_lasts_while_nothing_shows_that_it_is_over():
    def spans(heard, *, seen=40, **more):
        _, events = named({"Drum": (heard, 10, 20), **more}, {"Drum": (3, 0, seen)}, edges=edges, level=level)
        return [(e.start_seconds, e.end_seconds) for e in events if e.category == "Drum" and e.modality != "visual"]

    level, rise, fall = np.zeros((3, STEPS), np.float32)
    rise[10], fall[20] = 0.5, 0.5
    edges = rise, fall
    assert spans(2.4) == [(0, 4)]  # p = 0.48
    assert spans(2.6) == [(1, 2)]
    assert spans(2.4, seen=30) == [(0, 3)]
    assert spans(2.4, Cough=(4, 34, 40)) == [(0, pytest.approx(3.4))]  # heard for sure; p = 0.8
    level[36:] = -2
    assert spans(2.4) == [(0, pytest.approx(4))]  # within a window of where it was as loud
    level[25:] = -2
    assert spans(2.4) == [(0, pytest.approx(3))]
