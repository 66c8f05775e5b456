"""Segments of many videos of a store, read again and again in any order, as training does.

Opening a feature file checks all of its header, which takes longer than reading the features of ten segments. Here it
is done once, and what is kept of it is 16 bytes a video and 9 more for each network. Features are read into memory and
not mapped: the pages of a map are asked for one by one, which took five times as long.
"""

import math
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from avel.errors import FeaturesError
from avel.features.feature_file import FeatureArray, StoredFeatures, damaged
from avel.features.store import FeatureStore


class StoreReader:
    """Reads features of some videos of a store. A file that was replaced in between is checked anew.

    Attributes:
        segments: (N,) T of each video.

    Args:
        store: the features.
        keys: of the N videos.

    Raises:
        FeaturesError: if one is missing or damaged.
    """

    def __init__(self, store: FeatureStore, keys: Sequence[str]) -> None:
        self._store = store
        self._keys = keys
        self._names = {f"{entry.modality}/{name}": i for i, (name, entry) in enumerate(store.backbones.items())}
        self._offsets: npt.NDArray[np.int64] = np.empty((len(keys), len(self._names)), np.int64)
        self._is_half: npt.NDArray[np.bool_] = np.empty(self._offsets.shape, np.bool_)
        self._modified: npt.NDArray[np.int64] = np.empty(len(keys), np.int64)
        self.segments: npt.NDArray[np.int32] = np.empty(len(keys), np.int32)
        for video, key in enumerate(keys):
            self.segments[video] = len(self._check(video, key))

    def read(self, video: int, name: str, start: int, stop: int) -> FeatureArray:
        """Features of one network.

        Args:
            video: number of its key.
            name: as tensors are named in feature files, ``visual/NAME`` or ``audio/NAME``.
            start: the first segment.
            stop: the one after the last; segments after the end of the video are left out.

        Returns:
            (t, R, D) or (t, D), float16 or float32, as in the file.

        Raises:
            FeaturesError: if the file is gone or damaged, or has another length now.
        """
        key, network = self._keys[video], self._names[name]
        path = self._store.path(key)
        entry = self._store.backbones[name.partition("/")[2]]
        try:
            with path.open("rb", buffering=0) as file:
                if os.fstat(file.fileno()).st_mtime_ns == self._modified[video]:
                    dtype = np.dtype(np.float16 if self._is_half[video, network] else np.float32)
                    count = max(min(stop, int(self.segments[video])) - start, 0)
                    found = np.empty((count, *entry.shape), dtype)
                    file.seek(int(self._offsets[video, network]) + start * math.prod(entry.shape) * dtype.itemsize)
                    if file.readinto(found.reshape(-1).view(np.uint8).data) != found.nbytes:
                        raise damaged(path, "it ends too early")
                    return found
        except OSError as error:
            raise FeaturesError(
                f"{path}: cannot be read ({error.strerror}). `avel features info` says what the store holds."
            ) from error
        if len(self._check(video, key)) != self.segments[video]:
            raise FeaturesError(f"{path}: has another number of segments than before. Start the command again.")
        return self.read(video, name, start, stop)

    def _check(self, video: int, key: str) -> StoredFeatures:
        stored = self._store.open(key)
        self._modified[video] = stored.path.stat().st_mtime_ns
        for name, i in self._names.items():
            dtype, self._offsets[video, i] = stored.place(name)
            self._is_half[video, i] = dtype == np.float16
        return stored
