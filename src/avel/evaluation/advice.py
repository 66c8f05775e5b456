"""What to tell a person whose model has learned nothing: why that may be so, and what to do."""

from collections.abc import Iterator, Mapping

from avel.evaluation.evaluate import Evaluation
from avel.metrics.segments import Metrics
from avel.training.cross_validation import CROSS_VALIDATION
from avel.training.loop import TrainingResult
from avel.training.settings import TrainingSettings

ORACLE = "(oracle)"
"""In the name of a trivial answer that is told what a model has to find out."""

LEARNED_POINTS = 1.0
"""Percentage points above every trivial answer from which on a model has learned something."""


def advice(
    settings: TrainingSettings, result: TrainingResult, found: Evaluation, events: Mapping[str, int] | None = None
) -> str:
    """Why a model learned nothing and what to do; empty when it has learned something.

    Args:
        settings: of its training.
        result: of its training.
        found: how good it is, beside the trivial answers.
        events: number of training events of each category, where that is known.
    """
    measure = "segment_accuracy" if isinstance(found.metrics, Metrics) else "mean_average_precision"
    own = 100 * getattr(found.metrics, measure)
    trivial = {name: 100 * getattr(one, measure) for name, one in found.baselines.items() if ORACLE not in name}
    best = max(trivial, key=lambda name: trivial[name])
    if own > trivial[best] + LEARNED_POINTS:
        return ""
    start = (
        f"The model has learned nothing: its {measure.replace('_', ' ')} on split {found.split} is {own:.1f} %, and "
        f"'{best}', which needs no learning, has {trivial[best]:.1f} %."
    )
    return " ".join([start, *_reasons(settings, result, events or {})])


def _reasons(settings: TrainingSettings, result: TrainingResult, events: Mapping[str, int]) -> Iterator[str]:
    few_events = settings.few_events
    few = [f"{name} ({count})" for name, count in events.items() if count < few_events]
    if few:
        yield (
            f"There are few training events of {', '.join(few[:5])}{', ...' if len(few) > 5 else ''}: label more, "
            f"{few_events} or more of each category."
        )
        if settings.protocol != CROSS_VALIDATION:
            yield "Leave --model out, so that the best of several models for few examples is taken."
    if settings.class_weights == "none" and settings.protocol != CROSS_VALIDATION:
        yield "If most segments are background, try --class-weights balanced."
    losses = [epoch.loss for epoch in result.history]
    if len(losses) > 1 and losses[-1] > losses[0]:
        yield "The loss grew: try a smaller --learning-rate."
    elif result.chosen_on is not None and result.best_epoch >= len(losses) - 1:
        yield "The last epochs were the best: try more --epochs."
