"""Tensors of weight files: converted once to safetensors, which cannot hold code; PyTorch is not needed."""

import hashlib
import pickle
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from avel.backbones.weights.cache import cache_folder, locked, path_of, replacing_locked
from avel.backbones.weights.checkpoint_file import read_checkpoint
from avel.backbones.weights.entries import WeightFile, lookup
from avel.errors import AvelWarning, WeightsError
from avel.files import SafetensorsError, open_safetensors

Arrays = dict[str, npt.NDArray[Any]]
"""By name."""


def load_tensors(name: str, *, offline: bool = False) -> Arrays:
    """Tensors of a PyTorch checkpoint, a Keras HDF5 file or a pickle of NumPy arrays.

    The first call converts the file to safetensors in the cache; later calls read only that, after comparing it with
    digests of the file that it was made from and of its own tensors.

    Args:
        name: as in the catalogue.
        offline: as in `path`.

    Returns:
        Name of each tensor as the file has it (``"group/dataset"`` in HDF5, ``"key|key"`` in a pickle) to the tensor,
        with the file's axes; what is bfloat16, which NumPy lacks, as float32.

    Raises:
        ValueError: if the catalogue has no such name, or the file is of another kind.
        WeightsError: as in `path`.
    """
    entry = lookup(name)
    suffix = Path(entry.file_name).suffix
    if suffix not in _READERS:
        raise ValueError(
            f"{entry.file_name} of {name!r} has no tensors to load. Those that have end in {', '.join(_READERS)}."
        )
    converted = (cache_folder() / entry.file_name).with_suffix(".safetensors")
    tensors = _read_converted(converted, entry)
    if tensors is None:
        tensors = _READERS[suffix](path_of(entry, offline=offline, progress=sys.stderr.isatty()))
        try:
            _write_converted(converted, entry, tensors)
        except WeightsError as error:  # they can be used all the same
            text = f"{error} Until then {entry.file_name} is converted each time."
            warnings.warn(text, AvelWarning, stacklevel=2)
    return tensors


def _read_keras(file: Path) -> Arrays:
    import h5py

    tensors: Arrays = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            tensors[name] = np.asarray(item[()])

    with h5py.File(file, "r") as opened:
        opened.visititems(take)
    return tensors


class _ArraysOnly(pickle.Unpickler):
    """Reads arrays of NumPy in dictionaries; any other name, which could be code that runs, is refused."""

    _NAMES: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._NAMES:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self._NAMES[module, name]


def _read_arrays(file: Path) -> Arrays:
    """Of nested dictionaries; the keys that lead to a tensor are joined by bars."""

    def flat(item: Any, name: str) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        if isinstance(item, dict):
            for key, value in item.items():
                yield from flat(value, f"{name}|{key}" if name else key)
        else:
            yield name, item.copy()

    with file.open("rb") as opened:
        try:
            return dict(flat(_ArraysOnly(opened).load(), ""))
        except pickle.UnpicklingError as error:
            raise WeightsError(f"{file} does not hold arrays alone: {error}.") from error


_READERS = {".pth": read_checkpoint, ".h5": _read_keras, ".hdf5": _read_keras, ".ckpt": _read_arrays}


def _read_converted(file: Path, entry: WeightFile) -> Arrays | None:
    """Tensors of a converted file; ``None`` if there is none, or if it is damaged or made from another file."""
    try:
        with open_safetensors(file, "numpy") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorsError):
        return None
    intact = metadata == {"source": entry.digest, "tensors": _tensors_digest(tensors)}
    return tensors if intact else None


def _write_converted(file: Path, entry: WeightFile, tensors: Arrays) -> None:
    from safetensors.numpy import save

    content = save(tensors, {"source": entry.digest, "tensors": _tensors_digest(tensors)})
    with locked(file, entry), replacing_locked(file, entry) as part:
        part.write_bytes(content)


def _tensors_digest(tensors: Arrays) -> str:
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} torch.{tensor.dtype} {tensor.shape}\n".encode())  # as older conversions have it
        found.update(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
    return f"sha256:{found.hexdigest()}"
