"""Writing a result: JSON, tables, subtitles, HTML, PNG, MP4, clips, and files for annotation tools and editors."""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from avel.data.annotations import Annotation
from avel.data.formats import (
    audacity,
    chapters,
    coco,
    elan,
    events_json,
    label_studio,
    raven,
    subtitles,
    table,
    textgrid,
)
from avel.data.truth import Truth
from avel.errors import AvelError, OutputError
from avel.events import Localization
from avel.files import replacing, unique_names, write_text

if TYPE_CHECKING:
    from avel.outputs.editing import Adapter
    from avel.outputs.evidence import Evidence

__all__ = [
    "FORMATS",
    "TEXT_FORMATS",
    "Format",
    "WriteOptions",
    "format_of",
    "render",
    "unique_stems",
    "write",
    "write_all",
]


@dataclass(frozen=True)
class WriteOptions:
    """What may be said of how results are written.

    Attributes:
        frames_per_second: label the timelines of videos in Label Studio, which count so many frames a second; when
            ``None`` their sound, which counts seconds.
        pad_seconds: how much of the video a clip of an event has before and after it.
        truth: labels; pictures and pages show what is true below what was found.

    Raises:
        ValueError: if a number is out of range.
    """

    frames_per_second: float | None = None
    pad_seconds: float = 0.0
    truth: Truth | None = None

    def __post_init__(self) -> None:
        if self.frames_per_second is not None and not 0 < self.frames_per_second < math.inf:
            raise ValueError(f"frames_per_second must be above 0, got {self.frames_per_second}.")
        if not 0 <= self.pad_seconds < math.inf:
            raise ValueError(f"pad_seconds must be 0 or more, got {self.pad_seconds}.")


USUAL = WriteOptions()


@dataclass(frozen=True)
class Writing:
    """What a format may use besides the result.

    Attributes:
        options: what was asked for.
        gather: reads the video when first called, for formats that show it.
        warnings: what a person should know of what was written; formats add to it.
    """

    options: WriteOptions
    gather: Callable[[], "Evidence"]
    warnings: list[str] = field(default_factory=list)

    def truth_of(self, result: Localization) -> tuple[Annotation, ...] | None:
        """What is true of a result's video, where labels were given and name it; else ``None``, with a warning.

        Raises:
            AnnotationsError: if several of their names fit.
        """
        if self.options.truth is None:
            return None
        found = self.options.truth.of(result.video)
        if found is None:
            warning = f"{self.options.truth.source} has no label of this video, so what is true of it is not shown."
            self.warnings.extend([] if warning in self.warnings else [warning])
        return found


Writer = Callable[[Localization, Path, Writing], None]
Text = Callable[[Localization, WriteOptions], str]


@dataclass(frozen=True)
class Format:
    """A way to write a result.

    Attributes:
        suffix: of its files, without the first dot; of a folder, for clips.
        write: writes a file.
        text: gives the result as text, where nothing but the result is needed.
        needs_attention: shows where in the picture, which only some models say.
        title: in words.
        is_one_file: writes nothing beside its file.
        shows_truth: shows labels where they are given.
        by_video: other suffixes, by that of the video in lower case.
        needs_editing: needs the packages of the extra ``editing``.
    """

    suffix: str
    write: Writer
    text: Text | None = None
    needs_attention: bool = False
    title: str = ""
    is_one_file: bool = True
    shows_truth: bool = False
    by_video: Mapping[str, str] = field(default_factory=dict)
    needs_editing: bool = False

    @property
    def suffixes(self) -> tuple[str, ...]:
        """All that its files may have."""
        return tuple(dict.fromkeys([self.suffix, *self.by_video.values()]))

    def suffix_of(self, video: str | Path) -> str:
        """Of the file of a video's result."""
        return self.by_video.get(Path(video).suffix.lower(), self.suffix)


def _text(suffix: str, text: Callable[[Localization], str], title: str) -> Format:
    return _text_with_options(suffix, lambda result, _: text(result), title)


def _text_with_options(suffix: str, text: Text, title: str) -> Format:
    def write(result: Localization, path: Path, writing: Writing) -> None:
        write_text(path, text(result, writing.options))

    return Format(suffix, write, text, title=title)


def _label_studio(result: Localization, options: WriteOptions) -> str:
    return label_studio.text(result, frames_per_second=options.frames_per_second)


def _json(result: Localization) -> str:
    return result.to_json() + "\n"


def _elan(result: Localization, path: Path, _: Writing) -> None:
    write_text(path, elan.text(result, folder=path.parent))


