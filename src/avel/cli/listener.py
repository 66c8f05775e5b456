"""Shows on standard error how a training goes on. Imported by commands when they run, since it needs the library."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager

from rich.markup import escape

from avel.cli.console import SCREEN, ProgressLines, ReadingLinesOfEach, detail, say, warn
from avel.cli.features import extraction_progress
from avel.cli.terminal import errors
from avel.evaluation.report import aligned
from avel.evaluation.train_on import Listener
from avel.features.run import OutcomeProgress
from avel.training.comparison import ModelComparison
from avel.training.loop import EpochProgress
from avel.training.state import Epoch


class ConsoleListener(Listener):
    """Lines as things happen, and on a terminal bars."""

    def __init__(self) -> None:
        self._epochs = ProgressLines("epochs", instead_of_bar=False)
        self._reading = ReadingLinesOfEach()

    def say(self, text: str) -> None:
        """Print a line."""
        say(escape(text))

    def warn(self, text: str) -> None:
        """Print a warning."""
        warn(text)

    def extracting(self) -> AbstractContextManager[OutcomeProgress | None]:
        """Videos that fail, and on a terminal a bar."""
        return extraction_progress()

    def reading(self, video: str, done_seconds: float, total_seconds: float | None) -> None:
        """A line every so often."""
        self._reading(video, done_seconds, total_seconds)

    def matching(self, epoch: int, epochs: int, loss: float) -> None:
        """A line every so often, and with ``--verbose`` for each epoch."""
        detail(f"epoch {epoch}/{epochs}: loss {loss:.4f}", epoch=epoch, epochs=epochs, loss=loss)
        self._epochs(epoch, epochs)

    def comparing(self, comparison: ModelComparison) -> None:
        """A table of what was compared, and what was chosen."""
        say(f"compared by cross-validation: {escape(comparison.about())}")
        for line in aligned(comparison.table()):
            say(escape(line))
        say(f"chosen: {escape(comparison.chosen)}", **comparison.to_dict())

    def training(self, epochs: int) -> AbstractContextManager[EpochProgress | None]:
        """A line an epoch, and on a terminal a bar instead."""
        return _bar(epochs) if SCREEN.shows_bars else contextlib.nullcontext(_line)


def _line(epoch: Epoch, epochs: int) -> None:
    say(
        f"epoch {epoch.epoch}/{epochs}: {epoch}",
        instead_of_bar=True,
        epoch=epoch.epoch,
        epochs=epochs,
        loss=epoch.loss,
        accuracy=epoch.accuracy,
    )


@contextlib.contextmanager
def _bar(total: int) -> Iterator[EpochProgress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("reading features", total=total)

        def update(epoch: Epoch, epochs: int) -> None:
            _line(epoch, epochs)
            bar.update(task, completed=epoch.epoch, total=epochs, description=str(epoch))

        yield update
