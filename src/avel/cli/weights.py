"""``avel weights``."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from avel.cli.console import errors, usage_errors

app = typer.Typer(help="The pretrained networks' weight files: where they are and where they come from.")


@app.command("list")
def weights_list() -> None:
    """List the weight files: size, licence, and whether they are here."""
    from avel.backbones import weights

    table = Table("name", "size", "licence", "here", "what it is")
    for name, entry in weights.catalogue().items():
        here = "yes" if weights.find(name) else "no"
        table.add_row(name, f"{entry.size_bytes / 1e6:.1f} MB", entry.licence, here, entry.description)
    Console().print(table)


@app.command("fetch")
def weights_fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names from the list. [default: what localize needs]")
    ] = None,
) -> None:
    """Fetch weight files into the cache."""
    from avel.backbones import weights

    with usage_errors():
        for name, path in weights.fetch(names or weights.DEFAULT_NAMES, progress=errors.is_terminal).items():
            print(f"{name}: {path}")


@app.command("path")
def weights_path(name: Annotated[str, typer.Argument(help="Name from the list.")]) -> None:
    """Print where a weight file is, fetching it first when it is not here."""
    from avel.backbones import weights

    with usage_errors():
        print(weights.path(name))
