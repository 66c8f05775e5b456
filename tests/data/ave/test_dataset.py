import numpy as np
import pytest
from ave_copy import spoil_rows

from avel.data.annotations import Annotation
from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import AveArray, write_order
from avel.errors import AnnotationsError, FeaturesError

# The published files


def test_categories_are_those_of_the_published_file_in_order_of_first_appearance(shared):
    data = ave.load(shared / "data" / "ave")
    assert tuple(dict.fromkeys(row.category for row in data.rows)) == ave.CATEGORIES == data.categories
    assert (data.num_categories, data.num_classes) == (28, 29)


def test_regenerated_labels_are_the_published_ones(shared):
    folder = shared / "data" / "ave"
    data = ave.load(folder)
    published = {name: AveArray(folder / f"{name}.h5", ndim=2).load() for name in ("labels_closs", "mil_labels")}
    np.testing.assert_array_equal(data.event_segments(), published["labels_closs"])
    np.testing.assert_array_equal(data.video_labels(), published["mil_labels"])
    labels = data.segment_labels()
    assert labels.shape == (4143, 10, 29)
    assert labels.dtype == np.float32
    assert (labels.sum(-1) == 1).all()
    np.testing.assert_allclose(data.video_labels("proportion"), labels.mean(1), atol=1e-6)
    empty = 26
    assert labels[empty, :, 28].all()
    assert data.video_labels()[empty].argmax() == ave.CATEGORIES.index("Church bell")


def test_splits_come_from_order_files_else_from_lists(shared, tmp_path):
    folder = shared / "data" / "ave"
    data = ave.load(folder)
    assert {split: len(rows) for split, rows in data.splits.items()} == ave.PUBLISHED_SPLITS
    assert {split: len(rows) for split, rows in data.match_splits.items()} == ave.PUBLISHED_SPLITS
    for name in ("Annotations.txt", *ave.SPLIT_FILES.values()):
        (tmp_path / name).symlink_to(folder / name)
    listed = ave.load(tmp_path)
    for split, rows in data.splits.items():
        np.testing.assert_array_equal(listed.splits[split], rows)
    assert listed.match_splits == {}


def test_anchors_are_the_published_ones(shared):
    found = ave.anchors(ave.load(shared / "data" / "ave"))
    assert f"{found.always_background:.1%}" == "17.8%"
    assert f"{found.whole_video:.1%}" == "82.2%"
    assert f"{found.random_start:.1%}" == "20.8%"
    assert f"{found.last_window:.1%}" == "46.8%"


def test_rows_as_annotations_of_videos(shared):
    found = ave.load(shared / "data" / "ave").annotations()
    assert len(found.events) == 4142
    assert len(found.videos) == 4097
    assert len(found.in_split("test").events) == 402
    assert found.videos_without_event == {"VWi2ENBuTbw": "train"}
    several = found.by_video()["0f_iTO5t3hU"]
    assert {event.category for event in several} == {"Ukulele", "Banjo", "Mandolin"}


# A copy made here


def test_labels_by_hand(copy):
    data = ave.load(copy)
    assert len(data) == 5
    assert data.classes.tolist() == [0, 2, 2, 22, 27]
    assert data.spans.tolist() == [[0, 10], [2, 5], [6, 8], [0, 0], [7, 10]]
    assert data.segment_labels().argmax(-1)[1].tolist() == [28, 28, 2, 2, 2, 28, 28, 28, 28, 28]
    assert data.event_segments()[2].tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    assert data.video_labels("proportion")[4, [27, 28]].tolist() == pytest.approx([0.3, 0.7])
    assert data.events_of(1) == (Annotation("bbb", 2, 5, "Bark"),)
    assert data.events_of(3) == ()
    with pytest.raises(ValueError, match="Unknown protocol 'mean'. Supported protocols are one-hot, proportion."):
        data.video_labels("mean")


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (spoil_rows, AnnotationsError, "Annotations.txt, line 3: 2 fields; a row is"),
        (lambda c: (c / "Annotations.txt").write_text("\n"), AnnotationsError, "Annotations.txt: has no row. A row is"),
        (
            lambda c: write_order(c / "val_order.h5", [5]),
            AnnotationsError,
            "val_order.h5: holds row 5, but Annotations",
        ),
        (lambda c: (c / "val_order.h5").write_text("x"), FeaturesError, "val_order.h5: not a readable HDF5 file"),
    ],
)
def test_load_refuses_what_it_cannot_use(copy, spoil, error, message):
    spoil(copy)
    with pytest.raises(error, match=message):
        ave.load(copy)
