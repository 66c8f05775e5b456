"""A check of a copy of the AVE data set, complete or not: what is in it, what is wrong, and what it does not allow.

Each check is a function of its own that looks at one thing of the copy and yields what it found; `CHECKS` is all of
them in the order of the report.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from avel.data.annotations import SPLITS, Split
from avel.data.ave.dataset import (
    ANNOTATIONS_FILE,
    CATEGORIES,
    NUM_SEGMENTS,
    PUBLISHED_BACKGROUND_CLIPS,
    PUBLISHED_ROWS,
    PUBLISHED_VIDEOS,
    SPLIT_FILES,
    Anchors,
    AveDataset,
    anchors,
    categories_of,
    find_file,
    order_from_list,
    some,
)
from avel.data.ave.hdf5 import AveArray, Indices, read_order
from avel.data.formats.ave import AVE_SECONDS, AveRow, AveTable, read_ave_table
from avel.data.formats.label_file import DURATION_TOLERANCE_SECONDS
from avel.data.labels import Labels
from avel.errors import AnnotationsError, AvelError, FeaturesError, MediaError
from avel.wording import counted

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")

Severity = Literal["error", "warning", "info"]
CheckProgress = Callable[[int, int], None]
"""Called with the number of videos that have been looked at and the number of all videos."""

_SHOWN_LINES = 5
_SAMPLED_ROWS = 16


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
class Lack:
    """Something that cannot be done with a copy of the data set.

    Attributes:
        message: what cannot be done, and which file is missing for it.
    """

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
            f"  annotations  {counted(self.num_rows, 'row')}, {counted(self.num_videos, 'video')}, "
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


def check(folder: str | Path, *, progress: CheckProgress | None = None) -> Report:
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
    copy = AveCopy(folder, progress or (lambda done, total: None))
    found = [one for look in CHECKS for one in look(copy)]
    return Report(
        folder=str(folder),
        num_rows=len(copy.rows),
        num_videos=len(copy.rows_of_video),
        num_categories=len({row.category for row in copy.rows}),
        has_header=copy.table.has_header if isinstance(copy.table, AveTable) else None,
        splits={split: len(rows) for split, rows in copy.splits.items()},
        match_splits={split: len(rows) for split, rows in copy.match_splits.items()},
        videos_found=len(copy.videos_there),
        arrays={
            name: f"{' x '.join(map(str, array.shape))} {array.dtype}"
            for name, array in copy.arrays.items()
            if isinstance(array, AveArray)
        },
        anchors=anchors(copy.dataset),
        findings=tuple(one for one in found if isinstance(one, Finding)),
        not_possible=tuple(one.message for one in found if isinstance(one, Lack)),
    )


@dataclass
class AveCopy:
    """The files of a copy, each read once; of one that cannot be read, the error stands in its place."""

    folder: Path
    progress: CheckProgress
    arrays: dict[str, "AveArray | FeaturesError"] = field(default_factory=dict)

    def find(self, name: str) -> Path | None:
        """Where a file of the data set is, ``None`` if it is not there."""
        return find_file(self.folder, name)

    @cached_property
    def table(self) -> AveTable | AnnotationsError | None:
        """``Annotations.txt``."""
        path = self.find(ANNOTATIONS_FILE)
        if path is None:
            return None
        try:
            return read_ave_table(path)
        except AnnotationsError as error:
            return error

    @property
    def rows(self) -> tuple[AveRow, ...]:
        """Readable rows of ``Annotations.txt``."""
        return self.table.rows if isinstance(self.table, AveTable) else ()

    @property
    def rows_are_sound(self) -> bool:
        """Whether other files can be compared with the rows."""
        return isinstance(self.table, AveTable) and bool(self.table.rows) and not self.table.malformed

    @cached_property
    def rows_of_video(self) -> dict[str, list[int]]:
        """Numbers of the rows of each video."""
        found = defaultdict(list)
        for i, row in enumerate(self.rows):
            found[row.video].append(i)
        return found

    @cached_property
    def orders(self) -> dict[str, Indices | AvelError]:
        """The order files that are there, by name; only those of sound rows."""
        found: dict[str, Indices | AvelError] = {}
        for name in (f"{split}_order{ending}.h5" for ending in ("", "_match") for split in SPLITS):
            path = self.find(name)
            if path is not None:
                try:
                    found[name] = self._within(read_order(path))
                except AvelError as error:
                    found[name] = error
        return found

    def _within(self, order: Indices) -> Indices:
        if self.rows_are_sound and order.size and order.max() >= len(self.rows):
            raise AnnotationsError(
                f"holds row {order.max()}, but {ANNOTATIONS_FILE} has rows 0-{len(self.rows) - 1}. "
                "They are not of one copy."
            )
        return order

    @cached_property
    def lists(self) -> dict[Split, Indices | AnnotationsError]:
        """The split files that are there, as rows; none if the rows are not sound."""
        found: dict[Split, Indices | AnnotationsError] = {}
        for split, name in SPLIT_FILES.items():
            path = self.find(name)
            if path is not None and self.rows_are_sound:
                try:
                    found[split] = order_from_list(path, self.rows)
                except AnnotationsError as error:
                    found[split] = error
        return found

    @cached_property
    def splits(self) -> dict[Split, Indices]:
        """Rows of each split that can be used."""
        found: dict[Split, Indices] = {}
        for split in SPLITS if self.rows_are_sound else ():
            for rows in (self.orders.get(f"{split}_order.h5"), self.lists.get(split)):
                if isinstance(rows, np.ndarray):
                    found.setdefault(split, rows)
        return found

    @cached_property
    def match_splits(self) -> dict[Split, Indices]:
        """The same for cross-modality localization."""
        found: dict[Split, Indices] = {}
        for split in SPLITS if self.rows_are_sound else ():
            rows = self.orders.get(f"{split}_order_match.h5")
            if isinstance(rows, np.ndarray):
                found[split] = rows
        return found

    @cached_property
    def dataset(self) -> AveDataset:
        """Rows and splits that can be used."""
        return AveDataset(self.rows, categories_of(self.rows), self.splits, self.match_splits)

    def array(self, name: str, ndim: int | tuple[int, ...]) -> "AveArray | FeaturesError | None":
        """An array by the name of its file; ``None`` when there is none."""
        path = self.find(name)
        if path is None:
            return None
        if name not in self.arrays:
            try:
                self.arrays[name] = AveArray(path, ndim=ndim)
            except FeaturesError as error:
                self.arrays[name] = error
        return self.arrays[name]

    @cached_property
    def videos(self) -> dict[str, Path]:
        """Video files, by name without ending."""
        for place in (self.folder / "AVE", self.folder / "AVE_Dataset" / "AVE", self.folder):
            if place.is_dir():
                files = {p.stem: p for p in sorted(place.iterdir()) if p.suffix.lower() in VIDEO_SUFFIXES}
                if files:
                    return files
        return {}

    @property
    def videos_there(self) -> list[str]:
        """Videos of the rows whose files are there."""
        return [video for video in self.rows_of_video if video in self.videos]


Found = Iterator[Finding | Lack]


# Annotations.txt


def annotations_are_readable(copy: AveCopy) -> Found:
    """``Annotations.txt`` is there, and every line of it is a row."""
    table = copy.table
    if table is None:
        yield Lack(
            f"labels, categories and checks of the other files: {ANNOTATIONS_FILE} is not here, "
            "in data/ or in AVE_Dataset/"
        )
    elif isinstance(table, AnnotationsError):
        yield Finding("error", ANNOTATIONS_FILE, str(table))
    else:
        for line, complaint in table.malformed[:_SHOWN_LINES]:
            yield Finding("error", ANNOTATIONS_FILE, f"line {line} is not a row: {complaint}")
        if table.malformed:
            yield Finding(
                "error",
                ANNOTATIONS_FILE,
                f"lines that are no rows: {len(table.malformed)}. Rows and features do not match; get the file again.",
            )
        elif not table.rows:
            yield Finding("error", ANNOTATIONS_FILE, "has no row. Get the file again.")
        if table.has_header:
            yield Finding("info", ANNOTATIONS_FILE, "has a header; row 0 is the line after it.")


def rows_are_the_published_ones(copy: AveCopy) -> Found:
    """There are as many rows and videos as were published."""
    if copy.rows and (len(copy.rows), len(copy.rows_of_video)) != (PUBLISHED_ROWS, PUBLISHED_VIDEOS):
        yield Finding(
            "info",
            ANNOTATIONS_FILE,
            f"{len(copy.rows)} rows of {len(copy.rows_of_video)} videos; the published one has {PUBLISHED_ROWS} "
            f"of {PUBLISHED_VIDEOS}, so numbers on this one are not comparable.",
        )


def videos_are_in_one_row(copy: AveCopy) -> Found:
    """Each video is in one row; in AVE, some are not."""
    several = [rows for rows in copy.rows_of_video.values() if len(rows) > 1]
    if several:
        overlapping = sum(
            _overlap(copy.rows[i], copy.rows[j]) for rows in several for i, j in itertools.combinations(rows, 2)
        )
        yield Finding(
            "warning",
            ANNOTATIONS_FILE,
            f"{len(several)} videos are in several rows, and {overlapping} pairs of such rows overlap in time. "
            "Row and video are not the same: count and split by row, and extract each video once.",
        )


def rows_have_an_event(copy: AveCopy) -> Found:
    """No row's event is empty; in AVE, one is."""
    empty = [i for i, row in enumerate(copy.rows) if not row.length_seconds]
    if empty:
        yield Finding(
            "warning",
            ANNOTATIONS_FILE,
            f"{some(empty, 'row')} without an event (start = end): all its segments are background, "
            "its weak label is its category all the same.",
        )


