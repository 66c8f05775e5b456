import dataclasses
import json
import math
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.events import (
    MAX_ROWS,
    Event,
    Localization,
    Segment,
    Validity,
    by_start,
    segment_bounds,
    segment_index,
    step_seconds,
)


def a_result(**changes):
    fields = {
        "video": "clip.mp4",
        "duration_seconds": 2.5,
        "segment_seconds": 1.0,
        "model": {"name": "agreement"},
        "events": (Event("Bark", 0.0, 2.0, 0.75, "audio-visual"),),
        "segments": (
            Segment(0.0, 1.0, "Bark", 0.75, {"Bark": 0.9}, {"Bark": 0.75}, Validity(True, True)),
            Segment(1.0, 2.0, "Bark", 0.6, {"Bark": 0.9}, {"Bark": 0.6}, Validity(True, True)),
            Segment(2.0, 2.5, "background", 0.9, {}, {}, Validity(True, False)),
        ),
        "warnings": ("no pictures from 2 s",),
    }
    return Localization(**{**fields, **changes})


def test_result_survives_json(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(a_result().to_json(), encoding="utf-8")
    assert Localization.from_json(path) == a_result()


def test_json_lists_only_the_top_scores():
    scores = {f"c{i}": i / 10 for i in range(10)}
    result = a_result(segments=(Segment(0, 1, "c9", 0.9, scores, {}, Validity(True, True)),))
    assert list(result.to_dict(top=2)["segments"][0]["audio_scores"]) == ["c9", "c8"]


def test_json_of_another_program_is_refused():
    with pytest.raises(ValueError, match="Not a localization result of avel"):
        Localization.from_dict({"video": "clip.mp4"})


def test_event_must_end_after_it_starts():
    with pytest.raises(ValueError, match=r"must end after it starts, got \[2.0, 2.0\)"):
        Event("Bark", 2.0, 2.0, 0.5, "audio")


def test_event_modality_is_one_of_three():
    with pytest.raises(ValueError, match="Invalid modality 'smell'. Supported values are audio-visual, audio, visual"):
        Event("Bark", 0.0, 2.0, 0.5, "smell")


def test_events_are_ordered_by_start_then_score():
    first, strong, weak = (
        Event("c", 0, 1, 0.5, "audio"),
        Event("b", 1, 2, 0.9, "audio"),
        Event("a", 1, 2, 0.5, "audio"),
    )
    assert by_start([weak, strong, first]) == (first, strong, weak)


def test_bounds_of_a_clip_with_a_short_last_segment():
    assert segment_bounds(2.5, 1.0) == [(0.0, 1.0), (1.0, 2.0), (2.0, 2.5)]


def test_bounds_are_as_a_person_writes_them():
    assert segment_bounds(0.65, 0.1)[2:] == [(0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (0.6, 0.65)]
    assert step_seconds(48, 0.1) == 4.8


def test_bounds_need_positive_lengths():
    with pytest.raises(ValueError, match="segment_seconds must be above 0"):
        segment_bounds(1.0, 0.0)
    with pytest.raises(ValueError, match="duration_seconds must be above 0"):
        segment_bounds(0.0, 1.0)


def test_time_before_zero_has_no_segment():
    with pytest.raises(ValueError, match="0 or more"):
        segment_index(-0.1, 1.0)


@given(st.integers(0, 100_000), st.sampled_from([0.2, 0.3, 0.96, 1.0, 2.5]))
def test_start_of_a_segment_belongs_to_it_in_floating_point(index, segment_seconds):
    assert segment_index(index * segment_seconds, segment_seconds) == index


@given(st.floats(0.01, 5000), st.sampled_from([0.2, 0.5, 0.96, 1.0, 7.0]))
def test_bounds_cover_the_timeline_without_gaps(duration, segment_seconds):
    bounds = segment_bounds(duration, segment_seconds)
    assert bounds[0][0] == 0
    assert bounds[-1][1] == duration
    assert all(math.isclose(a[1], b[0]) for a, b in pairwise(bounds))
    assert all(0 < end - start <= segment_seconds * (1 + 1e-5) for start, end in bounds)


def with_attention():
    attention = np.zeros((2, 2, 3), np.float32)
    attention[1, 0, 2] = 0.75
    segments = (
        Segment(0, 1, "background", 0.9, None, None, Validity(True, True), {"Bark": 0.1}),
        Segment(1, 2, "Bark", 0.75, None, None, Validity(True, False), {"Bark": 0.75}),
    )
    return a_result(segments=segments, attention=attention)


def test_attention_and_scores_go_through_json():
    result = with_attention()
    text = result.to_json()
    again = Localization.from_dict(json.loads(text))
    assert again == result
    np.testing.assert_array_equal(again.attention, result.attention)
    assert again.segments[0].audio_scores is None
    assert "[0.0, 0.0, 0.75]" in text  # a row of numbers is a line
    assert a_result().to_dict()["attention"] is None


def test_text_in_json_is_left_alone():
    result = a_result(video="[\n 1,\n 2\n]", warnings=("[\n1\n]",))
    assert Localization.from_dict(json.loads(result.to_json())) == result


@pytest.mark.parametrize(
    ("attention", "message"),
    [
        ({"rows": 10**9, "columns": 2, "segments": {}}, "an attention of 1000000000 rows and 2 columns"),
        ({"rows": True, "columns": 2, "segments": {}}, "an attention of True rows"),
        ({"rows": 1, "columns": 2, "segments": {"0": [[1]]}}, "the attention of segment 0"),
        ({"rows": 1, "columns": 2, "segments": {"2": [[0, 1]]}}, "the attention of segment 2"),
        ({"rows": 1, "columns": 2, "segments": {"0": [[0, -1]]}}, "the attention of segment 0"),
        ({"rows": 1, "columns": 2, "segments": {"0": [[0, float("nan")]]}}, "the attention of segment 0"),
        ({"rows": 1}, "Not a localization result"),
        ([1], "Not a localization result"),
    ],
)
def test_impossible_attention_is_refused(attention, message):
    data = {**with_attention().to_dict(), "attention": attention}
    with pytest.raises(ValueError, match=message):
        Localization.from_dict(data)


def test_details_go_through_json():
    details = {"gates": np.float32([0.25, 0.5]), "temporal_attention": np.float32([[0, 1, 0], [0.5, 0.5, 0]])}
    result = dataclasses.replace(with_attention(), details=details)
    data = json.loads(result.to_json())
    again = Localization.from_dict(data)
    assert list(again.details) == list(details)
    for name, rows in details.items():
        np.testing.assert_array_equal(again.details[name], rows)
    assert "details" not in with_attention().to_dict()
    for wrong, message in (
        ([1], "has shape"),
        ("x", "is no array"),
        ([[1], [1, 2]], "is no array"),
        ([1, None], "gates"),
    ):
        with pytest.raises(ValueError, match=message):
            Localization.from_dict({**data, "details": {"gates": wrong}})


def cells(result):
    """The rows of a result's table, as a parser of HTML sees them."""
    root = ElementTree.fromstring(f"<div>{result._repr_html_()}</div>")
    return root, [[cell.text for cell in row] for row in root.iter("tr")]


def test_a_notebook_shows_the_events_as_a_table():
    root, rows = cells(a_result())
    assert rows == [
        ["start", "end", "category", "score", "modality"],
        ["0.0 s", "2.0 s", "Bark", "0.75", "audio-visual"],
    ]
    assert [root.find("table/caption").text, root.find("p").text] == ["clip.mp4", "no pictures from 2 s"]


def test_a_notebook_shows_that_there_are_no_events():
    assert cells(a_result(events=()))[1][1:] == [["No events."]]


def test_names_are_text_in_a_notebook():
    event = Event('<b>Bark</b> & "howl"', 0.0, 2.0, 0.75, "audio")
    root, rows = cells(a_result(video="<b>\udcff.mp4", events=(event,), warnings=("<script>1</script>",)))
    assert rows[1][2] == event.category
    assert root.find("table/caption").text == "<b>\\udcff.mp4"
    assert {element.tag for element in root.iter()} == {
        "div",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "p",
    }


def test_a_notebook_shows_the_first_of_many_events():
    events = [Event("Bark", start, start + 1, 0.75, "audio") for start in range(MAX_ROWS + 1)]
    _, rows = cells(a_result(events=tuple(events)))
    assert len(rows) == 1 + MAX_ROWS + 1
    assert rows[-1] == ["The first 100 of 101 events."]
