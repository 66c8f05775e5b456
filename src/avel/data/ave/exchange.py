"""Stores to and from the HDF5 layout of the AVE data set (see `avel.data.ave.hdf5`).

So published features train our models, and ours train other people's code. The layout has the same number of segments
in every row: a longer video is cut and a shorter one is filled with zeros, which the files ``visual_valid.h5`` and
``audio_valid.h5``, not part of the published layout, mark with 0. ``videos.txt`` names the video of each row.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.data.ave.hdf5 import AveArray, AveArrays, write_rows, write_visual
from avel.errors import FeaturesError
from avel.features.choices import FLOAT_TYPES, FloatType, StoredType
from avel.features.extract import FeatureBatch
from avel.features.lookup import find_rows
from avel.features.recipe import Recipe
from avel.features.source import SourceFile, absolute_text
from avel.features.store import BackboneEntry, FeatureStore
from avel.files import write_text

AVE_SEGMENTS = 10
ROWS_FILE = "videos.txt"


@dataclass(frozen=True)
class AveExport:
    """What was written.

    Attributes:
        files: in the order in which they were written.
        rows: number of rows.
        cut: videos that were longer, and lost their end.
        filled: videos that were shorter, and were filled with zeros.
        missing: videos that are not in the store; their rows are zeros.
    """

    files: tuple[Path, ...]
    rows: int
    cut: tuple[str, ...]
    filled: tuple[str, ...]
    missing: tuple[str, ...]


def export_ave(
    store: FeatureStore,
    folder: str | Path,
    videos: Sequence[str] | None = None,
    *,
    segments: int = AVE_SEGMENTS,
    dtype: FloatType = "float32",
    visual: str | None = None,
    audio: str | None = None,
    allow_missing: bool = False,
) -> AveExport:
    """Write a store as ``visual_feature.h5``, ``visual_feature_vec.h5`` and ``audio_feature.h5``.

    Args:
        store: where the features are.
        folder: where the files go; made if it is not there.
        videos: the video of each row, by key, by the last part of a key, or by the path of its file; the same one may
            stand in several rows. All videos in the order of their keys when ``None``.
        segments: T, number of segments of every row.
        dtype: type of the numbers in the files.
        visual: backbone whose features are written; the store's only one when ``None``.
        audio: the same for sound.
        allow_missing: write zeros for videos that are not in the store, instead of an error.

    Raises:
        FeaturesError: if a video is not in the store or has two candidates, or a file cannot be written.
        ValueError: if an argument is not allowed.
    """
    if dtype not in FLOAT_TYPES:
        raise ValueError(f"dtype must be one of {', '.join(FLOAT_TYPES)}; got {dtype!r}.")
    if segments < 1:
        raise ValueError(f"segments must be 1 or more, got {segments}.")
    chosen = {"visual": _choose(store, "visual", visual), "audio": _choose(store, "audio", audio)}
    names = store.keys() if videos is None else list(videos)
    if not names:
        raise FeaturesError(f"{store.folder} holds no video to export.")
    keys, missing = _find_keys(store, names)
    if missing and not allow_missing:
        raise FeaturesError(
            f"{store.folder} lacks {len(missing)} of {len(set(names))} videos: {', '.join(missing[:5])}"
            f"{', ...' if len(missing) > 5 else ''}. Extract them, or ask for zeros in their rows."
        )
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FeaturesError(f"{folder}: cannot be made ({error.strerror}). Give another folder.") from error

    def rows(modality: str) -> Iterator[npt.NDArray[Any]]:
        name = chosen[modality]
        assert name is not None
        for key in keys:
            features = None if key is None else getattr(store.open(key), modality)[name]
            yield _fitted(features, (segments, *store.backbones[name].shape))

    def validity(modality: str) -> Iterator[npt.NDArray[Any]]:
        for key in keys:
            valid = None if key is None else getattr(store.open(key), f"{modality}_valid")
            yield _fitted(valid, (segments,))

    files = []
    if chosen["visual"] is not None:
        files += [folder / "visual_feature.h5", folder / "visual_feature_vec.h5", folder / "visual_valid.h5"]
        write_visual(files[0], rows("visual"), len(keys), dtype=dtype)
        write_rows(files[1], (row.mean(axis=1) for row in rows("visual")), len(keys), dtype=dtype)
        write_rows(files[2], validity("visual"), len(keys), dtype=dtype)
    if chosen["audio"] is not None:
        files += [folder / "audio_feature.h5", folder / "audio_valid.h5"]
        write_rows(files[-2], rows("audio"), len(keys), dtype=dtype)
        write_rows(files[-1], validity("audio"), len(keys), dtype=dtype)
    files.append(folder / ROWS_FILE)
    write_text(files[-1], "".join(f"{name}\n" for name in names), raises=FeaturesError)
    lengths = {key: len(store.open(key)) for key in keys if key is not None}
    return AveExport(
        files=tuple(files),
        rows=len(keys),
        cut=tuple(key for key, length in lengths.items() if length > segments),
        filled=tuple(key for key, length in lengths.items() if length < segments),
        missing=tuple(missing),
    )


def import_ave(
    folder: str | Path,
    store: str | Path,
    videos: Sequence[str] | None = None,
    *,
    visual: str = "vgg19-original",
    audio: str = "vggish",
    stored_as: StoredType = "float16",
) -> FeatureStore:
    """Make a store of the features in a folder of AVE's layout.

    The store says that its features were imported, and takes no others: what their weights were cannot be checked.

    Args:
        folder: where ``visual_feature.h5``, ``audio_feature.h5`` or both are.
        store: folder of the new store.
        videos: the video of each row; ``videos.txt`` in the folder, or else the numbers of the rows, when ``None``.
            A video in several rows is stored once.
        visual: name of the backbone that made the visual features; AVE's own is the original VGG-19.
        audio: the same for sound; AVE's own is VGGish.
        stored_as: type of the numbers in the store.

    Raises:
        FeaturesError: if the files cannot be used, do not belong together, or hold numbers that cannot be stored; or
            if rows of the same video differ.
        ValueError: if there are not as many videos as rows, or one cannot be a key.
    """
    with AveArrays.open(folder) as arrays:
        count = arrays.num_rows
        names = _row_names(Path(folder), count) if videos is None else list(videos)
        if len(names) != count:
            raise ValueError(f"{folder} has {count} rows; got the names of {len(names)} videos.")
        seen = arrays.visual if arrays.has("visual_feature") else None
        heard = arrays.audio if arrays.has("audio_feature") else None
        valid = {modality: _validity(arrays, modality, count) for modality in ("visual", "audio")}
        backbones = {}
        if seen is not None:
            backbones[visual] = BackboneEntry("visual", seen.shape[2:], {"name": visual, "origin": "imported"})
        if heard is not None:
            backbones[audio] = BackboneEntry("audio", heard.shape[2:], {"name": audio, "origin": "imported"})
        recipe = Recipe(
            visual=(visual,) if seen is not None else (),
            audio=(audio,) if heard is not None else (),
            precision="float32",
            stored_as=stored_as,
        )
        opened = FeatureStore.create(store, recipe, backbones)
        digests: dict[str, str] = {}
        for row, name in enumerate(names):
            parts = _row_parts(arrays, row)
            source = _row_source(Path(folder), row, parts)
            if digests.setdefault(name, source.sha256) != source.sha256:
                raise FeaturesError(f"{folder}: rows of the video {name!r} differ. Give each row a name of its own.")
            if name in opened and opened.open(name).source.sha256 == source.sha256:
                continue
            stream = _Row(parts, visual, audio, {m: v if v is None else v[row] for m, v in valid.items()})
            opened.write(name, source, stream, backbones={n: entry.network for n, entry in backbones.items()})
        opened.index()
    return opened


class _Row:
    """A row of the layout as a stream of features."""

    warnings = ()

    def __init__(
        self,
        parts: Mapping[str, npt.NDArray[Any]],
        visual: str,
        audio: str,
        valid: Mapping[str, npt.NDArray[Any] | None],
    ) -> None:
        segments = len(next(iter(parts.values())))
        self.duration_seconds = float(segments)
        names = {"visual": visual, "audio": audio}
        features = {modality: {names[modality]: array} for modality, array in parts.items()}
        masks = {}
        for modality in names:
            mask = valid[modality]
            masks[modality] = np.full(segments, modality in parts) if mask is None else mask > 0
        self._batch = FeatureBatch(
            features.get("visual", {}), features.get("audio", {}), masks["visual"], masks["audio"]
        )

    def __iter__(self) -> Iterator[FeatureBatch]:
        yield self._batch


def _choose(store: FeatureStore, modality: str, name: str | None) -> str | None:
    names = [n for n, entry in store.backbones.items() if entry.modality == modality]
    if name is None and len(names) > 1:
        raise ValueError(f"{store.folder} has {', '.join(names)}. Choose one {modality} backbone to export.")
    if name is not None and name not in names:
        raise ValueError(f"{store.folder} has no {modality} backbone {name!r}. It has: {', '.join(names) or 'none'}.")
    return name or next(iter(names), None)


def _find_keys(store: FeatureStore, names: Sequence[str]) -> tuple[list[str | None], list[str]]:
    """The key of each name, and the names that have none."""
    by_last: dict[str, list[str]] = defaultdict(list)
    for key in store.keys():  # noqa: SIM118 - not a mapping
        by_last[key].append(key)
        if "/" in key:
            by_last[key.rsplit("/", 1)[1]].append(key)
    rows = store.index()[0] if any(name not in by_last for name in names) else []
    files = [name for name in names if name not in by_last and os.path.isfile(name)]  # noqa: PTH113 - takes any text
    digests = store.digests()
    by_path = find_rows(files, rows, digests.of)
    digests.save()
    keys: list[str | None] = []
    for name in names:
        if Path(name) in by_path:
            keys.append(by_path[Path(name)].key)
            continue
        candidates = by_last.get(name, [])
        if name in candidates:
            candidates = [name]
        if len(candidates) > 1:
            raise FeaturesError(f"{store.folder} has several videos called {name!r}: {', '.join(candidates)}.")
        keys.append(candidates[0] if candidates else None)
    missing = dict.fromkeys(name for name, key in zip(names, keys, strict=True) if key is None)
    return keys, list(missing)


def _fitted(features: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """As many segments as wanted, float32: cut, or filled with zeros."""
    fitted = np.zeros(shape, np.float32)
    if features is not None:
        fitted[: len(features)] = features[: shape[0]]
    return fitted


def _row_names(folder: Path, count: int) -> list[str]:
    file = folder / ROWS_FILE
    if not file.exists():
        return [f"{row:06d}" for row in range(count)]
    try:
        return file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FeaturesError(f"{file}: cannot be read ({error}).") from error


def _validity(arrays: AveArrays, modality: str, count: int) -> npt.NDArray[Any] | None:
    """(N, T) from the files that `export_ave` writes besides the layout; none where there is none."""
    if not arrays.has(f"{modality}_valid"):
        return None
    array = AveArray(arrays.folder / f"{modality}_valid.h5", ndim=2)
    features = arrays.visual if arrays.has("visual_feature") else arrays.audio
    if array.shape != (count, features.shape[1]):
        raise FeaturesError(f"{array.path} has shape {array.shape}; the features have {(count, features.shape[1])}.")
    loaded = array.load()
    array.close()
    return loaded


def read_source(path: str) -> SourceFile:
    """Read again what features in a store were made from: a video, or a row that `import_ave` took.

    Args:
        path: as the store keeps it: of the video, or ``FOLDER#ROW``.

    Raises:
        FeaturesError: if the files or the row are not there, or are damaged.
        OSError: if the video cannot be read.
    """
    folder, _, number = path.rpartition("#")
    if not number.isdecimal() or Path(path).exists():
        return SourceFile.of(path)
    row = int(number)
    with AveArrays.open(folder) as arrays:
        modalities = [m for m in ("visual", "audio") if arrays.has(f"{m}_feature")]
        if not modalities:
            raise FeaturesError(f"{folder}: has neither visual_feature.h5 nor audio_feature.h5.")
        count = min(len(getattr(arrays, modality)) for modality in modalities)
        if not 0 <= row < count:
            raise FeaturesError(f"{folder}: has {count} rows, and no row {row}.")
        return _row_source(Path(folder), row, _row_parts(arrays, row))


def _row_parts(arrays: AveArrays, row: int) -> dict[str, npt.NDArray[Any]]:
    return {m: getattr(arrays, m)[row] for m in ("visual", "audio") if arrays.has(f"{m}_feature")}


def _row_source(folder: Path, row: int, parts: Mapping[str, npt.NDArray[Any]]) -> SourceFile:
    digest = hashlib.sha256()
    for array in parts.values():
        digest.update(np.ascontiguousarray(array).data)
    size = sum(array.nbytes for array in parts.values())
    return SourceFile(f"{absolute_text(folder)}#{row}", size, digest.hexdigest())
