"""The features of one video in a file.

Tensors: ``visual/NAME`` (T, R, D) and ``audio/NAME`` (T, D) for each backbone, float16 or float32, zeros where not
valid; ``visual_valid`` and ``audio_valid``, (T,) bool. Everything else is JSON under the metadata key ``avel``.
Safetensors cannot hold code; sizes and shapes are checked before anything is read, since stores are passed on between
people.
"""

import contextlib
import hashlib
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from avel.documents import parse_json
from avel.errors import FeaturesError
from avel.features.recipe import digest_of
from avel.features.source import SourceFile
from avel.files import as_os_error, replacing, safetensors_header, writing

if TYPE_CHECKING:
    from avel.features.extract import FeatureBatch

FORMAT = "avel features 1"
SUFFIX = ".safetensors"

_TYPES: dict[str, type[np.generic]] = {"F16": np.float16, "F32": np.float32, "BOOL": np.bool_}

BackboneModality = Literal["visual", "audio"]
FeatureArray = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


class FeatureStream(Protocol):
    """Features of one video, batch after batch; `avel.features.extract.Extraction` is one.

    Attributes:
        duration_seconds: length of the video, known after the last batch.
        warnings: what could not be read, known after the last batch.
    """

    @property
    def duration_seconds(self) -> float:  # noqa: D102
        ...

    @property
    def warnings(self) -> Sequence[str]:  # noqa: D102
        ...

    def __iter__(self) -> "Iterator[FeatureBatch]": ...


class StoredFeatures:
    """Features of one video, in a file. Arrays are mapped into memory: only what is looked at is read.

    Attributes:
        key: name in the store.
        path: the file.
        record: how they were made: ``backbones``, ``versions``, ``source``, ``recipe`` and more.
        source: the file that they were made from.
        segment_seconds: length of a segment.
        duration_seconds: length of the video; less than T * ``segment_seconds`` when the last segment is padded.
        warnings: what could not be read of the video.
        shapes: shape of each tensor, by its name in the file.

    Raises:
        FeaturesError: if the file is missing, is damaged, or is something else.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path: Path = path
        self.key: str = key
        self.record: dict[str, Any]
        self.record, self._tensors = _read_header(path)
        self.shapes: dict[str, tuple[int, ...]] = {name: shape for name, (_, shape, _) in self._tensors.items()}
        try:
            self.source: SourceFile = SourceFile(**self.record["source"])
            self.segment_seconds: float = float(self.record["recipe"]["segment_seconds"])
            self.duration_seconds: float = float(self.record["duration_seconds"])
            self.warnings: tuple[str, ...] = tuple(map(str, self.record["warnings"]))
            self._check()
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(path, f"its record does not fit ({error!r})") from error

    def __len__(self) -> int:
        """T, number of segments."""
        return self.shapes["visual_valid"][0]

    @property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Every tensor, by its name in the file."""
        return {name: self._array(name) for name in self._tensors}

    @cached_property
    def visual(self) -> dict[str, FeatureArray]:
        """By backbone name, (T, R, D)."""
        return self._by_backbone("visual")

    @cached_property
    def audio(self) -> dict[str, FeatureArray]:
        """By backbone name, (T, D)."""
        return self._by_backbone("audio")

    @cached_property
    def visual_valid(self) -> Bools:
        """(T,), the segment's pictures could be read."""
        return self._array("visual_valid")

    @cached_property
    def audio_valid(self) -> Bools:
        """(T,), the segment's sound could be read."""
        return self._array("audio_valid")

    def place(self, name: str) -> tuple[np.dtype[Any], int]:
        """Type of the numbers of a tensor, by its name in the file, and the byte of the file where they begin."""
        dtype, _, offset_bytes = self._tensors[name]
        return np.dtype(dtype), offset_bytes

    def problems(self) -> list[str]:
        """What is wrong with the content, after reading all of it; nothing in an intact file."""
        found = []
        if self.record.get("digest") != digest_of({k: v for k, v in self.record.items() if k != "digest"}):
            found.append("its record was changed")
        for name in self._tensors:
            array = self._array(name)
            if hashlib.sha256(array.data).hexdigest() != self.record["tensors"].get(name):
                found.append(f"{name} was changed")
            if array.dtype != np.bool_ and not np.isfinite(array).all():
                found.append(f"{name} holds NaN or infinite values")
            if array.dtype == np.bool_ and np.asarray(array).view(np.uint8).max() > 1:
                found.append(f"{name} holds values other than 0 and 1")
        return found

    def _check(self) -> None:
        segments = self.shapes["visual_valid"]
        if len(segments) != 1 or segments[0] < 1 or self.shapes["audio_valid"] != segments:
            raise ValueError(f"validity of {segments} and {self.shapes['audio_valid']} segments")
        if not (math.isfinite(self.duration_seconds) and self.duration_seconds > 0):
            raise ValueError(f"a duration of {self.duration_seconds} s")
        if not isinstance(self.record["tensors"], dict):
            raise TypeError("tensors")
        for name, (dtype, shape, _) in self._tensors.items():
            if shape[:1] != segments or (dtype == np.bool_) != name.endswith("_valid"):
                raise ValueError(f"{name} is {np.dtype(dtype)} of shape {shape}")

    def _by_backbone(self, modality: BackboneModality) -> dict[str, FeatureArray]:
        prefix = f"{modality}/"
        return {name[len(prefix) :]: self._array(name) for name in self._tensors if name.startswith(prefix)}

    def _array(self, name: str) -> npt.NDArray[Any]:
        dtype, shape, offset = self._tensors[name]
        if math.prod(shape) == 0:
            return np.empty(shape, dtype)  # no file can be mapped for 0 bytes
        return np.memmap(self.path, dtype, "r", offset, shape)


