"""Praat's TextGrids, in its long and short form, UTF-8 or UTF-16, through praatio.

The intervals of all tiers are events, or those of the tiers that are asked for; intervals without text are none.
"""

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, read_bytes


def read(source: LabelFile) -> AnnotationSet:
    """Read the intervals of a TextGrid; its points have no length and are left out."""
    from praatio import textgrid
    from praatio.data_classes.point_tier import PointTier

    read_bytes(source.path)  # of bounded size
    try:
        grid = textgrid.openTextgrid(
            str(source.path), includeEmptyIntervals=False, reportingMode="silence", duplicateNamesMode="rename"
        )
    except Exception as error:  # praatio raises whatever its parsing raises
        source.fail(f"not readable as a TextGrid of Praat ({type(error).__name__}: {str(error)[:200]}).")
    video = source.options.video or source.path.stem
    source.add_without_event(video)
    for tier in grid.tiers:
        if source.options.tiers and not source.options.asks_for(tier.name):
            continue
        for number, entry in enumerate(tier.entries, start=1):
            source.where = f"tier '{tier.name}', {number}"
            text = tier.name if source.options.category_from == "tier" else entry.label.strip()
            if isinstance(tier, PointTier):
                source.add(video, float(entry.time), float(entry.time), text or tier.name)
            elif text:
                source.add(video, float(entry.start), float(entry.end), text)
    source.where = ""
    if source.options.tiers and not any(map(source.options.asks_for, grid.tierNames)):
        source.fail(
            f"no tier is called {' or '.join(source.options.tiers)}. Its tiers are: {', '.join(grid.tierNames)}."
        )
    return source.result()
