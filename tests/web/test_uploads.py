import os
import tempfile
from pathlib import Path

import pytest

from avel.web.uploads import PREFIX, UploadLimits, Uploads


def send(page, content, name="a%20b.mp4", **headers):
    return page.client.post(
        "/api/videos", content=content, headers={"X-Avel-Token": page.token, "X-Filename": name} | headers
    )


@pytest.fixture
def open_empty(open_page, monkeypatch):
    """A page to upload to, whose queue is not worked on."""

    def open_one(**limits):
        page = open_page(limits=UploadLimits(**limits))
        monkeypatch.setattr(page.services.jobs, "_run", lambda: None)
        return page

    return open_one


def kept(page):
    return [path for path in page.services.uploads.folder.rglob("*") if path.is_file()]


def test_a_video_is_taken_in_and_removed_at_the_end(open_empty, small_clips):
    page = open_empty()
    assert page.get("session").json()["source"] == "uploads"
    answer = send(page, (small_clips / "dog.mp4").read_bytes(), "..%2F..%2Fetc%2Fmein%20H%C3%BCnd.MP4")
    assert answer.status_code == 201, answer.text
    video = answer.json()
    assert (video["name"], video["state"], video["uploaded"]) == ("mein Hünd.MP4", "queued", True)
    assert video["duration_seconds"] == pytest.approx(3.0, abs=0.1)
    folder = page.services.uploads.folder
    assert folder.parent.stat().st_mode & 0o077 == 0  # nobody else's
    assert [path.name for path in kept(page)] == ["video.mp4"]
    assert page.get(f"videos/{video['id']}/media").content == (small_clips / "dog.mp4").read_bytes()
    assert page.get(f"videos/{video['id']}/thumbnail").status_code == 200
    assert not list(page.services.media.cache.glob("*"))  # its pictures are removed too
    page.services.close()
    assert not folder.parent.exists()


def test_what_a_killed_server_left_is_removed_by_the_next_one(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living = Uploads(UploadLimits())
    left = [tmp_path / f"{PREFIX}{name}" for name in ("old", "new", "strange")]
    for place in left:
        (place / "uploads").mkdir(parents=True)
        (place / ".lock").touch()
    (left[2] / ".lock").unlink()
    (tmp_path / f"{PREFIX}link").symlink_to(tmp_path / "elsewhere")
    for place in (left[0], left[2], living.folder.parent):
        os.utime(place, (0, 0))
    Uploads(UploadLimits()).close()
    there = {path.name for path in tmp_path.iterdir()}
    assert there == {living.folder.parent.name, *(f"{PREFIX}{name}" for name in ("new", "strange", "link"))}
    living.close()


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("a.exe", b"MZ", 415, "a.exe is no video by its name. Names end in .3gp"),
        ("a.mp4", b"no video", 415, "a.mp4: not a video or audio file that can be read"),
        ("list.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", 415, "list.mp4: not a video"),
        ("a.mp4", b"", 400, "The file is empty"),
        ("", b"x", 400, "The name of the file is missing"),
        ("a%00.mp4", b"x", 400, "holds control characters"),
        ("x" * 300 + ".mp4", b"x", 400, "too long"),
        ("a.mp4", b"x" * 200_001, 413, "larger than the 0 MiB that are taken here. Open it by its name"),
    ],
)
def test_what_is_not_taken_leaves_nothing(open_empty, name, content, status, message):
    page = open_empty(max_bytes=200_000)
    answer = send(page, content, name)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert kept(page) == []
    assert page.get("videos").json()["total"] == 0


def test_a_size_that_was_not_declared_is_bounded_too(open_empty):
    page = open_empty(max_bytes=1000)

    def chunks():
        for _ in range(5):
            yield b"x" * 400

    assert send(page, chunks()).status_code == 413
    assert kept(page) == []


def test_lengths_and_numbers_are_bounded(open_empty, small_clips):
    content = (small_clips / "dog.mp4").read_bytes()
    page = open_empty(max_seconds=2.0)
    answer = send(page, content)
    assert (answer.status_code, "at most 0 are taken" in answer.json()["error"]) == (413, True)
    assert kept(page) == []
    page = open_empty(max_videos=1)
    assert [send(page, content).status_code for _ in range(2)] == [201, 429]


def test_no_uploads_at_all(open_empty, small_clips):
    page = open_empty(max_bytes=0)
    assert page.get("session").json()["upload"]["max_bytes"] == 0
    answer = send(page, (small_clips / "dog.mp4").read_bytes())
    assert (answer.status_code, answer.json()["error"]) == (403, "Nothing can be uploaded here.")


def test_an_upload_needs_the_token(open_empty, small_clips):
    page = open_empty()
    content = Path(small_clips / "dog.mp4").read_bytes()
    assert send(page, content, **{"X-Avel-Token": "wrong"}).status_code == 403
