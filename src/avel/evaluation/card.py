"""A trained model's card: what it predicts, what it was trained on, how good it is, and what it cannot do.

Nothing in it is made up: it is what the checkpoint says of itself, and what ``result.json`` beside it says of the same
model, which ``avel train`` writes.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.documents import parse_json
from avel.errors import ModelError
from avel.evaluation.advice import ORACLE
from avel.evaluation.evaluate import Evaluation
from avel.evaluation.report import columns, percent, rows
from avel.metrics.segments import Metrics
from avel.models import registry
from avel.models.base import worth_showing
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.comparison import comparison_in
from avel.training.cross_validation import CROSS_VALIDATION
from avel.wording import counted

RESULT_FILE = "result.json"
"""What ``avel train`` writes beside a checkpoint."""

MAX_RESULT_BYTES = 64 << 20

GOOD_ENOUGH = 0.5
"""Categories with a smaller share of segments found are among the limits."""


@dataclass(frozen=True)
class Card:
    """All that is known of a checkpoint.

    Attributes:
        path: of the checkpoint.
        info: what it says of itself.
        parameters: of the model, how many numbers.
        shows: what the model shows besides its scores, see `avel.models.base.ModelOutput`.
        evaluation: of ``result.json``; ``None`` when there is none of this model.
        limits: what it cannot do, and what to be careful with, a sentence each.
    """

    path: Path
    info: CheckpointInfo
    parameters: int
    shows: tuple[str, ...]
    evaluation: Evaluation | None
    limits: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        info, entry = self.info, registry.entry(self.info.model)
        return {
            "checkpoint": str(self.path),
            "model": {
                "name": info.model,
                "description": entry.description,
                "paper": entry.paper,
                "options": dict(info.options),
                "parameters": self.parameters,
                "looks_at": list(registry.modalities_of(info.model, info.options)),
                "shows": list(self.shows),
            },
            "predicts": {
                "categories": list(info.categories),
                "multi_label": info.multi_label,
                "thresholds": list(info.thresholds),
                "segment_seconds": info.segment_seconds,
                "num_segments": info.num_segments,
            },
            "trained_on": {
                "features": info.features.to_dict(),
                "settings": dict(info.settings),
                "notes": dict(info.notes),
            },
            "measured": {
                "at_training": dict(info.metrics),
                "evaluation": None if self.evaluation is None else self.evaluation.to_dict(),
            },
            "limits": list(self.limits),
        }

    def to_markdown(self) -> str:
        """The card for a person to read."""
        return "\n".join(_markdown(self))


def card(path: str | Path) -> Card:
    """Read the card of a checkpoint.

    Args:
        path: the checkpoint.

    Raises:
        ModelError: if the checkpoint, or ``result.json`` beside it, cannot be read.
    """
    path = Path(path)
    model, info = checkpoint.load(path)
    shows = worth_showing(model, info.dims)
    evaluation, complaint = _evaluation(path.with_name(RESULT_FILE), info)
    return Card(
        path=path,
        info=info,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        shows=shows,
        evaluation=evaluation,
        limits=tuple(_limits(info, shows, evaluation, complaint)),
    )


def _evaluation(path: Path, info: CheckpointInfo) -> tuple[Evaluation | None, str]:
    """The evaluation of a file if it is of this model, or why there is none."""
    try:
        if path.stat().st_size > MAX_RESULT_BYTES:
            raise ValueError(f"larger than {MAX_RESULT_BYTES >> 20} MiB")
        found = Evaluation.from_dict(parse_json(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None, "It was not measured on a test split"
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: cannot be read as the result of an evaluation ({error}). Remove it.") from error
    same = (
        found.model == info.model
        and found.categories == info.categories
        and found.about.get("epoch") == info.notes.get("epoch")
        and found.about.get("seed") == info.settings.get("seed")
    )
    return (found, "") if same else (None, f"The {RESULT_FILE} beside it is of another model, so it is not shown")


def _limits(info: CheckpointInfo, shows: tuple[str, ...], found: Evaluation | None, complaint: str) -> Iterator[str]:
    """What can be said from what is known."""
    settings, notes, features = info.settings, info.notes, info.features
    yield f"It knows {counted(len(info.categories), 'event category')} and takes everything else for background."
    if not info.multi_label:
        yield "A segment has one category: of events that overlap it finds one at a time."
    yield (
        f"Times are in steps of {info.segment_seconds:g} s; it was trained on windows of "
        f"{counted(info.num_segments, 'segment')}."
    )
    modalities = registry.modalities_of(info.model, info.options)
    if len(modalities) == 1:
        yield f"It looks at the {modalities[0]} only, so it cannot tell whether an event is both seen and heard."
    if "spatial_attention" not in shows:
        yield "It does not say where in the picture an event is."
    if not any(getattr(features, modality) for modality in modalities):
        yield "The networks that made its features are not known, so avel cannot make them of other videos."
    if settings.get("task") == "weak" or notes.get("labels_have_times") is False:
        yield "It was trained on labels of whole videos: when an event is, it had to find out by itself."
    few = settings.get("few_events")
    events = _events(info)
    if isinstance(few, int) and (rare := [name for name, count in events.items() if count < few]):
        yield f"It saw fewer than {few} training events of: {', '.join(rare)}."
    if found is None:
        yield f"{complaint}: how good it is on videos that had no part in the training is not known."
        return
    yield from (f"{warning[:1].upper()}{warning[1:]}." for warning in found.warnings)
    yield from _weaknesses(found)


def _weaknesses(found: Evaluation) -> Iterator[str]:
    if beaten_by := [name for name, best in found.baselines.items() if ORACLE not in name and not _beats(found, best)]:
        yield f"It is no better than the trivial answer: {', '.join(beaten_by)}."
    shares = _by_category(found)
    if poor := [name for name, share in shares.items() if share < GOOD_ENOUGH]:
        yield f"It finds less than {percent(GOOD_ENOUGH)} of the {found.unit}s of: {', '.join(poor)}."
    if absent := [name for name, share in shares.items() if math.isnan(share)]:
        yield f"In the {found.split} split there is nothing of: {', '.join(absent)}."
    videos = counted(found.metrics.videos, "video")
    yield f"It was measured on {videos} of the data it was trained on; others may differ more."


def _beats(found: Evaluation, trivial: Any) -> bool:
    name = "segment_accuracy" if isinstance(found.metrics, Metrics) else "mean_average_precision"
    return bool(getattr(found.metrics, name) > getattr(trivial, name))


def _by_category(found: Evaluation) -> dict[str, float]:
    """The share of its segments (or videos) that were found, NaN where there is none."""
    metrics = found.metrics
    if isinstance(metrics, Metrics):
        return dict(zip(found.categories, metrics.category_accuracy, strict=False))  # the last one is background's
    return {name: one.recall for name, one in zip(found.categories, metrics.categories, strict=True)}


def _events(info: CheckpointInfo) -> dict[str, int]:
    events = info.notes.get("training_events")
    if not isinstance(events, Mapping):
        return {}
    return {name: count for name, count in events.items() if name in info.categories and isinstance(count, int)}


def _markdown(card: Card) -> Iterator[str]:
    info, entry = card.info, registry.entry(card.info.model)
    yield f"# {info.model}: {entry.description}"
    yield ""
    yield f"{card.path.name}, {card.parameters:,} parameters. Model of {_plain(entry.paper)}."
    changed = _changed(info.options, registry.options_of(info.model).model_dump())
    if changed:
        yield f"Options that are not its paper's: {changed}."
    yield from ("", "## What it predicts", "")
    kind = "any number of these categories" if info.multi_label else "one of these categories, or background"
    yield f"For each segment of {info.segment_seconds:g} s: {kind}."
    if card.shows:
        yield f"It also shows: {', '.join(name.replace('_', ' ') for name in card.shows)}."
    yield ""
    yield from _table(_categories(card))
    yield from ("", "## What it was trained on", "")
    yield from _training(info)
    yield from ("", "## How good it is", "")
    yield from _measured(card)
    yield from ("", "## Limits", "")
    yield from (f"- {_plain(limit)}" for limit in card.limits)


def _categories(card: Card) -> list[tuple[str, ...]]:
    info, events = card.info, _events(card.info)
    table: list[tuple[str, ...]] = [("category",), *((name,) for name in info.categories)]

    def add(title: str, cells: list[str]) -> None:
        table[:] = [(*row, cell) for row, cell in zip(table, [title, *cells], strict=True)]

    if events:
        add("training events", [str(events.get(name, "-")) for name in info.categories])
    if info.thresholds:
        add("threshold", [f"{threshold:.3f}" for threshold in info.thresholds])
    if card.evaluation is not None:
        shares = _by_category(card.evaluation)
        title = f"{card.evaluation.unit}s found in {card.evaluation.split}"
        add(title, [percent(shares.get(name, math.nan)) for name in info.categories])
    return table


def _training(info: CheckpointInfo) -> Iterator[str]:
    settings, notes, features = info.settings, info.notes, info.features
    if "data" in notes:
        videos = notes.get("videos")
        shown = ", ".join(f"{count} {split}" for split, count in videos.items()) if isinstance(videos, Mapping) else ""
        yield f"- Data: {_plain(notes['data'])}{f' (videos: {shown})' if shown else ''}"
    for modality, size in (("visual", f"{features.regions} × {features.visual_dims}"), ("audio", features.audio_dims)):
        names = getattr(features, modality)
        made = ", ".join(f"{name}{_digest(features.networks.get(name))}" for name in names) or "networks not known"
        looked_at = "" if modality in registry.modalities_of(info.model, info.options) else ", not looked at"
        yield f"- {modality.capitalize()} features: {made}; {size} numbers a segment{looked_at}"
    if settings:
        labels = "labels of whole videos" if settings.get("task") == "weak" else "labels of segments"
        yield f"- Task: {settings.get('task')} ({labels})"
        yield (
            f"- Training: {settings.get('optimizer')}, learning rate {settings.get('learning_rate')}, batches of "
            f"{settings.get('batch_size')}, at most {settings.get('epochs')} epochs, seed {settings.get('seed')}"
        )
    else:
        yield "- Training: not by avel; its settings are not known"
    if "epoch" in notes and "chosen_on" in notes:
        protocol = settings.get("protocol")
        yield f"- Protocol: {protocol}; epoch {notes['epoch']} is kept, the best on the {notes['chosen_on']} split"
    elif "epoch" in notes:
        yield f"- Protocol: {settings.get('protocol')}; epoch {notes['epoch']} is kept, the last one"
    comparison = comparison_in(notes)
    if comparison is not None:
        yield f"- No model was named, and there were few training events: {_plain(comparison.chosen)} was the best of:"
        yield ""
        yield from _table(comparison.table())
        yield ""
        yield f"  {comparison.about()}"


def _measured(card: Card) -> Iterator[str]:
    for split, measures in card.info.metrics.items():
        if isinstance(measures, Mapping):
            shown = ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in measures.items())
            chosen = ", by which its epoch was chosen" if split == card.info.notes.get("chosen_on") else ""
            where = "By cross-validation" if split == CROSS_VALIDATION else f"On the {split} split{chosen}"
            yield f"{where}: {shown}."
    found = card.evaluation
    if found is None:
        return
    yield from (
        "",
        f"On the {found.split} split, {counted(found.metrics.videos, 'video')}, beside what needs no learning:",
        "",
    )
    yield from _table([("", *columns(found)), *rows(found)])


def _table(table: list[tuple[str, ...]]) -> Iterator[str]:
    cells = [[_plain(cell).replace("|", "\\|") for cell in row] for row in table]
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    rules = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    for number, row in enumerate(cells):
        numbers = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        yield f"| {' | '.join([row[0].ljust(widths[0]), *numbers])} |"
        if number == 0:
            yield f"|{'|'.join(rules)}|"


def _plain(text: Any) -> str:
    """On one line and without what steers a terminal: names come from files of others."""
    return "".join(letter for letter in " ".join(str(text).split()) if letter.isprintable())


def _changed(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in options.items() if value != defaults.get(name))


def _digest(network: Any) -> str:
    digest = network.get("digest") if isinstance(network, Mapping) else None
    return f" ({digest[:15]}…)" if isinstance(digest, str) else ""


def _value(value: Any) -> str:
    return percent(value) if isinstance(value, float) else str(value)
