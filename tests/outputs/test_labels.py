import importlib.util
import itertools
import json
import os
import xml.etree.ElementTree as ElementTree

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pympi.Elan import Eaf

from avel.data.annotations import read_annotations
from avel.events import Event, Localization, by_start
from avel.outputs import render
from avel.outputs.labels import audacity_text, elan_text, label, label_studio_config, label_studio_text

letters = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zs", "Zl", "Zp"])


@st.composite
def events(draw):
    start = draw(st.integers(0, 4_000_000)) / 1000
    length = draw(st.integers(1, 100_000)) / 1000
    return Event(
        category=draw(st.text(letters, min_size=1).filter(lambda name: name != "background")),
        start_seconds=start,
        end_seconds=start + length,
        score=draw(st.floats(0, 1)),
        modality=draw(st.sampled_from(["audio-visual", "audio", "visual"])),
    )


def with_events(found, video="clip.mp4"):
    return Localization(video, 5e3, 1.0, {"name": "agreement", "avel": "1.0"}, by_start(found), ())


def read(folder, name, text, **more):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path, read_annotations(path, **more)


def spans(found, digits):
    return sorted((e.category, round(e.start_seconds, digits), round(e.end_seconds, digits)) for e in found.events)


def expected(found, digits):
    return sorted((label(e), round(e.start_seconds, digits), round(e.end_seconds, digits)) for e in found)


def as_accepted(text):
    """What Label Studio exports when somebody submits the predictions as they are."""
    tasks = json.loads(text)
    for number, task in enumerate(tasks, start=1):
        task["id"] = number
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    return json.dumps(tasks)


def test_audacity_known_answer(result):
    assert audacity_text(result) == "2.000000\t5.000000\tBark\n6.000000\t7.000000\tGoat (audio)\n"


@given(st.lists(events(), max_size=5))
def test_audacity_is_read_back(tmp_path_factory, found):
    _, back = read(tmp_path_factory.mktemp("a"), "clip.txt", audacity_text(with_events(found)), format="audacity")
    assert spans(back, 5) == expected(found, 5)
    assert back.videos == ("clip",)


def test_elan_is_read_back_by_pympi(result, tmp_path):
    path, _ = read(tmp_path, "clip.eaf", elan_text(result))
    document = Eaf(path)
    assert {tier: document.get_annotation_data_for_tier(tier) for tier in document.get_tier_names()} == {
        "Bark": [(2000, 5000, "Bark")],
        "Goat (audio)": [(6000, 7000, "Goat (audio)")],
    }
    (media,) = document.get_linked_files()
    assert media["MEDIA_URL"].startswith("file:///")
    assert media["RELATIVE_MEDIA_URL"] == "./clip.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


@given(st.lists(events(), max_size=5))
def test_elan_is_read_back(tmp_path_factory, found):
    path, back = read(tmp_path_factory.mktemp("a"), "labels.eaf", elan_text(with_events(found)))
    assert spans(back, 3) == expected(found, 3)
    assert back.videos == ("clip.mp4",)
    document = Eaf(path)
    for tier in document.get_tier_names():
        times = sorted(annotation[:2] for annotation in document.get_annotation_data_for_tier(tier))
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_labels_of_one_tier_do_not_overlap(make):
    both = make(events=[("Bark", 0, 4, "audio-visual", 0.9), ("Bark", 2, 6, "audio-visual", 0.8)])
    assert tiers_of(elan_text(both)) == {"Bark", "Bark #2"}


def tiers_of(text):
    return {tier.get("TIER_ID") for tier in ElementTree.fromstring(text.encode()).iter("TIER")}


@given(st.lists(events(), max_size=5))
def test_label_studio_is_read_back(tmp_path_factory, found):
    text = as_accepted(label_studio_text(with_events(found, "some folder/clip é.mp4")))
    _, back = read(tmp_path_factory.mktemp("a"), "clip.json", text)
    assert spans(back, 3) == expected(found, 3)
    assert back.videos == ("clip é.mp4",)


