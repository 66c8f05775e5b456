"""Several models on one video, side by side, with right and wrong segments marked where the truth is known.

A segment is right when the categories that are said to be both heard and seen in it are exactly those that the labels
have there. A category is in a segment when its events hold over half of it, or have their middle in it, for models and
labels alike. Categories are compared by name.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.data.annotations import Annotation
from avel.errors import AnnotationsError
from avel.events import BACKGROUND, Event, Localization
from avel.files import unique_names
from avel.localization.decoding import present_in
from avel.wording import counted


@dataclass(frozen=True)
class JudgedSegment:
    """What a model says of a segment, and what is true.

    Attributes:
        start_seconds: of the segment.
        end_seconds: of the segment.
        found: categories both heard and seen, as the model says; none is background.
        true: those that the labels have; ``None`` where nobody said what is true.
    """

    start_seconds: float
    end_seconds: float
    found: tuple[str, ...]
    true: tuple[str, ...] | None

    @property
    def is_right(self) -> bool | None:
        """Whether both are the same; ``None`` where nobody said what is true."""
        return None if self.true is None else self.found == self.true


@dataclass(frozen=True)
class Run:
    """Neighbouring segments of which the same is said.

    Attributes:
        start_seconds: of the first.
        end_seconds: of the last.
        name: the categories, joined by a comma.
    """

    start_seconds: float
    end_seconds: float
    name: str


@dataclass(frozen=True)
class ComparedModel:
    """One model's row.

    Attributes:
        name: of the model or of its run's folder.
        result: what it found.
        segments: judged.
    """

    name: str
    result: Localization
    segments: tuple[JudgedSegment, ...]

    @property
    def right(self) -> int | None:
        """Number of right segments; ``None`` where nobody said what is true."""
        marks = [segment.is_right for segment in self.segments]
        return None if None in marks else sum(map(bool, marks))

    def runs(self) -> list[Run]:
        """What is said, without background."""
        return _runs([(one.start_seconds, one.end_seconds, one.found) for one in self.segments])

    def verdict(self) -> str:
        """In a few words."""
        if self.right is None:
            count = sum(event.modality == "audio-visual" for event in self.result.events)
            return counted(count, "audio-visual event")
        share = 100 * self.right / len(self.segments)
        return f"{self.right} of {counted(len(self.segments), 'segment')} right ({share:.1f} %)"


@dataclass(frozen=True)
class Comparison:
    """Several models on one video.

    Attributes:
        video: the path.
        duration_seconds: of the video.
        truth: the true events; ``None`` where nobody said what is true.
        models: in the order in which they were asked for.
    """

    video: str
    duration_seconds: float
    truth: tuple[Annotation, ...] | None
    models: tuple[ComparedModel, ...]

    @property
    def categories(self) -> tuple[str, ...]:
        """What rows are called by, true ones first, each once."""
        true = [run.name for run in self.true_runs()]
        return tuple(dict.fromkeys([*true, *(run.name for model in self.models for run in model.runs())]))

    def true_runs(self) -> list[Run]:
        """The true events, to the second as labelled, by start."""
        events = sorted(self.truth or (), key=lambda event: event.start_seconds)
        return [Run(event.start_seconds, event.end_seconds, event.category) for event in events]

    def lines(self) -> list[str]:
        """For a person to read."""
        width = max(len(model.name) for model in self.models)
        return [f"{model.name.ljust(width)}  {model.verdict()}" for model in self.models]

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dictionaries, for JSON."""
        true = [
            {"category": e.category, "start_seconds": e.start_seconds, "end_seconds": e.end_seconds}
            for e in self.truth or ()
        ]
        return {
            "video": self.video,
            "duration_seconds": round(self.duration_seconds, 4),
            "truth": None if self.truth is None else true,
            "models": [
                {
                    "name": model.name,
                    "right": model.right,
                    "segments": [
                        {
                            "start_seconds": round(one.start_seconds, 4),
                            "end_seconds": round(one.end_seconds, 4),
                            "found": list(one.found),
                            "true": None if one.true is None else list(one.true),
                            "right": one.is_right,
                        }
                        for one in model.segments
                    ],
                    "model": dict(model.result.model),
                }
                for model in self.models
            ],
        }


def compare(
    results: Sequence[Localization], names: Sequence[str], truth: Sequence[Annotation] | None = None
) -> Comparison:
    """Set several results of one video side by side.

    Args:
        results: one a model.
        names: of the models, as many.
        truth: the true events, where they are known.

    Raises:
        AnnotationsError: if a true event starts after the video's end.
        ValueError: if there is no result, or they are not of one video.
    """
    if not results or len({result.video for result in results}) > 1:
        raise ValueError("Give results of one video.")
    duration = max(result.duration_seconds for result in results)
    late = next((event for event in truth or () if event.start_seconds >= duration), None)
    if late is not None:
        raise AnnotationsError(
            f"{results[0].video}: the labels have '{late.category}' from {late.start_seconds:g} s on, but the video "
            f"ends at {duration:g} s. Give the labels of this video."
        )
    models = tuple(
        ComparedModel(name, result, _judged(result, truth)) for name, result in zip(names, results, strict=True)
    )
    return Comparison(results[0].video, duration, None if truth is None else tuple(truth), models)


def names_of_models(models: Sequence[str | Path]) -> list[str]:
    """What rows are called: of a checkpoint its run's folder; of equal names all but the first get a number."""
    paths = [Path(model) for model in models]
    return unique_names(path.parent.name if path.suffix and path.parent.name else path.name for path in paths)


def _judged(result: Localization, truth: Sequence[Annotation] | None) -> tuple[JudgedSegment, ...]:
    bounds = [(segment.start_seconds, segment.end_seconds) for segment in result.segments]
    found = _categories_in(result.events, bounds)
    events = [Event(e.category, e.start_seconds, e.end_seconds, 1.0, "audio-visual") for e in truth or ()]
    true: Sequence[tuple[str, ...] | None] = [None] * len(bounds) if truth is None else _categories_in(events, bounds)
    return tuple(JudgedSegment(*bounds[t], found[t], true[t]) for t in range(len(bounds)))


def _categories_in(events: Sequence[Event], bounds: list[tuple[float, float]]) -> list[tuple[str, ...]]:
    categories = sorted({event.category for event in events})
    present = present_in(events, categories, bounds)
    return [tuple(name for name, is_there in zip(categories, row, strict=True) if is_there) for row in present]


def _runs(spans: Sequence[tuple[float, float, Sequence[str]]]) -> list[Run]:
    runs: list[Run] = []
    for start, end, names in spans:
        name = ", ".join(names)
        if runs and runs[-1].name == name and runs[-1].end_seconds == start:
            runs[-1] = Run(runs[-1].start_seconds, end, name)
        else:
            runs.append(Run(start, end, name))
    return [run for run in runs if run.name]


def colours(categories: Sequence[str]) -> Mapping[str, str]:
    """A colour a category, told apart with any colour vision (Okabe and Ito); from the eighth on all are grey."""
    return {
        name: _COLOURS[i] if i < len(_COLOURS) else _GREY for i, name in enumerate(categories) if name != BACKGROUND
    }


_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8a7f00")
_GREY = "#8b929b"
