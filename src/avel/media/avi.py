"""Where the chunks of an AVI file stop to follow each other.

An AVI has no times: the n-th picture is shown at n / rate. Where bytes are lost, all that follows comes too early, and
libav, which looks for the next chunk behind the damage, cannot know by how much.
"""

import os
import string
from typing import BinaryIO

import numpy as np

FOLDERS = (b"RIFF", b"LIST")
WORD = frozenset((string.ascii_letters + string.digits + " _-").encode())
"""What the four letters of a chunk are made of."""
MAX_CHUNKS = 5_000_000
DRIFT_STEP_BYTES = 4096
UNKNOWN_LENGTH = 0xFFFFFFFF
"""What a folder has while it is being written."""


def first_break(file: BinaryIO) -> int | None:
    """Where the last chunk begins up to which all chunks follow each other; ``None`` if all of them do.

    A file that was cut off has no break: what it holds is in its place. The file is at its start afterwards.
    """
    try:
        return _first_break(file, file.seek(0, os.SEEK_END))
    finally:
        file.seek(0)


def _first_break(file: BinaryIO, size: int) -> int | None:
    position = before = declared_end = streams = 0
    has_content = False
    for _ in range(MAX_CHUNKS):
        if position + 8 > size:
            return None
        file.seek(position)
        header = file.read(8)
        kind, length = header[:4], int.from_bytes(header[4:], "little")
        if not WORD.issuperset(kind):
            # A chunk of an odd length that is not padded, as some writers leave it, is no damage.
            file.seek(position - 1)
            header = file.read(8)
            if position == before or not WORD.issuperset(header[:4]):
                return before
            position, kind, length = position - 1, header[:4], int.from_bytes(header[4:], "little")
        end = position + 8 + length
        content = file.read(4) if kind == b"LIST" else b""
        if content == b"strl" and has_content:
            return before  # another file's headers
        streams += content == b"strl"
        has_content = has_content or content == b"movi"
        if kind[:2].isdigit() and int(kind[:2]) >= streams:
            return before  # libav passes over a chunk of no stream, and what follows comes too early
        if kind in FOLDERS:
            declared_end = max(declared_end, end) if length < UNKNOWN_LENGTH else declared_end
        elif end > size and (not _is_stream(kind) or 12 < declared_end < end):
            return before  # a recording is cut off in a chunk of a stream, within what it declares
        before = position
        position += 12 if kind in FOLDERS else 8 + length + length % 2
    return None


def _is_stream(kind: bytes) -> bool:
    """Whether a chunk holds a stream's data, or others: only these are so large that files end within them."""
    return (kind[:2].isdigit() and kind[2:].isalpha()) or kind in (b"JUNK", b"idx1")


class Drift:
    """How far sound and pictures move apart that lie side by side in a file without times."""

    def __init__(self) -> None:
        self._packets: dict[str, list[tuple[int, float]]] = {"video": [], "audio": []}

    def add(self, kind: str, position: int, end_seconds: float) -> None:
        """Take the next packet of a track, of ``"video"`` or ``"audio"``, and where it is in the file."""
        packets = self._packets[kind]
        if not packets or position >= packets[-1][0] + DRIFT_STEP_BYTES:
            packets.append((position, end_seconds))

    def seconds(self) -> float:
        """By how much the sound is further ahead of the pictures beside it at the end than at the beginning."""
        video, audio = self._packets["video"], self._packets["audio"]
        if not video or not audio:
            return 0.0
        positions, ends = zip(*audio, strict=True)
        beside = [(p, end) for p, end in video if positions[0] <= p <= positions[-1]]
        if not beside:
            return 0.0
        ahead = np.interp([p for p, _ in beside], positions, ends) - [end for _, end in beside]
        return float(ahead[-1] - ahead[0])
