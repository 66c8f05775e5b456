import re

import pytest

from avel.backbones.efficientnet import imagenet_classes
from avel.backbones.i3d import kinetics_classes
from avel.backbones.registry import audio_backbone
from avel.data.categories import (
    MAX_FILE_BYTES,
    Category,
    ave_categories,
    built_in_categories,
    categories_text,
    class_indices,
    everyday_categories,
    load_categories,
)
from avel.errors import CategoriesError

VISUAL = ("visual", "visual_threshold")
LABELS = ("tabby, tabby cat", "tiger cat", "crane", "French horn, horn", "cornet, horn", "horn")


def test_ave_has_28_categories_in_its_own_order():
    names = [category.name for category in ave_categories()]
    assert len(names) == 28
    assert names[0] == "Church bell"
    assert names[19] == "Baby cry, infant cry"
    assert names[-1] == "Mandolin"


def test_ave_order_is_that_of_first_appearance_in_the_annotations(shared):
    rows = (shared / "data" / "ave" / "Annotations.txt").read_text().split("\n")
    order = list(dict.fromkeys(row.split("&")[0] for row in rows if row.strip()))
    assert [category.name for category in ave_categories()] == order


def test_a_category_without_a_class_of_its_own_says_so():
    for category in ave_categories():
        assert category.note or (category.visual and category.visual_evidence == "class")


def test_everyday_holds_ave_and_all_names_of_ov_ave(shared):
    everyday = everyday_categories()
    names = {category.name for category in everyday}
    assert len(names) >= 150
    assert names >= {category.name for category in ave_categories()}
    aliases = {alias for category in everyday for alias in category.aliases}
    assert aliases >= set((shared / "data" / "ov_ave_categories.txt").read_text().strip().split("\n"))


def test_synchrony_confirms_neither_voices_nor_steps():
    in_time = {category.name for category in everyday_categories() if category.in_time}
    voices = {"Speech", "Male speech, man speaking", "Singing", "Goat", "Sheep", "Walk, footsteps", "Engine", "Music"}
    assert not in_time & voices
    assert {"Bark", "Hammer", "Computer keyboard", "Gunshot, gunfire", "Chop"} <= in_time
    assert {category.name for category in ave_categories() if category.in_time} == {"Bark", "Cat"}


def test_a_call_is_not_seen_by_its_animal_alone():
    by_name = {category.name: category for category in everyday_categories()}
    calls = {"Bark": "Dog", "Howl": "Dog", "Meow": "Cat", "Moo": "Cattle, bovinae", "Croak": "Frog", "Honk": "Fowl"}
    for call, animal in {**calls, "Neigh, whinny": "Horse", "Clip-clop": "Horse"}.items():
        assert by_name[call].family == animal
        assert (by_name[call].visual_evidence, by_name[animal].visual_evidence) == ("proxy", "class")


def test_every_class_of_the_built_in_tables_is_one_of_a_tagger():
    sound = (*audio_backbone("embedded").labels, "low voice", "high voice")
    sight = (*imagenet_classes(), "face", "talking face")
    for table in ("everyday", "ave"):
        for category in built_in_categories(table):
            for key in ("audio", "audio_like", "audio_requires"):
                class_indices(getattr(category, key), sound, category.name)
            for key in ("visual", "visual_like"):
                class_indices(getattr(category, key), sight, category.name)
            class_indices(category.actions, kinetics_classes(), category.name)


def test_there_is_no_other_table():
    with pytest.raises(ValueError, match="No table of categories is called 'kinetics'. There are: everyday, ave."):
        built_in_categories("kinetics")


def test_groups_stand_for_their_classes(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        '[groups]\ncars = ["racer", "cab"]\n[[categories]]\nname = "Car"\naudio = ["Car"]\n'
        'visual = ["@cars", "jeep", "cab"]\naliases = ["auto"]\n',
        encoding="utf-8",
    )
    (category,) = load_categories(path)
    assert category.visual == ("racer", "cab", "jeep")
    assert category.aliases == ("auto",)


@pytest.mark.parametrize("table", ["everyday", "ave"])
def test_what_is_written_is_read_as_it_was(tmp_path, table):
    path = tmp_path / "mine.toml"
    path.write_text(categories_text(built_in_categories(table)), encoding="utf-8")
    assert load_categories(path) == built_in_categories(table)


def test_a_written_category_names_what_it_is_then_how_it_is_heard_and_seen():
    odd = Category('a "b"', ("Bark",), ("x", "y"), 0.2, 0.3, in_time=True, family="c", actions=("z",), note="n")
    text = categories_text([odd], {'a "b"': "why"})
    assert text.startswith("# why\n[[categories]]\n")
    keys = re.findall(r"^(\w+) =", text, re.MULTILINE)
    assert keys == ["name", "family", "audio", "audio_threshold", "in_time", *VISUAL, "actions", "note"]
    assert """name = 'a "b"'""" in text or 'name = "a \\"b\\""' in text


