"""The boxes of MP4 and MOV files (ISO/IEC 14496-12), as far as libav does not show them."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

MAX_BOXES = 100_000
"""More boxes than this on one level are not looked at."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box: its four letters, and where its content begins and ends in the file."""

    kind: bytes
    start: int
    content: int
    end: int


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes between two positions, one after the other; the last one may end after ``end``."""
    for _ in range(MAX_BOXES):
        if start + 8 > end:
            return
        file.seek(start)
        header = file.read(16)
        if len(header) < 8:
            return
        size, kind = struct.unpack(">I4s", header[:8])
        content = start + 8
        if size == 1 and len(header) == 16:
            size, content = struct.unpack(">Q", header[8:])[0], start + 16
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield Box(kind, start, content, start + size)
        start += size


FIRST_KINDS = (b"ftyp", b"styp", b"mdat", b"wide", b"free", b"skip", b"moov", b"pnot", b"uuid")


def is_box_file(file: BinaryIO) -> bool:
    """Whether a file begins with a box, as MP4 and MOV do; it is at its start afterwards."""
    if not file.seekable():
        return False
    file.seek(0)
    kind = file.read(8)[4:]
    file.seek(0)
    return kind in FIRST_KINDS


def whole_fragments_end(file: BinaryIO) -> int | None:
    """Where the last whole part of a fragmented file ends; ``None`` if none is cut, or the file is no such file.

    The file is at its start afterwards.
    """
    if not is_box_file(file):
        return None
    end = _whole_fragments_end(file, file.seek(0, os.SEEK_END))
    file.seek(0)
    return end


def _whole_fragments_end(file: BinaryIO, size: int) -> int | None:
    kinds: list[bytes] = []
    for box in boxes(file, 0, size):
        if box.end > size:
            is_fragmented = b"moov" in kinds and b"moof" in kinds
            return box.start if is_fragmented and box.kind == b"moof" else None
        kinds.append(box.kind)
    return None


class FileStart:
    """The first bytes of a file, as if it ended there."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size

    def read(self, count: int = -1) -> bytes:
        """Up to ``count`` bytes from the position."""
        left = max(0, self._size - self._file.tell())
        return self._file.read(left if count < 0 else min(count, left))

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position, as of any file."""
        if whence == os.SEEK_END:
            return self._file.seek(self._size + offset)
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The position."""
        return self._file.tell()

    def seekable(self) -> bool:
        """It can be searched in."""
        return True
