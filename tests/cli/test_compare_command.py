import functools
import json

import pytest
from PIL import Image
from tiny_backbones import load
from tiny_checkpoints import write_checkpoint
from typer.testing import CliRunner

from avel.cli.main import app
from avel.errors import OutputError
from avel.localization import localizer
from avel.testing.tone_and_flash import make_clip

SMALL = {"lstm_dims": 4, "attention_dims": 4, "attention_hidden_dims": 4}


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mkv", 4.0, events=[(1, 2)], frame_rate=4, sample_rate=8000)


def test_two_models_are_shown_side_by_side(run_command, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(localizer, "Localizer", functools.partial(localizer.Localizer, loader=load))
    models = [
        write_checkpoint(tmp_path / name / "checkpoint.safetensors", seed=seed, **SMALL)
        for seed, name in enumerate("ab")
    ]
    labels = tmp_path / "labels.csv"
    labels.write_text("video,start_seconds,end_seconds,category\nclip.mkv,1,2,bark\n")
    found = run_command(
        app, "compare", clip, "--model", models[0], "--model", models[1].parent, "--truth", labels,
        *(part for name in ("x.png", "x.html", "x.json") for part in ("-o", tmp_path / name)),
    )  # fmt: skip
    said = json.loads((tmp_path / "x.json").read_text())
    assert [model["name"] for model in said["models"]] == ["a", "b"]
    right = [sum(segment["right"] for segment in model["segments"]) for model in said["models"]]
    assert found.stdout.splitlines() == [
        f"{name}  {count} of 4 segments right ({25 * count:.1f} %)" for name, count in zip("ab", right, strict=True)
    ]
    assert said["models"][0]["segments"][1]["true"] == ["bark"]
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] == 1800
    assert "labelled" in (tmp_path / "x.html").read_text()
    nowhere = ["compare", str(clip), "--model", str(models[0]), "-o", str(labels / "x.json")]
    lost = CliRunner().invoke(app, nowhere)
    assert isinstance(lost.exception, OutputError)
    assert "audio-visual event" in lost.stdout
    labels.write_text("video,start_seconds,end_seconds,category\nother.mkv,1,2,bark\n")
    refused = run_command(app, "compare", clip, "--model", models[0], "--truth", labels, code=2)
    assert "has no label of" in refused.stderr


def test_wrong_usage_is_said_before_anything_is_loaded(run_command, clip):
    found = run_command(app, "compare", clip, "--model", "agreement", "-o", "x.gif", code=2)
    assert "a comparison is written as .png, .html or .json" in found.stderr
    assert "Unknown model 'nothing'" in run_command(app, "compare", clip, "--model", "nothing", code=2).stderr
