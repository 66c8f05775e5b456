import json
import shutil
import subprocess
import sys

import h5py
import numpy as np
import pytest
from ave_copy import ROWS, spoil_rows

from avel.data.ave import dataset as ave
from avel.data.ave.check import check
from avel.data.ave.hdf5 import write_order, write_rows
from avel.errors import AnnotationsError


def findings(folder, severity=None) -> list[str]:
    return [f"{f.file}: {f.message}" for f in check(folder).findings if severity in (None, f.severity)]


def test_report_on_the_published_files(shared):
    report = check(shared / "data" / "ave")
    assert report.ok
    assert (report.num_rows, report.num_videos, report.num_categories) == (4143, 4097, 28)
    assert report.has_header is False
    text = "\n".join(report.lines())
    for line in (
        "4143 rows, 4097 videos, 28 event categories (Annotations.txt without header)",
        "45 videos are in several rows, and 47 pairs of such rows overlap in time.",
        "1 row (26) is without an event",
        "18 videos (",
        "66.4% of the rows have their event in the whole video.",
        "test_order.h5: the same 402 rows as testSet.txt, in the same order.",
        "labels_closs.h5: all 4143 rows as Annotations.txt says.",
        "mil_labels.h5: all 4143 rows as Annotations.txt says.",
        "test_order_match.h5: 402 rows of 28 categories; 0 have no event or one in the whole video",
        "val_order_match.h5: 402 rows of 3 categories;",
        "always background                         17.8%",
        "cross-modal, always the last window       46.8%",
        "training on the published visual features: visual_feature.h5 is not here",
    ):
        assert line in text
    assert report.arrays["labels_closs.h5"] == "4143 x 10 float32"
    assert json.loads(json.dumps(report.to_dict()))["ok"] is True


def test_a_header_does_not_shift_the_rows(shared, tmp_path):
    folder = shared / "data" / "ave"
    for path in folder.iterdir():
        if path.name != "Annotations.txt":
            (tmp_path / path.name).symlink_to(path)
    rows = (folder / "Annotations.txt").read_text()
    (tmp_path / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + rows)
    assert ave.load(tmp_path).rows == ave.load(folder).rows
    report = check(tmp_path)
    assert report.ok
    assert report.has_header
    assert report.anchors == check(folder).anchors
    assert "labels_closs.h5: all 4143 rows as Annotations.txt says." in findings(tmp_path)


def test_a_sound_copy(copy):
    report = check(copy)
    assert report.ok, report.lines()
    assert report.splits == {"train": 2, "val": 1, "test": 2}
    assert report.match_splits == {"train": 1, "val": 0, "test": 2}
    assert report.arrays["visual_feature.h5"] == "5 x 10 x 4 x 4 float32"
    assert (
        "Annotations.txt: 5 rows of 4 videos; the published one has 4143 of 4097, so numbers on this one are not"
        in ("\n".join(findings(copy, "info")))
    )
    # test rows 4 and 1: 7-10 and 2-5
    assert report.anchors == ave.Anchors(pytest.approx(0.7), pytest.approx(0.3), pytest.approx(1 / 8), 0.5)
    assert report.not_possible == ("extracting features, or watching a result: no video files in AVE/",)


def test_a_set_with_categories_of_its_own_numbers_them_by_first_appearance(copy):
    (copy / "Annotations.txt").write_text("\n".join(["Xylophone&eee&bad&0&10", *ROWS[1:]]))
    for split in ave.SPLITS:
        (copy / ave.SPLIT_FILES[split]).unlink()
    assert ave.load(copy).categories == ("Xylophone", "Bark", "Cat", "Mandolin")
    warnings = "\n".join(findings(copy))
    assert (
        "1 category (Xylophone) is not among AVE's 28; classes are numbered in order of first appearance." in warnings
    )
    assert "rows not marked 'good': bad 1." in warnings
    assert "labels.h5: has shape (5, 10, 29); Annotations.txt asks for (5, 10, 5)." in warnings


def test_files_may_lie_where_the_archives_put_them(copy, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "AVE_Dataset").mkdir()
    (root / "data").mkdir()
    for path in copy.iterdir():
        shutil.move(path, root / ("data" if path.suffix == ".h5" else "AVE_Dataset"))
    assert check(root).ok
    assert len(ave.load(root).splits) == 3


def test_an_empty_folder_says_what_cannot_be_done(tmp_path):
    report = check(tmp_path)
    assert report.ok
    assert report.has_header is None
    assert report.anchors == ave.Anchors()
    text = "\n".join(report.lines())
    assert "Annotations.txt missing" in text
    assert "labels, categories and checks of the other files: Annotations.txt is not here" in text
    assert "the val split: neither val_order.h5 nor valSet.txt is here" in text
    assert "the val split of cross-modality localization: val_order_match.h5 is not here" in text
    assert "background clips 'noisy' for weak supervision: audio_feature_noisy.h5 is not here" in text
    assert "always background                         not known" in text
    with pytest.raises(AnnotationsError, match=r"no Annotations.txt here, in data/ or in AVE_Dataset/"):
        ave.load(tmp_path)