def videos_have_a_category_once(copy: AveCopy) -> Found:
    """No video is in several rows of one category."""
    counts = Counter((row.video, row.category) for row in copy.rows)
    repeated = [video for (video, _), count in counts.items() if count > 1]
    if repeated:
        yield Finding("warning", ANNOTATIONS_FILE, f"{some(repeated, 'video')} in several rows of one category.")


def categories_are_those_of_ave(copy: AveCopy) -> Found:
    """Every row has one of AVE's event categories."""
    foreign = sorted({row.category for row in copy.rows} - set(CATEGORIES))
    if foreign:
        yield Finding(
            "warning",
            ANNOTATIONS_FILE,
            f"{some(foreign, 'category', 'categories')} not among AVE's {len(CATEGORIES)}; classes are "
            "numbered in order of first appearance.",
        )


def rows_are_marked_good(copy: AveCopy) -> Found:
    """Every row is marked ``good``, as all published ones are."""
    poor = Counter(row.quality for row in copy.rows if row.quality != "good")
    if poor:
        yield Finding("info", ANNOTATIONS_FILE, f"rows not marked 'good': {_counts(poor)}.")


def events_leave_background(copy: AveCopy) -> Found:
    """How many events last as long as their videos, so that there is nothing to localize."""
    if copy.rows:
        whole = np.mean([row.length_seconds == AVE_SECONDS for row in copy.rows])
        yield Finding("info", ANNOTATIONS_FILE, f"{whole:.1%} of the rows have their event in the whole video.")


