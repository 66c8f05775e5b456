import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.backbones.embedded import audioset_classes
from avel.backbones.text import TOKENIZER, WEIGHTS, TextEmbedder
from avel.data.categories import Category, categories_text, everyday_categories, load_categories
from avel.data.phrases import asked_for, meanings, names_of, phrase_categories, split_phrases, understood
from avel.errors import CategoriesError, WeightsError


@pytest.fixture
def no_network_for_texts(monkeypatch, tmp_path):
    """Names need none."""
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("AVEL_OFFLINE", "1")


@pytest.fixture(scope="module")
def text_weights(weight_file):
    weight_file(WEIGHTS)
    weight_file(TOKENIZER)


def of(phrase):
    (meaning,) = phrase_categories([phrase])
    return meaning


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("Bark", "Bark"),
        ("chainsaws", "Chainsaw"),
        ("dog barking", "Bark"),  # an alias of the table
        ("glass breaking", "Shatter"),
        ("fiddle", "Violin, fiddle"),
        ("violin, Fiddle", "Violin, fiddle"),
        ("Clip clop", "Clip-clop"),
        ("jackhammer", "Jackhammer"),  # AudioSet's alone
        ("dogs", "Dog"),  # and not "Canidae, dogs, wolves"
    ],
)
def test_names_as_people_write_them(no_network_for_texts, phrase, name):
    meaning = of(phrase)
    assert (meaning.name, meaning.similarity) == (name, 1.0)
    assert meaning.category.name == phrase


def test_every_name_means_itself(no_network_for_texts):
    names = [category.name for category in everyday_categories()]
    names += [name for name in audioset_classes() if name not in names]
    assert [meaning.name for meaning in meanings(names)] == names


def test_a_name_of_the_table_is_its_category(no_network_for_texts):
    entry = next(category for category in everyday_categories() if category.name == "Bark")
    meaning = of("dog barking")
    assert meaning.category.audio == entry.audio
    assert meaning.category.visual == entry.visual
    assert meaning.category.visual_evidence == "proxy"  # a dog in view is no bark
    assert meaning.category.in_time
    assert str(meaning) == "dog barking: heard as Bark 1.00; seen as Bark"
    assert meaning.category.note == "Heard as Bark 1.00; seen as Bark."


def test_a_class_that_a_category_listens_for_is_seen_as_that_category(no_network_for_texts):
    meaning = of("slam")
    assert str(meaning) == "slam: heard as Slam 1.00; seen as Door"
    assert meaning.category.audio == ("Slam",)
    assert meaning.category.visual_evidence == "proxy"  # a silent door is no slam


def test_what_nothing_shows_can_be_heard_only(no_network_for_texts):
    helicopter, echo = phrase_categories(["helicopter", "Echo"])
    assert str(helicopter) == "helicopter: heard as Helicopter 1.00; nothing to see it by"
    assert str(echo) == "Echo: heard as Echo 1.00; nothing to see it by"
    assert echo.category.audio == ("Echo",)
    assert echo.category.visual == echo.category.actions == ()


def test_families_are_those_of_the_table(no_network_for_texts):
    found = {m.phrase: m.category.family for m in phrase_categories(["doors", "slam", "violin", "music", "rain"])}
    assert found == {"doors": "", "slam": "doors", "violin": "music", "music": "", "rain": ""}


def test_what_is_understood_can_be_written_corrected_and_read(no_network_for_texts, tmp_path):
    found = [meaning.category for meaning in phrase_categories(["doors", "slam", "helicopter", "typing"])]
    path = tmp_path / "mine.toml"
    path.write_text(categories_text(found), encoding="utf-8")
    assert load_categories(path) == tuple(found)


def test_what_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = Category("Mine", ("Siren",), (), 0.2, 0.2)
    (tmp_path / "mine.toml").write_text(categories_text([mine]), encoding="utf-8")
    (tmp_path / "ave").write_text("no table", encoding="utf-8")  # the built-in one is meant all the same
    assert asked_for(None) == list(everyday_categories())
    assert len(asked_for("ave")) == 28
    assert asked_for("mine.toml") == asked_for(tmp_path / "mine.toml") == [mine]
    assert asked_for("dog,  puppy   barking") == ["dog", "puppy barking"]
    assert asked_for(["puppy barking", mine]) == ["puppy barking", mine]
    assert names_of(["puppy barking", mine]) == ["puppy barking", "Mine"]
    with pytest.raises(CategoriesError, match="'Mine' is there twice; names must differ"):
        asked_for(["Mine", mine])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("evryday", "There is no table of event categories 'evryday'. Did you mean 'everyday'?"),
        ("every day", "Did you mean 'everyday'?"),
        ("mine.tml", "mine.tml: there is no such file. A file of event categories is a TOML file; check its name."),
        ("tables/mine", "tables/mine: there is no such file."),
    ],
)
def test_a_table_or_file_that_is_not_called_so_is_no_phrase(text, message):
    with pytest.raises(CategoriesError, match=re.escape(message)):
        asked_for(text)


