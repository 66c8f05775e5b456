import shutil

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_backbones import RECIPE, load

from avel.data.ave.exchange import export_ave, import_ave, read_source
from avel.data.ave.hdf5 import AveArrays, write_rows, write_visual
from avel.errors import FeaturesError
from avel.features.recipe import Recipe
from avel.features.run import extract_many
from avel.features.store import BackboneEntry, FeatureStore


@pytest.fixture(scope="module")
def store(clips, tmp_path_factory):
    """Clips of 2 to 4 segments."""
    folder = tmp_path_factory.mktemp("store")
    extract_many(clips, folder, RECIPE, loader=load)
    return FeatureStore(folder)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_export_by_key(store, tmp_path, dtype):
    exported = export_ave(store, tmp_path / "ave", segments=3, dtype=dtype)
    assert exported.rows == 6
    assert {path.name for path in exported.files} == {path.name for path in (tmp_path / "ave").iterdir()}
    lengths = {key: len(store.open(key)) for key in store.keys()}  # noqa: SIM118 - not a mapping
    assert exported.cut == tuple(key for key, length in lengths.items() if length > 3)
    assert exported.filled == tuple(key for key, length in lengths.items() if length < 3)
    assert exported.cut
    assert exported.filled
    assert (tmp_path / "ave" / "videos.txt").read_text().splitlines() == store.keys()
    with h5py.File(tmp_path / "ave" / "visual_feature.h5") as file:
        visual = file["avadataset"][:]
    assert (visual.dtype, visual.shape) == (dtype, (6, 3, 2, 2, 3))
    with h5py.File(tmp_path / "ave" / "audio_feature.h5") as file:
        audio = file["avadataset"][:]
    with h5py.File(tmp_path / "ave" / "visual_valid.h5") as file:
        valid = file["avadataset"][:]
    with h5py.File(tmp_path / "ave" / "visual_feature_vec.h5") as file:
        assert file["avadataset"][:] == pytest.approx(visual.reshape(6, 3, 4, 3).mean(axis=2), abs=1e-3)
    for row, (key, length) in enumerate(lengths.items()):
        stored, filled = store.open(key), min(length, 3)
        assert np.array_equal(visual[row, :filled].reshape(-1, 4, 3), stored.visual["mean-colours"][:3])
        assert np.array_equal(audio[row, :filled], stored.audio["band-energies"][:3])
        assert np.array_equal(valid[row], np.r_[stored.visual_valid[:3], np.zeros(3 - filled)])
        assert not visual[row, filled:].any()


def test_export_in_the_order_of_a_list(store, tmp_path):
    """A video may stand in several rows, and be named without its folder."""
    export_ave(store, tmp_path, ["e", "b", "a", "b"], segments=2)
    with AveArrays.open(tmp_path) as arrays:
        assert arrays.visual.shape == (4, 2, 4, 3)
        assert np.array_equal(arrays.audio[1], arrays.audio[3])
        assert np.array_equal(arrays.audio[0], store.open("more/e").audio["band-energies"][:2])
        assert np.array_equal(arrays.audio[2], store.open("a").audio["band-energies"][:2])


def test_missing_videos(store, tmp_path):
    with pytest.raises(FeaturesError, match="lacks 2 of 3 videos: x, y. Extract them, or ask for zeros in their rows"):
        export_ave(store, tmp_path, ["x", "a", "y", "x"])
    assert not list(tmp_path.iterdir())
    assert export_ave(store, tmp_path, ["x", "a"], segments=2, allow_missing=True).missing == ("x",)
    with AveArrays.open(tmp_path) as arrays:
        assert not arrays.visual[0].any()
        assert arrays.visual[1].any()


def test_what_cannot_be_exported(store, clips, tmp_path):
    with pytest.raises(ValueError, match="dtype must be one of float16, float32, float64; got 'int8'"):
        export_ave(store, tmp_path, dtype="int8")
    with pytest.raises(ValueError, match="segments must be 1 or more, got 0"):
        export_ave(store, tmp_path, segments=0)
    with pytest.raises(ValueError, match="has no visual backbone 'vgg19'. It has: mean-colours"):
        export_ave(store, tmp_path, visual="vgg19")
    with pytest.raises(FeaturesError, match="holds no video to export"):
        export_ave(store, tmp_path, [])
    (tmp_path / "file").touch()
    with pytest.raises(FeaturesError, match="file: cannot be made .File exists.. Give another folder"):
        export_ave(store, tmp_path / "file")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "videos.txt").mkdir()
    with pytest.raises(FeaturesError, match="Cannot write .*videos.txt: it is a folder"):
        export_ave(store, tmp_path / "out")


def test_two_videos_of_one_name(clips, tmp_path):
    extract_many([clips], tmp_path / "s", RECIPE, loader=load)
    file = FeatureStore(tmp_path / "s").path("other/e")
    file.parent.mkdir()
    file.write_bytes(FeatureStore(tmp_path / "s").path("more/e").read_bytes())
    with pytest.raises(FeaturesError, match="several videos called 'e': more/e, other/e"):
        export_ave(FeatureStore(tmp_path / "s"), tmp_path / "out", ["e"])