def _html(result: Localization, path: Path, writing: Writing) -> None:
    from avel.outputs.page import page

    write_text(path, page(result, writing.gather(), path.parent, writing.truth_of(result)))


def _png(result: Localization, path: Path, writing: Writing) -> None:
    from avel.outputs.picture import plot, save

    figure = plot(result, writing.gather(), writing.truth_of(result))
    with replacing(path) as temporary:
        save(figure, temporary)


def _mp4(result: Localization, path: Path, _: Writing) -> None:
    from avel.outputs.clip import save

    with replacing(path) as temporary:
        save(result, temporary)


def _chapters(result: Localization, path: Path, writing: Writing) -> None:
    from avel.outputs.chaptered import save

    with replacing(path) as temporary:
        writing.warnings.extend(save(result, temporary, path.suffix.lower()))


def _clips(result: Localization, path: Path, writing: Writing) -> None:
    from avel.outputs.event_clips import save

    save(result, path, writing.options.pad_seconds)


def _editing(adapter: "Adapter") -> Writer:
    def write_timeline(result: Localization, path: Path, _: Writing) -> None:
        from avel.outputs.editing import text

        write_text(path, text(result, adapter))

    return write_timeline


def _coco(result: Localization, path: Path, _: Writing) -> None:
    from avel.media.reader import probe
    from avel.outputs.boxes import boxes
    from avel.outputs.frames import write_frames

    info = probe(result.video)
    if info.width is None or info.height is None:
        raise OutputError(f"{result.video}: has no picture, so there are no boxes in it. Choose another format.")
    found = boxes(result)
    folder = path.parent / path.name.removesuffix(".json")
    moments = {t: coco.middle_seconds(result, t) for t in coco.segments_with_boxes(result, found)}
    files = {t: folder / f"{seconds:09.3f}.jpg" for t, seconds in moments.items()}
    write_frames(result.video, {files[t]: moments[t] for t in moments}, (info.width, info.height))
    names = {t: file.relative_to(path.parent).as_posix() for t, file in files.items()}
    write_text(path, coco.text(result, found, info.width, info.height, names))


FORMATS: Mapping[str, Format] = {
    "json": _text("json", _json, "JSON, with all scores"),
    "csv": _text("csv", table.text, "CSV table"),
    "srt": _text("srt", subtitles.srt_text, "SubRip subtitles"),
    "vtt": _text("vtt", subtitles.vtt_text, "WebVTT subtitles"),
    "elan": Format("eaf", _elan, lambda result, _: elan.text(result), title="ELAN document"),
    "audacity": _text("txt", audacity.text, "Audacity label track"),
    "label-studio": _text_with_options("label-studio.json", _label_studio, "Label Studio predictions"),
    "coco": Format("coco.json", _coco, needs_attention=True, title="COCO boxes with their frames", is_one_file=False),
    "csv-clock": _text("clock.csv", table.clock_text, "CSV table with clock times"),
    "jsonl": _text("jsonl", events_json.lines_text, "JSON lines, an event each"),
    "textgrid": _text("TextGrid", textgrid.text, "Praat TextGrid"),
    "raven": _text("selections.txt", raven.text, "Raven selection table"),
    "youtube": _text("chapters.txt", chapters.youtube_text, "YouTube chapters"),
    "azure": _text("azure.json", events_json.azure_text, "JSON as of Azure Video Indexer"),
    "otio": Format("otio", _editing("otio_json"), title="OpenTimelineIO", needs_editing=True),
    "fcpxml": Format("fcp.xml", _editing("fcp_xml"), title="Final Cut Pro 7 XML", needs_editing=True),
    "edl": Format("edl", _editing("cmx_3600"), title="Edit decision list (CMX 3600)", needs_editing=True),
    "html": Format("html", _html, title="Web page", shows_truth=True),
    "png": Format("png", _png, title="Picture", shows_truth=True),
    "mp4": Format("mp4", _mp4, title="Video with the events in it"),
    "chapters": Format(
        "chapters.mp4",
        _chapters,
        title="Video with chapters",
        by_video={".mkv": "chapters.mkv", ".webm": "chapters.mkv"},
    ),
    "clips": Format("clips", _clips, title="Clips, one for each event", is_one_file=False),
}
"""What a result can be written as, by name."""

TEXT_FORMATS = tuple(name for name, one in FORMATS.items() if one.text is not None)
"""Formats that `render` gives; they need nothing but the result."""


