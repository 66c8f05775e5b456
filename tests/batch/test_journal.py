import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from avel.batch import journal
from avel.batch.journal import JournalEntry, ResultJournal, content_digest, settings_digest, stamp
from avel.documents import parse_json


def test_words_longer_than_a_name_of_a_file_can_be():
    words = ", ".join(["violin, fiddle", "rain"] * 40)
    assert settings_digest({"categories": words}, ["json"]) == settings_digest({"categories": words}, ["json"])
    assert settings_digest({"categories": words}, ["json"]) != settings_digest({"categories": words[1:]}, ["json"])


def test_the_content_of_a_video_that_moved_is_read_once(tmp_path, monkeypatch):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"content")
    result = tmp_path / "a.json"
    result.write_text("{}")
    written = ResultJournal(tmp_path)
    written.add(JournalEntry(str(video), stamp(video), content_digest(video), "settings", "a", "done"))
    moved = video.rename(tmp_path / "b.mp4")
    read = []
    monkeypatch.setattr(journal, "content_digest", lambda path: read.append(path) or content_digest(path))
    for _ in range(3):
        found = ResultJournal(tmp_path).done(str(moved), "settings", "a", [result])
        assert found is not None
        assert (found.video, found.stamp) == (str(moved), stamp(moved))
    assert read == [str(moved)]
    moved.write_bytes(b"changed")
    assert ResultJournal(tmp_path).done(str(moved), "settings", "a", [result]) is None


def test_what_others_add_is_read_and_nothing_is_read_twice(tmp_path, monkeypatch):
    parsed = []
    monkeypatch.setattr(journal, "parse_json", lambda line: parsed.append(line) or parse_json(line))
    entries = [JournalEntry(f"/{name}.mp4", (1, 2, 3), name, "settings", name, "done") for name in "abc"]
    reader, writer = ResultJournal(tmp_path), ResultJournal(tmp_path)
    for count, entry in enumerate(entries, 1):
        writer.add(entry)
        reader.read()
        assert reader.entries() == tuple(entries[:count])
    assert len(parsed) == len(entries)

    whole = (tmp_path / journal.RESULTS_JOURNAL).read_bytes()
    line = whole.splitlines(keepends=True)[0].replace(b'"done"', b'"failed"')
    for half in (line[:20], line[20:]):  # a line that is still being written
        with (tmp_path / journal.RESULTS_JOURNAL).open("ab") as file:
            file.write(half)
        before = reader.latest("/a.mp4", "settings")
        reader.read()
    assert (before.status, reader.latest("/a.mp4", "settings").status) == ("done", "failed")

    (tmp_path / "new").write_bytes(whole.replace(b': "settings"', b': "others"'))
    (tmp_path / "new").replace(tmp_path / journal.RESULTS_JOURNAL)  # another file, and shorter
    reader.read()
    assert reader.latest("/c.mp4", "others") is not None


def test_only_a_video_that_may_have_been_done_is_read(tmp_path, monkeypatch):
    read = []
    monkeypatch.setattr(journal, "content_digest", lambda path: read.append(path.name) or content_digest(path))
    written = ResultJournal(tmp_path)
    videos = {name: tmp_path / f"{name}.mp4" for name in ("new", "larger", "same-size", "done")}
    for name, video in videos.items():
        video.write_bytes(b"content")
        (tmp_path / f"{name}.json").write_text("{}")
        if name != "new":
            written.add(JournalEntry(str(video), stamp(video), content_digest(video), "settings", name, "done"))
    videos["larger"].write_bytes(b"more content")
    videos["same-size"].write_bytes(b"tnetnoc")
    found = {n: written.done(v, "settings", n, [tmp_path / f"{n}.json"]) is not None for n, v in videos.items()}
    assert found == {"new": False, "larger": False, "same-size": False, "done": True}
    assert read == ["same-size.mp4"]