def test_ways_to_see():
    assert Category("a", ("Bark",), (), 0.2, 0.3).seen_by == ()
    assert Category("a", (), ("x",), 0.2, 0.3).seen_by == ("itself",)
    several = Category("a", (), ("x",), 0.2, 0.3, actions=("z",), in_time=True, visual_evidence="proxy")
    assert several.seen_by == ("what goes with it", "actions", "motion in time with the sound")


def test_class_by_label_by_synonym_and_by_range():
    assert class_indices(["Tabby", "tabby, tabby cat"], LABELS, "Cat") == [0]
    assert class_indices(["tabby..crane"], LABELS, "Cat") == [0, 1, 2]
    assert class_indices(["horn"], LABELS, "Horn") == [5]  # the whole label wins over the synonyms


def test_unknown_class_suggests_a_near_one():
    with pytest.raises(CategoriesError, match="'Cat': the tagger has no class 'tabbi'. Did you mean 'tabby'"):
        class_indices(["tabbi"], LABELS, "Cat")


def test_range_backwards():
    with pytest.raises(CategoriesError, match="the range 'crane..tabby' runs backwards"):
        class_indices(["crane..tabby"], LABELS, "Cat")


def test_a_users_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[[categories]]\nname = "Siren"\naudio = ["Siren"]\n', encoding="utf-8")
    (category,) = load_categories(path)
    assert category.name == "Siren"
    assert category.audio == ("Siren",)
    assert category.visual == ()
    assert 0 < category.audio_threshold < 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "it is not valid TOML"),
        ("a = " + "[" * 100_000, "it is nested too deeply to be read"),
        ("a = " + "9" * 5000, "it holds a number with thousands of digits"),
        (
            '[[categories]]\nname = "a\\u001b[31m"\naudio = ["S"]',
            "the category name 'a\\x1b[31m' holds the control character U+001B. Remove it.",
        ),
        ("[other]\n", "expected [[categories]] tables and, if wanted, [defaults] and [groups], found other"),
        ("", "found nothing"),
        ('[[categories]]\naudio = ["Siren"]\n', "each category needs a name"),
        ('[[categories]]\nname = "background"\naudio = ["Siren"]\n', "a name that is not 'background'"),
        ('[[categories]]\nname = "A"\n', "names no class in audio or visual"),
        ('[[categories]]\nname = "A"\naudio = "Siren"\n', "audio of category 'A' must be a list of names"),
        (
            '[[categories]]\nname = "A"\naudio = ["S"]\nfamily = "B"\n',
            "the family 'B', which is none of the categories",
        ),
        ('[[categories]]\nname = "A"\naudio = ["S"]\nfamily = "A"\n', "'A' is in its own family"),
        ('[[categories]]\nname = "A"\naudio = ["S"]\nfamily = 1\n', "family of category 'A' must be a text, found 1"),
        ('[[categories]]\nname = "A"\naudio = ["S"]\nmixed = 1\n', "mixed of category 'A' must be true or false"),
        ('[[categories]]\nname = "A"\naudio = ["S"]\nin_time = 1\n', "in_time of category 'A' must be true or false"),
        ('[[categories]]\nname = "A"\naudio = ["@B"]\n', "names the group '@B'; there are: none"),
        ('[groups]\nB = "S"\n[[categories]]\nname = "A"\naudio = ["S"]\n', "B in [groups] must be a list of class"),
        ('[[categories]]\nname = "A"\nsound = []\n', "category 'A' has 'sound'; allowed are name, audio"),
        ('[[categories]]\nname = "A"\naudio = ["S"]\naudio_threshold = 2\n', "must be between 0 and 1, found 2"),
        (
            '[[categories]]\nname = "A"\nvisual = ["S"]\nvisual_evidence = "x"\n',
            "must be one of class, proxy, found 'x'",
        ),
        (
            '[defaults]\nname = "x"\n[[categories]]\nname = "A"\n',
            "[defaults] may hold audio_threshold, visual_threshold",
        ),
        ('[[categories]]\nname = "A"\naudio = ["S"]\n' * 2, "'A' is there twice"),
        ('[[categories]]\nname = "A"\naudio = ["S"]\n' * 1001, "1001 categories; at most 1000"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CategoriesError, match=re.escape(message)) as error:
        load_categories(path)
    assert str(path) in str(error.value)


def test_files_that_are_no_text(tmp_path):
    with pytest.raises(CategoriesError, match=r"cannot be read \(No such file"):
        load_categories(tmp_path / "none.toml")
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CategoriesError, match="not UTF-8"):
        load_categories(binary)
    binary.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(CategoriesError, match="larger than"):
        load_categories(binary)
