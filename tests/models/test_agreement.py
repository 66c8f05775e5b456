import math

import numpy as np
import pytest

from avel.data.categories import Category
from avel.errors import CategoriesError
from avel.models.agreement import Agreement

AUDIO = ("Bark", "Howl", "Speech", "low voice")
VISUAL = ("beagle", "pug", "cat", "face")


def category(name, audio=(), visual=(), **more):
    return Category(name, tuple(audio), tuple(visual), audio_threshold=0.2, visual_threshold=0.1, **more)


@pytest.fixture
def model():
    return Agreement(
        [
            category("Dog", ["Bark", "Howl"], ["beagle", "pug"]),
            category("Man", ["Speech"], ["face"], audio_requires=("low voice",)),
            category("Helicopter", ["Speech"]),
        ],
        VISUAL,
        AUDIO,
    )


def run(model, visual, audio, valid=True):
    """Of one segment: scores of events, of what is heard and of what is seen."""
    found = model(np.float32([[visual]]), np.float32([audio]), np.array([valid]))
    return found.events[0], found.audio[0], found.visual[0]


def test_scores_by_hand(model):
    events, audio, visual = run(model, [0.2, 0.2, 0.0, 0.0], [0.2, 0.6, 0.0, 0.0])
    assert audio[0] == pytest.approx(0.6 / 0.8)  # the larger of Bark and Howl
    assert visual[0] == pytest.approx(0.4 / 0.5)  # the sum of both breeds
    odds = math.sqrt((0.6 / 0.2) * (0.4 / 0.1))  # the geometric mean of both modalities'
    assert events[0] == pytest.approx(odds / (1 + odds))


def test_what_agrees_lifts_a_weak_word_but_no_modality_speaks_for_the_other(model):
    weak, _, _ = run(model, [0.1, 0.0, 0.0, 0.0], [0.05, 0.0, 0.0, 0.0])  # odds 1 and 1/4
    assert weak[0] == pytest.approx(0.5 / 1.5)
    lifted, _, _ = run(model, [0.9, 0.0, 0.0, 0.0], [0.05, 0.0, 0.0, 0.0])  # odds 9 and 1/4: three times 1/4
    assert lifted[0] == pytest.approx(0.75 / 1.75)


def test_what_is_only_alike_counts_half_and_is_not_heard_alone():
    dog = category("Dog", ["Bark"], ["beagle"], audio_like=("Howl",), visual_like=("cat",))
    model = Agreement([dog], VISUAL, AUDIO)
    found = model(np.float32([[[0.0, 0.0, 0.4, 0.0]]]), np.float32([[0.0, 0.8, 0.0, 0.0]]), np.array([True]))
    assert found.audio_odds.item() == pytest.approx(0.5 * 0.8 / 0.2)
    assert found.visual_odds.item() == pytest.approx(0.5 * 0.4 / 0.1)
    assert found.heard_odds.item() == found.seen_odds.item() == 0


def test_what_sounds_like_it_and_is_heard_as_clearly_is_not_it():
    dog = category("Dog", ["Bark"], ["beagle"], audio_unlike=("Howl",))
    model = Agreement([dog], VISUAL, AUDIO)
    for howl, heard in ((0.59, 0.6), (0.6, 0.0)):
        found = model(np.zeros((1, 1, 4), np.float32), np.float32([[0.6, howl, 0.0, 0.0]]), np.array([True]))
        assert found.heard_odds.item() == pytest.approx(heard / 0.2)


def test_the_surer_of_things_and_actions_counts():
    dog = category("Dog", ["Bark"], ["beagle"], actions=("training dog",), action_threshold=0.5)
    model = Agreement([dog], VISUAL, AUDIO, action_labels=("training dog", "yawning"))
    chance = 1 / 2
    for actions, odds in (([0.9, 0.1], (0.9 - chance) / (1 - chance) / 0.5), ([0.0, 0.0], 0.1 / 0.1)):
        visual = np.float32([[[0.1, 0.0, 0.0, 0.9, *actions]]])
        found = model(visual, np.zeros((1, 4), np.float32), np.array([True]))
        assert found.visual_odds.item() == pytest.approx(odds)
        assert found.seen_odds.item() == pytest.approx(0.1 / 0.1)


