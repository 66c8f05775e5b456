"""Nearest vectors by inner product: exact for some, by cells for many.

Up to `MOST_EXACT` vectors every one is looked at. Above, they are sorted into cells around means (an inverted file;
Sivic and Zisserman, ICCV 2003; Jegou et al., TPAMI 2011), and only the cells are looked at whose mean is nearest to the
query. ``benchmarks/search.py`` says what that costs in found neighbours and gains in time, beside FAISS: a query spends
more on hearing and seeing what it was given than on either; and plain arrays are mapped into memory, need no library
with a format of its own, and are checked when they are opened, since libraries are passed on.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats
from avel.errors import LibraryError

MOST_EXACT = 200_000

PROBED = 12
"""Cells that are looked at."""

CELLS = 2.0
"""How many there are, in roots of the number of vectors."""

SAMPLES_PER_CELL = 40
"""Vectors from which the means are learned."""

ROUNDS = 8
"""Of k-means."""

_AT_ONCE = 1 << 15


class Vectors:
    """Vectors in files of NumPy's format, mapped into memory.

    Args:
        folder: that `write_vectors` wrote into.
        name: of the vectors.
        count: how many there have to be.
        dims: of each.

    Raises:
        LibraryError: if a file is missing or is not as it was written.
    """

    def __init__(self, folder: Path, name: str, count: int, dims: int) -> None:
        self._rows = read_array(folder / f"{name}.npy", stored_type(count), (count, dims))
        self._cells: _Cells | None = None
        if count > MOST_EXACT:
            self._cells = _Cells(folder, name, count, dims)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: Any) -> Floats:
        """(n, E) of some rows."""
        return np.asarray(self._rows[rows], np.float32)

    def nearest(
        self, query: Floats, count: int, *, exact: bool = False
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The rows with the greatest inner products, greatest first, and those products.

        Args:
            query: (E,).
            count: how many rows; fewer come where there are fewer.
            exact: look at every row.
        """
        best = _Best(count)
        if self._cells is None or exact:
            for first in range(0, len(self._rows), _AT_ONCE):
                block = np.asarray(self._rows[first : first + _AT_ONCE], np.float32)
                best.add(block @ query, np.arange(first, first + len(block)))
        else:
            self._cells.search(query, best)
        return best.rows, best.products


