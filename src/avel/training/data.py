"""Features and labels of a data set, held in memory in half precision and batched beside the computing.

AVE's visual features are 8.3 GB of float64. They are read row by row into one float16 array of 2.1 GB (float32 where a
value is too large for that), and a thread makes the next batches while the model works on one. Stores whose features
would take more than `MAX_HELD_BYTES` are not held: each batch is read from their files.
"""

import collections
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.data import labels as label_maker
from avel.data.annotations import Split
from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import AveArray, AveArrays
from avel.data.clips import LabelledClips
from avel.data.labels import Labels
from avel.errors import FeaturesError
from avel.features.feature_file import StoredFeatures
from avel.features.store import FeatureStore
from avel.models.options import Dims
from avel.training.features import FeatureRecord
from avel.training.settings import BOTH, MISMATCHED, NO_BACKGROUNDS, NOISY

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating]

MISMATCHED_SHARE = ave.PUBLISHED_BACKGROUND_CLIPS / ave.PUBLISHED_SPLITS["train"]
"""As many mismatched clips for each training clip as AVE has clips without event."""

MAX_HELD_BYTES = 2 << 30
"""Of each modality. AVE's visual features just fit, as float16."""

_OPEN_FILES = 64
_ROWS_AT_ONCE = 64
_BATCHES_AHEAD = 2

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """B clips, as a model takes them, and their labels.

    Attributes:
        visual: (B, T, R, D_v).
        audio: (B, T, D_a).
        valid: (B, T) bool.
        labels: (B, T, C) as in `Examples`.
    """

    visual: Tensor
    audio: Tensor
    valid: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Examples:
    """M clips to learn from or to be measured on; sound and pictures may be of different clips.

    Attributes:
        visual_rows: (M,) rows of the data's clips.
        audio_rows: (M,) the same for the sound.
        labels: (M, T, C) one-hot; in multi-label, 1 for each category that is there, for background where none is.
    """

    visual_rows: Rows
    audio_rows: Rows
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def joined(self, other: "Examples") -> "Examples":
        """These and others."""
        return Examples(
            np.concatenate([self.visual_rows, other.visual_rows]),
            np.concatenate([self.audio_rows, other.audio_rows]),
            np.concatenate([self.labels, other.labels]),
        )


class Source(Protocol):
    """Where features are read from; N clips of T segments."""

    name: str
    record: FeatureRecord
    num_segments: int

    def __len__(self) -> int: ...

    def missing(self, modality: str) -> str | None:
        """What is not there, ``None`` when all is."""

    def read(self, modality: str, dtype: Any, rows: Sequence[int]) -> Floats:
        """(n, T, R, D_v) or (n, T, D_a)."""

    def is_quick(self) -> bool:
        """Whether single rows are quickly read in any order, so that they need not be held in memory."""

    def valid(self) -> npt.NDArray[np.bool_]:
        """(N, T), False where a segment is only padding."""


