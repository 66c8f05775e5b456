"""A folder of features: one file per video, all made by one recipe.

::

    STORE/store.json                  the recipe and its networks; another recipe needs another store
    STORE/videos/KEY.safetensors      features of one video, with the record of how they were made
    STORE/index.csv                   a table of the videos, made from the files and never believed over them
    STORE/failures.jsonl              what could not be extracted (written by `avel.features.run`)
    STORE/.tmp/                       files in the making

A file appears when it is complete (a temporary file, fsync, rename), so that whatever is there can be read, at any
moment and by any number of processes. Equal videos, recipes, networks and library versions give equal bytes: nothing
in a file depends on the time, the machine or the order of extraction.

Tensors of a file: ``visual/NAME`` (T, R, D) and ``audio/NAME`` (T, D) for each backbone, float16 or float32, zeros
where not valid; ``visual_valid`` and ``audio_valid``, (T,) bool. Everything else is JSON under the metadata key
``avel``. Safetensors cannot hold code; sizes and shapes are checked before anything is read, since stores are passed
on between people.
"""

import contextlib
import csv
import hashlib
import importlib.metadata
import json
import math
import os
import re
import secrets
import shutil
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from avel.errors import FeaturesError
from avel.features.recipe import Recipe, canonical_json, digest_of
from avel.files import as_os_error, replacing, safetensors_header, write_text, writing

if TYPE_CHECKING:
    from avel.backbones.base import Backbone
    from avel.features.extract import FeatureBatch

FORMAT = "avel features 1"
SUFFIX = ".safetensors"
MAX_STORE_JSON_BYTES = 1 << 20
MAX_NAME_BYTES = 180
"""Of one part of a key. File systems allow 255, and the suffix is added."""

_TYPES: dict[str, type[np.generic]] = {"F16": np.float16, "F32": np.float32, "BOOL": np.bool_}
_HOW_IT_RAN = frozenset({"engine", "engine_version", "device", "precision"})
"""What a backbone's record says of the run rather than of the network."""

Modality = Literal["visual", "audio"]
Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Source:
    """The file that features were made from.

    Attributes:
        path: absolute, as it was when the features were made.
        size_bytes: its size.
        sha256: of its content, in hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Read a file from end to end.

        Raises:
            OSError: if it cannot be read.
        """
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(absolute_text(path), os.fstat(file.fileno()).st_size, digest)


@dataclass(frozen=True)
class BackboneEntry:
    """A network whose features are in a store.

    Attributes:
        modality: ``"visual"`` or ``"audio"``.
        shape: of one segment's features: (R, D) or (D,).
        network: what tells it from other networks: name, weight digest, options.
    """

    modality: Modality
    shape: tuple[int, ...]
    network: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to JSON."""
        return {"modality": self.modality, "shape": list(self.shape), "network": self.network}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made.

        Raises:
            ValueError: if it is not that.
        """
        modality, shape, network = data["modality"], data["shape"], data["network"]
        dimensions = {"visual": 2, "audio": 1}.get(modality)
        if not isinstance(network, dict) or not _are_sizes(shape) or len(shape) != dimensions:
            raise ValueError(f"not a backbone: {data!r}")
        return cls(modality, tuple(shape), network)


