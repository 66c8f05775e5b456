"""The tables of Tian et al., ECCV 2018, trained anew on any data in AVE's layout.

Every row is trained with every seed into a folder of its own, and what it gave is kept there, so that a run that was
stopped goes on with the next row. A row whose features are missing is "not measured".
"""

import json
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from avel.data.annotations import Split
from avel.errors import SettingsError
from avel.evaluation.baselines import ALWAYS_BACKGROUND, WHOLE_VIDEO
from avel.evaluation.evaluate import evaluate
from avel.features.recipe import digest_of
from avel.matching.data import load_clips
from avel.matching.localization import evaluate as evaluate_matching
from avel.matching.training import MatcherName, MatchingSettings, Misaligned
from avel.matching.training import train as train_matching
from avel.models import registry
from avel.outputs.atomic import write_text
from avel.training.data import LocalizationData
from avel.training.loop import train
from avel.training.settings import NOISY, TrainingSettings, from_mapping, recommended

PAPER = "Tian et al., ECCV 2018"
RESULT_FILE = "row.json"

Table = Literal[1, 2, 3]
TABLES: tuple[Table, ...] = (1, 2, 3)


@dataclass(frozen=True)
class Row:
    """A number of the paper.

    Attributes:
        table: where it stands.
        name: as the paper calls it.
        paper: the paper's accuracy in percent; ``None`` for what it does not have.
        model: of the registry; for Table 3, the matcher.
        settings: those that are not the model's own.
        measure: ``test`` or, in Table 3, the direction.
    """

    table: Table
    name: str
    paper: float | None
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    measure: str = "test"

    @property
    def folder(self) -> str:
        """Where it is trained; rows with the same training share it."""
        words = [self.model, *(str(value) for _, value in sorted(_flat(self.settings)))]
        return "-".join(words).replace("+", "")


def _table_1() -> list[Row]:
    models = {"A": "a", "V": "v", "V-att": "v-att", "A+V": "a+v", "A+V-att": "a+v-att"}
    paper = {
        "A": (59.5, 53.4),
        "V": (55.3, 52.9),
        "V-att": (58.6, 55.6),
        "A+V": (71.4, 63.7),
        "A+V-att": (72.7, 66.7),
    }
    full = [Row(1, name, paper[name][0], model) for name, model in models.items()]
    weak = [Row(1, f"W-{name}", paper[name][1], model, {"task": "weak"}) for name, model in models.items()]
    return [*full, *weak, Row(1, "ED-TCN (Sec. 6.3)", 46.9, "ed-tcn"), Row(1, "SSN (Sec. 6.3)", 26.7, "ssn")]


def _table_2() -> list[Row]:
    models = {
        "Additive": "additive",
        "MP": "maxpooling",
        "Gated": "gated",
        "MB": "bilinear",
        "GMU": "gmu",
        "GMB": "gated-bilinear",
        "Concat": "concat",
        "MRN": "mrn",
        "DMRN": "dmrn",
    }
    paper = {
        "early": (59.9, 67.9, 67.9, 69.2, 70.5, 70.2, 61.0, 69.8, 68.0),
        "late": (71.3, 71.4, 70.5, 70.5, 71.6, 71.0, 72.7, 70.8, 73.1),
        "decision": (70.5, 64.5, 65.2, 64.6, 67.6, 67.3, 69.7, 63.8, 70.4),
    }
    rows = []
    for position, numbers in paper.items():
        for (name, model), number in zip(models.items(), numbers, strict=True):
            rows.append(Row(2, f"{name}, {position}", number, model, {"options": {"position": position}}))
        if position == "late":
            rows.append(Row(2, "DMRFE, late", 73.3, "dmrfe"))
    return rows


def _table_3() -> list[Row]:
    numbers = {"avdln": ("AVDLN", 44.8, 35.6), "dcca": ("DCCA", 34.8, 34.1)}
    rows = []
    for matcher, (name, a2v, v2a) in numbers.items():
        rows += [
            Row(3, f"{name}, A2V", a2v, matcher, measure="a2v"),
            Row(3, f"{name}, V2A", v2a, matcher, measure="v2a"),
        ]
    misaligned = {"misaligned": "both"}
    rows += [
        Row(3, f"AVDLN with misaligned pairs, {direction.upper()}", None, "avdln", misaligned, direction)
        for direction in ("a2v", "v2a")
    ]
    return rows


TIAN2018: tuple[Row, ...] = (*_table_1(), *_table_2(), *_table_3())

