import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.backbones.registry import available_backbones
from avel.features.choices import PRECISIONS, STORED_TYPES
from avel.features.recipe import PRESETS, Recipe, preset

NAMES = st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3, unique=True)

RECIPES = st.builds(
    lambda names, audio, **settings: Recipe(visual=tuple(names[audio:]), audio=tuple(names[:audio]), **settings),
    NAMES,
    st.integers(0, 3),
    frames_per_segment=st.none() | st.integers(1, 256),
    segment_seconds=st.floats(0.2, 30),
    precision=st.sampled_from(PRECISIONS),
    stored_as=st.sampled_from(STORED_TYPES),
)


@given(RECIPES)
def test_a_recipe_survives_json(recipe):
    again = Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert again == recipe
    assert again.digest({}) == recipe.digest({})
    assert not again.differences(recipe)


@given(RECIPES, RECIPES)
def test_different_recipes_have_different_digests_and_say_what_differs(one, other):
    assert (one == other) == (one.digest({}) == other.digest({})) == (not one.differences(other))


def test_every_setting_is_part_of_the_digest():
    changed = {
        "visual": ("x",),
        "audio": ("y",),
        "frames_per_segment": 8,
        "segment_seconds": 2.0,
        "precision": "float32",
        "stored_as": "float32",
        "audio_track": 2,
    }
    assert set(changed) == {field.name for field in dataclasses.fields(Recipe)}
    digests = {dataclasses.replace(Recipe(), **{name: value}).digest({}) for name, value in changed.items()}
    assert len(digests | {Recipe().digest({})}) == len(changed) + 1


def test_other_weights_are_another_digest():
    assert Recipe().digest({"vgg19": "sha256:1"}) != Recipe().digest({"vgg19": "sha256:2"})


def test_whole_seconds_may_be_written_as_integers():
    assert Recipe(segment_seconds=1).digest({}) == Recipe(segment_seconds=1.0).digest({})


def test_differences_name_both_values():
    assert Recipe(precision="int8").differences(Recipe(audio=())) == [
        "audio is yamnet-embedding, not none",
        "precision is int8, not float16",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"visual": (), "audio": ()}, "at least one backbone"),
        ({"visual": "vgg19"}, "visual must be a list of backbone names, got 'vgg19'"),
        ({"visual": ("",)}, "visual must be a list"),
        ({"visual": ("x",), "audio": ("x",)}, "has each backbone once, got x, x"),
        ({"frames_per_segment": 0}, "frames_per_segment must be a whole number from 1 to 256, got 0"),
        ({"frames_per_segment": 1.5}, "frames_per_segment must be a whole number"),
        ({"frames_per_segment": True}, "frames_per_segment must be a whole number"),
        ({"segment_seconds": float("nan")}, "segment_seconds must be from 0.2 to 30.0, got nan"),
        ({"segment_seconds": "1"}, "segment_seconds must be from"),
        ({"segment_seconds": 31}, "segment_seconds must be from"),
        ({"precision": "float64"}, "precision must be one of float32, float16, int8; got 'float64'"),
        ({"stored_as": "int8"}, "stored_as must be one of float16, float32; got 'int8'"),
    ],
)
def test_a_setting_that_is_not_allowed(settings, message):
    with pytest.raises(ValueError, match=message):
        Recipe(**settings)


def test_unknown_and_missing_settings():
    with pytest.raises(ValueError, match="A recipe has the settings audio, .*; got fps"):
        Recipe.from_dict({"fps": 3})


def test_presets():
    assert preset("default") == Recipe()
    assert preset("ave").frames_per_segment == 16
    with pytest.raises(ValueError, match="Unknown preset 'avee'. There are: default, fast, ave"):
        preset("avee")
    assert list(PRESETS) == ["default", "fast", "ave"]
    for recipe in PRESETS.values():
        assert {*recipe.visual, *recipe.audio} <= set(available_backbones())


def test_the_audio_track_is_part_of_the_digest_and_absent_where_it_is_not_chosen():
    assert "audio_track" not in Recipe().to_dict()
    assert Recipe.from_dict(Recipe().to_dict()) == Recipe()
    chosen = Recipe(audio_track=2)
    assert Recipe.from_dict(chosen.to_dict()) == chosen
    assert chosen.digest({}) != Recipe().digest({})
    assert Recipe().differences(chosen) == ["audio_track is None, not 2"]
    with pytest.raises(ValueError, match="audio_track must be a whole number from 1, got 0"):
        Recipe(audio_track=0)
