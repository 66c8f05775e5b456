"""Label formats: one file for each, with its reading and its writing.

================  ==================================================================================================
``ave``           AVE's ``Annotations.txt`` (Tian et al., ECCV 2018), with or without its header
``csv``           tables of video, start, end and category, with a comma, ``;``, tab or ``|`` between, also as DCASE,
                  DESED, AudioSet (strong) and avel's results name the columns
``elan``          ELAN's ``.eaf``
``audacity``      Audacity's exported label tracks
``label-studio``  Label Studio's JSON, JSON-MIN and CSV exports: audio regions, time series, video timelines
``srt``, ``vtt``  subtitles, SubRip and WebVTT
``textgrid``      Praat's TextGrids
``raven``         Raven's selection tables
``activitynet``   ActivityNet's and UnAV-100's JSON
``ov-ave``        OV-AVEBench's JSON
``boris``         BORIS's tabular and aggregated events
``via``           VGG Image Annotator's projects and CSV exports, version 3
``cvat``          CVAT's tracks, "CVAT for video"
``jsonl``         JSON lines, an object for each event, as avel writes them
================  ==================================================================================================

A table without times, ``video,category[,split]``, labels whole videos; it is read by
`avel.data.formats.table.read_video_labels`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from avel.data.annotations import AnnotationSet
from avel.data.formats import (
    activitynet,
    audacity,
    ave,
    boris,
    cvat,
    elan,
    events_json,
    label_studio,
    ov_ave,
    raven,
    subtitles,
    table,
    textgrid,
    via,
)
from avel.data.formats.label_file import CategoryFrom, LabelFile, ReadOptions, read_text
from avel.documents import DocumentError, parse_json
from avel.errors import AnnotationsError

LabelFormat = Literal[
    "ave",
    "csv",
    "elan",
    "audacity",
    "label-studio",
    "srt",
    "vtt",
    "textgrid",
    "raven",
    "activitynet",
    "ov-ave",
    "boris",
    "via",
    "cvat",
    "jsonl",
]
LABEL_FORMATS: tuple[LabelFormat, ...] = get_args(LabelFormat)


def read_annotations(
    path: str | Path,
    format: LabelFormat | None = None,  # noqa: A002 - the word that people look for
    *,
    categories: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    video: str | None = None,
    frames_per_second: float | None = None,
    tiers: Sequence[str] = (),
    category_from: CategoryFrom = "text",
    annotator: str | None = None,
) -> AnnotationSet:
    """Read a label file, or a folder of them, in any supported format.

    Points in time and labels of length 0 are no events: they are left out, which `AnnotationSet.warnings` says.

    Args:
        path: a file; or a folder whose label files are read as one set. Files of a folder that are no labels are passed
            over, which `AnnotationSet.warnings` says.
        format: one of `LABEL_FORMATS`; without it, the file's ending and content decide.
        categories: the event categories that may occur, in the order wanted; without it, all that occur.
        durations: seconds of each video as far as known; an event that ends later is an error.
        video: name of the video, for a file that does not say (Audacity, ELAN without linked media); its own name
            without the ending stands in.
        frames_per_second: pictures a second, for Label Studio's timelines and CVAT's tracks, which count frames.
        tiers: patterns such as ``event*`` of the tiers of ELAN and Praat to read, or of the attributes of VIA's
            segments; without any, ELAN's tiers that depend on no other, and all of Praat's.
        category_from: ``"text"`` if the category of an annotation of ELAN or Praat is its text, ``"tier"`` if it is the
            name of its tier.
        annotator: whose annotations to read where several people annotated a task of Label Studio: a name, an e-mail
            address or a number.

    Raises:
        AnnotationsError: if the file cannot be read or is not as its format says.
        ValueError: if ``format`` is unknown or an option is out of range.
    """
    if format is not None and format not in LABEL_FORMATS:
        raise ValueError(f"Unknown format '{format}'. Supported formats are {', '.join(LABEL_FORMATS)}.")
    if category_from not in get_args(CategoryFrom):
        raise ValueError(f"category_from must be one of {', '.join(get_args(CategoryFrom))}; got {category_from!r}.")
    options = ReadOptions(
        None if categories is None else tuple(categories),
        dict(durations or {}),
        video,
        frames_per_second,
        tuple(tiers),
        category_from,
        annotator,
    )
    path = Path(path)
    if path.is_dir():
        if video is not None:
            raise ValueError("`video` names the video of one file; a folder of label files has several.")
        return _read_folder(path, format, options)
    return _READERS[format or _detect(path)](LabelFile(path, options))


def labels_whole_videos(path: str | Path) -> bool:
    """Whether a file is a table that names videos and categories but no times; other formats may be tables, too.

    Raises:
        AnnotationsError: if the file cannot be read.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() not in _SUFFIXES_OF["csv"] or not table.has_no_times(read_text(path)):
        return False
    return _detect(path) == "csv"


class _NoLabelsError(AnnotationsError):
    """A file is none that holds labels, as far as can be told; in a folder, it is passed over."""


