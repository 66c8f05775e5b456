"""``avel models``: those that can be trained, and trained ones."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from avel.cli.console import say, usage_errors
from avel.cli.logs import CommandGroup
from avel.cli.printing import print_json
from avel.cli.terminal import SafeConsole

app: typer.Typer = CommandGroup(short_help="List models; describe, export and import trained ones.")

CheckpointArgument = Annotated[
    Path, typer.Argument(metavar="CHECKPOINT", help="A checkpoint that avel train wrote, or the folder of the run.")
]


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the models that can be trained; the commands below are for trained ones."""
    if context.invoked_subcommand is not None:
        return
    from avel.models import registry

    if as_json:
        print_json([_model(name) for name in registry.available_models()])
        return
    columns = ("model", "what it is", "from", "parameters", "operations a clip", "options")
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for name in registry.available_models():
        model = _model(name)
        options = ", ".join(f"{option}={value}" for option, value in model["options"].items())
        sizes = (f"{model['parameters'] / 1e6:.2f} M", f"{model['flops_per_clip'] / 1e6:.0f} M")
        table.add_row(name, *(escape(text) for text in (model["description"], model["paper"], *sizes, options)))
    SafeConsole().print(table)


@app.command("card", short_help="Print what a trained model is, and how good.")
def models_card(
    checkpoint: CheckpointArgument,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of Markdown.")] = False,
) -> None:
    """Print what a trained model predicts, what it was trained on, how good it is, and where its limits are."""
    from avel.evaluation.card import card
    from avel.training.checkpoint import path_of

    found = card(path_of(checkpoint))
    if as_json:
        print_json(found.to_dict())
    else:
        print(found.to_markdown())


@app.command("export", short_help="Write a trained model as ONNX or OpenVINO IR.")
def models_export(
    checkpoint: CheckpointArgument,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The file to write: NAME.onnx for ONNX, or NAME.xml for OpenVINO, which writes a .bin beside it.",
        ),
    ],
) -> None:
    """Write a trained model for another runtime, after comparing its results with PyTorch's.

    This needs some more packages: pip install 'avel[export]'
    """
    with usage_errors():
        from avel.export import TOLERANCE, export
        from avel.training.checkpoint import path_of

        written = export(path_of(checkpoint), output)
    for path in written.paths:
        print(path)
    if output.suffix.lower() == ".xml":
        say(
            "OpenVINO may compute in bfloat16, which changes some answers. To avoid it, compile the model with "
            '{"INFERENCE_PRECISION_HINT": "f32"}.'
        )
    segments = "any number of segments" if written.segments is None else f"{written.segments} segments, the rest padded"
    say(
        f"from {', '.join(written.inputs)} of {segments} to {', '.join(written.outputs)}; largest difference to "
        f"PyTorch {written.difference:.1e} (allowed: {TOLERANCE:.0e})"
    )


@app.command("import", short_help="Make a checkpoint of published weights.")
def models_import(
    weights: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Weights as the authors of Tian et al. (ECCV 2018) published them: AVDLN's, cmm_model_weights.h5, or "
            "A+V-att's, AV_att.pt.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="FILE", help="The file to write, matcher.safetensors or checkpoint.safetensors."
        ),
    ],
) -> None:
    """Make a matcher or a checkpoint of published weights, which need the published features (preset ave).

    No code that is in the file is run.
    """
    with usage_errors():
        from avel.training.matchers import import_keras
        from avel.training.published import import_att_net, is_torch_file

        print(import_att_net(weights, output) if is_torch_file(weights) else import_keras(weights, output))


def _model(name: str) -> dict[str, Any]:
    from avel.models import registry
    from avel.models.size import size_of
    from avel.training.settings import settings_for

    entry = registry.entry(name)
    return {
        "name": name,
        "description": entry.description,
        "paper": entry.paper,
        "modalities": list(registry.modalities_of(name)),
        "options": registry.options_of(name).model_dump(),
        **asdict(size_of(name)),
        "training": settings_for(name).to_dict(),
        "starts_from": entry.starts_from,
    }
