import importlib.util
import json
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import as_accepted, events, expected, read_back, rounded_spans, spans, with_events

from avel.data.annotations import AnnotationSet
from avel.data.formats import read_annotations
from avel.data.formats.label_studio import config, text
from avel.errors import AnnotationsError

# The layout is that of its task format page and of its tags' sample results.


def audio_region(start, end, *labels, **more):
    return {"type": "labels", "value": {"start": start, "end": end, "channel": 0, "labels": list(labels)}, **more}


def timeline(start, end, *labels):
    return {"type": "timelinelabels", "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [*labels]}}


def task(*result, data=None, number=1, **annotation):
    return {
        "id": number,
        "data": data or {"audio": "/data/upload/3/1a2b3c4d-dog%20park.wav"},
        "annotations": [{"id": 7, "result": list(result), "was_cancelled": False, **annotation}],
    }


@pytest.fixture
def export(write):
    return lambda tasks: write("export.json", json.dumps(tasks))


def test_label_studio_audio_regions(export):
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    path = export(
        [
            task(audio_region(0.5, 2, "Bark", "Cat", original_length=10.0), choice),
            task(number=2, data={"video": "b.mp4"}),
        ]
    )
    found = read_annotations(path)
    assert spans(found) == [("dog park.wav", 0.5, 2, "Bark"), ("dog park.wav", 0.5, 2, "Cat")]
    assert found.videos_without_event == {"b.mp4": None}


def test_label_studio_time_series_in_seconds(export):
    region = {"type": "timeserieslabels", "value": {"start": 1, "end": 3.5, "timeserieslabels": ["Bark"]}}
    path = export([task(region, data={"csv": "http://x.org/files/sensor.csv?version=2"})])
    assert spans(read_annotations(path)) == [("sensor.csv", 1, 3.5, "Bark")]


def test_label_studio_video_timeline_counts_frames_from_one_to_the_last(export):
    box = {"value": {"sequence": [], "framesCount": 250, "timelinelabels": ["Bark"]}, "type": "timelinelabels"}
    path = export([task(timeline(1, 25, "Bark"), box, data={"video": "/data/local-files/?d=clips/dog.mp4"})])
    assert spans(read_annotations(path, frames_per_second=25)) == [("dog.mp4", 0, 1, "Bark")]


def test_label_studio_minimal_export(export):
    path = export(
        [
            {
                "id": 1,
                "audio": "s3://bucket/dog.wav",
                "label": [{"start": 0, "end": 1.5, "channel": 0, "labels": ["Bark"]}],
                "annotator": 1,
                "created_at": "2026-01-01T00:00:00.000000Z",
            },
            {
                "id": 2,
                "file": "cat.mp4",
                "videoLabels": [{"ranges": [{"start": 25, "end": 50}], "timelinelabels": ["Cat"]}],
            },
        ]
    )
    found = read_annotations(path, frames_per_second=24)
    assert spans(found) == [("dog.wav", 0, 1.5, "Bark"), ("cat.mp4", 1, 50 / 24, "Cat")]


def test_label_studio_takes_the_ground_truth_and_leaves_out_what_nobody_annotated(export):
    several = task(audio_region(0, 1, "Bark"))
    several["annotations"].append({"result": [audio_region(0, 2, "Cat")], "ground_truth": True})
    cancelled = task(audio_region(0, 1, "Bark"), number=2, was_cancelled=True)
    found = read_annotations(export([several, cancelled, {"id": 3, "data": {"video": "c.mp4"}, "annotations": []}]))
    assert spans(found) == [("dog park.wav", 0, 2, "Cat")]
    assert found.videos == ("dog park.wav",)


def two_annotators():
    several = task(audio_region(0, 1, "Bark"))
    several["annotations"] *= 2
    return [several]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("[", ": it is not valid JSON: "),
        ("[" * 100_000, ": it is nested too deeply to be read."),
        (
            {"a": 1},
            ": its JSON is of no label format that is known. Known are Label Studio's exports",
        ),
        ([1], ": not a Label Studio export"),
        ([], ": the export has no task."),
        ([{"id": 4, "annotations": 1}], ", task 4: 'annotations' must be a list of annotations."),
        ([{"id": 4, "annotations": [{"id": 1}]}], ", task 4: its annotation has no list 'result'."),
        (two_annotators(), ", task 1: it has several annotations. Mark one as ground truth"),
        ([{"id": 1, "audio": "a.wav"}, {"id": 1, "audio": "a.wav"}], ", task 1: it has several annotations."),
        ([task(data={"text": "hello"})], ", task 1: its data name no video; looked for video, audio, url"),
        ([task(timeline(1, 2, "Bark"))], ", task 1: its timeline counts frames. Give frames_per_second"),
        ([task({"value": {"ranges": [1], "timelinelabels": ["a"]}})], ", task 1: 'ranges' must be a list of objects"),
        ([task(audio_region(1, 2))], ", task 1: the region from 1 to 2 has no label."),
        ([task(audio_region("12:30", 2, "Bark"))], ", task 1: start is '12:30', not a number."),
        ([task(audio_region(True, 2, "Bark"))], ", task 1: start is True, not a number."),
        (
            [task(audio_region(1, 12, "Bark", original_length=10))],
            ", task 1: the event ends at 12 s, but 'dog park.wav' is 10",
        ),
        ([task(audio_region(2, 1, "Bark"))], ", task 1: The event ends at 1 s but starts at 2 s."),
    ],
)
def test_label_studio_error_names_the_task(write, tasks, message):
    path = write("export.json", tasks if isinstance(tasks, str) else json.dumps(tasks))
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}{message}")):
        read_annotations(path)