class _Best:
    """The greatest of what was added."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.rows: npt.NDArray[np.int64] = np.zeros(0, np.int64)
        self.products: npt.NDArray[np.float32] = np.zeros(0, np.float32)

    def add(self, products: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> None:
        if len(products) > self._count:
            kept = np.argpartition(-products, self._count)[: self._count]
            products, rows = products[kept], rows[kept]
        products, rows = np.concatenate([self.products, products]), np.concatenate([self.rows, rows])
        order = np.lexsort((rows, -products))[: self._count]
        self.products, self.rows = products[order], rows[order]


class _Cells:
    """Copies of the vectors, sorted by cell."""

    def __init__(self, folder: Path, name: str, count: int, dims: int) -> None:
        self._means = read_array(folder / f"{name}_means.npy", np.float32, (None, dims))
        cells = len(self._means)
        self._starts = np.asarray(read_array(folder / f"{name}_starts.npy", np.int64, (cells + 1,)))
        self._order = read_array(folder / f"{name}_order.npy", np.uint32, (count,))
        self._sorted = read_array(folder / f"{name}_sorted.npy", np.float16, (count, dims))
        ends = self._starts[[0, -1]].tolist()
        if ends != [0, count] or (np.diff(self._starts) < 0).any():
            raise damaged(folder / f"{name}_starts.npy", "its cells do not follow each other")
        if int(self._order.max()) >= count:
            raise damaged(folder / f"{name}_order.npy", "it names rows that are not there")

    def search(self, query: Floats, best: _Best) -> None:
        nearest = -(np.asarray(self._means) @ query)
        probed = min(PROBED, len(nearest))
        cells = np.argpartition(nearest, probed - 1)[:probed]
        parts = [slice(int(self._starts[cell]), int(self._starts[cell + 1])) for cell in cells]
        held = np.concatenate([self._sorted[part] for part in parts]).astype(np.float32)
        best.add(held @ query, np.concatenate([self._order[part] for part in parts]).astype(np.int64))


def stored_type(count: int) -> type[np.floating]:
    """Of the numbers of so many vectors: what is looked at as a whole is not converted first."""
    return np.float32 if count <= MOST_EXACT else np.float16


def write_vectors(folder: Path, name: str, vectors: npt.NDArray[np.floating]) -> None:
    """Write vectors, and their cells if they are many.

    Args:
        folder: where.
        name: of the vectors.
        vectors: (N, E) of the type that `stored_type` says; it may be mapped, and is read block by block.
    """
    np.save(folder / f"{name}.npy", vectors)
    if len(vectors) <= MOST_EXACT:
        return
    means = _learned_means(vectors, round(CELLS * len(vectors) ** 0.5))
    cell = np.concatenate([_nearest_mean(block, means) for block in _blocks(vectors)])
    order = np.argsort(cell, kind="stable").astype(np.uint32)
    np.save(folder / f"{name}_means.npy", means)
    np.save(folder / f"{name}_starts.npy", np.searchsorted(cell[order], np.arange(len(means) + 1)).astype(np.int64))
    np.save(folder / f"{name}_order.npy", order)
    made = np.lib.format.open_memmap(folder / f"{name}_sorted.npy", "w+", np.float16, vectors.shape)
    for first in range(0, len(order), _AT_ONCE):
        made[first : first + _AT_ONCE] = vectors[order[first : first + _AT_ONCE]]
    made.flush()


def read_array(path: Path, dtype: Any, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """An array of a file of NumPy's format, mapped into memory, of the type and shape that it has to have.

    Args:
        path: of the file.
        dtype: of the numbers.
        shape: ``None`` where any size will do.

    Raises:
        LibraryError: if it is missing or is something else.
    """
    try:
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise damaged(path, "it is missing") from None
    except (OSError, ValueError, EOFError) as error:
        raise damaged(path, str(error)) from error
    fits = len(array.shape) == len(shape) and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise damaged(path, f"it holds {array.dtype} of shape {array.shape}")
    return array


def damaged(path: Path, found: str) -> LibraryError:
    """The error for a file of an index that is not as it was written."""
    return LibraryError(
        f"{path}: the index is damaged ({found}). Remove the folder {path.parent.parent} and search again: it is made "
        "anew from the features."
    )


def _blocks(vectors: npt.NDArray[np.floating]) -> Iterator[Floats]:
    for first in range(0, len(vectors), _AT_ONCE):
        yield np.asarray(vectors[first : first + _AT_ONCE], np.float32)


def _learned_means(vectors: npt.NDArray[np.floating], cells: int) -> Floats:
    """(K, E) of length 1: spherical k-means (Dhillon and Modha, 2001) on a part of the vectors."""
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(vectors), min(len(vectors), cells * SAMPLES_PER_CELL), replace=False))
    sample = np.asarray(vectors[rows], np.float32)
    means = _of_length_one(sample[random.choice(len(sample), cells, replace=False)])
    for _ in range(ROUNDS):
        nearest = np.concatenate(
            [_nearest_mean(sample[first : first + _AT_ONCE], means) for first in range(0, len(sample), _AT_ONCE)]
        )
        order = np.argsort(nearest, kind="stable")
        counts = np.bincount(nearest, minlength=cells)
        held = counts > 0
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        sums = np.add.reduceat(sample[order], starts[held], axis=0)
        means[held] = _of_length_one(sums)
        means[~held] = _of_length_one(sample[random.choice(len(sample), int((~held).sum()))])
    return means


def _nearest_mean(block: Floats, means: Floats) -> npt.NDArray[np.int64]:
    parts = [block[first : first + 4096] @ means.T for first in range(0, len(block), 4096)]
    return np.concatenate([part.argmax(axis=1) for part in parts])


def _of_length_one(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), np.float32)
