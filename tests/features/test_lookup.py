import shutil

import pytest
from tiny_backbones import RECIPE, load

from avel.features.lookup import find_rows
from avel.features.run import extract_many
from avel.features.store import FeatureStore


@pytest.fixture
def store(clips, tmp_path):
    """Features of ``videos/a.mp4`` and ``videos/b.mp4``."""
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(clips / name, videos / name)
    extract_many(videos, tmp_path / "store", RECIPE, loader=load)
    return FeatureStore(tmp_path / "store")


def keys(store, *paths):
    return [row.key for row in find_rows(paths, store.index()[0]).values()]


def test_videos_are_found_wherever_they_are_and_whatever_they_are_called(store, tmp_path):
    videos = tmp_path / "videos"
    assert keys(store, videos / "b.mp4", videos / "a.mp4") == ["b", "a"]
    moved = tmp_path / "moved"
    videos.rename(moved)
    assert keys(store, moved / "a.mp4", moved / "b.mp4") == ["a", "b"]
    renamed = (moved / "a.mp4").rename(moved / "x.mp4")
    assert keys(store, renamed) == ["a"]
    copied = shutil.copy(renamed, moved / "copy.mp4")
    (moved / "link.mp4").symlink_to(renamed)
    assert keys(store, renamed, copied, moved / "link.mp4") == ["a", "a", "a"]


def test_a_video_with_another_content_is_not_found(store, tmp_path):
    video = tmp_path / "videos" / "a.mp4"
    content = bytearray(video.read_bytes())
    content[-1] ^= 1
    video.write_bytes(content)
    assert keys(store, video) == []
    assert keys(store, tmp_path / "videos" / "b.mp4") == ["b"]


def test_a_video_that_is_gone_counts_as_it_was_extracted(store, tmp_path):
    (tmp_path / "videos" / "a.mp4").unlink()
    assert keys(store, tmp_path / "videos" / "a.mp4", tmp_path / "nothing.mp4") == ["a"]


def fail(*_):
    raise AssertionError("no network may be needed")


def test_names_of_one_file_are_served_without_extracting_it_again(store, tmp_path, monkeypatch):
    videos = tmp_path / "videos"
    before = store.open("a")
    for other in ("x.mp4", "deeper/a.mp4"):
        (videos / other).parent.mkdir(exist_ok=True)
        shutil.copy(videos / "a.mp4", videos / other)
    monkeypatch.setattr("avel.features.extract.Extraction.__enter__", fail)
    summary = extract_many(videos, store.folder, RECIPE, loader=load)
    assert (summary.done, summary.skipped, summary.failures) == (0, 4, ())
    assert store.keys() == ["a", "b", "deeper/a", "x"]
    assert list(store.verify()) == [(key, []) for key in ("a", "b", "deeper/a", "x")]
    copy = store.open("x")
    assert copy.source.path == str(videos / "x.mp4")
    assert copy.record["tensors"] == before.record["tensors"]


def test_a_moved_video_has_its_new_place_in_the_store(store, tmp_path, monkeypatch):
    moved = (tmp_path / "videos").rename(tmp_path / "moved")
    monkeypatch.setattr("avel.features.extract.Extraction.__enter__", fail)
    summary = extract_many(moved, store.folder, RECIPE, loader=load)
    assert (summary.done, summary.skipped, summary.failures) == (0, 2, ())
    assert [row.source for row in store.index()[0]] == [str(moved / "a.mp4"), str(moved / "b.mp4")]
    assert list(store.verify()) == [("a", []), ("b", [])]


def test_features_are_copied_for_the_same_video_only(store):
    with pytest.raises(ValueError, match=r"b.mp4 is not the video .*a.mp4"):
        store.copy("a", "x", store.open("b").source)
