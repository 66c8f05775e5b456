import contextlib
import json
from dataclasses import replace

import pytest
from hand_made_results import make_result
from hypothesis import given, settings
from hypothesis import strategies as st

from avel.data.corrections import Corrections, RevisionError, corrections_path, read_corrections
from avel.errors import AnnotationsError

RESULT = make_result("dog.mp4", 10.0)  # Bark 2 to 5, heard and seen; Goat 6 to 7, heard


@pytest.fixture
def path(tmp_path):
    return tmp_path / "dog.corrections.jsonl"


def plain(corrections):
    return [(e.category, e.start_seconds, e.end_seconds, e.modality) for e in corrections.events]


def changed(corrections, number, **fields):
    """All events, one of them with other fields."""
    events = [event.to_dict() for event in corrections.events]
    events[number] |= fields
    return events


def test_nothing_is_written_before_something_is_changed(path):
    corrections = Corrections(path, RESULT)
    assert plain(corrections) == [("Bark", 2.0, 5.0, "audio-visual"), ("Goat", 6.0, 7.0, "audio")]
    assert [e.source for e in corrections.events] == ["localizer"] * 2
    corrections.edit(changed(corrections, 0), "Nothing", 0)
    corrections.review(False)
    assert (corrections.revision, corrections.corrected, path.exists()) == (0, False, False)


def test_every_step_is_there_after_a_restart_and_can_be_undone_to_the_beginning(path):
    first = Corrections(path, RESULT)
    first.edit(changed(first, 0, end_seconds=4.25), "Move Bark", 0)
    first.edit(
        [*changed(first, 0), {"start_seconds": 8, "end_seconds": 9, "category": "Cat", "modality": "visual"}],
        "Add Cat",
        1,
    )
    first.edit(changed(first, 1, category="Sheep"), "Goat is a sheep", 2)
    first.undo(3)
    first.review(True)

    again = Corrections(path, replace(RESULT, events=()))  # what a localizer says later does not count any more
    assert plain(again) == [
        ("Bark", 2.0, 4.25, "audio-visual"),
        ("Goat", 6.0, 7.0, "audio"),
        ("Cat", 8.0, 9.0, "visual"),
    ]
    assert (again.revision, again.reviewed, again.undo_label, again.redo_label) == (
        4,
        True,
        "Add Cat",
        "Goat is a sheep",
    )
    again.redo(4)
    assert [(e.category, e.score, e.source) for e in again.events] == [
        ("Bark", 0.9, "person"),  # its time was changed, and what it is called is as sure as before
        ("Sheep", None, "person"),
        ("Cat", None, "person"),
    ]
    for revision in (5, 6, 7):
        again.undo(revision)
    assert plain(again) == plain(Corrections(path.with_name("other"), RESULT))
    assert (again.corrected, again.undo_label, again.redo_label) == (False, None, "Move Bark")
    again.edit(changed(again, 1, modality="audio-visual"), "Seen too", 8)
    assert again.redo_label is None
    with pytest.raises(ValueError, match="nothing to redo"):
        again.redo(9)


def test_an_event_that_is_put_back_is_the_localizers_again(path):
    corrections = Corrections(path, RESULT)
    corrections.edit(changed(corrections, 0, end_seconds=4.0), "Move", 0)
    corrections.undo(1)
    assert corrections.events[0].source == "localizer"


def test_two_windows_do_not_overwrite_each_other(path):
    one, other = Corrections(path, RESULT), Corrections(path, RESULT)  # as two servers have them
    one.edit(changed(one, 0, end_seconds=4.0), "Move", 0)
    with pytest.raises(RevisionError):
        one.edit(changed(one, 0, end_seconds=3.0), "Move again", 0)
    with pytest.raises(RevisionError):
        other.edit(changed(other, 0, end_seconds=3.0), "Move", 0)
    assert plain(other) == plain(one)  # it has looked
    other.edit(changed(other, 0, end_seconds=3.0), "Move", 1)
    with pytest.raises(RevisionError):
        one.undo(1)
    assert plain(one)[0] == ("Bark", 2.0, 3.0, "audio-visual")


def test_what_a_killed_process_left_is_the_state_before_or_after_a_step(path, tmp_path):
    """Wherever the file ends, it is what some step came to, and work goes on from there."""
    corrections = Corrections(path, RESULT)
    states = {path.stat().st_size if path.exists() else 0: plain(corrections)}
    steps = [
        lambda: corrections.edit(changed(corrections, 0, end_seconds=4.0), "Move \u00e9", 0),
        lambda: corrections.edit(changed(corrections, 1)[:1], "Delete Goat", 1),
        lambda: corrections.undo(2),
        lambda: corrections.review(True),
    ]
    for step in steps:
        step()
        states[path.stat().st_size] = plain(corrections)
    data = path.read_bytes()
    first = min(size for size in states if size)  # the file itself is made whole or not at all
    cut = tmp_path / "cut.corrections.jsonl"
    for size in range(first, len(data) + 1):
        cut.write_bytes(data[:size])
        left = Corrections(cut, RESULT)
        assert plain(left) == states[max(end for end in states if end <= size)]
        if size % 7 == 0:
            revision = left.revision
            left.edit(changed(left, 0, start_seconds=1.0), "Go on", revision)
            again = Corrections(cut, RESULT)
            assert (plain(again), again.revision) == (plain(left), revision + 1)


times = st.integers(0, 99).map(lambda tenths: tenths / 10)
spans = st.lists(
    st.tuples(
        st.sampled_from(["Bark", "Cat", 'e, "x" <b>']), times, st.sampled_from(["audio", "visual", "audio-visual"])
    ),
    max_size=4,
)
actions = st.lists(st.one_of(spans, st.sampled_from(["undo", "redo"])), max_size=12)


