"""``avel train-matching``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avel.cli.console import Device, say, usage_errors
from avel.cli.features import extraction_progress, recipe_of
from avel.cli.printing import printable

if TYPE_CHECKING:
    from avel.training.footage import FootageRun


def train_matching(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="RUN", help="The folder that the run is written into.")
    ],
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO|DIR|LIST",
            help="The footage, which needs no labels: video files, folders, and text files (.txt) with the path of one "
            "video in each line.",
        ),
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            metavar="STORE",
            help="A feature store of the footage, which takes the place of VIDEO or is added to. [default: features in "
            "RUN]",
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="How the features are made: fast, default or ave. [default: fast]"),
    ] = None,
    visual: Annotated[
        str | None, typer.Option(help="The networks for pictures, separated by commas. [default: the preset's]")
    ] = None,
    audio: Annotated[
        str | None, typer.Option(help="The networks for sound, separated by commas. [default: the preset's]")
    ] = None,
    loss: Annotated[
        str,
        typer.Option(
            help="What is learned: infonce, each moment's partner among many; or contrastive, which pulls and pushes "
            "pairs as Tian et al. (ECCV 2018) do."
        ),
    ] = "infonce",
    epochs: Annotated[int, typer.Option(min=1, help="How many times the training goes through the footage.")] = 40,
    seed: Annotated[int, typer.Option(help="The seed of all random numbers.")] = 0,
    device: Device = "auto",
) -> None:
    """Learn which pictures and sounds go together from any footage, for avel index --model and avel match.

    Of every six videos one chooses the epoch and one is measured on; neither is learned from.
    """
    with usage_errors():
        from avel.cli.listener import ConsoleListener
        from avel.features.recipe import preset as named
        from avel.features.run import extract_many
        from avel.features.store import FeatureStore
        from avel.matching.training import MatchingSettings
        from avel.training.footage import train_on_store
        from avel.training.run_folder import check_folder, locked

        settings = MatchingSettings("dual-encoder", loss=loss, epochs=epochs, seed=seed)  # type: ignore[arg-type]
        if not videos and store is None:
            raise ValueError("Give footage: videos, folders or lists, or --store with features of it.")
        check_folder(output, resume=False)
        with locked(output):
            listener = ConsoleListener()
            place = store or output / "features"
            if videos:
                options: dict[str, Any] = {"visual": visual, "audio": audio}
                recipe = recipe_of(place, preset, options)
                if recipe is None and not (place / "store.json").exists():
                    recipe = named("fast")
                with extraction_progress() as progress:
                    summary = extract_many(
                        videos, place, recipe, device=device, progress=progress, reading=listener.reading
                    )
                say(f"features: {summary.done} extracted, {summary.skipped} there, {len(summary.failures)} failed")
            run = train_on_store(settings, FeatureStore(place), output, listener.matching)
    print(printable("\n".join(_lines(run)), keep="\n"))


def _lines(run: "FootageRun") -> list[str]:
    videos = ", ".join(f"{count} {part}" for part, count in run.videos.items())
    lines = [f"{run.path}: epoch {run.epoch} of {len(run.losses)}; videos: {videos}"]
    for what, found in (("the clip of ten segments", run.test), ("the very moment", run.exact)):
        lines.append(f"{what}, found among {found['a2v'].candidates} segments of the test videos:")
        for direction, text in (("a2v", "pictures from the sound (A2V)"), ("v2a", "sound from the pictures (V2A)")):
            one = found[direction]
            recalls = ", ".join(f"{100 * value:.1f} % at {k}" for k, value in one.recall.items())
            lines.append(
                f"  {text}  recall {recalls}; median rank {one.median_rank:g}; by chance {100 * one.chance:.1f} %"
            )
    return lines
