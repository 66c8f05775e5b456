"""What a library is searched in: vectors and classes of all segments, made from the features.

::

    LIBRARY/index/current.json          which generation is searched
    LIBRARY/index/GENERATION/           its videos (videos.json) and arrays, mapped into memory

A generation is written beside the one that is searched and takes its place by one renamed file, so that there is always
a whole one to read, whoever is killed; readers keep the one that they opened. It is never believed over the
features. Videos that are in the former generation
are copied from it and their features are not read again.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats
from avel.documents import read_json
from avel.errors import FeaturesError, LibraryError
from avel.features.feature_file import BackboneModality
from avel.features.index import IndexRow
from avel.features.recipe import digest_of
from avel.features.store import FeatureStore
from avel.files import new_folder, write_text
from avel.library.postings import Tagged, TaggedWriter, read_tagged
from avel.library.spaces import MODALITIES, Space, Taggers
from avel.library.vectors import Vectors, stored_type, write_vectors
from avel.records import Record

FORMAT = "avel library index 1"
CURRENT_FILE, VIDEOS_FILE = "current.json", "videos.json"

_MAX_JSON_BYTES = 1 << 30


@dataclass(frozen=True)
class SearchedVideo(Record):
    """A video of a library.

    Attributes:
        key: of its features in the store.
        paths: where it is; several where there are copies of it.
        size_bytes: of the file.
        sha256: of its content.
        duration_seconds: its length.
        first: its first segment among all of the library's.
        segments: how many it has.
        file_bytes: size of its feature file.
        file_modified_ns: when that was written.
    """

    key: str
    paths: tuple[str, ...]
    size_bytes: int
    sha256: str
    duration_seconds: float
    first: int
    segments: int
    file_bytes: int
    file_modified_ns: int


@dataclass(frozen=True)
class _Contents(Record):
    format: str
    made_of: str
    space: str
    segment_seconds: float
    dims: int
    videos: tuple[SearchedVideo, ...]


class Generation:
    """An index that is whole, for reading.

    Attributes:
        videos: by their first segments.
        made_of: see `made_of`.
        space: see `origin`.
        segment_seconds: length of a segment.
        count: N, segments of all videos.

    Args:
        folder: of the generation.
        taggers: whose classes it holds.

    Raises:
        LibraryError: if it is damaged.
    """

    def __init__(self, folder: Path, taggers: Taggers) -> None:
        self.folder = folder
        contents = _read_contents(folder / VIDEOS_FILE)
        self.made_of: str = contents.made_of
        self.space: str = contents.space
        self.segment_seconds: float = contents.segment_seconds
        self.videos: Sequence[SearchedVideo] = contents.videos
        self.count: int = sum(video.segments for video in self.videos)
        self._starts = np.array([video.first for video in self.videos], np.int64)
        if self._starts.tolist() != np.cumsum([0, *(video.segments for video in self.videos)])[:-1].tolist():
            raise LibraryError(f"{folder / VIDEOS_FILE}: its videos do not follow each other. Remove {folder}.")
        self.vectors: dict[BackboneModality, Vectors] = {}
        self.tagged: dict[BackboneModality, Tagged] = {}
        if self.count:
            self.vectors = {one: Vectors(folder, one, self.count, contents.dims) for one in MODALITIES}
            self.tagged = {
                one: read_tagged(folder, f"{one}_classes", self.count, len(taggers.labels(one))) for one in MODALITIES
            }

    def video_numbers(self, segments: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) number of the video of each segment."""
        return np.searchsorted(self._starts, segments, side="right") - 1


def open_current(folder: Path, taggers: Taggers) -> Generation | None:
    """The generation that is searched; ``None`` when there is none.

    Raises:
        LibraryError: if it is damaged.
    """
    for _ in range(3):  # it may be replaced, and removed, between the two steps
        name = _current_name(folder)
        if name is None or not (folder / name).is_dir():
            continue
        try:
            return Generation(folder / name, taggers)
        except LibraryError:
            if _current_name(folder) == name:
                raise
    return None


def made_of(rows: Sequence[IndexRow], space: Space, store: FeatureStore) -> str:
    """Digest of what a generation is made of: two of the same are equal."""
    files = [[row.key, row.source, row.sha256, row.file_bytes, row.file_modified_ns] for row in rows]
    return digest_of({"files": files, "space": origin(space, store)})


def origin(space: Space, store: FeatureStore) -> str:
    """Digest of what vectors are made by: those of two generations of the same can be copied."""
    return digest_of({"space": space.digest, "store": store.digest})


