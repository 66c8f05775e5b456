"""What is to be done of many videos, without a network: what would be found is written down by hand."""

from dataclasses import replace

import pytest

from avel.batch.journal import JournalEntry, content_digest, settings_digest, stamp
from avel.batch.run import VideoBatch
from avel.batch.videos import find_items
from avel.outputs import index_page
from avel.outputs.destination import Destination
from avel.testing.shapes import make_shapes_clip
from avel.testing.tone_and_flash import make_clip

SETTINGS = {"model": "x"}


@pytest.fixture
def batch(tmp_path):
    """Makes the batch of a folder of videos."""

    def made(**options):
        items, _ = find_items([str(tmp_path / "videos")])
        destination = Destination([item.name for item in items], f"{tmp_path}/out/")
        batch = VideoBatch(items, destination, SETTINGS, **options)
        batch.plan()
        return batch

    (tmp_path / "videos").mkdir()
    return made


def write_done(batch):
    """The results of what is to be done."""
    for index in batch.todo:
        video, files = batch.items[index].path, batch.destination.paths(index)
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"of {video}")
        digest = settings_digest(SETTINGS, batch.destination.signature)
        name = batch.destination.names[index]
        entry = JournalEntry(video, stamp(video), content_digest(video), digest, name, "done", files=(files[0].name,))
        batch.journal.add(entry)


def test_a_video_that_comes_before_others_of_its_name_moves_none_of_them(batch, tmp_path):
    for name in ("clip.mkv", "clip.mp4"):
        (tmp_path / "videos" / name).write_text(name)
    write_done(batch())
    (tmp_path / "videos" / "clip.avi").write_text("new")
    again = batch()
    assert [again.items[index].path for index in again.todo] == [str(tmp_path / "videos" / "clip.avi")]
    assert again.destination.names == ["clip-3", "clip", "clip-2"]
    write_done(again)
    assert batch().todo == []
    assert {path.name: path.read_text()[-8:] for path in (tmp_path / "out").glob("*.json")} == {
        "clip.json": "clip.mkv",
        "clip-2.json": "clip.mp4",
        "clip-3.json": "clip.avi",
    }


def test_the_page_of_all_reads_no_video_that_failed_and_none_twice(batch, tmp_path, monkeypatch):
    """What crashed a process must not be read by the one that writes the page."""
    clip = make_shapes_clip(tmp_path / "shapes.mp4", 1.0, [], seed=0, width=48, height=48, frame_rate=4)
    for name in ("crashes.mp4", "fails.mp4", "seen.mp4"):
        (tmp_path / "videos" / name).write_bytes(clip.read_bytes())
    make_clip(tmp_path / "videos" / "only-heard.mkv", 1.0, video_span=None, sample_rate=8000)
    first = batch()
    first.quarantine(0, "crashes.mp4: its process was killed")
    first.journal.add(replace(first.journal.entries()[0], video=first.items[1].path, name="fails", status="failed"))
    first.todo = [2, 3]
    write_done(first)
    read = []
    write = index_page.write_thumbnail
    monkeypatch.setattr(index_page, "write_thumbnail", lambda video, path: read.append(path.stem) or write(video, path))
    for _ in range(2):
        page = batch(retry_failed=False).write_index().read_text()
        assert sorted(read) == ["only-heard", "seen"]
        assert page.count("<img") == page.count(".avel-thumbnails/seen.jpg") == 1
        assert "its process was killed" in page
