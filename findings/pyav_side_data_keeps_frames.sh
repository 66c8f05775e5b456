#!/usr/bin/env bash
# Question:     A program reads the frames of a video with PyAV one after the other and looks at `frame.side_data` of each, to
#               find a display matrix. How many frames are in memory at the end?
# Common guess: one; a frame that nobody refers to is freed at once.
# Seen:         all of them, until Python's garbage collector runs: the side data refers to its frame and is kept by it, which
#               is a circle. The collector counts objects and not bytes, so that hundreds of frames of 1.4 MB (1280x720) wait.
#               `frame.rotation`, which reads the same matrix, makes no circle.
# Version:      PyAV 18.1.0. Source: av/frame.py, Frame.side_data; av/sidedata/sidedata.py, SideDataContainer.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import gc

import av
import numpy as np

with av.open("video.mkv", "w") as container:
    stream = container.add_stream("mpeg4", rate=10)
    stream.width = stream.height = 64
    stream.pix_fmt = "yuv420p"
    for _ in range(40):
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for packet in stream.encode(picture):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)
del picture


def frames_left(look):
    gc.collect()
    gc.disable()
    with av.open("video.mkv") as container:
        for frame in container.decode(video=0):
            look(frame)
        del frame
    left = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    gc.enable()
    return left


by_side_data = frames_left(lambda frame: frame.side_data)
by_rotation = frames_left(lambda frame: frame.rotation)
print("frames left after looking at side_data:", by_side_data)
print("frames left after looking at rotation: ", by_rotation)
assert by_side_data == 40, "a frame is freed at once now"
assert by_rotation == 0
PY
