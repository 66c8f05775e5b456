"""Praat's TextGrids, in its long and short form, UTF-8 or UTF-16, through praatio.

The intervals of all tiers are events, or those of the tiers that are asked for; intervals without text are none.
"""

import re
from typing import Any

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, read_bytes
from avel.data.formats.naming import MODALITY_WORDS, one_line, tier_names
from avel.events import Localization, by_start


def read(source: LabelFile) -> AnnotationSet:
    """Read the intervals of a TextGrid; its points have no length and are left out."""
    from praatio.data_classes.point_tier import PointTier

    read_bytes(source.path)  # of bounded size
    try:
        grid, names = _opened(source)
    except UnicodeError:
        source.fail("is neither UTF-8 nor UTF-16 text. Save it with one of these in Praat (Text writing preferences).")
    except Exception as error:  # praatio raises whatever its parsing raises
        source.fail(f"not readable as a TextGrid of Praat ({type(error).__name__}: {str(error)[:200]}).")
    video = source.options.video or source.path.stem
    source.add_without_event(video)
    known = {words: modality for modality, words in MODALITY_WORDS.items()}
    for tier, name in zip(grid.tiers, names, strict=True):
        if source.options.tiers and not source.options.asks_for(name):
            continue
        for number, entry in enumerate(tier.entries, start=1):
            source.where = f"tier '{name}', {number}"
            text = name if source.options.category_from == "tier" else entry.label.strip()
            if isinstance(tier, PointTier):
                source.add(video, float(entry.time), float(entry.time), text or name)
            elif text:
                modality = known.get(name.partition(" #")[0])
                source.add(video, float(entry.start), float(entry.end), text, modality=modality)
    source.where = ""
    if source.options.tiers and not any(map(source.options.asks_for, names)):
        source.fail(f"no tier is called {' or '.join(source.options.tiers)}. Its tiers are: {', '.join(names)}.")
    return source.result()


def _opened(source: LabelFile) -> tuple[Any, list[str]]:
    """The TextGrid and the names of its tiers as they are in the file: praatio makes equal ones different."""
    from praatio import textgrid
    from praatio.utilities.errors import TextgridException

    options: dict[str, Any] = {"includeEmptyIntervals": False, "reportingMode": "silence"}
    try:
        grid = textgrid.openTextgrid(str(source.path), duplicateNamesMode="error", **options)
        return grid, list(grid.tierNames)
    except TextgridException:
        grid = textgrid.openTextgrid(str(source.path), duplicateNamesMode="rename", **options)
        there = set(grid.tierNames)
        return grid, [base if (base := re.sub(r"_\d+$", "", name)) in there else name for name in grid.tierNames]


def text(result: Localization) -> str:
    """A TextGrid in the long form with a tier of intervals for each modality; those of one tier never overlap."""
    ends: dict[str, float] = {}
    tiers: dict[str, list[tuple[float, float, str]]] = {}
    for event in by_start(result.events):
        start, end = round(event.start_seconds, 6), round(max(event.end_seconds, event.start_seconds + 1e-6), 6)
        tier = next(name for name in tier_names(event.modality) if ends.get(name, 0.0) <= start)
        tiers.setdefault(tier, []).append((start, end, one_line(event.category)))
        ends[tier] = end
    length = max([round(result.duration_seconds, 6), *ends.values()])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {length:.6f}"]
    lines += ["tiers? <exists>", f"size = {max(len(tiers), 1)}", "item []:"]
    for number, (name, intervals) in enumerate((tiers or {"events": []}).items(), start=1):
        filled = _without_gaps(intervals, length)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"']
        lines += ["        xmin = 0", f"        xmax = {length:.6f}", f"        intervals: size = {len(filled)}"]
        for n, (start, end, label) in enumerate(filled, start=1):
            quoted = label.replace('"', '""')
            lines += [f"        intervals [{n}]:", f"            xmin = {start:.6f}", f"            xmax = {end:.6f}"]
            lines.append(f'            text = "{quoted}"')
    return "\n".join(lines) + "\n"


def _without_gaps(intervals: list[tuple[float, float, str]], length: float) -> list[tuple[float, float, str]]:
    """Intervals with empty ones between them, as Praat wants a tier to be."""
    filled: list[tuple[float, float, str]] = []
    now = 0.0
    for start, end, label in intervals:
        if start > now:
            filled.append((now, start, ""))
        filled.append((start, end, label))
        now = end
    if now < length:
        filled.append((now, length, ""))
    return filled
