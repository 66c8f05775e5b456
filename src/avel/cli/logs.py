"""Options of the commands that may take long: how much they say while they work, where to, and how.

Whatever is said goes through Python's ``logging``, to the logger ``avel.cli``; what the library logs goes to loggers
below ``avel``. Standard error shows it (`avel.cli.console.Screen`), and a log file where one is asked for.
"""

import contextlib
import datetime
import functools
import inspect
import json
import logging
import math
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from avel.cli.console import LIBRARY_LOGGER, LOGGER, SCREEN, escape
from avel.cli.printing import printable
from avel.errors import OutputError
from avel.files import cannot_write


class LogFormat(StrEnum):
    """What a line of a log is."""

    TEXT = "text"
    JSON = "json"


def _options(
    verbose: Annotated[
        bool,
        typer.Option(
            "-v", "--verbose", help="Say more on standard error: what became of each video, each epoch, each cache."
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option(
            "-q",
            "--quiet",
            help="Say nothing on standard error but errors; results are printed, and the log file is written, as ever.",
        ),
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Add what is said, each line with its time, to the end of this file. Choose it for runs that nobody "
            "watches.",
        ),
    ] = None,
    log_format: Annotated[
        LogFormat,
        typer.Option(
            help="What the lines of the log file, or of standard error where there is none, are: text, or json, an "
            "object a line with time, level, logger and message, for programs that collect logs."
        ),
    ] = LogFormat.TEXT,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show where in the program an unexpected error came up (its traceback), for a report of it.",
        ),
    ] = False,
) -> None:
    """Set up what is logged, how much of it, and where to.

    Raises:
        OutputError: if the log file cannot be written.
    """
    library = logging.DEBUG if debug else logging.INFO if verbose else logging.WARNING
    LIBRARY_LOGGER.setLevel(library)
    LOGGER.setLevel(logging.DEBUG if verbose or debug else logging.INFO)
    SCREEN.setLevel(logging.ERROR if quiet else logging.NOTSET)
    SCREEN.as_json = log_format == LogFormat.JSON and log_file is None
    SCREEN.setFormatter(JsonLines() if SCREEN.as_json else None)
    for handler in [handler for handler in LIBRARY_LOGGER.handlers if isinstance(handler, LogFile)]:
        LIBRARY_LOGGER.removeHandler(handler)
        handler.close()
    if log_file is not None:
        LIBRARY_LOGGER.addHandler(LogFile(log_file, JsonLines() if log_format == LogFormat.JSON else TextLines()))


def logged(command: Callable[..., None]) -> Callable[..., None]:
    """A command that has the options of this module, too."""
    own, more = inspect.signature(command), inspect.signature(_options)

    @functools.wraps(command)
    def with_options(*arguments: Any, **values: Any) -> None:
        _options(**{name: values.pop(name) for name in more.parameters if name in values})
        command(*arguments, **values)

    parameters = [*own.parameters.values(), *more.parameters.values()]
    with_options.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = command.__annotations__ | _options.__annotations__
    return with_options


class CommandGroup(typer.Typer):
    """Commands that all have the options of this module, too."""

    def command(self, *arguments: Any, **settings: Any) -> Callable[[Any], Any]:
        """As typer's, with these options."""
        add = super().command(*arguments, **settings)

        def decorated(command: Any) -> Any:
            add(logged(command))
            return command

        return decorated


class TextLines(logging.Formatter):
    """Lines for people: time, level, message; a name with a line end in it makes no line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback below it where there is one."""
        line = f"{_time(record)} {record.levelname.lower()}: {printable(record.getMessage())}"
        return line if record.exc_info is None else f"{line}\n{self.formatException(record.exc_info)}"


class JsonLines(logging.Formatter):
    """Lines for programs: an object of JSON, in ASCII."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        content: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **{name: _finite(value) for name, value in getattr(record, "fields", {}).items()},
        }
        if record.exc_info is not None:
            content["traceback"] = self.formatException(record.exc_info)
        return json.dumps(content, allow_nan=False)


class LogFile(logging.FileHandler):
    """The end of a file; what the disk refuses is said once, and the work goes on.

    Raises:
        OutputError: if the file cannot be written.
    """

    def __init__(self, path: Path, lines: logging.Formatter) -> None:
        try:
            super().__init__(path, mode="a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise OutputError(cannot_write(path, error)) from None
        self.setFormatter(lines)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Say it, and write no more."""
        from avel.cli.terminal import errors

        self.setLevel(logging.CRITICAL + 1)
        text = f"{self.baseFilename}: nothing more can be written to this log file."
        errors.print(f"[yellow]warning:[/yellow] {escape(text)}", highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Close it; what could not be written has been told by then."""
        with contextlib.suppress(OSError):
            super().close()


def _finite(value: Any) -> Any:
    """JSON has no infinity, and nothing that is no number."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _time(record: logging.LogRecord) -> str:
    return datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")
