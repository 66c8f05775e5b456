"""What the page is told and what it changes, by real requests on real files."""

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hand_made_results import make_result

from avel.data.formats import read_annotations
from avel.events import Localization
from avel.features.walk import RESULTS_JOURNAL
from avel.outputs import FORMATS, write_all
from avel.training.own.labels import read_labels


@pytest.fixture
def page(open_page, results):
    return open_page(results)


@pytest.fixture
def dog(page):
    return page.id_of("dog.mp4")


def edited(page, id_, number=0, **fields):
    """The events of a video, one of them changed."""
    events = page.get(f"videos/{id_}").json()["events"]
    events[number] |= fields
    return events


def test_results_are_listed(page):
    found = page.get("videos").json()
    assert [v["name"] for v in found["videos"]] == ["dog.mp4", "goat.mp4"]
    assert found["counts"] == {"new": 0, "queued": 0, "running": 0, "done": 2, "reviewed": 0, "failed": 0}
    assert found["categories"] == {"Bark": 1, "Goat": 1, "Music": 1}
    dog = found["videos"][0]
    assert (dog["categories"], dog["event_count"], dog["lowest_score"]) == (["Bark", "Music"], 2, 0.6)
    assert dog["duration_seconds"] == 3.0


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("category=Goat", ["goat.mp4"]),
        ("query=DOG", ["dog.mp4"]),
        ("query=<b>", []),
        ("state=new", []),
        ("offset=1&limit=1", ["goat.mp4"]),
        ("order=confidence", ["dog.mp4", "goat.mp4"]),
        ("order=added", ["goat.mp4", "dog.mp4"]),
    ],
)
def test_lists_are_filtered_ordered_and_cut(page, asked, names):
    assert [v["name"] for v in page.get(f"videos?{asked}").json()["videos"]] == names


def test_a_video_comes_with_its_events_and_in_ranges(page, dog):
    shown = page.get(f"videos/{dog}").json()
    assert [(e["category"], e["start_seconds"], e["end_seconds"], e["source"]) for e in shown["events"]] == [
        ("Bark", 0.5, 1.5, "localizer"),
        ("Music", 1.0, 3.0, "localizer"),
    ]
    assert shown["segments"][2] == {"start_seconds": 2, "end_seconds": 3, "audio_valid": True, "visual_valid": True}
    media = shown["media"]
    assert (media["kind"], media["width"], media["has_sound"]) == ("original", 64, True)
    assert shown["thresholds"] == {"audio": 0.5, "visual": 0.5, "av": 0.5}
    part = page.client.get(media["url"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content, part.headers["content-type"]) == (206, b"ftyp", "video/mp4")


def test_what_is_drawn_is_drawn_once(page, dog):
    for _ in range(2):
        for name, kind in (
            ("thumbnail", "image/jpeg"),
            ("thumbnail?at=1.04", "image/jpeg"),
            ("strip?count=3", "image/jpeg"),
            ("spectrogram", "image/png"),
        ):
            answer = page.get(f"videos/{dog}/{name}")
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
        peaks = page.get(f"videos/{dog}/peaks?per_second=10").json()
        assert len(peaks["maximum"]) == len(peaks["minimum"]) == 30
        assert max(peaks["maximum"][6:14]) == pytest.approx(0.5, abs=0.05)  # the tone from 0.5 s to 1.5 s
        assert max(peaks["maximum"][18:]) < 0.05
    assert len(list(page.services.media.cache.iterdir())) == 5


def test_scores_over_time(page, dog):
    scores = page.get(f"videos/{dog}/scores?category=Music").json()
    assert (scores["start_seconds"], scores["audio"], scores["visual"]) == ([0, 1, 2], [0, 0.6, 0.6], [0, 0, 0])


def test_details_of_a_result_over_time(results, open_page):
    path = results / "dog.json"
    result = Localization.from_json(path)
    details = {
        "similarity": np.float32([-1, 0, 0.5]),
        "video_category": np.float32([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9]]),
        "temporal_attention": np.float32([[0, 1, 0]] * 3),
    }
    result = replace(result, model={**result.model, "categories": ["Bark", "Goat"]}, details=details)
    path.write_text(result.to_json(), encoding="utf-8")
    page = open_page(results)
    dog = page.id_of("dog.mp4")
    listed = page.get(f"videos/{dog}").json()["details"]
    assert [(one["title"], one["low"], one["high"]) for one in listed] == [
        ("similarity", -1, 1),
        ("video's category: Bark", 0, 1),
        ("video's category: Goat", 0, 1),
    ]
    goat = page.get(f"videos/{dog}/detail", params={"title": "video's category: Goat"})
    assert goat.json() == {"values": [0.1, 0.2, 0.9]}
    assert page.get(f"videos/{dog}/detail?title=gates").status_code == 404
    assert page.get(f"videos/{page.id_of('goat.mp4')}").json()["details"] == []


