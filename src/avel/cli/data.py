"""The command ``avel data``: parse, call, print."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avel.cli.console import errors

if TYPE_CHECKING:
    from avel.data.ave.check import CheckProgress

app = typer.Typer(help="Check copies of published data sets.")


@app.callback()
def _group() -> None:
    """Keep ``ave`` a command of its own while it is the only one."""


@app.command()
def ave(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder with AVE's Annotations.txt and whatever else of AVE you have."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check a copy of the AVE data set, which need not be complete.

    The exit code is 1 if something in the copy is wrong; it is 0 if something is only missing.
    """
    from avel.data.ave.check import check

    with _progress() as progress:
        report = check(folder, progress=progress)
    if as_json:
        print(json.dumps(report.to_dict(), indent=2))
    else:
        print("\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(1)


@contextlib.contextmanager
def _progress() -> "Iterator[CheckProgress | None]":
    """A progress bar on a terminal, nothing elsewhere."""
    if not errors.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("videos", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