# Splits


def splits_are_there_and_agree(copy: AveCopy) -> Found:
    """Each split has an order file or a list of rows, and where it has both they say the same."""
    for split, listing in SPLIT_FILES.items():
        name = f"{split}_order.h5"
        order, listed = copy.orders.get(name), copy.lists.get(split)
        for file, content in ((name, order), (listing, listed)):
            if isinstance(content, AvelError):
                yield Finding("error", file, str(content))
        if copy.rows_are_sound and isinstance(order, np.ndarray) and isinstance(listed, np.ndarray):
            yield _compared(name, order, listing, listed)
        if order is None and copy.find(listing) is None:
            yield Lack(f"the {split} split: neither {name} nor {listing} is here")


def _compared(name: str, order: Indices, listing: str, listed: Indices) -> Finding:
    if np.array_equal(order, listed):
        return Finding("info", name, f"the same {len(order)} rows as {listing}, in the same order.")
    apart = set(order.tolist()) ^ set(listed.tolist())
    if not apart:
        return Finding("info", name, f"the same {len(order)} rows as {listing}, in another order.")
    return Finding(
        "warning",
        name,
        f"rows in only one of it and {listing}: {len(apart)}. The order file is used, as published numbers were.",
    )


def splits_share_no_row(copy: AveCopy) -> Found:
    """No row is in two splits, and each is in one."""
    yield from _shared_rows(copy.splits, "_order.h5")
    if len(copy.splits) == len(SPLITS):
        left = len(copy.rows) - len(np.unique(np.concatenate(list(copy.splits.values()))))
        if left:
            yield Finding("warning", "*_order.h5", f"rows in no split: {left}.")


