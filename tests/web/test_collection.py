import json
import shutil

import pytest
from hand_made_results import make_result

from avel.batch.journal import ResultJournal
from avel.outputs import FORMATS, render, write_all
from avel.web.collection import item_id, open_collection


@pytest.fixture
def videos(small_clips, tmp_path):
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    shutil.copy(small_clips / "dog.mp4", folder / "dog.mp4")
    shutil.copy(small_clips / "dog.mp4", folder / "sub" / "dog.mp4")
    (folder / "notes.txt").write_text("no video")
    return folder


def shown(collection):
    return [(item.name, item.shown, item.folder) for item in collection.items]


def test_a_folder_of_videos(videos):
    found = open_collection([str(videos)])
    assert shown(found) == [("dog", "dog.mp4", ""), ("sub/dog", "dog.mp4", "sub")]
    assert (found.source, found.results, found.videos_folder) == ("folder", videos / "avel-results", videos)
    assert found.items[1].result == videos / "avel-results" / "sub" / "dog.json"
    assert found.named == frozenset()
    write_all(make_result(videos / "dog.mp4", 3.0), videos / "avel-results", ["json", "mp4"])
    assert shown(open_collection([str(videos)])) == shown(found)  # it is still one, and its results' videos are none


def test_ids_tell_nothing_and_stay(videos, monkeypatch):
    (first, second) = open_collection([str(videos)]).items
    assert first.id != second.id
    assert len(first.id) == 16
    monkeypatch.chdir(videos)
    assert open_collection(["."]).items[0].id == first.id == item_id(videos / "dog.mp4")


def test_videos_by_name_and_lists(videos, tmp_path):
    names = tmp_path / "list.txt"
    names.write_text("videos/dog.mp4\n")
    found = open_collection([str(names), str(videos / "sub" / "dog.mp4")], str(tmp_path / "out"))
    assert shown(found) == [("dog", "dog.mp4", ""), ("dog-2", "dog.mp4", "")]
    assert (found.source, found.results, found.title) == ("videos", tmp_path / "out", "2 videos")
    assert found.named == {found.items[1].id}
    missing = open_collection([str(tmp_path / "none.mp4")])
    assert missing.items == ()
    assert "no such file" in missing.failures[str(tmp_path / "none.mp4")]


def test_a_folder_of_results(videos, tmp_path):
    out = tmp_path / "out"
    result = make_result(videos / "sub" / "dog.mp4", 3.0)
    text_formats = [name for name, one in FORMATS.items() if one.text is not None]
    write_all(result, out, [*text_formats, "png"], "sub/dog")
    (out / "sub" / "dog.partial.json").write_text(render(result, "json"))
    (out / "other.json").write_text('{"video": 3}')
    found = open_collection([str(out)])
    assert shown(found) == [("sub/dog", "dog.mp4", "sub")]
    assert (found.source, found.results, found.items[0].path) == ("results", out, videos / "sub" / "dog.mp4")
    one = open_collection([str(out / "sub" / "dog.json")])
    assert [item.result for item in one.items] == [out / "sub" / "dog.json"]


def test_results_beside_their_videos(videos, small_clips):
    """As of `avel localize videos -o videos`."""
    write_all(make_result(videos / "dog.mp4", 3.0), videos, ["json"])
    (videos / ".avel.jsonl").write_text("")
    for written in ("dog.chapters.mp4", "dog.clips/001_Bark.mp4"):
        (videos / written).parent.mkdir(exist_ok=True)
        shutil.copy(small_clips / "dog.mp4", videos / written)
    found = open_collection([str(videos)])
    assert shown(found) == [("dog", "dog.mp4", ""), ("sub/dog", "dog.mp4", "sub")]
    assert found.items[1].result == videos / "sub" / "dog.json"


@pytest.mark.parametrize("named", ["videos/dog.mp4", "elsewhere/dog.mp4", "/not/there/dog.mp4"])
def test_a_video_that_moved_with_its_results_is_found(videos, named, tmp_path):
    write_all(make_result(named, 3.0), tmp_path / "videos" / "out", ["json"])
    (item,) = open_collection([str(videos / "out")]).items
    assert item.path is not None
    assert item.path.samefile(videos / "dog.mp4")


