"""A label file that is being read, whatever its format.

Files come from elsewhere: sizes are bounded, and every complaint names the file, the place in it, what was found and
what to do.
"""

import difflib
import fnmatch
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NoReturn
from urllib.parse import parse_qs, unquote, urlsplit

from avel.data.annotations import SPLITS, Annotation, AnnotationSet, Split
from avel.data.audioset import is_identifier, names_by_identifier
from avel.documents import control_characters
from avel.errors import AnnotationsError
from avel.events import Modality
from avel.wording import counted

MAX_FILE_BYTES = 64 * 2**20

DURATION_TOLERANCE_SECONDS = 0.1
"""How far an event may reach past the end of its video: the tracks of one file often differ by a few frames."""

START_TOLERANCE_SECONDS = 0.05
"""How far before 0 an event may start: editors of waveforms round that far."""

CategoryFrom = Literal["text", "tier"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_CLOCK = re.compile(r"(?:(\d+):(?=[0-5]?\d:))?(\d{1,2}):([0-5]?\d(?:\.\d+)?)", re.ASCII)


@dataclass(frozen=True)
class ReadOptions:
    """How label files are to be read.

    Attributes:
        categories: the event categories that may occur, in the order wanted; all that occur when ``None``.
        durations: seconds of each video as far as known; an event that ends later is an error.
        video: name of the video, for a file that does not say.
        frames_per_second: pictures a second, for files that count frames.
        tiers: patterns such as ``event*`` of the tiers to read; without any, those that depend on no other tier.
        category_from: whether the text of an annotation is its category, or the name of its tier.
        annotator: whose annotations to read, where several people made some.
    """

    categories: tuple[str, ...] | None = None
    durations: Mapping[str, float] = field(default_factory=dict)
    video: str | None = None
    frames_per_second: float | None = None
    tiers: tuple[str, ...] = ()
    category_from: CategoryFrom = "text"
    annotator: str | None = None

    def __post_init__(self) -> None:
        if self.frames_per_second is not None and not (
            math.isfinite(self.frames_per_second) and self.frames_per_second > 0
        ):
            raise ValueError(f"frames_per_second must be above 0, got {self.frames_per_second}.")

    def asks_for(self, tier: str) -> bool:
        """Whether a tier is one that was asked for."""
        return any(fnmatch.fnmatchcase(tier, pattern) for pattern in self.tiers)


class LabelFile:
    """A label file that is being read: where we are in it, what may occur, and what was found.

    Attributes:
        path: the file.
        options: how it is to be read.
        durations: seconds of each video, as far as the options or the file say it.
        where: the place in the file, for messages.
    """

    def __init__(self, path: Path, options: ReadOptions) -> None:
        self.path = path
        self.options = options
        self.durations: dict[str, float] = dict(options.durations)
        self.where = ""
        self._events: list[Annotation] = []
        self._splits: dict[str, Split | None] = {}
        self._first: dict[str, str] = {}
        self._points: list[str] = []
        self._warnings: list[str] = []
        self._identifiers: dict[str, str] = {}

    def fail(self, message: str) -> NoReturn:
        """Raise an error that names the file and the place in it."""
        raise AnnotationsError(f"{self._place()}: {message}")

    def warn(self, message: str) -> None:
        """Say something to the person who reads the file, once."""
        self._warnings.append(f"{self.path}: {message}")

    def number(self, value: object, name: str, *, comma: bool = False) -> float:
        """A number of the file.

        Args:
            value: as the file has it.
            name: what it is, for messages.
            comma: whether a comma may stand for the decimal point.
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                self.fail(f"{name} has too many digits.")
        text = value.strip() if isinstance(value, str) else ""
        if comma:
            text = text.replace(",", ".")
        if not _NUMBER.fullmatch(text):
            self.fail(f"{name} is {value!r}, not a number. Give seconds with a decimal point, such as 12.5.")
        return float(text)

    def seconds(self, value: str, name: str, *, comma: bool = False) -> float:
        """A time of the file, in seconds or as ``HH:MM:SS.mmm`` or ``MM:SS.mmm``."""
        clock = _CLOCK.fullmatch(value.strip().replace(",", ".") if comma else value.strip())
        if clock is None:
            return self.number(value, name, comma=comma)
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)

    def add(
        self,
        video: str,
        start: float,
        end: float,
        category: str,
        split: str | None = None,
        modality: Modality | None = None,
    ) -> None:
        """Add an event; a point in time is counted, and said to be left out in the end."""
        category = self.category(category)
        if -START_TOLERANCE_SECONDS <= start < 0:
            start = 0.0
        if start == end and math.isfinite(start) and start >= 0:
            self.add_without_event(video, split)
            self._points.append(self._place().removeprefix(f"{self.path}, "))
            return
        try:
            event = Annotation(video, start, end, category, split, modality)  # type: ignore[arg-type]  # checked there
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
        """A category on one line; refuses one that may not occur, or that holds control characters.

        An identifier of AudioSet becomes the name that it stands for, where that is known.
        """
        name = " ".join(name.split())
        if name.startswith("/") and is_identifier(name) and name not in (self.options.categories or ()):
            name = self._identifiers.setdefault(name, names_by_identifier().get(name, name))
        if control_characters(name):
            self.fail(
                f"the category {name!r} holds the control character {control_characters(name)[0]}, which is no part of "
                "a name. Remove it."
            )
        allowed = self.options.categories
        if name and allowed is not None and name not in allowed:
            close = difflib.get_close_matches(name, allowed, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Categories are: {'; '.join(allowed)}."
            self.fail(f"unknown category '{name}'. {hint}")
        return name

    def result(self) -> AnnotationSet:
        """What was found."""
        warnings = list(self._warnings)
        if self._points:
            warnings.append(
                f"{self.path}: left out: {counted(len(self._points), 'label')} at points in time, without a length "
                f"(the first: {self._points[0]})"
            )
        known = {identifier: name for identifier, name in self._identifiers.items() if identifier != name}
        unknown = [identifier for identifier in self._identifiers if identifier not in known]
        if known:
            first = next(iter(known))
            warnings.append(
                f"{self.path}: AudioSet's identifiers were read as the names that they stand for, {first} as "
                f"{known[first]}"
            )
        if unknown:
            some = ", ".join(unknown[:5]) + (" and others" if len(unknown) > 5 else "")
            warnings.append(
                f"{self.path}: kept: {counted(len(unknown), 'identifier')} of no name that is known here, {some}. "
                "AudioSet's mid_to_display_name.tsv has their names"
            )
        with_event = {e.video for e in self._events}
        return AnnotationSet(
            events=tuple(self._events),
            categories=self.options.categories or tuple(dict.fromkeys(e.category for e in self._events)),
            videos_without_event={v: s for v, s in self._splits.items() if v not in with_event},
            source=str(self.path),
            where=self._first,
            warnings=tuple(warnings),
        )

    def _place(self) -> str:
        return f"{self.path}, {self.where}" if self.where else str(self.path)

    def _seen(self, video: str, split: Split | str | None) -> None:
        if "\0" in video:
            self.fail(f"the video {video!r} holds the control character U+0000, which no file's name does. Remove it.")
        self._first.setdefault(video, self._place())
        before = self._splits.setdefault(video, split)  # type: ignore[arg-type]  # checked before
        if before != split:
            self.fail(f"'{video}' is in split '{split}' here and in '{before}' above. Put all its rows in one split.")


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
    """The content of a file as text: UTF-8, or UTF-16 if it says so by its first bytes."""
    content = read_bytes(path)
    encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise AnnotationsError(
            f"{path}: byte {error.start} is not {encoding.removesuffix('-sig').upper()} text. Save the file as UTF-8 "
            "(in Excel: 'CSV UTF-8')."
        ) from None


def lines_of(text: str) -> list[str]:
    """Lines as editors end them; other characters that Unicode calls line ends are part of a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def file_name(address: str) -> str:
    """Name of the file that a path or URL leads to, as it was before Label Studio stored it."""
    if re.match(r"[A-Za-z]:[\\/]", address):
        return plain_name(address)
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address: a file name, not a URL
        return address.rsplit("/", 1)[-1]
    local = parse_qs(parts.query).get("d")  # Label Studio's local files: /data/local-files/?d=folder/clip.mp4
    path = local[0] if local else unquote(parts.path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"^[0-9a-f]{8}-", "", name) if "/data/upload/" in path else name


def plain_name(path: str) -> str:
    """What follows the last slash or backslash of a path, as it is written."""
    return re.split(r"[\\/]", path)[-1]
