import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.data import labels
from avel.data.annotations import Annotation
from avel.data.clips import LabelledVideo, WindowedVideos, overlapping_segments


def video(split="test", segments=23, *events):
    made = tuple(Annotation("a", float(start), float(end), category) for start, end, category in events)
    return LabelledVideo("a", segments, made, split)


def test_what_is_measured_has_every_segment_once():
    clips = WindowedVideos((video("test", 23), video("val", 4)), ("bark",))
    assert clips.starts.tolist() == [0, 10, 20, 0]
    assert clips.video_of.tolist() == [0, 0, 0, 1]
    assert {split: rows.tolist() for split, rows in clips.splits.items()} == {
        "train": [],
        "val": [3],
        "test": [0, 1, 2],
    }


def test_training_clips_overlap_and_the_last_one_is_full():
    clips = WindowedVideos((video("train", 23),), ("bark",))
    assert clips.starts.tolist() == [0, 5, 10, 13]
    assert WindowedVideos((video("train", 10),), ("bark",)).starts.tolist() == [0]
    assert WindowedVideos((video("train", 7),), ("bark",)).starts.tolist() == [0]
    assert WindowedVideos((video("train", 20),), ("bark",), hop_segments=10).starts.tolist() == [0, 10]
    with pytest.raises(ValueError, match="hop_segments must be from 1 to the 10 segments of a window, got 11"):
        WindowedVideos((), ("bark",), hop_segments=11)


def test_events_are_told_from_the_clips_start():
    clips = WindowedVideos((video("test", 23, (8.5, 12.0, "bark"), (20, 30, "meow")),), ("bark", "meow"))
    assert [(e.start_seconds, e.end_seconds, e.category) for e in clips.events_of(0)] == [(8.5, 10.0, "bark")]
    assert [(e.start_seconds, e.end_seconds, e.category) for e in clips.events_of(1)] == [(0.0, 2.0, "bark")]
    assert [(e.start_seconds, e.end_seconds, e.category) for e in clips.events_of(2)] == [(0.0, 10.0, "meow")]
    assert clips.classes.tolist() == [0, 0, 1]
    assert WindowedVideos((video(),), ("bark",)).classes.tolist() == [1, 1, 1]  # background


@given(
    st.lists(st.tuples(st.floats(0, 20), st.floats(0.1, 15), st.sampled_from(["bark", "meow"])), max_size=5),
    st.integers(1, 30),
    st.sampled_from(["train", "val"]),
    st.sampled_from([0.5, 1.0]),
)
def test_a_clip_has_the_labels_of_its_part_of_the_video(spans, segments, split, seconds):
    events = [(start, start + length, category) for start, length, category in spans]
    one = video(split, segments, *events)
    clips = WindowedVideos((one,), ("bark", "meow"), 7, 3, seconds)
    whole = labels.coverage(one.events, clips.categories, segments + 7, seconds)
    seen = np.zeros(segments, bool)
    for i, start in enumerate(clips.starts):
        part = labels.coverage(clips.events_of(i), clips.categories, 7, seconds)
        np.testing.assert_allclose(part, whole[start : start + 7], atol=1e-9)
        seen[start : start + 7] = True
    assert seen.all()


def test_when_one_class_is_not_enough():
    def count(*events):
        return overlapping_segments(video("test", 10, *events).events, 10)

    assert count((0, 3, "bark"), (2, 6, "meow")) == 1
    assert count((0, 3, "bark"), (3, 6, "meow")) == 0
    assert count((0, 2.5, "bark"), (2.5, 6, "meow")) == 0  # they meet within a segment
    assert count((0, 3, "bark"), (2.6, 6, "meow")) == 0  # the overlap is less than half a segment
    assert count((0, 3, "bark"), (1, 2, "bark")) == 0


@given(
    st.lists(st.tuples(st.floats(0, 40), st.floats(0.1, 30), st.sampled_from(["bark", "meow"])), max_size=6),
    st.sampled_from(["train", "val"]),
    st.sampled_from([0.1, 0.5, 1.0]),
)
def test_a_clip_has_the_events_that_reach_into_it_in_their_order(spans, split, seconds):
    events = [(start, start + length, category) for start, length, category in spans]
    videos = (video(split, 5), video(split, 31, *events), video(split, 9, *events[:1]))
    clips = WindowedVideos(videos, ("bark", "meow"), 7, 3, seconds)
    for row, (of, start) in enumerate(zip(clips.video_of, clips.starts, strict=True)):
        begin, end = start * seconds, (start + 7) * seconds
        inside = [e for e in videos[of].events if min(e.end_seconds, end) - max(e.start_seconds, begin) > 1e-6]
        assert [e.category for e in clips.events_of(row)] == [e.category for e in inside]
