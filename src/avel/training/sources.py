"""Where features are read from: files in AVE's layout, or a feature store."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import AveArray, AveArrays
from avel.data.clips import Rows
from avel.errors import FeaturesError
from avel.features.feature_file import FeatureArray
from avel.features.reading import StoreReader
from avel.features.store import FeatureStore
from avel.training.features import FeatureRecord


class FeatureSource(Protocol):
    """Where features are read from; N clips of T segments."""

    name: str
    record: FeatureRecord
    num_segments: int

    def __len__(self) -> int: ...

    def missing(self, modality: str) -> str | None:
        """What is not there, ``None`` when all is."""

    def row(self, modality: str, row: int) -> FeatureArray:
        """(T, R, D_v) or (T, D_a) of one clip, in the type of the file."""

    def is_quick(self, modality: str) -> bool:
        """Whether single rows are quickly read in any order, so that they need not be held in memory."""

    def valid(self) -> npt.NDArray[np.bool_]:
        """(N, T), False where a segment is only padding."""


class AveSource:
    """Files in AVE's layout: the main ones, or those of the clips without event."""

    def __init__(self, arrays: AveArrays, record: FeatureRecord, ending: str = "") -> None:
        self.name: str = str(arrays.folder)
        self.record = record
        self._files: dict[str, AveArray | None] = {}
        for modality in ("visual", "audio"):
            array: AveArray | None = None
            if arrays.has(f"{modality}_feature{ending}"):
                array = getattr(arrays, f"background_{modality}" if ending else modality)
            self._files[modality] = array
        self._ending = ending
        there = [array for array in self._files.values() if array is not None]
        if not there:
            raise FeaturesError(f"{self.name}: has neither visual_feature{ending}.h5 nor audio_feature{ending}.h5.")
        if len({array.shape[:2] for array in there}) > 1:
            raise FeaturesError(f"{self.name}: visual and audio features{ending} have different clips.")
        self._count, self.num_segments = there[0].shape[:2]

    def __len__(self) -> int:
        return self._count

    def missing(self, modality: str) -> str | None:
        """What is not there, ``None`` when all is."""
        return None if self._files[modality] is not None else f"no {modality}_feature{self._ending}.h5"

    def row(self, modality: str, row: int) -> FeatureArray:
        """(T, R, D_v) or (T, D_a) of one clip, in the type of the file."""
        file = self._files[modality]
        assert file is not None
        return file.row(row)

    def is_quick(self, modality: str) -> bool:
        """Whether single rows are quickly read in any order: not if HDF5 has to unpack many for one."""
        file = self._files[modality]
        return file is not None and file.rows_at_once == 1

    def valid(self) -> npt.NDArray[np.bool_]:
        """(N, T), all True: the layout has no padding."""
        return np.ones((self._count, self.num_segments), np.bool_)


class StoreSource:
    """Clips of T segments from the videos of a feature store, padded where a video ends earlier.

    Args:
        store: the features.
        keys: of each clip's video.
        num_segments: T.
        record: which features these are.
        starts: first segment of each clip in its video; 0 if left out.
    """

    def __init__(
        self,
        store: FeatureStore,
        keys: Sequence[str],
        num_segments: int,
        record: FeatureRecord,
        starts: Sequence[int] | None = None,
    ) -> None:
        self.name: str = str(store.folder)
        self.record = record
        self.num_segments = num_segments
        number_of = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._video_of: Rows = np.fromiter((number_of[key] for key in keys), np.int64, len(keys))
        self._starts: Rows = np.zeros(len(keys), np.int64) if starts is None else np.asarray(starts, np.int64)
        self._store, self._keys = store, tuple(number_of)

    @cached_property
    def _reader(self) -> StoreReader:
        return StoreReader(self._store, self._keys)

    def __len__(self) -> int:
        return len(self._video_of)

    def is_quick(self, modality: str) -> bool:
        """Whether single rows are quickly read in any order: each lies in one piece."""
        return True

    def missing(self, modality: str) -> str | None:
        """What is not there, ``None`` when all is."""
        names = getattr(self.record, modality)
        return None if names else f"the store has no {modality} network"

    def row(self, modality: str, row: int) -> FeatureArray:
        """(T, R, D_v) or (T, D_a) of one clip, in the type of the file."""
        video, start = int(self._video_of[row]), int(self._starts[row])
        networks = [
            self._reader.read(video, f"{modality}/{name}", start, start + self.num_segments)
            for name in getattr(self.record, modality)
        ]
        joined = networks[0] if len(networks) == 1 else np.concatenate(networks, axis=-1)
        if len(joined) == self.num_segments:
            return joined
        return np.pad(joined, [(0, self.num_segments - len(joined)), *[(0, 0)] * (joined.ndim - 1)])

    def valid(self) -> npt.NDArray[np.bool_]:
        """(N, T), False where a segment is only padding."""
        left = self._reader.segments[self._video_of] - self._starts
        return np.arange(self.num_segments) < left[:, None]


def store_record(store: FeatureStore) -> FeatureRecord:
    """Which features a store holds, networks joined in the order of its recipe."""
    recipe = store.recipe
    shapes = {name: entry.shape for name, entry in store.backbones.items()}
    regions = {shapes[name][0] for name in recipe.visual}
    if len(regions) > 1:
        raise FeaturesError(f"{store.folder}: its visual networks have different numbers of regions.")
    return FeatureRecord(
        regions=next(iter(regions), 0),
        visual_dims=sum(shapes[name][1] for name in recipe.visual),
        audio_dims=sum(shapes[name][0] for name in recipe.audio),
        segment_seconds=recipe.segment_seconds,
        visual=recipe.visual,
        audio=recipe.audio,
        networks={name: entry.network for name, entry in store.backbones.items()},
        recipe=recipe.to_dict(),
    )


def ave_record(arrays: AveArrays, declared: FeatureRecord | None) -> FeatureRecord:
    """Which features files in AVE's layout hold: their sizes, and what is declared of the rest."""
    regions, visual_dims = arrays.visual.shape[2:] if arrays.has("visual_feature") else (0, 0)
    audio_dims = arrays.audio.shape[2] if arrays.has("audio_feature") else 0
    found = FeatureRecord(regions, visual_dims, audio_dims, ave.SEGMENT_SECONDS)
    if declared is None:
        return found
    return replace(declared, regions=regions, visual_dims=visual_dims, audio_dims=audio_dims)


def clips_without_event(folder: Path) -> FeatureSource:
    """All clips of a user's folder: a store, files of clips without event in AVE's layout, or its main files."""
    if (folder / "store.json").is_file():
        store = FeatureStore(folder)
        record = store_record(store)
        num_segments = round(ave.NUM_SEGMENTS * ave.SEGMENT_SECONDS / record.segment_seconds)
        return StoreSource(store, store.keys(), num_segments, record)
    arrays = AveArrays.open(folder)
    noisy = arrays.has("visual_feature_noisy") or arrays.has("audio_feature_noisy")
    return AveSource(arrays, ave_record(arrays, None), "_noisy" if noisy else "")


def check_fits(main: FeatureSource, other: FeatureSource) -> None:
    """Whether clips of another source can be in one batch with the main ones."""
    for modality in ("visual", "audio"):
        if main.missing(modality) is None and other.missing(modality) is None:
            shapes = [source.row(modality, 0).shape for source in (main, other)]
            if shapes[0] != shapes[1]:
                raise FeaturesError(
                    f"{other.name}: clips without event have {modality} features of shape {shapes[1]}, "
                    f"those of {main.name} have {shapes[0]}. Use features of the same networks."
                )