def entries(backbones: "Iterable[Backbone]") -> dict[str, BackboneEntry]:
    """The entries of loaded backbones, by name."""
    from avel.backbones.base import VisualBackbone

    found = {}
    for backbone in backbones:
        visual = isinstance(backbone, VisualBackbone)
        shape = (backbone.regions, backbone.dims) if isinstance(backbone, VisualBackbone) else (backbone.dims,)
        network = json.loads(canonical_json(_without_run(backbone.record)))
        found[backbone.name] = BackboneEntry("visual" if visual else "audio", shape, network)
    return found


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
        self.path, self.key = path, key
        self.record, self._tensors = _read_header(path)
        self.shapes = {name: shape for name, (_, shape, _) in self._tensors.items()}
        try:
            self.source = Source(**self.record["source"])
            self.segment_seconds = float(self.record["recipe"]["segment_seconds"])
            self.duration_seconds = float(self.record["duration_seconds"])
            self.warnings = tuple(map(str, self.record["warnings"]))
            self._check()
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(path, f"its record does not fit ({error!r})") from error

    def __len__(self) -> int:
        """T, number of segments."""
        return self.shapes["visual_valid"][0]

    @cached_property
    def visual(self) -> dict[str, Floats]:
        """By backbone name, (T, R, D)."""
        return self._by_backbone("visual")

    @cached_property
    def audio(self) -> dict[str, Floats]:
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

    def _by_backbone(self, modality: Modality) -> dict[str, Floats]:
        prefix = f"{modality}/"
        return {name[len(prefix) :]: self._array(name) for name in self._tensors if name.startswith(prefix)}

    def _array(self, name: str) -> npt.NDArray[Any]:
        dtype, shape, offset = self._tensors[name]
        if math.prod(shape) == 0:
            return np.empty(shape, dtype)  # no file can be mapped for 0 bytes
        return np.memmap(self.path, dtype, "r", offset, shape)


@dataclass(frozen=True)
class IndexRow:
    """A line of the index.

    Attributes:
        key: name in the store.
        source: path of the video.
        source_bytes: its size.
        sha256: of the video.
        duration_seconds: length of the video.
        segments: T.
        visual_valid: number of segments whose pictures could be read.
        audio_valid: number of segments whose sound could be read.
        warnings: number of warnings.
        file_bytes: size of the feature file.
        file_modified_ns: when the feature file was written; with its size this tells whether the line is still true.
    """

    key: str
    source: str
    source_bytes: int
    sha256: str
    duration_seconds: float
    segments: int
    visual_valid: int
    audio_valid: int
    warnings: int
    file_bytes: int
    file_modified_ns: int


@dataclass(frozen=True)
class StoreInfo:
    """What a store holds.

    Attributes:
        recipe: how the features were made.
        backbones: networks, by name.
        videos: number of videos.
        seconds: length of all videos.
        segments: number of segments.
        invalid_visual_segments: segments whose pictures could not be read.
        invalid_audio_segments: segments whose sound could not be read.
        videos_with_warnings: videos of which something could not be read.
        size_bytes: of all feature files.
        damaged: files that cannot be read, with the reason.
    """

    recipe: Recipe
    backbones: Mapping[str, BackboneEntry]
    videos: int
    seconds: float
    segments: int
    invalid_visual_segments: int
    invalid_audio_segments: int
    videos_with_warnings: int
    size_bytes: int
    damaged: Mapping[str, str] = field(default_factory=dict)


