"""Features and labels in the HDF5 layout of the AVE data set, in and out.

One array a file, row by row in the order of ``Annotations.txt`` (Tian et al., ECCV 2018):

======================  ==============  ===================================================
file                    key             shape
======================  ==============  ===================================================
visual_feature.h5       ``avadataset``  (N, T, 7, 7, 512)
audio_feature.h5        ``avadataset``  (N, T, 128)
visual_feature_vec.h5   ``avadataset``  (N, T, 512), mean over the regions
labels.h5               ``avadataset``  (N, T, C) one-hot; also called right_labels.h5
mil_labels.h5           ``avadataset``  (N, C), weak labels ``one-hot``
prob_label.h5           ``avadataset``  (N, C), weak labels ``proportion``
labels_closs.h5         ``avadataset``  (N, T), 1 inside the event
*_noisy.h5              ``avadataset``  the same of clips without event; labels (N, C)
train_order.h5, ...     ``order``       (M,) rows of a split
train_order_match.h5    ``order``       the same for cross-modality localization
======================  ==============  ===================================================

The published visual features are 8.3 GB of float64, so nothing here loads an array whole: rows are read when asked for
and written one at a time. Other feature sizes, numbers of regions and lengths are read and written alike.

A file from elsewhere is not trusted: only plain arrays of numbers that lie in the file itself are read, since HDF5 can
point to any other file of the reader's.
"""

import contextlib
import io
import itertools
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from avel.errors import FeaturesError
from avel.features.choices import FLOAT_TYPES, FloatType
from avel.files import replacing

if TYPE_CHECKING:
    import h5py

DATA_KEY = "avadataset"
ORDER_KEY = "order"

MAX_ROWS = 10_000_000
MAX_ROW_VALUES = 2**28
"""Most numbers in one row: a GiB of float32. AVE's rows have 250,880."""
MAX_LOAD_VALUES = 2**28
"""Most numbers that are loaded at once."""
MAX_CHUNK_BYTES = 2**28
"""HDF5 unpacks a compressed array chunk by chunk; a small file may declare a huge one."""

Float32 = npt.NDArray[np.float32]
Float = TypeVar("Float", np.float16, np.float32)
Indices = npt.NDArray[np.int64]