@settings(max_examples=40)
@given(actions)
def test_undo_and_redo_are_those_of_any_editor(tmp_path_factory, todo):
    path = tmp_path_factory.mktemp("any") / "a.corrections.jsonl"
    corrections = Corrections(path, RESULT)
    history, at = [plain(corrections)], 0
    for action in todo:
        if action == "undo":
            if at:
                corrections.undo(corrections.revision)
                at -= 1
        elif action == "redo":
            if at + 1 < len(history):
                corrections.redo(corrections.revision)
                at += 1
        else:
            before = corrections.revision
            corrections.edit(
                [
                    {"start_seconds": start, "end_seconds": start + 0.1, "category": name, "modality": modality}
                    for name, start, modality in action
                ],
                "Edit",
                before,
            )
            if corrections.revision > before:
                history, at = [*history[: at + 1], plain(corrections)], at + 1
        assert plain(corrections) == history[at]
    assert plain(Corrections(path, RESULT)) == history[at]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"end_seconds": 2.0}, "must end after it starts and lie within the 10 s"),
        ({"start_seconds": -1}, "lie within the 10 s"),
        ({"end_seconds": 10.2}, "lie within the 10 s"),
        ({"end_seconds": float("nan")}, "end_seconds must be a number of seconds"),
        ({"start_seconds": "2"}, "start_seconds must be a number of seconds, got '2'"),
        ({"category": " "}, "The category of an event is a text"),
        ({"category": "x" * 201}, "at most 200 characters, got 201"),
        ({"category": "a\x1b[2J"}, r"control characters: U\+001B"),
        ({"category": "background"}, "Delete the event instead"),
        ({"modality": "smell"}, "Invalid modality 'smell'. Supported values are"),
        ({"id": "../x"}, "letters, digits"),
        ({"id": "e1"}, "'e1' is there twice"),
    ],
)
def test_impossible_events_are_refused_and_nothing_is_written(path, fields, message):
    corrections = Corrections(path, RESULT)
    with pytest.raises(ValueError, match=message):
        corrections.edit(changed(corrections, 0, **fields), "Edit", 0)
    assert not path.exists()


def test_a_player_may_round_the_end_of_the_video(path):
    corrections = Corrections(path, RESULT)
    corrections.edit(changed(corrections, 1, end_seconds=10.03), "To the end", 0)
    assert corrections.events[1].end_seconds == 10.0


def test_a_damaged_line_is_an_error_that_names_it_and_changes_nothing(path):
    corrections = Corrections(path, RESULT)
    corrections.edit(changed(corrections, 0, end_seconds=4.0), "Move", 0)
    corrections.undo(1)
    lines = path.read_text().splitlines()
    damaged = "\n".join([lines[0], "{}", lines[2]]) + "\n"
    path.write_text(damaged)
    with pytest.raises(AnnotationsError, match=r"dog.corrections.jsonl: line 2 is not one of avel's corrections"):
        Corrections(path, RESULT)
    step = json.loads(lines[1])
    step["removed"][0]["end_seconds"] = 6.0
    path.write_text("\n".join([lines[0], json.dumps(step)]) + "\n")
    with pytest.raises(AnnotationsError, match="is not as it is said to be"):
        read_corrections(path)


@pytest.mark.parametrize(
    "fields",
    [
        {"end_seconds": 2.0},
        {"start_seconds": float("nan")},
        {"end_seconds": float("inf")},
        {"category": "background"},
        {"score": 1.5},
        {"modality": "smell"},
        {"id": 3},
        {"events": "none"},
    ],
)
def test_a_journal_of_anybody_is_read_with_care(path, fields):
    Corrections(path, RESULT).review(True)
    head, step = path.read_text().splitlines()
    content = json.loads(head)
    (content if "events" in fields else content["events"][0]).update(fields)
    path.write_text(f"{json.dumps(content)}\n{step}\n")
    with pytest.raises(AnnotationsError, match="line 1 is not one of avel's corrections"):
        read_corrections(path)


def fill(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def move_often(corrections):
    for number in range(100):
        corrections.edit(changed(corrections, 0, end_seconds=4.5 + number / 100), "Move " + "x" * 150, number + 1)


def test_a_full_disk_loses_no_step_and_says_so(small_disk):
    path = small_disk / "dog.corrections.jsonl"
    corrections = Corrections(path, RESULT)
    corrections.edit(changed(corrections, 0, end_seconds=4.0), "Move", 0)
    before = path.read_bytes()
    fill(small_disk / "more")
    with pytest.raises(AnnotationsError, match=r"the disk is full.*Nothing of the change was saved"):
        move_often(corrections)
    kept = Corrections(path, RESULT)
    assert path.read_bytes().startswith(before)
    assert (plain(kept), kept.revision) == (plain(corrections), corrections.revision)


def test_the_summary_of_a_journal(path, tmp_path):
    assert corrections_path(tmp_path / "sub" / "dog.v2.json") == tmp_path / "sub" / "dog.v2.corrections.jsonl"
    assert read_corrections(path) is None
    corrections = Corrections(path, RESULT)
    corrections.review(True)
    found = read_corrections(path)
    assert (found.reviewed, found.corrected, found.events) == (True, False, RESULT.events)
    corrections.edit([], "Delete all", 0)
    assert read_corrections(path).events == ()
    applied = corrections.applied_to(RESULT)
    assert (applied.events, applied.segments, applied.model["corrected"]["reviewed"]) == ((), RESULT.segments, True)
