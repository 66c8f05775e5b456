"""What all commands share: how text reaches the terminal and the log, and how an error ends the program."""

import contextlib
import errno
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Annotated, Any, NoReturn

import typer

from avel.errors import AvelError, AvelWarning, missing_package, unexpected
from avel.files import utf8_text

Device = Annotated[str, typer.Option(help="Where the networks run: auto, cpu, cuda or torch-cpu.")]
"""The option ``--device`` of commands that only use networks."""


class Screen(logging.Handler):
    """Writes what is logged to standard error, as people read it.

    Attributes:
        as_json: each line as JSON instead, see `avel.cli.logs`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.as_json = False

    @property
    def shows_bars(self) -> bool:
        """Whether progress is a bar on a terminal, and so no line."""
        if self.as_json or self.level > logging.INFO or not sys.stderr.isatty():
            return False
        from avel.cli.terminal import errors

        return errors.is_terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what standard error refuses is raised, as by ``print``."""
        if getattr(record, "instead_of_bar", False) and self.shows_bars:
            return
        if self.as_json:
            print(self.format(record), file=sys.stderr, flush=True)
            return
        from avel.cli.terminal import errors

        markup = getattr(record, "markup", None) or escape(record.getMessage())
        if record.levelno >= logging.ERROR:
            markup = f"[red]error:[/red] {markup}"
        elif record.levelno >= logging.WARNING:
            markup = f"[yellow]warning:[/yellow] {markup}"
        elif record.name != LOGGER.name:
            markup = f"[dim]{record.levelname.lower()} {record.name}:[/dim] {markup}"
        errors.print(markup, highlight=False, soft_wrap=True)
        if record.exc_info:
            errors.print(escape(logging.Formatter().formatException(record.exc_info)), highlight=False, soft_wrap=True)


LIBRARY_LOGGER = logging.getLogger("avel")
LOGGER = logging.getLogger("avel.cli")
"""What commands say while they work, all of it: results alone are printed."""
SCREEN = Screen()
LIBRARY_LOGGER.addHandler(SCREEN)
LIBRARY_LOGGER.setLevel(logging.WARNING)
LOGGER.setLevel(logging.INFO)


def escape(text: str) -> str:
    """Text that rich's markup shows as it is. Rich is imported when it is needed first: many commands say nothing."""
    from rich.markup import escape as escaped

    return escaped(text)


def say(markup: str, *, instead_of_bar: bool = False, **fields: Any) -> None:
    """Say a line, with rich's markup, on standard error and in the log.

    Args:
        markup: the line.
        instead_of_bar: leave it out on a terminal that shows a bar of the same.
        fields: what it says, for logs that programs read.
    """
    _log(logging.INFO, markup=markup, instead_of_bar=instead_of_bar, fields=fields)


def detail(message: str, **fields: Any) -> None:
    """Say a line that only ``--verbose`` asks for; `say` tells of ``fields``."""
    _log(logging.DEBUG, message, fields=fields)


def warn(message: str) -> None:
    """Say a warning on standard error and in the log."""
    _log(logging.WARNING, message)


def complain(message: str) -> None:
    """Say an error on standard error and in the log."""
    _log(logging.ERROR, message)


def _log(level: int, message: str = "", *, markup: str | None = None, **extra: Any) -> None:
    if not LOGGER.isEnabledFor(level):
        return
    if markup is not None:
        from rich.text import Text

        message = Text.from_markup(markup).plain
    # Names of files may hold bytes that are no text, which whoever keeps records of a program could not write.
    LOGGER.log(level, "%s", utf8_text(message), extra={"markup": markup, **extra})


SECONDS_BETWEEN_LINES = 10.0
Clock = Callable[[], float]


class NowAndAgain:
    """Whether it is time to say how far something is: not at once, and not all the time.

    Args:
        clock: that is never set, in seconds.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._said = clock()

    def is_time(self) -> bool:
        """True where it was not so for `SECONDS_BETWEEN_LINES`."""
        now = self._clock()
        if now - self._said < SECONDS_BETWEEN_LINES:
            return False
        self._said = now
        return True


class ProgressLines:
    """How far many things are, a line every so often, where no bar shows it.

    Args:
        what: they are, such as ``videos looked at``.
        instead_of_bar: on terminals a bar shows it.
        clock: as of `NowAndAgain`.
    """

    def __init__(self, what: str, *, instead_of_bar: bool = True, clock: Clock = time.monotonic) -> None:
        self.what: str = what
        self.instead_of_bar: bool = instead_of_bar
        self._now_and_again = NowAndAgain(clock)

    def __call__(self, through: int, total: int) -> None:
        """Say so, if it is time."""
        if self._now_and_again.is_time():
            say(f"{through} of {total} {self.what}", instead_of_bar=self.instead_of_bar, through=through, total=total)


class ReadingLines:
    """How far the reading of one video is, a line every so often, where no bar shows it.

    Args:
        video: its path.
        clock: as of `NowAndAgain`.
    """

    def __init__(self, video: str, *, clock: Clock = time.monotonic) -> None:
        self._video = video
        self._now_and_again = NowAndAgain(clock)

    def __call__(self, done_seconds: float, total_seconds: float | None) -> None:
        """Say so, if it is time; what a file declares of its length may be wrong."""
        if not self._now_and_again.is_time():
            return
        of = ""
        if total_seconds:
            of = f" of {total_seconds:.0f} s ({min(100 * done_seconds / total_seconds, 100):.0f} %)"
        say(
            f"{escape(self._video)}: {done_seconds:.0f}{of or ' s'} looked at",
            instead_of_bar=True,
            video=self._video,
            done_seconds=done_seconds,
            total_seconds=total_seconds,
        )


class ReadingLinesOfEach:
    """`ReadingLines` of one video after the other: of those that take long."""

    def __init__(self, *, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._video: str | None = None

    def __call__(self, video: str, done_seconds: float, total_seconds: float | None) -> None:
        """Say how far a video is, if it is time."""
        if video != self._video:
            self._video, self._lines = video, ReadingLines(video, clock=self._clock)
        self._lines(done_seconds, total_seconds)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error and end the program."""
    complain(message)
    sys.exit(code)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """A wrong argument ends the program as wrong usage does, with exit code 2."""
    try:
        yield
    except ValueError as error:
        LIBRARY_LOGGER.debug("wrong usage", exc_info=True)
        fail(str(error), code=2)


@contextlib.contextmanager
def avel_errors() -> Iterator[None]:
    """Whatever goes wrong ends the program with one clear error."""
    try:
        yield
    except AvelError as error:
        LIBRARY_LOGGER.debug("an error of avel's", exc_info=True)
        fail(str(error))
    except KeyboardInterrupt:
        fail("stopped", code=130)
    except ModuleNotFoundError as error:
        fail(missing_package("This", error) or unexpected("avel", error))
    except Exception as error:
        fail(unexpected("avel", error))


@contextlib.contextmanager
def avel_warnings() -> Iterator[None]:
    """What avel's library warns of is said as `warn` says it; warnings of others stay as Python shows them."""
    shown = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, AvelWarning):
            warn(str(message))
        else:
            shown(message, category, *place, **more)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """What is printed is written by the end of the block, or the program ends with one clear error.

    A reader that wants no more, as ``head``, ends it without a word.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.filename is not None:
            raise
        # What could not be written is still held, and Python would complain about it once more at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if error.errno == errno.EPIPE:
            sys.exit(1)
        fail(f"Cannot write to standard output: {error.strerror or error}. Send it somewhere else, or use -o.")
