"""Label formats: one file for each, with its reading and its writing.

================  ==================================================================================================
``ave``           AVE's ``Annotations.txt`` (Tian et al., ECCV 2018), with or without its header
``csv``           ``video,start_seconds,end_seconds,category[,split]``; also with ``;``, tab or ``|`` between
``elan``          ELAN's ``.eaf``, through pympi
``audacity``      Audacity's exported label tracks
``label-studio``  Label Studio's JSON and JSON-MIN exports: audio regions, time series, video timelines
================  ==================================================================================================

A CSV file without times, ``video,category[,split]``, labels whole videos; `read_video_labels` reads it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from avel.data.annotations import AnnotationSet
from avel.data.formats import audacity, ave, elan, label_studio, table
from avel.data.formats.label_file import LabelFile, read_text
from avel.errors import AnnotationsError

LabelFormat = Literal["ave", "csv", "elan", "audacity", "label-studio"]
LABEL_FORMATS: tuple[LabelFormat, ...] = get_args(LabelFormat)


def read_annotations(
    path: str | Path,
    format: LabelFormat | None = None,  # noqa: A002 - the word that people look for
    *,
    categories: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    video: str | None = None,
    frames_per_second: float | None = None,
) -> AnnotationSet:
    """Read a label file, or a folder of them, in any supported format.

    Args:
        path: a file; or a folder whose files (``.csv``, ``.tsv``, ``.eaf``, ``.json``, ``.txt``) are read as one set.
        format: one of `LABEL_FORMATS`; without it, the file's ending and content decide.
        categories: the event categories that may occur, in the order wanted; without it, all that occur.
        durations: seconds of each video as far as known; an event that ends later is an error.
        video: name of the video, for a file that does not say (Audacity, ELAN without linked media); its own name
            without the ending stands in.
        frames_per_second: pictures a second as set in Label Studio, for timelines that count frames.

    Raises:
        AnnotationsError: if the file cannot be read or is not as its format says.
        ValueError: if ``format`` is unknown.
    """
    if format is not None and format not in LABEL_FORMATS:
        raise ValueError(f"Unknown format '{format}'. Supported formats are {', '.join(LABEL_FORMATS)}.")
    path = Path(path)
    if path.is_dir():
        if video is not None:
            raise ValueError("`video` names the video of one file; a folder of label files has several.")
        return _read_folder(path, format, categories, durations, frames_per_second)
    reader = _READERS[format or _detect(path)]
    return reader(LabelFile(path, categories, durations, video, frames_per_second))


def _read_folder(
    folder: Path,
    format: LabelFormat | None,  # noqa: A002
    categories: Sequence[str] | None,
    durations: Mapping[str, float] | None,
    frames_per_second: float | None,
) -> AnnotationSet:
    of_ave = folder / "Annotations.txt"
    if format in (None, "ave") and of_ave.exists():
        return ave.read(LabelFile(of_ave, categories, durations))
    suffixes = _SUFFIXES_OF[format] if format else {s for found in _SUFFIXES_OF.values() for s in found}
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in suffixes)
    if not files:
        raise AnnotationsError(
            f"{folder}: no label file in this folder. Label files end in {', '.join(sorted(suffixes))}; "
            "AVE's is Annotations.txt."
        )
    sets = [
        read_annotations(file, format, categories=categories, durations=durations, frames_per_second=frames_per_second)
        for file in files
    ]
    return AnnotationSet.merged(sets, source=str(folder))


def _detect(path: Path) -> LabelFormat:
    by_suffix: dict[str, LabelFormat] = {".eaf": "elan", ".json": "label-studio", ".csv": "csv", ".tsv": "csv"}
    if path.suffix.lower() in by_suffix:
        return by_suffix[path.suffix.lower()]
    text = read_text(path).lstrip()
    first = text.splitlines()[0] if text else ""
    if first.startswith("<"):
        return "elan"
    if first.startswith(("[", "{")):
        return "label-studio"
    if first.count("&") >= 4:
        return "ave"
    if table.header_of(first) is not None:
        return "csv"
    if not first or (first.count("\t") >= 1 and _is_number(first.split("\t")[0])):
        return "audacity"  # which writes an empty file for an empty label track
    raise AnnotationsError(
        f"{path}: the format is not recognised from its first line {first[:60]!r}. "
        f"Name it: one of {', '.join(LABEL_FORMATS)}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS: Mapping[LabelFormat, Callable[[LabelFile], AnnotationSet]] = {
    "ave": ave.read,
    "csv": table.read,
    "elan": elan.read,
    "audacity": audacity.read,
    "label-studio": label_studio.read,
}

_SUFFIXES_OF: Mapping[LabelFormat, tuple[str, ...]] = {
    "ave": (".txt",),
    "csv": (".csv", ".tsv"),
    "elan": (".eaf",),
    "audacity": (".txt",),
    "label-studio": (".json",),
}