class AveArray:
    """One array of the layout; rows are read from the file when they are asked for.

    May be sent to other processes and used after a fork: each process opens the file for itself. Not for several
    threads at once: HDF5 lets one in at a time.

    Attributes:
        path: the file.
        shape: (N, ...) as its rows are given.
        dtype: type of the numbers in the file; rows are given as float32.
        rows_at_once: how many rows HDF5 has to read for one, since it packs them in chunks.
    """

    def __init__(self, path: str | Path, *, ndim: int | Sequence[int], key: str = DATA_KEY) -> None:
        """Open a file and check what it holds, without reading a row.

        Args:
            path: the file.
            ndim: allowed numbers of dimensions in the file. One of five, (N, T, H, W, D), is given as (N, T, H * W, D).
            key: name of the array in the file.

        Raises:
            FeaturesError: if the file is missing, is not HDF5, or does not hold such an array.
        """
        self.path: Path = Path(path)
        self._key = key
        self._ndim = (ndim,) if isinstance(ndim, int) else tuple(ndim)
        self._open_dataset: h5py.Dataset | None = None
        self._process = 0
        dataset = self._dataset()
        self.dtype: Any = dataset.dtype
        self.rows_at_once: int = 1 if dataset.chunks is None else int(dataset.chunks[0])
        self._offset_bytes = _plain_offset(dataset)
        self._stored_shape = tuple(int(size) for size in dataset.shape)
        self.shape: tuple[int, ...] = _with_flat_regions(self._stored_shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, row: int) -> Float32:
        """One row as a new float32 array.

        Raises:
            IndexError: if there is no such row.
            FeaturesError: if the row cannot be read.
        """
        return self.read([row])[0]

    def read(self, rows: Sequence[int] | npt.NDArray[np.integer]) -> Float32:
        """Several rows in the order given, which may repeat, as a new float32 array.

        Raises:
            IndexError: if there is no such row.
            FeaturesError: if a row cannot be read.
        """
        return self.read_as(np.float32, rows)

    def read_as(self, dtype: type[Float], rows: Sequence[int] | npt.NDArray[np.integer]) -> npt.NDArray[Float]:
        """`read` with another type of numbers; those that are too large for it become infinite.

        Raises:
            IndexError: if there is no such row.
            FeaturesError: if a row cannot be read.
        """
        indices = np.asarray(rows, dtype=np.int64)
        if indices.ndim != 1:
            raise ValueError(f"rows must be a list of row numbers, got shape {indices.shape}.")
        if indices.size and (indices.min() < -len(self) or indices.max() >= len(self)):
            raise IndexError(f"{self.path} has rows 0-{len(self) - 1}, got {indices.min()}-{indices.max()}.")
        out = np.empty((len(indices), *self.shape[1:]), dtype)
        for position, index in enumerate(indices % len(self) if len(self) else indices):
            with np.errstate(over="ignore"):
                out[position] = self.row(int(index))  # HDF5 converts float16 one by one; NumPy does it ten times faster
        return out

    def row(self, index: int) -> npt.NDArray[np.floating]:
        """One row, from 0, in the type of the file.

        Raises:
            FeaturesError: if it cannot be read.
        """
        dataset = self._dataset()
        with _read_errors(self.path, f"row {index}"):
            if self._offset_bytes is None:
                row = np.empty(self._stored_shape[1:], self.dtype)
                dataset.read_direct(row, np.s_[index])
            else:  # the same bytes, without what HDF5 does for each request
                count = math.prod(self._stored_shape[1:])
                offset = self._offset_bytes + index * count * self.dtype.itemsize
                row = np.fromfile(self.path, self.dtype, count, offset=offset)
                if len(row) != count:
                    raise ValueError("the file ends too early")
        return row.reshape(self.shape[1:])

    def __iter__(self) -> Iterator[Float32]:
        """Row after row, each a new array."""
        return (self[row] for row in range(len(self)))

    def load(self) -> Float32:
        """All rows at once; meant for labels and other small arrays.

        Raises:
            FeaturesError: if the array is too large for that, or a row cannot be read.
        """
        if math.prod(self.shape) > MAX_LOAD_VALUES:
            raise FeaturesError(f"{self.path}: shape {self.shape} is too large to load at once. Read it row by row.")
        return self.read(np.arange(len(self)))

    def close(self) -> None:
        """Close the file; it is opened again when a row is asked for."""
        if self._open_dataset is not None and self._process == os.getpid():
            self._open_dataset.file.close()
        self._open_dataset = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open_dataset": None}

    def _dataset(self) -> "h5py.Dataset":
        if self._open_dataset is None or self._process != os.getpid():
            with _read_errors(self.path, f"'{self._key}'"):
                self._open_dataset = self._checked(_open(self.path))
            self._process = os.getpid()
        return self._open_dataset

    def _checked(self, file: "h5py.File") -> "h5py.Dataset":
        dataset = _plain_dataset(file, self.path, self._key)
        if dataset.dtype.kind != "f" or dataset.dtype.name not in FLOAT_TYPES:
            raise FeaturesError(f"{self.path}: '{self._key}' is {dataset.dtype}; allowed are {', '.join(FLOAT_TYPES)}.")
        if dataset.ndim not in self._ndim:
            raise FeaturesError(
                f"{self.path}: '{self._key}' has shape {dataset.shape}; it must have "
                f"{' or '.join(map(str, self._ndim))} dimensions."
            )
        return dataset


