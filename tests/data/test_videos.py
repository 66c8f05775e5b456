import pytest

from avel.batch.journal import JournalEntry, ResultJournal
from avel.data.videos import find_videos
from avel.errors import AnnotationsError
from avel.features.discovery import discover_videos


@pytest.fixture
def folder(tmp_path):
    for name in ("a.mp4", "day/a.mp4", "day/b.mkv", "day/notes.txt", "odd name.MOV", ".hidden/c.mp4"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "videos"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("a.mp4", "a.mp4"),
        ("day/a.mp4", "day/a.mp4"),
        ("./day/a.mp4", "day/a.mp4"),
        ("day/a", "day/a.mp4"),
        ("b", "day/b.mkv"),
        ("b.mkv", "day/b.mkv"),
        ("elsewhere/b.mkv", "day/b.mkv"),
        ("C:\\clips\\b.mkv", "day/b.mkv"),
        ("odd name", "odd name.MOV"),
    ],
)
def test_a_video_is_found_by_what_label_files_call_it(folder, name, file):
    assert find_videos([name], folder) == {name: folder / file}


def test_an_absolute_path_into_the_folder(folder):
    name = str(folder / "day" / "a.mp4")
    assert find_videos([name], folder) == {name: folder / "day" / "a.mp4"}


def test_videos_that_are_not_there(folder):
    with pytest.raises(AnnotationsError) as error:
        find_videos(["x.mp4", "b", "day/bb.mkv", "c.mp4"], folder, where={"x.mp4": "labels.csv, line 2"})
    message = str(error.value)
    assert message.startswith("labels.csv, line 2: there is no video 'x.mp4' (and day/bb.mkv, c.mp4)")
    assert "missing: 3 of 4 videos." in message
    with pytest.raises(AnnotationsError, match="Did you mean 'day/b.mkv'"):
        find_videos(["day/bb.mkv"], folder)
    with pytest.raises(AnnotationsError, match="no such folder. Give the folder that the videos are in"):
        find_videos(["a"], folder / "nowhere")


def test_names_that_fit_several_files_or_name_one_twice(folder):
    with pytest.raises(AnnotationsError, match="'a' may be any of a.mp4, day/a.mp4 in .* with the ending"):
        find_videos(["a"], folder)
    with pytest.raises(AnnotationsError, match="'b.mkv' and 'b' are the same video, .*b.mkv. Use one of the names"):
        find_videos(["b", "b.mkv"], folder)


def test_annotated_videos_and_clips_of_avel_make_no_name_ambiguous(folder):
    journal = ResultJournal(folder / "results")
    (folder / "results" / "day" / "b.clips").mkdir(parents=True)
    for name in ("b.mp4", "b.clips/b.mp4", "mine.mp4"):
        (folder / "results" / "day" / name).touch()
    assert "b" in _ambiguous(folder)
    journal.add(
        JournalEntry(str(folder / "day" / "b.mkv"), (), "", "", "day/b", "done", files=("b.mp4", "b.clips", "b.json"))
    )
    assert find_videos(["b", "mine"], folder) == {
        "b": folder / "day" / "b.mkv",
        "mine": folder / "results" / "day" / "mine.mp4",
    }
    clip = "results/day/b.clips/b.mp4"
    assert find_videos([clip], folder) == {clip: folder / clip}
    names = [name for _, name in discover_videos([folder])[0]]
    assert "results/day/mine" in names
    assert not {"results/day/b", "results/day/b.clips/b"} & set(names)


def _ambiguous(folder):
    with pytest.raises(AnnotationsError, match="may be any of") as raised:
        find_videos(["b"], folder)
    return str(raised.value)


def test_a_name_is_decoded_only_if_there_is_no_such_video(tmp_path):
    for name in ("50%20.mp4", "dog park.mp4", "walk #2.mp4"):
        (tmp_path / name).touch()
    found = find_videos(["50%20.mp4", "dog%20park.mp4", "walk #2.mp4"], tmp_path)
    assert [path.name for path in found.values()] == ["50%20.mp4", "dog park.mp4", "walk #2.mp4"]
