"""From clips with a known place to a trained model that points at it: the whole way, with features of real pictures."""

import numpy as np
import pytest
from tiny_backbones import BandEnergies

import avel
from avel.backbones.base import VisualBackbone
from avel.features.jobs import Backbones
from avel.features.recipe import Recipe
from avel.features.run import extract_many
from avel.media.types import PictureFormat
from avel.metrics.pointing import pointing
from avel.testing.shapes import SHAPES, make_shapes_clip, shape_box
from avel.training import loop
from avel.training.own.labels import read_labels
from avel.training.own.opening import open_labelled
from avel.training.settings import settings_for

SIZE = 0.34


class Colours(VisualBackbone):
    """Mean colour of each of 7 x 7 parts of the picture."""

    name = "colours"
    dims = 3
    labels = None
    regions = 49
    grid = (7, 7)

    def __init__(self):
        self.pictures = PictureFormat(1, width=56, height=56)
        self.record = {"name": self.name, "engine": "numpy"}

    def __call__(self, pictures):
        parts = pictures.reshape(len(pictures), -1, 7, 8, 7, 8, 3).mean(axis=(1, 3, 5)) / 128 - 0.5
        return parts.reshape(len(pictures), 49, 3).astype(np.float32)


class Bands(BandEnergies):
    """Louder, so that there is something to learn from within seconds."""

    name = "bands"

    def __call__(self, waveforms):
        return 10 * super().__call__(waveforms)


def load(recipe, device, threads):
    return Backbones([Colours()], [Bands()])


def make_clips(folder, count, seed):
    """Clips of 10 s with one shape that sounds for a while and another that never does, all the time in view."""
    random = np.random.default_rng(seed)
    names, rows, boxes = list(SHAPES), [], {}
    for i in range(count):
        category, other = names[i % 3], names[(i + 1 + i // 3 % 2) % 3]
        start = int(random.integers(0, 5))
        end = start + int(random.integers(3, 6))
        left, right = random.uniform(0.22, 0.28), random.uniform(0.72, 0.78)
        heights = random.uniform(0.22, 0.78, 2)
        place, far = ((left, heights[0]), (right, heights[1]))[:: random.choice([-1, 1])]
        name = f"clip{seed}{i:02d}"
        make_shapes_clip(
            folder / f"{name}.mkv",
            10.0,
            [(category, start, end)],
            seen_only=[(other, 0.0, 10.0)],
            seed=seed * 100 + i,
            width=112,
            height=112,
            frame_rate=2,
            places=[place, far],
            size=SIZE,
        )
        rows.append(f"{name},{start},{end},{category}")
        boxes[name] = (start, end, shape_box(place, SIZE, 112, 112))
    return rows, boxes


@pytest.mark.slow
def test_a_trained_model_points_at_the_shape_that_sounds(tmp_path):
    videos, new = tmp_path / "videos", tmp_path / "new"
    videos.mkdir()
    new.mkdir()
    rows, _ = make_clips(videos, 36, seed=0)
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["video,start_seconds,end_seconds,category", *rows]) + "\n")
    store = tmp_path / "store"
    recipe = Recipe(visual=("colours",), audio=("bands",), precision="float32")
    assert extract_many(videos, store, recipe, loader=load).done == 36
    settings = settings_for(
        "v-att",  # judges by the picture, in which sound tells it where to look
        flags={
            **{"epochs": 60, "batch_size": 8, "learning_rate": 0.003, "device": "cpu", "threads": 1},
            "options": {"attention_dims": 32},
        },
    )
    data = open_labelled(read_labels(labels, videos), store, settings)
    checkpoint = loop.train(settings, data, tmp_path / "run").checkpoint

    _, boxes = make_clips(new, 12, seed=1)
    localizer = avel.Localizer(checkpoint, loader=load)
    maps, true, right = [], [], []
    for name, (start, end, box) in boxes.items():
        found = localizer(new / f"{name}.mkv")
        maps.append(found.attention)
        true += [box if start <= t < end else None for t in range(10)]
        right += [(s.category != "background") == (start <= t < end) for t, s in enumerate(found.segments)]
    measured = pointing(np.concatenate(maps), true)
    assert np.mean(right) > 0.8  # training differs a little from processor to processor
    assert measured.pointed > 30
    assert measured.hits > measured.random + 0.25
    assert measured.hits > measured.middle
    assert measured.false < 0.2 * (measured.false + measured.dark)
