"""Features of many videos, read in any order."""

import os

import numpy as np
import pytest

from avel.errors import FeaturesError
from avel.features.extract import FeatureBatch
from avel.features.reading import StoreReader
from avel.features.recipe import Recipe
from avel.features.source import SourceFile
from avel.features.store import BackboneEntry, FeatureStore

BACKBONES = {"seen": BackboneEntry("visual", (4, 3), {}), "heard": BackboneEntry("audio", (5,), {})}


class Stream(list):
    """Batches of features that were made elsewhere."""

    duration_seconds = 2.5
    warnings = ()


@pytest.fixture(params=["float16", "float32"])
def store(request, tmp_path):
    recipe = Recipe(visual=("seen",), audio=("heard",), stored_as=request.param)
    return FeatureStore.create(tmp_path / "store", recipe, BACKBONES)


def write(store, key, segments, seed, **record):
    random = np.random.default_rng(seed)
    seen, heard = random.random((segments, 4, 3), np.float32), random.random((segments, 5), np.float32)
    valid = np.ones(segments, np.bool_)
    stream = Stream([FeatureBatch({"seen": seen}, {"heard": heard}, valid, valid)])
    store.write(key, SourceFile(f"/videos/{key}.mp4", 123, "0" * 64), stream, backbones={}, **record)


def test_any_segments_of_any_video(store):
    for number, key in enumerate(("a", "b/c")):
        write(store, key, 4 + number, number)
    reader = StoreReader(store, ["b/c", "a"])
    assert reader.segments.tolist() == [5, 4]
    for video, key in ((1, "a"), (0, "b/c"), (1, "a")):
        stored = store.open(key)
        for start, stop in ((0, 3), (2, 9), (1, 1), (7, 9)):
            seen = reader.read(video, "visual/seen", start, stop)
            assert seen.dtype == store.recipe.stored_as
            assert np.array_equal(seen, stored.visual["seen"][start:stop])
            assert np.array_equal(reader.read(video, "audio/heard", start, stop), stored.audio["heard"][start:stop])


def test_a_video_that_is_extracted_again(store):
    write(store, "a", 4, 0)
    reader = StoreReader(store, ["a"])
    write(store, "a", 4, 1, media={"a": "longer record"})
    os.utime(store.path("a"), ns=(1, 1))  # clocks of file systems are coarse
    assert np.array_equal(reader.read(0, "audio/heard", 0, 4), store.open("a").audio["heard"])
    write(store, "a", 5, 1)
    os.utime(store.path("a"), ns=(2, 2))
    with pytest.raises(FeaturesError, match="has another number of segments than before. Start the command again"):
        reader.read(0, "audio/heard", 0, 4)


def test_a_file_that_is_gone_or_cut_off(store):
    write(store, "a", 4, 0)
    reader = StoreReader(store, ["a"])
    path = store.path("a")
    when = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes()[:-400])
    os.utime(path, ns=(when, when))
    with pytest.raises(FeaturesError, match="is damaged: it ends too early. Remove it"):
        reader.read(0, "visual/seen", 0, 4)
    path.unlink()
    with pytest.raises(FeaturesError, match="a.safetensors: cannot be read .No such file"):
        reader.read(0, "visual/seen", 0, 4)