def test_steps_of_sound_are_averaged_within_the_video():
    model = Agreement([category("Dog", ["Bark"], ["beagle"])], VISUAL, AUDIO, smooth_steps=3)
    audio = np.zeros((3, 2, 4), np.float32)
    audio[..., 0] = [[0.2, 0.8], [0.2, 0.0], [0.6, 0.6]]  # two segments of two steps, and one of padding
    odds = model(np.zeros((3, 1, 4), np.float32), audio, np.array([True, True, False])).audio_odds.ravel()
    assert odds[:4].tolist() == pytest.approx([0.5 / 0.2, 0.4 / 0.2, (1.0 / 3) / 0.2, 0.1 / 0.2])


def test_what_chance_gives_is_taken_off():
    model = Agreement([category("Dog", visual=["beagle", "pug"])], VISUAL, AUDIO, visual_chance=[0.25] * 4)
    _, _, visual = run(model, [0.25, 0.25, 0.25, 0.25], [0.0] * 4)
    assert visual[0] == 0
    _, _, visual = run(model, [0.5, 0.1, 0.2, 0.2], [0.0] * 4)
    assert visual[0] == pytest.approx(0.2 / (0.2 + 0.1))  # (0.6 - 0.5) / (1 - 0.5), and the threshold 0.1


def test_a_required_class_bounds_the_score(model):
    _, audio, _ = run(model, [0.0, 0.0, 0.0, 1.0], [0.0, 0.0, 0.9, 0.1])
    assert audio[1] == pytest.approx(0.1 / 0.3)


def test_a_category_that_no_class_shows_is_never_an_audio_visual_event(model):
    assert model.visible == [True, True, False]
    events, audio, visual = run(model, [1.0, 0.0, 0.0, 1.0], [1.0, 0.0, 1.0, 1.0])
    assert audio[2] > 0.5
    assert visual[2] == 0
    assert events[2] == 0


def test_there_is_no_event_unless_both_agree(model):
    assert not run(model, [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])[0].any()
    events, _, _ = run(model, [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0])
    assert events[0] > 0.5
    assert not events[1:].any()


def test_what_is_seen_is_smoothed_over_neighbours_that_could_be_read():
    model = Agreement([category("Dog", visual=["beagle"])], VISUAL, AUDIO)
    beagle = np.float32([0.0, 0.8, 0.4, 0.0, 0.4])
    visual = np.stack([beagle, 0 * beagle, 0 * beagle, 1 - beagle], axis=-1)[:, None]  # (5, 1, 4)
    visual[3] = 0  # pictures that could not be read
    valid = np.array([True, True, True, True, False])
    scores = model(visual, np.zeros((5, 4), np.float32), valid).visual[:, 0]
    p = [(0 * 2 + 0.8) / 3, (0 + 0.8 * 2 + 0.4) / 4, (0.8 + 0.4 * 2) / 3, 0, 0]
    assert scores.tolist() == pytest.approx([x / (x + 0.1) for x in p])


def test_padding_scores_nothing(model):
    assert not np.any(run(model, [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], valid=False))


@pytest.mark.parametrize("segments", [1, 7])
def test_any_number_of_segments_and_regions(model, segments):
    rng = np.random.default_rng(0)
    visual, audio = rng.random((segments, 5, 4), np.float32), rng.random((segments, 4), np.float32)
    found = model(visual, audio, np.ones(segments, bool))
    assert found.events.shape == (segments, 3)
    assert found.audio_odds.shape == (segments, 1, 3)
    assert {values.dtype for values in vars(found).values()} == {np.dtype(np.float32)}


def test_a_class_that_the_tagger_lacks_is_refused():
    with pytest.raises(CategoriesError, match="no class 'Moo'"):
        Agreement([category("Cow", ["Moo"])], VISUAL, AUDIO)
