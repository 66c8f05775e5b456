"""Damaged files, read in a process of their own, and whether anything in them was put in the wrong place.

Run as ``python -m avel.testing.damage`` it reads, one a line, the files that it is told to and answers with a line of
JSON for each; `Readers` keeps such a process, with limits, and starts another when a file ends it.
"""

import json
import os
import resource
import selectors
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from avel.errors import AvelError
from avel.media.reader import MediaReader
from avel.media.types import MediaSegment, PictureFormat
from avel.testing.time_code import BLOCK_SECONDS, FRAME_RATE, SIDE, seconds_heard, seconds_shown

Damage = Literal["truncation", "hole", "flip", "splice"]
DAMAGES: tuple[Damage, ...] = get_args(Damage)

MAX_BYTES = 1 << 31
"""Address space of a reading process."""
MAX_SECONDS = 60.0
"""A file that takes longer hangs; a file of 8 s takes about half a second."""
MAX_SOUND_SHIFT_SECONDS = 0.02
MAX_HELD_SECONDS = 0.5
"""A picture may stay for so long where others were lost without a trace; a track that stops for less does not stop."""
PICTURES_PER_SEGMENT = 5
SAMPLE_RATE = 16000
_PICTURES = {"code": PictureFormat(PICTURES_PER_SEGMENT, width=SIDE, height=SIDE)}
_BLOCK = round(BLOCK_SECONDS * SAMPLE_RATE)


