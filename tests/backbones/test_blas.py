"""Matrix products on one thread, as long as somebody wants that."""

import threading

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from avel.backbones.blas import each_on_one_blas_thread, one_blas_thread


def blas_threads() -> list[int]:
    return [found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"]


@pytest.fixture(autouse=True)
def two_threads():
    """Whatever the machine has, products start on two."""
    with threadpool_limits(2, user_api="blas"):
        assert blas_threads(), "NumPy has no BLAS here whose threads can be counted"
        yield


def test_products_have_one_thread_inside_and_as_many_as_before_after():
    before = blas_threads()
    with one_blas_thread():
        assert set(blas_threads()) == {1}
        with one_blas_thread():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before


def test_whoever_comes_second_and_leaves_last_changes_nothing():
    before = blas_threads()
    entered, leave = threading.Event(), threading.Event()

    def stays() -> None:
        with one_blas_thread():
            entered.set()
            leave.wait()

    other = threading.Thread(target=stays)
    with one_blas_thread():
        other.start()
        entered.wait()
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
    leave.set()
    other.join()
    assert blas_threads() == before


def test_items_are_made_inside_and_used_outside():
    before = blas_threads()

    def items():
        for _ in range(2):
            yield blas_threads()

    for inside in each_on_one_blas_thread(items()):
        assert set(inside) == {1}
        assert blas_threads() == before


def test_an_error_leaves_the_threads_as_they_were():
    before = blas_threads()

    def fails():
        yield 1
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(each_on_one_blas_thread(fails()))
    assert blas_threads() == before
