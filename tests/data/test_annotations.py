import pytest

from avel.data.annotations import Annotation, AnnotationSet


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("", 0, 1, "Bark"), "The video has no name."),
        (("a", float("nan"), 1, "Bark"), r"Times must be finite, got \[nan, 1\)"),
        (("a", -1, 1, "Bark"), "The event starts at -1 s. Times must be 0 or more."),
        (("a", 5, 3, "Bark"), "The event ends at 3 s but starts at 5 s. An event must end after it starts."),
        (("a", 0, 1, ""), "The event has no category."),
        (("a", 0, 1, "background"), "'background' is where no event is"),
        (("a", 0, 1, "Bark", "dev"), "Unknown split 'dev'. Supported splits are train, val, test."),
    ],
)
def test_an_impossible_annotation_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Annotation(*values)


def test_set_of_videos_with_several_none_and_overlapping_events():
    found = AnnotationSet(
        events=(
            Annotation("b", 0, 5, "Bark", "test"),
            Annotation("a", 1, 2, "Cat"),
            Annotation("b", 4, 6, "Cat", "test"),
        ),
        categories=("Bark", "Cat"),
        videos_without_event={"c": "train", "d": "test"},
    )
    assert found.videos == ("b", "a", "c", "d")
    assert (found.num_categories, found.num_classes) == (2, 3)
    assert {video: len(events) for video, events in found.by_video().items()} == {"b": 2, "a": 1, "c": 0, "d": 0}
    assert found.in_split("test").videos == ("b", "d")
    assert found.in_split("train").videos == ("c",)
    assert found.in_split("val").categories == ("Bark", "Cat")
    with pytest.raises(ValueError, match="Unknown split 'dev'"):
        found.in_split("dev")