class FeatureStore:
    """An existing store.

    Attributes:
        folder: where it is.
        recipe: how all of its features are made.
        backbones: networks, by name.
        digest: of the recipe and its networks.

    Args:
        folder: where it is.

    Raises:
        FeaturesError: if there is none, or it cannot be read.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.recipe, self.backbones = _read_store(self.folder)
        self.digest = _store_digest(self.recipe, self.backbones)

    @classmethod
    def create(cls, folder: str | Path, recipe: Recipe, backbones: Mapping[str, BackboneEntry]) -> Self:
        """Make a store, or open the one that is there if it has the same recipe and networks.

        Args:
            folder: where; a new or empty folder, or a store.
            recipe: how features are made.
            backbones: the networks that the recipe names; see `entries`.

        Raises:
            FeaturesError: if there is a store with another recipe or other networks, or the folder holds other things.
            ValueError: if the networks are not those that the recipe names.
        """
        folder = Path(folder)
        wanted = {**dict.fromkeys(recipe.visual, "visual"), **dict.fromkeys(recipe.audio, "audio")}
        if {name: entry.modality for name, entry in backbones.items()} != wanted:
            raise ValueError(f"The recipe names the backbones {', '.join(wanted)}; got {', '.join(backbones)}.")
        file = folder / "store.json"
        if not file.exists():
            content = {
                "format": FORMAT,
                "recipe": recipe.to_dict(),
                "backbones": {name: entry.to_dict() for name, entry in sorted(backbones.items())},
                "digest": _store_digest(recipe, backbones),
            }
            with _writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
                others = [entry.name for entry in folder.iterdir() if not entry.name.startswith(".")]
            if others and not file.exists():
                raise FeaturesError(
                    f"{folder} is not a feature store and not empty (it holds {', '.join(sorted(others)[:3])}). "
                    "Give a new folder."
                )
            write_text(file, json.dumps(content, indent=2) + "\n", raises=FeaturesError)
        store = cls(folder)
        differences = [*recipe.differences(store.recipe), *_network_differences(backbones, store.backbones)]
        if differences or store.digest != _store_digest(recipe, backbones):
            raise FeaturesError(
                f"{folder} holds features of another recipe. Compared with the store, {'; '.join(differences)}. "
                "Features of different recipes are never mixed: give a new folder, or the store's own settings."
            )
        return store

    def __len__(self) -> int:
        return len(self.keys())

    def __iter__(self) -> Iterator[StoredFeatures]:
        """Videos in the order of their keys.

        Raises:
            FeaturesError: if one is damaged.
        """
        return (self.open(key) for key in self.keys())

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.path(key).is_file()

    def keys(self) -> list[str]:
        """Names of the videos that are there, sorted."""
        return sorted(key for key, _ in self._files())

    def path(self, key: str) -> Path:
        """Where the features of a video are, or would be.

        Raises:
            ValueError: if no video can have that key.
        """
        parts = key.split("/")
        if any(not part or part.startswith(".") or re.search(r"[\\\0]", part) for part in parts):
            raise ValueError(f"{key!r} cannot be the key of a video.")
        return self.folder.joinpath("videos", *parts[:-1], parts[-1] + SUFFIX)

    def open(self, key: str) -> StoredFeatures:
        """Features of one video.

        Raises:
            FeaturesError: if there are none, or they are damaged, or were made with another recipe.
            ValueError: if no video can have that key.
        """
        path = self.path(key)
        if not path.is_file():
            raise FeaturesError(f"{self.folder} has no features of {key!r}. `avel features info` says what it holds.")
        stored = StoredFeatures(path, key)
        if stored.record.get("store") != self.digest:
            raise FeaturesError(
                f"{path} was made with another recipe or other networks than this store's. Remove it and extract again."
            )
        expected = {f"{entry.modality}/{name}": entry.shape for name, entry in self.backbones.items()}
        found = {name: shape[1:] for name, shape in stored.shapes.items() if not name.endswith("_valid")}
        if found != expected:
            raise _damaged(path, f"it holds {found}, this store's networks give {expected}")
        return stored

    def write(
        self,
        key: str,
        source: Source,
        stream: FeatureStream,
        *,
        backbones: Mapping[str, Any],
        media: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the features of one video; they replace those that are there.

        Memory does not grow with the length of the video: batches go to temporary files first.

        Args:
            key: name in the store.
            source: the video.
            stream: its features.
            backbones: the full record of each backbone.
            media: what the file says of itself.

        Raises:
            FeaturesError: if the features are not finite, do not fit the store or its type of numbers, or the disk.
            ValueError: if no video can have that key.
        """
        path = self.path(key)
        with self._temporary_folder() as folder, contextlib.ExitStack() as stack:
            spools: dict[str, _Spool] = {}
            dtype = np.dtype(self.recipe.stored_as)
            for name, entry in self.backbones.items():
                spools[f"{entry.modality}/{name}"] = _Spool(folder, entry.shape, dtype)
            for name in ("visual_valid", "audio_valid"):
                spools[name] = _Spool(folder, (), np.dtype(np.bool_))
            for spool in spools.values():
                stack.enter_context(contextlib.closing(spool))
            for batch in stream:
                self._append(spools, batch, source.path)
            segments = len(spools["visual_valid"])
            if segments == 0:
                raise FeaturesError(f"{source.path}: there is no segment to store.")
            record: dict[str, Any] = {
                "format": FORMAT,
                "store": self.digest,
                "recipe": self.recipe.to_dict(),
                "backbones": dict(backbones),
                "versions": {name: importlib.metadata.version(name) for name in ("avel", "av", "numpy")},
                "source": asdict(source),
                "media": dict(media or {}),
                "duration_seconds": float(stream.duration_seconds),
                "warnings": list(stream.warnings),
                "tensors": {name: spool.sha256 for name, spool in spools.items()},
            }
            record["digest"] = digest_of(record)
            self._finish(path, folder, spools, canonical_json(record))

    def index(self) -> tuple[list[IndexRow], dict[str, str]]:
        """A line for each video, in the order of keys, and the files that cannot be read with the reason.

        Only files that changed since the last time are opened. The table is kept in ``index.csv`` where the folder
        can be written.
        """
        before = _read_index(self.folder / "index.csv")
        rows: list[IndexRow] = []
        damaged: dict[str, str] = {}
        for key, status in sorted(self._files()):
            row = before.get(key)
            if row is None or (row.file_bytes, row.file_modified_ns) != (status.st_size, status.st_mtime_ns):
                try:
                    row = _index_row(self.open(key), status)
                except FeaturesError as error:
                    damaged[key] = str(error)
                    continue
            rows.append(row)
        if rows != list(before.values()):
            with contextlib.suppress(FeaturesError):
                _write_index(self.folder / "index.csv", rows)
        return rows, damaged

    def info(self) -> StoreInfo:
        """What the store holds, in numbers."""
        rows, damaged = self.index()
        segments = sum(row.segments for row in rows)
        return StoreInfo(
            recipe=self.recipe,
            backbones=self.backbones,
            videos=len(rows),
            seconds=math.fsum(row.duration_seconds for row in rows),
            segments=segments,
            invalid_visual_segments=segments - sum(row.visual_valid for row in rows),
            invalid_audio_segments=segments - sum(row.audio_valid for row in rows),
            videos_with_warnings=sum(row.warnings > 0 for row in rows),
            size_bytes=sum(row.file_bytes for row in rows),
            damaged=damaged,
        )

    def verify(self, *, sources: bool = False) -> Iterator[tuple[str, list[str]]]:
        """Read every file from end to end and say what is wrong with it.

        Args:
            sources: also compare the videos, or the rows that were imported, with their digests.

        Yields:
            Each key, with what is wrong: nothing for an intact file.
        """
        for key in self.keys():
            try:
                stored = self.open(key)
                problems = stored.problems()
            except FeaturesError as error:
                yield key, [str(error)]
                continue
            if sources:
                problems += _source_problems(stored.source)
            yield key, problems

    def bytes_needed(self, segments: int) -> int:
        """About how much room the features of a video take while they are written."""
        values = sum(math.prod(entry.shape) for entry in self.backbones.values())
        # Once in the temporary file and once in the making of the final one.
        return 2 * segments * values * np.dtype(self.recipe.stored_as).itemsize + 65536

    def clean(self) -> None:
        """Remove what killed processes left behind, unless another process is writing just now."""
        with contextlib.suppress(FeaturesError), self._lock(exclusive=True) as held:
            if held:
                shutil.rmtree(self.folder / ".tmp", ignore_errors=True)

    def _append(self, spools: "Mapping[str, _Spool]", batch: "FeatureBatch", source: str) -> None:
        arrays: dict[str, npt.NDArray[Any]] = {"visual_valid": batch.visual_valid, "audio_valid": batch.audio_valid}
        arrays |= {f"visual/{name}": features for name, features in batch.visual.items()}
        arrays |= {f"audio/{name}": features for name, features in batch.audio.items()}
        if set(arrays) != set(spools):
            raise FeaturesError(
                f"{source}: got {', '.join(sorted(arrays))}; the store keeps {', '.join(sorted(spools))}."
            )
        for name, spool in spools.items():
            array = arrays[name]
            if array.shape != (len(batch.visual_valid), *spool.shape):
                raise FeaturesError(
                    f"{source}: {name} has shape {array.shape}; the store keeps "
                    f"{(len(batch.visual_valid), *spool.shape)}."
                )
            if spool.dtype != np.bool_ and not np.isfinite(array).all():
                raise FeaturesError(f"{source}: {name} holds NaN or infinite values, which are not stored.")
            with np.errstate(over="ignore"):
                converted = array.astype(spool.dtype)
            if spool.dtype != np.bool_ and not np.isfinite(converted).all():
                raise FeaturesError(
                    f"{source}: {name} holds {np.abs(array).max():g}, too large for {spool.dtype}. "
                    "Make a store with stored_as float32."
                )
            with _writing(self.folder):
                spool.append(converted)

    def _finish(self, path: Path, folder: Path, spools: "Mapping[str, _Spool]", record: str) -> None:
        from safetensors import SafetensorError, TensorSpec, serialize_file

        arrays = {name: spool.array() for name, spool in spools.items()}
        with replacing(path, raises=FeaturesError, temporary=folder / "features") as temporary:
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

    def _files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Key and status of each feature file."""
        videos = self.folder / "videos"
        for parent, folders, names in os.walk(videos):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                if name.endswith(SUFFIX) and not name.startswith("."):
                    file = Path(parent, name)
                    with contextlib.suppress(FileNotFoundError):
                        yield file.relative_to(videos).as_posix().removesuffix(SUFFIX), file.stat()

    @contextlib.contextmanager
    def _temporary_folder(self) -> Iterator[Path]:
        """A folder for files in the making, on the store's own disk, that is gone afterwards."""
        with self._lock(exclusive=False):
            folder = self.folder / ".tmp" / secrets.token_hex(8)
            with _writing(self.folder):
                folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def _lock(self, *, exclusive: bool) -> Iterator[bool]:
        """Hold the store's lock: shared by all who write, exclusive (and only if it is free at once) to clean up."""
        try:
            import fcntl
        except ModuleNotFoundError:  # Windows, where open files cannot be removed anyway
            yield True
            return
        with _writing(self.folder):
            file = (self.folder / ".lock").open("ab")
        with file:
            held = True
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if exclusive else fcntl.LOCK_SH)
            except OSError:  # somebody is writing, or a network file system without locks
                held = not exclusive
            yield held


