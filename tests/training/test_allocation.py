"""Memory that is freed and kept."""

import ctypes
import sys

import pytest
import torch

from avel.training.allocation import keeping_freed_memory


def page_faults_of_large_blocks() -> int:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc"
)
def test_large_blocks_are_asked_for_once() -> None:
    pages = 40_000_000 // 4096
    assert page_faults_of_large_blocks() > 2 * pages
    with keeping_freed_memory():
        assert min(page_faults_of_large_blocks() for _ in range(10)) < pages / 10
    assert page_faults_of_large_blocks() > pages / 2  # all given back
