"""Videos that arrive: time is given here, and not waited for."""

import contextlib
import os
from pathlib import Path

import pytest

from avel.batch.arrivals import Arrivals, ArrivedVideos, NowAndThen, WatchedFolders, watch_folders
from avel.batch.journal import JournalEntry, ResultJournal, settings_digest, stamp
from avel.batch.run import VideoBatch
from avel.batch.videos import find_items
from avel.errors import MediaError
from avel.outputs.destination import Destination

LONG_AGO = 1_000_000_000.0
SETTINGS = {"model": "x"}


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in" / "recording.mp4"
    path.parent.mkdir()
    path.write_bytes(b"a")
    return path


def look(arrivals, path, seconds, wall_seconds=0.0):
    stamps = {str(path): stamp(path)} if path.exists() else {}
    return tuple(arrivals.look(stamps, seconds=seconds, wall_seconds=wall_seconds))


def test_a_file_is_taken_when_it_has_not_changed_for_a_while(recording):
    arrivals = Arrivals(10.0)
    assert look(arrivals, recording, 0.0) == ([], [])
    assert look(arrivals, recording, 9.9) == ([], [])
    assert look(arrivals, recording, 10.0) == ([str(recording)], [])
    assert look(arrivals, recording, 11.0) == ([], [])  # it is known by now


def test_a_recording_that_is_still_written_is_left_alone(recording):
    arrivals = Arrivals(10.0)
    for second in range(0, 60, 9):
        with recording.open("ab") as file:
            file.write(b"more")
        assert look(arrivals, recording, float(second)) == ([], [])
    assert look(arrivals, recording, 64.0) == ([str(recording)], [])


def test_one_that_grows_again_is_no_longer_settled_and_comes_again(recording):
    arrivals = Arrivals(10.0)
    look(arrivals, recording, 0.0)
    assert look(arrivals, recording, 10.0) == ([str(recording)], [])
    recording.write_bytes(b"another one")
    assert look(arrivals, recording, 12.0) == ([], [])
    assert look(arrivals, recording, 22.0) == ([str(recording)], [])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_in_a_watched_folder_is_no_video(recording, tmp_path):
    os.mkfifo(recording.with_name("pipe.mp4"))
    assert list(WatchedFolders([str(recording.parent)], tmp_path / "out").look()) == [str(recording)]


def test_what_was_there_long_before_need_not_be_waited_for(recording):
    changed = recording.stat().st_ctime
    assert look(Arrivals(10.0), recording, 0.0, changed + 9) == ([], [])
    assert look(Arrivals(10.0), recording, 0.0, changed + 11) == ([str(recording)], [])


def test_a_copy_that_keeps_an_old_time_is_new_all_the_same(recording):
    os.utime(recording, (LONG_AGO, LONG_AGO))
    assert look(Arrivals(10.0), recording, 0.0, recording.stat().st_ctime + 1) == ([], [])


def test_what_is_gone_is_told_if_it_had_arrived(recording):
    content = recording.read_bytes()
    arrivals = Arrivals(10.0)
    look(arrivals, recording, 0.0)
    recording.unlink()
    assert look(arrivals, recording, 20.0) == ([], [])
    recording.write_bytes(content)
    assert look(arrivals, recording, 21.0) == ([], [])  # the time begins anew
    assert look(arrivals, recording, 31.0) == ([str(recording)], [])
    recording.unlink()
    assert look(arrivals, recording, 32.0) == ([], [str(recording)])
    assert look(arrivals, recording, 33.0) == ([], [])


def test_watched_are_the_videos_that_a_run_would_take(tmp_path, monkeypatch):
    for name in ("b.mp4", "a/z.MKV", "a/b/c.webm", "a.mp4", ".x.mp4", "notes.txt", "out/r.mp4", "a-b.mp4/in.mov"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"v")
    (tmp_path / "link.mp4").symlink_to(tmp_path / "a" / "z.MKV")
    (tmp_path / "folder.mp4").symlink_to(tmp_path / "a", target_is_directory=True)
    (tmp_path / "nowhere.mp4").symlink_to(tmp_path / "nothing")
    monkeypatch.chdir(tmp_path)
    for folders, output in (
        [["."], "out"],
        [["a", "../" + tmp_path.name], "out"],
        [[str(tmp_path)], "a/"],
        [["out"], "out"],
    ):
        watched = WatchedFolders(folders, Path(output))
        found = watched.items(watched.look())
        expected = [item for item in find_items(folders, output=Path(output))[0] if Path(item.path).exists()]
        assert sorted(found, key=repr) == sorted(expected, key=repr)
        if len(folders) == 1:
            assert found == expected  # also in this order


