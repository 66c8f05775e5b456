#!/usr/bin/env bash
# Question:     One chapter, "Bark" from 2 s to 4 s, is written with PyAV into an MP4 and into a Matroska file of 6 s. Which
#               times does the chapter have when the files are read again?
# Common guess: 2 s to 4 s in both.
# Seen:         2 s to 4 s in Matroska; 0 s to 2 s in MP4 (and MOV). An MP4's chapters are samples of a text track, which have
#               lengths but no gaps before the first, so that the first one starts with the file, whatever its start.
#               A chapter of its own from 0 to 2 s keeps the others in place.
# Version:      PyAV 18.1.0 (libavformat 62.12.102). Source: libavformat/movenc.c, mov_create_chapter_track.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
from fractions import Fraction

import av
import numpy as np


def chapters(name, *wanted):
    with av.open(name, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.set_chapters(
            [
                {"id": i, "start": start, "end": end, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
                for i, (start, end, title) in enumerate(wanted)
            ]
        )
        for _ in range(60):
            picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)
    with av.open(name) as container:
        return [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]


bark = (2000, 4000, "Bark")
for suffix in ("mkv", "mp4", "mov"):
    print(suffix, chapters(f"one.{suffix}", bark))
assert chapters("one.mkv", bark) == [(2.0, 4.0, "Bark")]
assert chapters("one.mp4", bark) == chapters("one.mov", bark) == [(0.0, 2.0, "Bark")], "MP4 keeps the start now"
assert chapters("two.mp4", (0, 2000, "-"), bark) == [(0.0, 2.0, "-"), (2.0, 4.0, "Bark")]
PY