def match_splits_can_be_used(copy: AveCopy) -> Found:
    """The splits of cross-modality localization are there, and their rows have an event that can be found."""
    for split in SPLITS:
        name = f"{split}_order_match.h5"
        order = copy.orders.get(name)
        if order is None:
            yield Lack(f"the {split} split of cross-modality localization: {name} is not here")
        if isinstance(order, AvelError):
            yield Finding("error", name, str(order))
        if split in copy.match_splits:
            yield _events_to_find(copy, split, name)
            if split == "test" and "train" in copy.splits:
                seen = len(np.intersect1d(copy.match_splits[split], copy.splits["train"]))
                if seen:
                    yield Finding(
                        "info",
                        name,
                        f"{seen} of its rows are in train_order.h5: nothing trained on that split may be tested here.",
                    )


def _events_to_find(copy: AveCopy, split: Split, name: str) -> Finding:
    rows = [copy.rows[i] for i in copy.match_splits[split]]
    unusable = sum(not 0 < row.length_seconds < NUM_SEGMENTS for row in rows)
    return Finding(
        "warning" if unusable and split == "test" else "info",
        name,
        f"{len(rows)} rows of {len({row.category for row in rows})} categories; "
        f"{counted(unusable, 'has', 'have')} no event or one in the whole video, where there is nothing to find.",
    )


def match_splits_share_no_row(copy: AveCopy) -> Found:
    """No row is in two splits of cross-modality localization."""
    yield from _shared_rows(copy.match_splits, "_order_match.h5")


def _shared_rows(splits: Mapping[Split, Indices], ending: str) -> Found:
    for one, other in itertools.combinations(splits, 2):
        shared = np.intersect1d(splits[one], splits[other]).tolist()
        if shared:
            yield Finding("error", f"{other}{ending}", f"{some(shared, 'row')} also in {one}{ending}.")


def splits_share_no_video(copy: AveCopy) -> Found:
    """No video is in two splits; in AVE, some are."""
    splits_of = defaultdict(set)
    for split, rows in copy.splits.items():
        for i in rows:
            splits_of[copy.rows[i].video].add(split)
    leaked = [video for video, found in splits_of.items() if len(found) > 1]
    if leaked:
        yield Finding(
            "warning",
            "*_order.h5",
            f"{some(leaked, 'video')} in two splits, so test is not quite unseen. "
            "Published numbers have the same leak.",
        )


# Arrays


