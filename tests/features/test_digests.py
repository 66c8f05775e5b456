"""How often videos are read from end to end to be known, counted and not timed."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from tiny_backbones import RECIPE, load

from avel.features.digests import DIGESTS_FILE, ReadSource, SourceDigests, read_source
from avel.features.lookup import find_rows
from avel.features.run import extract_many
from avel.features.source import SourceFile
from avel.features.store import FeatureStore

NAMES = ("a.mp4", "b.mp4")


@pytest.fixture
def videos(clips, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in NAMES:
        shutil.copy(clips / name, folder / name)
    return folder


@pytest.fixture
def read(monkeypatch):
    """Names of the files that are read from end to end."""
    names = []
    digest = hashlib.file_digest

    def counted(file, kind):
        names.append(Path(file.name).name)
        return digest(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


def train_on(videos, store):
    """What `avel train` does before it trains: how many videos were extracted, and of how many there are features."""
    summary = extract_many(videos, store, RECIPE, loader=load)
    assert summary.failures == ()
    opened = FeatureStore(store)
    digests = opened.digests()
    found = find_rows(sorted(videos.iterdir()), opened.index()[0], digests.of)
    digests.save()
    return summary.done, len(found)


def moved(videos):
    return videos.rename(videos.with_name("moved"))


def renamed(videos):
    for name in NAMES:
        (videos / name).rename(videos / f"other {name}")
    return videos


def copied(videos):
    return Path(shutil.copytree(videos, videos.with_name("copied")))


def touched(videos):
    for name in NAMES:
        os.utime(videos / name)
    return videos


def replaced_by_a_copy(videos):
    for name in NAMES:
        shutil.copy2(videos / name, videos / "new")
        (videos / "new").replace(videos / name)
    return videos


@pytest.mark.parametrize("change", [moved, renamed, copied, touched, replaced_by_a_copy])
def test_a_video_that_moved_is_read_once(videos, tmp_path, read, change):
    store = tmp_path / "store"
    assert train_on(videos, store) == (2, 2)
    assert len(read) == 2
    read.clear()
    now = change(videos)
    for expected in (2, 2, 2):
        assert train_on(now, store) == (0, 2)
        assert len(read) == expected, read  # at the first time, and never again
    assert len(list(FeatureStore(store).verify())) == (4 if change in (renamed, copied) else 2)


def test_a_video_that_changes_again_is_read_again(videos, tmp_path, read):
    store = tmp_path / "store"
    train_on(videos, store)
    train_on(touched(videos), store)
    content = bytearray((videos / "a.mp4").read_bytes())
    times = (videos / "a.mp4").stat()
    content[-1] ^= 1
    (videos / "a.mp4").write_bytes(content)
    os.utime(videos / "a.mp4", ns=(times.st_atime_ns, times.st_mtime_ns))  # as if nothing had happened
    read.clear()
    summary = extract_many(videos, store, RECIPE, loader=load)
    assert (summary.done, summary.skipped) == (1, 1)
    assert read == ["a.mp4"]
    assert FeatureStore(store).open("a").source == SourceFile.of(videos / "a.mp4")


def test_what_is_kept_is_of_the_file_that_is_there(tmp_path, read):
    video, gone = tmp_path / "a.mp4", tmp_path / "b.mp4"
    for path in (video, gone):
        path.write_text(path.name)
    digests = SourceDigests(tmp_path)
    assert digests.known(video) is None
    assert digests.of(video) == digests.of(video) == SourceFile(str(video), 5, hashlib.sha256(b"a.mp4").hexdigest())
    digests.of(gone)
    assert read == ["a.mp4", "b.mp4"]
    gone.unlink()
    digests.save()
    again = SourceDigests(tmp_path)
    assert again.of(video) == digests.of(video)
    assert len((tmp_path / DIGESTS_FILE).read_text().splitlines()) == 2  # columns, and the one that is there
    assert again.known(gone) is digests.known(gone) is None
    assert read == ["a.mp4", "b.mp4"]
    video.rename(tmp_path / "c.mp4")
    video.write_text("b.mp4")  # another file, as long
    assert again.known(video) is None
    assert again.known(tmp_path / "c.mp4") is None


def test_two_processes_may_write_at_once(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    one, other = SourceDigests(tmp_path), SourceDigests(tmp_path)
    one.of(tmp_path / "a")
    other.of(tmp_path / "b")
    one.save()
    other.save()
    known = SourceDigests(tmp_path)
    assert [known.known(tmp_path / name).source.sha256 for name in "ab"] == [
        hashlib.sha256(name.encode()).hexdigest() for name in "ab"
    ]


@pytest.mark.parametrize("damaged", [b"", b"\xff\xfe\x00", b"a,b\n1,2\n", b"source,source_bytes\n", b'"' * 200_000])
def test_a_damaged_table_is_made_again(tmp_path, damaged):
    video = tmp_path / "a.mp4"
    video.write_text("content")
    (tmp_path / DIGESTS_FILE).write_bytes(damaged)
    digests = SourceDigests(tmp_path)
    assert digests.known(video) is None
    source = digests.of(video)
    digests.save()
    known = SourceDigests(tmp_path).known(video)
    assert isinstance(known, ReadSource)
    assert known.source == source


def test_a_row_that_is_no_row_spoils_no_other(tmp_path):
    for name in "ab":
        (tmp_path / name).write_text(name)
    digests = SourceDigests(tmp_path)
    for name in "ab":
        digests.of(tmp_path / name)
    digests.save()
    columns, first, second = (tmp_path / DIGESTS_FILE).read_text().splitlines()
    (tmp_path / DIGESTS_FILE).write_text("\n".join([columns, first, "x,y,z", "x,1,2,later,y", second]) + "\n")
    again = SourceDigests(tmp_path)
    assert [again.known(tmp_path / name) is not None for name in "ab"] == [True, True]


def test_a_video_that_was_read_is_read_by_no_worker(tmp_path, read):
    video = tmp_path / "a.mp4"
    video.write_text("content")
    before = read_source(video)
    assert read_source(video, before) is before
    os.utime(video)
    assert read_source(video, before).source == before.source
    assert read == ["a.mp4"] * 2


def test_features_of_other_videos_of_one_size_are_not_opened(clips, tmp_path, monkeypatch):
    videos, store = tmp_path / "videos", tmp_path / "store"
    videos.mkdir()
    content = (clips / "a.mp4").read_bytes()
    for number in range(4):
        (videos / f"{number}.mp4").write_bytes(content + bytes([number]))  # no player minds
    extract_many(videos, store, RECIPE, loader=load)
    shutil.copy(videos / "2.mp4", videos / "copy.mp4")
    (videos / "new.mp4").write_bytes(content + bytes([4]))
    opened = set()
    before = FeatureStore.open
    monkeypatch.setattr(FeatureStore, "open", lambda store, key: opened.add(key) or before(store, key))
    summary = extract_many(videos, store, RECIPE, loader=load)
    assert (summary.done, summary.skipped, summary.failures) == (1, 5, ())
    assert opened == {"2", "copy", "new"}
