import json

import pytest
from typer.testing import CliRunner

from avel.cli.main import app
from avel.data.ave.check import check
from avel.errors import AnnotationsError


def run(*arguments, code=0):
    result = CliRunner().invoke(app, ["data", "ave", *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.stdout


@pytest.fixture
def copy(tmp_path):
    """Two samples; the splits and all else are not there."""
    rows = ["Church bell&aaaaaaaaaaa&good&0&10", "Bark&bbbbbbbbbbb&good&2&5"]
    (tmp_path / "Annotations.txt").write_text("Category&VideoID&Quality&StartTime&EndTime\n" + "\n".join(rows) + "\n")
    return tmp_path


def test_the_report_is_printed(copy):
    text = run(copy)
    assert text.splitlines() == check(copy).lines()
    assert "2 rows, 2 videos, 2 event categories (Annotations.txt with header)" in text


def test_as_json(copy):
    printed = json.loads(run(copy, "--json"))
    assert printed == json.loads(json.dumps(check(copy).to_dict()))
    assert (printed["ok"], printed["num_rows"], printed["has_header"]) == (True, 2, True)


def test_what_needs_a_correction_gives_exit_code_1(copy):
    with (copy / "Annotations.txt").open("a") as file:
        file.write("Bark&ccccccccccc&good&7&3\n")
    text = run(copy, code=1)
    assert "error    Annotations.txt:" in text
    assert json.loads(run(copy, "--json", code=1))["ok"] is False


def test_the_published_files(shared):
    assert "4143 rows, 4097 videos, 28 event categories" in run(shared / "data" / "ave")


def test_no_folder_is_refused(tmp_path):
    with pytest.raises(AnnotationsError, match="no such folder. Give the folder that holds Annotations.txt"):
        run(tmp_path / "none")


def test_the_figures_of_labels_are_told(run_command, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("video,start_seconds,end_seconds,category\na.mp4,0,2.5,bark\nb.mp4,1,2,bell\nc.mp4,,,\n")
    result = run_command(app, "data", "labels", labels, "--picture", tmp_path / "figures.svg")
    assert "videos: 3, of which 1 without event" in result.stdout
    assert "<svg" in (tmp_path / "figures.svg").read_text()
    found = json.loads(run_command(app, "data", "labels", labels, "--json").stdout)
    assert found["event_seconds"] == {"1": 1, "3": 1}