def test_a_correction_is_there_after_a_restart(page, dog, open_page, results):
    before = page.get(f"videos/{dog}").json()["events"]
    body = {"revision": 0, "events": edited(page, dog, end_seconds=2.0), "label": "Move Bark"}
    answer = page.post(f"videos/{dog}/events", body).json()
    assert answer["review"] == {
        "revision": 1,
        "reviewed": False,
        "can_undo": True,
        "can_redo": False,
        "undo_label": "Move Bark",
        "redo_label": None,
        "corrected": True,
    }
    again = open_page(results)
    assert again.get(f"videos/{dog}").json()["events"] == answer["events"]
    assert again.get("videos").json()["videos"][0]["corrected"]
    undone = again.post(f"videos/{dog}/undo", {"revision": 1}).json()
    assert undone["events"] == before
    redone = again.post(f"videos/{dog}/redo", {"revision": 2}).json()
    assert (redone["events"], redone["review"]["revision"]) == (answer["events"], 3)


def test_the_second_of_two_windows_is_told_what_there_is(page, dog):
    first = {"revision": 0, "events": edited(page, dog, end_seconds=2.0), "label": "Move"}
    second = {"revision": 0, "events": edited(page, dog, category="Howl"), "label": "Rename"}
    done = page.post(f"videos/{dog}/events", first).json()
    refused = page.post(f"videos/{dog}/events", second)
    assert refused.status_code == 409
    assert "another window" in refused.json()["error"]
    assert (refused.json()["events"], refused.json()["review"]) == (done["events"], done["review"])
    assert page.post(f"videos/{dog}/undo", {"revision": 0}).status_code == 409


@pytest.mark.parametrize(
    ("address", "body", "status", "message"),
    [
        ("events", {"revision": 0, "events": [{"category": "a"}], "label": "x"}, 400, "Invalid modality None"),
        ("events", {"revision": 0, "events": "all", "label": "x"}, 400, "a list of objects"),
        ("events", {"revision": True, "events": [], "label": "x"}, 400, "The revision is a whole number"),
        ("undo", {"revision": 0}, 400, "nothing to undo"),
        ("events", [], 400, "The request is a JSON object"),
        ("run", {}, 409, "has been localized already"),
    ],
)
def test_what_cannot_be_is_refused_in_words(page, dog, address, body, status, message):
    answer = page.post(f"videos/{dog}/{address}", body)
    assert (answer.status_code, message in answer.json()["error"]) == (status, True)


@pytest.mark.parametrize(
    ("address", "status", "message"),
    [
        ("videos/nothing", 404, "no such video"),
        ("videos/..%2F..%2Fetc%2Fpasswd/media", 404, "Not Found"),
        ("videos?limit=-1", 400, "A whole number from 0 to 1000"),
        ("videos?order=size", 400, "ordered by name, added, confidence"),
        ("videos/{dog}/strip?count=9999", 400, "A whole number from 1 to 200"),
        ("videos/{dog}/map?segment=1", 404, "Nothing says where"),
        ("videos/{dog}/thumbnail?at=-1", 400, "A moment is from 0 to"),
        ("videos/{dog}/thumbnail?at=nan", 400, "A moment is from 0 to"),
        ("videos/{dog}/export?format=coco", 400, "Supported formats are json, csv"),
        ("videos/{dog}/preview?category=Bark&audio=2", 400, "audio must be above 0 and below 1"),
        ("nothing", 404, "Not Found"),
    ],
)
def test_what_is_not_there_is_said(page, dog, address, status, message):
    answer = page.get(address.format(dog=dog))
    assert (answer.status_code, message in answer.json()["error"]) == (status, True)