def _read_folder(folder: Path, format: LabelFormat | None, options: ReadOptions) -> AnnotationSet:  # noqa: A002
    of_ave = folder / "Annotations.txt"
    if format in (None, "ave") and of_ave.exists():
        return ave.read(LabelFile(of_ave, options))
    suffixes = _SUFFIXES_OF[format] if format else {s for found in _SUFFIXES_OF.values() for s in found}
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in suffixes)
    sets, passed = [], []
    for file in files:
        if file.name == ov_ave.META_FILE:
            continue  # the splits of OV-AVEBench, which its annotations take from there
        try:
            sets.append(_READERS[format or _detect(file)](LabelFile(file, options)))
        except _NoLabelsError as error:
            passed.append(str(error))
    if not sets:
        raise AnnotationsError(
            f"{folder}: no label file in this folder. Label files end in {', '.join(sorted(suffixes))}; "
            f"AVE's is Annotations.txt. {' '.join(passed[:1])}".rstrip()
        )
    merged = AnnotationSet.merged(sets, source=str(folder))
    return replace(merged, warnings=(*merged.warnings, *(f"{reason} It was passed over." for reason in passed)))


def _detect(path: Path) -> LabelFormat:
    suffix = path.suffix.lower()
    if suffix in _OF_SUFFIX:
        return _OF_SUFFIX[suffix]
    text = read_text(path).lstrip()
    first = text.splitlines()[0].strip() if text else ""
    if first.startswith("<"):
        return "cvat" if re.search(r"<annotations\b", text[:2000]) else "elan"
    if suffix in _SUFFIXES_OF["jsonl"] or events_json.is_line(first):
        return "jsonl"
    if suffix == ".json" or first.startswith(("[", "{")):
        return _detect_json(path, text)
    if via.is_export(text):
        return "via"
    if label_studio.is_table(first):
        return "label-studio"
    if boris.find_header(text) is not None:
        return "boris"
    for found, is_so in (
        ("ave", first.count("&") >= 4),
        ("vtt", first.startswith("WEBVTT")),
        ("textgrid", first.replace(" ", "") == 'Filetype="ooTextFile"'),
        ("raven", raven.is_header(first)),
        ("srt", first.isdigit() and "-->" in text[:200]),
        ("audacity", re.match(r"[+-]?\d+([.,]\d+)?\t[+-]?\d+([.,]\d+)?(\t|$)", first) is not None),
        ("csv", suffix in (".csv", ".tsv") or table.header_of(first) is not None),
        ("audacity", not first),  # which writes an empty file for an empty label track
    ):
        if is_so:
            return found  # type: ignore[return-value]
    raise _NoLabelsError(
        f"{path}: the format is not recognised from its first line {first[:60]!r}. "
        f"Name it (--labels-format): one of {', '.join(LABEL_FORMATS)}."
    )


def _detect_json(path: Path, text: str) -> LabelFormat:
    try:
        content: Any = parse_json(text)
    except DocumentError as error:
        raise AnnotationsError(f"{path}: {error}.") from error
    if isinstance(content, list):
        return "label-studio"
    if isinstance(content, dict):
        if {"video", "events", "segments", "model"} <= content.keys():
            raise AnnotationsError(
                f"{path}: is a result of avel and not labels. Write it as csv, elan or audacity (avel localize "
                "--format), correct that file, and give it here."
            )
        if {"annotations", "data"} <= content.keys():
            return "label-studio"
        if isinstance(content.get("database"), dict):
            return "activitynet"
        if {"attribute", "file", "view", "metadata"} <= content.keys():
            return "via"
        if content and all(isinstance(one, dict) and {"category", "label"} <= one.keys() for one in content.values()):
            return "ov-ave"
    raise _NoLabelsError(
        f"{path}: its JSON is of no label format that is known. Known are Label Studio's exports (a list of tasks), "
        "and those of ActivityNet, UnAV-100, OV-AVEBench and VIA."
    )


_READERS: Mapping[LabelFormat, Callable[[LabelFile], AnnotationSet]] = {
    "ave": ave.read,
    "csv": table.read,
    "elan": elan.read,
    "audacity": audacity.read,
    "label-studio": label_studio.read,
    "srt": subtitles.read_srt,
    "vtt": subtitles.read_vtt,
    "textgrid": textgrid.read,
    "raven": raven.read,
    "activitynet": activitynet.read,
    "ov-ave": ov_ave.read,
    "boris": boris.read,
    "via": via.read,
    "cvat": cvat.read,
    "jsonl": events_json.read_lines,
}

_SUFFIXES_OF: Mapping[LabelFormat, tuple[str, ...]] = {
    "ave": (".txt",),
    "csv": (".csv", ".tsv", ".txt"),
    "elan": (".eaf",),
    "audacity": (".txt",),
    "label-studio": (".json", ".csv", ".tsv"),
    "srt": (".srt",),
    "vtt": (".vtt",),
    "textgrid": (".textgrid",),
    "raven": (".txt",),
    "activitynet": (".json",),
    "ov-ave": (".json",),
    "boris": (".csv", ".tsv"),
    "via": (".json", ".csv"),
    "cvat": (".xml",),
    "jsonl": (".jsonl", ".ndjson"),
}

_OF_SUFFIX: Mapping[str, LabelFormat] = {".eaf": "elan", ".srt": "srt", ".vtt": "vtt", ".textgrid": "textgrid"}