class AveArrays:
    """A folder in AVE's layout. Files are opened when they are first asked for, so a partial copy will do.

    Visual rows are (T, R, D_v), audio rows (T, D_a). Use it as a context manager, or call `close`.
    """

    def __init__(self, folder: str | Path, *, key: str = DATA_KEY) -> None:
        """Name a folder and the key under which its files hold their arrays."""
        self.folder: Path = Path(folder)
        self._key = key
        self._opened: dict[str, AveArray] = {}

    @classmethod
    def open(cls, folder: str | Path, *, key: str = DATA_KEY) -> Self:
        """Open a folder in AVE's layout.

        Args:
            folder: where the files are.
            key: name of the array in every file; some extraction scripts use another one.

        Raises:
            FeaturesError: if it is not a folder, or features that are there do not belong together.
        """
        if not Path(folder).is_dir():
            raise FeaturesError(f"{folder}: no such folder. Give the folder that holds visual_feature.h5.")
        arrays = cls(folder, key=key)
        arrays._check_agreement()
        return arrays

    def has(self, name: str) -> bool:
        """Whether a file is there, such as ``visual_feature`` or ``train_order``."""
        return self._path(name).is_file()

    @property
    def num_rows(self) -> int:
        """Number of samples, from the first feature file that is there.

        Raises:
            FeaturesError: if none is there.
        """
        for name in _ROW_DIMENSIONS:
            if self.has(name):
                return len(self._array(name))
        raise FeaturesError(f"{self.folder}: neither of {', '.join(f'{n}.h5' for n in _ROW_DIMENSIONS)} is here.")

    @property
    def visual(self) -> AveArray:
        """(N, T, R, D_v)."""
        return self._array("visual_feature")

    @property
    def audio(self) -> AveArray:
        """(N, T, D_a)."""
        return self._array("audio_feature")

    @property
    def visual_vec(self) -> AveArray:
        """(N, T, D_v), mean over the regions."""
        return self._array("visual_feature_vec")

    @property
    def background_visual(self) -> AveArray:
        """(N_b, T, R, D_v) of the clips without event."""
        return self._array("visual_feature_noisy")

    @property
    def background_audio(self) -> AveArray:
        """(N_b, T, D_a) of the clips without event."""
        return self._array("audio_feature_noisy")

    def close(self) -> None:
        """Close all files."""
        for array in self._opened.values():
            array.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.h5"

    def _array(self, name: str) -> AveArray:
        if name not in self._opened:
            self._opened[name] = AveArray(self._path(name), ndim=_DIMENSIONS[name], key=self._key)
        return self._opened[name]

    def _check_agreement(self) -> None:
        found = {name: self._array(name).shape[:2] for name in _ROW_DIMENSIONS if self.has(name)}
        if len(set(found.values())) > 1:
            shapes = "; ".join(f"{name}.h5: {n} rows of {t} segments" for name, (n, t) in found.items())
            raise FeaturesError(f"{self.folder}: the feature files do not belong together ({shapes}).")


def read_order(path: str | Path) -> Indices:
    """Read an order file: the rows of a split, as in ``train_order.h5``.

    Returns:
        (M,) row numbers, 0 or more, each once, in the file's order.

    Raises:
        FeaturesError: if the file is missing, is not HDF5, or holds something else.
    """
    path = Path(path)
    with _read_errors(path, f"'{ORDER_KEY}'"), _open(path) as file:
        dataset = _plain_dataset(file, path, ORDER_KEY)
        if dataset.dtype.kind not in "iu" or dataset.ndim != 1:
            raise FeaturesError(
                f"{path}: '{ORDER_KEY}' is {dataset.dtype} of shape {dataset.shape}; "
                "it must be integers in one dimension."
            )
        order = np.asarray(dataset[:]).astype(np.int64)
    if order.size and order.min() < 0:
        raise FeaturesError(f"{path}: holds the row number {order.min()}; row numbers start at 0.")
    if len(np.unique(order)) < len(order):
        raise FeaturesError(f"{path}: a row number occurs twice in it; a split holds each row once.")
    return order


def write_visual(
    path: str | Path,
    rows: Iterable[npt.NDArray[np.floating]],
    num_rows: int,
    *,
    dtype: FloatType = "float32",
    grid: tuple[int, int] | None = None,
) -> None:
    """Write visual features as in ``visual_feature.h5``, row by row.

    Args:
        path: the file to write; it appears when it is complete.
        rows: for each sample (T, R, D), regions row after row of the grid, or (T, H, W, D).
        num_rows: how many rows there will be.
        dtype: type of the numbers in the file.
        grid: (H, W) with H * W = R; without it, R must be a square number.

    Raises:
        FeaturesError: if a row does not fit the ones before, cannot be written in ``dtype``, or the disk is full.
        ValueError: if an argument is out of range.
    """
    write_rows(path, (_on_grid(row, grid) for row in rows), num_rows, dtype=dtype)


