"""AVE as its copies on the Hugging Face hub have it: parquet files ``data/SPLIT-00000-of-00011.parquet``.

``mteb/AVE-Dataset``, of the MTEB benchmark, has a row a sample with these columns:

=================  ==========================================================================================
``video``          ``bytes`` of the video file, and its ``path``
``audio``          the same of its sound, mono at 16 kHz; not read, since it is in the video too
``label``          number of the event category; the names are in the file's metadata (28, in alphabetical order)
``youtube_id``     name of the video
``start_seconds``  whole seconds
=================  ==========================================================================================

It has the splits train (about 3,312 rows) and test (402), no validation split, and it does not say when events end: for
that AVE's own ``Annotations.txt`` is needed. pyarrow is needed to read it (``pip install 'avel[parquet]'``).
"""

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from avel.data.annotations import Split
from avel.data.ave.dataset import ANNOTATIONS_FILE, CATEGORIES, SPLIT_FILES, find_file, some
from avel.data.formats.ave import read_ave_table
from avel.errors import AnnotationsError
from avel.files import make_folder, write_bytes, write_text
from avel.wording import counted

COLUMNS = ("label", "youtube_id", "start_seconds")
QUERIES_OF_LABEL, RETRIEVAL_SEED = 4, 42
"""MTEB's, of its retrieval tasks over AVE."""

MAX_ROWS = 1_000_000
MAX_VIDEO_BYTES = 1 << 30

_SHARD = re.compile(r"(train|test|val|validation)-\d{5}-of-\d{5}\.parquet")
_VIDEO = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".mov")
_ROWS_AT_ONCE = 8


@dataclass(frozen=True)
class HubSample:
    """One row.

    Attributes:
        video: YouTube identifier.
        category: event category.
        start_seconds: as the row has it.
        split: of the file that the row is in.
        label: of the category, as the row has it.
    """

    video: str
    category: str
    start_seconds: int
    split: Split
    label: int | str


@dataclass(frozen=True)
class HubReport:
    """What a copy from the hub holds, and how it compares with ``Annotations.txt`` where that lies beside it.

    Attributes:
        folder: the folder.
        splits: rows of each split.
        videos: number of different videos.
        categories: number of different categories.
        has_annotations: whether ``Annotations.txt`` is there.
        problems: what is wrong with the copy.
        differences: how it differs from AVE as published.
    """

    folder: str
    splits: Mapping[str, int]
    videos: int
    categories: int
    has_annotations: bool
    problems: tuple[str, ...]
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong; a difference is not."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        return {**asdict(self), "ok": self.ok}

    def lines(self) -> list[str]:
        """For a person to read."""
        counts = ", ".join(f"{split} {count}" for split, count in self.splits.items())
        return [
            f"AVE from the hub in {self.folder}",
            f"  rows        {counts}",
            f"  videos      {self.videos} in {self.categories} event categories",
            *(f"  error       {problem}" for problem in self.problems),
            *(f"  difference  {difference}" for difference in self.differences),
        ]


def is_hub_copy(folder: str | Path) -> bool:
    """Whether a folder, or its folder ``data``, has AVE's parquet files."""
    return bool(_shards(Path(folder)))


def read_hub(folder: str | Path) -> list[HubSample]:
    """The rows of a copy from the hub, without the videos.

    Raises:
        AnnotationsError: if there is none, pyarrow is missing, or a file is damaged or has other columns.
    """
    samples: list[HubSample] = []
    for path, split in _found(Path(folder)):
        with _opened(path) as file:
            if file.metadata.num_rows + len(samples) > MAX_ROWS:
                raise AnnotationsError(f"{path}: has more than {MAX_ROWS} rows. AVE has 4143; get it again.")
            name = _names(path, file)
            for batch in file.iter_batches(columns=list(COLUMNS)):
                rows = batch.to_pydict()
                for label, video, start in zip(*(rows[column] for column in COLUMNS), strict=True):
                    if not isinstance(video, str) or not _VIDEO.fullmatch(video) or not isinstance(start, int):
                        raise AnnotationsError(
                            f"{path}: {video!r} from {start!r} s is no video and start of AVE. Get the file again."
                        )
                    samples.append(HubSample(video, name(label), start, split, label))
    return samples


def retrieval_split(samples: Sequence[HubSample]) -> tuple[list[HubSample], list[HubSample]]:
    """Queries and candidates of retrieval by category, as MTEB's AVEA2VRetrieval and AVEV2ARetrieval draw them.

    Of the test rows of each label, in the order of the labels, `QUERIES_OF_LABEL` are drawn as queries; the others are
    candidates, and those of the query's label are relevant. Both tasks have the same draw.

    Args:
        samples: of `read_hub`, whose order counts.
    """
    drawing = random.Random(RETRIEVAL_SEED)
    test = [one for one in samples if one.split == "test"]
    queries: list[HubSample] = []
    candidates: list[HubSample] = []
    for label in sorted({one.label for one in test}, key=lambda label: (isinstance(label, str), label)):
        rows = [one for one in test if one.label == label]
        drawing.shuffle(rows)
        queries += rows[:QUERIES_OF_LABEL]
        candidates += rows[QUERIES_OF_LABEL:]
    return queries, candidates


