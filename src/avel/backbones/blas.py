"""NumPy's matrix products on one thread, where small ones take turns with networks and decoders that use all cores.

OpenBLAS, which NumPy brings, spreads a product over its threads, and these then wait for the next one without sleeping:
in a localization that took a sixth of all processor time, and gained none.
"""

import threading
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

T = TypeVar("T")

_held = threading.Lock()


@cache
def _products() -> Any:
    """What is loaded into this process for matrix products."""
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Matrix products of this process on one thread, and as before afterwards.

    For the process, since OpenBLAS knows no other limit: where several threads are inside, the one that came first
    sets it and takes it away.
    """
    if not _held.acquire(blocking=False):
        yield
        return
    try:
        with _products().limit(limits=1):
            yield
    finally:
        _held.release()


def each_on_one_blas_thread(items: Iterable[T]) -> Generator[T]:
    """The items, each made within `one_blas_thread`; whoever uses them is outside."""
    iterator = iter(items)
    while True:
        with one_blas_thread():
            try:
                item = next(iterator)
            except StopIteration:
                return
        yield item