def test_a_json_export_is_known_without_its_ending(write):
    assert read_annotations(write("export", json.dumps([task(audio_region(0, 1, "Bark"))]))).categories == ("Bark",)


WORDS = ("id", "data", "annotations", "result", "value", "start", "end", "labels", "ranges", "timelinelabels", "video")


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(WORDS),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("http://[a.mp4"),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
                max_leaves=15,
            ),
        ),
        max_size=2,
    )
)
def test_any_json_is_read_or_refused_with_our_error(tmp_path_factory, tasks):
    path = tmp_path_factory.mktemp("any") / "export.json"
    path.write_text(json.dumps(tasks))
    try:
        assert isinstance(read_annotations(path), AnnotationSet)
    except AnnotationsError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@given(st.lists(events(), max_size=5))
def test_label_studio_is_read_back(tmp_path_factory, found):
    written = as_accepted(text(with_events(found, "some folder/clip é.mp4")))
    _, back = read_back(tmp_path_factory.mktemp("a"), "clip.json", written)
    assert rounded_spans(back, 3) == expected(found, 3)
    assert back.videos == ("clip é.mp4",)


def test_label_studio_in_frames_is_read_back(result, tmp_path):
    written = as_accepted(text(result, address="https://example.org/clip.mp4", frames_per_second=25))
    _, back = read_back(tmp_path, "clip.json", written, frames_per_second=25)
    assert rounded_spans(back, 3) == [("Bark", 2.0, 5.0, "audio-visual"), ("Goat", 6.0, 7.0, "audio")]
    first = json.loads(written)[0]["annotations"][0]["result"][0]["value"]["ranges"]
    assert first == [{"start": 51, "end": 125}]


@pytest.mark.parametrize("rate", [None, 25.0])
def test_label_studio_prediction_fits_the_configuration(result, rate):
    view = ElementTree.fromstring(config([e.category for e in result.events], frames_per_second=rate))
    (task,) = json.loads(text(result, frames_per_second=rate))
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

    interface = LabelInterface(config([e.category for e in result.events], frames_per_second=rate))
    (task,) = json.loads(text(result, frames_per_second=rate))
    assert interface.validate_task({"data": task["data"]})
    assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []
    task["predictions"][0]["result"][0]["from_name"] = "other"
    assert interface.validate_prediction(task["predictions"][0], return_errors=True) != []


def test_frames_need_a_rate(result):
    for write in (
        lambda rate: text(result, frames_per_second=rate),
        lambda r: config([], frames_per_second=r),
    ):
        with pytest.raises(ValueError, match="frames_per_second must be above 0, got 0"):
            write(0)


