from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.patches import Rectangle
from PIL import Image

from avel.data.annotations import Annotation
from avel.outputs import write
from avel.outputs.evidence import Evidence, Frame, Sight
from avel.outputs.picture import DPI, plot


@pytest.fixture
def grey() -> Evidence:
    """A grey video with a tone."""
    pixels = np.full((72, 128, 3), 128, np.uint8)
    tone = np.full(100, 0.5, np.float32)
    return Evidence(tuple(Frame(float(i), pixels) for i in range(8)), 16 / 9, -tone, tone)


def test_png_has_the_size_of_the_figure(dog, tmp_path):
    path = write(dog, tmp_path / "a.png")
    figure = plot(dog)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert picture.size == tuple(int(side * DPI) for side in figure.get_size_inches())
        assert picture.size[0] == 1800
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 1000  # photographs are in it


def test_pyplot_and_its_settings_are_left_alone(make, grey):
    import matplotlib.pyplot as plt

    before = dict(matplotlib.rcParams)
    plot(make(), grey)
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before


def test_bands_are_where_the_events_are(make, grey):
    figure = plot(make(), grey)
    patches = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    bands = [patch for patch in patches if patch.get_height() == 0.76]
    assert [(band.get_x(), band.get_width(), band.get_hatch()) for band in bands] == [(2, 3, None), (6, 1, "////")]


def test_more_lanes_make_a_higher_figure(make, grey):
    few = plot(make(), grey)
    many = plot(make(events=[(f"category {i}", 0, 5, "audio-visual", 0.9) for i in range(28)]), grey)
    assert many.get_size_inches()[1] > few.get_size_inches()[1] + 5


def test_odd_names_are_drawn_as_they_are(make, grey):
    odd = make("$\\frac$ a_b^c {\n}.mp4", events=[("$x", 0, 1, "audio", 0.5), ("long " * 40, 0, 1, "visual", 0.5)])
    figure = plot(odd, grey)
    figure.canvas.draw()
    assert figure.texts[0].get_text() == "$\\frac$ a_b^c { }.mp4"


def test_no_event_no_picture_no_sound(make):
    nothing = Evidence((), None, np.empty(0, np.float32), np.empty(0, np.float32))
    figure = plot(make(events=[]), nothing)
    texts = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert {"no event", "no picture in this file", "no sound in this file"} <= texts


def test_what_could_not_be_read_is_in_the_legend(make, grey):
    def words(figure):
        return {text.get_text() for text in figure.texts}

    assert "could not be read" in words(plot(make(unheard=(3,)), grey))
    assert "could not be read" not in words(plot(make(), grey))


def test_a_trained_models_picture_shows_where_it_looks(make_trained, grey):
    result = make_trained()
    plain = plot(result, grey)
    sights = tuple(Sight(t, Frame(t + 0.5, grey.frames[0].pixels)) for t in (2, 3, 4))
    figure = plot(result, replace(grey, sights=sights))
    assert figure.get_size_inches()[1] > plain.get_size_inches()[1] + 0.8
    texts = {text.get_text() for text in figure.texts}
    assert {"0:02.5", "0:03.5", "0:04.5", "Bark", "heard and seen", "event"} <= texts
    assert not {"heard only", "seen only", "heard", "seen"} & texts
    assert "Where the model\nlooks" in texts
    by_synchrony = replace(result, model={**result.model, "attention": "synchrony"})
    sights_of = plot(by_synchrony, replace(grey, sights=sights))
    assert "Where the picture\nmoves with the\nsound" in {text.get_text() for text in sights_of.texts}
    (first, *others) = [axes.images[0].get_array() for axes in figure.axes if axes.images][1:]
    assert len(others) == 2
    assert np.ptp(first[:10, :10].astype(int), axis=2).max() <= 4  # grey as it was
    assert np.ptp(first[-10:, -10:].astype(int), axis=2).min() > 100


def with_details(result):
    count = len(result.segments)
    return replace(
        result,
        model={**result.model, "categories": ["Bark", "Bell"]},
        details={
            "gates": np.linspace(0, 1, count, dtype=np.float32),
            "temporal_attention": np.tile(np.float32([0.25, 0.5, 0.25]), (count, 1)),
            "video_category": np.tile(np.float32([0.1, 0.7, 0.2]), (count, 1)),
            "of a newer avel": np.zeros(count, np.float32),
        },
    )


def test_details_are_rows_of_the_picture(make, grey):
    plain, detailed = plot(make(), grey), plot(with_details(make()), grey)
    words = {text.get_text() for text in detailed.texts}
    assert "share of visual\n0 to 1" in words
    of_categories = [word for word in words if word.startswith("video's category")]
    assert set(of_categories) == {"video's category: Bell\n0 to 1", "video's category:\nbackground\n0 to 1"}
    arrays = [axes.images[0].get_array() for axes in detailed.axes if axes.images]
    (matrix,) = [array for array in arrays if array.shape == (10, 10)]
    # Twice an equal share of a window of two segments would be full.
    assert matrix[3].tolist() == [0, 0, 0.25, 0.5, 0.25, 0, 0, 0, 0, 0]
    assert detailed.get_size_inches()[1] > plain.get_size_inches()[1] + 1.5


def test_what_is_true_is_drawn_below_what_was_found_and_what_was_missed_has_a_lane(make, grey):
    truth = [Annotation("clip", 1, 4, "Bark"), Annotation("clip", 9, 12, "Bell")]
    figure = plot(make(), grey, truth)
    dark = [
        (round(patch.get_x(), 3), round(patch.get_width(), 3))
        for axes in figure.axes
        for patch in axes.patches
        if isinstance(patch, Rectangle) and matplotlib.colors.to_hex(patch.get_facecolor()) == "#17191c"
    ]
    assert dark == [(9, 1), (1, 3)]  # the missed category first; nothing lies beyond the video's end
    words = [text.get_text() for text in figure.texts]
    assert "labelled" in words
    assert words.index("Bell") < words.index("Bark")
    assert "labelled" not in {text.get_text() for text in plot(make(), grey).texts}