def labels_are_as_annotated(copy: AveCopy) -> Found:
    """The label files say what ``Annotations.txt`` says."""
    made: list[tuple[str, int, Callable[[], Labels]]] = [
        ("labels.h5", 3, copy.dataset.segment_labels),
        ("right_labels.h5", 3, copy.dataset.segment_labels),
        ("labels_closs.h5", 2, copy.dataset.event_segments),
        ("mil_labels.h5", 2, lambda: copy.dataset.video_labels("one-hot")),
        ("prob_label.h5", 2, lambda: copy.dataset.video_labels("proportion")),
    ]
    for name, ndim, regenerate in made:
        array = copy.array(name, ndim)
        if array is not None:
            yield from _unfit(copy, name, array)
        if isinstance(array, AveArray) and _fits(copy, array):
            yield _compared_labels(name, array, regenerate())


def _compared_labels(name: str, array: AveArray, expected: Labels) -> Finding:
    if array.shape != expected.shape:
        return Finding("error", name, f"has shape {array.shape}; {ANNOTATIONS_FILE} asks for {expected.shape}.")
    try:
        found = array.load()
    except FeaturesError as error:
        return Finding("error", name, str(error))
    wrong = ~np.isclose(found, expected, atol=1e-3)  # room for float16
    rows = np.flatnonzero(wrong.reshape(len(wrong), -1).any(1)).tolist()
    if not rows:
        return Finding("info", name, f"all {len(expected)} rows as {ANNOTATIONS_FILE} says.")
    return Finding(
        "warning",
        name,
        f"{some(rows, 'row')} not as {ANNOTATIONS_FILE} says. Labels are made from that file instead.",
    )


def _fits(copy: AveCopy, array: AveArray) -> bool:
    """Whether an array has a row for each sample."""
    return copy.rows_are_sound and len(array) == len(copy.rows)


def _unfit(copy: AveCopy, name: str, array: AveArray | FeaturesError) -> Found:
    """Why an array cannot be compared with the samples."""
    if isinstance(array, FeaturesError):
        yield Finding("error", name, str(array))
    elif copy.rows_are_sound and len(array) != len(copy.rows):
        hint = (
            "A header may have been taken for a row when it was made."
            if len(array) == len(copy.rows) + 1
            else "They are not of one copy."
        )
        yield Finding("error", name, f"{len(array)} rows, but {ANNOTATIONS_FILE} has {len(copy.rows)}. {hint}")


def background_clips_fit_together(copy: AveCopy) -> Found:
    """The clips without event that come with AVE are there, all labelled background, and as many in each file."""
    counts = {}
    for name, ndim in (("labels_noisy.h5", 2), ("audio_feature_noisy.h5", 3), ("visual_feature_noisy.h5", (4, 5))):
        array = copy.array(name, ndim)
        if array is None and name != "labels_noisy.h5":
            yield Lack(f"background clips 'noisy' for weak supervision: {name} is not here")
        if isinstance(array, FeaturesError):
            yield Finding("error", name, str(array))
        if isinstance(array, AveArray):
            counts[name] = len(array)
            if name == "labels_noisy.h5":
                yield from _background_labels(name, array)
    if len(set(counts.values())) > 1:
        yield Finding("error", "*_noisy.h5", f"do not have the same number of clips: {_counts(counts)}.")


def _background_labels(name: str, array: AveArray) -> Found:
    try:
        found = array.load()
    except FeaturesError as error:
        yield Finding("error", name, str(error))
        return
    expected = np.zeros_like(found)
    expected[:, -1:] = 1
    wrong = np.flatnonzero((found != expected).any(1)).tolist()
    if wrong:
        yield Finding("warning", name, f"{some(wrong, 'clip')} not labelled background.")
    if len(array) != PUBLISHED_BACKGROUND_CLIPS:
        yield Finding(
            "info", name, f"{len(array)} background clips; the published set has {PUBLISHED_BACKGROUND_CLIPS}."
        )


