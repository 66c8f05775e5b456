import pytest

from avel.data.annotations import Annotation
from avel.data.truth import Truth, joined, read_truth
from avel.errors import AnnotationsError


def event(start, end, category="bark", video="a"):
    return Annotation(video, start, end, category)


def test_a_video_is_found_by_its_name_and_where_several_have_it_by_its_folders():
    one, other, third = (event(0, 1),), (event(1, 2),), ()
    truth = Truth("labels.csv", {"morning/cat.mp4": one, "evening/cat": other, "dog": third})
    assert truth.of("/videos/morning/cat.mkv") == one
    assert truth.of("evening/cat.mp4") == other
    assert truth.of("anywhere/dog.mp4") == ()
    assert truth.of("bird.mp4") is None
    with pytest.raises(AnnotationsError, match=r"labels.csv: has several videos called 'cat', and none by the path"):
        truth.of("noon/cat.mp4")


def test_events_that_are_only_heard_are_no_truth(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("video,start_seconds,end_seconds,category,modality\na,0,1,bark,audio\na,2,3,bark,audio-visual\n")
    assert [e.start_seconds for e in read_truth(path).of("a.mp4")] == [2]


def test_events_that_touch_are_one():
    events = [event(4, 5), event(0, 2), event(1, 3), event(5, 6), event(0, 1, "bell")]
    assert joined(events) == {"bark": [(0, 3), (4, 6)], "bell": [(0, 1)]}
