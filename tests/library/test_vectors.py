import numpy as np
import pytest

from avel.errors import LibraryError
from avel.library import vectors as module
from avel.library.vectors import Vectors, read_array, stored_type, write_vectors


def some_vectors(count, dims=8, seed=0, clusters=30):
    rng = np.random.default_rng(seed)
    made = rng.normal(size=(clusters, dims))[rng.integers(clusters, size=count)] + 0.3 * rng.normal(size=(count, dims))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_few_are_searched_exactly(tmp_path):
    rows = some_vectors(100)
    write_vectors(tmp_path, "audio", rows)
    opened = Vectors(tmp_path, "audio", 100, 8)
    found, products = opened.nearest(rows[7], 5)
    expected = np.argsort(-(rows @ rows[7]), kind="stable")[:5]
    assert found.tolist() == expected.tolist()
    assert found[0] == 7
    assert products == pytest.approx((rows @ rows[7])[expected], abs=1e-6)
    assert len(opened.nearest(rows[0], 500)[0]) == 100
    assert opened[[3, 1]] == pytest.approx(rows[[3, 1]])


def test_many_are_searched_by_cells(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_EXACT", 1000)
    rows = some_vectors(3000).astype(stored_type(3000))
    assert rows.dtype == np.float16
    write_vectors(tmp_path, "audio", rows)
    opened = Vectors(tmp_path, "audio", 3000, 8)
    shared = 0
    for number in range(0, 3000, 100):
        query = np.asarray(rows[number], np.float32)
        by_cells, products = opened.nearest(query, 10)
        exact, best = opened.nearest(query, 10, exact=True)
        assert len(set(by_cells.tolist())) == 10
        assert by_cells[0] == number
        assert (np.diff(products) <= 0).all()
        assert products[0] == pytest.approx(best[0], abs=1e-3)
        shared += len(set(by_cells.tolist()) & set(exact.tolist()))
    assert shared / 300 >= 0.95


def test_equal_vectors_make_cells_too(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_EXACT", 50)
    rows = np.tile(some_vectors(1), (100, 1)).astype(np.float16)
    rows[:40] = 0  # what could not be read
    write_vectors(tmp_path, "audio", rows)
    found, products = Vectors(tmp_path, "audio", 100, 8).nearest(np.asarray(rows[99], np.float32), 60)
    assert (found >= 40).all()
    assert products[-1] > 0.9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "audio_means.npy").unlink(), "audio_means.npy: .*it is missing"),
        (lambda folder: np.save(folder / "audio.npy", np.zeros((10, 8), np.float16)), r"it holds float16 of shape"),
        (lambda folder: (folder / "audio.npy").write_bytes(b"\x93NUMPY"), "the index is damaged"),
        (
            lambda folder: np.save(folder / "audio_order.npy", np.full(3000, 9999, np.uint32)),
            "names rows that are not there",
        ),
        (
            lambda folder: np.save(folder / "audio_starts.npy", np.load(folder / "audio_starts.npy") * 0),
            "its cells do not follow each other",
        ),
    ],
)
def test_damaged_files(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr(module, "MOST_EXACT", 1000)
    write_vectors(tmp_path, "audio", some_vectors(3000).astype(np.float16))
    change(tmp_path)
    with pytest.raises(LibraryError, match=message):
        Vectors(tmp_path, "audio", 3000, 8)


def test_nothing_is_unpickled(tmp_path):
    np.save(tmp_path / "x.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(LibraryError, match="damaged"):
        read_array(tmp_path / "x.npy", np.float32, (1,))
