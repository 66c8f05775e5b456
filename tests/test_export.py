import functools
import importlib.util
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avel import export as exporting
from avel import runtimes
from avel.errors import ModelError
from avel.export import KEYS, TOLERANCE, export
from avel.models import registry
from avel.models.entry import Entry
from avel.models.options import Dims
from avel.models.tian2018 import AudioOnly, TianOptions
from avel.runtimes import openvino
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord

needs_packages = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs avel[export]",
)

DIMS = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=2)
SMALL = {"lstm_dims": 8, "head_dims": 8, "attention_dims": 8, "fusion_dims": 8, "first_dims": 8, "more_dims": 4}
SMALL["max_segments"] = 3  # SSN has a branch for each length


def save_in(folder, name, **more):
    torch.manual_seed(0)
    known = registry.entry(name).options().model_dump()
    options = {option: value for option, value in SMALL.items() if option in known}
    model = registry.build(name, DIMS, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)  # SSN's start so small that everything would be equal
    features = FeatureRecord(4, 6, 5, visual=("vgg19",), audio=("vggish",))
    info = CheckpointInfo(name, options, DIMS, ("Bark", "Goat"), features, **{"num_segments": 2, **more})
    path = folder / f"{name}.safetensors"
    checkpoint.save(path, model, info)
    return path


@pytest.fixture
def save(tmp_path):
    return functools.partial(save_in, tmp_path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model's checkpoint and its export as ONNX, which takes seconds; do not change the files."""

    @functools.cache
    def once(name):
        folder = tmp_path_factory.mktemp("exported")
        path = save_in(folder, name)
        return path, export(path, folder / "new" / "model.onnx")

    return once


def drawn(videos, segments):
    """Features with padding, which holds what must not matter."""
    valid = torch.rand(videos, segments) > 0.3
    visual = torch.randn(videos, segments, 4, 6).masked_fill(~valid[..., None, None], torch.nan)
    return {"visual": visual, "audio": torch.randn(videos, segments, 5), "valid": valid}


def compare(path, run, segments=(1, 3, 12)):
    model, _ = checkpoint.load(path)
    for count in segments:
        for videos in (1, 4):
            given = drawn(videos, count)
            with torch.inference_mode():
                expected = model(**given)
            found = run({name: tensor.numpy() for name, tensor in given.items()})
            assert set(found) == {"logits", *expected.shown}
            for name, values in {"logits": expected.logits, **expected.shown}.items():
                np.testing.assert_allclose(found[name], values.numpy(), rtol=TOLERANCE, atol=TOLERANCE)


@needs_packages
@pytest.mark.slow
@pytest.mark.parametrize("name", ["av-transformer", "dam", "dmrn", "ed-tcn", "ssn", "avsdn", "cman"])
def test_onnx_computes_what_pytorch_does(name, exported):
    import onnx

    onnxruntime = runtimes.onnxruntime()

    path, written = exported(name)
    output = path.parent / "new" / "model.onnx"
    assert written.paths == (output,)
    assert 0 <= written.difference <= TOLERANCE
    fixed = {"cman": 2}.get(name)
    assert written.segments == fixed
    session = onnxruntime.InferenceSession(output, providers=["CPUExecutionProvider"])
    assert {one.name: one.shape[1] for one in session.get_inputs()} == dict.fromkeys(
        written.inputs, fixed or "segments"
    )
    names = [one.name for one in session.get_outputs()]
    assert names == list(written.outputs)

    def run(given):
        return dict(zip(names, session.run(names, {name: given[name] for name in written.inputs}), strict=True))

    compare(path, run, segments=(fixed,) if fixed else (1, 3, 12))
    found = onnx.load(output)
    onnx.checker.check_model(found, full_check=True)
    constants = {one.name for one in found.graph.initializer}
    recurrent = [node for node in found.graph.node if node.op_type == "LSTM"]
    assert all(constants.issuperset(node.input[1:4]) for node in recurrent)  # weights of input and state, biases
    assert bool(recurrent) is (name in ("av-transformer", "dmrn", "avsdn"))
    assert found.opset_import[0].version == exporting.OPSET
    said = {entry.key: entry.value for entry in found.metadata_props}
    assert {key: said[key] for key in KEYS} == exporting.metadata(checkpoint.read_info(path))
    assert json.loads(said["categories"]) == ["Bark", "Goat"]
    assert b"avel/models" not in output.read_bytes()  # no place of this machine


@needs_packages
@pytest.mark.slow
def test_openvino_computes_what_pytorch_does(save, tmp_path):
    path = save("a+v-att", thresholds=(0.4, 0.6))
    written = export(path, tmp_path / "model.xml")
    assert [one.name for one in written.paths] == ["model.xml", "model.bin"]
    core = openvino.Core()
    model = core.read_model(written.paths[0])
    said = {key: model.get_rt_info(["avel", key]).value for key in KEYS}
    assert said == exporting.metadata(checkpoint.read_info(path))
    assert json.loads(said["thresholds"]) == [0.4, 0.6]
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    compare(path, lambda given: {name: compiled(given)[name] for name in written.outputs})


@needs_packages
@pytest.mark.slow
def test_a_file_that_computes_something_else_is_not_written(exported, tmp_path, monkeypatch):
    path, written = exported("dmrn")
    model, info = checkpoint.load(path)
    with torch.no_grad():
        next(model.parameters()).add_(1)
    checkpoint.save(tmp_path / "other.safetensors", model, info)
    (of_another,) = written.paths
    monkeypatch.setattr(exporting, "_write_onnx", lambda graph, info, path: shutil.copy(of_another, path))
    with pytest.raises(ModelError, match=r"its model 'dmrn' computes something else once exported: a difference of "):
        export(tmp_path / "other.safetensors", tmp_path / "model.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["other.safetensors"]


class Branching(AudioOnly):
    """Goes one way or another by what it is given, which no graph does."""

    def score(self, visual, audio, valid, shown):
        return super().score(visual, audio if audio.sum() > 0 else -audio, valid, shown)


@needs_packages
@pytest.mark.slow
def test_a_model_that_cannot_be_exported_is_named(save, tmp_path, monkeypatch):
    entry = Entry("branching", "nobody", TianOptions, Branching, modalities=lambda options: ("audio",))
    monkeypatch.setattr(registry, "MODELS", {**registry.MODELS, "branching": entry})
    with pytest.raises(
        ModelError, match="branching.safetensors: its model 'branching' cannot be exported: .*avel itself"
    ):
        export(save("branching"), tmp_path / "model.onnx")
    assert [one.name for one in tmp_path.iterdir()] == ["branching.safetensors"]


def test_another_format(save, tmp_path):
    with pytest.raises(ValueError, match=r"model.pt: a model is exported as .onnx \(ONNX\) or .xml \(OpenVINO IR\)"):
        export(save("a"), tmp_path / "model.pt")


def test_missing_packages_are_named(save, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"Exporting needs the package onnx. Run: pip install 'avel\[export\]'"):
        export(save("a"), tmp_path / "model.onnx")


def test_examples_are_as_large_as_real_features(save):
    model, info = checkpoint.load(save("a+v-att"))
    graph = exporting._Graph(model, info)
    visual, audio, valid = graph.example(20, 50)
    assert (visual.mean().item(), audio.mean().item()) == (pytest.approx(2, abs=0.3), pytest.approx(0.2, abs=0.05))
    assert visual.max() > 50
    larger = graph.example(20, 50, scale=100.0)
    torch.testing.assert_close(larger[0], 100 * visual)
    assert valid.all()
    assert not graph.example(20, 50, holes=True)[2].all()


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda found: found, 0.0),
        (lambda found: found + 0.5, pytest.approx(0.25, abs=0.25)),
        (lambda found: found[:1], float("inf")),
        (lambda found: np.where(found == found.max(), -np.inf, found), pytest.approx(float("nan"), nan_ok=True)),
    ],
)
def test_the_largest_difference_is_seen(save, spoil, expected):
    model, info = checkpoint.load(save("v"))
    graph = exporting._Graph(model, info).eval()

    def run(inputs):
        with torch.inference_mode():
            outputs = graph(*map(torch.from_numpy, inputs.values()))
        return dict(zip(graph.outputs, (spoil(one.numpy()) for one in outputs), strict=True))

    assert exporting._largest_difference(graph, run, 10.0) == expected