def test_label_studio_in_frames_is_read_back(result, tmp_path):
    text = as_accepted(label_studio_text(result, address="https://example.org/clip.mp4", frames_per_second=25))
    _, back = read(tmp_path, "clip.json", text, frames_per_second=25)
    assert spans(back, 3) == [("Bark", 2.0, 5.0), ("Goat (audio)", 6.0, 7.0)]
    first = json.loads(text)[0]["annotations"][0]["result"][0]["value"]["ranges"]
    assert first == [{"start": 51, "end": 125}]


@pytest.mark.parametrize("rate", [None, 25.0])
def test_label_studio_prediction_fits_the_configuration(result, rate):
    view = ElementTree.fromstring(label_studio_config(map(label, result.events), frames_per_second=rate))
    (task,) = json.loads(label_studio_text(result, frames_per_second=rate))
    assert task["data"] == {"video": "/data/local-files/?d=clip.mp4"}
    (prediction,) = task["predictions"]
    assert prediction["model_version"] == "agreement"
    assert prediction["score"] == 0.9
    names = {tag.get("name"): tag for tag in view}
    for region in prediction["result"]:
        choices = names[region["from_name"]]
        assert choices.get("toName") == region["to_name"]
        assert region["to_name"] in names
        assert choices.tag.lower() == region["type"]
        assert set(region["value"][region["type"]]) <= {tag.get("value") for tag in choices}


@pytest.mark.skipif(importlib.util.find_spec("label_studio_sdk") is None, reason="needs label-studio-sdk")
@pytest.mark.parametrize("rate", [None, 25.0])
def test_label_studio_accepts_the_prediction(result, rate):
    from label_studio_sdk.label_interface import LabelInterface

    interface = LabelInterface(label_studio_config(map(label, result.events), frames_per_second=rate))
    (task,) = json.loads(label_studio_text(result, frames_per_second=rate))
    assert interface.validate_task({"data": task["data"]})
    assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []
    task["predictions"][0]["result"][0]["from_name"] = "other"
    assert interface.validate_prediction(task["predictions"][0], return_errors=True) != []


def test_frames_need_a_rate(result):
    for write in (
        lambda rate: label_studio_text(result, frames_per_second=rate),
        lambda r: label_studio_config([], frames_per_second=r),
    ):
        with pytest.raises(ValueError, match="frames_per_second must be above 0, got 0"):
            write(0)


def test_results_without_events(make, tmp_path):
    empty = make(events=[])
    assert audacity_text(empty) == ""
    for name, text in (("a.eaf", elan_text(empty)), ("a.json", as_accepted(label_studio_text(empty)))):
        _, back = read(tmp_path, name, text)
        assert back.events == ()
        assert back.videos == ("clip.mp4",)


def test_names_that_would_break_a_file(make, tmp_path):
    odd = make(
        os.fsdecode(b"caf\xe9 & <b>.mp4"),
        events=[('a\tb\x00 "c"\n9\t10\td &<i>', 0, 1, "audio-visual", 0.5), ("Bark", 1, 1.0000001, "audio", 0.5)],
    )
    wanted = ['a b� "c" 9 10 d &<i>', "Bark (audio)"]
    for name, text in (
        ("a.txt", audacity_text(odd)),
        ("a.eaf", elan_text(odd)),
        ("a.json", as_accepted(label_studio_text(odd))),
    ):
        more = {"format": "audacity"} if name == "a.txt" else {}
        _, back = read(tmp_path, name, text, **more)
        assert [e.category for e in sorted(back.events, key=lambda e: e.start_seconds)] == wanted
    config = label_studio_config(wanted)
    assert [tag.get("value") for tag in ElementTree.fromstring(config).iter("Label")] == wanted


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_ffmpeg_reads_the_subtitles(result, tmp_path, name):
    path = tmp_path / f"clip.{name}"
    path.write_text(render(result, name), encoding="utf-8")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    times = [(float(p.pts * p.time_base), float((p.pts + p.duration) * p.time_base)) for p in packets]
    assert times == [(2.0, 5.0), (6.0, 7.0)]
    assert [bytes(p).decode() for p in packets] == ["Bark (audio-visual, 0.90)", "Goat (audio, 0.60)"]
