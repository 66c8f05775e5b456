"""Anybody's predicted events against labels: read, measured by `avel.metrics.detection`, and the worst shown."""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.data.formats import read_annotations
from avel.errors import AnnotationsError
from avel.events import Localization
from avel.files import write_text
from avel.metrics.detection import DetectionMetrics, TimedEvent, measure_events, presence_by_video
from avel.templates import page_templates
from avel.wording import counted

MAX_BYTES = 256 << 20

WORST = 20
"""How many videos the page shows."""


@dataclass(frozen=True)
class MeasuredVideo:
    """One video of an evaluation.

    Attributes:
        name: as files are compared: without folder and ending.
        seconds: its length, or the end of its last event where it is not known.
        predicted: its predicted events.
        true: its true events.
        right: number of right segments.
        segments: number of segments.
    """

    name: str
    seconds: float
    predicted: tuple[TimedEvent, ...]
    true: tuple[TimedEvent, ...]
    right: int
    segments: int

    @property
    def categories(self) -> tuple[str, ...]:
        """Those of its true events, then those that were only predicted."""
        return tuple(dict.fromkeys(event.category for event in (*self.true, *self.predicted)))


@dataclass(frozen=True)
class EventEvaluation:
    """Predicted events, measured.

    Attributes:
        predictions: where they were read.
        labels: where the truth was read.
        metrics: all but PSDS.
        psds: ``psds1`` and ``psds2``; empty where they could not be computed.
        videos: every labelled video, the worst first.
        notes: what a person should know of the figures.
    """

    predictions: str
    labels: str
    metrics: DetectionMetrics
    psds: Mapping[str, float]
    videos: tuple[MeasuredVideo, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a person to read."""
        scores = [f"{name.upper()[:4]} {name[4:]}: {score:.3f}" for name, score in self.psds.items()]
        return [*self.metrics.lines(), *([", ".join(scores)] if scores else []), *(f"note: {n}" for n in self.notes)]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        of_videos = [{"video": one.name, "right_segments": one.right, "segments": one.segments} for one in self.videos]
        return {**self.metrics.to_dict(), "psds": dict(self.psds), "videos": of_videos, "notes": list(self.notes)}


def evaluate_events(
    predictions: Path, labels: Path, *, segment_seconds: float = 1.0, video_seconds: float | None = None
) -> EventEvaluation:
    """Measure predicted events of any tool.

    Args:
        predictions: a CSV file ``video,start_seconds,end_seconds,category`` with ``score`` or without (all alike
            then), a result of ``avel localize`` as JSON, or a folder of either.
        labels: the truth, in any format of `avel.data.formats.read_annotations`.
        segment_seconds: length of a segment.
        video_seconds: length of every video, such as 10 for AVE and OV-AVEBench; where it is ``None``, JSON results say
            how long theirs are.

    Raises:
        AnnotationsError: if a file cannot be read or is not as its format says.
        ValueError: if a length is not above 0.
    """
    for name, value in (("segment_seconds", segment_seconds), ("video_seconds", video_seconds)):
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} must be above 0, got {value}.")
    truth = read_annotations(labels).only_audio_visual()
    true = [TimedEvent(_name(e.video), e.category, e.start_seconds, e.end_seconds) for e in truth.events]
    known = {_name(video) for video in truth.videos}
    durations: dict[str, float] = {}
    predicted = list(_read(predictions, durations))
    unknown = sorted({event.video for event in predicted} - known)
    if unknown:
        raise AnnotationsError(
            f"{predictions}: has events of '{unknown[0]}', of which {labels} has no label. Label it, with an empty row "
            "if it has no event, or leave it out."
        )
    given = {video: video_seconds if video_seconds is not None else durations.get(video, 0.0) for video in known}
    metrics = measure_events(predicted, true, segment_seconds=segment_seconds, durations=given)
    videos = _videos(predicted, true, segment_seconds, given)
    notes = list(truth.warnings)
    if without := sum(not seconds for seconds in given.values()):
        notes.append(
            f"of {without} of {counted(len(known), 'video')} the length is not known, so that their segments end with "
            "their last event, which changes segment accuracy, OV-AVEBench's metrics and PSDS; give --video-seconds "
            "where all have one length"
        )
    scores: dict[str, float] = {}
    if len({event.category for event in true}) < 2:
        notes.append("PSDS is computed for labels of two event categories or more")
    else:
        try:
            from avel.metrics.psds import psds

            scores = psds(predicted, true, {one.name: one.seconds for one in videos})
        except ModuleNotFoundError as error:
            notes.append(f"PSDS needs the package {error.name}, which is not installed: pip install 'avel[psds]'")
    return EventEvaluation(str(predictions), str(labels), metrics, scores, videos, tuple(notes))


def check_events_place(output: Path) -> None:
    """Whether an evaluation of events can be written to a path.

    Raises:
        ValueError: if it does not end in .html or .json.
    """
    if output.suffix.lower() not in (".html", ".json"):
        raise ValueError(f"{output}: an evaluation of events is written as .html or .json.")


def write_events(found: EventEvaluation, output: Path) -> None:
    """Write an evaluation of events, by the file's suffix as a page or as JSON.

    Raises:
        ValueError: as `check_events_place`.
        OutputError: if it cannot be written.
    """
    check_events_place(output)
    if output.suffix.lower() == ".html":
        write_text(output, page_of_events(found))
    else:
        write_text(output, json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def page_of_events(found: EventEvaluation) -> str:
    """The metrics, and the time lines of the worst videos, as one HTML page that needs nothing else."""
    environment = page_templates("avel.evaluation")
    return environment.get_template("events.html.j2").render(
        found=found,
        name=Path(found.predictions).name or found.predictions,
        labels=Path(found.labels).name or found.labels,
        counts=found.lines()[0],
        rows=[line.partition(": ")[::2] for line in found.lines()[1:] if not line.startswith("note: ")],
        worst=[one for one in found.videos if one.right < one.segments][:WORST],
        share=lambda seconds, video: f"{100 * min(max(seconds / video.seconds, 0), 1):.4g}",
    )


def _videos(
    predicted: Sequence[TimedEvent],
    true: Sequence[TimedEvent],
    segment_seconds: float,
    durations: Mapping[str, float],
) -> tuple[MeasuredVideo, ...]:
    """Every video, those first that have the smallest share of right segments, and of these the longest."""
    found = []
    for video, (ours, theirs) in presence_by_video(predicted, true, segment_seconds, durations).items():
        mine = tuple(event for event in predicted if event.video == video)
        others = tuple(event for event in true if event.video == video)
        last = max((event.end_seconds for event in (*mine, *others)), default=segment_seconds)
        seconds = max(durations.get(video, 0.0), last)
        right = int((ours == theirs).all(axis=1).sum())
        found.append(MeasuredVideo(video, seconds, mine, others, right, len(ours)))
    return tuple(sorted(found, key=lambda one: (one.right / one.segments, -one.segments, one.name)))


def _read(path: Path, durations: dict[str, float]) -> Iterator[TimedEvent]:
    """The events of a file or folder; lengths of videos that a file says are put into ``durations``."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".json", ".csv"))
        if not files:
            raise AnnotationsError(f"{path}: has no .json or .csv file of predicted events.")
        for file in files:
            yield from _read(file, durations)
        return
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AnnotationsError(f"{path}: is larger than {MAX_BYTES >> 20} MiB. Split it into several files.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationsError(f"{path}: cannot be read ({error}). Give a .json or .csv file of events.") from error
    if path.suffix.lower() == ".json":
        yield from _of_json(path, text, durations)
    else:
        yield from _of_table(path, text)


def _of_json(path: Path, text: str, durations: dict[str, float]) -> Iterator[TimedEvent]:
    try:
        found = Localization.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise AnnotationsError(f"{path}: is no result of avel localize ({error}). Give one, or a CSV file.") from error
    durations[_name(found.video)] = found.duration_seconds
    for event in found.events:
        if event.modality == "audio-visual":
            yield TimedEvent(_name(found.video), event.category, event.start_seconds, event.end_seconds, event.score)


def _of_table(path: Path, text: str) -> Iterator[TimedEvent]:
    annotations = read_annotations(path, "csv")
    scores = _scores(path, text)
    if scores and len(scores) != len(annotations.events):
        raise AnnotationsError(f"{path}: has {len(scores)} scores for {len(annotations.events)} events.")
    for number, event in enumerate(annotations.events):
        score = scores[number] if scores else 1.0
        yield TimedEvent(_name(event.video), event.category, event.start_seconds, event.end_seconds, score)


def _scores(path: Path, text: str) -> list[float]:
    """The column ``score`` of the rows with an event, in their order; empty where there is none."""
    first = text.splitlines()[0] if text else ""
    delimiter = max(",;\t|", key=first.count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    if not rows or "score" not in rows[0]:
        return []
    try:
        return [float(row["score"]) for row in rows if row["score"]]
    except (TypeError, ValueError) as error:
        raise AnnotationsError(f"{path}: a score is no number ({error}).") from error


def _name(video: str) -> str:
    """By which videos are compared: the file's name without its ending."""
    return Path(video).stem
