"""Names of videos in a store."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Iterable
from pathlib import Path

from avel.features.index import IndexRow
from avel.features.source import SourceFile, absolute_text

MAX_NAME_BYTES = 180
"""Of one part of a key. File systems allow 255, and the suffix is added."""


def assign_keys(
    videos: Iterable[tuple[Path, str]],
    rows: Iterable[IndexRow],
    read: Callable[[Path], SourceFile] = SourceFile.of,
) -> dict[Path, str]:
    """Keys for videos, each its own, and the ones that they already have where they are in the store.

    A video's key is the name that was proposed for it. If another video has that key, a digest of the path is
    appended. A video that was moved, so that the path in the store leads nowhere, is found by its content.

    Args:
        videos: paths and proposed names, ``/`` between folders.
        rows: the store's index.
        read: says what a video is.
    """
    rows = list(rows)
    held = {row.source: row.key for row in rows}
    taken = {_folded(row.key): row for row in rows}
    assigned: dict[Path, str] = {}
    names: set[str] = set()
    for path, name in videos:
        text = absolute_text(path)
        key = held.get(text)
        if key is None:
            key = _safe_key(name)
            row = taken.get(_folded(key))
            if _folded(key) in names or (row is not None and not _was_moved(row, path, read)):
                key = f"{key}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        names.add(_folded(key))
        assigned[path] = key
    return assigned


def _safe_key(name: str) -> str:
    return "/".join(_safe_part(part) for part in name.split("/") if part) or "_"


def _safe_part(part: str) -> str:
    text = os.fsencode(part).decode("utf-8", "backslashreplace").replace("\\", "_").replace("\0", "_")
    if text.startswith("."):
        text = f"_{text[1:]}"
    encoded = text.encode()
    if len(encoded) <= MAX_NAME_BYTES:
        return text
    return f"{encoded[:MAX_NAME_BYTES].decode(errors='ignore')}-{hashlib.sha256(encoded).hexdigest()[:8]}"


def _folded(key: str) -> str:
    """Equal for keys that some file systems take for one name."""
    return unicodedata.normalize("NFC", key).casefold()


def _was_moved(row: IndexRow, path: Path, read: Callable[[Path], SourceFile]) -> bool:
    """Whether a video in the store is this one, which is now at another place."""
    try:
        if Path(row.source).exists() or path.stat().st_size != row.source_bytes:
            return False
        return read(path).sha256 == row.sha256
    except OSError:
        return False
