"""The boxes of MP4 and MOV files (ISO/IEC 14496-12), as far as libav does not show them."""

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

MAX_BOXES = 100_000
"""More boxes than this on one level are not looked at."""
MAX_EDITS = 10_000
"""More edits than this of one track are not looked at."""
EMPTY = -1
"""The media time of an empty edit."""


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


@dataclass(frozen=True, slots=True)
class EditList:
    """How the content of a track is laid out on the movie's timeline.

    Attributes:
        units_per_second: of the durations.
        edits: one after the other, the duration of each, and at which of the track's own times it begins; -1 where
            the track is not shown.
    """

    units_per_second: int
    edits: tuple[tuple[int, int], ...]

    def empty_spans(self, time_base: Fraction) -> list[tuple[int, int]]:
        """Spans behind shown content in which the track is not shown.

        Empty edits at the beginning, which delay a track, are not among them: libav knows those.

        Args:
            time_base: seconds of a unit of the track's times.

        Returns:
            Half-open spans in that unit, each duration rounded to it as libav does.
        """
        return [(start, end) for start, end, media_time in self.later_edits(time_base) if media_time == EMPTY]

    def restarts(self, time_base: Fraction) -> list[tuple[int, int]]:
        """When the edits behind the first shown one begin, and at which of the track's own times; without empty ones.

        Args:
            time_base: as for `empty_spans`.
        """
        return [(start, media_time) for start, _, media_time in self.later_edits(time_base) if media_time != EMPTY]

    def later_edits(self, time_base: Fraction) -> list[tuple[int, int, int]]:
        """Start, end and media time of the edits behind the first shown one; none that last no time.

        Args:
            time_base: as for `empty_spans`.
        """
        time, has_begun = 0, False
        later = []
        for duration, media_time in self.edits:
            end = time + int(Fraction(duration, self.units_per_second) / time_base + Fraction(1, 2))
            if has_begun and end > time:
                later.append((time, end, media_time))
            has_begun = has_begun or media_time != EMPTY
            time = end
        return later


def edit_lists(file: BinaryIO) -> dict[int, EditList]:
    """The edit lists of a file's tracks, by their number (``track_ID``); of a fragmented file, for which libav does
    not use them, none.

    The file is at its start afterwards.
    """
    if not is_box_file(file):
        return {}
    movie = _first(file, b"moov", 0, file.seek(0, os.SEEK_END))
    lists = _edit_lists(file, movie) if movie is not None else {}
    file.seek(0)
    return lists


def _edit_lists(file: BinaryIO, movie: Box) -> dict[int, EditList]:
    header = _first(file, b"mvhd", movie.content, movie.end)
    units_per_second = _header_number(file, header, (12, 20)) if header is not None else 0
    if not units_per_second or _first(file, b"mvex", movie.content, movie.end) is not None:
        return {}
    lists = {}
    for track in boxes(file, movie.content, movie.end):
        if track.kind != b"trak":
            continue
        header = _first(file, b"tkhd", track.content, track.end)
        edits = _first(file, b"edts", track.content, track.end)
        table = _first(file, b"elst", edits.content, edits.end) if edits is not None else None
        if header is not None and table is not None:
            lists[_header_number(file, header, (12, 20))] = EditList(units_per_second, _edits(file, table))
    return lists


def _first(file: BinaryIO, kind: bytes, start: int, end: int) -> Box | None:
    return next((box for box in boxes(file, start, end) if box.kind == kind), None)


def _header_number(file: BinaryIO, header: Box, places: tuple[int, int]) -> int:
    """The number of 32 bits at a place in a header, by its version; 0 if the file ends before."""
    file.seek(header.content)
    content = file.read(places[1] + 4)
    place = places[bool(content[:1].strip(b"\0"))]
    return int.from_bytes(content[place : place + 4])


def _edits(file: BinaryIO, table: Box) -> tuple[tuple[int, int], ...]:
    file.seek(table.content)
    head = file.read(8)
    if len(head) < 8:
        return ()
    row = struct.Struct(">QqI" if head[0] == 1 else ">IiI")
    count = min(int.from_bytes(head[4:]), MAX_EDITS, (table.end - table.content - 8) // row.size)
    rows = file.read(count * row.size)
    whole = len(rows) // row.size * row.size
    return tuple((duration, time) for duration, time, _ in row.iter_unpack(rows[:whole]))


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
