"""The AVE data set (Tian et al., ECCV 2018): its rows, splits and labels, and what needs no learning on it.

10 s videos, ten segments of 1 s, 28 event categories and background. ``Annotations.txt`` has one row a sample, and
every array of the published features follows its order. A sample is a row, not a video: some videos occur in several
rows, each with an event of another category.

Labels are made from ``Annotations.txt``; the published ``labels.h5`` has errors. Splits come from the order files,
which published numbers were made with.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from avel.data import labels as label_maker
from avel.data.annotations import SPLITS, Annotation, AnnotationSet, Split, WeakProtocol
from avel.data.ave.hdf5 import Indices, read_order
from avel.data.categories import ave_categories
from avel.data.formats.ave import AveRow, read_ave_table
from avel.data.labels import WEAK_PROTOCOLS, Labels
from avel.errors import AnnotationsError

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
        return np.eye(self.num_classes, dtype=np.float32)[self.classes]

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


def load(folder: str | Path) -> AveDataset:
    """Read the rows and splits of AVE, or of a data set in its layout.

    Splits come from ``{train,val,test}_order.h5`` where they are there, else from ``trainSet.txt`` and so on.

    Raises:
        AnnotationsError: if ``Annotations.txt`` is missing, has a line that is no row, or does not fit the splits.
        FeaturesError: if an order file is damaged.
    """
    folder = Path(folder)
    path = find_file(folder, ANNOTATIONS_FILE)
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
        order, match = (find_file(folder, f"{split}_order{ending}.h5") for ending in ("", "_match"))
        listed = find_file(folder, SPLIT_FILES[split])
        if order is not None:
            splits[split] = _order_within(order, len(table.rows))
        elif listed is not None:
            splits[split] = order_from_list(listed, table.rows)
        if match is not None:
            match_splits[split] = _order_within(match, len(table.rows))
    return AveDataset(table.rows, categories_of(table.rows), splits, match_splits)


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


def find_file(folder: Path, name: str) -> Path | None:
    """A file of the data set where its archives put it."""
    places = (folder, folder / "data", folder / "AVE_Dataset", folder / "AVE_Dataset" / "data")
    return next((place / name for place in places if (place / name).is_file()), None)


def categories_of(rows: Iterable[AveRow]) -> tuple[str, ...]:
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


def order_from_list(path: Path, rows: Sequence[AveRow]) -> Indices:
    """Rows of a split file, which has lines in the format of ``Annotations.txt``."""
    table = read_ave_table(path)
    if table.malformed:
        line, complaint = table.malformed[0]
        raise AnnotationsError(f"{path}, line {line}: {complaint}")
    index = {row: i for i, row in enumerate(rows)}
    unknown = [row.video for row in table.rows if row not in index]
    if unknown:
        raise AnnotationsError(f"{path}: {some(unknown, 'row')} not in {ANNOTATIONS_FILE}. They are not of one copy.")
    return np.array([index[row] for row in table.rows], dtype=np.int64)


def some(items: Sequence[object], noun: str, plural: str | None = None) -> str:
    """How many, the first few by name, and a verb: ``2 rows (3, 7) are``."""
    shown = ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")
    return f"{len(items)} {noun if len(items) == 1 else plural or noun + 's'} ({shown})" + (
        " is" if len(items) == 1 else " are"
    )