def code_of_the_page():
    """The Python of docs/howto/share-models.md that localizes with ONNX Runtime."""
    page = (Path(__file__).parents[1] / "docs/howto/share-models.md").read_text(encoding="utf-8")
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", page, flags=re.S) if "def localize" in block)
    assert re.findall(r"^import (\w+)|^from (\w+)", code, flags=re.M) == [
        ("json", ""),
        ("numpy", ""),
        ("onnxruntime", ""),
    ]
    names = {}
    exec(code, names)
    return names["localize"]


@needs_packages
@pytest.mark.slow
@pytest.mark.parametrize("thresholds", [(), (0.3, 0.7)])
def test_the_pages_code_finds_the_events_that_avel_does(thresholds, exported, tmp_path):
    import onnx

    path, written = exported("dmrn")
    model, info = checkpoint.load(path)
    file = onnx.load(written.paths[0])
    onnx.helper.set_model_props(file, exporting.metadata(replace(info, thresholds=thresholds)))
    onnx.save(file, tmp_path / "model.onnx")
    torch.manual_seed(1)
    videos = [(10 * torch.randn(count, 4, 6), 10 * torch.randn(count, 5)) for count in (1, 7, 4)]
    expected = set()
    for number, (visual, audio) in enumerate(videos):
        with torch.inference_mode():
            logits = model(visual[None], audio[None], torch.ones(1, len(audio), dtype=torch.bool)).logits[0]
        for segment, scores in enumerate(logits):
            if thresholds:
                there = [c for c in range(2) if torch.sigmoid(scores[c] - scores[2]) >= thresholds[c]]
            else:
                there = [c for c in [int(scores.argmax())] if c < 2]
            expected |= {(number, ("Bark", "Goat")[c], segment) for c in there}
    localize = code_of_the_page()
    visual, audio = ([one[i].numpy() for one in videos] for i in (0, 1))
    found = localize(tmp_path / "model.onnx", visual, audio)
    assert all(end > start for _, _, start, end in found)
    segments = {(b, name, t) for b, name, start, end in found for t in range(round(start), round(end))}
    assert segments == expected
    assert len({(b, name) for b, name, *_ in found}) > 1
    audio[1][2, 3] = np.nan
    with pytest.raises(ValueError, match="video 1: its audio features hold a NaN or an infinite number"):
        localize(tmp_path / "model.onnx", visual, audio)