class FeatureFileWriter:
    """Writes features batch by batch; memory does not grow with the length of the video.

    A context manager.

    Args:
        folder: for temporary files, on the disk where the file shall be.
        shapes: of one segment's features, (R, D) or (D,), by the name of the tensor.
        dtype: type of the numbers.
        name: of the video, for messages.
    """

    def __init__(self, folder: Path, shapes: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any], name: str) -> None:
        self._folder, self._name = folder, name
        self._stack = contextlib.ExitStack()
        self._spools = {tensor: _Spool(folder, shape, dtype) for tensor, shape in shapes.items()}
        self._spools |= {tensor: _Spool(folder, (), np.dtype(np.bool_)) for tensor in ("visual_valid", "audio_valid")}
        for spool in self._spools.values():
            self._stack.enter_context(contextlib.closing(spool))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def __len__(self) -> int:
        """Number of segments so far."""
        return len(self._spools["visual_valid"])

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each tensor."""
        return {name: spool.sha256 for name, spool in self._spools.items()}

    def append(self, batch: "FeatureBatch") -> None:
        """Take the features of the next segments.

        Raises:
            FeaturesError: if they are not finite, do not fit the store or its type of numbers, or the disk is full.
        """
        arrays: dict[str, npt.NDArray[Any]] = {"visual_valid": batch.visual_valid, "audio_valid": batch.audio_valid}
        arrays |= {f"visual/{name}": features for name, features in batch.visual.items()}
        arrays |= {f"audio/{name}": features for name, features in batch.audio.items()}
        if set(arrays) != set(self._spools):
            raise FeaturesError(
                f"{self._name}: got {', '.join(sorted(arrays))}; the store keeps {', '.join(sorted(self._spools))}."
            )
        for name, spool in self._spools.items():
            array = arrays[name]
            if array.shape != (len(batch.visual_valid), *spool.shape):
                raise FeaturesError(
                    f"{self._name}: {name} has shape {array.shape}; the store keeps "
                    f"{(len(batch.visual_valid), *spool.shape)}."
                )
            if spool.dtype != np.bool_ and not np.isfinite(array).all():
                raise FeaturesError(f"{self._name}: {name} holds NaN or infinite values, which are not stored.")
            with np.errstate(over="ignore"):
                converted = array.astype(spool.dtype)
            if spool.dtype != np.bool_ and not np.isfinite(converted).all():
                raise FeaturesError(
                    f"{self._name}: {name} holds {np.abs(array).max():g}, too large for {spool.dtype}. "
                    "Make a store with stored_as float32."
                )
            with writing(self._folder, raises=FeaturesError):
                spool.append(converted)

    def finish(self, path: Path, record: str) -> None:
        """Write the file; it replaces one that is there.

        Args:
            path: where.
            record: JSON of how the features were made.

        Raises:
            FeaturesError: if it cannot be written.
        """
        arrays = {name: spool.array() for name, spool in self._spools.items()}
        write_tensors(path, self._folder / "features", arrays, record)


def write_tensors(path: Path, temporary: Path, arrays: Mapping[str, npt.NDArray[Any]], record: str) -> None:
    """Write a feature file; it replaces one that is there.

    Args:
        path: where.
        temporary: a path on the same disk that nobody else uses.
        arrays: tensors by name.
        record: JSON of how the features were made.

    Raises:
        FeaturesError: if it cannot be written.
    """
    from safetensors import SafetensorError, TensorSpec, serialize_file

    with replacing(path, raises=FeaturesError, temporary=temporary):
        # Made here first: safetensors' own file would be readable for its owner alone, and a store may be shared.
        temporary.touch()
        usual = temporary.stat().st_mode & 0o777
        try:
            serialize_file(
                {
                    name: TensorSpec(
                        dtype=array.dtype.name,
                        shape=array.shape,
                        data_ptr=array.ctypes.data,
                        data_len=array.nbytes,
                    )
                    for name, array in arrays.items()
                },
                temporary,
                # One key: with several, safetensors writes them in an order that changes from call to call.
                {"avel": record},
            )
        except SafetensorError as error:
            raise as_os_error(error) from error
        temporary.chmod(usual)


class _Spool:
    """A growing array in a temporary file."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype
        self._file: IO[bytes] = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the caller
        self._rows = 0
        self._hash = hashlib.sha256()

    def __len__(self) -> int:
        return self._rows

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def append(self, rows: npt.NDArray[Any]) -> None:
        content = np.ascontiguousarray(rows)
        self._hash.update(content.data)
        self._file.write(content.data)
        self._rows += len(content)

    def array(self) -> npt.NDArray[Any]:
        shape = (self._rows, *self.shape)
        self._file.flush()
        return np.memmap(self._file, self.dtype, "r", 0, shape) if math.prod(shape) else np.empty(shape, self.dtype)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what a full disk did not take is no longer wanted
            self._file.close()


_Tensor = tuple[type[np.generic], tuple[int, ...], int]
"""Type, shape, and offset in the file."""


def _read_header(path: Path) -> tuple[dict[str, Any], dict[str, _Tensor]]:
    try:
        header = safetensors_header(path)
        record = parse_json(header.metadata.get("avel", ""))
    except (OSError, ValueError) as error:
        raise damaged(path, str(error)) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise damaged(path, f"it is not a file of the format '{FORMAT}'")
    tensors = {}
    for name, place in header.tensors.items():
        if place.dtype not in _TYPES:
            raise damaged(path, f"{name} is of the type {place.dtype}; allowed are {', '.join(_TYPES)}")
        tensors[name] = (_TYPES[place.dtype], place.shape, place.offset_bytes)
    return record, tensors


def damaged(path: Path, found: str) -> FeaturesError:
    """The error for a feature file that is not as it was written."""
    return FeaturesError(f"{path} is damaged: {found}. Remove it and run the same `avel extract` again.")
