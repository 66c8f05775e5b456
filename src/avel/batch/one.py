"""One video to its result, with whatever can go wrong on the way told as what became of it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from avel.batch.thumbnails import renew_thumbnail
from avel.errors import AvelError, OutputError, unexpected
from avel.events import Localization
from avel.localization.localizer import LocalizationRun, Localizer
from avel.outputs.destination import Destination

SECONDS_BETWEEN_SAVES = 60.0

Watch = Callable[[LocalizationRun], AbstractContextManager[Callable[[float], None]]]
"""Is around the reading of a video, and gives what is called with the seconds that have been read."""


@dataclass(frozen=True)
class VideoOutcome:
    """What became of one video.

    Attributes:
        video: its path, as it was given.
        status: ``"stopped"`` when a user wanted no more of it; what was found until then is there.
        reason: why it failed.
        paths: files that were written.
        warnings: what a person should know, of the result and of writing it.
        result: what was found, ``None`` when it failed.
        quarantined: it takes the process that reads it down with it, and is left alone from now on.
    """

    video: str
    status: Literal["done", "stopped", "failed"]
    reason: str = ""
    paths: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    result: Localization | None = field(default=None, repr=False)
    quarantined: bool = False


def localize_one(
    localizer: Localizer, video: str, destination: Destination, index: int, *, watch: Watch | None = None
) -> VideoOutcome:
    """Find the events of one video and write its files. No exception of a video's leaves it.

    Args:
        localizer: what finds the events.
        video: the file.
        destination: where results go.
        index: position of the video there.
        watch: is around the reading of the video, as for a progress bar or for Ctrl-C.
    """
    warnings: list[str] = []
    try:
        run = localizer.start(video)
        with run, nullcontext(_ignore) if watch is None else watch(run) as progress:
            _read(run, destination, index, progress, warnings)
        result = run.result()
        paths = destination.save(result, index, warnings, is_whole=not run.stopped)
        renew_thumbnail(destination, video, index)
    except AvelError as error:
        return VideoOutcome(video, "failed", str(error), warnings=tuple(warnings))
    except Exception as error:  # whatever a file does to a library, the others go on
        return VideoOutcome(video, "failed", unexpected(video, error), warnings=tuple(warnings))
    return VideoOutcome(
        video,
        "stopped" if run.stopped else "done",
        paths=tuple(paths),
        warnings=(*result.warnings, *warnings),
        result=result,
    )


def _read(
    run: LocalizationRun,
    destination: Destination,
    index: int,
    progress: Callable[[float], None],
    warnings: list[str],
) -> None:
    """Read a video to its end, and keep what was found so far now and then."""
    saved = time.monotonic()
    for done_seconds in run:
        progress(done_seconds)
        if run.num_segments and time.monotonic() - saved > SECONDS_BETWEEN_SAVES and not warnings:
            try:
                destination.save_partial(run.result(), index)
            except OutputError as error:
                warnings.append(f"What was found so far could not be kept while the video was read. {error}")
            saved = time.monotonic()


def _ignore(seconds: float) -> None:
    """Called where nobody watches."""
