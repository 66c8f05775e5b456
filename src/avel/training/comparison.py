"""Which model is trained where examples are few and none is named: the one that is best by cross-validation.

With a few examples of a category, most networks learn that everything is background, and a validation split of three
clips cannot say which epoch is best. So a few small models, the recommended one and an answer that needs no learning
are compared by `avel.training.cross_validation` over the training and the validation clips; test clips are not looked
at. The best is trained on all clips that its protocol allows.
"""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.documents import read_json
from avel.errors import SettingsError
from avel.records import Record
from avel.training.cross_validation import CROSS_VALIDATION, CrossValidated, cross_validate, trivial
from avel.training.data import LocalizationData
from avel.training.learner import Measured
from avel.training.passes import computing
from avel.training.prediction import measure_of
from avel.training.processes import joined_processes
from avel.training.settings import TrainingSettings
from avel.wording import counted

COMPARISON_FILE = "comparison.json"
"""In the folder of a run whose model was chosen."""

MAX_COMPARED_CLIPS = 500
"""Of training and validation together; comparing more would take longer than some minutes."""

LINEAR_EPOCHS = 50
"""Half of what the linear head's recipe has: it is trained dozens of times."""

MAX_COMPARISON_BYTES = 1 << 20


@dataclass(frozen=True)
class Candidate:
    """What may be trained.

    Attributes:
        name: for a person to read.
        model: in the registry.
        changes: settings that are not those of the model's recipe.
    """

    name: str
    model: str
    changes: Mapping[str, int | float]


CANDIDATES = (
    Candidate("nearest class mean", "nearest-mean", {}),
    *(
        Candidate(f"linear, weight decay {decay:g}", "linear", {"weight_decay": decay, "epochs": LINEAR_EPOCHS})
        for decay in (3e-2, 3e-3, 3e-4)
    ),
    Candidate("recommended", "recommended", {}),
)
"""The simpler ones first: of equally good ones, the first is taken."""


@dataclass(frozen=True)
class Compared(Record):
    """One line of a comparison.

    Attributes:
        name: of the candidate, or of the answer that needs no learning.
        model: in the registry; empty of the latter.
        changes: see `Candidate`.
        quality: what is compared, see `avel.training.cross_validation.CrossValidated`.
        low: end of its 95 % interval.
        high: the other end.
        accuracy: the run's measure.
        thresholds: of a multi-label model.
    """

    name: str
    model: str
    changes: dict[str, int | float]
    quality: float
    low: float
    high: float
    accuracy: float
    thresholds: tuple[float, ...]


@dataclass(frozen=True)
class ModelComparison(Record):
    """What was compared, and what was chosen.

    Attributes:
        quality: what ``quality`` of each line is: ``category F1``, the mean of the categories' F1, or ``mean AP``.
        measure: what ``accuracy`` is, see `avel.training.loop.TrainingResult`.
        videos: of training and validation.
        folds: of each division.
        divisions: how many there were.
        few: number of training events of the categories that have few.
        lines: what was compared; the first needs no learning.
        chosen: name of the line that was chosen.
    """

    quality: str
    measure: str
    videos: int
    folds: int
    divisions: int
    few: dict[str, int]
    lines: tuple[Compared, ...]
    chosen: str

    @property
    def best(self) -> Compared:
        """The line that was chosen."""
        return next(line for line in self.lines if line.name == self.chosen)

    def measured(self) -> Measured:
        """What the checkpoint says of the chosen model."""
        return Measured(CROSS_VALIDATION, self.best.accuracy, self.best.thresholds, {"comparison": self.to_dict()})

    def table(self) -> list[tuple[str, ...]]:
        """A head, and a row a line, in percent."""
        accuracy = () if self.quality == "mean AP" else (self.measure.replace("_", " "),)
        rows: list[tuple[str, ...]] = [("", self.quality, "95 % interval", *accuracy)]
        for line in self.lines:
            cells = (f"{100 * line.quality:.1f} %", f"{100 * line.low:.1f} to {100 * line.high:.1f} %")
            rows.append((line.name, *cells, *(f"{100 * line.accuracy:.1f} %" for _ in accuracy)))
        return rows

    def about(self) -> str:
        """How it was made, in a sentence."""
        times = "once" if self.divisions == 1 else f"{self.divisions} times"
        videos = counted(self.videos, "training and validation video")
        return (
            f"{videos}, divided into {self.folds} folds {times}; the interval is over videos, and what differs by less "
            "may be luck."
        )


def few_examples(settings: TrainingSettings, data: LocalizationData) -> dict[str, int]:
    """The categories that have fewer training events than ``few_events``, with their number."""
    events: Mapping[str, int] = data.notes.get("training_events", {})
    return {category: count for category, count in events.items() if count < settings.few_events}


def compare(
    settings_of: Callable[[Candidate], TrainingSettings],
    data: LocalizationData,
    *,
    progress: Callable[[str], None] = lambda name: None,
) -> tuple[ModelComparison, TrainingSettings]:
    """Compare the candidates, and choose one.

    Args:
        settings_of: the settings that a candidate is trained with.
        data: on what; its test clips are not looked at.
        progress: called with each candidate's name before its turn.

    Returns:
        What was compared, and the settings of the chosen one.

    Raises:
        AvelError: as `avel.training.cross_validation.cross_validate`.
    """
    tried: list[tuple[Candidate, TrainingSettings, CrossValidated]] = []
    for candidate in CANDIDATES:
        settings = settings_of(candidate)
        if any(settings == others for _, others, _ in tried):
            continue  # the user has said what they differ in
        progress(candidate.name)
        with joined_processes(settings.device) as processes, computing(settings.threads):
            tried.append((candidate, settings, cross_validate(settings, data, processes)))
    chosen, settings, best = max(tried, key=lambda one: one[2].quality)  # the first of equal ones
    name = "always background" if data.has_times or settings.multi_label else "most frequent class"
    lines = [_line(Candidate(name, "", {}), trivial(settings, data)), *(_line(one, found) for one, _, found in tried)]
    comparison = ModelComparison(
        quality="mean AP" if settings.multi_label else "category F1",
        measure=measure_of(settings, data),
        videos=best.videos,
        folds=best.folds,
        divisions=best.divisions,
        few=few_examples(settings, data),
        lines=tuple(lines),
        chosen=chosen.name,
    )
    return comparison, settings


def read_comparison(path: Path) -> ModelComparison:
    """Read what a run has kept of its comparison.

    Raises:
        SettingsError: if it cannot be read.
    """
    try:
        found = ModelComparison.from_dict(read_json(path, MAX_COMPARISON_BYTES))
        if not found.chosen or found.chosen not in {line.name for line in found.lines if line.model}:
            raise ValueError(f"no line is called {found.chosen!r}")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path}: cannot be read as the comparison of a run ({error}). Train into another folder."
        ) from error
    return found


def comparison_in(notes: Mapping[str, Any]) -> ModelComparison | None:
    """The comparison that a checkpoint's notes tell of; ``None`` where they tell of none that can be read."""
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return ModelComparison.from_dict(notes["comparison"])
    return None


def _line(candidate: Candidate, found: CrossValidated) -> Compared:
    low, high = found.interval
    return Compared(
        name=candidate.name,
        model=candidate.model,
        changes=dict(candidate.changes),
        quality=found.quality,
        low=low,
        high=high,
        accuracy=found.measured.accuracy,
        thresholds=found.measured.thresholds,
    )
