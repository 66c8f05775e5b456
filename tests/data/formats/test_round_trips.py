"""What `avel localize` found in real clips, written, read and saved again by each tool's own library, and read by avel.

`localized` holds three results as `avel localize CLIP -o RESULT.json` wrote them; together they have events of all
modalities, and a category with a comma. `benchmarks/label_tools.py` does the same with tools that are too large here.
"""

import contextlib
import csv
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
import srt
import webvtt
from label_files import as_accepted
from PIL import Image
from praatio import textgrid
from pympi.Elan import Eaf

from avel.data.formats import read_annotations
from avel.data.formats.chapters import WITHOUT_EVENT
from avel.events import Localization
from avel.media.reader import MediaReader
from avel.outputs import FORMATS, editing, write
from avel.outputs.event_clips import LATE_SECONDS

FOLDER = Path(__file__).parent / "localized"
MILLISECOND = 0.001

Tool = Callable[[Path, Path], None]


@pytest.fixture(params=["dog_speech", "phone_call_train", "drum"])
def localized(request):
    return Localization.from_json(FOLDER / f"{request.param}.json")


def expected(result):
    return [(e.category, e.start_seconds, e.end_seconds, e.modality) for e in result.events]


def elan(written: Path, saved: Path) -> None:
    Eaf(written).to_file(saved)


def csv_table(written: Path, saved: Path) -> None:
    with written.open(newline="") as source, saved.open("w", newline="") as target:
        csv.writer(target, delimiter=";").writerows(csv.reader(source))


def audacity(written: Path, saved: Path) -> None:
    labels = [line.split("\t") for line in written.read_text().splitlines()]
    saved.write_text("".join(f"{float(start):f}\t{float(end):f}\t{text}\n" for start, end, text in labels))


def label_studio(written: Path, saved: Path) -> None:
    saved.write_text(as_accepted(written.read_text()))


def subrip(written: Path, saved: Path) -> None:
    saved.write_text(srt.compose(srt.parse(written.read_text())))


def web_vtt(written: Path, saved: Path) -> None:
    webvtt.read(str(written)).save(str(saved))


def praat(layout: str) -> Tool:
    def save(written: Path, saved: Path) -> None:
        textgrid.openTextgrid(str(written), includeEmptyIntervals=True).save(
            str(saved), layout, includeBlankSpaces=True
        )

    return save


def raven(written: Path, saved: Path) -> None:
    with written.open(newline="") as source, saved.open("w", newline="") as target:
        rows = csv.DictReader(source, delimiter="\t")
        writer = csv.DictWriter(target, [*rows.fieldnames, "Begin File"], delimiter="\t", quoting=csv.QUOTE_NONE)
        writer.writeheader()
        writer.writerows(row | {"Begin File": "sound.wav"} for row in rows)


def json_lines(written: Path, saved: Path) -> None:
    saved.write_text("".join(json.dumps(json.loads(line)) + "\n" for line in written.read_text().splitlines()))


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("csv", csv_table),
        ("csv-clock", csv_table),
        ("jsonl", json_lines),
        ("elan", elan),
        ("audacity", audacity),
        ("label-studio", label_studio),
        ("srt", subrip),
        ("vtt", web_vtt),
        ("textgrid", praat("long_textgrid")),
        ("textgrid", praat("short_textgrid")),
        ("raven", raven),
    ],
)
def test_events_come_back_from_a_tool(localized, tmp_path, name, tool):
    written = write(localized, tmp_path / f"written.{FORMATS[name].suffix}", name)
    saved = tmp_path / f"saved.{FORMATS[name].suffix}"
    tool(written, saved)
    found = sorted(read_annotations(saved).events, key=lambda e: (e.start_seconds, e.category))
    assert len(found) == len(localized.events)
    for one, (category, start, end, modality) in zip(found, expected(localized), strict=True):
        assert (one.category, one.modality or "audio-visual") == (category, modality)
        assert one.start_seconds == pytest.approx(start, abs=MILLISECOND)
        assert one.end_seconds == pytest.approx(end, abs=MILLISECOND)


def test_azure_video_indexer_has_what_is_heard(localized, tmp_path):
    content = json.loads(write(localized, tmp_path / "a.azure.json").read_text())
    effects = content["videos"][0]["insights"]["audioEffects"]
    found = [(e["type"], seconds(i["start"]), seconds(i["end"])) for e in effects for i in e["instances"]]
    heard = [event[:3] for event in expected(localized) if event[3] != "visual"]
    assert sorted(found, key=lambda one: one[1]) == heard


def seconds(text: str) -> float:
    total = 0.0
    for part in text.split(":"):
        total = 60 * total + float(part)
    return total


