"""The AVE data set (Tian et al., ECCV 2018): its rows, splits and labels, and a check of a copy of it.

10 s videos, ten segments of 1 s, 28 event categories and background. ``Annotations.txt`` has one row a sample, and
every array of the published features follows its order. A sample is a row, not a video: some videos occur in several
rows, each with an event of another category.

Labels are made from ``Annotations.txt``; the published ``labels.h5`` has errors. Splits come from the order files,
which published numbers were made with.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from avel.data import labels as label_maker
from avel.data.annotations import (
    AVE_SECONDS,
    DURATION_TOLERANCE_SECONDS,
    SPLITS,
    Annotation,
    AnnotationSet,
    AveRow,
    Split,
    read_ave_table,
)
from avel.data.ave.hdf5 import AveArray, read_order
from avel.data.categories import ave_categories
from avel.data.labels import WEAK_PROTOCOLS, Labels, WeakProtocol
from avel.errors import AnnotationsError, FeaturesError, MediaError

CATEGORIES: tuple[str, ...] = tuple(category.name for category in ave_categories())
"""The 28 event categories in order of first appearance in ``Annotations.txt``; class 28 is background."""

NUM_SEGMENTS = 10
SEGMENT_SECONDS = 1.0

PUBLISHED_ROWS = 4143
PUBLISHED_VIDEOS = 4097
PUBLISHED_SPLITS: Mapping[Split, int] = {"train": 3339, "val": 402, "test": 402}
PUBLISHED_BACKGROUND_CLIPS = 178

ANNOTATIONS_FILE = "Annotations.txt"
SPLIT_FILES: Mapping[Split, str] = {"train": "trainSet.txt", "val": "valSet.txt", "test": "testSet.txt"}

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")

Indices = npt.NDArray[np.int64]
Severity = Literal["error", "warning", "info"]
Progress = Callable[[int, int], None]
"""Called with the videos looked at so far and how many there are."""


@dataclass(frozen=True)
class AveDataset:
    """The samples of AVE, or of a data set in its layout.

    Attributes:
        rows: N samples in the order of ``Annotations.txt``, which is the order of the features.
        categories: event categories in the order of the classes: AVE's own, unless a row has another one.
        splits: (M,) rows of each split that is known, in the order of its file.
        match_splits: the same for cross-modality localization.
    """

    rows: tuple[AveRow, ...]
    categories: tuple[str, ...]
    splits: Mapping[Split, Indices] = field(default_factory=dict)
    match_splits: Mapping[Split, Indices] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def num_categories(self) -> int:
        """Number of event categories, without background."""
        return len(self.categories)

    @property
    def num_classes(self) -> int:
        """Number of event categories and background."""
        return len(self.categories) + 1

    @cached_property
    def classes(self) -> Indices:
        """(N,) class of each row's category, also where the row has no event."""
        index = {category: c for c, category in enumerate(self.categories)}
        return np.array([index[row.category] for row in self.rows], dtype=np.int64)

    @cached_property
    def spans(self) -> Indices:
        """(N, 2) start and end of each row's event in whole segments; equal where the row has no event."""
        return np.array([(row.start_seconds, row.end_seconds) for row in self.rows], dtype=np.int64).reshape(-1, 2)

    def events_of(self, row: int) -> tuple[Annotation, ...]:
        """The event of a row as a tuple, empty where it has none; the split is left open."""
        sample = self.rows[row]
        if not sample.length_seconds:
            return ()
        return (Annotation(sample.video, float(sample.start_seconds), float(sample.end_seconds), sample.category),)

    def segment_labels(self) -> Labels:
        """(N, T, C) one-hot, as ``labels.h5`` should be."""
        shape = (len(self), NUM_SEGMENTS, self.num_classes)
        made = [label_maker.segment_labels(self.events_of(i), self.categories, *shape[1:2]) for i in range(len(self))]
        return np.array(made, np.float32).reshape(shape)

    def event_segments(self) -> Labels:
        """(N, T), 1 inside the event, as ``labels_closs.h5``."""
        return 1 - self.segment_labels()[..., -1]

    def video_labels(self, protocol: WeakProtocol = "one-hot") -> Labels:
        """(N, C) weak labels, as ``mil_labels.h5`` (``one-hot``) or ``prob_label.h5`` (``proportion``).

        As published, ``one-hot`` gives each row its category, also a row whose span is empty.

        Raises:
            ValueError: if ``protocol`` is unknown.
        """
        if protocol == "proportion":
            return label_maker.proportions(self.segment_labels())
        if protocol != "one-hot":
            raise ValueError(f"Unknown protocol '{protocol}'. Supported protocols are {', '.join(WEAK_PROTOCOLS)}.")
        one_hot: Labels = np.eye(self.num_classes, dtype=np.float32)[self.classes]
        return one_hot

    def annotations(self) -> AnnotationSet:
        """The rows as annotations of videos; rows of the same video become events of the same video."""
        split_of = {int(row): split for split, rows in self.splits.items() for row in rows}
        events = []
        without: dict[str, Split | None] = {}
        for i, row in enumerate(self.rows):
            if row.length_seconds:
                start, end = float(row.start_seconds), float(row.end_seconds)
                events.append(Annotation(row.video, start, end, row.category, split_of.get(i)))
            else:
                without[row.video] = split_of.get(i)
        with_event = {event.video for event in events}
        return AnnotationSet(
            events=tuple(events),
            categories=self.categories,
            videos_without_event={video: split for video, split in without.items() if video not in with_event},
        )


