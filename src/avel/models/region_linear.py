"""A linear map of many regions, the most that models with attention over regions compute."""

import os
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEAST_SEGMENTS, _LEAST_REGIONS = 16, 4
"""PyTorch leaves convolutions of fewer to a kernel of its own, and with fewer regions oneDNN gains nothing."""


class RegionLinear(nn.Linear):
    """A Linear over regions, and a ReLU behind it where one is asked for.

    PyTorch has float32 multiplied by MKL, which keeps to AVX2 on processors that are not Intel's. oneDNN does not, but
    is only asked for convolutions: where it is faster, the map is a convolution of 1 x 1, which is the same up to
    rounding and takes about half the time.

    Args:
        in_features: D.
        out_features: D'.
        bias: whether there is one.
        relu: whether to end in a ReLU.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, relu: bool = False) -> None:
        super().__init__(in_features, out_features, bias)
        self.relu = relu

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Linear gives it
        """(..., R, D) to (..., R, D')."""
        flat = input.reshape(-1, *input.shape[-2:])
        if self._is_for_onednn(flat):
            columns = flat[:, :, None].permute(0, 3, 1, 2)  # (N, D, R, 1), channels last: no copy
            mapped = functional.conv2d(columns, self.weight[..., None, None], self.bias)
            mapped = self._rectified(mapped).permute(0, 2, 3, 1)
        else:
            mapped = self._rectified(functional.linear(flat.flatten(0, 1), self.weight, self.bias))
        return mapped.reshape(*input.shape[:-1], self.out_features)

    def _rectified(self, mapped: Tensor) -> Tensor:
        """In place, as this is as large as the regions: of a tensor that is no view, else its gradient is copied."""
        return functional.relu(mapped, inplace=True) if self.relu else mapped

    @staticmethod
    def _is_for_onednn(regions: Tensor) -> bool:
        return (
            regions.device.type == "cpu"
            and regions.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_exporting()
            and regions.shape[0] >= _LEAST_SEGMENTS
            and regions.shape[1] >= _LEAST_REGIONS
            and bool(torch.backends.mkldnn.enabled)
            and onednn_is_faster()
        )


@cache
def onednn_is_faster() -> bool:
    """Whether oneDNN multiplies float32 with AVX-512 where MKL does not: on processors that are not Intel's.

    It is asked once, and of the processor alone, so that equal seeds give equal results.
    """
    known: Any = getattr(torch.cpu, "get_capabilities", None)  # of PyTorch 2.10; before, MKL is left to it
    if known is None or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "ALL").upper()  # what oneDNN itself asks
    is_intel = "intel" in str(known().get("cpu_name", "intel")).lower()
    return torch._C._has_mkldnn and not is_intel and allowed.startswith(("ALL", "DEFAULT", "AVX512"))
