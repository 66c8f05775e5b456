"""``avel doctor``."""

from typing import Annotated

import typer

from avel.cli.printing import print_json, printable


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Print what a report of a fault needs: versions, codecs, processor, GPU, weights and free disk space.

    Nothing is sent anywhere, and nothing is downloaded.
    """
    from avel.doctor import examine, lines

    found = examine()
    if as_json:
        print_json(found)
    else:
        print("\n".join(printable(line) for line in lines(found)))
