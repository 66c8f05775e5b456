"""What all commands share: messages on standard error, and how an error ends the program."""

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

from rich.console import Console
from rich.markup import escape

errors = Console(stderr=True)


def say(markup: str) -> None:
    """Print a line, with rich's markup, on standard error."""
    errors.print(markup, highlight=False, soft_wrap=True)


def fail(message: str, code: int = 1) -> NoReturn:
    """Print an error and end the program."""
    say(f"[red]error:[/red] {escape(message)}")
    sys.exit(code)


@contextlib.contextmanager
def usage_errors() -> Iterator[None]:
    """A wrong argument ends the program as wrong usage does, with exit code 2."""
    try:
        yield
    except ValueError as error:
        fail(str(error), code=2)