def test_youtube_has_the_starts(localized, tmp_path):
    lines = [line.split(" ", 1) for line in write(localized, tmp_path / "a.chapters.txt").read_text().splitlines()]
    assert lines[0][0] == "0:00"
    found = {seconds(time): title for time, title in lines if title != WITHOUT_EVENT}
    by_score = sorted(localized.events, key=lambda e: e.score)  # of those that start in one second the last counts
    assert found == {round(e.start_seconds): e.category for e in by_score}


# Formats that need the video


@pytest.fixture
def in_place(localized, shared):
    """The result, with the video where it is here."""
    (video,) = (shared / "data" / "media").glob(f"events*/{localized.video}")
    return replace(localized, video=str(video))


def with_modality(result):
    return [(c if m == "audio-visual" else f"{c} ({m})", start, end) for c, start, end, m in expected(result)]


@pytest.mark.parametrize(("name", "adapter"), [("otio", "otio_json"), ("fcpxml", "fcp_xml"), ("edl", "cmx_3600")])
def test_editors_have_the_events_to_half_a_frame(in_place, tmp_path, name, adapter):
    otio = pytest.importorskip("opentimelineio")
    written = write(in_place, tmp_path / f"a.{FORMATS[name].suffix}", name)
    rate = editing.frame_rate(in_place.video)
    if name != "otio":
        rate = otio.opentime.RationalTime.nearest_valid_timecode_rate(float(rate))
    options = {"rate": rate} if name == "edl" else {}
    made = otio.adapters.read_from_file(str(written), adapter_name=adapter, **options)
    otio.adapters.write_to_file(made, str(tmp_path / f"saved.{written.suffix}"), adapter_name=adapter, **options)
    made = otio.adapters.read_from_file(str(tmp_path / f"saved.{written.suffix}"), adapter_name=adapter, **options)
    clips = list(made.find_clips())
    if name == "edl":
        found = [(one.name, one.source_range) for one in clips]
    else:
        found = [(mark.name, mark.marked_range) for mark in clips[0].markers]
    assert [name for name, _ in found] == [name for name, _, _ in with_modality(in_place)]
    for (_, span), (_, start, end) in zip(found, with_modality(in_place), strict=True):
        assert span.start_time.to_seconds() == pytest.approx(start, abs=0.5 / float(rate) + 2 * MILLISECOND)
        assert span.end_time_exclusive().to_seconds() == pytest.approx(end, abs=0.5 / float(rate) + 2 * MILLISECOND)


@pytest.mark.parametrize("name", ["mp4", "chapters"])
def test_players_have_the_events_as_chapters(in_place, tmp_path, name):
    with av.open(str(write(in_place, tmp_path / f"a.{FORMATS[name].suffix}", name))) as container:
        marks = [
            (m["metadata"]["title"], m["start"] * m["time_base"], m["end"] * m["time_base"])
            for m in container.chapters()
        ]
    found = [mark for mark in marks if mark[0] != WITHOUT_EVENT]
    assert [title for title, _, _ in found] == [category for category, _, _, _ in expected(in_place)]
    for (_, *times), (_, *wanted, _) in zip(found, expected(in_place), strict=True):
        assert list(map(float, times)) == pytest.approx(wanted, abs=MILLISECOND)


def test_clips_have_the_lengths_of_the_events(in_place, tmp_path):
    clips = sorted(write(in_place, tmp_path / "a.clips").iterdir())
    half = float(0.5 / editing.frame_rate(in_place.video))
    for clip, (name, start, end) in zip(clips, with_modality(in_place), strict=True):
        assert clip.stem == f"{start:09.3f}-{end:09.3f} {name}"
        with MediaReader(clip) as reader:
            length = list(reader)[-1].end_seconds
        assert end - start - half - 0.03 <= length <= end - start + half + LATE_SECONDS


def test_boxes_are_on_frames_beside_them(shared, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    result = Localization.from_json(FOLDER / "drum.json")
    video = shared / "data" / "media" / "events" / result.video
    path = write(replace(result, video=str(video)), tmp_path / "drum.coco.json")
    with contextlib.redirect_stdout(io.StringIO()):
        made = coco.COCO(path)
    images = made.loadImgs(made.getImgIds())
    assert [image["seconds"] for image in images] == [7.5, 8.5]  # of the segments with a map
    for image in images:
        with Image.open(tmp_path / image["file_name"]) as frame:
            assert frame.size == (image["width"], image["height"])
        (box,) = made.loadAnns(made.getAnnIds(imgIds=[image["id"]]))
        assert made.loadCats(box["category_id"])[0]["name"] == "Percussion"
        mask = made.annToMask(box)
        assert mask.shape == (image["height"], image["width"])
        assert mask.sum() == pytest.approx(box["area"], rel=0.05)
