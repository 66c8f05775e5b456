"""What the page is told and what it changes, by real requests on real files."""

import pytest


@pytest.fixture
def page(open_page, results):
    return open_page(results)


def test_results_are_listed(page):
    found = page.get("videos").json()
    assert [v["name"] for v in found["videos"]] == ["dog.mp4", "goat.mp4"]
    assert found["counts"]["done"] == found["total"] == 2


def test_a_video_comes_with_its_events_and_in_ranges(page, small_clips):
    id_ = page.id_of("dog.mp4")
    shown = page.get(f"videos/{id_}").json()
    assert [(e["category"], e["start_seconds"], e["end_seconds"], e["source"]) for e in shown["events"]] == [
        ("Bark", 0.5, 1.5, "localizer"),
        ("Music", 1.0, 3.0, "localizer"),
    ]
    part = page.client.get(shown["media"]["url"], headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_a_correction_is_there_after_a_restart(page, open_page, results):
    id_ = page.id_of("dog.mp4")
    shown = page.get(f"videos/{id_}").json()
    events = [{**shown["events"][0], "end_seconds": 2.0}, shown["events"][1]]
    answer = page.post(f"videos/{id_}/events", {"revision": 0, "events": events, "label": "Move Bark"}).json()
    assert answer["review"]["undo_label"] == "Move Bark"
    again = open_page(results)
    assert again.get(f"videos/{id_}").json()["events"] == answer["events"]
    undone = again.post(f"videos/{id_}/undo", {"revision": 1}).json()
    assert undone["events"] == shown["events"]
