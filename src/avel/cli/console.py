"""What all commands share: how text reaches the terminal and the log, and how an error ends the program."""

import contextlib
import errno
import json
import logging
import os
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from avel.errors import AvelError, missing_package, unexpected

UNPRINTABLE = frozenset(
    [
        *range(0x00, 0x20),  # control characters, which can move the cursor, hide text or drive the terminal
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),  # text that runs the other way, so that what is read is not what is written
        *range(0x2066, 0x206A),
        *range(0x2028, 0x202A),  # line ends
        *range(0xD800, 0xE000),  # bytes of a file name that are no text
    ]
)


Device = Annotated[str, typer.Option(help="Where the networks run: auto, cpu, cuda or torch-cpu.")]
"""The option ``--device`` of commands that only use networks."""


def printable(text: str, keep: str = "") -> str:
    r"""Text in which control characters are written as escapes, such as ``\x1b``.

    Names of files and of event categories can come from strangers, and a terminal obeys what it is sent.

    Args:
        text: anything.
        keep: characters that stay as they are, such as a line end.
    """
    bad = {number: ascii(chr(number))[1:-1] for number in set(map(ord, text)) & UNPRINTABLE if chr(number) not in keep}
    return text.translate(bad)


def print_json(content: Any, indent: int | None = 2) -> None:
    """Print as JSON, with what a terminal would obey as JSON's own escapes."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    print(text.translate({number: f"\\u{number:04x}" for number in UNPRINTABLE - {ord("\n")}}))


class SafeConsole(Console):
    """Rich's console for text that may hold control characters; see `printable`."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make text with rich's markup ready to be printed."""
        return super().render_str(printable(text, keep="\n"), **settings)


errors: SafeConsole = SafeConsole(stderr=True)


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
        return errors.is_terminal and not self.as_json and self.level <= logging.INFO

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what standard error refuses is raised, as by ``print``."""
        if getattr(record, "instead_of_bar", False) and self.shows_bars:
            return
        if self.as_json:
            print(self.format(record), file=sys.stderr, flush=True)
            return
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


def say(markup: str, *, instead_of_bar: bool = False, **fields: Any) -> None:
    """Say a line, with rich's markup, on standard error and in the log.

    Args:
        markup: the line.
        instead_of_bar: leave it out on a terminal that shows a bar of the same.
        fields: what it says, for logs that programs read.
    """
    _log(logging.INFO, markup, instead_of_bar=instead_of_bar, fields=fields)


def detail(message: str, **fields: Any) -> None:
    """Say a line that only ``--verbose`` asks for; `say` tells of ``fields``."""
    _log(logging.DEBUG, escape(message), fields=fields)


def warn(message: str) -> None:
    """Say a warning on standard error and in the log."""
    _log(logging.WARNING, escape(message))


def complain(message: str) -> None:
    """Say an error on standard error and in the log."""
    _log(logging.ERROR, escape(message))


def _log(level: int, markup: str, **extra: Any) -> None:
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, "%s", Text.from_markup(markup).plain, extra={"markup": markup, **extra})


class ProgressLines:
    """How far many things are, a line every so often, where no bar shows it.

    Args:
        what: they are, such as ``videos looked at``.
        instead_of_bar: on terminals a bar shows it.
    """

    def __init__(self, what: str, *, instead_of_bar: bool = True) -> None:
        self.what: str = what
        self.instead_of_bar: bool = instead_of_bar
        self._told = time.monotonic()

    def __call__(self, through: int, total: int) -> None:
        """Say so, unless it was said less than `SECONDS_BETWEEN_LINES` ago."""
        if time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            say(f"{through} of {total} {self.what}", instead_of_bar=self.instead_of_bar, through=through, total=total)


SECONDS_BETWEEN_LINES = 10.0


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