def test_a_journal_says_where_a_video_was(videos, tmp_path):
    out = tmp_path / "out"
    write_all(make_result("clip.mp4", 3.0), out, ["json"])  # a path from somewhere else
    line = {
        "video": str(videos / "dog.mp4"),
        "stamp": [],
        "sha256": "",
        "settings": "",
        "name": "clip",
        "status": "done",
    }
    (out / ".avel.jsonl").write_text(json.dumps(line | {"reason": "", "events": []}) + "\n")
    assert len(ResultJournal(out).entries()) == 1
    found = open_collection([str(out)])
    (item,) = found.items
    assert (item.path, item.shown, found.failures) == (videos / "dog.mp4", "dog.mp4", {})
    (out / "clip.json").write_bytes(b"\0" + (out / "clip.json").read_bytes()[1:])  # damaged from its first byte on
    assert "clip.json: is no result of avel, or damaged" in open_collection([str(out)]).failures["clip.json"]


def test_a_damaged_result_is_named_whether_a_journal_knows_it_or_not(videos, tmp_path):
    out = tmp_path / "out"
    result = make_result(videos / "dog.mp4", 3.0)
    for name in ("whole", "sub/cut", "empty", "zeros", "begin", "corrected"):
        write_all(result, out, ["json"], name)
    whole = (out / "whole.json").read_bytes()
    assert b'{"video"' in whole.replace(b"\n", b"").replace(b" ", b"")[:10]
    (out / "sub" / "cut.json").write_bytes(whole[:12])
    (out / "empty.json").write_bytes(b"")
    (out / "zeros.json").write_bytes(bytes(len(whole)))
    (out / "begin.json").write_bytes(b"\xff" + whole[1:])
    (out / "gone.json").symlink_to(out / "nothing")
    (out / "of-others.json").write_text('{"name": "a package"}')
    (out / "coordinates.json").write_text("\ufeff[1, 2]")
    found = open_collection([str(out)])
    assert [item.name for item in found.items] == ["corrected", "whole"]
    again = "is no result of avel, or damaged. Localize its video again with --force."
    assert found.failures == {
        **{name: f"{out / name}: {again}" for name in ("begin.json", "empty.json", "zeros.json", "sub/cut.json")},
        "gone.json": f"{out / 'gone.json'}: cannot be read (No such file or directory).",
    }
    one = open_collection([str(out / "sub" / "cut.json")])
    assert (one.source, one.items, one.failures) == (
        "results",
        (),
        {"cut.json": f"{out / 'sub' / 'cut.json'}: {again}"},
    )
    for name in ("whole", "corrected"):
        (out / f"{name}.json").unlink()
    assert open_collection([str(out)]).failures == found.failures  # though not one is left


def test_a_journal_of_anybody_is_read_with_care(videos, open_page):
    out = videos / "avel-results"
    write_all(make_result(videos / "dog.mp4", 3.0), out, ["json"])
    good = {
        "video": str(videos / "dog.mp4"),
        "stamp": [],
        "sha256": "",
        "settings": "",
        "name": "dog",
        "status": "done",
    }
    good |= {"reason": "", "events": [["Bark", 1.0, 2.0, 0.5, "audio"]]}
    bad = [
        good | {"video": 3},
        good | {"name": ["dog"]},
        good | {"events": [["Bark", 2.0, 1.0, 0.5, "audio"]]},
        good | {"events": [["Bark", 1.0, 2.0, 0.5, "smell"]]},
        good | {"events": 3},
        good | {"more": 1},
        [],
    ]
    for line in bad:
        (out / ".avel.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(line)}\n")
        listed = open_page(videos).get("videos").json()
        assert (listed["total"], listed["counts"]["done"]) == (2, 1)


def test_results_go_alone(videos, tmp_path):
    write_all(make_result("clip.mp4", 3.0), tmp_path / "out", ["json"])
    with pytest.raises(ValueError, match=r"out holds results. Give it alone and without --output"):
        open_collection([str(videos), str(tmp_path / "out")])
    with pytest.raises(ValueError, match="holds results"):
        open_collection([str(tmp_path / "out")], str(tmp_path / "more"))


def test_nothing_is_a_page_to_upload_to():
    found = open_collection([])
    assert (found.source, found.items) == ("uploads", ())