class LocalizationData:
    """A data set with its features.

    Attributes:
        name: the folder or file, as given.
        dataset: clips with their events, categories and splits.
        has_times: whether it is known when events are; otherwise a clip's labels only stand for its video.
        record: which features these are.
        num_segments: T.
        splits: rows of each split whose features are there.
        warnings: what is left out, for a person to read.
    """

    has_times = True
    notes: Mapping[str, Any] = MappingProxyType({})
    """What a model trained on this should remember of it."""

    def __init__(self, source: Source, dataset: LabelledClips, rows: Rows, noisy: Source | None = None) -> None:
        """Join features and annotations; `open_data` finds both.

        Args:
            source: the features.
            dataset: the annotations.
            rows: (number of annotations,) the clip of each annotation among those of the source; -1 without features.
            noisy: clips without event that come with the data set.
        """
        self.name = source.name
        self.dataset = dataset
        self.record = source.record
        self.num_segments = source.num_segments
        self._parts = [_Part(source)]
        self._rows = rows
        self._noisy = noisy
        self._backgrounds: dict[str, Rows] = {}
        self.splits: dict[Split, Rows] = {split: order[rows[order] >= 0] for split, order in dataset.splits.items()}
        left_out = {split: len(order) - len(self.splits[split]) for split, order in dataset.splits.items()}
        self.warnings = tuple(
            f"{count} of {len(dataset.splits[split])} clips of split {split} have no features and are left out"
            for split, count in left_out.items()
            if count
        )

    @property
    def categories(self) -> tuple[str, ...]:
        """Event categories in the order of the classes."""
        return self.dataset.categories

    @property
    def dims(self) -> Dims:
        """Sizes of a model for this data; 1 where a modality has no features."""
        record = self.record
        return Dims(
            visual_dims=max(record.visual_dims, 1),
            regions=max(record.regions, 1),
            audio_dims=max(record.audio_dims, 1),
            num_categories=self.dataset.num_categories,
        )

    @property
    def is_store(self) -> bool:
        """Whether the features are in a store, not in files of AVE's layout."""
        return isinstance(self._parts[0].source, StoreSource)

    @property
    def has_noisy(self) -> bool:
        """Whether clips without event come with the data set."""
        return self._noisy is not None

    def missing(self, modalities: Sequence[str]) -> tuple[str, ...]:
        """What these modalities need and is not there."""
        return tuple(filter(None, (self._parts[0].source.missing(modality) for modality in modalities)))

    def examples(self, split: Split, *, multi_label: bool = False) -> Examples:
        """The clips of a split.

        Args:
            split: which.
            multi_label: whether a segment's label may have several categories.

        Raises:
            FeaturesError: if the data set has no such split, or no clip in it.
        """
        chosen = self.splits.get(split, np.empty(0, np.int64))
        if not len(chosen):
            raise FeaturesError(f"{self.name}: has no clip in split {split}. Add {split}_order.h5 or {split}Set.txt.")
        labels = self._multi_labels if multi_label else self._labels
        return Examples(self._rows[chosen], self._rows[chosen], labels[chosen])

    def valid(self, examples: Examples) -> npt.NDArray[np.bool_]:
        """(M, T), False where a segment of an example is only padding."""
        valid: npt.NDArray[np.bool_] = np.logical_and(
            self._take("valid", examples.visual_rows), self._take("valid", examples.audio_rows)
        )
        return valid

    def joined(self, split: Split, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
        """What was said of a split's clips as said of its videos, so that no event ends where a clip does.

        Args:
            split: which.
            values: (M, T, ...) of its clips.
            fill: where a video is shorter than the longest.

        Returns:
            (N, L, ...); here every clip is a video.
        """
        return values

    def by_video(self, split: Split) -> list[Rows]:
        """For each video of a split, the numbers of its clips among the split's."""
        return list(np.arange(len(self.splits[split]))[:, None])

    def video_classes(self, split: Split) -> Rows:
        """(N,) class of each video of a split, as `joined` has them."""
        return self.dataset.classes[self.splits[split]]

    def backgrounds(self, kind: str, seed: int) -> Examples:
        """Clips without event to train on.

        Args:
            kind: ``noisy``, ``mismatched``, both, ``none`` or a folder; see `avel.training.settings.TrainingSettings`.
            seed: of the mismatched pairs.

        Raises:
            FeaturesError: if they are not there or are other features.
        """
        if kind == BOTH:
            return self.backgrounds(NOISY, seed).joined(self.backgrounds(MISMATCHED, seed))
        if kind == NO_BACKGROUNDS:
            pictures = sounds = np.empty(0, np.int64)
        elif kind == MISMATCHED:
            pictures, sounds = self._mismatched(seed)
        else:
            pictures = sounds = self._background_rows(kind)
        background = np.zeros((len(pictures), self.num_segments, self.dataset.num_classes), np.float32)
        background[..., -1] = 1
        return Examples(pictures, sounds, background)

    def batches(
        self,
        examples: Examples,
        order: Sequence[Sequence[int]],
        modalities: Sequence[str] = ("audio", "visual"),
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device = "cpu",
    ) -> Iterator[Batch]:
        """Batches of examples; a thread prepares the next ones.

        Args:
            examples: which clips.
            order: for each batch, the numbers of its examples.
            modalities: what the model looks at; the other features are zeros.
            dtype: of the visual features, most of the data. The model's large products take bfloat16 as it is.
            device: where the tensors shall be.

        Raises:
            FeaturesError: if features are missing or cannot be read.
        """
        for modality in modalities:
            for part in self._parts:
                part.load(modality)
        target = torch.device(device)

        def make(numbers: Sequence[int]) -> Batch:
            chosen = np.asarray(numbers, np.int64)
            pictures, sounds = examples.visual_rows[chosen], examples.audio_rows[chosen]
            dims, shape = self.dims, (len(chosen), self.num_segments)
            visual = torch.zeros(()).expand(*shape, dims.regions, dims.visual_dims)
            audio = torch.zeros(()).expand(*shape, dims.audio_dims)
            if "visual" in modalities:
                visual = torch.from_numpy(self._take("visual", pictures))
            if "audio" in modalities:
                audio = torch.from_numpy(self._take("audio", sounds).astype(np.float32))
            valid = torch.from_numpy(self._take("valid", pictures) & self._take("valid", sounds))
            labels = torch.from_numpy(examples.labels[chosen])
            if target.type == "cuda":
                visual, audio, valid, labels = (
                    t.contiguous().pin_memory().to(target, non_blocking=True) for t in (visual, audio, valid, labels)
                )
            return Batch(visual.to(dtype), audio, valid, labels)

        with ThreadPoolExecutor(1, "avel-batches") as pool:
            todo = iter(order)
            waiting: collections.deque[Future[Batch]] = collections.deque(
                pool.submit(make, numbers) for numbers in itertools.islice(todo, _BATCHES_AHEAD)
            )
            while waiting:
                ready = waiting.popleft().result()
                waiting.extend(pool.submit(make, numbers) for numbers in itertools.islice(todo, 1))
                yield ready

    @cached_property
    def _labels(self) -> Labels:
        """(number of annotations, T, C) one-hot."""
        return np.stack(
            [
                label_maker.segment_labels(
                    self.dataset.events_of(i), self.categories, self.num_segments, self.record.segment_seconds
                )
                for i in range(len(self.dataset))
            ]
        )

    @cached_property
    def _multi_labels(self) -> Labels:
        """(number of annotations, T, C) as in `Examples`."""
        size = (self.num_segments, self.record.segment_seconds)
        found = np.stack(
            [
                label_maker.multi_labels(self.dataset.events_of(i), self.categories, *size)
                for i in range(len(self.dataset))
            ]
        )
        return np.concatenate([found, 1 - found.max(axis=-1, keepdims=True)], axis=-1)

    def _take(self, what: str, rows: Rows) -> npt.NDArray[Any]:
        """Rows of all parts, which are numbered one after the other."""
        start = 0
        pieces: list[tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]] = []
        for part in self._parts:
            inside = (rows >= start) & (rows < start + len(part))
            if inside.all():
                return part.take(what, rows - start)
            if inside.any():
                pieces.append((inside, part.take(what, rows[inside] - start)))
            start += len(part)
        taken = np.empty((len(rows), *pieces[0][1].shape[1:]), np.result_type(*(piece for _, piece in pieces)))
        for inside, piece in pieces:
            taken[inside] = piece
        return taken

    def _mismatched(self, seed: int) -> tuple[Rows, Rows]:
        """Pictures of one clip with the sound of another whose category is another one."""
        train = self.splits["train"]
        classes = self.dataset.classes[train]
        if len(np.unique(classes)) < 2:
            raise FeaturesError(f"{self.name}: mismatched clips need training clips of two categories.")
        random = np.random.default_rng([seed, len(train)])
        pairs: list[tuple[int, int]] = []
        while len(pairs) < max(1, round(len(train) * MISMATCHED_SHARE)):
            picture, sound = random.integers(len(train), size=2)
            if classes[picture] != classes[sound]:
                pairs.append((int(train[picture]), int(train[sound])))
        rows = self._rows[np.array(pairs)]
        return rows[:, 0], rows[:, 1]

    def _background_rows(self, kind: str) -> Rows:
        if kind not in self._backgrounds:
            source = self._noisy if kind == NOISY else _clips_without_event(Path(kind))
            if source is None:
                raise FeaturesError(
                    f"{self.name}: has no clips without event (visual_feature_noisy.h5, audio_feature_noisy.h5). "
                    f"Train with backgrounds {MISMATCHED}, {NO_BACKGROUNDS}, or a folder of your own."
                )
            _check_fits(self._parts[0].source, source)
            start = sum(len(part.source) for part in self._parts)
            self._backgrounds[kind] = start + np.arange(len(source))
            self._parts.append(_Part(source))
        return self._backgrounds[kind]