def write_rows(
    path: str | Path,
    rows: Iterable[npt.NDArray[np.floating]],
    num_rows: int,
    *,
    dtype: FloatType = "float32",
    key: str = DATA_KEY,
) -> None:
    """Write an array of the layout row by row: audio features (T, D), visual vectors (T, D), labels.

    The file appears when it is complete, and replaces one that was there.

    Args:
        path: the file to write.
        rows: the samples; all of one shape, finite.
        num_rows: how many rows there will be.
        dtype: type of the numbers in the file.
        key: name of the array in the file.

    Raises:
        FeaturesError: if a row does not fit the ones before, cannot be written in ``dtype``, or the disk is full.
        ValueError: if an argument is out of range.
    """
    if dtype not in FLOAT_TYPES:
        raise ValueError(f"Unknown dtype '{dtype}'. Supported types are {', '.join(FLOAT_TYPES)}.")
    if not 0 < num_rows <= MAX_ROWS:
        raise ValueError(f"num_rows must be in 1-{MAX_ROWS}, got {num_rows}.")
    path = Path(path)
    with _replacing(path) as file:
        dataset: h5py.Dataset | None = None
        written = 0
        for row in rows:
            if written == num_rows:
                raise FeaturesError(f"{path}: there are more rows than the {num_rows} announced.")
            if dataset is None:
                dataset = file.create(key, (num_rows, *row.shape), dtype)
            if row.shape != dataset.shape[1:]:
                raise FeaturesError(
                    f"{path}: row {written} has shape {row.shape}, the rows before {dataset.shape[1:]}. "
                    "AVE's layout needs the same number of segments and features in all."
                )
            converted = _as_type(row, dtype, f"{path}: row {written}")
            file.write(dataset, written, converted)
            written += 1
        if written < num_rows:
            raise FeaturesError(f"{path}: there are only {written} rows of the {num_rows} announced.")


def write_order(path: str | Path, order: npt.ArrayLike) -> None:
    """Write an order file, the rows of a split.

    Args:
        path: the file to write.
        order: (M,) row numbers, 0 or more, each once.

    Raises:
        FeaturesError: if the file cannot be written.
        ValueError: if ``order`` is something else.
    """
    rows = np.asarray(order)
    if rows.ndim != 1 or (rows.size and (rows.dtype.kind not in "iu" or rows.min() < 0)):
        raise ValueError(f"An order is a list of row numbers from 0, got {rows.dtype} of shape {rows.shape}.")
    if len(np.unique(rows)) < len(rows):
        raise ValueError("A row number occurs twice in the order; a split holds each row once.")
    path = Path(path)
    with _replacing(path) as file:
        file.write(file.create(ORDER_KEY, rows.shape, "int64"), slice(None), rows.astype(np.int64))


_ROW_DIMENSIONS: dict[str, tuple[int, ...]] = {
    "visual_feature": (4, 5),
    "audio_feature": (3,),
    "visual_feature_vec": (3,),
}
"""Files with one row a sample and T segments in it, and their numbers of dimensions."""

_DIMENSIONS: dict[str, tuple[int, ...]] = {
    **_ROW_DIMENSIONS,
    "visual_feature_noisy": (4, 5),
    "audio_feature_noisy": (3,),
}


