"""MP4 files with edit lists of our own (ISO/IEC 14496-12, 8.6.6)."""

import struct


def children(data):
    """Kind and content of the boxes in some bytes."""
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def find(data, *kinds):
    for kind in kinds:
        data = next(content for name, content in children(data) if name == kind)
    return data


def unit(header):
    """Units a second, of a movie's or a track's header of version 0."""
    return struct.unpack_from(">I", header, 12)[0]


def with_edits(source, target, edits, handlers=(b"vide", b"soun"), version=0):
    """A copy of an MP4 file whose tracks are shown in pieces.

    Args:
        source: a file that ends with its movie box, and whose tracks have one edit or an empty one and one.
        target: the copy.
        edits: seconds of each piece, and from where in the track it is, in seconds; None for nothing.
        handlers: the tracks that are changed.
        version: of the edit list box; 1 has 64-bit numbers.
    """
    data = source.read_bytes()
    moov = data.rindex(b"moov") - 4
    movie_unit = unit(find(data[moov:], b"moov", b"mvhd"))
    duration = struct.pack(">I", round(sum(seconds for seconds, _ in edits) * movie_unit))

    def changed(kind, content):
        """With the new duration, for headers of version 0."""
        place = {b"mvhd": 16, b"tkhd": 20}.get(kind)
        return box(kind, content[:place] + duration + content[place + 4 :] if place else content)

    def changed_track(trak):
        if find(trak, b"mdia", b"hdlr")[8:12] not in handlers:
            return trak
        media_unit = unit(find(trak, b"mdia", b"mdhd"))
        first = struct.unpack(">i", find(trak, b"edts", b"elst")[-8:-4])[0]
        rows = b"".join(
            struct.pack(
                ">QqI" if version else ">IiI",
                round(seconds * movie_unit),
                -1 if begin is None else first + round(begin * media_unit),
                1 << 16,
            )
            for seconds, begin in edits
        )
        elst = box(b"edts", box(b"elst", struct.pack(">II", version << 24, len(edits)) + rows))
        return b"".join(elst if kind == b"edts" else changed(kind, content) for kind, content in children(trak))

    parts = [
        box(kind, changed_track(content)) if kind == b"trak" else changed(kind, content)
        for kind, content in children(find(data[moov:], b"moov"))
    ]
    target.write_bytes(data[:moov] + box(b"moov", b"".join(parts)))
    return target
