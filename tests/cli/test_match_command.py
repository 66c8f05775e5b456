import json

import pytest
from tiny_ave import write_ave_folder

from avel.cli.main import app
from avel.errors import ModelError


def test_a_matcher_is_trained_and_measured(run_command, tmp_path):
    folder = write_ave_folder(tmp_path / "data", regions=49)
    small = ["--set", "options.hidden_dims=8", "--set", "options.embedding_dims=4", "--epochs", 2]
    trained = run_command(app, "train", folder, "--model", "avdln", "-o", tmp_path / "run", *small)
    assert "matcher.safetensors: epoch" in trained.stdout
    assert "pictures from the sound (A2V)" in trained.stdout
    measured = run_command(app, "evaluate", tmp_path / "run", folder, "--json")
    said = json.loads(measured.stdout)
    assert said == json.loads((tmp_path / "run" / "result.json").read_text())["test"]
    assert "always the last window" in run_command(app, "evaluate", tmp_path / "run", folder).stdout
    with pytest.raises(ModelError, match="does not say which networks made the audio and visual features"):
        run_command(app, "match", "clip.mp4", "--model", tmp_path / "run", "--audio-part", "3,6")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Give one query: --audio FILE, --audio-part START,END or --video-part START,END."),
        (["--audio-part", "1,2", "--video-part", "1,2"], "Give one query"),
        (["--audio-part", "now"], "A part is given as START,END in seconds, such as 3,6; got 'now'."),
        (["--audio-part", "1,2", "-o", "moment.txt"], "a moment is written as .json or .png"),
    ],
)
def test_wrong_usage(run_command, arguments, message, tmp_path):
    found = run_command(app, "match", "clip.mp4", "--model", tmp_path, *arguments, code=2)
    assert message in " ".join(found.stderr.split())


def test_settings_files_are_not_for_matchers(run_command, tmp_path):
    found = run_command(
        app, "train", tmp_path, "--model", "dcca", "-o", tmp_path / "run", "--settings", "a.yaml", code=2
    )
    assert "dcca trains in minutes and has neither" in " ".join(found.stderr.split())