class _Part:
    """Clips of one source, read when they are first asked for; for each batch where they are too many to be held."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.source)

    def take(self, what: str, rows: Rows) -> npt.NDArray[Any]:
        """Some rows."""
        if what != "valid" and what not in self._arrays:
            taken = self.source.read(what, np.float32, rows.tolist())
            if not np.isfinite(taken).all():
                raise self._not_finite(what, f"{rows.min()}-{rows.max()}")
            return taken
        return np.take(self.array(what), rows, axis=0)

    def array(self, what: str) -> npt.NDArray[Any]:
        if what == "valid" and what not in self._arrays:
            self._arrays[what] = self.source.valid()
        return self._arrays[what]

    def load(self, modality: str) -> None:
        if modality in self._arrays:
            return
        missing = self.source.missing(modality)
        if missing:
            raise FeaturesError(f"{self.source.name}: there are no {modality} features ({missing}).")
        if self.source.is_quick():
            nbytes = self.source.read(modality, np.float16, [0]).nbytes * len(self.source)
            if nbytes > MAX_HELD_BYTES:
                return
        self._arrays[modality] = self._read(modality)

    def _read(self, modality: str) -> Floats:
        count = len(self.source)
        for dtype in (np.float16, np.float32):
            array: Floats | None = None
            for start in range(0, count, _ROWS_AT_ONCE):
                rows = range(start, min(start + _ROWS_AT_ONCE, count))
                block = self.source.read(modality, dtype, rows)
                if not np.isfinite(block).all():
                    break
                if array is None:
                    array = np.empty((count, *block.shape[1:]), dtype)
                array[start : start + len(block)] = block
            else:
                assert array is not None
                return array
            logger.info("%s: %s features do not fit into %s", self.source.name, modality, np.dtype(dtype))
        raise self._not_finite(modality, f"{rows.start}-{rows.stop - 1}")

    def _not_finite(self, modality: str, clips: str) -> FeaturesError:
        return FeaturesError(
            f"{self.source.name}: the {modality} features of clips {clips} hold NaN or infinite values. "
            "Extract them again."
        )


class _AveSource:
    """Files in AVE's layout: the main ones, or those of the clips without event."""

    def __init__(self, arrays: AveArrays, record: FeatureRecord, ending: str = "") -> None:
        self.name = str(arrays.folder)
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
        return None if self._files[modality] is not None else f"no {modality}_feature{self._ending}.h5"

    def read(self, modality: str, dtype: Any, rows: Sequence[int]) -> Floats:
        file = self._files[modality]
        assert file is not None
        return file.read_as(dtype, rows)

    def is_quick(self) -> bool:
        return False  # HDF5 may be compressed, in chunks of many rows

    def valid(self) -> npt.NDArray[np.bool_]:
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
        self.name = str(store.folder)
        self.record = record
        self.num_segments = num_segments
        self._keys = keys
        self._starts = [0] * len(keys) if starts is None else starts
        self._open = lru_cache(_OPEN_FILES)(store.open)

    def __len__(self) -> int:
        return len(self._keys)

    def is_quick(self) -> bool:
        """Whether single rows are quickly read in any order: they are mapped into memory."""
        return True

    def missing(self, modality: str) -> str | None:
        """What is not there, ``None`` when all is."""
        names = getattr(self.record, modality)
        return None if names else f"the store has no {modality} network"

    def read(self, modality: str, dtype: Any, rows: Sequence[int]) -> Floats:
        """(n, T, R, D_v) or (n, T, D_a)."""
        with np.errstate(over="ignore"):
            return np.stack([self._one(modality, row).astype(dtype) for row in rows])

    def valid(self) -> npt.NDArray[np.bool_]:
        """(N, T), False where a segment is only padding."""
        lengths = {key: len(self._open(key)) for key in dict.fromkeys(self._keys)}
        left = np.array([lengths[key] - start for key, start in zip(self._keys, self._starts, strict=True)])
        return np.arange(self.num_segments) < left[:, None]

    def _one(self, modality: str, row: int) -> Floats:
        video: StoredFeatures = self._open(self._keys[row])
        by_name: dict[str, Floats] = getattr(video, modality)
        window = slice(self._starts[row], self._starts[row] + self.num_segments)
        joined = np.concatenate([by_name[name][window] for name in getattr(self.record, modality)], axis=-1)
        padding = [(0, self.num_segments - len(joined)), *[(0, 0)] * (joined.ndim - 1)]
        return np.pad(joined, padding)


