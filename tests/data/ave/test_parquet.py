"""Small files of the form of the hub's copy of AVE: its columns, and the names of labels as `datasets` writes them."""

import json

import pytest

from avel.cli.main import app
from avel.data.annotations import VideoLabels
from avel.data.ave.dataset import CATEGORIES
from avel.data.ave.parquet import HubSample, check_hub, extract_hub, read_hub, retrieval_split
from avel.data.formats.table import read_video_labels
from avel.errors import AnnotationsError

pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed (pip install 'avel[parquet]')")
from pyarrow import parquet  # noqa: E402

NAMES = sorted(CATEGORIES)
ROWS = {
    "train-00000-of-00002": [("Church bell", "abc-_1", 0, b"one"), ("Bark", "def", 3, b"two")],
    "train-00001-of-00002": [("Truck", "abc-_1", 2, b"one")],
    "test-00000-of-00001": [("Violin, fiddle", "ghi", 0, b"three")],
}
ANNOTATIONS = "Church bell&abc-_1&good&0&10\nBark&def&good&2&9\nTruck&abc-_1&good&2&4\nGoat&jkl&good&0&10\n"


def write_shard(path, rows, names=NAMES, **columns):
    label = [names.index(category) for category, *_ in rows]
    table = pyarrow.table(
        {
            "video": [{"bytes": data, "path": f"{video}.mp4"} for _, video, _, data in rows],
            "audio": [{"bytes": b"sound", "path": f"{video}.wav"} for _, video, *_ in rows],
            "label": label,
            "youtube_id": [video for _, video, *_ in rows],
            "start_seconds": pyarrow.array([start for *_, start, _ in rows], pyarrow.int32()),
        }
        | columns
    )
    features = {"label": {"names": names, "_type": "ClassLabel"}, "video": {"_type": "Video"}}
    said = json.dumps({"info": {"features": features}})
    parquet.write_table(table.replace_schema_metadata({b"huggingface": said.encode()}), path)


@pytest.fixture
def hub(tmp_path):
    folder = tmp_path / "hub"
    (folder / "data").mkdir(parents=True)
    for name, rows in ROWS.items():
        write_shard(folder / "data" / f"{name}.parquet", rows)
    return folder


def test_rows_have_the_names_of_their_labels(hub):
    assert read_hub(hub) == [
        HubSample("ghi", "Violin, fiddle", 0, "test", NAMES.index("Violin, fiddle")),
        HubSample("abc-_1", "Church bell", 0, "train", NAMES.index("Church bell")),
        HubSample("def", "Bark", 3, "train", NAMES.index("Bark")),
        HubSample("abc-_1", "Truck", 2, "train", NAMES.index("Truck")),
    ]


def test_retrieval_is_drawn_as_mteb_draws_it():
    """With the seed 42, six things get the order 3, 1, 2, 4, 0, 5, and then five the order 3, 2, 0, 4, 1."""
    counts = {7: ("Violin, fiddle", 5), 2: ("Bark", 6)}
    rows = [
        HubSample(f"{label}-{n}", name, 0, "test", label)
        for label, (name, count) in counts.items()
        for n in range(count)
    ]
    queries, candidates = retrieval_split([*rows, HubSample("other", "Bark", 0, "train", 2)])
    assert [one.video for one in queries] == ["2-3", "2-1", "2-2", "2-4", "7-3", "7-2", "7-0", "7-4"]
    assert [one.video for one in candidates] == ["2-0", "2-5", "7-1"]


def test_the_report_says_what_the_copy_lacks(hub):
    report = check_hub(hub)
    assert (report.splits, report.videos, report.categories, report.ok) == ({"train": 3, "test": 1}, 3, 4, True)
    text = "\n".join(report.lines())
    assert "there is no validation split" in text
    assert "no row says when its event ends" in text
    (hub / "Annotations.txt").write_text(ANNOTATIONS)
    text = "\n".join(check_hub(hub).lines())
    assert "1 video (ghi) is not in Annotations.txt" in text
    assert "1 video (jkl) is of Annotations.txt and not in the copy" in text
    assert "start_seconds differs from Annotations.txt in 1 row (def)" in text


def test_videos_are_written_as_in_aves_archive_with_labels_of_whole_videos(hub, tmp_path, run_data_command):
    out = tmp_path / "out"
    found = run_data_command("ave", hub, "--extract", out)
    assert found.stdout.startswith("3 videos written into")
    assert {path.name: path.read_bytes() for path in (out / "AVE").iterdir()} == {
        "abc-_1.mp4": b"one",
        "def.mp4": b"two",
        "ghi.mp4": b"three",
    }
    labels = read_video_labels(out / "labels.csv")
    assert isinstance(labels, VideoLabels)
    assert labels.videos["abc-_1"] == ("Church bell", "Truck")
    assert labels.splits["ghi"] == "test"
    assert extract_hub(hub, out) == (0, [])  # what is there is left as it is
    (hub / "Annotations.txt").write_text(ANNOTATIONS)
    extract_hub(hub, tmp_path / "again")
    assert (tmp_path / "again" / "Annotations.txt").read_text() == ANNOTATIONS
    assert not (tmp_path / "again" / "labels.csv").exists()


def test_a_row_without_a_video_is_named(hub, tmp_path, run_data_command):
    rows = [("Bark", "mno", 0, None)]
    write_shard(hub / "data" / "test-00000-of-00001.parquet", rows)
    found = run_data_command("ave", hub, "--extract", tmp_path / "out", code=1)
    assert "1 row holds no video (mno)" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"youtube_id": ["../../x"]}, r"'../../x' from 0 s is no video and start of AVE"),
        ({"label": [99]}, r"has the label 99, and 28 names of labels"),
        ({"start_seconds": ["now"]}, r"'mno' from 'now' s is no video"),
    ],
)
def test_rows_that_cannot_be_are_refused(hub, columns, message):
    write_shard(hub / "data" / "test-00000-of-00001.parquet", [("Bark", "mno", 0, b"x")], **columns)
    with pytest.raises(AnnotationsError, match=message):
        read_hub(hub)


def test_other_files_are_refused(hub, tmp_path, run_data_command, monkeypatch):
    shard = hub / "data" / "test-00000-of-00001.parquet"
    write_shard(shard, [("Bark", "mno", 0, b"x")], names=["Bark", "Meow"])
    parquet.write_table(pyarrow.table({"label": [1]}), shard)
    with pytest.raises(AnnotationsError, match=r"has no column youtube_id, start_seconds, video"):
        read_hub(hub)
    shard.write_bytes(b"PAR1 nothing")
    with pytest.raises(AnnotationsError, match="is damaged or no parquet file"):
        read_hub(hub)
    with pytest.raises(AnnotationsError, match=r"has no train-00000-of-00011.parquet or the like"):
        read_hub(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(AnnotationsError, match=r"reading parquet needs pyarrow.*pip install 'avel\[parquet\]'"):
        check_hub(hub)


def test_categories_of_another_set_are_an_error_of_the_copy(hub, run_data_command):
    write_shard(hub / "data" / "test-00000-of-00001.parquet", [("Meow", "mno", 0, b"x")], names=["Bark", "Meow"])
    found = run_data_command("ave", hub, code=1)
    assert "1 category (Meow) is none of AVE's 28" in found.stdout


@pytest.fixture
def run_data_command():
    from typer.testing import CliRunner

    def run(*arguments, code=0):
        result = CliRunner().invoke(app, ["data", *(str(argument) for argument in arguments)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run
