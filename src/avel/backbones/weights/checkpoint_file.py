"""PyTorch's checkpoints of tensors, read without PyTorch; nothing in them runs.

``torch.save`` writes an archive: a pickle that names tensors by their storage, shape and strides, and a file for each
storage. Before version 1.6 it wrote several pickles one after the other, and then the storages. See ``torch/
serialization.py``. Numbers are little-endian in both.

Where a whole network was saved, the pickle names its classes, and in early files functions too. They are not imported:
objects that only hold attributes stand in their place, and the weights are taken from these.
"""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avel.errors import WeightsError

_MAGIC = 0x1950A86A20F9469CFC6C
"""Of the first of several pickles."""

_STORAGES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),  # the upper half of a float32
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


def read_checkpoint(
    file: Path, *, network: tuple[str, ...] = (), advice: str = "Give the file in the catalogue."
) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a dictionary that ``torch.save`` wrote, by name; bfloat16 becomes float32.

    Args:
        file: the file.
        network: beginnings of the full names of classes and functions of a network that may be saved as a whole, such
            as ``("models.Net", "torch.nn.modules.")``; its weights have their names as in its ``state_dict``.
        advice: what to do where the file is not that.

    Raises:
        WeightsError: if the file is another one, damaged, or holds anything but tensors.
    """
    make = partial(_TensorsOnly, network=network)
    try:
        with file.open("rb") as opened:
            found = _read_archive(opened, make) if zipfile.is_zipfile(opened) else _read_pickles(opened, make)
            return {name: tensor.array() for name, tensor in found.items()}
    except OSError as error:
        raise WeightsError(f"{file} cannot be read ({error.strerror}). {advice}") from error
    except Exception as error:  # there is no end to what a damaged pickle may raise
        raise WeightsError(f"{file} does not hold tensors alone: {error}. {advice}") from error


class _Storage(NamedTuple):
    """Numbers that tensors are views of.

    Attributes:
        key: its name in the file.
        kind: one of `_STORAGES`.
        read: gives its bytes.
    """

    key: str
    kind: str
    read: Callable[[str], bytes]


class _StoredTensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        """Parameters of PyTorch 0.3 say here whether they have a gradient."""

    def array(self) -> npt.NDArray[Any]:
        """A copy.

        Raises:
            ValueError: if it reaches beyond its storage.
        """
        numbers = np.frombuffer(self.storage.read(self.storage.key), _STORAGES[self.storage.kind])
        if math.prod(self.shape):
            last = self.offset + sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
            if min(self.offset, *self.shape, *self.strides, 0) < 0 or last >= len(numbers):
                raise ValueError("a tensor in it reaches beyond its storage")
        if math.prod(self.shape) > len(numbers):  # by steps of 0, which a copy would fill the memory with
            raise ValueError("a tensor in it is larger than its storage")
        steps = tuple(step * numbers.itemsize for step in self.strides)
        found = np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, steps).copy()
        if self.storage.kind == "BFloat16Storage":
            return (found.astype("<u4") << 16).view("<f4")
        return found


def _tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _StoredTensor:
    return _StoredTensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


class _TensorsOnly(pickle.Unpickler):
    """Reads dictionaries of tensors; any other name, which could be code that runs, is refused.

    Args:
        file: with the pickle.
        storage: gives the bytes of a storage, by its key.
        network: as for `read_checkpoint`.

    Attributes:
        inert: what stands for the classes and functions of a network; made for this file alone, since a pickle can set
            attributes of it.
        kinds: of the storages that were named, by their keys.
    """

    def __init__(self, file: IO[bytes], storage: Callable[[str], bytes], network: tuple[str, ...] = ()) -> None:
        super().__init__(file)
        self._storage = storage
        self._network = network
        self.kinds: dict[str, str] = {}
        self.inert = type("Inert", (), {"__init__": lambda self, *_: None})

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) in (("torch._utils", "_rebuild_tensor"), ("torch._utils", "_rebuild_tensor_v2")):
            return _tensor
        if module in ("torch", "torch.cuda") and name in _STORAGES:
            return name
        if self._network:
            if (module, name) in (("torch.nn.parameter", "Parameter"), ("torch._utils", "_rebuild_parameter")):
                return _weight
            if module in ("builtins", "__builtin__") and name == "set":
                return set
            if f"{module}.{name}".startswith(self._network):
                return self.inert
        raise pickle.UnpicklingError(f"it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        what, kind, key, *_ = pid
        if what == "module" and self._network:
            return kind  # the class; its source stands in the file too, and is passed over
        if what != "storage" or kind not in _STORAGES:
            raise pickle.UnpicklingError(f"it holds {what!r} of kind {kind!r}")
        self.kinds[str(key)] = kind
        return _Storage(str(key), kind, self._storage)


def _weight(tensor: Any, *_: Any) -> Any:
    return tensor


def _weights_of(network: Any, inert: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What a network and the networks in it hold as parameters and buffers, by their dotted names."""
    for kind in ("_parameters", "_buffers", "_modules"):
        held = vars(network).get(kind)
        for name, value in held.items() if isinstance(held, dict) else ():
            if isinstance(value, inert):
                yield from _weights_of(value, inert, f"{prefix}{name}.")
            elif value is not None:
                yield f"{prefix}{name}", value


def _tensors_in(found: Any, inert: type) -> dict[str, _StoredTensor]:
    if isinstance(found, inert):
        found = dict(_weights_of(found, inert))
    if not isinstance(found, dict) or not all(isinstance(value, _StoredTensor) for value in found.values()):
        raise pickle.UnpicklingError("it holds something else")
    return {str(name): value for name, value in found.items()}


def _read_archive(file: IO[bytes], make: "Callable[..., _TensorsOnly]") -> dict[str, _StoredTensor]:
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    top = names[0].split("/")[0]

    def storage(key: str) -> bytes:
        member = archive.getinfo(f"{top}/data/{key}")
        if member.compress_type != zipfile.ZIP_STORED:
            raise ValueError("its numbers are compressed")
        return archive.read(member)

    if f"{top}/byteorder" in names and archive.read(f"{top}/byteorder") != b"little":
        raise ValueError("its numbers are big-endian")
    with archive.open(f"{top}/data.pkl") as opened:
        unpickler = make(opened, storage)
        return _tensors_in(unpickler.load(), unpickler.inert)


def _read_pickles(file: IO[bytes], make: "Callable[..., _TensorsOnly]") -> dict[str, _StoredTensor]:
    file.seek(0)
    storages: dict[str, bytes] = {}
    unpickler = partial(_TensorsOnly, file, storages.__getitem__)
    if unpickler().load() != _MAGIC:
        raise ValueError("it does not begin as one does")
    unpickler().load()  # version of the format
    if not unpickler().load()["little_endian"]:
        raise ValueError("its numbers are big-endian")
    saved = make(file, storages.__getitem__)
    tensors = _tensors_in(saved.load(), saved.inert)
    sizes = {key: _STORAGES[kind].itemsize for key, kind in saved.kinds.items()}
    for key in unpickler().load():
        count = int.from_bytes(file.read(8), "little")
        storages[str(key)] = file.read(count * sizes[str(key)])
    return tensors
