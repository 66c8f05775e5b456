#!/usr/bin/env bash
# Question:     A Matroska file holds one second of AAC whose encoder put 1,024 samples of run-in first, as every such file does. How many
#               samples does PyAV decode from it, and at which time is the first?
# Common guess: The same in every release, since the file says it all (CodecDelay).
# Seen:         PyAV 17.0.0 gives 1,024 samples more than 18.1.0 and a first time of -21 ms; 18.1.0 leaves the run-in out and starts at 0.
#               Each is right if the frames' own times are used; a reader that counts samples from the first frame on
#               moves the sound by 21 ms when the library is upgraded.
# Version:      PyAV 17.0.0 (libavformat 62.3.100) and 18.1.0 (62.12.102). Source: libavformat/matroskadec.c, CodecDelay.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
for version in 17.0.0 18.1.0; do
  python3 -m venv "$work/$version"
  "$work/$version/bin/pip" install --quiet --disable-pip-version-check "av==$version" numpy==2.4.6
done
cat > "$work/write.py" <<'PY'
import sys
from fractions import Fraction

import av
import numpy as np

wave = np.zeros(48000, np.float32)
wave[24000:] = 0.8 * np.sin(2 * np.pi * 440 * np.arange(24000) / 48000)
with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("aac", rate=48000, layout="mono")
    for start in range(0, 48000 - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        for packet in stream.encode(frame):
            container.mux(packet)
    for packet in stream.encode(None):
        container.mux(packet)
PY
cat > "$work/read.py" <<'PY'
import sys

import av
import numpy as np

with av.open(sys.argv[1]) as container:
    frames = list(container.decode(audio=0))
wave = np.concatenate([frame.to_ndarray().ravel() for frame in frames])
onset = int(np.argmax(np.abs(wave) > 0.2))
print(f"{wave.size} {frames[0].time:.3f} {onset / 48000:.3f} {frames[0].time + onset / 48000:.3f}")
PY
"$work/18.1.0/bin/python" "$work/write.py" "$work/tone.mkv"
older="$("$work/17.0.0/bin/python" "$work/read.py" "$work/tone.mkv")"
newer="$("$work/18.1.0/bin/python" "$work/read.py" "$work/tone.mkv")"
echo "        samples, first time, tone's start counted from the first sample, and by the frames' times"
echo "17.0.0  $older"
echo "18.1.0  $newer"
test "$older" = "48128 -0.021 0.521 0.500"
test "$newer" = "47104 0.000 0.500 0.500"