def test_reviewed_videos_leave_the_line_of_those_to_review(page, dog):
    assert page.get("next").json() == {"id": dog}  # its lowest score is 0.6, the goat's 0.7
    goat = page.id_of("goat.mp4")
    assert page.get(f"next?after={dog}").json() == {"id": goat}
    answer = page.post(f"videos/{dog}/reviewed", {"reviewed": True}).json()
    assert (answer["video"]["state"], answer["review"]["reviewed"]) == ("reviewed", True)
    assert page.get("next").json() == {"id": goat}
    page.post(f"videos/{goat}/reviewed", {"reviewed": True})
    assert page.get("next").json() == {"id": None}
    assert page.post(f"videos/{goat}/reviewed", {"reviewed": False}).json()["video"]["state"] == "done"


def test_a_video_whose_name_is_no_valid_utf_8_is_listed_shown_and_exported(small_clips, tmp_path, open_page):
    name = os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(small_clips / "dog.mp4", tmp_path / name)
    write_all(make_result(tmp_path / name, 3.0, [("Bark", 0.5, 1.5, "audio", 0.9)]), tmp_path / "results", ["json"])
    page = open_page(tmp_path / "results")
    (video,) = page.get("videos").json()["videos"]
    assert video["name"] == name
    assert page.get(f"videos/{video['id']}").json()["video"]["name"] == name
    for format_ in ("csv", "html"):
        answer = page.get(f"videos/{video['id']}/export?format={format_}")
        assert answer.status_code == 200, (format_, answer.text)
        assert b"Bark" in answer.content
    page.post(f"videos/{video['id']}/reviewed", {"reviewed": True})
    assert "Bark" in page.get("labels").text


def test_corrected_events_are_exported_in_every_format(page, dog, tmp_path):
    body = {"revision": 0, "events": edited(page, dog, category="Howl"), "label": "It howls"}
    page.post(f"videos/{dog}/events", body)
    formats = page.get("session").json()["formats"]
    assert {one["name"] for one in formats} == {name for name, one in FORMATS.items() if one.is_one_file}
    for one in formats:
        answer = page.get(f"videos/{dog}/export?format={one['name']}")
        assert answer.status_code == 200, answer.text
        assert f'filename="dog.{one["suffix"]}"' in answer.headers["content-disposition"]
        if FORMATS[one["name"]].text is not None:
            assert "Howl" in answer.text
            assert "Bark" not in answer.text or one["name"] == "json"  # among the scores
    assert list(page.services.uploads.folder.iterdir()) == []  # nothing is left of it here
    result = tmp_path / "a.json"
    result.write_bytes(page.get(f"videos/{dog}/export?format=json").content)
    assert [e.category for e in Localization.from_json(result).events] == ["Howl", "Music"]


def test_labels_are_what_training_reads(page, dog, small_clips, tmp_path):
    goat = page.id_of("goat.mp4")
    body = {"revision": 0, "events": edited(page, dog, category='=Dog, "big" <b>'), "label": "Rename"}
    page.post(f"videos/{dog}/events", body)
    page.post(f"videos/{goat}/events", {"revision": 0, "events": [], "label": "Nothing there"})
    path = tmp_path / "labels.csv"
    path.write_bytes(page.get("labels").content)
    read = read_annotations(path)
    assert [(e.category, e.start_seconds, e.end_seconds, e.modality) for e in read.events] == [
        ('=Dog, "big" <b>', 0.5, 1.5, "audio-visual"),
        ("Music", 1.0, 3.0, "audio"),
    ]
    labelled = read_labels(path, small_clips)
    assert {file.name for file in labelled.files.values()} == {"dog.mp4", "goat.mp4"}
    assert labelled.annotations.categories == ('=Dog, "big" <b>',)


def test_previews_are_the_localizers_decoding(page, dog):
    address = f"videos/{dog}/preview?category=Bark"
    same = page.get(address).json()["events"]
    assert [(e["start_seconds"], e["end_seconds"], e["modality"]) for e in same] == [(0.5, 1.5, "audio-visual")]
    higher = page.get(f"{address}&audio=0.95").json()["events"]
    assert [e["modality"] for e in higher] == ["visual"]


def test_names_from_outside_stay_text(open_page, small_clips, tmp_path):
    name = '"><img src=x onerror=alert(1)>'
    result = make_result(small_clips / "dog.mp4", 3.0, [(name, 0.5, 1.5, "audio-visual", 0.9)])
    write_all(result, tmp_path / "odd", ["json"], stem="a<b>")
    page = open_page(tmp_path / "odd")
    answer = page.get("videos")
    assert answer.headers["content-type"] == "application/json"
    (video,) = answer.json()["videos"]
    assert video["categories"] == [name]
    assert json.loads(page.get(f"videos/{video['id']}").text)["events"][0]["category"] == name
    assert page.client.get("/").headers["x-content-type-options"] == "nosniff"


