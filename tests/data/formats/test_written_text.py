"""Formats that other programs read, and some that are read back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import events, expected, read_back, rounded_spans, with_events

from avel.data.formats import chapters, events_json, raven, table, textgrid


@given(st.lists(events(), max_size=5))
def test_raven_is_read_back(tmp_path_factory, found):
    _, back = read_back(tmp_path_factory.mktemp("r"), "clip.selections.txt", raven.text(with_events(found)))
    assert rounded_spans(back, 5) == expected(found, 5)
    assert back.videos == ("clip",)


@given(st.lists(events(), max_size=5))
def test_textgrids_are_read_back(tmp_path_factory, found):
    _, back = read_back(tmp_path_factory.mktemp("t"), "clip.TextGrid", textgrid.text(with_events(found)))
    assert rounded_spans(back, 5) == expected(found, 5)


@given(st.lists(events(), max_size=5))
def test_tables_with_clock_times_are_read_back(tmp_path_factory, found):
    _, back = read_back(tmp_path_factory.mktemp("c"), "clip.csv", table.clock_text(with_events(found)))
    assert [s[1:3] for s in rounded_spans(back, 3)] == [s[1:3] for s in expected(found, 3)]
    assert {event.modality for event in back.events} == {event.modality for event in found}


def test_json_lines(result):
    first, second = map(json.loads, events_json.lines_text(result).splitlines())
    assert first["category"] == "Bark"
    assert (second["start_seconds"], second["end_seconds"], second["modality"]) == (6.0, 7.0, "audio")


def test_the_shape_of_azure_video_indexer(make):
    both = [
        ("Bark", 2.0, 5.25, "audio-visual", 0.9),
        ("Bark", 6.0, 7.0, "audio", 0.6),
        ("Cat", 6.0, 7.0, "visual", 0.6),
    ]
    (effect,) = json.loads(events_json.azure_text(make(events=both)))["videos"][0]["insights"]["audioEffects"]
    assert effect["type"] == "Bark"
    assert [(i["start"], i["end"]) for i in effect["instances"]] == [
        ("00:00:02.000", "00:00:05.250"),
        ("00:00:06.000", "00:00:07.000"),
    ]


@pytest.mark.parametrize(
    ("found", "lines"),
    [
        ([], ["0:00 No event"]),
        ([("Bark", 2.4, 5.0), ("Goat", 5.2, 70.0)], ["0:00 No event", "0:02 Bark", "0:05 Goat", "1:10 No event"]),
        ([("Bark", 0.0, 100.0), ("Goat", 60.0, 70.0)], ["0:00 Bark", "1:00 Goat"]),
    ],
)
def test_youtube_chapters_start_at_0(make, found, lines):
    made = make(duration_seconds=100.0, events=[(*one, "audio-visual", 0.5) for one in found])
    assert chapters.youtube_text(made).splitlines() == lines
