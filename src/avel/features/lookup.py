"""The features of a video in a store, wherever the video is now and whatever it is called."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

from avel.features.index import IndexRow
from avel.features.source import SourceFile, absolute_text


def find_rows(
    videos: Iterable[str | Path],
    rows: Iterable[IndexRow],
    read: Callable[[Path], SourceFile] = SourceFile.of,
) -> dict[Path, IndexRow]:
    """The line of the index for each video that has one.

    A video that has not changed since it was extracted is known by its path; any other by its content, so that videos
    that were moved, renamed, copied or mounted elsewhere have their features, and one file may have several names.

    Args:
        videos: paths of video files.
        rows: the store's index.
        read: says what a video is, such as `avel.features.digests.SourceDigests.of`.

    Returns:
        By path, in the order of ``videos``. A video that is not in the store, or is there with another content, is left
        out; one that cannot be read counts as it was extracted.
    """
    by_source: dict[str, IndexRow] = {}
    by_size: dict[int, list[IndexRow]] = defaultdict(list)
    for known in rows:
        by_source[known.source] = known
        by_size[known.source_bytes].append(known)
    found: dict[Path, IndexRow] = {}
    for path in map(Path, videos):
        row: IndexRow | None = by_source.get(absolute_text(path))
        try:
            if row is None or not is_unchanged(path, row):
                row = _of_content(path, by_size, read)
        except OSError:
            pass
        if row is not None:
            found[path] = row
    return found


def is_unchanged(path: Path, row: IndexRow) -> bool:
    """Whether a video surely is as it was when it was extracted; where it is not sure, its content has to be compared.

    Raises:
        OSError: if the video is not there.
    """
    status = path.stat()
    # st_ctime changes when a file is replaced, even by one that claims to be old.
    changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
    return status.st_size == row.source_bytes and changed_ns < row.file_modified_ns


def _of_content(path: Path, by_size: dict[int, list[IndexRow]], read: Callable[[Path], SourceFile]) -> IndexRow | None:
    candidates = by_size.get(path.stat().st_size, [])
    if not candidates:
        return None
    digest = read(path).sha256
    return next((row for row in candidates if row.sha256 == digest), None)
