"""The tables of a paper, trained anew on any data in AVE's layout.

Every row is trained with every seed into a folder of its own, and what it gave is kept there, so that a run that was
stopped goes on with the next row. A row whose features are missing is "not measured".
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from avel.data.annotations import Split
from avel.data.ave.dataset import AveDataset
from avel.documents import parse_json
from avel.errors import SettingsError
from avel.evaluation.baselines import ALWAYS_BACKGROUND, RANDOM_START, WHOLE_VIDEO
from avel.evaluation.evaluate import evaluate
from avel.evaluation.papers import Paper, Row
from avel.evaluation.papers.base import NO_MODEL
from avel.evaluation.verdicts import ClipResults, Verdict, verdict
from avel.features.recipe import digest_of
from avel.files import write_text
from avel.matching.data import load_clips
from avel.matching.localization import DIRECTIONS, predicted_starts, short_events
from avel.matching.localization import evaluate as evaluate_matching
from avel.matching.training import MatcherName, MatchingSettings, Misaligned
from avel.matching.training import train as train_matching
from avel.metrics.segments import Metrics
from avel.models import registry
from avel.training.data import LocalizationData
from avel.training.loop import EpochProgress, train
from avel.training.settings import BOTH, NOISY, TrainingSettings, from_mapping
from avel.training.state import Epoch

RESULT_FILE = "row.json"
LEARNED_POINTS = 1.0
"""Percentage points above a trivial answer from which on a row has learned something."""

_NO_LEARNING = (ALWAYS_BACKGROUND, RANDOM_START)
_COSTS = ("parameters", "training_seconds", "milliseconds_per_clip")


def mean_and_std(accuracies: Sequence[float]) -> str:
    """Of one or more seeds, as it stands in a table; the sample standard deviation from two on."""
    mean = statistics.fmean(accuracies)
    return f"{mean:.1f}" if len(accuracies) < 2 else f"{mean:.1f} ± {statistics.stdev(accuracies):.1f}"


@dataclass(frozen=True)
class RowResult:
    """A row, measured or not.

    Attributes:
        row: of the paper.
        accuracies: in percent, one a seed.
        trivial: accuracy in percent of what needs no learning, by name.
        clips: how each test clip was answered with each seed; ``None`` where that was not kept.
        costs: ``parameters`` of the model, and means over the seeds: ``training_seconds``, up to the last epoch and
            without the validation, and ``milliseconds_per_clip``, in batches. Empty for cross-modality localization.
        not_measured: why, for a row that was not.
    """

    row: Row
    accuracies: tuple[float, ...] = ()
    trivial: Mapping[str, float] = field(default_factory=dict)
    costs: Mapping[str, float] = field(default_factory=dict)
    not_measured: str = ""
    clips: ClipResults | None = field(default=None, compare=False)

    @property
    def learned(self) -> bool:
        """Whether it is more than a point above the answer that needs neither learning nor the truth."""
        floor = next((self.trivial[name] for name in _NO_LEARNING if name in self.trivial), -math.inf)
        return not self.accuracies or self.mean > floor + LEARNED_POINTS

    @property
    def mean(self) -> float:
        """Of the seeds; ``nan`` when not measured."""
        return statistics.fmean(self.accuracies) if self.accuracies else math.nan

    @property
    def std(self) -> float:
        """Sample standard deviation over the seeds; ``nan`` for fewer than two."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else math.nan

    @property
    def ours(self) -> str:
        """As it stands in the table."""
        if not self.accuracies:
            return "not measured"
        return mean_and_std(self.accuracies)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "table": self.row.table,
            "name": self.row.name,
            "paper": self.row.paper,
            "accuracies": list(self.accuracies),
            "mean": None if math.isnan(self.mean) else self.mean,
            "std": None if math.isnan(self.std) else self.std,
            "trivial": dict(self.trivial),
            "costs": dict(self.costs),
            "learned": self.learned,
            "not_measured": self.not_measured,
        }