def test_one_of_several_backbones_has_to_be_chosen(tmp_path):
    entries = {name: BackboneEntry("audio", (5,), {}) for name in ("one", "two")}
    store = FeatureStore.create(tmp_path, Recipe(visual=(), audio=("one", "two")), entries)
    with pytest.raises(ValueError, match="has one, two. Choose one audio backbone to export"):
        export_ave(store, tmp_path)


@given(
    rows=st.integers(1, 5),
    segments=st.integers(1, 4),
    dtype=st.sampled_from(["float16", "float32", "float64"]),
    seed=st.integers(0, 100),
)
@settings(max_examples=15)
def test_what_is_imported_is_exported(tmp_path_factory, rows, segments, dtype, seed):
    folder = tmp_path_factory.mktemp("exchange")
    random = np.random.default_rng(seed)
    visual = random.normal(size=(rows, segments, 9, 4)).astype(np.float16)
    audio = random.normal(size=(rows, segments, 5)).astype(np.float16)
    (folder / "in").mkdir()
    write_visual(folder / "in" / "visual_feature.h5", iter(visual), rows, dtype=dtype)
    write_rows(folder / "in" / "audio_feature.h5", iter(audio), rows, dtype=dtype)
    store = import_ave(folder / "in", folder / "s")
    assert store.keys() == [f"{row:06d}" for row in range(rows)]
    assert not any(problems for _, problems in store.verify())
    assert store.backbones["vgg19-original"].network["origin"] == "imported"
    export_ave(store, folder / "out", segments=segments + 1, dtype=dtype)
    with AveArrays.open(folder / "out") as arrays:
        assert np.array_equal(arrays.visual.load()[:, :segments], visual)
        assert np.array_equal(arrays.audio.load()[:, :segments], audio)
    # Padding stays marked through another import.
    again = import_ave(folder / "out", folder / "s2")
    assert again.open("000000").visual_valid.tolist() == [True] * segments + [False]
    assert import_ave(folder / "in", folder / "s").keys() == store.keys()  # resumes


def test_import_with_names(tmp_path):
    features = np.arange(30, dtype=np.float32).reshape(3, 2, 5)
    features[2] = features[0]
    write_rows(tmp_path / "audio_feature.h5", iter(features), 3)
    store = import_ave(tmp_path, tmp_path / "s", ["a", "b", "a"], audio="mine", stored_as="float32")
    assert store.keys() == ["a", "b"]
    assert np.array_equal(store.open("b").audio["mine"], features[1])
    assert not store.open("a").visual_valid.any()
    assert store.recipe.visual == ()
    with pytest.raises(FeaturesError, match="rows of the video 'a' differ. Give each row a name of its own"):
        import_ave(tmp_path, tmp_path / "s2", ["a", "a", "b"])
    with pytest.raises(ValueError, match="has 3 rows; got the names of 2 videos"):
        import_ave(tmp_path, tmp_path / "s3", ["a", "b"])
    (tmp_path / "videos.txt").write_bytes(b"\xff")
    with pytest.raises(FeaturesError, match="videos.txt: cannot be read"):
        import_ave(tmp_path, tmp_path / "s4")


def test_validity_of_another_shape(tmp_path):
    write_rows(tmp_path / "audio_feature.h5", iter(np.ones((3, 2, 5), np.float32)), 3)
    write_rows(tmp_path / "audio_valid.h5", iter(np.ones((3, 4), np.float32)), 3)
    with pytest.raises(FeaturesError, match=r"audio_valid.h5 has shape \(3, 4\); the features have \(3, 2\)"):
        import_ave(tmp_path, tmp_path / "s")


def test_imported_rows_are_compared_with_where_they_came_from(store, tmp_path):
    folder = tmp_path / "ave"
    export_ave(store, folder, ["a", "b"], segments=2)
    imported = import_ave(folder, tmp_path / "store")
    assert list(imported.verify(read_source=read_source)) == [("a", []), ("b", [])]
    with AveArrays.open(folder) as arrays:
        audio = [arrays.audio[0] + 1, arrays.audio[1]]
    write_rows(folder / "audio_feature.h5", iter(audio), 2)
    assert list(imported.verify(read_source=read_source)) == [
        ("a", [f"its source {folder}#0 is no longer the same"]),
        ("b", []),
    ]
    (folder / "audio_feature.h5").unlink()
    (folder / "visual_feature.h5").unlink()
    assert f"its source {folder}#1 cannot be read" in dict(imported.verify(read_source=read_source))["b"][0]
    with pytest.raises(FeaturesError, match="has 2 rows, and no row 2"):
        read_source(f"{_ave(tmp_path / 'more', 2)}#2")


def _ave(folder, rows):
    folder.mkdir()
    write_rows(folder / "audio_feature.h5", iter(np.ones((rows, 2, 3), np.float32)), rows)
    return folder


def test_videos_are_exported_by_the_path_of_a_file_that_was_moved(clips, tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clips / name, videos / name)
    extract_many(videos, tmp_path / "s", RECIPE, loader=load)
    store = FeatureStore(tmp_path / "s")
    moved = (videos / "b.mp4").rename(videos / "other.mp4")
    exported = export_ave(store, tmp_path / "out", [str(moved), "a"], segments=2)
    assert not exported.missing
    with AveArrays.open(tmp_path / "out") as arrays:
        np.testing.assert_allclose(arrays.audio[0], store.open("b").audio["band-energies"][:2], rtol=1e-3)
