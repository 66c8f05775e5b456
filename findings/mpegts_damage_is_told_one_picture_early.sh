#!/usr/bin/env bash
# Question:     A transport stream of 75 pictures in H.264 loses one of the 188-byte packets in the middle of a picture.
#               Which picture's packet does PyAV call damaged (packet.is_corrupt)? And where the same intact stream is
#               there twice, one after the other, is any?
# Common guess: the picture that lost its bytes; and none, since nothing is lost.
# Seen:         the one before it, which is whole; the one that lost its bytes is not marked. At the seam of the two
#               whole streams a picture is marked too, though all of them are whole. The demuxer marks what it is reading
#               when the continuity counter jumps, and the parser behind it, which finds where a picture ends only when
#               the next one begins, gives the mark to the picture that it is just letting out.
# Version:      PyAV 18.1.0 (libavformat 62.12.102). Source: libavformat/mpegts.c (continuity check), demux.c
#               (parse_packet).
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import av
import numpy as np

random = np.random.default_rng(0)
with av.open("whole.ts", "w", format="mpegts") as container:
    stream = container.add_stream("libx264", rate=25, options={"bf": "0", "g": "75", "tune": "zerolatency"})
    stream.width = stream.height = 128
    stream.pix_fmt = "yuv420p"
    for _ in range(75):
        picture = random.integers(0, 255, (128, 128, 3), dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    container.mux(stream.encode(None))


def sizes_and_marks(name):
    with av.open(name) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return [packet.size for packet in packets], [i for i, packet in enumerate(packets) if packet.is_corrupt]


data = open("whole.ts", "rb").read()
pieces = [data[i : i + 188] for i in range(0, len(data), 188)]
video = [i for i, piece in enumerate(pieces) if (piece[1] & 0x1F, piece[2]) == (1, 0)]
starts = [i for i in video if pieces[i][1] & 0x40]  # where a picture begins
lost = video[video.index(starts[40]) + 3]  # within picture 40, behind its beginning
open("lost.ts", "wb").write(b"".join(piece for i, piece in enumerate(pieces) if i != lost))
open("twice.ts", "wb").write(data + data)

whole, none = sizes_and_marks("whole.ts")
cut, marked = sizes_and_marks("lost.ts")
shorter = [i for i, (a, b) in enumerate(zip(whole, cut)) if b < a]
twice, at_seam = sizes_and_marks("twice.ts")
print("lost bytes:", shorter, "marked:", marked, "marked where nothing is lost:", none, at_seam)
assert none == [] and len(whole) == len(cut) == 75
assert shorter == [40] and marked == [39], "the mark is elsewhere now"
assert len(twice) == 150 and twice[:75] == whole and at_seam != [], "nothing is marked at the seam now"
PY
