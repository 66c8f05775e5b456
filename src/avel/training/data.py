"""A data set with its features: the clips of each split, and their batches, which a thread makes ahead."""

import collections
import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.data import labels as label_maker
from avel.data.annotations import Split
from avel.data.ave import dataset as ave
from avel.data.clips import LabelledClips, Rows
from avel.errors import FeaturesError
from avel.models.options import Dims
from avel.training.examples import Batch, ClipLabels, Examples
from avel.training.features import FeatureRecord
from avel.training.held import Budget, HeldClips
from avel.training.settings import BOTH, HELD_BYTES, MISMATCHED, NO_BACKGROUNDS, NOISY
from avel.training.sources import FeatureSource, StoreSource, check_fits, clips_without_event

MISMATCHED_SHARE = ave.PUBLISHED_BACKGROUND_CLIPS / ave.PUBLISHED_SPLITS["train"]
"""As many mismatched clips for each training clip as AVE has clips without event."""

_BATCHES_AHEAD = 1


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

    def __init__(
        self, source: FeatureSource, dataset: LabelledClips, rows: Rows, noisy: FeatureSource | None = None
    ) -> None:
        """Join features and annotations; `avel.training.ave_data.open_data` finds both.

        Args:
            source: the features.
            dataset: the annotations.
            rows: (number of annotations,) the clip of each annotation among those of the source; -1 without features.
            noisy: clips without event that come with the data set.
        """
        self.name: str = source.name
        self.dataset = dataset
        self.record: FeatureRecord = source.record
        self.num_segments: int = source.num_segments
        self._parts = [HeldClips(source)]
        self._budget = Budget(HELD_BYTES)
        self._rows = rows
        self._noisy = noisy
        self._backgrounds: dict[str, Rows] = {}
        self.splits: dict[Split, Rows] = {split: order[rows[order] >= 0] for split, order in dataset.splits.items()}
        left_out = {split: len(order) - len(self.splits[split]) for split, order in dataset.splits.items()}
        self.warnings: tuple[str, ...] = tuple(
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

    def num_held(self, modality: str) -> int:
        """How many clips' features are in memory."""
        return sum(part.num_held(modality) for part in self._parts)

    def hold(self, held_bytes: int) -> None:
        """Let features take so many bytes of memory, see `avel.training.settings.TrainingSettings`."""
        self._budget.held_bytes = held_bytes

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
        labels = self._labels_of(chosen, multi_label=multi_label)
        return Examples(self._rows[chosen], self._rows[chosen], labels)

    def valid(self, examples: Examples) -> npt.NDArray[np.bool_]:
        """(M, T), False where a segment of an example is only padding."""
        valid: npt.NDArray[np.bool_] = np.logical_and(
            self._valid(examples.visual_rows), self._valid(examples.audio_rows)
        )
        return valid

    def as_videos(self, split: Split, values: npt.NDArray[Any], fill: Any) -> npt.NDArray[Any]:
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
        """(N,) class of each video of a split, as `as_videos` has them."""
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
            return self.backgrounds(NOISY, seed).with_more(self.backgrounds(MISMATCHED, seed))
        if kind == NO_BACKGROUNDS:
            pictures = sounds = np.empty(0, np.int64)
        elif kind == MISMATCHED:
            pictures, sounds = self._mismatched(seed)
        else:
            pictures = sounds = self._background_rows(kind)
        counts = np.ones(len(pictures) * self.num_segments, np.int64)
        background = counts * (self.dataset.num_classes - 1)
        labels = ClipLabels.listed(background, counts, self.num_segments, self.dataset.num_classes)
        return Examples(pictures, sounds, labels)

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
        rows_of = {"audio": examples.audio_rows, "visual": examples.visual_rows}
        looked_at = [name for name in rows_of if name in modalities]
        for modality in looked_at:  # sound first: it is small
            for part, _, own in self._parts_of(rows_of[modality]):
                part.load(modality, own, self._budget)
        target, dims = torch.device(device), self.dims
        sizes = {"audio": (dims.audio_dims,), "visual": (dims.regions, dims.visual_dims)}
        types = {"audio": torch.float32, "visual": dtype}

        def make(numbers: Sequence[int], made: dict[str, Tensor]) -> Batch:
            chosen = np.asarray(numbers, np.int64)
            for modality in looked_at:
                for part, places, own in self._parts_of(rows_of[modality][chosen]):
                    part.put(modality, own, made[modality], places)
            pictures, sounds = (rows_of[name][chosen] for name in ("visual", "audio"))
            valid = torch.from_numpy(self._valid(pictures) & self._valid(sounds))
            labels = torch.from_numpy(examples.labels.of(chosen).dense()).float()
            visual, audio = made["visual"], made["audio"]
            if target.type == "cuda":
                visual, audio, valid, labels = (
                    t.contiguous().pin_memory().to(target, non_blocking=True) for t in (visual, audio, valid, labels)
                )
            return Batch(visual, audio, valid, labels)

        def room(numbers: Sequence[int]) -> dict[str, Tensor]:
            made = {}
            for modality, size in sizes.items():
                shape = (len(numbers), self.num_segments, *size)
                zero = torch.zeros((), dtype=types[modality])
                made[modality] = zero.new_empty(shape) if modality in looked_at else zero.expand(shape)
            return made

        def begin(numbers: Sequence[int]) -> Future[Batch]:
            # Room for the features comes from the thread that trains, which has just freed that of an earlier batch.
            return pool.submit(make, numbers, room(numbers))

        if len(order) < 2:  # nothing to make ahead
            for numbers in order:
                yield make(numbers, room(numbers))
            return
        with ThreadPoolExecutor(1, "avel-batches") as pool:
            todo = iter(order)
            waiting = collections.deque(map(begin, itertools.islice(todo, _BATCHES_AHEAD)))
            while waiting:
                ready = waiting.popleft().result()
                waiting.extend(map(begin, itertools.islice(todo, 1)))
                yield ready

    def _labels_of(self, rows: Rows, *, multi_label: bool) -> ClipLabels:
        """Labels of some clips. Only the categories that a clip has are looked at."""
        classes: list[npt.NDArray[np.int64]] = []
        counts: list[npt.NDArray[np.int64]] = []
        class_of = {category: number for number, category in enumerate(self.categories)}
        for row in rows.tolist():
            events = self.dataset.events_of(row)
            here = label_maker.classes_in(events, class_of)
            names = [self.categories[number] for number in here]
            size = (self.num_segments, self.record.segment_seconds)
            if multi_label:
                of_events = label_maker.multi_labels(events, names, *size) > 0
                there = np.column_stack([of_events, ~of_events.any(axis=1)])
            else:
                there = label_maker.segment_labels(events, names, *size) > 0
            classes.append(np.array([*here, self.dataset.num_classes - 1])[there.nonzero()[1]])
            counts.append(there.sum(axis=1))
        all_classes, all_counts = (np.concatenate(parts) for parts in (classes, counts))
        return ClipLabels.listed(all_classes, all_counts, self.num_segments, self.dataset.num_classes)

    def _parts_of(self, rows: Rows) -> Iterator[tuple[HeldClips, Rows, Rows]]:
        """Each part, the places of its rows among some, and these rows; parts are numbered one after the other."""
        start = 0
        for part in self._parts:
            places = np.flatnonzero((rows >= start) & (rows < start + len(part)))
            yield part, places, rows[places] - start
            start += len(part)

    def _valid(self, rows: Rows) -> npt.NDArray[np.bool_]:
        valid = np.empty((len(rows), self.num_segments), np.bool_)
        for part, places, own in self._parts_of(rows):
            valid[places] = part.valid(own)
        return valid

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
            source = self._noisy if kind == NOISY else clips_without_event(Path(kind))
            if source is None:
                raise FeaturesError(
                    f"{self.name}: has no clips without event (visual_feature_noisy.h5, audio_feature_noisy.h5). "
                    f"Train with backgrounds {MISMATCHED}, {NO_BACKGROUNDS}, or a folder of your own."
                )
            check_fits(self._parts[0].source, source)
            start = sum(len(part.source) for part in self._parts)
            self._backgrounds[kind] = start + np.arange(len(source))
            self._parts.append(HeldClips(source))
        return self._backgrounds[kind]