def open_data(
    folder: str | Path, *, annotations: str | Path | None = None, declared: FeatureRecord | None = None
) -> LocalizationData:
    """Open AVE, or any data set in its layout, or a feature store with AVE-like annotations.

    Args:
        folder: with ``visual_feature.h5`` and so on, or a feature store whose keys end in the video IDs.
        annotations: folder with ``Annotations.txt`` and the splits; ``folder`` itself if left out.
        declared: which networks the features in AVE's layout are of, since the files do not say it.

    Raises:
        AnnotationsError: if the annotations are missing or damaged.
        FeaturesError: if the features are missing or damaged, or do not belong to the annotations.
    """
    folder = Path(folder)
    dataset = ave.load(annotations or folder)
    if (folder / "store.json").is_file():
        return _open_store(FeatureStore(folder), dataset)
    arrays = AveArrays.open(folder)
    source = _AveSource(arrays, _ave_record(arrays, declared))
    if len(source) != len(dataset):
        raise FeaturesError(
            f"{folder}: features of {len(source)} clips for {len(dataset)} annotations. "
            "Give the Annotations.txt that the features were made with."
        )
    if source.num_segments != ave.NUM_SEGMENTS:
        raise FeaturesError(
            f"{folder}: its clips have {source.num_segments} segments; AVE's layout has {ave.NUM_SEGMENTS}."
        )
    has_noisy = arrays.has("visual_feature_noisy") or arrays.has("audio_feature_noisy")
    noisy = _AveSource(arrays, source.record, "_noisy") if has_noisy else None
    return LocalizationData(source, dataset, np.arange(len(dataset)), noisy)