def write_generation(
    folder: Path, store: FeatureStore, space: Space, taggers: Taggers, before: Generation | None
) -> list[str]:
    """Write a generation of all that is in a store, and let it be the one that is searched.

    Args:
        folder: of the index.
        store: the features.
        space: what makes the vectors.
        taggers: whose classes are kept.
        before: the generation until now, of the same space and taggers.

    Returns:
        What could not be read of the store, for a person.

    Raises:
        LibraryError: if it cannot be written.
    """
    rows, unreadable = store.index()
    problems = list(unreadable.values())
    name = made_of(rows, space, store).removeprefix("sha256:")[:16]
    known = {} if before is None else {(v.key, v.file_bytes, v.file_modified_ns): v for v in before.videos}
    videos: list[SearchedVideo] = []
    count = 0
    for group in _by_content(rows):
        row = group[0]
        paths = tuple(one.source for one in group)
        video = SearchedVideo(
            row.key,
            paths,
            row.source_bytes,
            row.sha256,
            row.duration_seconds,
            count,
            row.segments,
            row.file_bytes,
            row.file_modified_ns,
        )
        videos.append(video)
        count += row.segments
    with new_folder(folder / name, raises=LibraryError) as temporary:
        kept = _write_arrays(temporary, store, space, taggers, videos, count, before, known, problems)
        digest, seconds = made_of(rows, space, store), store.recipe.segment_seconds
        contents = _Contents(FORMAT, digest, origin(space, store), seconds, space.dims, kept)
        (temporary / VIDEOS_FILE).write_text(json.dumps(contents.to_dict()), encoding="utf-8")
    write_text(folder / CURRENT_FILE, json.dumps({"format": FORMAT, "generation": name}) + "\n", raises=LibraryError)
    for other in folder.iterdir():
        if other.is_dir() and other.name != name:
            shutil.rmtree(other, ignore_errors=True)
    return problems


def _write_arrays(
    folder: Path,
    store: FeatureStore,
    space: Space,
    taggers: Taggers,
    videos: Sequence[SearchedVideo],
    count: int,
    before: Generation | None,
    known: Mapping[tuple[str, int, int], SearchedVideo],
    problems: list[str],
) -> tuple[SearchedVideo, ...]:
    if not count:
        return ()
    writers = {one: TaggedWriter(len(taggers.labels(one))) for one in MODALITIES}
    # Written as they come, so that memory does not grow with the library.
    spools = {
        one: np.lib.format.open_memmap(folder / f"{one}_spool.npy", "w+", stored_type(count), (count, space.dims))
        for one in MODALITIES
    }
    kept: list[SearchedVideo] = []
    first = 0
    for video in videos:
        old = known.get((video.key, video.file_bytes, video.file_modified_ns))
        part = slice(first, first + video.segments)
        if old is not None and before is not None and old.segments == video.segments:
            for one in MODALITIES:
                spools[one][part] = before.vectors[one][slice(old.first, old.first + old.segments)]
                writers[one].copy(before.tagged[one], old.first, old.first + old.segments)
        else:
            try:
                for one, vectors, scores in list(_read(store, video.key, space, taggers)):
                    spools[one][part] = vectors
                    writers[one].add(scores)
            except FeaturesError as error:
                problems.append(str(error))
                continue
        kept.append(SearchedVideo(**{**video.__dict__, "first": first}))
        first += video.segments
    for one in MODALITIES:
        vectors = spools[one]
        if first:
            write_vectors(folder, one, vectors[:first].astype(stored_type(first), copy=False))
            writers[one].write(folder, f"{one}_classes")
        del vectors, spools[one]
        (folder / f"{one}_spool.npy").unlink()
    return tuple(kept)


def _read(
    store: FeatureStore, key: str, space: Space, taggers: Taggers
) -> Iterator[tuple[BackboneModality, Floats, Floats]]:
    """Of each modality (T, E) vectors and (T, C) scores of classes; zeros where it could not be read."""
    stored = store.open(key)
    for one in MODALITIES:
        by_network = {
            name: np.asarray(array, np.float32).mean(axis=1) if one == "visual" else np.asarray(array, np.float32)
            for name, array in (stored.visual if one == "visual" else stored.audio).items()
        }
        valid = np.asarray(stored.visual_valid if one == "visual" else stored.audio_valid)[:, None]
        vectors = np.where(valid, space.vectors(one, by_network), np.float32(0))
        yield one, vectors, np.where(valid, by_network[taggers.name(one)], np.float32(0))


def _by_content(rows: Sequence[IndexRow]) -> Iterator[list[IndexRow]]:
    """Rows of one video each, by the first one's key."""
    groups: dict[str, list[IndexRow]] = {}
    for row in rows:
        groups.setdefault(row.sha256, []).append(row)
    yield from groups.values()


def _current_name(folder: Path) -> str | None:
    try:
        content = read_json(folder / CURRENT_FILE, _MAX_JSON_BYTES)
        name = str(content["generation"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if name.isalnum() else None


def _read_contents(path: Path) -> _Contents:
    try:
        contents = _Contents.from_dict(read_json(path, _MAX_JSON_BYTES))
        if contents.format != FORMAT:
            raise ValueError(f"its format is {contents.format!r}, this version reads {FORMAT!r}")
        if any(video.segments < 1 for video in contents.videos) or not contents.segment_seconds > 0:
            raise ValueError("it holds sizes that cannot be")
    except (OSError, ValueError, TypeError) as error:
        raise LibraryError(
            f"{path}: the index is damaged ({error}). Remove {path.parent.parent} and search again."
        ) from error
    return contents
