"""What the default localizer finds in clips whose content was written down by looking and listening.

Two folders of labelled clips: ``data/media/events`` (16 clips; its labels say what is in a clip, not when) and
``data/media/events2`` (44 clips with times). Prints, for the built-in tables ``everyday`` and ``ave``, recall and
precision of audio-visual, heard-only and seen-only events, false events by kind, how far starts and ends are off, and
how often events of a score are right; with 95 % intervals of a bootstrap over clips, since the events of a clip hang
together.

A label is found, and an event is right, when their categories are the same, or one is the family of the other, and
they share more than 0.2 s. Only sure labels count; an event that meets unsure ones alone counts neither way. Heard-
only events are right when what they name, or a kind of it, is heard at that time, whether it is seen or not, and seen-
only events when it is seen in the clip, since labels do not say how long; of those only ``events2`` has labels. For
``ave`` only labels of the 28 categories are asked for, and "Speech" is asked for by neither member of its family.
"""

import argparse
import csv
import itertools
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from _common import SHARED, save

from avel.data.categories import ave_categories, everyday_categories
from avel.events import Event, Localization
from avel.localization.localizer import Localizer

TABLES = ("everyday", "ave")
FOLDERS = ("events", "events2")
MIN_OVERLAP_SECONDS = 0.2
RESAMPLES = 2000
BINS = (0.5, 0.55, 0.6, 0.65, 0.7, 1.0)
PARENTS = {category.name: category.family for category in everyday_categories()}


@dataclass(frozen=True)
class Label:
    """One event of a clip; one without times may be anywhere in it."""

    category: str
    start_seconds: float
    end_seconds: float
    relation: str
    is_sure: bool
    is_timed: bool

    def meets(self, event: Event) -> bool:
        """Whether they share enough time."""
        start = max(self.start_seconds, event.start_seconds)
        return min(self.end_seconds, event.end_seconds) - start > MIN_OVERLAP_SECONDS


