"""``avel compare``."""

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from avel.cli.console import Device, say, usage_errors, warn
from avel.cli.printing import print_json, printable


def compare(
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="The video.")],
    models: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model: agreement, a checkpoint that avel train wrote, or the folder of its run. Give it once for "
            "each model.",
        ),
    ],
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="A label file of any format that avel train reads, which names the video: right and wrong segments "
            "are marked then.",
        ),
    ] = None,
    categories: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|FILE|WORDS",
            help="The event categories of agreement, as for avel localize. [default: everyday]",
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write NAME.png (a picture), NAME.html (a page) or NAME.json. May be given several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line for each model.")] = False,
    device: Device = "auto",
) -> None:
    """Show what several models find in a video side by side, with right and wrong segments marked.

    A segment is right when the categories that a model says to be both heard and seen in it are exactly those of the
    labels.
    """
    with usage_errors():
        from avel.data.truth import read_truth
        from avel.localization.localizer import Localizer
        from avel.localization.model_choice import DEFAULT_MODEL, checkpoint_of
        from avel.outputs.comparison import compare, names_of_models
        from avel.outputs.side_by_side import check_comparison_path, write_comparison

        for path in output or ():
            check_comparison_path(path)
        for model in models:
            if model != DEFAULT_MODEL:
                checkpoint_of(model)
        true = None
        if truth is not None:
            true = read_truth(truth).of(video)
            if true is None:
                raise ValueError(
                    f"{truth}: has no label of {video}. Name it there, with an empty row if it has no event."
                )
        results = []
        for model in models:
            localizer = Localizer(model, categories=categories if model == DEFAULT_MODEL else None, device=device)
            for notice in localizer.notices:
                say(f"[yellow]notice:[/yellow] {escape(f'{model}: {notice}')}")
            results.append(localizer(video))
            for warning in results[-1].warnings:
                warn(f"{model}: {warning}")
        found = compare(results, names_of_models(models), true)
    if as_json:
        print_json(found.to_dict())
    else:
        print(printable("\n".join(found.lines()), keep="\n"))
    for path in output or ():
        say(f"wrote {escape(str(write_comparison(found, path)))}")