def features_can_be_trained_on(copy: AveCopy) -> Found:
    """The features are there, of ten segments, finite and not all zeros."""
    needs: list[tuple[str, int | tuple[int, ...], str]] = [
        ("visual_feature.h5", (4, 5), "training on the published visual features"),
        ("audio_feature.h5", 3, "training on the published audio features"),
        ("visual_feature_vec.h5", 3, "cross-modality localization on the published visual vectors"),
    ]
    for name, ndim, use in needs:
        array = copy.array(name, ndim)
        if array is None:
            yield Lack(f"{use}: {name} is not here (features can be extracted from the videos)")
            continue
        yield from _unfit(copy, name, array)
        if isinstance(array, AveArray) and _fits(copy, array):
            if array.shape[1] != NUM_SEGMENTS:
                yield Finding("error", name, f"has {array.shape[1]} segments a row; AVE has {NUM_SEGMENTS}.")
            yield from _sampled(name, array)


def _sampled(name: str, array: AveArray) -> Found:
    """Look into some rows; all of them would be gigabytes."""
    try:
        rows = [array[row] for row in np.unique(np.linspace(0, len(array) - 1, _SAMPLED_ROWS).astype(int)).tolist()]
    except FeaturesError as error:
        yield Finding("error", name, str(error))
        return
    if not all(np.isfinite(row).all() for row in rows):
        yield Finding("error", name, "holds NaN or infinite values. Get it again.")
    elif not any(row.any() for row in rows):
        yield Finding("error", name, "the rows looked at are all zeros. Get it again.")
    elif any(row.min(initial=0) < 0 for row in rows):
        yield Finding(
            "info",
            name,
            "holds negative values; the published features are taken after a ReLU and have none. "
            "Models trained on the published ones do not fit these.",
        )


# Videos


def videos_are_there(copy: AveCopy) -> Found:
    """Every video that a row names is there."""
    if not copy.videos:
        yield Lack("extracting features, or watching a result: no video files in AVE/")
        return
    missing = [video for video in copy.rows_of_video if video not in copy.videos]
    if missing:
        yield Finding("warning", "AVE/", f"{some(missing, 'video')} missing; rows of theirs have no features of yours.")


def videos_can_be_used(copy: AveCopy) -> Found:
    """The videos that are there can be opened, last ten seconds, and have pictures and sound."""
    there = copy.videos_there
    for position, video in enumerate(there, start=1):
        yield from _video(copy.videos[video])
        copy.progress(position, len(there))
    extra = len(copy.videos) - len(there)
    if extra and copy.rows_are_sound:
        yield Finding("info", "AVE/", f"video files in no row: {extra}.")


def _video(path: Path) -> Found:
    from avel.media.reader import probe

    name = f"AVE/{path.name}"
    try:
        info = probe(path)
    except MediaError as error:
        yield Finding("error", name, str(error))
        return
    duration = info.duration_seconds
    if duration is None:
        yield Finding("warning", name, "does not say how long it is.")
    elif duration < AVE_SECONDS - DURATION_TOLERANCE_SECONDS:
        message = f"{duration:.2f} s, shorter than {AVE_SECONDS} s; the segments after its end are padding."
        yield Finding("warning", name, message)
    if info.sample_rate is None:
        yield Finding("warning", name, "has no audio track.")
    if info.width is None:
        yield Finding("warning", name, "has no video track.")


CHECKS: Sequence[Callable[[AveCopy], Iterable[Finding | Lack]]] = (
    annotations_are_readable,
    rows_are_the_published_ones,
    videos_are_in_one_row,
    rows_have_an_event,
    videos_have_a_category_once,
    categories_are_those_of_ave,
    rows_are_marked_good,
    events_leave_background,
    splits_are_there_and_agree,
    splits_share_no_row,
    match_splits_can_be_used,
    match_splits_share_no_row,
    splits_share_no_video,
    labels_are_as_annotated,
    background_clips_fit_together,
    features_can_be_trained_on,
    videos_are_there,
    videos_can_be_used,
)
"""All checks, in the order of the report."""


def _overlap(one: AveRow, other: AveRow) -> bool:
    return max(one.start_seconds, other.start_seconds) < min(one.end_seconds, other.end_seconds)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"