def assign_keys(videos: Iterable[tuple[Path, str]], rows: Iterable[IndexRow]) -> dict[Path, str]:
    """Keys for videos, each its own, and the ones that they already have where they are in the store.

    A video's key is the name that was proposed for it. If another video has that key, a digest of the path is
    appended. A video that was moved, so that the path in the store leads nowhere, is found by its content.

    Args:
        videos: paths and proposed names, ``/`` between folders.
        rows: the store's index.
    """
    rows = list(rows)
    held = {row.source: row.key for row in rows}
    taken = {_folded(row.key): row for row in rows}
    assigned: dict[Path, str] = {}
    names: set[str] = set()
    for path, name in videos:
        text = absolute_text(path)
        key = held.get(text)
        if key is None:
            key = _safe_key(name)
            row = taken.get(_folded(key))
            if _folded(key) in names or (row is not None and not _was_moved(row, path)):
                key = f"{key}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        names.add(_folded(key))
        assigned[path] = key
    return assigned


def absolute_text(path: str | Path) -> str:
    """Absolute path as text that can be written as UTF-8, whatever bytes the file name has."""
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")  # noqa: PTH100 - keeps links


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
        record = json.loads(header.metadata.get("avel", ""))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path, str(error)) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise _damaged(path, f"it is not a file of the format '{FORMAT}'")
    tensors = {}
    for name, place in header.tensors.items():
        if place.dtype not in _TYPES:
            raise _damaged(path, f"{name} is of the type {place.dtype}; allowed are {', '.join(_TYPES)}")
        tensors[name] = (_TYPES[place.dtype], place.shape, place.offset_bytes)
    return record, tensors


