"""Localizing in workers: what all videos have in common, as `avel.features.distributed` sends it to other processes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from avel.batch.one import VideoOutcome, localize_one
from avel.outputs.destination import Destination

if TYPE_CHECKING:
    from avel.localization.localizer import Localizer


class LocalizationTask(NamedTuple):
    """One video to localize.

    Attributes:
        video: its path.
        position: at the destination.
        seen: size and times of the file when it was given out.
    """

    video: str
    position: int
    seen: tuple[int, ...]


@dataclass(frozen=True)
class LocalizationJob:
    """What all videos of a run have in common; see `avel.features.distributed.SharedJob`.

    Attributes:
        settings: of the `avel.localization.localizer.Localizer`.
        destination: where results go.
        token: tells this run's networks from those of others.
    """

    settings: Mapping[str, Any]
    destination: Destination
    token: str

    def load(self, threads: int | None) -> "Localizer":
        """Load the networks."""
        from avel.localization.localizer import Localizer

        return Localizer(**self.settings, threads=threads)

    def describe(self, loaded: "Localizer") -> list[str]:
        """What a user should know of the localizer."""
        return list(loaded.notices)

    def do(self, task: LocalizationTask, loaded: "Localizer", threads: int) -> tuple[LocalizationTask, VideoOutcome]:
        """Localize one video and write its files."""
        outcome = localize_one(loaded, task.video, self.destination, task.position)
        if outcome.result is None:
            return task, outcome
        return task, replace(outcome, result=replace(outcome.result, attention=None, details={}))  # large, and written

    def failed(
        self, task: LocalizationTask, reason: str, *, quarantined: bool = False
    ) -> tuple[LocalizationTask, VideoOutcome]:
        """What became of a video that no worker could do."""
        return task, VideoOutcome(task.video, "failed", f"{task.video}: {reason}", quarantined=quarantined)