@dataclass(frozen=True)
class Reproduction:
    """How the tables are trained.

    Attributes:
        tables: which; all if none is given.
        seeds: how many, from 0.
        released: as the authors' code does where it departs from the paper, as `Paper` says, and from another model's
            weights where their training started from them.
        flags: settings of localization that count more than the rows' own.
        matching: settings of cross-modality localization likewise (`avel.matching.training.MatchingSettings`).
    """

    tables: tuple[int, ...] = ()
    seeds: int = 3
    released: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)
    matching: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be 1 or more, got {self.seeds}.")


RowProgress = Callable[[Row, int, str], None]
"""Called with a row, a seed and what happens to it: before its training, after each epoch, and at its end."""


def reproduce(
    paper: Paper,
    data: LocalizationData,
    folder: str | Path,
    how: Reproduction | None = None,
    *,
    progress: RowProgress | None = None,
) -> list[RowResult]:
    """Train and measure every row of a paper's tables.

    Args:
        paper: of `avel.evaluation.papers.PAPERS`.
        data: what `avel.training.ave_data.open_data` opens.
        folder: where the runs are kept; rows that are measured there already are not trained again.
        how: see there.
        progress: called as rows go on.

    Raises:
        AvelError: as training raises it; what is done is kept.
        ValueError: if the paper has no such table.
    """
    how = how or Reproduction()
    unknown = [table for table in how.tables if table not in paper.tables]
    if unknown:
        raise ValueError(f"{paper.title} has tables {', '.join(map(str, paper.tables))}, got {unknown[0]}.")
    rows = [row for row in paper.rows if row.table in (how.tables or paper.tables)]
    results = [measure(paper, row, data, folder, how, progress=progress) for row in rows]
    content = {
        "paper": paper.title,
        "data": data.name,
        "how": _described(how),
        "rows": [result.to_dict() for result in results],
        "claims": [one.to_dict() for one in verdicts(paper, results)],
    }
    text = json.dumps(content, indent=2)
    write_text(Path(folder) / f"{paper.name}.json", text + "\n")
    return results


def measure(
    paper: Paper,
    row: Row,
    data: LocalizationData,
    folder: str | Path,
    how: Reproduction,
    *,
    progress: RowProgress | None = None,
) -> RowResult:
    """Train and measure one row with every seed; see `reproduce`."""
    tell = progress or (lambda row, seed, what: None)
    reason = _why_not(paper, row, data, how)
    if reason:
        tell(row, 0, f"not measured: {reason}")
        return RowResult(row, not_measured=reason)
    kept = []
    for seed in range(how.seeds):
        tell(row, seed, "training")
        epoch_told = partial(_tell_epoch, tell, row, seed)
        kept.append(_measured(paper, row, data, Path(folder), how, seed, epoch_told))
        tell(row, seed, f"{kept[-1]['accuracy'][row.measure]:.1f} %")
    costs = {name: statistics.fmean(run[name] for run in kept) for name in _COSTS if name in kept[0]}
    accuracies = tuple(run["accuracy"][row.measure] for run in kept)
    return RowResult(row, accuracies, kept[-1]["trivial"], costs, clips=_clips(kept, row.measure))


def verdicts(paper: Paper, results: Sequence[RowResult]) -> list[Verdict]:
    """What became of each claim of a paper whose rows were measured."""
    measured = {result.row.name: result for result in results if result.accuracies}
    learned = {name: result.learned for name, result in measured.items()}
    found = []
    for claim in paper.claims:
        if claim.better in measured and claim.worse in measured:
            better, worse = measured[claim.better], measured[claim.worse]
            found.append(verdict(claim, (better.mean, worse.mean), (better.clips, worse.clips), learned))
    return found


def settings_of(paper: Paper, row: Row, how: Reproduction, seed: int) -> TrainingSettings:
    """The settings of a row, but for those of cross-modality localization."""
    options = dict(row.settings.get("options", {}))
    values = {**registry.entry(row.model).training, **row.settings}
    if how.released:
        values |= paper.released
        if values.get("task") == "weak":
            values |= paper.released_weak
        known = registry.options_of(row.model).model_dump()
        options |= {name: value for name, value in paper.released_options.items() if name in known}
    flags = dict(how.flags)
    options |= flags.pop("options", {})
    return from_mapping({**values, **flags, "model": row.model, "options": options, "seed": seed}, row.name)