def _read_store(folder: Path) -> tuple[Recipe, dict[str, BackboneEntry]]:
    file = folder / "store.json"
    try:
        if file.stat().st_size > MAX_STORE_JSON_BYTES:
            raise ValueError(f"it is larger than {MAX_STORE_JSON_BYTES} bytes")
        content = json.loads(file.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, this version reads '{FORMAT}'")
        recipe = Recipe.from_dict(content["recipe"])
        backbones = {str(name): BackboneEntry.from_dict(entry) for name, entry in content["backbones"].items()}
        if content["digest"] != _store_digest(recipe, backbones):
            raise ValueError("its digest is not that of its content")
    except (FileNotFoundError, NotADirectoryError):
        raise FeaturesError(
            f"{folder} is not a feature store: it has no store.json. `avel extract` makes one."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FeaturesError(f"{file} cannot be used: {error}. Restore it, or extract into a new folder.") from error
    return recipe, backbones


def _store_digest(recipe: Recipe, backbones: Mapping[str, BackboneEntry]) -> str:
    return recipe.digest({name: entry.to_dict() for name, entry in backbones.items()})


def _network_differences(mine: Mapping[str, BackboneEntry], others: Mapping[str, BackboneEntry]) -> list[str]:
    found = []
    for name in sorted(mine.keys() & others.keys()):
        if mine[name].shape != others[name].shape:
            found.append(f"{name} gives {mine[name].shape}, not {others[name].shape}")
        here, there = _flat(mine[name].network), _flat(others[name].network)
        for option in sorted(here.keys() | there.keys()):
            if here.get(option) != there.get(option):
                found.append(f"{name}: {option} is {here.get(option)}, not {there.get(option)}")
    return found


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _without_run(record: Any) -> Any:
    if isinstance(record, Mapping):
        return {name: _without_run(value) for name, value in record.items() if name not in _HOW_IT_RAN}
    return record


def _index_row(stored: StoredFeatures, status: os.stat_result) -> IndexRow:
    return IndexRow(
        key=stored.key,
        source=stored.source.path,
        source_bytes=stored.source.size_bytes,
        sha256=stored.source.sha256,
        duration_seconds=stored.duration_seconds,
        segments=len(stored),
        visual_valid=int(stored.visual_valid.sum()),
        audio_valid=int(stored.audio_valid.sum()),
        warnings=len(stored.warnings),
        file_bytes=status.st_size,
        file_modified_ns=status.st_mtime_ns,
    )


_COLUMNS = {column.name: column.type for column in fields(IndexRow)}


def _read_index(file: Path) -> dict[str, IndexRow]:
    """Lines by key; none of a table that cannot be read, which is then made again."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            table = csv.DictReader(opened)
            return {line["key"]: IndexRow(**{c: kind(line[c]) for c, kind in _COLUMNS.items()}) for line in table}  # type: ignore[operator]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def _write_index(file: Path, rows: Iterable[IndexRow]) -> None:
    import io

    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(_COLUMNS), lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_text(file, text.getvalue(), raises=FeaturesError)


def _source_problems(source: Source) -> list[str]:
    folder, _, row = source.path.rpartition("#")
    is_row = row.isdecimal() and not Path(source.path).exists()
    what = "row" if is_row else "video"
    try:
        if is_row:
            from avel.data.ave.exchange import source_of_row  # which needs this module

            now = source_of_row(folder, int(row))
        else:
            now = Source.of(source.path)
    except FeaturesError as error:
        return [f"its {what} {source.path} cannot be read ({error})"]
    except OSError as error:
        return [f"its {what} {source.path} cannot be read ({error.strerror or error})"]
    return [] if now.sha256 == source.sha256 else [f"its {what} {source.path} is no longer the same"]


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    return writing(folder, raises=FeaturesError)


def _damaged(path: Path, found: str) -> FeaturesError:
    return FeaturesError(f"{path} is damaged: {found}. Remove it and run the same `avel extract` again.")


def _safe_key(name: str) -> str:
    return "/".join(_safe_part(part) for part in name.split("/") if part) or "_"


def _safe_part(part: str) -> str:
    text = os.fsencode(part).decode("utf-8", "backslashreplace").replace("\\", "_").replace("\0", "_")
    if text.startswith("."):
        text = f"_{text[1:]}"
    encoded = text.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return text
    return f"{encoded[:MAX_NAME_BYTES].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def _folded(key: str) -> str:
    """Equal for keys that some file systems take for one name."""
    return unicodedata.normalize("NFC", key).casefold()


def _was_moved(row: IndexRow, path: Path) -> bool:
    """Whether a video in the store is this one, which is now at another place."""
    try:
        if Path(row.source).exists() or path.stat().st_size != row.source_bytes:
            return False
        return Source.of(path).sha256 == row.sha256
    except OSError:
        return False


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in values)