def damaged(data: bytes, damage: Damage, random: np.random.Generator) -> bytes:
    """A damaged copy of a file.

    Args:
        data: the file.
        damage: ``"truncation"`` cuts it off, ``"hole"`` takes bytes out of the middle, ``"flip"`` inverts up to 20 bits
            behind the headers, ``"splice"`` goes on with another place of the same file.
        random: decides where.
    """
    size = len(data)
    if damage == "truncation":
        return data[: int(random.integers(size // 20, size))]
    if damage == "hole":
        start = int(random.integers(size // 10, size * 9 // 10))
        return data[:start] + data[start + int(random.integers(1, size // 5)) :]
    if damage == "flip":
        altered = bytearray(data)
        for position in random.integers(size // 10, size, random.integers(1, 21)):
            altered[position] ^= 1 << int(random.integers(8))
        return bytes(altered)
    return data[: int(random.integers(size // 3, size + 1))] + data[int(random.integers(0, size // 2)) :]


@dataclass(frozen=True)
class ReadingOutcome:
    """What became of a file.

    Attributes:
        status: ``"read"``, ``"refused"`` with an error of avel, ``"unexpected"`` with another, ``"crashed"`` or
            ``"hung"``.
        shifts: what was called valid and is in the wrong place.
        segments: how many there were.
        valid: how many of them had a valid picture or sound.
        told: whether there was a warning, or an error.
        detail: of what went wrong.
        seconds: that it took.
    """

    status: str
    shifts: list[str] = field(default_factory=list)
    segments: int = 0
    valid: int = 0
    told: bool = True
    detail: str = ""
    seconds: float = 0.0

    @property
    def is_handled(self) -> bool:
        """It was read, or refused, and nothing was in the wrong place."""
        return self.status in ("read", "refused") and not self.shifts


@dataclass(frozen=True)
class Times:
    """What pictures and sound say, each less the moment at which it was given; NaN where they say nothing.

    Attributes:
        pictures: (T, `PICTURES_PER_SEGMENT`)
        sound: (T, blocks in a segment)
    """

    pictures: npt.NDArray[np.float64]
    sound: npt.NDArray[np.float64]


def times_of(segments: list[MediaSegment]) -> Times:
    """What valid segments of 1 s say of their times."""
    blocks = SAMPLE_RATE // _BLOCK
    pictures = np.full((len(segments), PICTURES_PER_SEGMENT), np.nan)
    sound = np.full((len(segments), blocks), np.nan)
    for segment in segments:
        t, start = segment.index, segment.start_seconds
        if segment.visual_valid:
            for i, picture in enumerate(segment.pictures["code"]):
                seconds = seconds_shown(picture)
                if seconds is not None:
                    pictures[t, i] = seconds - (start + i / PICTURES_PER_SEGMENT)
        if segment.audio_valid:
            for i in range(blocks):
                heard = seconds_heard(segment.waveform[i * _BLOCK : (i + 1) * _BLOCK], SAMPLE_RATE)
                if heard is not None:
                    sound[t, i] = heard - (start + (i + 0.5) * BLOCK_SECONDS)
    return Times(pictures, sound)


def shifts(found: Times, *, is_joined: bool = False) -> list[str]:
    """What is in the wrong place by more than a picture, or 20 ms of sound.

    Where a segment is covered in part, its first picture stands for moments before it, and its last one for moments
    after it, as the media reader says.

    Args:
        found: times, less those of the whole file.
        is_joined: parts follow each other whose times are not known: only pictures and sound are compared.
    """
    lines = []
    one = 1 / FRAME_RATE + 1e-6
    for t in range(len(found.pictures)):
        pictures, sound = found.pictures[t], found.sound[t]
        if is_joined:
            together = _out_of_step(pictures, sound)
            if together is not None:
                lines.append(f"{t} s: pictures and sound are {together:.3f} s apart")
            continue
        wrong = [value for value in _unexcused(pictures) if abs(value) > one]
        if wrong:
            lines.append(f"{t} s: pictures are off by {max(wrong, key=abs):.2f} s")
        late = sound[np.abs(sound) > MAX_SOUND_SHIFT_SECONDS]
        # A block over the edge of damage has the pitch of neither side.
        if len(late) > 1:
            lines.append(f"{t} s: sound is off by {np.median(late):.3f} s")
    return lines


def _unexcused(pictures: npt.NDArray[np.float64]) -> list[float]:
    """Times of a segment's pictures, but for those that came late or stayed where others were lost.

    A first picture of the segment's own second may stand for moments before it, and a last one for moments after it. In
    between a picture may stay for `MAX_HELD_SECONDS`; one that is shown after another that is as late has not stayed.
    """
    moments = np.arange(PICTURES_PER_SEGMENT) / PICTURES_PER_SEGMENT
    row = [(float(v), round(float(v + m), 2)) for v, m in zip(pictures, moments, strict=True) if not np.isnan(v)]
    one = 1 / FRAME_RATE + 1e-6
    first = row[0][1] if row else 0.0
    while len(row) > 1 and row[0][0] > 0 and row[0][1] == first < 1 + one:
        row.pop(0)
    while row and row[-1][0] < 0 and row[-1][1] > -one:
        stays = len(row) > 1 and row[-2][1] == row[-1][1]
        row.pop()
        if not stays:
            break
    lateness = [value for value, _ in row]
    return [
        value
        for i, value in enumerate(lateness)
        if not -MAX_HELD_SECONDS - one <= value <= 0 or (i > 0 and abs(value - lateness[i - 1]) <= one)
    ]


def _out_of_step(pictures: npt.NDArray[np.float64], sound: npt.NDArray[np.float64]) -> float | None:
    """Seconds between what pictures and sound of a segment say, where they are too many at every moment."""
    apart = []
    per_picture = len(sound) // PICTURES_PER_SEGMENT
    for i, picture in enumerate(pictures):
        here = sound[i * per_picture : (i + 1) * per_picture]
        if not np.isnan(picture) and not np.isnan(here).all():
            apart.append(float(np.nanmin(np.abs(here - picture))))
    limit = 1 / FRAME_RATE + MAX_SOUND_SHIFT_SECONDS
    return min(apart) if len(apart) > 2 and min(apart) > limit else None


@lru_cache(maxsize=16)
def _whole_times(path: str) -> Times:
    return read_times(path)[2]


def read_times(path: str | os.PathLike[str]) -> tuple[list[MediaSegment], list[str], Times]:
    """Read a file: its segments, its warnings and what they say of their times."""
    with MediaReader(path, pictures=_PICTURES, sample_rate=SAMPLE_RATE) as reader:
        segments = list(reader)
    return segments, reader.warnings, times_of(segments)


def examine(path: str, whole: str, *, is_joined: bool) -> ReadingOutcome:
    """Read a damaged file and compare it with the whole one."""
    started = time.monotonic()
    try:
        segments, warnings, found = read_times(path)
    except AvelError as error:
        return ReadingOutcome("refused", detail=str(error), seconds=time.monotonic() - started)
    except Exception as error:
        return ReadingOutcome(
            "unexpected", detail=f"{type(error).__name__}: {error}", seconds=time.monotonic() - started
        )
    seconds = time.monotonic() - started
    return ReadingOutcome(
        "read",
        shifts=shifts(_less(found, _whole_times(whole), is_joined=is_joined), is_joined=is_joined),
        segments=len(segments),
        valid=sum(segment.visual_valid or segment.audio_valid for segment in segments),
        told=bool(warnings),
        detail="; ".join(warnings),
        seconds=seconds,
    )


def _less(found: Times, whole: Times, *, is_joined: bool) -> Times:
    """Times without the codecs' own delays, which the whole file has too."""
    delay = np.nanmedian(whole.sound)
    if is_joined:
        return Times(found.pictures - np.nanmedian(whole.pictures), found.sound - delay)
    known = np.full(found.pictures.shape, np.nanmedian(whole.pictures))
    count = min(len(known), len(whole.pictures))
    same = whole.pictures[:count]
    known[:count] = np.where(np.isnan(same), known[:count], same)
    return Times(found.pictures - known, found.sound - delay)


class Readers:
    """A process that reads files, with a limit of memory and of time for each; a new one after one that died."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def examine(self, path: Path, whole: Path, *, is_joined: bool = False) -> ReadingOutcome:
        """Read a damaged file and compare it with the whole one."""
        process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"path": str(path), "whole": str(whole), "is_joined": is_joined}) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._death(process)
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            if not selector.select(MAX_SECONDS):
                self._end()
                return ReadingOutcome("hung", seconds=MAX_SECONDS)
        line = process.stdout.readline()
        if not line:
            return self._death(process)
        answer: dict[str, Any] = json.loads(line)
        return ReadingOutcome(**answer)

    def _death(self, process: "subprocess.Popen[str]") -> ReadingOutcome:
        self._process = None
        return ReadingOutcome("crashed", detail=f"exit code {process.wait()}")

    def _start(self) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "avel.testing.damage"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def main() -> None:
    """Answer requests on standard input, one a line."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        request = json.loads(line)
        outcome = examine(request["path"], request["whole"], is_joined=request["is_joined"])
        print(json.dumps(asdict(outcome)), flush=True)


if __name__ == "__main__":
    main()
