import json

import pytest

from avel.library.results import Hit, SearchResult
from avel.outputs.search_page import write_found


@pytest.fixture
def found(clips, tmp_path):
    a = Hit(str(clips / "a.mp4"), 0.5, 1.0, 0.8, "audio-visual", {"audio": 0.8, "visual": 0.6}, "heard: <Dog> 0.93")
    gone = Hit(str(tmp_path / "gone.mp4"), 3, 4, 0.6, "audio", {"audio": 0.6}, "", ("/copies/gone.mp4",))
    far = Hit(str(clips / "b.mp4"), 0, 1, 0.2, "visual", {"visual": 0.2}, "")
    return SearchResult(
        "lib", "bark <1>.wav", "audio", ("audio", "visual"), (a, gone, far), 42, ("bark.wav: a note & more",)
    )


def test_the_page_shows_each_close_moment(found, tmp_path):
    warnings = write_found(found, tmp_path / "found.html")
    text = (tmp_path / "found.html").read_text()
    assert text.count("<li>") == 3  # the note, and two moments
    assert "2 moments close to bark &lt;1&gt;.wav, among 42 segments." in text
    assert "heard: &lt;Dog&gt; 0.93" in text
    assert text.count("data:image/jpeg;base64,") == 1
    assert "a.mp4#t=0.5,1" in text
    assert "0:03.0 to 0:04.0" in text
    assert "also /copies/gone.mp4" in text
    assert "b.mp4" not in text
    assert len(warnings) == 1
    assert "gone.mp4" in warnings[0]


def test_far_moments_are_shown_when_asked_for(found, tmp_path):
    write_found(found, tmp_path / "found.html", far=True)
    assert "not close" in (tmp_path / "found.html").read_text()


def test_json_says_what_is_close(found, tmp_path):
    assert write_found(found, tmp_path / "found.json") == ()
    said = json.loads((tmp_path / "found.json").read_text())
    assert [hit["close"] for hit in said["hits"]] == [True, True, False]
    assert said["close_from"] == 0.5


def test_other_formats(found, tmp_path):
    with pytest.raises(ValueError, match=r"found.csv: what is found is written as .json or .html"):
        write_found(found, tmp_path / "found.csv")