@contextlib.contextmanager
def _read_errors(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:  # HDF5 has no error of its own
        raise FeaturesError(f"{path}: {what} cannot be read ({error}). The file is damaged; get it again.") from error


def _open(path: Path) -> "h5py.File":
    import h5py

    if not path.is_file():
        raise FeaturesError(f"{path}: no such file.")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise FeaturesError(f"{path}: not a readable HDF5 file ({error}). Get it again.") from error


def _plain_dataset(file: "h5py.File", path: Path, key: str) -> "h5py.Dataset":
    """The array under a key, if it is one that lies in this file and is of a size that can be handled."""
    import h5py

    links = file.id.links  # asked at the lowest level: `in` and `get` would follow a link to another file
    if "/" in key or not links.exists(key.encode()):
        held = ", ".join(map(repr, itertools.islice(file, 10))) or "nothing"
        raise FeaturesError(f"{path}: no '{key}' in it; it holds {held}.")
    if links.get_info(key.encode()).type != h5py.h5l.TYPE_HARD:
        raise FeaturesError(f"{path}: '{key}' is a link to another place, which is not followed. Copy the array.")
    dataset = file[key]
    if not isinstance(dataset, h5py.Dataset):
        raise FeaturesError(f"{path}: '{key}' is a {type(dataset).__name__.lower()}, not an array.")
    if dataset.is_virtual or dataset.external:
        raise FeaturesError(f"{path}: '{key}' has its numbers in other files, which are not opened. Copy them into it.")
    if dataset.ndim == 0 or dataset.shape[0] > MAX_ROWS or math.prod(dataset.shape[1:]) > MAX_ROW_VALUES:
        raise FeaturesError(
            f"{path}: '{key}' has shape {dataset.shape}; allowed are up to {MAX_ROWS} rows "
            f"of {MAX_ROW_VALUES} numbers each."
        )
    if dataset.chunks is not None and math.prod(dataset.chunks) * dataset.dtype.itemsize > MAX_CHUNK_BYTES:
        raise FeaturesError(
            f"{path}: '{key}' is packed in chunks of shape {dataset.chunks}; "
            f"a chunk may have {MAX_CHUNK_BYTES // 2**20} MiB. Write it again with one row a chunk."
        )
    return dataset


def _plain_offset(dataset: "h5py.Dataset") -> int | None:
    """Where the numbers begin in the file, if they lie there one after the other as NumPy has them."""
    is_plain = dataset.chunks is None and dataset.dtype.isnative and dataset.file.userblock_size == 0
    offset = dataset.id.get_offset() if is_plain else None
    return None if offset is None else int(offset)


def _with_flat_regions(shape: tuple[int, ...]) -> tuple[int, ...]:
    if len(shape) != 5:
        return shape
    n, t, height, width, features = shape
    return n, t, height * width, features


def _on_grid(row: npt.NDArray[np.floating], grid: tuple[int, int] | None) -> npt.NDArray[np.floating]:
    if row.ndim == 4:
        return row
    if row.ndim != 3:
        raise ValueError(f"A row of visual features has shape (T, R, D) or (T, H, W, D), got {row.shape}.")
    regions = row.shape[1]
    height, width = grid or (math.isqrt(regions), math.isqrt(regions))
    if height * width != regions:
        raise ValueError(f"{regions} regions do not make a grid of {height} x {width}. Give the grid's (H, W).")
    return row.reshape(row.shape[0], height, width, row.shape[2])


def _as_type(row: npt.NDArray[np.floating], dtype: FloatType, where: str) -> npt.NDArray[np.floating]:
    if not np.isfinite(row).all():
        raise FeaturesError(f"{where} holds NaN or infinite values. Extract its video again.")
    with np.errstate(over="ignore"):
        converted = row.astype(dtype)
    if not np.isfinite(converted).all():
        raise FeaturesError(f"{where} holds {np.abs(row).max():g}, too large for {dtype}. Write a wider type.")
    return converted


class _Disk(io.RawIOBase):
    """A new file for HDF5, which never learns that a write has failed.

    After a failed write HDF5 cannot close the file, and the process crashes when it ends. So the first failure is kept
    here, HDF5 goes on with a file that nobody wants any more, and `check` raises what was kept.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b", buffering=0)
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise the first failure."""
        if self._error is not None:
            raise self._error

    def write(self, content: Any) -> int:
        view = memoryview(content).cast("B")
        self._attempt(lambda: self._write_all(view))
        return len(view)

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)

    def truncate(self, size: int | None = None) -> int:
        self._attempt(lambda: self._file.truncate(size))
        return self._file.tell() if size is None else size

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()
        super().close()

    def _write_all(self, view: memoryview) -> None:
        while view:
            view = view[self._file.write(view) :]

    def _attempt(self, action: Callable[[], object]) -> None:
        if self._error is None:
            try:
                action()
            except OSError as error:
                self._error = error


@dataclass(frozen=True)
class _NewFile:
    """An HDF5 file in the making; only its first array is written."""

    file: "h5py.File"
    disk: _Disk

    def create(self, key: str, shape: tuple[int, ...], dtype: str) -> "h5py.Dataset":
        dataset = self.file.create_dataset(key, shape, dtype)
        self.disk.check()
        return dataset

    def write(self, dataset: "h5py.Dataset", rows: int | slice, values: npt.NDArray[Any]) -> None:
        dataset[rows] = values
        self.disk.check()


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[_NewFile]:
    """A new HDF5 file that takes its name when it is complete, and leaves nothing behind otherwise."""
    import h5py

    with replacing(path, raises=FeaturesError) as temporary, _Disk(temporary) as disk:
        with h5py.File(disk, "w") as file:
            yield _NewFile(file, disk)
        disk.check()
