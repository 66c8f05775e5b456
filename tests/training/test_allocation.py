"""Memory that is freed and kept."""

import ctypes
import json
import subprocess
import sys

import pytest

MEASURE = """
import ctypes, json, resource
from avel.training.allocation import keeping_freed_memory

library = ctypes.CDLL(None)
library.malloc.restype = ctypes.c_void_p
library.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]

def page_faults_of_large_blocks():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        block = library.malloc(ctypes.c_size_t(SIZE))
        library.memset(block, 1, SIZE)
        library.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

before = page_faults_of_large_blocks()
with keeping_freed_memory():
    within = min(page_faults_of_large_blocks() for _ in range(10))
print(json.dumps([before, within, page_faults_of_large_blocks()]))
"""


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="needs glibc"
)
def test_large_blocks_are_asked_for_once() -> None:
    """In a process of its own: where other tests have left room in the heap, large blocks lie there anyway."""
    size = 40_000_000
    code = MEASURE.replace("SIZE", str(size))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, within, after = json.loads(done.stdout)
    pages = size // 4096
    assert before > 2 * pages
    assert within < pages / 10
    assert after > pages / 2  # all given back
