"""The program ``avel``: its commands, and what its exit code is.

Heavy modules are imported inside the commands, so that ``avel --help`` answers at once.
"""

from typing import Annotated

import typer

from avel.cli import data, features, models, weights
from avel.cli.categories import categories
from avel.cli.compare import compare
from avel.cli.console import avel_errors, standard_output
from avel.cli.doctor import doctor
from avel.cli.evaluate import evaluate
from avel.cli.library import index, search
from avel.cli.localize import localize
from avel.cli.logs import logged
from avel.cli.match import match
from avel.cli.reproduce import reproduce
from avel.cli.serve import serve
from avel.cli.sync import sync
from avel.cli.train import train
from avel.cli.train_matching import train_matching
from avel.version import __version__

app: typer.Typer = typer.Typer(
    name="avel",
    help="Audio-visual event localization: what can be both seen and heard in a video, and when.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # else what stands in brackets, such as a default, is taken for a style and not shown
)
app.command(short_help="Find the events of videos that are both seen and heard.")(logged(localize))
app.command(short_help="Show side by side what several models find in a video.")(logged(compare))
app.command(short_help="Play, correct, export and localize in a browser.")(logged(serve))
app.command(short_help="List event categories, or write a table of your own.")(categories)
app.command(short_help="Say how late or early the sound of a video is.")(logged(sync))
app.command(short_help="Extract the features of videos into a feature store.")(logged(features.extract))
app.command(short_help="Train a model, keep its best epoch, and measure it.")(logged(train))
app.command(short_help="Measure a trained model, beside what needs no learning.")(logged(evaluate))
app.command(short_help="Find when a sound is seen, or pictures are heard.")(logged(match))
app.command(short_help="Make a library of videos for avel search, or add to it.")(logged(index))
app.command(short_help="Find moments by a sound, a picture, a video or words.")(logged(search))
app.command(short_help="Learn which pictures and sounds go together.")(logged(train_matching))
app.command(short_help="Train the rows of papers' tables, beside their numbers.")(logged(reproduce))
app.add_typer(models.app, name="models")
app.add_typer(features.app, name="features", no_args_is_help=True)
app.add_typer(data.app, name="data", no_args_is_help=True)
app.command(short_help="Print what a report of a fault needs.")(doctor)
app.add_typer(weights.app, name="weights", no_args_is_help=True)


def main() -> None:
    """Run the command line; ends the process with its exit code."""
    with avel_errors(), standard_output():
        app()


@app.callback(invoke_without_command=True)
def _program(
    version: Annotated[bool, typer.Option("--version", help="Print the version of avel and exit.")] = False,
) -> None:
    if version:
        print(f"avel {__version__}")
        raise typer.Exit