@pytest.mark.parametrize(
    "missing", ["Annotations.txt", "test_order.h5", "test_order_match.h5", "labels.h5", "*.txt", "*.h5"]
)
def test_any_part_may_be_missing(copy, missing):
    for path in list(copy.glob(missing)):
        path.unlink()
    report = check(copy)
    assert report.ok, report.lines()
    assert (report.anchors.always_background is None) == (missing in ("Annotations.txt", "*.txt"))
    assert (report.anchors.last_window is None) == (missing != "test_order.h5" and missing != "labels.h5")


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(AnnotationsError, match=r"nothing: no such folder. Give the folder that holds Annotations.txt."):
        check(tmp_path / "nothing")


def repeat_row(copy):
    (copy / "Annotations.txt").write_text("\n".join([*ROWS[:4], "Bark&bbb&good&7&9"]))
    write_order(copy / "test_order.h5", [1, 4])
    (copy / "testSet.txt").write_text("\n".join([ROWS[1], "Bark&bbb&good&7&9"]))


def text(name, content):
    return lambda copy: (copy / name).write_text(content)


def order(name, rows):
    return lambda copy: write_order(copy / name, rows)


def array(name, values):
    return lambda copy: write_rows(copy / name, values, len(values))


def value(name, index, number):
    def change(copy):
        with h5py.File(copy / name, "r+") as file:
            file["avadataset"][index] = number

    return change


def leak(copy):
    write_order(copy / "train_order.h5", [0])
    write_order(copy / "val_order.h5", [2, 3])


NO_ROW = "Annotations.txt: line 3 is not a row: 2 fields; a row is Category&VideoID&Quality&Start&End."
ONE_MORE = "mil_labels.h5: 6 rows, but Annotations.txt has 5. A header may have been taken for a row"
OTHER_COPY = "mil_labels.h5: 4 rows, but Annotations.txt has 5. They are not of one copy."
NO_RELU = "audio_feature.h5: holds negative values; the published features are taken after a ReLU"
SPOILED = [
    (spoil_rows, "error", NO_ROW),
    (spoil_rows, "error", "Annotations.txt: lines that are no rows: 1. Rows and features do not match; get the file"),
    (text("Annotations.txt", ""), "error", "Annotations.txt: has no row. Get the file again."),
    (lambda copy: (copy / "Annotations.txt").write_bytes(b"\xff"), "error", "is not UTF-8 text"),
    (repeat_row, "warning", "Annotations.txt: 1 video (bbb) is in several rows of one category."),
    (leak, "warning", "*_order.h5: 1 video (aaa) is in two splits, so test is not quite unseen."),
    (order("test_order.h5", [4, 9]), "error", "test_order.h5: holds row 9, but Annotations.txt has rows 0-4."),
    (text("test_order.h5", "x"), "error", "test_order.h5: not a readable HDF5 file"),
    (order("test_order.h5", [1, 4]), "info", "test_order.h5: the same 2 rows as testSet.txt, in another order."),
    (order("test_order.h5", [4]), "warning", "test_order.h5: rows in only one of it and testSet.txt: 1."),
    (order("test_order.h5", [4]), "warning", "*_order.h5: rows in no split: 1."),
    (order("test_order.h5", [4, 2]), "error", "test_order.h5: 1 row (2) is also in train_order.h5."),
    (order("test_order_match.h5", [2]), "error", "test_order_match.h5: 1 row (2) is also in train_order_match.h5."),
    (order("test_order_match.h5", [2]), "info", "test_order_match.h5: 1 of its rows are in train_order.h5:"),
    (order("test_order_match.h5", [0, 1]), "warning", "test_order_match.h5: 2 rows of 2 categories; 1 has no event"),
    (text("testSet.txt", "Bark&zzz&good&0&10"), "error", "testSet.txt: 1 row (zzz) is not in Annotations.txt."),
    (text("testSet.txt", "Bark"), "error", "testSet.txt, line 1: 1 fields; a row is"),
    (value("labels_closs.h5", (1, 0), 1), "warning", "labels_closs.h5: 1 row (1) is not as Annotations.txt says."),
    (value("labels.h5", np.s_[0:3, 0, 5], 1), "warning", "labels.h5: 3 rows (0, 1, 2) are not as Annotations.txt"),
    (value("prob_label.h5", (1, 2), 0.4), "warning", "prob_label.h5: 1 row (1) is not as Annotations.txt says."),
    (array("mil_labels.h5", np.zeros((6, 29))), "error", ONE_MORE),
    (array("mil_labels.h5", np.zeros((4, 29))), "error", OTHER_COPY),
    (array("mil_labels.h5", np.zeros((5, 28))), "error", "mil_labels.h5: has shape (5, 28); Annotations.txt asks for"),
    (value("labels_noisy.h5", (1, 0), 1), "warning", "labels_noisy.h5: 1 clip (1) is not labelled background."),
    (array("labels_noisy.h5", np.eye(29)[[28] * 4]), "error", "*_noisy.h5: do not have the same number of clips: lab"),
    (value("audio_feature.h5", (1, 0, 0), np.nan), "error", "audio_feature.h5: holds NaN or infinite values."),
    (value("audio_feature.h5", ..., 0), "error", "audio_feature.h5: the rows looked at are all zeros."),
    (value("audio_feature.h5", 0, -1), "info", NO_RELU),
    (array("audio_feature.h5", np.ones((5, 9, 4))), "error", "audio_feature.h5: has 9 segments a row; AVE has 10."),
    (text("visual_feature.h5", "x"), "error", "visual_feature.h5: not a readable HDF5 file"),
]