def format_of(path: str | Path) -> str | None:
    """The format that a file's name asks for by its end: ``clip.eaf``, ``clip.coco.json``; ``None`` for none."""
    file = Path(path).name.lower()
    fitting = {
        suffix: name for name, one in FORMATS.items() for suffix in one.suffixes if file.endswith(f".{suffix.lower()}")
    }
    return fitting[max(fitting, key=len)] if fitting else None


def write(
    result: Localization,
    path: str | Path,
    format: str | None = None,  # noqa: A002
    options: WriteOptions = USUAL,
    warnings: list[str] | None = None,
) -> Path:
    """Write a result to one file, whole or not at all; missing folders are made. Clips go into a folder.

    Args:
        result: what was found.
        path: the file.
        format: one of `FORMATS`; by the file's suffix when ``None``.
        options: what else is asked for.
        warnings: what a person should know of what was written is added here.

    Returns:
        The path.

    Raises:
        ValueError: if there is no such format.
        OutputError: if the file cannot be written there, or the format cannot show this result.
        MediaError: if the format needs the video and it is no longer there.
    """
    path = Path(path)
    name = format or format_of(path) or path.suffix.lower().removeprefix(".")
    _check([name])
    _write(result, path, name, _writing(result, options, warnings))
    return path


def write_all(
    result: Localization,
    folder: str | Path,
    formats: Sequence[str],
    stem: str | None = None,
    options: WriteOptions = USUAL,
    warnings: list[str] | None = None,
) -> list[Path]:
    """Write a result in several formats as ``folder/stem.suffix``; formats that show the video read it again.

    When one format fails the others are written all the same.

    Args:
        result: what was found.
        folder: made when missing.
        formats: some of `FORMATS`.
        stem: of the files' names; the video's when ``None``. See `unique_stems` for several videos.
        options: as for `write`.
        warnings: as for `write`.

    Returns:
        The paths, in the order of ``formats``.

    Raises:
        ValueError: if there is no such format; nothing is written then.
        OutputError: if a file cannot be written, or a format cannot show this result.
        MediaError: if a format needs the video and it is no longer there.
    """
    _check(formats)
    stem = Path(result.video).stem if stem is None else stem
    writing = _writing(result, options, warnings)
    paths: list[Path] = []
    failures: list[AvelError] = []
    for name in dict.fromkeys(formats):
        path = Path(folder) / f"{stem}.{FORMATS[name].suffix_of(result.video)}"
        try:
            _write(result, path, name, writing)
            paths.append(path)
        except AvelError as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise OutputError(" ".join(dict.fromkeys(str(error) for error in failures)))
    return paths


def render(result: Localization, format: str, options: WriteOptions = USUAL) -> str:  # noqa: A002
    """A result as text, as for standard output.

    Args:
        result: what was found.
        format: one of `TEXT_FORMATS`.
        options: as for `write`.

    Raises:
        ValueError: if there is no such text format.
    """
    text = FORMATS[format].text if format in FORMATS else None
    if text is None:
        raise ValueError(f"Unknown text format {format!r}. Supported text formats are {', '.join(TEXT_FORMATS)}.")
    return text(result, options)


def unique_stems(videos: Iterable[str | Path]) -> list[str]:
    """File name stems for the results of videos, no two the same even where upper and lower case are.

    Of videos with one stem all but the first get a number: ``clip``, ``clip-2``, ``clip-3``.
    """
    return unique_names(Path(video).stem or "video" for video in videos)


def _check(formats: Sequence[str]) -> None:
    for name in formats:
        if name not in FORMATS:
            raise ValueError(f"Unknown format {name!r}. Supported formats are {', '.join(FORMATS)}.")


def refuse_video(path: Path, video: Path) -> None:
    """Do not write over the video of a result.

    Args:
        path: what is to be written.
        video: what it is a result of.

    Raises:
        OutputError: if they are the same file.
    """
    if path.exists() and video.exists() and path.samefile(video):
        raise OutputError(f"Cannot write {path}: it is the video itself. Choose another folder or name.")


def _write(result: Localization, path: Path, name: str, writing: Writing) -> None:
    refuse_video(path, Path(result.video))
    FORMATS[name].write(result, path, writing)


def _writing(result: Localization, options: WriteOptions, warnings: list[str] | None) -> Writing:
    @functools.cache
    def gather() -> "Evidence":
        from avel.outputs import evidence

        return evidence.gather(result)

    return Writing(options, gather, [] if warnings is None else warnings)