EXPECTED: tuple[tuple[str, str], ...] = (
    ("A+V", "A"),
    ("A+V", "V"),
    ("V-att", "V"),
    ("A+V-att", "A+V"),
    ("W-A+V", "W-A"),
    ("W-A+V", "W-V"),
    ("W-V-att", "W-V"),
    ("W-A+V-att", "W-A+V"),
    *((name, f"W-{name}") for name in ("A", "V", "V-att", "A+V", "A+V-att")),
    *((f"{name}, late", f"{name}, early") for name in ("Additive", "Concat", "DMRN")),
)
"""Rows of which the paper says that the first is better than the second."""


@dataclass(frozen=True)
class RowResult:
    """A row, measured or not.

    Attributes:
        row: of the paper.
        accuracies: in percent, one a seed.
        trivial: accuracy in percent of what needs no learning, by name.
        not_measured: why, for a row that was not.
    """

    row: Row
    accuracies: tuple[float, ...] = ()
    trivial: Mapping[str, float] = field(default_factory=dict)
    not_measured: str = ""

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
        return f"{self.mean:.1f}" if math.isnan(self.std) else f"{self.mean:.1f} ± {self.std:.1f}"

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
            "not_measured": self.not_measured,
        }


@dataclass(frozen=True)
class Reproduction:
    """How the tables are trained.

    Attributes:
        tables: which.
        seeds: how many, from 0.
        released: as the authors' code does where it departs from the paper: its attention, its loss, pooling by the
            maximum, and DMRN and DMRFE trained from A+V-att.
        flags: settings of Tables 1 and 2 that count more than the rows' own.
        matching: settings of Table 3 likewise (`avel.matching.training.MatchingSettings`).
    """

    tables: tuple[Table, ...] = TABLES
    seeds: int = 3
    released: bool = False
    flags: Mapping[str, Any] = field(default_factory=dict)
    matching: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError(f"seeds must be 1 or more, got {self.seeds}.")
        unknown = [table for table in self.tables if table not in TABLES]
        if unknown or not self.tables:
            raise ValueError(
                f"tables must be of {', '.join(map(str, TABLES))}, got {', '.join(map(str, self.tables))}."
            )


Progress = Callable[[Row, int, str], None]
"""Called with a row, a seed and what happens to it, before and after."""


def reproduce(
    data: LocalizationData, folder: str | Path, how: Reproduction | None = None, *, progress: Progress | None = None
) -> list[RowResult]:
    """Train and measure every row of the tables.

    Args:
        data: what `avel.training.data.open_data` opens.
        folder: where the runs are kept; rows that are measured there already are not trained again.
        how: see there.
        progress: called as rows go on.

    Raises:
        AvelError: as training raises it; what is done is kept.
    """
    how = how or Reproduction()
    folder = Path(folder)
    tell = progress or (lambda row, seed, what: None)
    results = []
    for row in TIAN2018:
        if row.table not in how.tables:
            continue
        reason = _why_not(row, data, how)
        if reason:
            results.append(RowResult(row, not_measured=reason))
            tell(row, 0, f"not measured: {reason}")
            continue
        accuracies, trivial = [], {}
        for seed in range(how.seeds):
            tell(row, seed, "training")
            kept = _measured(row, data, folder, how, seed)
            accuracies.append(kept["accuracy"][row.measure])
            trivial = kept["trivial"]
            tell(row, seed, f"{accuracies[-1]:.1f} %")
        results.append(RowResult(row, tuple(accuracies), trivial))
    content = [result.to_dict() for result in results]
    text = json.dumps({"paper": PAPER, "data": data.name, "how": _described(how), "rows": content}, indent=2)
    write_text(folder / "tian2018.json", text + "\n")
    return results


def expectations(results: Sequence[RowResult]) -> list[tuple[str, str, float]]:
    """Pairs of rows that the paper has an order for, with the difference of their means in percentage points."""
    means = {result.row.name: result.mean for result in results if result.accuracies}
    return [(a, b, means[a] - means[b]) for a, b in EXPECTED if a in means and b in means]


def settings_of(row: Row, how: Reproduction, seed: int) -> TrainingSettings:
    """The settings of a row of Tables 1 and 2."""
    options = dict(row.settings.get("options", {}))
    values = {**recommended(registry.entry(row.model).training), **row.settings}
    if how.released:
        values |= {"loss": "multi-label-soft-margin", "pooling": "max"}
        if "attention" in asdict(registry.options_of(row.model)):
            options["attention"] = "released"
    flags = dict(how.flags)
    options |= flags.pop("options", {})
    return from_mapping({**values, **flags, "model": row.model, "options": options, "seed": seed}, row.name)


