"""The program ``avel``: its commands, and what its exit code is.

The module of a command is imported when it is asked for, and heavy modules inside the commands, so that
``avel --help`` answers at once.
"""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from avel.cli.console import avel_errors, avel_warnings, standard_output
from avel.cli.later import Later, LaterCommands
from avel.version import __version__

COMMANDS: dict[str, Later] = {
    "localize": Later("avel.cli.localize", "localize", "Find the events of videos that are both seen and heard."),
    "compare": Later("avel.cli.compare", "compare", "Show side by side what several models find in a video."),
    "serve": Later("avel.cli.serve", "serve", "Play, correct, export and localize in a browser."),
    "categories": Later("avel.cli.categories", "categories", "List event categories, or write a table of your own."),
    "sync": Later("avel.cli.sync", "sync", "Say how late or early the sound of a video is."),
    "extract": Later("avel.cli.features", "extract", "Extract the features of videos into a feature store."),
    "train": Later("avel.cli.train", "train", "Train a model, keep its best epoch, and measure it."),
    "evaluate": Later("avel.cli.evaluate", "evaluate", "Measure a trained model, beside what needs no learning."),
    "match": Later("avel.cli.match", "match", "Find when a sound is seen, or pictures are heard."),
    "index": Later("avel.cli.library", "index", "Make a library of videos for avel search, or add to it."),
    "search": Later("avel.cli.library", "search", "Find moments by a sound, a picture, a video or words."),
    "train-matching": Later(
        "avel.cli.train_matching", "train_matching", "Learn which pictures and sounds go together."
    ),
    "reproduce": Later("avel.cli.reproduce", "reproduce", "Train the rows of papers' tables, beside their numbers."),
    "doctor": Later("avel.cli.doctor", "doctor", "Print what a report of a fault needs."),
    "models": Later("avel.cli.models", "app"),
    "features": Later("avel.cli.features", "app", no_args_is_help=True),
    "data": Later("avel.cli.data", "app", no_args_is_help=True),
    "weights": Later("avel.cli.weights", "app", no_args_is_help=True),
}
"""In the order of ``avel --help``."""


class _Program(TyperGroup):
    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = LaterCommands(COMMANDS)


app: typer.Typer = typer.Typer(
    name="avel",
    cls=_Program,
    help="Audio-visual event localization: what can be both seen and heard in a video, and when.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else what stands in brackets, such as a default, is taken for a style and not shown
)


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    with avel_errors(), avel_warnings(), standard_output():
        app()


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version of avel and exit.")] = False,
) -> None:
    if version:
        print(f"avel {__version__}")
        raise typer.Exit
