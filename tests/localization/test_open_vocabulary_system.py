import pytest

import avel
from avel.errors import CategoriesError, ModelError
from avel.localization.model_choice import check_attention

pytest.importorskip("onnx")
from tiny_clips import make_clip
from tiny_vocabulary import make_vocabulary

RED, BLUE, GREEN = (250, 20, 20), (20, 20, 250), (20, 250, 20)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return make_vocabulary(tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def localizer(vocabulary):
    return avel.Localizer(categories="siren, drone", open_vocabulary=vocabulary, precision="float32")


@pytest.mark.parametrize(
    ("colour", "hertz", "found"),
    [
        (RED, 6000, {("siren", "audio-visual")}),
        (RED, 200, {("siren", "visual"), ("drone", "audio")}),
        (GREEN, 200, {("drone", "audio")}),
    ],
)
def test_words_are_looked_and_listened_for(localizer, tmp_path, colour, hertz, found):
    result = localizer(make_clip(tmp_path / "a.mp4", colour, hertz, seconds=3))
    assert {(event.category, event.modality) for event in result.events} == found
    assert all((event.start_seconds, event.end_seconds) == (0, 3) for event in result.events)
    assert result.model["name"] == "open-vocabulary"
    assert result.model["measured"] is False
    assert result.model["categories"] == ["siren", "drone"]
    assert {backbone["engine"] for backbone in result.model["backbones"].values()} == {"openvino"}


def test_it_says_that_nothing_was_measured(localizer, vocabulary):
    (notice,) = localizer.notices
    assert notice.startswith(f"What the networks of {vocabulary} find was not measured by avel")


def test_categories_are_words_or_the_names_of_a_table(vocabulary):
    of_table = avel.Localizer(categories="ave", open_vocabulary=vocabulary)
    assert len(of_table.system.categories) == 28
    with pytest.raises(CategoriesError, match="No event category is named"):
        avel.Localizer(categories=[], open_vocabulary=vocabulary)


def test_what_is_of_no_use_with_it(vocabulary):
    for name, value in {"audio_tagger": "embedded", "refine": True}.items():
        with pytest.raises(ValueError, match=f"{name} is for agreement's own networks, not for an open vocabulary"):
            avel.Localizer(open_vocabulary=vocabulary, **{name: value})
    with pytest.raises(ModelError, match=r"vocabulary.toml does not say where .* so coco cannot be written"):
        check_attention("agreement", ["coco"], vocabulary)