def check_hub(folder: str | Path) -> HubReport:
    """Look at a copy from the hub.

    Raises:
        AnnotationsError: as `read_hub`.
    """
    folder = Path(folder)
    samples = read_hub(folder)
    problems, differences = [], []
    unknown = sorted({one.category for one in samples} - set(CATEGORIES))
    if unknown:
        problems.append(f"{some(unknown, 'category', 'categories')} none of AVE's 28")
    splits = {split: sum(one.split == split for one in samples) for split in ("train", "val", "test")}
    if not splits["val"]:
        differences.append("there is no validation split")
    annotations = find_file(folder, ANNOTATIONS_FILE)
    if annotations is None:
        differences.append(
            f"no row says when its event ends: to learn from segments, put AVE's {ANNOTATIONS_FILE} into the folder"
        )
    else:
        differences += _compared(samples, annotations)
    return HubReport(
        str(folder),
        {split: count for split, count in splits.items() if count},
        len({one.video for one in samples}),
        len({one.category for one in samples}),
        annotations is not None,
        tuple(problems),
        tuple(differences),
    )


def extract_hub(
    folder: str | Path, output: str | Path, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[int, list[str]]:
    """Write the videos of a copy from the hub as ``AVE/ID.mp4``, as AVE's own archive has them.

    Beside them come ``Annotations.txt`` and the split files where the copy has them, else ``labels.csv`` with the
    category and split of each video, from which weak training learns. Videos that are there are left as they are.

    Args:
        folder: of the copy.
        output: the folder to write into; made if it is not there.
        progress: called with the rows that are done and all rows.

    Returns:
        How many videos were written, and names of those whose row holds none.

    Raises:
        AnnotationsError: as `read_hub`.
        OutputError: if a file cannot be written.
    """
    folder, output = Path(folder), Path(output)
    samples = read_hub(folder)
    make_folder(output / "AVE")
    written, missing, done = 0, [], 0
    for path, _ in _found(folder):
        with _opened(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, columns=["youtube_id", "video"]):
                for row in batch.to_pylist():
                    done += 1
                    data, suffix = _video_of(row["video"])
                    target = output / "AVE" / f"{row['youtube_id']}{suffix}"
                    if data is None:
                        missing.append(row["youtube_id"])
                    elif not target.exists():
                        write_bytes(target, data)
                        written += 1
                progress(done, len(samples))
    sources = [find_file(folder, name) for name in (ANNOTATIONS_FILE, *SPLIT_FILES.values())]
    for source in sources:
        if source is not None and not (output / source.name).exists():
            shutil.copyfile(source, output / source.name)
    if sources[0] is None:
        lines = dict.fromkeys(f'{one.video},"{one.category}",{one.split}' for one in samples)
        write_text(output / "labels.csv", "\n".join(["video,category,split", *lines]) + "\n")
    return written, missing


def _compared(samples: list[HubSample], annotations: Path) -> Iterator[str]:
    """How the rows differ from ``Annotations.txt``."""
    rows = {(row.video, row.category): row for row in read_ave_table(annotations).rows}
    here = {(one.video, one.category): one for one in samples}
    if extra := sorted({video for video, category in here if (video, category) not in rows}):
        yield f"{some(extra, 'video')} not in {ANNOTATIONS_FILE} with its category"
    if lacking := sorted({video for video, category in rows if (video, category) not in here}):
        yield f"{some(lacking, 'video')} of {ANNOTATIONS_FILE} and not in the copy"
    other = sorted(key[0] for key, one in here.items() if key in rows and rows[key].start_seconds != one.start_seconds)
    if other:
        yield f"start_seconds differs from {ANNOTATIONS_FILE} in {counted(len(other), 'row')} ({', '.join(other[:5])})"


def _shards(folder: Path) -> list[tuple[Path, Split]]:
    names: Mapping[str, Split] = {"train": "train", "test": "test", "val": "val", "validation": "val"}
    for place in (folder / "data", folder):
        if place.is_dir():
            matches = [(path, _SHARD.fullmatch(path.name)) for path in sorted(place.iterdir())]
            if found := [(path, names[match[1]]) for path, match in matches if match]:
                return found
    return []


def _found(folder: Path) -> list[tuple[Path, Split]]:
    shards = _shards(folder)
    if not shards:
        raise AnnotationsError(f"{folder}: has no train-00000-of-00011.parquet or the like, here or in data/.")
    return shards


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise AnnotationsError(
            f"{path}: reading parquet needs pyarrow, which is not installed. Install it with: pip install "
            "'avel[parquet]'"
        ) from error
    try:
        with parquet.ParquetFile(path) as file:
            lacking = [name for name in (*COLUMNS, "video") if name not in file.schema_arrow.names]
            if lacking:
                raise AnnotationsError(
                    f"{path}: has no column {', '.join(lacking)}. AVE's have video, audio, label, youtube_id and "
                    "start_seconds."
                )
            yield file
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise AnnotationsError(f"{path}: is damaged or no parquet file ({error}). Get it again.") from error


def _names(path: Path, file: Any) -> Callable[[Any], str]:
    """From a label to the name of its category: text as it is, numbers by the names in the file's metadata."""
    try:
        said = json.loads((file.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
        names = said.get("info", {}).get("features", {}).get("label", {}).get("names", [])
    except (ValueError, AttributeError, RecursionError):
        names = []

    def name(label: Any) -> str:
        if isinstance(label, str):
            return label
        if isinstance(label, int) and isinstance(names, list) and 0 <= label < len(names):
            return str(names[label])
        raise AnnotationsError(f"{path}: has the label {label!r}, and {len(names)} names of labels. Get it again.")

    return name


def _video_of(value: Any) -> tuple[bytes | None, str]:
    data = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(data, bytes) or not 0 < len(data) <= MAX_VIDEO_BYTES:
        return None, ".mp4"
    suffix = Path(str(value.get("path") or "")).suffix.lower()
    return data, suffix if suffix in _SUFFIXES else ".mp4"
