"""A label file that is being read, whatever its format.

Files come from elsewhere: sizes are bounded, and every complaint names the file, the place in it, what was found and
what to do.
"""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from avel.data.annotations import SPLITS, Annotation, AnnotationSet, Split
from avel.documents import control_characters
from avel.errors import AnnotationsError

MAX_FILE_BYTES = 64 * 2**20

DURATION_TOLERANCE_SECONDS = 0.1
"""How far an event may reach past the end of its video: the tracks of one file often differ by a few frames."""


class LabelFile:
    """A label file that is being read: where we are in it, what may occur, and what was found."""

    def __init__(
        self,
        path: Path,
        categories: Sequence[str] | None = None,
        durations: Mapping[str, float] | None = None,
        video: str | None = None,
        frames_per_second: float | None = None,
    ) -> None:
        if frames_per_second is not None and not (math.isfinite(frames_per_second) and frames_per_second > 0):
            raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
        self.path = path
        self.categories = tuple(categories) if categories is not None else None
        self.durations = dict(durations or {})
        self.video = video
        self.frames_per_second = frames_per_second
        self.where = ""
        self._events: list[Annotation] = []
        self._splits: dict[str, Split | None] = {}
        self._first: dict[str, str] = {}

    def fail(self, message: str) -> NoReturn:
        """Raise an error that names the file and the place in it."""
        where = f", {self.where}" if self.where else ""
        raise AnnotationsError(f"{self.path}{where}: {message}")

    def number(self, value: object, name: str) -> float:
        """A number of the file; ``name`` is what it is."""
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            self.fail(f"{name} is {value!r}, not a number. Give seconds with a decimal point, such as 12.5.")

    def add(self, video: str, start: float, end: float, category: str, split: str | None = None) -> None:
        """Add an event."""
        category = self.category(category)
        try:
            event = Annotation(video, start, end, category, split)  # type: ignore[arg-type]  # checked there
        except ValueError as error:
            self.fail(str(error))
        duration = self.durations.get(video)
        if duration is not None and end > duration + DURATION_TOLERANCE_SECONDS:
            self.fail(f"the event ends at {end:g} s, but '{video}' is {duration:g} s long. Check the times' unit.")
        self._seen(video, event.split)
        self._events.append(event)

    def add_without_event(self, video: str, split: str | None = None) -> None:
        """Take note of a video, which has no event unless one is added."""
        if not video:
            self.fail("the video has no name.")
        if split is not None and split not in SPLITS:
            self.fail(f"Unknown split '{split}'. Supported splits are {', '.join(SPLITS)}.")
        self._seen(video, split)

    def category(self, name: str) -> str:
        """A category on one line; refuses one that may not occur, or that holds control characters."""
        name = " ".join(name.split())
        if control_characters(name):
            self.fail(
                f"the category {name!r} holds the control character {control_characters(name)[0]}, which is no part of "
                "a name. Remove it."
            )
        if name and self.categories is not None and name not in self.categories:
            close = difflib.get_close_matches(name, self.categories, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Categories are: {'; '.join(self.categories)}."
            self.fail(f"unknown category '{name}'. {hint}")
        return name

    def _seen(self, video: str, split: Split | None) -> None:
        self._first.setdefault(video, f"{self.path}, {self.where}" if self.where else str(self.path))
        before = self._splits.setdefault(video, split)
        if before != split:
            self.fail(f"'{video}' is in split '{split}' here and in '{before}' above. Put all its rows in one split.")

    def result(self) -> AnnotationSet:
        """What was found."""
        with_event = {e.video for e in self._events}
        return AnnotationSet(
            events=tuple(self._events),
            categories=self.categories or tuple(dict.fromkeys(e.category for e in self._events)),
            videos_without_event={v: s for v, s in self._splits.items() if v not in with_event},
            source=str(self.path),
            where=self._first,
        )


def read_bytes(path: Path) -> bytes:
    """The content of a file of bounded size."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise AnnotationsError(f"{path}: no such file.") from None
    except OSError as error:
        raise AnnotationsError(f"{path}: cannot be read: {error.strerror}.") from error
    if len(content) > MAX_FILE_BYTES:
        raise AnnotationsError(
            f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB, which no label file is. Split it, or check the path."
        )
    return content


def read_text(path: Path) -> str:
    """The content of a file as text."""
    content = read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationsError(
            f"{path}: byte {error.start} is not UTF-8 text. Save the file as UTF-8 (in Excel: 'CSV UTF-8')."
        ) from None


def file_name(address: str) -> str:
    """Name of the file that a path or URL leads to, as it was before Label Studio stored it."""
    if re.match(r"[A-Za-z]:[\\/]", address):
        return address.replace("\\", "/").rsplit("/", 1)[-1]
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address: a file name, not a URL
        return address.rsplit("/", 1)[-1]
    local = parse_qs(parts.query).get("d")  # Label Studio's local files: /data/local-files/?d=folder/clip.mp4
    path = local[0] if local else unquote(parts.path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"^[0-9a-f]{8}-", "", name) if "/data/upload/" in path else name
