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

app = typer.Typer(help="Data sets: what a copy holds, what is wrong with it, and what it does not allow.")


@app.callback()
def _group() -> None:
    """Keep ``ave`` a command of its own while it is the only one."""


@app.command()
def ave(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="Folder that holds AVE's Annotations.txt, and what else there is of AVE."),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check a copy of the AVE data set, complete or not.

    Exit code 1 if something in it needs a correction; what is missing does not.
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