@pytest.mark.parametrize(("spoil", "severity", "message"), SPOILED, ids=[message[:60] for _, _, message in SPOILED])
def test_what_is_wrong_is_found(copy, spoil, severity, message):
    assert not any(message in found for found in findings(copy, severity))
    spoil(copy)
    assert any(message in found for found in findings(copy, severity)), findings(copy)
    assert check(copy).ok == (not findings(copy, "error"))


@pytest.mark.parametrize("name", ["labels.h5", "labels_noisy.h5", "audio_feature.h5"])
def test_damaged_numbers_are_found(copy, name):
    with h5py.File(copy / name) as file:
        values = file["avadataset"][:]
    with h5py.File(copy / name, "w") as file:
        data = file.create_dataset("avadataset", data=values, chunks=(1, *values.shape[1:]), fletcher32=True)
        start = data.id.get_chunk_info(0).byte_offset
    content = bytearray((copy / name).read_bytes())
    content[start + 1] ^= 0xFF
    (copy / name).write_bytes(content)
    assert any("row 0 cannot be read" in found for found in findings(copy, "error"))


# With videos and features


def test_videos_are_looked_at(copy, shared, event_clips, odd_files):
    pytest.importorskip("avel.media.reader")
    (copy / "AVE").mkdir()
    clip = next(path for path in sorted(event_clips.glob("*.mp4")))
    for name, source in (("aaa", clip), ("bbb", odd_files / "one_second.mp4"), ("zzz", clip)):
        shutil.copy(source, copy / "AVE" / f"{name}.mp4")
    shutil.copy(odd_files / "testsrc2_vp8.webm", copy / "AVE" / "ddd.webm")
    (copy / "AVE" / "ccc.mp4").write_text("not a video")
    seen = []
    report = check(copy, progress=lambda done, total: seen.append((done, total)))
    assert report.videos_found == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    by_file = {f.file: f for f in report.findings if f.file.startswith("AVE/")}
    assert "shorter than 10 s; the segments after its end are padding." in by_file["AVE/bbb.mp4"].message
    assert by_file["AVE/ccc.mp4"].severity == "error"
    assert any(f.file == "AVE/ddd.webm" and f.message == "has no audio track." for f in report.findings)
    assert by_file["AVE/"].message == "video files in no row: 1."
    (copy / "AVE" / "bbb.mp4").unlink()
    shutil.copy(next((shared / "data" / "audio" / "ESC-10").rglob("*.ogg")), copy / "AVE" / "ccc.mp4")
    shutil.copy(odd_files / "no_duration.webm", copy / "AVE" / "ddd.webm")
    assert {"AVE/ccc.mp4: has no video track.", "AVE/ddd.webm: does not say how long it is."} <= {*findings(copy)}
    assert "AVE/: 1 video (bbb) is missing; rows of theirs have no features of yours." in findings(copy, "warning")


@pytest.mark.slow
def test_a_composed_set_is_sound(shared, tmp_path):
    compose = [sys.executable, str(shared / "bench" / "compose.py"), str(tmp_path), "--clips", "60"]
    subprocess.run(compose, check=True, capture_output=True)
    report = check(tmp_path)
    assert report.ok, report.lines()
    text = "\n".join(report.lines())
    for name in ("labels.h5", "labels_closs.h5", "mil_labels.h5", "prob_label.h5"):
        assert f"{name}: all {report.num_rows} rows as Annotations.txt says." in text
    assert report.anchors.last_window is not None
