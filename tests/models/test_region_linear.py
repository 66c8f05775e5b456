import copy
import os
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from avel.models import region_linear
from avel.models.region_linear import RegionLinear, onednn_is_faster


@pytest.fixture(params=[True, False], ids=["oneDNN", "MKL"])
def by_onednn(request, monkeypatch):
    """Both ways run on any processor, at whatever speed."""
    monkeypatch.setattr(region_linear, "onednn_is_faster", lambda: request.param)
    return request.param


@pytest.mark.parametrize("shape", [(4, 10, 49, 24), (2, 8, 4, 24), (40, 9, 24), (1, 3, 49, 24), (2, 10, 1, 24)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("relu", [True, False])
def test_it_is_a_linear_map_with_its_gradients(by_onednn, shape, bias, relu):
    layer = RegionLinear(24, 16, bias, relu=relu)
    plain = copy.deepcopy(layer).double()
    x, weights = torch.randn(shape), torch.randn(*shape[:-1], 16)
    given, wanted = x.clone().requires_grad_(), x.double().requires_grad_()
    mapped = functional.linear(wanted, plain.weight, plain.bias)
    expected = mapped.relu() if relu else mapped
    found = layer(given)
    assert found.shape == expected.shape
    torch.testing.assert_close(found.double(), expected, rtol=1e-4, atol=1e-5)
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    for ours, theirs in [(given, wanted), *zip(layer.parameters(), plain.parameters(), strict=True)]:
        torch.testing.assert_close(ours.grad.double(), theirs.grad, rtol=1e-4, atol=1e-4)


def test_a_convolution_is_computed_where_onednn_is_faster(by_onednn):
    layer, used = RegionLinear(8, 6), []
    with torch.profiler.profile() as profile:
        layer(torch.randn(2, 10, 49, 8))
    used = [event.key for event in profile.key_averages()]
    assert ("aten::mkldnn_convolution" in used) == by_onednn


def test_what_it_is_given_stays_as_it_is(by_onednn):
    """A ReLU in place must not reach the regions, not even those of a map that changes nothing."""
    layer = RegionLinear(4, 4, relu=True)
    nn.init.eye_(layer.weight)
    nn.init.zeros_(layer.bias)
    x = torch.randn(2, 10, 9, 4)
    before = x.clone()
    assert torch.equal(layer(x), before.relu())
    assert torch.equal(x, before)


def test_regions_that_do_not_lie_one_after_the_other(by_onednn):
    layer, x = RegionLinear(6, 5), torch.randn(9, 10, 2, 6).transpose(0, 2)  # (2, 10, 9, 6)
    torch.testing.assert_close(layer(x), functional.linear(x, layer.weight, layer.bias), rtol=1e-4, atol=1e-5)


def test_autocast_is_left_to_linear(by_onednn):
    layer, x = RegionLinear(8, 6, relu=True), torch.randn(2, 10, 49, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        assert torch.equal(found, functional.linear(x, layer.weight, layer.bias).relu())
    assert found.dtype == torch.bfloat16


def test_no_onednn_where_its_instructions_are_forbidden():
    """Each of the two libraries can be told to do without; then the faster one is no longer known to be."""
    code = "from avel.models.region_linear import onednn_is_faster; print(onednn_is_faster())"
    for name, value in (("ONEDNN_MAX_CPU_ISA", "AVX2"), ("ATEN_CPU_CAPABILITY", "avx2")):
        found = subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, name: value}, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == "False", name


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"cpu_name": "AMD EPYC 9005"}, True),
        ({"cpu_name": "Intel Xeon Platinum 8375C"}, False),
        ({}, False),
    ],
)
def test_which_processors_gain(monkeypatch, capabilities, expected):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert onednn_is_faster.__wrapped__() == expected
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    assert not onednn_is_faster.__wrapped__()