def test_a_result_whose_video_is_gone_can_be_corrected_all_the_same(open_page, tmp_path):
    write_all(make_result(tmp_path / "gone.mp4", 3.0, [("Bark", 0, 1, "audio", 0.8)]), tmp_path / "r", ["json"])
    page = open_page(tmp_path / "r")
    id_ = page.id_of("gone.mp4")
    shown = page.get(f"videos/{id_}").json()
    assert (shown["media"]["kind"], shown["media"]["note"]) == (
        "unplayable",
        "The video is not where it was when it was localized.",
    )
    assert page.get(f"videos/{id_}/thumbnail").status_code == 404
    assert page.post(f"videos/{id_}/events", {"revision": 0, "events": [], "label": "Delete"}).status_code == 200


def test_what_avel_localize_does_meanwhile_is_seen(page, dog, small_clips, results):
    assert len(page.get(f"videos/{dog}").json()["events"]) == 2
    write_all(make_result(small_clips / "dog.mp4", 3.0, [("Howl", 0, 1, "audio", 0.8)]), results, ["json"])
    shown = page.get(f"videos/{dog}").json()
    assert [e["category"] for e in shown["events"]] == shown["video"]["categories"] == ["Howl"]
    (results / "dog.json").unlink()
    shown = page.get(f"videos/{dog}").json()
    assert (shown["events"], shown["video"]["state"]) == ([], "new")
    assert page.get(f"videos/{dog}/scores?category=Howl").status_code == 404


def test_videos_and_results_that_have_come_are_seen_when_somebody_looks_again(open_page, small_clips, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(small_clips, videos)
    page = open_page(videos)
    assert page.post("rescan").json() == {"videos": 0, "results": 0}
    shutil.copy(videos / "dog.mp4", videos / "puppy.mp4")
    for name in ("goat", "puppy"):
        found = make_result(videos / f"{name}.mp4", 3.0, [("Goat", 1.0, 2.0, "audio", 0.7)])
        write_all(found, videos / "avel-results", ["json"])
    assert page.post("rescan").json() == {"videos": 1, "results": 2}
    listed = {v["name"]: (v["state"], v["categories"]) for v in page.get("videos").json()["videos"]}
    assert listed == {"dog.mp4": ("new", []), "goat.mp4": ("done", ["Goat"]), "puppy.mp4": ("done", ["Goat"])}
    assert page.get(f"videos/{page.id_of('puppy.mp4')}").json()["events"][0]["category"] == "Goat"
    assert page.post("rescan").json() == {"videos": 0, "results": 0}


def test_a_folder_of_results_lists_each_video_once_when_somebody_looks_again(open_page, small_clips, tmp_path):
    shutil.copytree(small_clips, tmp_path / "all")
    write_all(make_result(tmp_path / "all" / "dog.mp4", 3.0, []), tmp_path / "all", ["json"])
    (tmp_path / "all" / RESULTS_JOURNAL).touch()
    page = open_page(tmp_path / "all")
    write_all(make_result(tmp_path / "all" / "goat.mp4", 3.0, []), tmp_path / "all", ["json"])
    assert page.post("rescan").json() == {"videos": 0, "results": 1}
    assert [v["name"] for v in page.get("videos").json()["videos"]] == ["dog.mp4", "goat.mp4"]


def test_a_result_that_is_damaged_is_an_error_of_its_own(open_page, results):
    text = (results / "goat.json").read_text()
    (results / "goat.json").write_text(text[: len(text) // 2])
    page = open_page(results)
    assert page.get(f"videos/{page.id_of('dog.mp4')}").status_code == 200
    answer = page.get(f"videos/{page.id_of('goat.mp4')}")
    assert (answer.status_code, "goat.json: cannot be read as a result" in answer.json()["error"]) == (422, True)

    def states():
        return {video["name"]: (video["state"], video["reason"]) for video in page.get("videos").json()["videos"]}

    assert states()["goat.mp4"] == ("failed", answer.json()["error"])  # the list names it, too
    assert states()["dog.mp4"][0] == "done"
    (results / "goat.json").write_text(text)
    assert page.get(f"videos/{page.id_of('goat.mp4')}").status_code == 200
    assert states()["goat.mp4"][0] == "done"
