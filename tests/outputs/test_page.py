import base64
import io
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from avel.data.annotations import Annotation
from avel.outputs import write
from avel.outputs.evidence import ENVELOPE_POINTS, MAX_FRAMES, Evidence, Frame, Sight
from avel.outputs.page import MAX_TABLE_ROWS, page

VOID_ELEMENTS = {"meta", "img", "hr", "link", "input", "br"}


class Reader(HTMLParser):
    """Elements, with a check that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID_ELEMENTS:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag: str, **attributes: str) -> list[dict[str, str | None]]:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}
        return [a for t, a in self.elements if t == tag and wanted.items() <= a.items()]

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        return [a for _, a in self.elements if name in (a.get("class") or "").split()]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def evidence(frames: int = 8, points: int = 500) -> Evidence:
    """A grey video with a tone."""
    pixels = np.full((72, 128, 3), 128, np.uint8)
    tone = np.full(points, 0.5, np.float32)
    return Evidence(tuple(Frame(float(i), pixels) for i in range(frames)), 16 / 9, -tone, tone)


def test_the_page_shows_the_result(dog, tmp_path):
    text = write(dog, tmp_path / "a.html").read_text(encoding="utf-8")
    found = Reader(text)
    assert "2 audio-visual events: Bark. Heard only: Male speech, man speaking." in found.text
    assert "abababababab" in found.text
    assert [row["data-t"] for row in found.all("tr") if "data-t" in row] == ["0", "5", "6"]
    images = [a["src"] for a in found.all("img")]
    assert len(images) == 9
    for source in images:
        picture = Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/jpeg;base64,"))))
        assert picture.size == (256, 192)
    assert len(text) < 500_000


def test_bands_lie_where_the_events_are(make):
    bands = Reader(page(make(), evidence())).with_class("band")
    assert [band["style"].split("top")[0] for band in bands] == ["left:20%;width:30%;", "left:60%;width:10%;"]
    assert ["both-fill" in band["class"] for band in bands] == [True, False]
    assert bands[1]["title"] == "Goat, heard only, 0:06.0 to 0:07.0, score 0.60"


def test_scores_are_drawn_as_steps_and_broken_where_nothing_could_be_read(make):
    found = Reader(page(make(unheard=(3,)), evidence()))
    heard = found.all("path", class_="heard")[1]["d"]  # the first is the legend's
    assert heard == ("M0,100H100V100H200V10H300M400,10H500V100H600V100H700V100H800V100H900V100H1000")
    assert found.all("path", class_="agree")[1]["d"] == "M200,100V10.0H300V100ZM400,100V10.0H500V100Z"


def test_what_could_not_be_read_is_greyed_and_explained(make):
    result = make(unheard=(3,), unseen=(4,), warnings=("The sound at 3 s is damaged.",))
    found = Reader(page(result, evidence()))
    assert "The sound at 3 s is damaged." in found.text
    assert "could not be read" in found.text
    spans = {a["style"] for a in found.with_class("void") if "style" in a}
    assert spans == {"left:30%;width:10%", "left:40%;width:10%", "left:30%;width:20%"}
    assert "could not be read" not in Reader(page(make(), evidence())).text


def test_a_category_the_model_cannot_see_says_so(make):
    assert "cannot be seen" in Reader(page(make(), evidence())).text


def test_nothing_comes_from_elsewhere(make):
    text = page(make(), evidence())
    assert not re.search(r"https?://|//[a-z]|@import|url\(", text)
    found = Reader(text)
    for _, attributes in found.elements:
        for name in ("src", "href", "poster", "data", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")
    policy = found.all("meta", http_equiv="") or [a for a in found.all("meta") if "http-equiv" in a]
    assert policy[0]["content"].startswith("default-src 'none'; img-src data:")


def test_names_are_text_and_not_markup(make, tmp_path):
    evil = "<script>alert(1)</script>\"'&"
    result = make(f"{evil}.mp4", events=[(evil, 0, 1, "audio-visual", 0.9)], warnings=(evil,))
    result = result.__class__(**{**vars(result), "model": {"name": evil, evil: {"sha256": "ef" * 32, "x": [evil]}}})
    text = page(result, evidence(), folder=tmp_path)
    found = Reader(text)
    assert len(found.all("script")) == len(Reader(page(make(), evidence())).all("script")) == 2
    assert "<script>alert" not in text
    assert f"{evil} .mp4" not in found.text
    assert f"{evil}.mp4" in found.text


def test_the_data_in_the_page_is_json(make):
    text = page(make(unseen=(0,)), evidence())
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text).group(1))
    assert data["duration"] == 10
    assert data["scores"]["heard"][0] == [0, 0, 90, 90, 90, 0, 0, 0, 0, 0]
    assert data["scores"]["seen"][0][0] == -1
    assert data["heat"] is None


def test_a_trained_models_page_shows_its_scores_and_where_it_looks(make_trained):
    result = make_trained()
    sights = tuple(Sight(t, Frame(t + 0.5, np.full((72, 128, 3), 128, np.uint8))) for t in (2, 3, 4))
    text = page(result, replace(evidence(), sights=sights))
    found = Reader(text)
    assert [a["class"] for a in found.all("path") if a.get("class") in ("event", "heard", "seen")] == ["event"] * 3
    assert found.all("path", class_="agree")[1]["d"].startswith("M200,100V10.0H300V100ZM300")
    assert "heard only" not in found.text
    assert [a["data-t"] for a in found.all("figure")] == ["2.0", "3.0", "4.0"]
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text).group(1))
    assert list(data["heat"]["segments"]) == ["2", "3", "4"]
    bytes_ = np.frombuffer(base64.b64decode(data["heat"]["segments"]["2"]), np.uint8)
    assert bytes_.tolist() == [0, 0, 0, round(255 * 0.9)]
    (first, *_) = [a["src"] for a in found.all("img") if a["alt"].startswith("Where")]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(first.removeprefix("data:image/jpeg;base64,")))))
    assert np.ptp(picture[:10, :10].astype(int), axis=2).max() < 12  # grey as it was
    assert np.ptp(picture[-10:, -10:].astype(int), axis=2).min() > 60


def test_the_veil_of_very_many_segments_is_left_out(make_trained, monkeypatch):
    monkeypatch.setattr("avel.outputs.page.MAX_HEAT_SEGMENTS", 2)
    assert '"heat": null' in page(make_trained(), evidence())


def test_the_video_beside_the_page_is_linked(make, tmp_path):
    video = tmp_path / "a b#c?.mp4"
    found = Reader(page(make(video), evidence(), folder=tmp_path))
    assert found.all("video")[0]["src"] == "./a%20b%23c%3F.mp4"
    found = Reader(page(make(video), evidence(), folder=tmp_path / "out"))
    assert found.all("video")[0]["src"] == "./../a%20b%23c%3F.mp4"
    assert not Reader(page(make(tmp_path / "clip.avi"), evidence(), folder=tmp_path)).all("video")
    assert not Reader(page(make(video), evidence())).all("video")


def test_no_event_no_picture_no_sound(make):
    nothing = Evidence((), None, np.empty(0, np.float32), np.empty(0, np.float32))
    text = Reader(page(make(events=[]), nothing)).text
    for words in ("No event was both heard and seen", "no picture in this file", "no sound in this file", "no event"):
        assert words in text


def test_silence_is_a_line_and_missing_sound_is_a_gap(make):
    zeros = np.zeros(10, np.float32)
    gap = zeros.copy()
    gap[4:6] = np.nan
    frames = evidence().frames
    loud = gap.copy()
    loud[0] = 1
    text = page(make(), Evidence(frames, 1.0, gap, loud))
    assert len(re.search(r'aria-label="Waveform"><path d="([^"]*)"', text).group(1).split("M")) == 3
    silent = page(make(), Evidence(frames, 1.0, zeros, zeros))
    assert "peak" not in Reader(silent).text


def test_the_page_of_a_long_video_stays_small(make):
    rng = np.random.default_rng(0)
    events = [
        (f"category {i % 28}", float(s), float(s + d), ("audio-visual", "audio", "visual")[i % 3], 0.7)
        for i, (s, d) in enumerate(zip(rng.integers(0, 35_900, 3000), rng.integers(1, 60, 3000), strict=True))
    ]
    ten_hours = make(duration_seconds=36_000.0, events=events)
    text = page(ten_hours, evidence(MAX_FRAMES, ENVELOPE_POINTS))
    assert len(text) < 3_000_000
    found = Reader(text)
    assert len([row for row in found.all("tr") if "data-t" in row]) == MAX_TABLE_ROWS
    assert "JSON and CSV files of this result hold 2500 more" in found.text
    assert all(len(a["d"]) < 25_000 for a in found.all("path", class_="heard"))


def test_the_page_of_an_hour_is_about_half_a_megabyte(make):
    events = [("Bark", float(t), float(t + 20), "audio-visual", 0.7) for t in range(0, 3600, 60)]
    assert len(page(make(duration_seconds=3600.0, events=events), evidence(24, ENVELOPE_POINTS))) < 600_000


@pytest.mark.slow
def test_a_browser_shows_it_without_complaint(dog, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    path = write(dog, tmp_path / "a.html")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    options += ["--disable-background-networking", "--disable-component-update", "--enable-logging=stderr", "--v=0"]
    command = [browser, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", path.as_uri()]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert "CONSOLE" not in run.stderr
    assert "Bark" in run.stdout


def test_details_and_what_is_true_are_rows_of_the_page(make):
    count = 10
    details = {
        "similarity": np.linspace(-1, 1, count, dtype=np.float32),
        "temporal_attention": np.tile(np.float32([0.25, 0.5, 0.25]), (count, 1)),
    }
    truth = [Annotation("clip", 1, 4, "Bark"), Annotation("clip", 9, 12, "<Bell>")]
    read = Reader(page(replace(make(), details=details), evidence(), truth=truth))
    (curve,) = read.all("path", class_="detail")
    assert curve["d"].startswith("M0,100H100V88.9H200")
    (matrix,) = [a for a in read.all("img") if (a.get("alt") or "").startswith("temporal attention")]
    with Image.open(io.BytesIO(base64.b64decode(matrix["src"].partition(",")[2]))) as picture:
        assert picture.size == (count, count)
        assert picture.getpixel((3, 3)) == (128, 128)
    marks = [a["style"] for a in read.with_class("truth") if "style" in a]
    assert marks == ["left:90%;width:10%", "left:10%;width:30%"]
    assert "<Bell>" in read.text
    plain = Reader(page(make(), evidence()))
    assert not plain.with_class("truth")
    assert "Details" not in plain.text
