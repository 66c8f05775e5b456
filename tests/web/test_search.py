"""Moments that the page finds in a library: what it is told, and what it may not ask."""

import pytest
from hand_made_results import make_result
from PIL import Image
from tiny_library import clip_of, join_sounds, make_library, opened
from tiny_taggers import SEEN
from typer.testing import CliRunner

from avel.cli.main import app
from avel.outputs import write_all


@pytest.fixture(scope="module")
def animals(tmp_path_factory):
    """A dog and a cat that the page has, a dog that it has not, and a library of all three."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "elsewhere").mkdir()
    (folder / "videos").mkdir()
    clip_of(folder / "videos" / "dog.mp4", "beagle", "Bark")
    clip_of(folder / "videos" / "cat.mp4", "tabby", "Meow")
    clip_of(folder / "elsewhere" / "secret_dog.mp4", None, "Bark")
    make_library([folder / "videos", folder / "elsewhere"], folder / "lib")
    for name, category in (("dog", "Bark"), ("cat", "Meow")):
        found = make_result(folder / "videos" / f"{name}.mp4", 3.0, [(category, 0, 3, "audio-visual", 0.9)])
        write_all(found, folder / "results", ["json"])
    return folder


@pytest.fixture
def page(open_page, animals):
    return open_page(animals / "results", searched=opened(animals / "lib"))


def test_words_find_moments_of_the_pages_videos(page):
    assert page.get("session").json()["search"] is True
    found = page.get("search", params={"text": "bark"}).json()
    first, second = found["hits"]
    assert (first["video_id"], first["name"], first["modality"]) == (page.id_of("dog.mp4"), "dog.mp4", "audio-visual")
    assert (first["start_seconds"], first["end_seconds"]) == (0, pytest.approx(3, abs=0.1))
    assert first["is_close"]
    assert "Bark 0.90" in first["why"]
    assert (second["video_id"], second["name"]) == (None, "secret_dog.mp4")  # named, and cannot be opened
    assert (found["asked"], found["note"], found["warnings"]) == ("bark", None, [])
    assert found["meaning"] == "bark: heard as Bark 1.00; seen as Bark"


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ({"category": "Bark", "modality": "visual"}, ["dog.mp4"]),
        ({"category": "Bark", "top": 1}, ["dog.mp4"]),
        ({"category": "Meow"}, ["cat.mp4"]),
    ],
)
def test_categories_modalities_and_how_many(page, asked, names):
    assert [hit["name"] for hit in page.get("search", params=asked).json()["hits"]] == names


def test_more_like_an_event(page, animals):
    asked = {"video": page.id_of("dog.mp4"), "start": 0.2, "end": 1.9}
    found = page.get("search", params=asked).json()
    assert found["asked"] == "dog.mp4 from 0.2 to 1.9 s"
    close = [hit for hit in found["hits"] if hit["is_close"]]
    assert close[0]["name"] == "secret_dog.mp4"
    assert str(animals) not in str(found)
    assert found["meaning"] is None
    heard = page.get("search", params=asked | {"by": "audio", "modality": "visual"}).json()
    assert not any(hit["is_close"] for hit in heard["hits"])  # no other dog is seen


def test_a_video_is_known_by_another_way_to_it(open_page, animals, tmp_path):
    (tmp_path / "link").symlink_to(animals / "videos")
    page = open_page(tmp_path / "link", output=tmp_path / "out", searched=opened(animals / "lib"))
    (hit,) = page.get("search", params={"category": "Meow"}).json()["hits"]
    assert hit["video_id"] == page.id_of("cat.mp4")


def test_a_long_event_is_looked_for_by_its_first_part(page, monkeypatch):
    monkeypatch.setattr("avel.web.search.MAX_SEGMENTS", 1)
    found = page.get("search", params={"video": page.id_of("dog.mp4"), "start": 1, "end": 3}).json()
    assert found["asked"] == "dog.mp4 from 1 to 2 s"
    assert found["warnings"][0].startswith("The first 1 s of it are looked for")


def test_what_is_not_there_is_no_find(page, animals):
    found = page.get("search", params={"text": "helicopter"}).json()
    assert not any(hit["is_close"] for hit in found["hits"])
    assert found["note"].startswith("Nothing close to helicopter among 9 segments")
    assert str(animals) not in str(found)


def test_what_was_uploaded_is_searched_with(open_page, animals, monkeypatch):
    page = open_page(searched=opened(animals / "lib"))
    monkeypatch.setattr(page.services.jobs, "_run", lambda: None)  # the queue is not worked on
    content = (animals / "videos" / "cat.mp4").read_bytes()
    item = page.client.post(
        "/api/videos", content=content, headers={"X-Filename": "kitten.mp4", "X-Avel-Token": page.token}
    ).json()
    found = page.get("search", params={"video": item["id"], "start": 0, "end": 2}).json()
    assert found["asked"] == "kitten.mp4 from 0 to 2 s"
    assert {hit["video_id"] for hit in found["hits"]} == {None}


def sent(page, name, content, **asked):
    headers = {"X-Filename": name, "X-Avel-Token": page.token}
    return page.client.post("/api/search", content=content, headers=headers, params=asked)


def test_moments_like_a_file_that_is_sent_and_not_kept(page, animals, tmp_path):
    Image.new("RGB", (40, 30), SEEN["tabby"]).save(tmp_path / "a.png")
    seen = sent(page, "kitten.png", (tmp_path / "a.png").read_bytes(), modality="visual").json()
    assert (seen["asked"], seen["hits"][0]["name"]) == ("kitten.png", "cat.mp4")
    join_sounds([animals / "videos" / "dog.mp4"], tmp_path / "bark.m4a")
    heard = sent(page, "bark.m4a", (tmp_path / "bark.m4a").read_bytes(), modality="audio").json()
    assert {hit["name"] for hit in heard["hits"] if hit["is_close"]} == {"dog.mp4", "secret_dog.mp4"}
    dog = sent(page, "w%C3%BCffe.mp4", (animals / "videos" / "dog.mp4").read_bytes()).json()
    assert (dog["asked"], dog["hits"][0]["name"]) == ("wüffe.mp4", "secret_dog.mp4")  # the other one, not itself
    assert list(page.services.uploads.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "status", "message"),
    [
        ("a.exe", b"MZ", 415, "a.exe is no video, sound or picture by its name"),
        ("a.png", b"no picture", 422, "a.png: is not a picture that can be read"),
        ("a.wav", b"no sound", 422, "a.wav"),
        ("a.wav", b"", 400, "The file is empty"),
    ],
)
def test_files_that_cannot_be_looked_for(page, name, content, status, message):
    answer = sent(page, name, content)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert str(page.services.uploads.folder) not in answer.text
    assert list(page.services.uploads.folder.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "status", "message"),
    [
        ({}, 400, "Give one of text, category and video"),
        ({"text": "dog", "category": "Bark"}, 400, "Give one of text, category and video"),
        ({"text": "   "}, 400, "Say what to look for"),
        ({"text": "x" * 201}, 400, "At most 200 characters are looked for; these are 201"),
        ({"category": "Brak"}, 422, "did you mean Bark"),
        ({"text": "bark", "modality": "smell"}, 400, "modality must be audio, visual or both"),
        ({"text": "bark", "top": 0}, 400, "A whole number from 1 to 100"),
        ({"video": "../../etc/passwd", "start": 0, "end": 1}, 404, "no such video"),
        ({"video": "{dog}", "start": 2, "end": 1}, 400, "with START below END"),
        ({"video": "{dog}", "start": "nan", "end": 1}, 400, "with START below END"),
        ({"video": "{dog}", "start": 0, "end": "inf"}, 400, "with START below END"),
        ({"video": "{dog}", "start": 0, "end": 1, "by": "smell"}, 400, "by video or by audio, not by 'smell'"),
        ({"video": "{dog}", "start": 0}, 400, "A part's end is a number, got ''"),
        ({"video": "{dog}", "start": 30, "end": 31}, 422, "dog.mp4: the part from 30 s on is not in it"),
    ],
)
def test_what_cannot_be_searched_is_said(page, animals, asked, status, message):
    filled = {k: v.format(dog=page.id_of("dog.mp4")) if isinstance(v, str) else v for k, v in asked.items()}
    answer = page.get("search", params=filled)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True), answer.text
    assert str(animals) not in answer.text


def test_without_a_library_there_is_no_search(open_page, animals):
    page = open_page(animals / "results")
    assert page.get("session").json()["search"] is False
    answer = page.get("search", params={"text": "bark"})
    assert (answer.status_code, "--library LIBRARY" in answer.json()["error"]) == (404, True)


def test_a_folder_that_is_no_library_is_refused_at_once(animals):
    result = CliRunner().invoke(
        app, ["serve", "--port", "0", str(animals / "results"), "--library", str(animals / "videos")]
    )
    assert "is no library: it has no library.json" in str(result.exception)
