"""A folder of features: one file per video, all made by one recipe.

::

    STORE/store.json                  the recipe and its networks; another recipe needs another store
    STORE/videos/KEY.safetensors      features of one video, with the record of how they were made
    STORE/index.csv                   a table of the videos, made from the files and never believed over them
    STORE/digests.csv                 digests of videos that had to be read to be known (`avel.features.digests`)
    STORE/failures.jsonl              what could not be extracted (written by `avel.features.journal`)
    STORE/.tmp/                       files in the making

A file appears when it is complete (a temporary file, fsync, rename), so that whatever is there can be read, at any
moment and by any number of processes. Equal videos, recipes, networks and library versions give equal bytes: nothing
in a file depends on the time, the machine or the order of extraction.
"""

import contextlib
import importlib.metadata
import json
import math
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from avel.documents import read_json
from avel.errors import FeaturesError
from avel.features.digests import SourceDigests
from avel.features.feature_file import (
    FORMAT,
    SUFFIX,
    BackboneModality,
    FeatureFileWriter,
    FeatureStream,
    StoredFeatures,
    damaged,
    write_tensors,
)
from avel.features.index import IndexRow, index_row, read_index, write_index
from avel.features.recipe import Recipe, canonical_json, digest_of
from avel.features.source import SourceFile
from avel.files import write_text, writing

if TYPE_CHECKING:
    from avel.backbones.base import Backbone

MAX_STORE_JSON_BYTES = 1 << 20
_HOW_IT_RAN = frozenset({"engine", "engine_version", "device", "precision"})
"""What a backbone's record says of the run rather than of the network."""


@dataclass(frozen=True)
class BackboneEntry:
    """A network whose features are in a store.

    Attributes:
        modality: ``"visual"`` or ``"audio"``.
        shape: of one segment's features: (R, D) or (D,).
        network: what tells it from other networks: name, weight digest, options.
    """

    modality: BackboneModality
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
        self.folder: Path = Path(folder)
        self.recipe: Recipe
        self.backbones: dict[str, BackboneEntry]
        self.recipe, self.backbones = _read_store(self.folder)
        self.digest: str = _store_digest(self.recipe, self.backbones)

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
            raise damaged(path, f"it holds {found}, this store's networks give {expected}")
        return stored

    def write(
        self,
        key: str,
        source: SourceFile,
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
        shapes = {f"{entry.modality}/{name}": entry.shape for name, entry in self.backbones.items()}
        dtype = np.dtype(self.recipe.stored_as)
        with self._temporary_folder() as folder, FeatureFileWriter(folder, shapes, dtype, source.path) as file:
            for batch in stream:
                file.append(batch)
            if len(file) == 0:
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
                "tensors": file.digests,
            }
            record["digest"] = digest_of(record)
            file.finish(path, canonical_json(record))

    def remove(self, key: str) -> None:
        """Remove the features of one video, if they are there.

        Raises:
            FeaturesError: if the file system refuses it.
            ValueError: if no video can have that key.
        """
        with _writing(self.folder):
            self.path(key).unlink(missing_ok=True)

    def check_networks(self, backbones: "Iterable[Backbone]") -> None:
        """Refuse networks whose features cannot be compared with those that are here.

        Args:
            backbones: some or all of those that the recipe names.

        Raises:
            FeaturesError: naming every difference.
        """
        differences = _network_differences(entries(backbones), self.backbones)
        if differences:
            raise FeaturesError(
                f"{self.folder}: was made with other networks than those that are here: compared with it, "
                f"{'; '.join(differences)}. Get the weights that it was made with, or extract into a new folder."
            )

    def copy(self, key: str, other: str, source: SourceFile) -> None:
        """Write the features of a video once more, for another name of the same content.

        Args:
            key: of the features that are there.
            other: of the copy; it may be the same, when the video only is at another place.
            source: the video under its other name.

        Raises:
            FeaturesError: if there are none, they are damaged, or the copy cannot be written.
            ValueError: if the video has another content, or no video can have that key.
        """
        stored = self.open(key)
        if stored.source.sha256 != source.sha256:
            raise ValueError(f"{source.path} is not the video {stored.source.path}.")
        record = {**{k: v for k, v in stored.record.items() if k != "digest"}, "source": asdict(source)}
        record["digest"] = digest_of(record)
        with self._temporary_folder() as folder:
            write_tensors(self.path(other), folder / "features", stored.arrays, canonical_json(record))

    def index(self) -> tuple[list[IndexRow], dict[str, str]]:
        """A line for each video, in the order of keys, and the files that cannot be read with the reason.

        Only files that changed since the last time are opened. The table is kept in ``index.csv`` where the folder
        can be written.
        """
        before = read_index(self.folder / "index.csv")
        rows: list[IndexRow] = []
        damaged: dict[str, str] = {}
        for key, status in sorted(self._files()):
            row = before.get(key)
            if row is None or (row.file_bytes, row.file_modified_ns) != (status.st_size, status.st_mtime_ns):
                try:
                    row = index_row(self.open(key), status)
                except FeaturesError as error:
                    damaged[key] = str(error)
                    continue
            rows.append(row)
        if rows != list(before.values()):
            with contextlib.suppress(FeaturesError):
                write_index(self.folder / "index.csv", rows)
        return rows, damaged

    def digests(self) -> SourceDigests:
        """What is known of videos that had to be read, as where they were moved."""
        return SourceDigests(self.folder)

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

    def verify(self, *, read_source: Callable[[str], SourceFile] | None = None) -> Iterator[tuple[str, list[str]]]:
        """Read every file from end to end and say what is wrong with it.

        Args:
            read_source: reads a source again by its path, to compare it with its digest: `SourceFile.of`, or
                `avel.data.ave.exchange.read_source` where rows of AVE's layout were imported. Sources are not compared
                when ``None``.

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
            if read_source is not None:
                problems += _source_problems(stored.source, read_source)
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


def _read_store(folder: Path) -> tuple[Recipe, dict[str, BackboneEntry]]:
    file = folder / "store.json"
    try:
        content = read_json(file, MAX_STORE_JSON_BYTES)
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
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


def _writing(folder: Path) -> contextlib.AbstractContextManager[None]:
    return writing(folder, raises=FeaturesError)


def _are_sizes(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(v, int) and not isinstance(v, bool) and v > 0 for v in values)


def _source_problems(source: SourceFile, read_source: Callable[[str], SourceFile]) -> list[str]:
    try:
        now = read_source(source.path)
    except (FeaturesError, OSError) as error:
        return [f"its source {source.path} cannot be read ({getattr(error, 'strerror', None) or error})"]
    return [] if now.sha256 == source.sha256 else [f"its source {source.path} is no longer the same"]