@dataclass(frozen=True)
class Anchors:
    """What needs no learning. A model that does not beat these has learned nothing.

    Each is a share in [0, 1], ``None`` where the files it needs are missing.

    Attributes:
        always_background: segment accuracy on the test split of calling everything background.
        whole_video: of the true category in every segment, which no model has given to it.
        random_start: exact-start accuracy of cross-modality localization, guessing among the possible starts.
        last_window: of always answering the last possible start.
    """

    always_background: float | None = None
    whole_video: float | None = None
    random_start: float | None = None
    last_window: float | None = None


@dataclass(frozen=True)
class Finding:
    """Something to know about a copy of the data set.

    Attributes:
        severity: ``error`` needs a correction, ``warning`` needs care, ``info`` is good to know.
        file: which file it is about, relative to the folder.
        message: what was found, and what to do.
    """

    severity: Severity
    file: str
    message: str


@dataclass(frozen=True)
class Report:
    """What `check` found.

    Attributes:
        folder: the folder that was checked.
        num_rows: rows of ``Annotations.txt``, without header.
        num_videos: different videos in them.
        num_categories: different event categories in them.
        has_header: whether ``Annotations.txt`` has one; ``None`` when it is missing.
        splits: rows in each split.
        match_splits: the same for cross-modality localization.
        videos_found: how many of the videos are there as files.
        arrays: shape and type of each HDF5 array that is there.
        anchors: what needs no learning.
        findings: in the order of the check.
        not_possible: what cannot be done with this copy, and what it lacks for it.
    """

    folder: str
    num_rows: int
    num_videos: int
    num_categories: int
    has_header: bool | None
    splits: Mapping[str, int]
    match_splits: Mapping[str, int]
    videos_found: int
    arrays: Mapping[str, str]
    anchors: Anchors
    findings: tuple[Finding, ...]
    not_possible: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing needs a correction. Files that are missing do not count."""
        return all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        return {**asdict(self), "ok": self.ok}

    def lines(self) -> list[str]:
        """The report as text."""
        header = {None: "missing", True: "with header", False: "without header"}[self.has_header]
        text = [
            f"AVE data in {self.folder}",
            f"  annotations  {self.num_rows} rows, {self.num_videos} videos, "
            f"{self.num_categories} event categories ({ANNOTATIONS_FILE} {header})",
            f"  splits       {_counts(self.splits)}",
            f"  cross-modal  {_counts(self.match_splits)}",
            f"  video files  {self.videos_found} of {self.num_videos}",
        ]
        text += [f"  {name:<28} {shape}" for name, shape in self.arrays.items()]
        text += ["Findings" if self.findings else "Findings: none"]
        text += [f"  {finding.severity:<8} {finding.file}: {finding.message}" for finding in self.findings]
        if self.not_possible:
            text += ["Not possible with this copy", *(f"  {what}" for what in self.not_possible)]
        text += [
            "Anchors: what needs no learning, on the test split",
            f"  always background                         {_percent(self.anchors.always_background)}",
            f"  the true category over the whole video    {_percent(self.anchors.whole_video)}",
            f"  cross-modal, random start                 {_percent(self.anchors.random_start)}",
            f"  cross-modal, always the last window       {_percent(self.anchors.last_window)}",
        ]
        return text


def load(folder: str | Path) -> AveDataset:
    """Read the rows and splits of AVE, or of a data set in its layout.

    Splits come from ``{train,val,test}_order.h5`` where they are there, else from ``trainSet.txt`` and so on.

    Raises:
        AnnotationsError: if ``Annotations.txt`` is missing, has a line that is no row, or does not fit the splits.
        FeaturesError: if an order file is damaged.
    """
    folder = Path(folder)
    path = _find(folder, ANNOTATIONS_FILE)
    if path is None:
        raise AnnotationsError(f"{folder}: no {ANNOTATIONS_FILE} here, in data/ or in AVE_Dataset/.")
    table = read_ave_table(path)
    if table.malformed:
        line, complaint = table.malformed[0]
        raise AnnotationsError(f"{path}, line {line}: {complaint}")
    if not table.rows:
        raise AnnotationsError(f"{path}: has no row. A row is Category&VideoID&Quality&Start&End.")
    splits: dict[Split, Indices] = {}
    match_splits: dict[Split, Indices] = {}
    for split in SPLITS:
        order, match = (_find(folder, f"{split}_order{ending}.h5") for ending in ("", "_match"))
        listed = _find(folder, SPLIT_FILES[split])
        if order is not None:
            splits[split] = _order_within(order, len(table.rows))
        elif listed is not None:
            splits[split] = _order_from_list(listed, table.rows)
        if match is not None:
            match_splits[split] = _order_within(match, len(table.rows))
    return AveDataset(table.rows, _categories_of(table.rows), splits, match_splits)


def anchors(dataset: AveDataset) -> Anchors:
    """Compute what needs no learning from the annotations of the test split."""
    background = whole = random_start = last_window = None
    test = dataset.splits.get("test", np.empty(0, np.int64))
    if len(test):
        starts, ends = dataset.spans[test].T
        whole = float(np.mean((ends - starts) / NUM_SEGMENTS))
        background = 1 - whole
    match = dataset.match_splits.get("test", np.empty(0, np.int64))
    starts, ends = dataset.spans[match].T
    lengths = ends - starts
    short = (lengths > 0) & (lengths < NUM_SEGMENTS)
    if short.any():
        possible = NUM_SEGMENTS - lengths[short] + 1
        random_start = float(np.mean(1 / possible))
        last_window = float(np.mean(starts[short] == possible - 1))
    return Anchors(background, whole, random_start, last_window)


def check(folder: str | Path, *, progress: Progress | None = None) -> Report:
    """Look at a copy of AVE, complete or not, and say what is in it, what is wrong, and what it does not allow.

    Args:
        folder: where ``Annotations.txt`` is; other files may also lie in ``data/``, videos in ``AVE/``.
        progress: called while the videos are looked at.

    Raises:
        AnnotationsError: if it is not a folder. Everything else is in the report.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AnnotationsError(f"{folder}: no such folder. Give the folder that holds {ANNOTATIONS_FILE}.")
    return _Check(folder, progress).report()