def test_folders_are_looked_at_until_somebody_wants_no_more(recording, tmp_path):
    """A second video arrives at the third look, a third one in a folder of its own at the fifth."""
    folder, output = recording.parent, tmp_path / "out"
    output.mkdir()
    batches: list[tuple[list[str], list[str]]] = []
    arriving = {3: folder / "b.mkv", 5: folder / "more" / "c.mp4"}
    looks = 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < 20, "nobody ended it"
        if looks in arriving:
            arriving[looks].parent.mkdir(exist_ok=True)
            arriving[looks].write_bytes(b"v")
        if looks == 6:
            recording.unlink()

    def through(items, gone):
        batches.append(([item.name for item in items], gone))
        return len(batches) < 4

    watch_folders([str(folder)], output, through, settled_seconds=0.0, wait=wait)
    assert batches == [(["recording"], []), (["b"], []), (["more/c"], []), ([], [str(recording)])]


def test_a_folder_that_is_deleted_ends_it_with_an_error(recording, tmp_path):
    taken: list[str] = []

    def wait(seconds: float) -> None:
        recording.unlink(missing_ok=True)
        recording.parent.rmdir()

    with pytest.raises(MediaError, match="in: the watched folder is no longer there: it was deleted, moved or unmount"):
        watch_folders(
            [str(recording.parent)],
            tmp_path / "out",
            lambda items, gone: taken.extend(item.name for item in items) is None,
            settled_seconds=0.0,
            wait=wait,
        )
    assert taken == ["recording"]


class Clock:
    """Stands still until somebody works or waits."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("takes", "apart"), [(0.5, 60.0), (6.0, 60.0), (9.0, 90.0), (120.0, 1200.0)])
def test_what_takes_long_is_written_seldom(takes, apart):
    clock, written = Clock(), []

    def write():
        written.append(clock.now)
        clock.now += takes

    summary = NowAndThen(write, clock=clock)
    summary.if_due()
    assert written == []  # nothing has changed
    summary.changed()
    summary.if_due()
    assert written == [0.0]
    for now in (takes + 1, takes + apart - 1):
        clock.now = now
        summary.changed()
        summary.if_due()
    assert written == [0.0]
    clock.now = takes + apart
    summary.if_due()
    assert written == [0.0, takes + apart]
    summary.at_once()
    assert len(written) == 2  # nothing has changed since
    summary.changed()
    summary.at_once()
    assert len(written) == 3


def test_a_summary_that_was_broken_off_is_still_to_be_written_and_one_that_failed_is_not():
    written = []

    def write():
        written.append(ends)
        raise ends

    for ends in (KeyboardInterrupt(), SystemExit(143), OSError("the disk is full")):
        summary = NowAndThen(write)
        summary.changed()
        with pytest.raises(type(ends)):
            summary.at_once()
        again = pytest.raises(type(ends)) if not isinstance(ends, OSError) else contextlib.nullcontext()
        with again:
            summary.at_once()
    assert [type(one) for one in written] == [KeyboardInterrupt] * 2 + [SystemExit] * 2 + [OSError]


@pytest.fixture
def videos(tmp_path, monkeypatch):
    """What a watched folder holds, and what is planned of it."""
    return Videos(tmp_path, monkeypatch)


class Videos:
    """A folder of videos and one of results; counts for which videos it is found out whether they are done."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.output, self.planned = folder / "in", folder / "out", []
        self.folder.mkdir()
        self.output.mkdir()
        planned = VideoBatch.plan
        monkeypatch.setattr(VideoBatch, "plan", lambda batch: self.planned.append(len(batch.items)) or planned(batch))

    def add(self, *names):
        for name in names:
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(f"video {name}")

    def start(self):
        """Begins to watch."""
        self.journal = ResultJournal(self.output)
        self.watched, self.arrivals = WatchedFolders([str(self.folder)], self.output), Arrivals(0.0)
        self.arrived = ArrivedVideos(self._batch)

    def look(self, fails=()):
        """Looks at the folder, and does what has arrived, but for what fails; names of what was to be done."""
        found = self.arrivals.look(self.watched.look(), seconds=0.0, wall_seconds=0.0)
        self.arrived.forget(found.gone)
        if not found.arrived:
            return []
        batch = self.arrived.batch(self.watched.items(found.arrived))
        batch.plan()
        writer = ResultJournal(self.output)  # as of another process
        for index in batch.todo:
            item, name = batch.items[index], batch.destination.names[index]
            if Path(item.path).name in fails:
                continue
            (file,) = batch.destination.paths(index)
            file.parent.mkdir(exist_ok=True)
            file.write_text(Path(item.path).read_text())
            digest = settings_digest(SETTINGS, ["json"])
            event = ("Bark", 0.0, 1.0, 0.5, "audio")
            seen, files = stamp(item.path), (file.name,)
            writer.add(JournalEntry(item.path, seen, item.name, digest, name, "done", events=(event,), files=files))
        return [batch.items[index].name for index in batch.todo]

    def _batch(self, some):
        names, paths = [item.name for item in some], [item.path for item in some]
        destination = Destination(names, self.output, videos=paths, is_of_many=True)
        return VideoBatch(some, destination, SETTINGS, retry_failed=False, journal=self.journal)


