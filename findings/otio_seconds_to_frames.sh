#!/usr/bin/env bash
# Question:     Frame n of a video is on screen from n / rate seconds on. Does OpenTimelineIO's `to_frames(from_seconds(n / rate,
#               rate))` give n back for the first 3,000 frames? And if the seconds were rounded to milliseconds?
# Common guess: Always in the first case: the library is made for frame times; and with milliseconds too, which are much
#               finer than a frame.
# Seen:         The fraction of a frame is cut off, not rounded: at 25 frames a second 144 of 3,000 times come out one frame early (29, 57,
#               58 ...), at 30 frames 47, and with milliseconds 1,017 at 30 and 1,461 at 30000/1001. `round(seconds * rate)`
#               first gives every frame back.
# Version:      OpenTimelineIO 0.18.1. Source: src/opentime/rationalTime.h, from_seconds and to_frames.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check opentimelineio==0.18.1
"$work/venv/bin/python" - <<'PY'
from opentimelineio.opentime import RationalTime, from_seconds, to_frames


def early(rate, digits=None):
    frames = range(3000)
    times = [n / rate if digits is None else round(n / rate, digits) for n in frames]
    found = [to_frames(from_seconds(time, rate)) for time in times]
    assert all(n - 1 <= f <= n for n, f in zip(frames, found, strict=True))
    assert all(RationalTime(round(time * rate), rate).to_frames() == n for n, time in zip(frames, times, strict=True))
    return sum(f < n for n, f in zip(frames, found, strict=True))


counts = {(rate, digits): early(rate, digits) for rate in (24, 25, 30, 30000 / 1001) for digits in (None, 3)}
for (rate, digits), count in counts.items():
    print(f"{rate:8.3f} frames/s, {'exact' if digits is None else 'milliseconds':12}  {count:5} of 3000 one frame early")
assert counts[25, None] == 144
assert counts[30, None] == 47
assert counts[30, 3] == 1017
assert counts[30000 / 1001, 3] == 1461
PY
