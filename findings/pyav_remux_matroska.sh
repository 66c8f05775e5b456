#!/usr/bin/env bash
# Question:     50 pictures in H.264 with B-frames are in a Matroska file. They are copied into another one as PyAV's
#               documentation shows it ("Remuxing": packets whose dts is None are skipped, as they flush the decoder).
#               How many packets are in the copy, and what is its first picture?
# Common guess: 50 packets, and the first picture.
# Seen:         48 packets, without the first key frame. Matroska keeps no decoding times; libav works them out from the
#               order of the pictures, and has none for the first packets, as many as a decoder holds back. These have
#               data and a pts. From MP4, which keeps decoding times, all 50 are copied. Packets without data
#               (packet.size == 0) are what flushes.
# Version:      PyAV 18.1.0 (libavformat 62.12.102). Source: libavformat/demux.c, compute_pkt_fields; PyAV's cookbook.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0 numpy==2.4.6
cd "$work"
"$work/venv/bin/python" - <<'PY'
import av
import numpy as np


def make(name):
    with av.open(name, "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"bf": "2"})
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(50):
            picture = np.full((64, 64, 3), 5 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def remuxed(name, copy):
    """As in PyAV's documentation."""
    with av.open(name) as source, av.open(copy, "w") as target:
        stream = source.streams.video[0]
        made = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is None:
                continue
            packet.stream = made
            target.mux(packet)
    with av.open(copy) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    return len(packets), packets[0].is_keyframe


found = {}
for suffix in ("mp4", "mkv"):
    make(f"a.{suffix}")
    found[suffix] = remuxed(f"a.{suffix}", f"copy.{suffix}")
    print(suffix, *found[suffix])
with av.open("a.mkv") as container:
    first = next(packet for packet in container.demux(video=0))
    print("the first packet of the MKV: pts", first.pts, "dts", first.dts, "size", first.size)
    assert first.size and first.is_keyframe and first.pts == 0 and first.dts is None, "it has a decoding time now"
assert found["mp4"] == (50, True)
assert found["mkv"][0] < 50 and not found["mkv"][1], "nothing is lost now"
PY
