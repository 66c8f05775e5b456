"""What all commands share: how text reaches the terminal, and how an error ends the program."""

import contextlib
import errno
import json
import logging
import os
import sys
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


errors = SafeConsole(stderr=True)


def say(markup: str) -> None:
    """Print a line, with rich's markup, on standard error."""
    errors.print(markup, highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """Print a warning on standard error."""
    say(f"[yellow]warning:[/yellow] {escape(message)}")


def complain(message: str) -> None:
    """Print an error on standard error."""
    say(f"[red]error:[/red] {escape(message)}")


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
        logging.getLogger("avel").debug("wrong usage", exc_info=True)
        fail(str(error), code=2)


@contextlib.contextmanager
def avel_errors() -> Iterator[None]:
    """Whatever goes wrong ends the program with one clear error."""
    try:
        yield
    except AvelError as error:
        logging.getLogger("avel").debug("an error of avel's", exc_info=True)
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


def _show_tracebacks(wanted: bool) -> None:
    if wanted:
        logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")
        logging.getLogger("avel").setLevel(logging.DEBUG)


Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        callback=_show_tracebacks,
        expose_value=False,
        help="Show where in the program an unexpected error came up (its traceback), for a report of it.",
    ),
]
"""An option of every command that can meet a file that nobody expected."""
