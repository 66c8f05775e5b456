import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avel.backbones import engine
from avel.backbones.engine import Calibration, EngineOptions, Network, from_file, from_torch
from avel.errors import ModelError

SHAPE = (20, 24, 3)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Small(torch.nn.Module):
    """Two convolutions with a pooling between; two outputs."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = torch.nn.Conv2d(3, 8, 3, padding=1)
        self.second = torch.nn.Conv2d(8, 5, 3)
        for parameter in self.parameters():
            parameter.data = torch.randn(parameter.shape, generator=generator) * 0.1
        self.scale = scale

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = pictures.to(self.first.weight.dtype).permute(0, 3, 1, 2) / 255
        x = torch.relu(self.first(x)) * self.scale
        return self.second(torch.nn.functional.max_pool2d(x, 2)), x.mean((2, 3))


def small(shape: tuple[int, ...] = SHAPE, make: Any = Small, **arguments: Any) -> Network:
    options = arguments.pop("options", EngineOptions(device="cpu"))
    return from_torch(make, shape, name="small", digest="sha256:0", options=options, **arguments)


def pictures(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def plain(batch: np.ndarray) -> list[np.ndarray]:
    with torch.no_grad():
        return [output.numpy() for output in Small()(torch.from_numpy(batch))]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def calibration(n: int = 8) -> Calibration:
    return Calibration("sha256:1", lambda: pictures(n, seed=3))


@pytest.mark.parametrize(
    ("options", "engine_name", "tolerance"),
    [
        (EngineOptions(device="cpu", precision="float32"), "openvino", 1e-5),
        (EngineOptions(device="cpu", precision="float16"), "openvino", 1e-3),
        (EngineOptions(device="cpu", precision="float16", threads=1), "openvino", 1e-3),
        (EngineOptions(device="torch-cpu", precision="float32"), "torch", 1e-5),
        (EngineOptions(device="torch-cpu", precision="float16"), "torch", 1e-3),
    ],
)
def test_engines_agree_with_the_plain_module(options: EngineOptions, engine_name: str, tolerance: float) -> None:
    network = small(options=options)
    batch = pictures(19)
    found = network(batch)
    assert [output.dtype for output in found] == [np.float32, np.float32]
    assert all(relative(f, e) < tolerance for f, e in zip(found, plain(batch), strict=True))
    assert network.record["engine"] == engine_name
    assert network.record["device"] == "cpu"
    assert network.record["digest"] == "sha256:0"
    assert network.record["precision"] in ("float32", options.precision)


@pytest.fixture(scope="module")
def module_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AVEL_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        yield small()


@settings(max_examples=20)
@given(n=st.integers(0, 40))
def test_an_item_does_not_depend_on_its_batch(module_network: Network, n: int) -> None:
    batch = pictures(40)
    alone, together = module_network(batch[:n]), module_network(batch)
    assert all(a.shape == (n, *t.shape[1:]) for a, t in zip(alone, together, strict=True))
    assert all(np.array_equal(a, t[:n]) for a, t in zip(alone, together, strict=True))


def test_a_batch_need_not_be_contiguous(module_network: Network) -> None:
    batch = pictures(4)
    flipped = batch[:, :, ::-1]
    assert np.array_equal(module_network(flipped)[0], module_network(np.ascontiguousarray(flipped))[0])


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_threads_share_a_network(device: str, module_network: Network) -> None:
    network = module_network if device == "cpu" else small(options=EngineOptions(device=device))
    batches = [pictures(8, seed) for seed in range(16)]
    one_after_the_other = [network(batch)[0] for batch in batches]
    with ThreadPoolExecutor(4) as threads:
        at_once = list(threads.map(lambda batch: network(batch)[0], batches))
    assert all(np.array_equal(a, b) for a, b in zip(at_once, one_after_the_other, strict=True))


def test_processors_without_float16_use_float32_and_never_bfloat16() -> None:
    from avel.runtimes import openvino

    capabilities = openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    expected = "float16" if "FP16" in capabilities else "float32"
    assert small(options=EngineOptions(device="cpu", precision="float16")).record["precision"] == expected


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_another_shape_or_dtype_is_refused(device: str) -> None:
    network = small(options=EngineOptions(device=device))
    with pytest.raises(ValueError, match=r"small takes a batch of uint8 of shape \(N, 20, 24, 3\); got uint8 of shape"):
        network(pictures(2)[:, 1:])
    with pytest.raises(ValueError, match="got float32 of shape"):
        network(pictures(2).astype(np.float32))


def test_numbers_that_float16_cannot_hold_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_torch_cpu_has_float16", lambda: True)
    large = partial(Small, scale=1e7)
    network = small(make=large, options=EngineOptions(device="torch-cpu", precision="float16"))
    assert network.record["precision"] == "float16"
    with pytest.raises(ModelError, match="float16 cannot hold .* Use precision 'float32'"):
        network(pictures(1))
    assert np.isfinite(
        small(make=large, options=EngineOptions(device="cpu", precision="float32"))(pictures(1))[0]
    ).all()


def test_a_second_start_needs_neither_the_module_nor_torch(cache_folder: Path) -> None:
    first = small()(pictures(3))

    def never() -> torch.nn.Module:
        raise AssertionError("the graph was in the cache")

    again = small(make=never)(pictures(3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize("change", [{"digest": "sha256:9"}, {"name": "other"}, {"item_shape": (22, 24, 3)}])
def test_another_network_is_not_taken_from_the_cache(change: dict[str, Any]) -> None:
    small()
    made = []

    def make() -> torch.nn.Module:
        made.append(1)
        return Small()

    arguments = {"item_shape": SHAPE, "name": "small", "digest": "sha256:0", **change}
    from_torch(make, options=EngineOptions(device="cpu"), **arguments)
    assert made == [1]


@pytest.mark.parametrize("spoiled", ["graph.xml", "graph.bin"])
def test_a_damaged_graph_is_made_again(cache_folder: Path, spoiled: str, caplog: pytest.LogCaptureFixture) -> None:
    first = small()(pictures(3))
    shutil.rmtree(cache_folder / "compiled")
    (file,) = cache_folder.rglob(spoiled)
    file.write_bytes(file.read_bytes()[:100])
    again = small()(pictures(3))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert "cannot be read and is made again" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "file"))
    assert small()(pictures(1))[0].shape == (1, 5, 8, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "gpu"}, "device must be one of auto, cpu, cuda, torch-cpu; got 'gpu'"),
        ({"precision": "bfloat16"}, "precision must be one of float32, float16, int8; got 'bfloat16'"),
        ({"threads": 0}, "threads must be 1 or more, got 0"),
        ({"precision": "int8", "device": "torch-cpu"}, "'int8' runs only on device 'cpu'"),
    ],
)
def test_wrong_options(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EngineOptions(**settings)


def test_cuda_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_has_cuda", lambda: False)
    with pytest.raises(ModelError, match="PyTorch finds no CUDA device"):
        small(options=EngineOptions(device="cuda"))
    assert small(options=EngineOptions(device="auto")).record["engine"] == "openvino"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("float16", 1e-3)])
def test_cuda_agrees(precision: str, tolerance: float) -> None:
    network = small(options=EngineOptions(device="cuda", precision=precision))
    batch = pictures(19)
    assert all(relative(f, e) < tolerance for f, e in zip(network(batch), plain(batch), strict=True))
    assert network.record["precision"] == precision


def test_int8_is_quantized_once_and_kept() -> None:
    pytest.importorskip("nncf")
    options = EngineOptions(device="cpu", precision="int8")
    network = small(options=options, calibration=calibration())
    assert network.record["precision"] == "int8"
    assert network.record["quantization"] == {"calibration": "sha256:1", "keep_float": []}
    found = network(pictures(6))
    errors = [relative(f, e) for f, e in zip(found, plain(pictures(6)), strict=True)]
    assert all(0 < error < 0.03 for error in errors), errors

    def never() -> np.ndarray:
        raise AssertionError("the quantized graph was in the cache")

    again = small(options=options, calibration=Calibration("sha256:1", never))(pictures(6))
    assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_int8_needs_nncf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ModelError, match=r"needs the package NNCF. Run: pip install 'avel\[int8\]'"):
        small(options=EngineOptions(device="cpu", precision="int8"), calibration=calibration())


def test_int8_without_calibration_runs_in_float() -> None:
    assert small(options=EngineOptions(device="cpu", precision="int8")).record["precision"] in ("float16", "float32")


def test_files_may_give_inner_tensors(shared: Path) -> None:
    yamnet = shared / "weights" / "yamnet.tflite"
    arguments: dict[str, Any] = {"name": "yamnet", "digest": "sha256:2", "options": EngineOptions(device="cpu")}
    waveforms = np.random.default_rng(0).normal(0, 0.1, (3, 15600)).astype(np.float32)
    (scores,) = from_file(yamnet, **arguments)(waveforms)
    inner, outer = from_file(
        yamnet, outputs=["log_mel_spectrogram", "tower0/network/layer32/final_output"], **arguments
    )(waveforms)
    assert inner.shape == (3, 96, 64)
    assert np.array_equal(outer, scores)
    with pytest.raises(ValueError, match=r"yamnet\.tflite has no tensor called 'nowhere'"):
        from_file(yamnet, outputs=["nowhere"], **arguments)


def test_importing_the_engine_is_light() -> None:
    code = "import sys, avel.backbones.engine; print([m for m in ('torch', 'openvino', 'nncf') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
