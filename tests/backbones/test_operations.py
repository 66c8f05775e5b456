"""Networks that are written once run alike on OpenVINO and on PyTorch."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avel.backbones.engine import EngineOptions, from_frozen
from avel.backbones.openvino_operations import graph
from avel.backbones.operations import FrozenNetwork, folded, same_padding
from avel.backbones.torch_operations import FrozenModule


def by_openvino(network: FrozenNetwork, item: np.ndarray) -> np.ndarray:
    from avel.runtimes import openvino

    compiled = openvino.Core().compile_model(graph(network, "tiny"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    (found,) = compiled(item[None]).values()
    return np.asarray(found)


def by_torch(network: FrozenNetwork, item: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return FrozenModule(network)(torch.from_numpy(item[None])).numpy()  # type: ignore[no-any-return]


def assert_alike(define: Any, item: np.ndarray, tensors: dict[str, np.ndarray] | None = None) -> np.ndarray:
    weights = tensors or {"unused.weight": np.zeros(1, np.float32)}
    network = FrozenNetwork(define, lambda: weights, item.shape, item.dtype.type)
    found = by_openvino(network, item)
    np.testing.assert_allclose(found, by_torch(network, item), rtol=1e-4, atol=1e-4)
    return found


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@settings(max_examples=15)
@given(
    sides=st.lists(st.integers(4, 12), min_size=2, max_size=3),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.sampled_from(["same", 0, 1]),
    each=st.booleans(),
    biased=st.booleans(),
)
def test_convolutions_and_poolings(
    sides: list[int], kernel: int, stride: int, padding: Any, each: bool, biased: bool
) -> None:
    weight = normal(3, 1 if each else 3, *[kernel] * len(sides))
    tensors = {"a.weight": weight} | ({"a.bias": normal(3)} if biased else {})
    item = normal(3, *sides)
    found = assert_alike(
        lambda ops, x: ops.convolution(x, "a", stride=stride, padding=padding, each=each), item, tensors
    )
    if padding == "same":
        assert found.shape == (1, 3, *(-(-side // stride) for side in sides))
    windows = [kernel] * len(sides), [stride] * len(sides)
    if padding == "same" or 2 * padding <= kernel:
        assert_alike(lambda ops, x: ops.max_pool(ops.relu(x), *windows, padding=padding), item)


def test_a_convolution_by_hand() -> None:
    """One channel, 3 wide, every other place of 4: TensorFlow's zeros come after, 1 before and 1 after others'."""
    row, kernel = np.float32([[[1, 2, 3, 4]]]), np.float32([[[[1, 10, 100]]]])
    for padding, expected in (("same", [321, 43]), (0, [321])):
        tensors = {"a.weight": kernel}
        found = assert_alike(lambda ops, x, p=padding: ops.convolution(x, "a", stride=2, padding=p), row, tensors)
        assert found.ravel().tolist() == expected


def test_everything_else() -> None:
    tensors = {"a.weight": normal(5, 6), "a.bias": normal(5)}
    linear = assert_alike(lambda ops, x: ops.linear(x, "a"), normal(6), tensors)
    np.testing.assert_allclose(linear[0], tensors["a.weight"] @ normal(6) + tensors["a.bias"], rtol=1e-4)
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    scaled = assert_alike(lambda ops, x: ops.scaled(x, 12, 8), picture)
    np.testing.assert_allclose(scaled[0], (picture - 12.0) / 8)
    x = normal(2, 4, 3)
    exact = {
        "transpose": (lambda ops, x: ops.transpose(x, (0, 3, 1, 2)), x.transpose(2, 0, 1)),
        "reshape": (lambda ops, x: ops.reshape(x, (8, 3)), x.reshape(8, 3)),
        "relu": (lambda ops, x: ops.relu(x), x.clip(min=0)),
        "relu to 0.5": (lambda ops, x: ops.relu(x, 0.5), x.clip(0, 0.5)),
        "add": (lambda ops, x: ops.add(x, ops.relu(x)), x + x.clip(min=0)),
        "concatenate": (lambda ops, x: ops.concatenate([x, ops.relu(x)]), np.concatenate([x, x.clip(min=0)])),
        "mean": (lambda ops, x: ops.mean(x, (2, 3)), x.mean(axis=(1, 2))),
        "sigmoid": (lambda ops, x: ops.sigmoid(x), 1 / (1 + np.exp(-x))),
    }
    for name, (define, expected) in exact.items():
        np.testing.assert_allclose(assert_alike(define, x)[0], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    probabilities = assert_alike(lambda ops, x: ops.softmax(x), normal(6))
    np.testing.assert_allclose(probabilities[0], np.exp(normal(6)) / np.exp(normal(6)).sum(), rtol=1e-5)


def test_same_padding_is_that_of_tensorflow() -> None:
    # From the formula in TensorFlow's documentation of "SAME", worked by hand.
    assert same_padding(224, 3, 2) == (0, 1)
    assert same_padding(112, 3, 1) == (1, 1)
    assert same_padding(56, 5, 2) == (1, 2)
    assert same_padding(65, 3, 2) == (1, 1)
    assert same_padding(7, 1, 1) == (0, 0)


def test_a_folded_normalization_does_what_it_did() -> None:
    kernel, bias, mean, shift, scale = normal(4, 3, 2), normal(4), normal(4) * 2, normal(4) * 3, normal(4) * 4
    variance, x = np.abs(normal(4)) + 0.1, normal(3, 2)
    y = np.einsum("oij,ij->o", kernel, x) + bias
    expected = (y - mean) / np.sqrt(variance + 1e-3) * scale + shift
    weight, moved = folded(kernel, mean, variance, shift, scale, bias=bias)
    assert weight.dtype == moved.dtype == np.float32
    np.testing.assert_allclose(np.einsum("oij,ij->o", weight, x) + moved, expected, rtol=1e-4)


@pytest.mark.parametrize("device", ["cpu", "torch-cpu"])
def test_both_engines_run_them(device: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    tensors = {"a.weight": normal(5, 6)}
    network = FrozenNetwork(lambda ops, x: ops.linear(x, "a"), lambda: tensors, (6,), np.float32)
    options = EngineOptions(device=device, precision="float32")
    (found,) = from_frozen(network, name="tiny", digest="sha256:0", options=options)(normal(7, 6))
    np.testing.assert_allclose(found, normal(7, 6) @ tensors["a.weight"].T, rtol=1e-4)
