"""``avel sync``."""

from typing import TYPE_CHECKING, Annotated

import typer

from avel.cli.console import complain, warn
from avel.cli.printing import print_json, printable
from avel.errors import AvelError

if TYPE_CHECKING:
    from avel.synchrony.offset import Offset


def sync(
    videos: Annotated[list[str], typer.Argument(metavar="VIDEO", help="Video files.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line instead of text, for a program to read.")
    ] = False,
) -> None:
    """Say by how many milliseconds the sound of a video is late or early, where that can be told.

    It can be told where something in view makes the sound in many moments: a dog that barks, a hammer, a face that
    speaks. Where nothing does, or too little, the answer is that it cannot be told.
    """
    from avel.synchrony.offset import find_offset

    failed = False
    for video in videos:
        try:
            found = find_offset(video)
        except AvelError as error:
            complain(str(error))
            failed = True
            continue
        for warning in found.warnings:
            warn(f"{video}: {warning}")
        if as_json:
            print_json(found.to_dict(), indent=None)
        else:
            print(*map(printable, _cells(found)), sep="\t")
    if failed:
        raise typer.Exit(1)


def _cells(found: "Offset") -> tuple[str, str, str]:
    if found.seconds is None:
        return found.video, "cannot tell", found.reason
    milliseconds = round(1000 * found.seconds)
    side = "late" if milliseconds > 0 else "early"
    said = f"the sound is {abs(milliseconds)} ms {side}" if milliseconds else "the sound is in time"
    return found.video, f"{milliseconds:+d} ms", f"{said} (confidence {found.confidence:.2f})"