def test_a_result_that_was_overwritten_with_other_settings_is_done_again(tmp_path):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"content")
    files = {"one": "a.json", "other": "a.json", "text": "a.srt"}

    def is_done(settings):
        found = ResultJournal(tmp_path).done(str(video), settings, "a", [tmp_path / files[settings]])
        assert found == ResultJournal(tmp_path).latest(video, settings)
        return found is not None

    def do(settings):
        (tmp_path / files[settings]).write_text("result")
        sha256 = content_digest(video)
        entry = JournalEntry(str(video), stamp(video), sha256, settings, "a", "done", files=(files[settings],))
        ResultJournal(tmp_path).add(entry)

    do("one")
    do("text")
    assert [is_done("one"), is_done("text"), is_done("other")] == [True, True, False]
    do("other")
    assert [is_done("one"), is_done("text"), is_done("other")] == [False, True, True]


def test_a_result_of_another_video_of_that_name_is_no_result_of_this_one(tmp_path):
    videos = [tmp_path / folder / "a.mp4" for folder in ("x", "y")]
    result = tmp_path / "a.json"
    for video in videos:
        video.parent.mkdir()
        video.write_text(video.parent.name)
        result.write_text(f"of {video}")
        entry = JournalEntry(str(video), stamp(video), content_digest(video), "s", "a", "done", files=("a.json",))
        ResultJournal(tmp_path).add(entry)
    found = [ResultJournal(tmp_path).done(str(video), "s", "a", [result]) is not None for video in videos]
    assert found == [False, True]


def test_each_video_keeps_the_name_of_its_result(tmp_path):
    def done(*names):
        for path, name in names:
            ResultJournal(tmp_path).add(JournalEntry(path, (), "", "s", name, "done"))

    first = ResultJournal(tmp_path)
    assert first.names([("/b/clip.mp4", "clip")]) == ["clip"]
    assert first.names([("/b/clip.mp4", "clip"), ("/a/Clip.mp4", "Clip")]) == ["clip", "Clip-2"]
    done(("/b/clip.mp4", "clip"), ("/a/Clip.mp4", "Clip-2"))

    later = [("/a/Clip.mp4", "Clip"), ("/0/clip.mp4", "clip"), ("/b/clip.mp4", "clip"), ("/d/clip-2.mp4", "clip-2")]
    assert ResultJournal(tmp_path).names(later) == ["Clip-2", "clip-3", "clip", "clip-2-2"]
    assert ResultJournal(tmp_path).names([("/c/clip.mp4", "clip")]) == ["clip"]  # the others are not there
    assert ResultJournal(tmp_path).names([("/b/clip.mp4", "b/clip")]) == ["b/clip"]  # its folder is now named, too
    done(("/moved/clip.mp4", "clip"))
    assert ResultJournal(tmp_path).names([("/moved/clip.mp4", "clip"), ("/b/clip.mp4", "clip")]) == ["clip", "clip-2"]


def test_the_name_of_a_video_that_is_gone_is_free(tmp_path):
    results = ResultJournal(tmp_path)
    assert results.names([("/a/x.mp4", "x"), ("/b/x.mp4", "x")]) == ["x", "x-2"]
    results.forget("/a/x.mp4")
    results.forget("/never/seen.mp4")
    assert results.names([("/c/x.mp4", "x"), ("/b/x.mp4", "x"), ("/d/x.mp4", "x")]) == ["x", "x-2", "x-3"]


@given(st.lists(st.tuples(st.sampled_from(["come", "go", "restart"]), st.integers(0, 5)), max_size=30))
def test_names_are_unique_and_kept_whatever_comes_and_goes(steps):
    videos = [
        ("/1/a.mp4", "a"),
        ("/1/a.mkv", "a"),
        ("/2/A.mp4", "A"),
        ("/1/a-2.mp4", "a-2"),
        ("/3/b", "b"),
        ("/4/b", "b"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        results, there = ResultJournal(Path(folder)), {}
        for what, number in steps:
            path, _ = videos[number]
            if what == "come":
                (name,) = results.names([videos[number]])
                assert there.get(path, name) == name
                there[path] = name
                results.add(JournalEntry(path, (), "", "s", name, "done"))
            elif what == "go":
                results.forget(path)
                there.pop(path, None)
            else:
                results = ResultJournal(Path(folder))
                present = [video for video in videos if video[0] in there]
                assert results.names(present) == [there[path] for path, _ in present]
            assert len({name.casefold() for name in there.values()}) == len(there)
