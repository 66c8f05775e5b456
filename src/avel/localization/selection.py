"""Which of the events that were found are wanted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from avel.events import Event, Modality, by_start

ModalityChoice = Literal["all", "audio-visual", "audio", "visual"]
MODALITY_CHOICES: tuple[ModalityChoice, ...] = get_args(ModalityChoice)

_SLACK_SECONDS = 1e-6
"""So that a gap of 0.1 s is one whatever floating point made of it."""


@dataclass(frozen=True)
class Selection:
    """Which events are wanted, in the order in which it is applied.

    Attributes:
        modality: ``"all"``, or the only one that is wanted.
        merge_gap_seconds: events of one category and modality with at most this long between them are one.
        min_length_seconds: shorter events are left out.
        min_score: events with a lower score are left out.

    Raises:
        ValueError: if a value is not allowed.
    """

    modality: ModalityChoice = "all"
    merge_gap_seconds: float = 0.0
    min_length_seconds: float = 0.0
    min_score: float = 0.0

    def __post_init__(self) -> None:
        if self.modality not in MODALITY_CHOICES:
            raise ValueError(f"modality must be one of {', '.join(MODALITY_CHOICES)}, got {self.modality!r}.")
        for name in ("merge_gap_seconds", "min_length_seconds"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}.")
        if not 0 <= self.min_score <= 1:
            raise ValueError(f"min_score must be from 0 to 1, got {self.min_score}.")


def select(events: Iterable[Event], selection: Selection) -> tuple[Event, ...]:
    """The events that are wanted, by start."""
    wanted = [event for event in events if selection.modality in ("all", event.modality)]
    if selection.merge_gap_seconds > 0:
        wanted = _merged(wanted, selection.merge_gap_seconds)
    return by_start(
        event
        for event in wanted
        if event.duration_seconds >= selection.min_length_seconds - _SLACK_SECONDS
        and event.score >= selection.min_score
    )


def _merged(events: Iterable[Event], gap_seconds: float) -> list[Event]:
    last: dict[tuple[str, Modality], Event] = {}
    merged: list[Event] = []
    for event in by_start(events):
        key = (event.category, event.modality)
        before = last.get(key)
        if before is not None and event.start_seconds - before.end_seconds <= gap_seconds + _SLACK_SECONDS:
            end = max(before.end_seconds, event.end_seconds)
            event = Event(event.category, before.start_seconds, end, max(before.score, event.score), event.modality)
            merged[merged.index(before)] = event
        else:
            merged.append(event)
        last[key] = event
    return merged
