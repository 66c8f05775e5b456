"""Where the chunks of an AVI file stop to follow each other.

An AVI has no times: the n-th picture is shown at n / rate. Where bytes are lost, all that follows comes too early, and
libav, which looks for the next chunk behind the damage, cannot know by how much.
"""

import os
import string
from typing import BinaryIO

FOLDERS = (b"RIFF", b"LIST")
WORD = frozenset((string.ascii_letters + string.digits + " _-").encode())
"""What the four letters of a chunk are made of."""
MAX_CHUNKS = 5_000_000


def first_break(file: BinaryIO) -> int | None:
    """Where the last chunk begins up to which all chunks follow each other; ``None`` if all of them do.

    A file that was cut off has no break: what it holds is in its place. The file is at its start afterwards.
    """
    try:
        return _first_break(file, file.seek(0, os.SEEK_END))
    finally:
        file.seek(0)


def _first_break(file: BinaryIO, size: int) -> int | None:
    position = before = 0
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
        before = position
        position += 12 if kind in FOLDERS else 8 + length + length % 2
    return None
