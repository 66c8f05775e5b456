"""The polyphonic sound detection score of predicted events, by the package sed_scores_eval.

Input
    Predicted events with scores, true events, and the length of each video in seconds.

Conventions
    A score over time is made of the events: at every moment the largest score of a category's events that are on,
    else 0. So predicted events of a category that touch are one for the thresholds that both reach. True events that
    touch or overlap are one. The settings are those of DCASE's task 4: *PSDS 1* asks for exact times (detection and
    ground truth tolerance 0.7, no cost of cross-triggers), *PSDS 2* for the right category (0.1, 0.1, cross-triggers
    0.3 at a cost of 0.5); both subtract the deviation over categories once, and end at 100 false positives an hour.

Range
    [0, 1]; below 0 is possible where categories differ widely.

Sources
    Bilen et al., ICASSP 2020; computed for all thresholds at once by Ebbers, Serizel and Haeb-Umbach, ICASSP 2022.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avel.metrics.detection import TimedEvent

PSDS_SETTINGS: Mapping[str, Mapping[str, float]] = {
    "psds1": {"dtc_threshold": 0.7, "gtc_threshold": 0.7, "alpha_ct": 0.0, "alpha_st": 1.0},
    "psds2": {"dtc_threshold": 0.1, "gtc_threshold": 0.1, "cttc_threshold": 0.3, "alpha_ct": 0.5, "alpha_st": 1.0},
}
MAX_FALSE_POSITIVES_AN_HOUR = 100.0


def psds(
    predicted: Sequence[TimedEvent], true: Sequence[TimedEvent], durations: Mapping[str, float]
) -> dict[str, float]:
    """PSDS 1 and 2.

    Args:
        predicted: in any order.
        true: in any order; of two categories or more, since the package fails with one.
        durations: seconds of every video, at least as long as its events.

    Raises:
        ModuleNotFoundError: if sed_scores_eval is not installed (``pip install 'avel[psds]'``).
    """
    from sed_scores_eval.base_modules.scores import create_score_dataframe
    from sed_scores_eval.intersection_based import psds as by_package

    # Names of the user's may hold what the package does not take.
    names = sorted({event.category for event in true})
    columns = {name: f"category{number}" for number, name in enumerate(names)}
    order = {score: rank for rank, score in enumerate(sorted({event.score for event in predicted}), start=1)}
    of_video: Mapping[str, list[TimedEvent]] = defaultdict(list)
    for event in predicted:
        of_video[event.video].append(event)
    scores: dict[str, Any] = {}
    for video, seconds in durations.items():
        events = [event for event in of_video[video] if event.category in columns]
        edges = sorted({0.0, seconds, *(time for event in events for time in event[2:4])})
        table = np.zeros((len(edges) - 1, len(names)))
        for event in events:
            first, last = (edges.index(time) for time in event[2:4])
            span = table[first:last, names.index(event.category)]
            np.maximum(span, order[event.score] / len(order), out=span)  # only their order counts
        scores[video] = create_score_dataframe(table, np.array(edges), list(columns.values()))
    truth: dict[str, list[tuple[float, float, str]]] = {video: [] for video in durations}
    for event in sorted(true, key=lambda one: (one.category, one.start_seconds)):
        spans, column = truth[event.video], columns[event.category]
        if spans and spans[-1][2] == column and event.start_seconds <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], event.end_seconds), column)
        else:
            spans.append((event.start_seconds, event.end_seconds, column))
    return {
        name: float(by_package(scores, truth, dict(durations), max_efpr=MAX_FALSE_POSITIVES_AN_HOUR, **settings)[0])
        for name, settings in PSDS_SETTINGS.items()
    }
