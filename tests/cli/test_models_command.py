import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from avel.cli.main import app
from avel.errors import ModelError
from avel.models import registry
from avel.models.options import Dims
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord


@pytest.fixture
def avel(run_command):
    return partial(run_command, app)


@pytest.fixture
def run_folder(tmp_path):
    torch.manual_seed(0)
    dims = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=2)
    info = CheckpointInfo("a", {"lstm_dims": 8, "head_dims": 8}, dims, ("Bark", "Goat"), FeatureRecord(4, 6, 5))
    checkpoint.save(tmp_path / "run" / "checkpoint.safetensors", registry.build("a", dims, **info.options), info)
    return tmp_path / "run"


def test_models_are_listed_without_a_command(avel):
    listed = json.loads(avel("models", "--json").stdout)
    by_name = {model["name"]: model for model in listed}
    assert by_name["dmrn"]["options"]["position"] == "late"
    assert by_name["a"]["modalities"] == ["audio"]
    table = avel("models").stdout
    assert "dmrfe" in table
    assert "…" not in table


def test_card_as_text_and_json(avel, run_folder):
    text = avel("models", "card", run_folder).stdout
    assert text.startswith("# a: audio alone\n")
    assert "| Bark     |\n" in text
    found = json.loads(avel("models", "card", run_folder / "checkpoint.safetensors", "--json").stdout)
    assert found["predicts"]["categories"] == ["Bark", "Goat"]
    with pytest.raises(ModelError, match="cannot be read"):
        avel("models", "card", run_folder / "other.safetensors")


@pytest.mark.slow
def test_export(avel, run_folder, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs avel[export]")
    pytest.importorskip("onnxscript", reason="needs avel[export]")
    result = avel("models", "export", run_folder, "-o", tmp_path / "model.onnx")
    assert result.stdout == f"{tmp_path / 'model.onnx'}\n"
    assert "from audio, valid of any number of segments to logits" in " ".join(result.stderr.split())
    assert (tmp_path / "model.onnx").stat().st_size > 1000


def test_export_to_another_format(avel, run_folder, tmp_path):
    result = avel("models", "export", run_folder, "-o", tmp_path / "model.tflite", code=2)
    assert "model.tflite: a model is exported as .onnx (ONNX) or .xml (OpenVINO IR)" in " ".join(result.stderr.split())
    assert not Path(tmp_path / "model.tflite").exists()


def test_help_needs_no_torch():
    code = "import sys; from avel.cli import models; print('torch' in sys.modules, 'onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
