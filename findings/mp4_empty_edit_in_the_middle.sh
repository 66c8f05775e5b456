#!/usr/bin/env bash
# Question:     An MP4's edit list shows the first second of a track, then nothing for a second (an empty edit, media_time -1), then
#               the track's second second. What does PyAV give for the second in the middle?
# Common guess: Nothing: no frame has a time from 1 s to 2 s, as ISO/IEC 14496-12 (8.6.6) says of empty edits.
# Seen:         The track's first second once more, with times from 1 s to 2 s, and no word. The third second is in its place. An
#               empty edit at the beginning is understood, as a delay.
# Version:      PyAV 18.1.0 (libavformat 62.12.102). Source: libavformat/mov.c, mov_fix_index: only edits of media_time -1 before
#               the first other edit count as empty; a later one is an edit whose media begins at -1.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import struct
from pathlib import Path

import av
import numpy as np

# Two seconds, ten pictures each, the n-th of brightness 10 n; intra-coded, and the boxes of the movie come last.
with av.open("whole.mp4", "w") as container:
    stream = container.add_stream("mjpeg", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuvj420p"
    for number in range(20):
        picture = np.full((64, 64, 3), 10 * number, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))


def boxes(data):
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def box(kind, content):
    return struct.pack(">I4s", 8 + len(content), kind) + content


def with_edits(movie, edits):
    """The movie box with another edit list of its track; times in the movie's and in the track's unit."""
    units = struct.unpack_from(">I", dict(boxes(movie))[b"mvhd"], 12)[0]
    track_units = struct.unpack_from(">I", dict(boxes(dict(boxes(dict(boxes(movie))[b"trak"]))[b"mdia"]))[b"mdhd"], 12)[0]
    rows = b"".join(
        struct.pack(">IiI", seconds * units, -1 if begin is None else begin * track_units, 1 << 16)
        for seconds, begin in edits
    )
    table = box(b"edts", box(b"elst", struct.pack(">II", 0, len(edits)) + rows))
    parts = []
    for kind, content in boxes(movie):
        if kind == b"trak":
            content = b"".join(table if name == b"edts" else box(name, inner) for name, inner in boxes(content))
        parts.append(box(kind, content))
    return box(b"moov", b"".join(parts))


def pictures(edits):
    whole = Path("whole.mp4").read_bytes()
    start = whole.rindex(b"moov") - 4
    Path("edited.mp4").write_bytes(whole[:start] + with_edits(whole[start + 8 :], edits))
    with av.open("edited.mp4") as container:
        return {
            round(float(frame.time), 2): round(float(frame.to_ndarray(format="gray8").mean()) / 10)
            for frame in container.decode(video=0)
        }


middle = pictures([(1, 0), (1, None), (1, 1)])
print("number of the picture by its time, with an empty edit from 1 s to 2 s:\n", middle)
gap = {time: number for time, number in middle.items() if 1 <= time < 2}
assert list(gap.values()) == list(range(10)), "libav no longer repeats the track's start in an empty edit"
assert [number for time, number in middle.items() if time >= 2] == list(range(10, 20)), "what follows has moved"
beginning = pictures([(1, None), (2, 0)])
print("and with one from 0 s to 1 s:\n", beginning)
assert min(beginning) == 1.0 and list(beginning.values()) == list(range(20)), "an empty edit at the beginning is no delay"
PY