def _why_not(row: Row, data: LocalizationData, how: Reproduction) -> str:
    """What a row lacks, empty when it can be measured."""
    if row.table == 3:
        lacking = [f"{split}_order_match.h5" for split in ("train", "test") if split not in data.dataset.match_splits]
        if data.is_store:
            return "cross-modality localization reads files in AVE's layout; export the store"
        return "; ".join([*data.missing(("audio", "visual")), *(f"no {name}" for name in lacking)])
    reasons = list(data.missing(registry.entry(row.model).modalities))
    if row.settings.get("task") == "weak" and how.flags.get("backgrounds", NOISY) == NOISY and not data.has_noisy:
        reasons.append("no clips without event (*_noisy.h5); backgrounds=mismatched needs none")
    reasons += [f"no split {split}" for split in ("train", "val", "test") if not len(data.splits.get(split, ()))]
    return "; ".join(reasons)


def _measured(row: Row, data: LocalizationData, folder: Path, how: Reproduction, seed: int) -> dict[str, Any]:
    """What a row gave with a seed, from its folder or trained now."""
    if row.table == 3:
        matching = MatchingSettings(**{**_matching_values(row), **how.matching, "seed": seed})
        key = {"settings": asdict(matching), "data": fingerprint(data)}
        return _kept(folder / row.folder / f"seed{seed}", key, lambda run: _match(data, matching))
    settings = settings_of(row, how, seed)
    if how.released:
        first = registry.entry(row.model).training.start_from
        if first is not None:
            start = next(other for other in TIAN2018 if other.model == first and not other.settings)
            _measured(start, data, folder, how, seed)
            path = folder / start.folder / f"seed{seed}" / "checkpoint.safetensors"
            settings = settings.with_changes(start_from=str(path))
    key = {"settings": _comparable(settings), "data": fingerprint(data)}
    return _kept(folder / row.folder / f"seed{seed}", key, lambda run: _localize(data, settings, run))


def _kept(run: Path, key: dict[str, Any], measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    path = run / RESULT_FILE
    key = json.loads(json.dumps(key))
    if path.exists():
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("key") != key:
            raise SettingsError(
                f"{run}: was measured with other settings or data ({', '.join(_changes(kept.get('key'), key))}). "
                "Give another folder, or remove this one."
            )
        return kept
    result = {**measure(run), "key": key}
    write_text(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
    return result


def _localize(data: LocalizationData, settings: TrainingSettings, run: Path) -> dict[str, Any]:
    trained = train(settings, data, run, resume=True)
    found = evaluate(trained.checkpoint, data, "test", device=settings.device)
    return {
        "accuracy": {"test": 100 * found.metrics.segment_accuracy},
        "trivial": {name: 100 * found.baselines[name].segment_accuracy for name in (ALWAYS_BACKGROUND, WHOLE_VIDEO)},
        "epoch": trained.best_epoch,
        "chosen_on": trained.chosen_on,
        "event_f1": _or_none(found.metrics.events.f1),
    }


def _match(data: LocalizationData, settings: MatchingSettings) -> dict[str, Any]:
    splits: dict[Split, Any] = {
        split: load_clips(data.name, split) for split in ("train", "val", "test") if split in data.dataset.match_splits
    }
    trained = train_matching(splits["train"], settings, splits.get("val"))
    test = splits["test"]
    found = evaluate_matching(trained.matcher, test.visual, test.audio, test.spans)
    return {
        "accuracy": {"a2v": 100 * found.a2v, "v2a": 100 * found.v2a},
        "trivial": {"random start": 100 * found.random_start, "last window": 100 * found.last_window},
        "epoch": trained.epoch,
        "chosen_on": "val" if "val" in splits else "the last epoch",
    }


def _matching_values(row: Row) -> dict[str, Any]:
    matcher: MatcherName = "avdln" if row.model == "avdln" else "dcca"
    misaligned: Misaligned = row.settings.get("misaligned", "none")
    return {"matcher": matcher, "misaligned": misaligned}


def fingerprint(data: LocalizationData) -> str:
    """Digest of annotations, splits and sizes: rows measured on other data are not taken for these."""
    return digest_of(
        {
            "record": data.record.to_dict(),
            "rows": [asdict(row) for row in data.dataset.rows],
            "splits": {name: rows.tolist() for name, rows in data.splits.items()},
        }
    )


def _comparable(settings: TrainingSettings) -> dict[str, Any]:
    values = settings.to_dict()
    return {name: values[name] for name in values if name not in ("device", "threads", "tensorboard")}


def _changes(before: Any, now: dict[str, Any]) -> list[str]:
    if not isinstance(before, dict) or before.get("data") != now["data"]:
        return ["data"]
    old, new = before.get("settings", {}), now["settings"]
    return [name for name in new if old.get(name) != new[name]]


def _described(how: Reproduction) -> dict[str, Any]:
    return {**asdict(how), "tables": list(how.tables)}


def _flat(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in settings.items()
        for pair in (_flat(value) if isinstance(value, Mapping) else [(name, value)])
    ]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value
