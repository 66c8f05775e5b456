"""Videos that arrive: time is given here, and not waited for."""

import os
from pathlib import Path

import pytest

from avel.batch.arrivals import Arrivals, watch_folders
from avel.errors import MediaError

LONG_AGO = 1_000_000_000.0


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "in" / "recording.mp4"
    path.parent.mkdir()
    path.write_bytes(b"a")
    return path


def look(arrivals, path, seconds, wall_seconds=0.0):
    return arrivals.look([str(path)], seconds=seconds, wall_seconds=wall_seconds)


def test_a_file_is_taken_when_it_has_not_changed_for_a_while(recording):
    arrivals = Arrivals(10.0)
    assert look(arrivals, recording, 0.0) == ([], False)
    assert look(arrivals, recording, 9.9) == ([], False)
    assert look(arrivals, recording, 10.0) == ([str(recording)], True)
    assert look(arrivals, recording, 11.0) == ([str(recording)], False)  # it is known by now


def test_a_recording_that_is_still_written_is_left_alone(recording):
    arrivals = Arrivals(10.0)
    for second in range(0, 60, 9):
        with recording.open("ab") as file:
            file.write(b"more")
        assert look(arrivals, recording, float(second)) == ([], False)
    assert look(arrivals, recording, 64.0)[0] == [str(recording)]


def test_one_that_grows_again_is_no_longer_settled_and_comes_again(recording):
    arrivals = Arrivals(10.0)
    look(arrivals, recording, 0.0)
    assert look(arrivals, recording, 10.0)[1]
    recording.write_bytes(b"another one")
    assert look(arrivals, recording, 12.0) == ([], False)
    assert look(arrivals, recording, 22.0) == ([str(recording)], True)


def test_what_was_there_long_before_need_not_be_waited_for(recording):
    changed = recording.stat().st_ctime
    assert look(Arrivals(10.0), recording, 0.0, changed + 9) == ([], False)
    assert look(Arrivals(10.0), recording, 0.0, changed + 11) == ([str(recording)], True)


def test_a_copy_that_keeps_an_old_time_is_new_all_the_same(recording):
    os.utime(recording, (LONG_AGO, LONG_AGO))
    assert look(Arrivals(10.0), recording, 0.0, recording.stat().st_ctime + 1) == ([], False)


def test_files_that_are_gone_are_left_out(recording):
    arrivals = Arrivals(10.0)
    look(arrivals, recording, 0.0)
    recording.unlink()
    assert look(arrivals, recording, 20.0) == ([], False)


def test_folders_are_looked_at_until_somebody_wants_no_more(recording, tmp_path):
    """A second video arrives at the third look, a third one in a folder of its own at the fifth."""
    folder, output = recording.parent, tmp_path / "out"
    output.mkdir()
    batches: list[list[str]] = []
    arriving = {3: folder / "b.mkv", 5: folder / "more" / "c.mp4"}
    looks = 0

    def wait(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < 20, "nobody ended it"
        if looks in arriving:
            arriving[looks].parent.mkdir(exist_ok=True)
            arriving[looks].write_bytes(b"v")

    def through(items):
        batches.append([item.name for item in items])
        return len(batches) < 3

    watch_folders([str(folder)], output, through, settled_seconds=0.0, wait=wait)
    assert batches == [["recording"], ["b", "recording"], ["b", "recording", "more/c"]]
    assert Path(output).is_dir()


def test_a_folder_that_is_deleted_ends_it_with_an_error(recording, tmp_path):
    taken: list[str] = []

    def wait(seconds: float) -> None:
        recording.unlink(missing_ok=True)
        recording.parent.rmdir()

    with pytest.raises(MediaError, match="in: the watched folder is no longer there: it was deleted, moved or unmount"):
        watch_folders(
            [str(recording.parent)],
            tmp_path / "out",
            lambda items: taken.extend(item.name for item in items) is None,
            settled_seconds=0.0,
            wait=wait,
        )
    assert taken == ["recording"]