# As people's projects export them


def test_a_region_with_details_is_one_event(export):
    value = {"start": 1.0, "end": 2.0, "channel": 0}
    region = [
        {"id": "r1", "type": "labels", "value": {**value, "labels": ["Bark"]}},
        {"id": "r1", "type": "textarea", "value": {**value, "text": ["two dogs"]}},
        {"id": "r1", "type": "choices", "value": {**value, "choices": ["loud"]}},
        {"id": "r1", "type": "rating", "value": {**value, "rating": 4}},
        {"id": "r1", "type": "number", "value": {**value, "number": 2}},
    ]
    assert spans(read_annotations(export([task(*region)]))) == [("dog park.wav", 1, 2, "Bark")]


def test_labels_of_text_are_passed_over(export):
    words = {"id": "a", "type": "labels", "value": {"start": 0, "end": 2, "text": "ho", "labels": ["Greeting"]}}
    paragraph = {"start": "0", "end": "2", "startOffset": 0, "endOffset": 5, "paragraphlabels": ["Speech"]}
    path = export([task(words, {"id": "b", "value": paragraph}, audio_region(1, 2, "Bark"))])
    found = read_annotations(path)
    assert spans(found) == [("dog park.wav", 1, 2, "Bark")]
    assert found.warnings == (f"{path}: left out: 2 labels of text, which has no time",)


def test_a_start_just_before_0_is_0(export):
    assert spans(read_annotations(export([task(audio_region(-0.005, 2, "Bark"))]))) == [("dog park.wav", 0, 2, "Bark")]
    with pytest.raises(AnnotationsError, match="The event starts at -1 s"):
        read_annotations(export([task(audio_region(-1, 2, "Bark"))]))


def test_completions_of_old_versions_are_read(export):
    old = task(audio_region(0, 1, "Bark"))
    old["completions"] = old.pop("annotations")
    assert spans(read_annotations(export([old]))) == [("dog park.wav", 0, 1, "Bark")]


def test_predictions_alone_are_no_annotations(export):
    only = {"id": 1, "data": {"video": "a.mp4"}, "predictions": [{"result": [audio_region(0, 1, "Bark")]}]}
    with pytest.raises(AnnotationsError, match="1 task holds predictions, and none an annotation. Accept or correct"):
        read_annotations(export([only]))


@pytest.mark.parametrize("annotator", ["2", "b@example.org", "Bea Bell"])
def test_an_annotator_may_be_chosen(export, annotator):
    several = task(audio_region(0, 1, "Bark"), completed_by=1)
    bea = {"id": 2, "email": "b@example.org", "first_name": "Bea", "last_name": "Bell"}
    several["annotations"].append({"result": [audio_region(0, 2, "Cat")], "completed_by": bea})
    path = export([several])
    assert spans(read_annotations(path, annotator=annotator)) == [("dog park.wav", 0, 2, "Cat")]
    with pytest.raises(AnnotationsError, match=r"or choose with --annotator \(1, b@example.org\)"):
        read_annotations(path)
    with pytest.raises(AnnotationsError, match="no task has an annotation of the annotator 'Carl'"):
        read_annotations(path, annotator="Carl")


def test_a_task_may_say_its_frame_rate(export):
    tasks = [
        task(timeline(1, 25, "Bark"), data={"video": "a.mp4", "fps": 25}),
        task(timeline(1, 50, "Bark"), data={"video": "b.mp4", "fps": 50}, number=2),
    ]
    assert [s[1:3] for s in spans(read_annotations(export(tasks)))] == [(0, 1), (0, 1)]
    counted = timeline(11, 20, "Bark")
    counted["value"] |= {"framesCount": 100, "duration": 10.0}
    assert spans(read_annotations(export([task(counted, data={"video": "c.mp4"})]))) == [("c.mp4", 1, 2, "Bark")]


def test_modality_is_a_remark_of_the_region(result):
    (made,) = json.loads(text(result))
    assert [region.get("meta") for region in made["predictions"][0]["result"]] == [None, {"text": ["heard only"]}]
