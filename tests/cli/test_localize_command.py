import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import avel
from avel.cli.main import app

needs_weights = pytest.mark.usefixtures("localizer_weights")


def run(*arguments, stdin=None):
    """The program in its own process, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "avel", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=120,
        check=False,
    )


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_loads_no_network_library():
    code = (
        "import sys; from typer.testing import CliRunner; from avel.cli.main import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "sys.exit(bool({'torch', 'openvino', 'av', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version():
    assert invoke("--version").stdout.strip() == f"avel {avel.__version__}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "--format", "gif"], "Unknown format 'gif'. Supported formats are json"),
        (["a.mp4", "b.mp4", "-o", "out.json"], "out.json is one file; for several videos or formats give a folder"),
        (["a.mp4", "-o", "out.json", "--format", "csv"], "out.json is one file"),
        (["a.mp4", "-o", "-", "--format", "png"], "Standard output takes one of json, csv, srt, vtt"),
        (["a.mp4", "-o", "-", "--format", "json,csv"], "Standard output takes one of"),
        (["-", "-"], "Standard input (-) holds one video; it is there twice."),
        (["a.mp4", "--model", "none"], "Unknown model 'none'. Available models are"),
        (["a.mp4", "--segment-seconds", "0"], "segment_seconds must be from 0.2 to 30.0, got 0.0"),
        (["a.mp4", "--precision", "float8"], "float8"),
        (["a.mp4", "--device", "tpu"], "tpu"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments, message):
    result = invoke("localize", *arguments)
    assert message in result.stderr.replace("\n", " ")
    assert result.exit_code == 2


def test_a_file_of_categories_that_is_not_there(tmp_path):
    result = run("localize", "a.mp4", "--categories", tmp_path / "none.toml")
    assert result.returncode == 1
    assert b"none.toml: cannot be read" in result.stderr
    assert b"Traceback" not in result.stderr


@needs_weights
def test_one_video_prints_its_events(hello):
    result = run("localize", hello)
    assert result.returncode == 0, result.stderr
    rows = [line.split("\t") for line in result.stdout.decode().splitlines()]
    assert [str(hello), "0.00"] == rows[0][:2]
    assert any(row[3:5] == ["Male speech, man speaking", "audio-visual"] for row in rows)


@needs_weights
def test_a_failing_video_stops_no_other(hello, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    result = run("localize", text, hello, tmp_path / "none.mp4", "-o", tmp_path / "out", "--format", "json,csv")
    assert result.returncode == 1
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["hello.csv", "hello.json"]
    assert json.loads((tmp_path / "out" / "hello.json").read_text())["events"]
    lines = result.stderr.decode().splitlines()
    assert [line for line in lines if "text.mp4" in line]
    assert [line for line in lines if "none.mp4" in line]
    assert "2 of 3 videos failed." in lines[-1]
    assert b"Traceback" not in result.stderr


@needs_weights
def test_standard_input_to_standard_output(hello):
    result = run("localize", "-", "-o", "-", stdin=hello.read_bytes())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["video"] == "-"


@needs_weights
def test_several_videos_to_standard_output_are_json_lines(hello, tmp_path):
    second = tmp_path / "second.ogv"
    second.write_bytes(hello.read_bytes())
    result = run("localize", hello, second, "--format", "json")
    videos = [json.loads(line)["video"] for line in result.stdout.decode().splitlines()]
    assert videos == [str(hello), str(second)]


@needs_weights
def test_one_video_to_one_file_by_its_suffix(hello, tmp_path):
    target = tmp_path / "report.html"
    result = run("localize", hello, "-o", target)
    assert result.stdout.decode().strip() == str(target)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_weights_list_names_every_file():
    result = invoke("weights", "list")
    assert result.exit_code == 0
    for name in ("vgg19", "yamnet", "efficientnet-lite0"):
        assert name in result.stdout


def test_weights_path_of_an_unknown_name():
    result = invoke("weights", "path", "resnet")
    assert result.exit_code == 2
    assert "resnet" in result.stderr