class _Check:
    def __init__(self, folder: Path, progress: Progress | None) -> None:
        self.folder = folder
        self.progress = progress
        self.findings: list[Finding] = []
        self.not_possible: list[str] = []
        self.arrays: dict[str, str] = {}
        self.rows: tuple[AveRow, ...] = ()
        self.has_header: bool | None = None
        self.rows_are_sound = False

    def report(self) -> Report:
        self.annotations()
        splits = self.splits()
        match_splits = self.match_splits(splits)
        dataset = AveDataset(self.rows, _categories_of(self.rows), splits, match_splits)
        self.leaks(dataset)
        self.labels(dataset)
        self.background_clips()
        self.features()
        videos_found = self.videos()
        return Report(
            folder=str(self.folder),
            num_rows=len(self.rows),
            num_videos=len({row.video for row in self.rows}),
            num_categories=len({row.category for row in self.rows}),
            has_header=self.has_header,
            splits={split: len(rows) for split, rows in splits.items()},
            match_splits={split: len(rows) for split, rows in match_splits.items()},
            videos_found=videos_found,
            arrays=self.arrays,
            anchors=anchors(dataset),
            findings=tuple(self.findings),
            not_possible=tuple(self.not_possible),
        )

    def find(self, name: str) -> Path | None:
        return _find(self.folder, name)

    def add(self, severity: Severity, file: str, message: str) -> None:
        self.findings.append(Finding(severity, file, message))

    def annotations(self) -> None:
        path = self.find(ANNOTATIONS_FILE)
        if path is None:
            self.not_possible.append(
                f"labels, categories and checks of the other files: {ANNOTATIONS_FILE} is not here, "
                "in data/ or in AVE_Dataset/"
            )
            return
        try:
            table = read_ave_table(path)
        except AnnotationsError as error:
            self.add("error", ANNOTATIONS_FILE, str(error))
            return
        self.rows, self.has_header = table.rows, table.has_header
        for line, complaint in table.malformed[:5]:
            self.add("error", ANNOTATIONS_FILE, f"line {line} is not a row: {complaint}")
        if table.malformed:
            self.add(
                "error",
                ANNOTATIONS_FILE,
                f"lines that are no rows: {len(table.malformed)}. Rows and features do not match; get the file again.",
            )
        self.rows_are_sound = bool(self.rows) and not table.malformed
        if not self.rows and not table.malformed:
            self.add("error", ANNOTATIONS_FILE, "has no row. Get the file again.")
        if table.has_header:
            self.add("info", ANNOTATIONS_FILE, "has a header; row 0 is the line after it.")
        self.rows_in_themselves()

    def rows_in_themselves(self) -> None:
        if not self.rows:
            return
        videos = defaultdict(list)
        for i, row in enumerate(self.rows):
            videos[row.video].append(i)
        if (len(self.rows), len(videos)) != (PUBLISHED_ROWS, PUBLISHED_VIDEOS):
            self.add(
                "info",
                ANNOTATIONS_FILE,
                f"{len(self.rows)} rows of {len(videos)} videos; the published one has {PUBLISHED_ROWS} "
                f"of {PUBLISHED_VIDEOS}, so numbers on this one are not comparable.",
            )
        several = {video: rows for video, rows in videos.items() if len(rows) > 1}
        if several:
            overlapping = sum(
                _overlap(self.rows[i], self.rows[j])
                for rows in several.values()
                for i, j in itertools.combinations(rows, 2)
            )
            self.add(
                "warning",
                ANNOTATIONS_FILE,
                f"{len(several)} videos are in several rows, and {overlapping} pairs of such rows overlap in time. "
                "Row and video are not the same: count and split by row, and extract each video once.",
            )
        empty = [i for i, row in enumerate(self.rows) if not row.length_seconds]
        if empty:
            self.add(
                "warning",
                ANNOTATIONS_FILE,
                f"{_some(empty, 'row')} without an event (start = end): all its segments are background, "
                "its weak label is its category all the same.",
            )
        repeated = [video for video, count in Counter((r.video, r.category) for r in self.rows).items() if count > 1]
        if repeated:
            self.add(
                "warning",
                ANNOTATIONS_FILE,
                f"{_some([video for video, _ in repeated], 'video')} in several rows of one category.",
            )
        foreign = sorted({row.category for row in self.rows} - set(CATEGORIES))
        if foreign:
            self.add(
                "warning",
                ANNOTATIONS_FILE,
                f"{_some(foreign, 'category', 'categories')} not among AVE's {len(CATEGORIES)}; classes are "
                "numbered in order of first appearance.",
            )
        poor = Counter(row.quality for row in self.rows if row.quality != "good")
        if poor:
            self.add("info", ANNOTATIONS_FILE, f"rows not marked 'good': {_counts(poor)}.")
        whole = np.mean([row.length_seconds == AVE_SECONDS for row in self.rows])
        self.add("info", ANNOTATIONS_FILE, f"{whole:.1%} of the rows have their event in the whole video.")

    def order(self, name: str) -> Indices | None:
        path = self.find(name)
        if path is None:
            return None
        try:
            order = read_order(path)
        except FeaturesError as error:
            self.add("error", name, str(error))
            return None
        if not self.rows_are_sound:
            return None
        if order.size and order.max() >= len(self.rows):
            self.add(
                "error",
                name,
                f"holds row {order.max()}, but {ANNOTATIONS_FILE} has rows 0-{len(self.rows) - 1}. "
                "They are not of one copy.",
            )
            return None
        return order

    def splits(self) -> dict[Split, Indices]:
        splits: dict[Split, Indices] = {}
        for split in SPLITS:
            order = self.order(f"{split}_order.h5")
            listed = self.listed_split(split)
            if order is not None and listed is not None:
                self.compare_split(split, order, listed)
            chosen = order if order is not None else listed
            if chosen is not None:
                splits[split] = chosen
            elif self.find(f"{split}_order.h5") is None and self.find(SPLIT_FILES[split]) is None:
                self.not_possible.append(
                    f"the {split} split: neither {split}_order.h5 nor {SPLIT_FILES[split]} is here"
                )
        if splits and self.rows_are_sound:
            self.disjoint(splits, "_order.h5")
            left = len(self.rows) - len(np.unique(np.concatenate(list(splits.values()))))
            if left and len(splits) == len(SPLITS):
                self.add("warning", "*_order.h5", f"rows in no split: {left}.")
        return splits

    def listed_split(self, split: Split) -> Indices | None:
        path = self.find(SPLIT_FILES[split])
        if path is None or not self.rows_are_sound:
            return None
        try:
            return _order_from_list(path, self.rows)
        except AnnotationsError as error:
            self.add("error", SPLIT_FILES[split], str(error))
            return None

    def compare_split(self, split: Split, order: Indices, listed: Indices) -> None:
        name, listing = f"{split}_order.h5", SPLIT_FILES[split]
        if np.array_equal(order, listed):
            self.add("info", name, f"the same {len(order)} rows as {listing}, in the same order.")
        elif set(order.tolist()) == set(listed.tolist()):
            self.add("info", name, f"the same {len(order)} rows as {listing}, in another order.")
        else:
            apart = len(set(order.tolist()) ^ set(listed.tolist()))
            self.add(
                "warning",
                name,
                f"rows in only one of it and {listing}: {apart}. The order file is used, as published numbers were.",
            )

    def disjoint(self, splits: Mapping[Split, Indices], ending: str) -> None:
        for one, other in itertools.combinations(splits, 2):
            shared = np.intersect1d(splits[one], splits[other])
            if len(shared):
                self.add("error", f"{other}{ending}", f"{_some(shared.tolist(), 'row')} also in {one}{ending}.")

    def match_splits(self, splits: Mapping[Split, Indices]) -> dict[Split, Indices]:
        found: dict[Split, Indices] = {}
        for split in SPLITS:
            name = f"{split}_order_match.h5"
            order = self.order(name)
            if order is None:
                if self.find(name) is None:
                    self.not_possible.append(f"the {split} split of cross-modality localization: {name} is not here")
                continue
            found[split] = order
            lengths = np.array([self.rows[i].length_seconds for i in order], dtype=np.int64)
            unusable = int(np.sum((lengths == 0) | (lengths >= NUM_SEGMENTS)))
            categories = len({self.rows[i].category for i in order})
            self.add(
                "warning" if unusable and split == "test" else "info",
                name,
                f"{len(order)} rows of {categories} categories; {unusable} have no event or one in the whole video, "
                "where there is nothing to find.",
            )
            if split == "test" and "train" in splits:
                seen = len(np.intersect1d(order, splits["train"]))
                if seen:
                    self.add(
                        "info",
                        name,
                        f"{seen} of its rows are in train_order.h5: nothing trained on that split may be tested here.",
                    )
        self.disjoint(found, "_order_match.h5")
        return found

    def leaks(self, dataset: AveDataset) -> None:
        splits_of = defaultdict(set)
        for split, rows in dataset.splits.items():
            for i in rows:
                splits_of[self.rows[i].video].add(split)
        leaked = [video for video, found in splits_of.items() if len(found) > 1]
        if leaked:
            self.add(
                "warning",
                "*_order.h5",
                f"{_some(leaked, 'video')} in two splits, so test is not quite unseen. "
                "Published numbers have the same leak.",
            )

    def array(self, name: str, ndim: int | tuple[int, ...]) -> AveArray | None:
        path = self.find(name)
        if path is None:
            return None
        try:
            array = AveArray(path, ndim=ndim)
        except FeaturesError as error:
            self.add("error", name, str(error))
            return None
        self.arrays[name] = f"{' x '.join(map(str, array.shape))} {array.dtype}"
        return array

    def row_array(self, name: str, ndim: int | tuple[int, ...]) -> AveArray | None:
        """An array with one row a sample, if it has as many as there are samples."""
        array = self.array(name, ndim)
        if array is None or not self.rows_are_sound:
            return None
        if len(array) != len(self.rows):
            hint = (
                "A header may have been taken for a row when it was made."
                if len(array) == len(self.rows) + 1
                else "They are not of one copy."
            )
            self.add("error", name, f"{len(array)} rows, but {ANNOTATIONS_FILE} has {len(self.rows)}. {hint}")
            return None
        return array

    def labels(self, dataset: AveDataset) -> None:
        made: list[tuple[str, int, Callable[[], Labels]]] = [
            ("labels.h5", 3, dataset.segment_labels),
            ("right_labels.h5", 3, dataset.segment_labels),
            ("labels_closs.h5", 2, dataset.event_segments),
            ("mil_labels.h5", 2, lambda: dataset.video_labels("one-hot")),
            ("prob_label.h5", 2, lambda: dataset.video_labels("proportion")),
        ]
        for name, ndim, regenerate in made:
            array = self.row_array(name, ndim)
            if array is not None:
                self.compare_labels(name, array, regenerate())

    def compare_labels(self, name: str, array: AveArray, expected: Labels) -> None:
        if array.shape != expected.shape:
            self.add("error", name, f"has shape {array.shape}; {ANNOTATIONS_FILE} asks for {expected.shape}.")
            return
        try:
            found = array.load()
        except FeaturesError as error:
            self.add("error", name, str(error))
            return
        wrong = ~np.isclose(found, expected, atol=1e-3)  # room for float16
        rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1)).tolist()
        if rows:
            self.add(
                "warning",
                name,
                f"{_some(rows, 'row')} not as {ANNOTATIONS_FILE} says. Labels are made from that file instead.",
            )
        else:
            self.add("info", name, f"all {len(expected)} rows as {ANNOTATIONS_FILE} says.")

    def background_clips(self) -> None:
        counts = {}
        for name, ndim in (
            ("labels_noisy.h5", 2),
            ("audio_feature_noisy.h5", 3),
            ("visual_feature_noisy.h5", (4, 5)),
        ):
            array = self.array(name, ndim)
            if array is None:
                if self.find(name) is None and "labels" not in name:
                    self.not_possible.append(f"background clips 'noisy' for weak supervision: {name} is not here")
                continue
            counts[name] = len(array)
            if name == "labels_noisy.h5":
                self.background_labels(array)
        if len(set(counts.values())) > 1:
            self.add("error", "*_noisy.h5", f"do not have the same number of clips: {_counts(counts)}.")

    def background_labels(self, array: AveArray) -> None:
        try:
            found = array.load()
        except FeaturesError as error:
            self.add("error", "labels_noisy.h5", str(error))
            return
        expected = np.zeros_like(found)
        expected[:, -1:] = 1
        wrong = np.flatnonzero((found != expected).any(1)).tolist()
        if wrong:
            self.add("warning", "labels_noisy.h5", f"{_some(wrong, 'clip')} not labelled background.")
        if len(array) != PUBLISHED_BACKGROUND_CLIPS:
            message = f"{len(array)} background clips; the published set has {PUBLISHED_BACKGROUND_CLIPS}."
            self.add("info", "labels_noisy.h5", message)

    def features(self) -> None:
        needs: list[tuple[str, int | tuple[int, ...], str]] = [
            ("visual_feature.h5", (4, 5), "training on the published visual features"),
            ("audio_feature.h5", 3, "training on the published audio features"),
            ("visual_feature_vec.h5", 3, "cross-modality localization on the published visual vectors"),
        ]
        for name, ndim, use in needs:
            if self.find(name) is None:
                self.not_possible.append(f"{use}: {name} is not here (features can be extracted from the videos)")
                continue
            array = self.row_array(name, ndim)
            if array is None:
                continue
            if array.shape[1] != NUM_SEGMENTS:
                self.add("error", name, f"has {array.shape[1]} segments a row; AVE has {NUM_SEGMENTS}.")
            self.sample(name, array)

    def sample(self, name: str, array: AveArray) -> None:
        """Look into some rows; all of them would be gigabytes."""
        finite, lowest, highest = True, 0.0, 0.0
        try:
            for row in np.unique(np.linspace(0, len(array) - 1, 16).astype(int)).tolist():
                values = array[row]
                finite = finite and bool(np.isfinite(values).all())
                lowest = min(lowest, float(values.min(initial=0)))
                highest = max(highest, float(values.max(initial=0)))
        except FeaturesError as error:
            self.add("error", name, str(error))
            return
        if not finite:
            self.add("error", name, "holds NaN or infinite values. Get it again.")
        elif lowest == highest:
            self.add("error", name, "the rows looked at are all zeros. Get it again.")
        elif lowest < 0:
            self.add(
                "info",
                name,
                "holds negative values; the published features are taken after a ReLU and have none. "
                "Models trained on the published ones do not fit these.",
            )

    def videos(self) -> int:
        wanted = list(dict.fromkeys(row.video for row in self.rows))
        places = [self.folder / "AVE", self.folder / "AVE_Dataset" / "AVE", self.folder]
        files: dict[str, Path] = {}
        for place in places:
            if place.is_dir():
                found = (p for p in sorted(place.iterdir()) if p.suffix.lower() in VIDEO_SUFFIXES)
                files = {path.stem: path for path in found}
            if files:
                break
        if not files:
            self.not_possible.append("extracting features, or watching a result: no video files in AVE/")
            return 0
        there = [video for video in wanted if video in files]
        missing = [video for video in wanted if video not in files]
        if missing:
            message = f"{_some(missing, 'video')} missing; rows of theirs have no features of yours."
            self.add("warning", "AVE/", message)
        for position, video in enumerate(there, start=1):
            self.video(files[video])
            if self.progress is not None:
                self.progress(position, len(there))
        extra = len(set(files) - set(wanted))
        if extra and self.rows_are_sound:
            self.add("info", "AVE/", f"video files in no row: {extra}.")
        return len(there)

    def video(self, path: Path) -> None:
        from avel.media.reader import probe

        name = f"AVE/{path.name}"
        try:
            info = probe(path)
        except MediaError as error:
            self.add("error", name, str(error))
            return
        duration = info.duration_seconds
        if duration is None:
            self.add("warning", name, "does not say how long it is.")
        elif duration < AVE_SECONDS - DURATION_TOLERANCE_SECONDS:
            message = f"{duration:.2f} s, shorter than {AVE_SECONDS} s; the segments after its end are padding."
            self.add("warning", name, message)
        if info.sample_rate is None:
            self.add("warning", name, "has no audio track.")
        if info.width is None:
            self.add("warning", name, "has no video track.")