def _why_not(paper: Paper, row: Row, data: LocalizationData, how: Reproduction) -> str:
    """What a row lacks, empty when it can be measured."""
    if row.model == NO_MODEL:
        return "no code was published, and the paper says too little to build it"
    if row.is_matching:
        lacking = [f"{split}_order_match.h5" for split in ("train", "test") if split not in _ave(data).match_splits]
        if data.is_store:
            return "cross-modality localization reads files in AVE's layout; export the store"
        return "; ".join([*data.missing(("audio", "visual")), *(f"no {name}" for name in lacking)])
    reasons = list(data.missing(registry.modalities_of(row.model, row.settings.get("options"))))
    settings = settings_of(paper, row, how, 0)
    if settings.task == "weak" and settings.backgrounds in (NOISY, BOTH) and not data.has_noisy:
        reasons.append("no clips without event (*_noisy.h5); backgrounds=mismatched needs none")
    reasons += [f"no split {split}" for split in ("train", "val", "test") if not len(data.splits.get(split, ()))]
    return "; ".join(reasons)


def _measured(
    paper: Paper,
    row: Row,
    data: LocalizationData,
    folder: Path,
    how: Reproduction,
    seed: int,
    progress: EpochProgress,
) -> dict[str, Any]:
    """What a row gave with a seed, from its folder or trained now."""
    if row.is_matching:
        matching = MatchingSettings(**{**_matching_values(row, how.released), **how.matching, "seed": seed})
        key = {"settings": matching.to_dict(), "data": fingerprint(data)}
        return _kept(folder / row.folder / f"seed{seed}", key, lambda run: _match(data, matching))
    settings = settings_of(paper, row, how, seed)
    if how.released:
        first = registry.entry(row.model).starts_from
        if first is not None:
            start = next(other for other in paper.rows if other.model == first and not other.settings)
            _measured(paper, start, data, folder, how, seed, progress)
            path = folder / start.folder / f"seed{seed}" / "checkpoint.safetensors"
            settings = settings.with_changes(start_from=str(path))
    key = {"settings": _comparable(settings), "data": fingerprint(data)}
    return _kept(folder / row.folder / f"seed{seed}", key, lambda run: _localize(data, settings, run, progress))


def _kept(run: Path, key: dict[str, Any], measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    path = run / RESULT_FILE
    key = json.loads(json.dumps(key))
    if path.exists():
        try:
            kept: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"{path}: cannot be read ({error}). Remove it, and the row is measured again."
            ) from error
        if _completed(kept.get("key"), key) != key:
            raise SettingsError(
                f"{run}: was measured with other settings or data ({', '.join(_changes(kept.get('key'), key))}). "
                "Give another folder, or remove this one."
            )
        return kept
    result = {**measure(run), "key": key}
    write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
    return result


def _localize(data: LocalizationData, settings: TrainingSettings, run: Path, progress: EpochProgress) -> dict[str, Any]:
    trained = train(settings, data, run, resume=True, progress=progress)
    found = evaluate(trained.checkpoint, data, "test", device=settings.device)
    accuracies = {"": found.metrics, **found.baselines}
    share = {name: 100 * m.segment_accuracy for name, m in accuracies.items() if isinstance(m, Metrics)}
    return {
        "accuracy": {"test": share[""]},
        "trivial": {name: share[name] for name in (ALWAYS_BACKGROUND, WHOLE_VIDEO)},
        "clips": {"test": list(found.right_segments), "segments": list(found.clip_segments)},
        "epoch": trained.best_epoch,
        "chosen_on": trained.chosen_on,
        "event_f1": _or_none(found.metrics.events.f1),
        "parameters": found.parameters,
        "training_seconds": round(sum(epoch.seconds for epoch in trained.history), 1),
        "milliseconds_per_clip": round(found.milliseconds_per_clip, 3),
    }


def _clips(kept: Sequence[Mapping[str, Any]], measure: str) -> ClipResults | None:
    """Of all seeds, if they were kept and are of the same clips."""
    found = [run["clips"] for run in kept if "clips" in run]
    if len(found) < len(kept) or any(clips["segments"] != found[0]["segments"] for clips in found):
        return None
    right = np.array([clips[measure] for clips in found], np.int64)
    return ClipResults(right, np.array(found[0]["segments"], np.int64))


