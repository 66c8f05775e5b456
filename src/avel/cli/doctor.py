"""``avel doctor``."""

import json
from typing import Annotated

import typer

from avel.cli.console import printable


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Print what a report of a fault needs: versions, codecs, processor, GPU, weights and free disk space.

    Nothing is sent anywhere, and nothing is downloaded.
    """
    from avel.doctor import examine, lines

    found = examine()
    if as_json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(printable(line) for line in lines(found)))
