"""Anybody's predicted events against labels: reads both, and measures them by `avel.metrics.detection`."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path

from avel.data.formats import read_annotations
from avel.errors import AnnotationsError
from avel.events import Localization
from avel.metrics.detection import DetectionMetrics, TimedEvent, measure_events

MAX_BYTES = 256 << 20


def evaluate_events(predictions: Path, labels: Path, *, segment_seconds: float = 1.0) -> DetectionMetrics:
    """Measure predicted events of any tool.

    Args:
        predictions: a CSV file ``video,start_seconds,end_seconds,category`` with ``score`` or without (all alike
            then), a result of ``avel localize`` as JSON, or a folder of either.
        labels: the truth, in any format of `avel.data.formats.read_annotations`.
        segment_seconds: length of a segment for the segment F1.

    Raises:
        AnnotationsError: if a file cannot be read or is not as its format says.
    """
    truth = read_annotations(labels)
    true = [TimedEvent(_name(e.video), e.category, e.start_seconds, e.end_seconds) for e in truth.events]
    known = {_name(video) for video in truth.videos}
    predicted = list(_read(predictions))
    unknown = sorted({event.video for event in predicted} - known)
    if unknown:
        raise AnnotationsError(
            f"{predictions}: has events of '{unknown[0]}', of which {labels} has no label. Label it, with an empty row "
            "if it has no event, or leave it out."
        )
    return measure_events(predicted, true, segment_seconds=segment_seconds)


def _read(path: Path) -> Iterator[TimedEvent]:
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in (".json", ".csv"))
        if not files:
            raise AnnotationsError(f"{path}: has no .json or .csv file of predicted events.")
        for file in files:
            yield from _read(file)
        return
    try:
        if path.stat().st_size > MAX_BYTES:
            raise AnnotationsError(f"{path}: is larger than {MAX_BYTES >> 20} MiB. Split it into several files.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise AnnotationsError(f"{path}: cannot be read ({error}). Give a .json or .csv file of events.") from error
    yield from _of_json(path, text) if path.suffix.lower() == ".json" else _of_table(path, text)


def _of_json(path: Path, text: str) -> Iterator[TimedEvent]:
    try:
        found = Localization.from_dict(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise AnnotationsError(f"{path}: is no result of avel localize ({error}). Give one, or a CSV file.") from error
    for event in found.events:
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
