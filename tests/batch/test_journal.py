from avel.batch import journal
from avel.batch.journal import JournalEntry, ResultJournal, content_digest, settings_digest, stamp


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
