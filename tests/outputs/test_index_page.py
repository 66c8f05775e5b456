import os

import numpy as np
from PIL import Image

from avel.outputs.index_page import THUMBNAIL_SIDE, IndexedVideo, index_page, write_thumbnail
from avel.testing.tone_and_flash import make_clip

VIDEOS = [
    IndexedVideo("a.mp4", ["Bark", "Bark", "Speech"], "sub/a #1.html", ".avel-thumbnails/a.jpg"),
    IndexedVideo("<b>.mp4", ["<i>"], "b.json"),
    IndexedVideo("c.mp4", reason="an empty file."),
    IndexedVideo("d.mp4", page="d.html"),
]


def test_the_page_shows_each_video_with_what_was_found():
    page = index_page(VIDEOS)
    assert "4 videos, 1 of which could not be localized" in page
    assert "<p>Bark ×2, Speech</p>" in page
    assert 'href="sub/a%20%231.html"' in page
    assert "an empty file." in page
    assert page.count("No event was found.") == 1


def test_names_are_text():
    page = index_page(VIDEOS)
    assert "&lt;b&gt;.mp4" in page
    assert "<i>" not in page
    assert "<b>" not in page


def test_names_that_are_no_valid_utf_8_are_addresses_of_their_bytes():
    name = os.fsdecode(b"caf\xe9")
    page = index_page([IndexedVideo(f"{name}.mp4", ["Bark"], f"{name}.html", f".avel-thumbnails/{name}.jpg")])
    assert 'href="caf%E9.html"' in page
    assert 'src=".avel-thumbnails/caf%E9.jpg"' in page


def test_categories_are_filters_with_the_number_of_videos():
    page = index_page([*VIDEOS, IndexedVideo("e.mp4", ["Speech"])])
    assert page.index("Speech <span>2</span>") < page.index("Bark <span>1</span>")


def test_a_thumbnail_keeps_its_shape(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 3.0, events=[(1.0, 2.0)], width=480, height=270)
    assert write_thumbnail(str(clip), tmp_path / "sub" / "clip.jpg")
    with Image.open(tmp_path / "sub" / "clip.jpg") as image:
        assert max(image.size) == THUMBNAIL_SIDE
        assert abs(image.width / image.height - 480 / 270) < 0.03
        assert np.asarray(image)[-20:].mean() > 150  # of the second second, in which the clip is bright


def test_what_has_no_pictures_has_no_thumbnail(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    assert not write_thumbnail(str(tmp_path / "broken.mp4"), tmp_path / "clip.jpg")
    assert not (tmp_path / "clip.jpg").exists()
