"""``avel weights``."""

from typing import Annotated

import typer
from rich.table import Column, Table

from avel.cli.console import SCREEN, usage_errors
from avel.cli.logs import CommandGroup
from avel.cli.terminal import SafeConsole

app: typer.Typer = CommandGroup(
    help="List, fetch and find the weight files of the pretrained networks.",
    short_help="List, fetch and find the networks' weight files.",
)


@app.command("list", short_help="List the weight files, and which are on this machine.")
def weights_list() -> None:
    """List the weight files with their sizes and licences, and say which are on this machine."""
    from avel.backbones import weights

    table = Table(Column("name", no_wrap=True), "size", "licence", "on disk", "what it is")
    for name, entry in weights.catalogue().items():
        here = "yes" if weights.find(name) else "no"
        table.add_row(name, f"{entry.size_bytes / 1e6:.1f} MB", entry.licence, here, entry.description)
    SafeConsole().print(table)


@app.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME", help="Names as avel weights list shows them. [default: those that avel localize needs]"
        ),
    ] = None,
) -> None:
    """Download weight files into the cache."""
    from avel.backbones import weights

    with usage_errors():
        bars = SCREEN.shows_bars
        fetched = weights.fetch(names, progress=bars) if names else weights.fetch_default(progress=bars)
    for name, path in fetched.items():
        print(f"{name}: {path}")


@app.command("path", short_help="Print where a weight file is, once it is there.")
def weights_path(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name as avel weights list shows it.")],
) -> None:
    """Print where a weight file is; it is downloaded first if it is not on this machine."""
    from avel.backbones import weights

    with usage_errors():
        print(weights.path(name))