def _open_store(store: FeatureStore, dataset: ave.AveDataset) -> LocalizationData:
    record = store_record(store)
    num_segments = round(ave.NUM_SEGMENTS * ave.SEGMENT_SECONDS / record.segment_seconds)
    keys = store.keys()
    of_video = {key.rpartition("/")[2]: i for i, key in enumerate(keys)}
    rows = np.array([of_video.get(row.video, -1) for row in dataset.rows], np.int64)
    if (rows < 0).all():
        raise FeaturesError(
            f"{store.folder}: none of its {len(keys)} videos is in the annotations. Keys have to end in the video ID."
        )
    return LocalizationData(StoreSource(store, keys, num_segments, record), dataset, rows)


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


def _ave_record(arrays: AveArrays, declared: FeatureRecord | None) -> FeatureRecord:
    regions, visual_dims = arrays.visual.shape[2:] if arrays.has("visual_feature") else (0, 0)
    audio_dims = arrays.audio.shape[2] if arrays.has("audio_feature") else 0
    found = FeatureRecord(regions, visual_dims, audio_dims, ave.SEGMENT_SECONDS)
    if declared is None:
        return found
    return replace(declared, regions=regions, visual_dims=visual_dims, audio_dims=audio_dims)


def _clips_without_event(folder: Path) -> Source:
    """All clips of a user's folder: a store, files of clips without event in AVE's layout, or its main files."""
    if (folder / "store.json").is_file():
        store = FeatureStore(folder)
        record = store_record(store)
        num_segments = round(ave.NUM_SEGMENTS * ave.SEGMENT_SECONDS / record.segment_seconds)
        return StoreSource(store, store.keys(), num_segments, record)
    arrays = AveArrays.open(folder)
    noisy = arrays.has("visual_feature_noisy") or arrays.has("audio_feature_noisy")
    return _AveSource(arrays, _ave_record(arrays, None), "_noisy" if noisy else "")


def _check_fits(main: Source, other: Source) -> None:
    """Whether clips of another source can be in one batch with the main ones."""
    for modality in ("visual", "audio"):
        if main.missing(modality) is None and other.missing(modality) is None:
            shapes = [source.read(modality, np.float32, [0]).shape[1:] for source in (main, other)]
            if shapes[0] != shapes[1]:
                raise FeaturesError(
                    f"{other.name}: clips without event have {modality} features of shape {shapes[1]}, "
                    f"those of {main.name} have {shapes[0]}. Use features of the same networks."
                )