@pytest.mark.parametrize("before", [1, 40])
def test_one_that_arrives_is_planned_alone_however_many_are_done(videos, before):
    videos.add(*(f"{number:03}.mp4" for number in range(before)))
    videos.start()
    assert len(videos.look()) == before
    for number in range(before, before + 3):
        videos.add(f"{number:03}.mp4")
        assert videos.look() == [f"{number:03}"]
    assert videos.planned == [before, 1, 1, 1]
    videos.start()  # again: all are looked at once
    assert videos.look() == []
    videos.add("new.mp4")
    assert videos.look() == ["new"]
    assert videos.planned == [before, 1, 1, 1, before + 3, 1]
    everything = videos.arrived.all()
    assert len(everything.write_summary().read_text().splitlines()) == 1 + before + 4
    assert everything.summary().failures == {}
    assert videos.planned[6:] == []


def test_videos_of_one_name_that_arrive_one_after_the_other_have_results_of_their_own(videos):
    videos.add("clip.mp4")
    videos.start()
    assert videos.look() == ["clip"]
    videos.add("clip.mkv", "sub/clip.mp4", "Clip.avi")
    assert videos.look() == ["Clip", "clip", "sub/clip"]
    content = {
        "clip.json": "video clip.mp4",
        "clip-3.json": "video clip.mkv",
        "Clip-2.json": "video Clip.avi",
        "clip.json in sub": "video sub/clip.mp4",
    }

    def written():
        files = list(videos.output.rglob("*.json"))
        return {p.name + ("" if p.parent == videos.output else f" in {p.parent.name}"): p.read_text() for p in files}

    assert written() == content
    videos.start()
    assert videos.look() == []
    videos.add("clip.avi")
    assert videos.look() == ["clip"]
    assert written() == content | {"clip-4.json": "video clip.avi"}


def test_a_video_that_changes_is_done_again_and_one_that_is_gone_is_left_out_of_the_summary(videos):
    videos.add("a.mp4", "b.mp4", "c.mp4")
    videos.start()
    videos.look()
    with (videos.folder / "b.mp4").open("a") as file:
        file.write(", longer")
    (videos.folder / "c.mp4").unlink()
    assert videos.look() == ["b"]
    assert (videos.output / "b.json").read_text() == "video b.mp4, longer"
    assert [item.name for item in videos.arrived.all().items] == ["a", "b"]


def test_what_was_not_reached_is_tried_with_the_next_one(videos):
    videos.add("a.mp4", "b.mp4")
    videos.start()
    assert videos.look(fails=["b.mp4"]) == ["a", "b"]
    assert videos.look() == []
    videos.add("c.mp4")
    assert videos.look(fails=["b.mp4"]) == ["b", "c"]
    (videos.folder / "a.mp4").write_text("changed, and as long")
    assert videos.look(fails=["a.mp4", "b.mp4"]) == ["a", "b"]
    (videos.folder / "b.mp4").unlink()
    videos.add("d.mp4")
    assert videos.look() == ["a", "d"]
    assert videos.arrived.all().summary().failures == {}
