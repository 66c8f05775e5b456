"""Where the clusters of a Matroska or WebM file are damaged, so that the times of their blocks are unknown.

A block tells its time from the beginning of its cluster. Where the header of a cluster is lost, libav takes its blocks
for those of the cluster before, and nothing in them tells that they are not.
"""

import os
from typing import BinaryIO

SEGMENT, CLUSTER = b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
VOID = frozenset({b"\xec", b"\xbf"})
BESIDE_CLUSTERS = frozenset(
    bytes.fromhex(identity)
    for identity in ["1a45dfa3", "114d9b74", "1549a966", "1654ae6b", "1c53bb6b", "1941a469", "1043a770", "1254c367"]
)
"""Header, index of the elements, information, tracks, cues, attachments, chapters and tags."""
IN_CLUSTER = frozenset({b"\xe7", b"\xa3", b"\xa0", b"\xab", b"\xa7", b"\xec", b"\xbf"})
"""Time, simple block, group of blocks, size of the cluster before, position, void, checksum."""
MAX_ELEMENTS = 5_000_000
SEARCHED_BYTES = 1 << 20


def damaged_spans(file: BinaryIO) -> list[tuple[int, int]]:
    """Spans of bytes, half open, in which blocks do not belong to the cluster before them.

    A file that was cut off has none, nor has one that does not tell the sizes of its clusters, as live recordings do.
    The file is at its start afterwards.
    """
    try:
        return _damaged_spans(file, file.seek(0, os.SEEK_END))
    finally:
        file.seek(0)


def _damaged_spans(file: BinaryIO, size: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    position, cluster = 0, None
    for _ in range(MAX_ELEMENTS):
        if position >= size:
            break
        identity, start, length = _element(file, position)
        if identity == CLUSTER and length is None:
            break
        if identity == SEGMENT:
            position = start
        elif length is not None and identity == CLUSTER and start + length <= size:
            position, cluster = start + length, (start, start + length)
        elif length is not None and (identity in BESIDE_CLUSTERS or (identity in VOID and cluster is None)):
            position, cluster = start + length, None
        else:
            within = cluster or (start, start + (length or 0))
            if identity == CLUSTER and length is not None:
                within = (start, start + length)
            first = _break_within(file, *within, size)
            if first is None:
                break
            position, cluster = _next_cluster(file, first + 1, size), None
            spans.append((first, position))
    return spans


def _break_within(file: BinaryIO, position: int, end: int, size: int) -> int | None:
    """Where the last element begins up to which the elements of a cluster follow each other, before others.

    ``None`` if the file ends with them, or was cut off in one.
    """
    before = position
    while position < min(end, size):
        identity, start, length = _element(file, position)
        if identity not in IN_CLUSTER or length is None or start + length > end:
            return before
        before, position = position, start + length
    return before if position < size else None


def _next_cluster(file: BinaryIO, position: int, size: int) -> int:
    file.seek(position)
    tail = b""
    while data := file.read(SEARCHED_BYTES):
        found = (tail + data).find(CLUSTER)
        if found >= 0:
            return position - len(tail) + found
        position += len(data)
        tail = (tail + data)[-3:]
    return size


def _element(file: BinaryIO, position: int) -> tuple[bytes, int, int | None]:
    """Identity of the element at a position, where its content begins, and how long that is, if it says so."""
    file.seek(position)
    head = file.read(12)
    if not head or head[0] < 0x10:
        return b"", position, None
    width = 9 - head[0].bit_length()
    if len(head) <= width or not head[width]:
        return b"", position, None
    count = 9 - head[width].bit_length()
    value = int.from_bytes(head[width : width + count], "big") & ((1 << 7 * count) - 1)
    is_unknown = value == (1 << 7 * count) - 1
    return head[:width], position + width + count, None if is_unknown else value