def _find(folder: Path, name: str) -> Path | None:
    """A file of the data set where its archives put it."""
    places = (folder, folder / "data", folder / "AVE_Dataset", folder / "AVE_Dataset" / "data")
    return next((place / name for place in places if (place / name).is_file()), None)


def _categories_of(rows: Iterable[AveRow]) -> tuple[str, ...]:
    """AVE's own order, also for a part of AVE that lacks some categories; else the order of first appearance."""
    found = tuple(dict.fromkeys(row.category for row in rows))
    return CATEGORIES if set(found) <= set(CATEGORIES) else found


def _order_within(path: Path, num_rows: int) -> Indices:
    order = read_order(path)
    if order.size and order.max() >= num_rows:
        raise AnnotationsError(
            f"{path}: holds row {order.max()}, but {ANNOTATIONS_FILE} has rows 0-{num_rows - 1}. "
            "They are not of one copy."
        )
    return order


def _order_from_list(path: Path, rows: Sequence[AveRow]) -> Indices:
    """Rows of a split file, which has lines in the format of ``Annotations.txt``."""
    table = read_ave_table(path)
    if table.malformed:
        line, complaint = table.malformed[0]
        raise AnnotationsError(f"{path}, line {line}: {complaint}")
    index = {row: i for i, row in enumerate(rows)}
    unknown = [row.video for row in table.rows if row not in index]
    if unknown:
        raise AnnotationsError(f"{path}: {_some(unknown, 'row')} not in {ANNOTATIONS_FILE}. They are not of one copy.")
    return np.array([index[row] for row in table.rows], dtype=np.int64)


def _overlap(one: AveRow, other: AveRow) -> bool:
    return max(one.start_seconds, other.start_seconds) < min(one.end_seconds, other.end_seconds)


def _some(items: Sequence[object], noun: str, plural: str | None = None) -> str:
    """How many, the first few by name, and a verb."""
    shown = ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")
    return f"{len(items)} {noun if len(items) == 1 else plural or noun + 's'} ({shown})" + (
        " is" if len(items) == 1 else " are"
    )


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"