def _tell_epoch(tell: RowProgress, row: Row, seed: int, epoch: Epoch, epochs: int) -> None:
    tell(row, seed, f"epoch {epoch.epoch} of {epochs}, {epoch}")


def _match(data: LocalizationData, settings: MatchingSettings) -> dict[str, Any]:
    splits: dict[Split, Any] = {
        split: load_clips(data.name, split) for split in ("train", "val", "test") if split in _ave(data).match_splits
    }
    trained = train_matching(splits["train"], settings, splits.get("val"))
    test = splits["test"]
    found = evaluate_matching(trained.matcher, test.visual, test.audio, test.spans)
    kept = short_events(test.spans, test.visual.shape[1])
    spans = test.spans[kept]
    hits = {
        direction: (
            predicted_starts(trained.matcher, test.visual[kept], test.audio[kept], spans, direction) == spans[:, 0]
        )
        .astype(int)
        .tolist()
        for direction in DIRECTIONS
    }
    return {
        "accuracy": {"a2v": 100 * found.a2v, "v2a": 100 * found.v2a},
        "clips": {"a2v": hits["a2v"], "v2a": hits["v2a"], "segments": [1] * len(spans)},
        "trivial": {RANDOM_START: 100 * found.random_start, "last window": 100 * found.last_window},
        "epoch": trained.epoch,
        "chosen_on": "val" if "val" in splits else "the last epoch",
    }


def _matching_values(row: Row, released: bool) -> dict[str, Any]:
    matcher: MatcherName = row.model  # type: ignore[assignment]
    if matcher == "dual-encoder":
        return {"matcher": matcher, **row.settings}
    default: Misaligned = "none" if released else MatchingSettings(matcher).pairs
    return {"matcher": matcher, "misaligned": row.settings.get("misaligned", default)}


def fingerprint(data: LocalizationData) -> str:
    """Digest of annotations, splits and sizes: rows measured on other data are not taken for these."""
    return digest_of(
        {
            "record": data.record.to_dict(),
            "rows": [asdict(row) for row in _ave(data).rows],
            "splits": {name: rows.tolist() for name, rows in data.splits.items()},
        }
    )


def _completed(before: Any, now: dict[str, Any]) -> Any:
    """A key, with the defaults of settings and options that it is too old to know."""
    if not isinstance(before, dict) or not isinstance(before.get("settings"), dict):
        return before
    if before["settings"].get("model") in registry.MODELS:
        before = {**before, "settings": {**before["settings"], "options": _all_options(before["settings"])}}
    defaults = TrainingSettings().to_dict()
    defaults["plateau_of"] = "accuracy" if before["settings"].get("schedule") == "plateau" else defaults["plateau_of"]
    newer = {name: defaults[name] for name in now["settings"] if name in defaults and name not in before["settings"]}
    return {**before, "settings": {**before["settings"], **newer}}


def _ave(data: LocalizationData) -> AveDataset:
    assert isinstance(data.dataset, AveDataset)  # the papers' tables are of AVE
    return data.dataset


def _comparable(settings: TrainingSettings) -> dict[str, Any]:
    values = settings.to_dict() | {"options": registry.options_of(settings.model, **settings.options).model_dump()}
    return {name: values[name] for name in values if name not in ("device", "threads", "tensorboard")}


def _all_options(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a key; the first keys name those alone that were not the defaults of their time."""
    options = registry.entry(settings["model"]).options
    given = settings.get("options", {})
    known = options().model_dump()
    return {**known, **({} if known.keys() <= given.keys() else options.early), **given}


def _changes(before: Any, now: dict[str, Any]) -> list[str]:
    if not isinstance(before, dict) or before.get("data") != now["data"]:
        return ["data"]
    old, new = before.get("settings", {}), now["settings"]
    return [name for name in new if old.get(name) != new[name]]


def _described(how: Reproduction) -> dict[str, Any]:
    return {**asdict(how), "tables": list(how.tables)}


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