def test_words_with_points_and_strokes_are_words():
    assert asked_for("dog barks, loudly.") == ["dog barks", "loudly."]
    assert asked_for("wave") == ["wave"]
    assert asked_for("bird / crow") == ["bird / crow"]


def test_phrases_that_mean_one_thing(no_network_for_texts):
    with pytest.raises(CategoriesError, match="'dog' and 'Dogs' both mean Dog; one of them is enough"):
        phrase_categories(["dog", "Dogs"])


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("chainsaw, puppy barking,glass breaking", ["chainsaw", "puppy barking", "glass breaking"]),
        ("Violin, fiddle, rain", ["Violin, fiddle", "rain"]),
        ("rain, vehicle horn, car horn, honking", ["rain", "vehicle horn, car horn, honking"]),
        ("Roaring cats (lions, tigers)", ["Roaring cats (lions, tigers)"]),
        ("a,,b,", ["a", "b"]),
        (" , ", []),
    ],
)
def test_phrases_between_commas(text, phrases):
    assert split_phrases(text) == phrases


@given(st.lists(st.sampled_from(audioset_classes()), min_size=1, max_size=6, unique=True))
def test_names_with_commas_stay_whole(names):
    joined = split_phrases(", ".join(names))
    assert ", ".join(joined) == ", ".join(names)
    assert len(joined) <= len(names)


@pytest.mark.parametrize(
    ("phrases", "message"),
    [
        ([], "No event category is named. Give one or more, separated by commas"),
        (["dog", "dog"], "The event category 'dog' is there twice"),
        ([" "], "'' is no name of an event category"),
        (["Background"], "'Background' is no name of an event category"),
        (["a\x1b[31m"], r"'a\x1b[31m' holds U+001B. Remove it."),
        (["bark" * 30], "The event category 'barkbarkbarkbarkbarkbarkbarkba...' has 120 letters; at most 100"),
        ([f"dog {n}" for n in range(1001)], "1001 event categories are named; at most 1000"),
    ],
)
def test_what_cannot_be_a_phrase(phrases, message):
    with pytest.raises(CategoriesError, match=re.escape(message)):
        phrase_categories(phrases)


def test_without_the_network_for_texts_an_error_says_how_to_get_it(no_network_for_texts):
    with pytest.raises(WeightsError, match="'puppy barking' cannot be understood here") as error:
        phrase_categories(["rain", "puppy barking"])
    assert f"`avel weights fetch {WEIGHTS} {TOKENIZER}` gets it" in str(error.value)
    assert "not tried: offline" in str(error.value)


@pytest.mark.parametrize(
    ("phrase", "name"),
    [
        ("puppy barking", "Bark"),
        ("someone playing the violin", "Violin, fiddle"),
        ("lawnmower", "Lawn mower"),
        ("strumming a guitar", "Guitar"),  # electric or acoustic: their family
    ],
)
def test_other_phrases_mean_what_they_are_like(text_weights, phrase, name):
    meaning = of(phrase)
    assert meaning.name == name
    assert 0.81 <= meaning.similarity < 1
    assert [similarity for _, similarity in meaning.nearest] == sorted(
        (similarity for _, similarity in meaning.nearest), reverse=True
    )


def test_what_is_not_clear_is_refused_with_the_nearest_names(text_weights):
    clear, faults = understood(["rain", "sunset", "knocking on a door"])
    assert [meaning.phrase for meaning in clear] == ["rain"]
    assert re.match(r"'sunset' is like no event category; the nearest are .+ 0\.7\d, .+ and .+ 0\.7\d$", faults[0])
    assert faults[1] == "'knocking on a door' may mean Door 0.82 or Knock 0.80"
    with pytest.raises(CategoriesError, match=r"may mean Door 0.82 or Knock 0.80. Use one of these names"):
        phrase_categories(["knocking on a door"])


def test_embeddings_of_names_are_kept(text_weights, tmp_path, monkeypatch, caplog):
    embed = TextEmbedder()
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    texts = ["rain", "dog"]
    first = embed.kept(texts)
    (file,) = (tmp_path / "texts").iterdir()
    np.save(file, first[::-1])  # what is there is read, so that it shows
    np.testing.assert_array_equal(embed.kept(texts), first[::-1])
    for damaged in (b"no array", b""):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(embed.kept(texts), first)
    np.save(file, first[:1])
    np.testing.assert_array_equal(embed.kept(texts), first)
    assert "is made again" in caplog.text
    assert len(list(file.parent.iterdir())) == 1
    assert embed.kept(["snow"]).shape == (1, first.shape[1])  # other texts have a file of their own
    assert len(list(file.parent.iterdir())) == 2
