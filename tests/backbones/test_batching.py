"""Graphs for several items, against the graph for one."""

from pathlib import Path

import numpy as np
import pytest

from avel.backbones.batching import for_several
from avel.backbones.engine import EngineOptions, from_graph
from avel.runtimes import openvino

op = openvino.opset13
BIAS = np.arange(4, dtype=np.float32)
KERNEL = np.random.default_rng(1).normal(size=(4, 2, 3, 3)).astype(np.float32)


def graph(has_first_axis: bool = True) -> openvino.Model:
    """(8, 5) to a convolution of it as two channels, and to its sum; the bias is laid out as ONNX's reader does it."""
    given = op.parameter([1, 8, 5] if has_first_axis else [8, 5], np.float32)
    channels = op.reshape(given, np.array([1, 2, 4, 5]), False)
    convolved = op.convolution(channels, op.constant(KERNEL), [1, 1], [1, 1], [1, 1], [1, 1])
    rank = op.shape_of(op.shape_of(convolved))
    ones = op.broadcast(op.constant(np.int64(1)), op.subtract(rank, op.constant(np.array([2]))))
    bias = op.reshape(BIAS, op.concat([op.constant(np.array([1])), op.shape_of(BIAS), ones], 0), False)
    flat = op.reshape(op.relu(op.add(convolved, bias)), np.array([1, -1]), False)
    return openvino.Model([flat, op.reduce_sum(channels, np.array([1, 2, 3]), False)], [given], "small")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "cache"))


@pytest.mark.parametrize("has_first_axis", [True, False])
def test_items_that_are_run_together_are_as_each_alone(has_first_axis: bool) -> None:
    def network(items: int):
        return from_graph(
            lambda: graph(has_first_axis), name="small", digest="0", options=EngineOptions(), items_together=items
        )

    alone, together = network(1), network(3)
    batch = np.random.default_rng(0).normal(size=(7, 8, 5)).astype(np.float32)
    for count in (0, 1, 3, 7):
        for expected, found in zip(alone(batch[:count]), together(batch[:count]), strict=True):
            assert found.shape == expected.shape == (count, *expected.shape[1:])
            np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_graph_that_mixes_items_is_refused() -> None:
    given = op.parameter([1, 6], np.float32)
    model = openvino.Model([op.reduce_sum(given, np.array([0]), False)], [given], "mixed")
    with pytest.raises(ValueError, match=r"mixed cannot be made for 4 items: it gives \[6\]"):
        for_several(model, 4)