@dataclass
class Clip:
    """Labels and events of one clip, and what was counted of them."""

    name: str
    labels: list[Label]
    events: Sequence[Event] = ()
    counts: Counter[str] = field(default_factory=Counter)
    onsets: list[float] = field(default_factory=list)
    offsets: list[float] = field(default_factory=list)
    scored: list[tuple[float, bool]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_clips(folder: str) -> list[Clip]:
    """The labelled clips of a folder."""
    clips: dict[str, Clip] = {}
    path = SHARED / "data" / "media" / folder
    with (path / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            clip = clips.setdefault(row["file"], Clip(f"{folder}/{row['file']}", []))
            if "start_seconds" in row:
                times = float(row["start_seconds"]), float(row["end_seconds"])
                clip.labels.append(Label(row["category"], *times, row["relation"], row["sure"] == "yes", True))
                continue
            relation = "audio-visual" if row["audio_visual"] == "yes" else "audio-only"
            for category in row["category"].removeprefix("other:").split("|"):
                clip.labels.append(Label(category, 0, float("inf"), relation, True, False))
    return list(clips.values())


def related(one: str, other: str) -> bool:
    """The same category, or one is the family of the other."""
    return one == other or PARENTS.get(one) == other or PARENTS.get(other) == one


def root(category: str) -> str:
    """What a category's family goes back to."""
    while PARENTS.get(category):
        category = PARENTS[category]
    return category


def is_a_kind_of(category: str, family: str) -> bool:
    """Whether a category is in a family, however far up."""
    while category and category != family:
        category = PARENTS.get(category, "")
    return bool(category)


def judge(clip: Clip, asked: frozenset[str] | None) -> None:
    """Count what is found, right and false in a clip, for labels of the categories that are asked for."""
    for modality, relation in (("audio-visual", "audio-visual"), ("audio", "audio-only"), ("visual", "visual-only")):
        events = [event for event in clip.events if event.modality == modality]
        for label in clip.labels:
            if label.relation != relation or not label.is_sure or (asked and label.category not in asked):
                continue
            hits = [event for event in events if related(label.category, event.category) and label.meets(event)]
            clip.counts[f"{modality} wanted"] += 1
            clip.counts[f"{modality} found"] += bool(hits)
            clip.counts[f"{modality} exact"] += any(event.category == label.category for event in hits)
            if not hits:
                clip.notes.append(f"missed {modality} {label.category} {label.start_seconds:g}-{label.end_seconds:g}")
            elif modality == "audio-visual" and label.is_timed:
                start = min((event.start_seconds - label.start_seconds for event in hits), key=abs)
                end = min((event.end_seconds - label.end_seconds for event in hits), key=abs)
                clip.onsets.append(start)
                clip.offsets.append(end)
    for event in clip.events:
        kind = _kind(clip, event)
        if kind is None:
            continue
        clip.counts[f"{event.modality} events"] += 1
        clip.counts[f"{event.modality} right"] += kind == "right"
        if event.modality == "audio-visual" and kind != "undecided":
            clip.scored.append((event.score, kind == "right"))
        if kind == "undecided":
            clip.counts[f"{event.modality} undecided"] += 1
        elif kind != "right":
            clip.counts[f"{event.modality} false: {kind}"] += 1
            times = f"{event.start_seconds:.1f}-{event.end_seconds:.1f}"
            clip.notes.append(f"false {event.modality} {event.category} {times} ({kind}, {event.score:.2f})")


def _kind(clip: Clip, event: Event) -> str | None:
    """``"right"``, ``"undecided"``, or what is false about an event; ``None`` where labels cannot say."""
    named = [label for label in clip.labels if related(label.category, event.category)]
    if event.modality != "audio-visual":
        if not all(label.is_timed for label in clip.labels):
            return None
        other = "visual-only" if event.modality == "audio" else "audio-only"
        kinds = [label for label in clip.labels if is_a_kind_of(label.category, event.category)]
        there = any(
            label.relation != other and (event.modality == "visual" or label.meets(event)) for label in [*named, *kinds]
        )
        return "right" if there else _why(clip, event, named)
    near = [label for label in named if label.meets(event)]
    if any(label.relation == "audio-visual" and label.is_sure for label in near):
        return "right"
    if any(not label.is_sure for label in near):
        return "undecided"
    if near:
        return "heard only" if near[0].relation == "audio-only" else "seen only"
    return _why(clip, event, named)


def _why(clip: Clip, event: Event, named: list[Label]) -> str:
    if named:
        return "wrong time"
    if any(root(label.category) == root(event.category) for label in clip.labels):
        return "wrong member of the family"
    return "category not there"


def summarize(clips: Sequence[Clip]) -> dict[str, Any]:
    """Figures over clips, with intervals."""
    total = sum((clip.counts for clip in clips), Counter[str]())
    summary: dict[str, Any] = {"clips": len(clips)}
    for modality in ("audio-visual", "audio", "visual"):
        judged = total[f"{modality} events"] - total[f"{modality} undecided"]
        summary[modality] = {
            "labels": total[f"{modality} wanted"],
            "found": total[f"{modality} found"],
            "of them exactly": total[f"{modality} exact"],
            "recall": _ratio(clips, lambda c, m=modality: (c[f"{m} found"], c[f"{m} wanted"])),
            "events": total[f"{modality} events"],
            "right": total[f"{modality} right"],
            "undecided": total[f"{modality} undecided"],
            "false": judged - total[f"{modality} right"],
            "precision": _ratio(clips, lambda c, m=modality: (c[f"{m} right"], c[f"{m} events"] - c[f"{m} undecided"])),
            "false by kind": {
                key.removeprefix(f"{modality} false: "): count
                for key, count in sorted(total.items())
                if key.startswith(f"{modality} false: ")
            },
        }
    for name in ("onsets", "offsets"):
        errors = [abs(error) for clip in clips for error in getattr(clip, name)]
        if errors:
            summary[f"{name.removesuffix('s')} error, s"] = {
                "mean": round(float(np.mean(errors)), 2),
                "median": round(float(np.median(errors)), 2),
            }
    summary["reliability"] = _reliability([pair for clip in clips for pair in clip.scored])
    return summary


def _ratio(clips: Sequence[Clip], parts: Callable[[Counter[str]], tuple[int, int]]) -> list[float] | None:
    """A share with its 95 % interval of a bootstrap over clips; ``None`` of nothing."""
    pairs = np.array([parts(clip.counts) for clip in clips], float)
    if not len(pairs) or pairs[:, 1].sum() == 0:
        return None
    drawn = pairs[np.random.default_rng(0).integers(0, len(pairs), (RESAMPLES, len(pairs)))].sum(axis=1)
    shares = drawn[drawn[:, 1] > 0]
    low, high = np.percentile(shares[:, 0] / shares[:, 1], [2.5, 97.5])
    return [round(float(value), 2) for value in (pairs[:, 0].sum() / pairs[:, 1].sum(), low, high)]


def _reliability(scored: Sequence[tuple[float, bool]]) -> list[dict[str, Any]]:
    rows = []
    for low, high in itertools.pairwise(BINS):
        within = [(score, right) for score, right in scored if low <= score < high]
        if within:
            mean, right = np.mean(within, axis=0)
            row = {"from": low, "to": high, "events": len(within)}
            rows.append({**row, "mean score": round(float(mean), 2), "right": round(float(right), 2)})
    return rows


def localize(clips: Sequence[Clip], make: Callable[[], Localizer], results: Path | None) -> list[str]:
    """Find the events of clips, or read what was found before; gives the networks' names."""
    names: list[str] = []
    localizer = None
    for clip in clips:
        stored = None if results is None else results / f"{Path(clip.name).stem}.json"
        if stored is not None and stored.exists():
            result = Localization.from_json(stored)
        else:
            localizer = localizer or make()
            result = localizer(SHARED / "data" / "media" / clip.name)
            if stored is not None:
                stored.parent.mkdir(parents=True, exist_ok=True)
                stored.write_text(result.to_json(), encoding="utf-8")
        clip.events = result.events
        names = list(result.model["backbones"])
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--verbose", action="store_true", help="print what is missed and what is false, clip by clip")
    parser.add_argument("--audio-tagger", choices=("yamnet", "yamnet-onnx", "embedded"), default="yamnet")
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=TABLES)
    parser.add_argument("--results", type=Path, help="folder of results, TABLE/CLIP.json, to keep or to score again")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    report: dict[str, Any] = {"tables": {}}
    for table in args.tables:
        clips = {folder: read_clips(folder) for folder in FOLDERS}
        everything = [clip for folder in FOLDERS for clip in clips[folder]]
        results = None if args.results is None else args.results / table
        report["backbones"] = localize(
            everything, lambda table=table: Localizer(categories=table, audio_tagger=args.audio_tagger), results
        )
        asked = frozenset(category.name for category in ave_categories()) if table == "ave" else None
        for clip in everything:
            judge(clip, asked)
        report["tables"][table] = {
            **{folder: summarize(clips[folder]) for folder in FOLDERS},
            "both": summarize(everything),
            "by clip": {clip.name: clip.notes for clip in everything if clip.notes},
        }
        if args.verbose:
            for clip in everything:
                for note in clip.notes:
                    print(f"{table:9} {clip.name:32} {note}")
        shown = {key: value for key, value in report["tables"][table].items() if key != "by clip"}
        print(json.dumps({table: shown}, indent=1))
    if not args.no_save:
        save(__file__.replace(".py", f"_{args.audio_tagger}.py"), report)


if __name__ == "__main__":
    main()
