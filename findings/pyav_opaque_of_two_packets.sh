#!/usr/bin/env bash
# Question:     With PyAV a program marks two packets by one object, `packet.opaque = mark`, and lets go of the first packet.
#               What is `opaque` of the second?
# Common guess: the mark, as of any attribute that refers to an object.
# Seen:         None. What is marked is kept in one dictionary by the object's id, and freeing a packet takes the entry out,
#               whoever else still has it. Marks that are objects of their own stay. No error says so.
# Version:      PyAV 18.1.0. Source: av/opaque.py, OpaqueContainer; by id since pull request 1965.
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check av==18.1.0
cd "$work"
"$work/venv/bin/python" - <<'PY'
import av

mark = "seen before"
first, second = av.Packet(4), av.Packet(4)
first.opaque = second.opaque = mark
assert first.opaque is second.opaque is mark
del first
print("opaque of the second packet:", second.opaque)
assert second.opaque is None, "it keeps its mark now"

first, second = av.Packet(4), av.Packet(4)
first.opaque, second.opaque = ["own"], ["own"]
del first
assert second.opaque == ["own"]
PY
