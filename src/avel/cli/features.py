"""The commands ``avel extract`` and ``avel features``: parse, call, print."""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avel.cli import console

if TYPE_CHECKING:
    from avel.features.jobs import Outcome
    from avel.features.recipe import Recipe
    from avel.features.run import OutcomeProgress
    from avel.features.store import FeatureStore, StoreInfo

app = typer.Typer(help="Stores of features: what they hold, whether they are intact, in and out of AVE's layout.")

Store = Annotated[Path, typer.Argument(metavar="STORE", help="Folder of a feature store.")]
Annotations = Annotated[
    Path | None,
    typer.Option(help="AVE's Annotations.txt, whose order the rows have, or a text file with a video a line."),
]


def extract(
    videos: Annotated[
        list[Path],
        typer.Argument(
            metavar="VIDEO|DIR|LIST...", help="Videos, folders of videos, and text files (.txt) with a path a line."
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="STORE", help="Folder of the feature store.")],
    preset: Annotated[
        str | None,
        typer.Option(help="default; fast, for a processor; ave: the published recipe. [default: the store's own]"),
    ] = None,
    visual: Annotated[str | None, typer.Option(help="Visual backbones, with commas; none for no pictures.")] = None,
    audio: Annotated[str | None, typer.Option(help="Audio backbones, with commas; none for no sound.")] = None,
    frames_per_segment: Annotated[
        int | None, typer.Option(help="Pictures in each segment. [default: the backbone's own; VGG-19: 16 a second]")
    ] = None,
    segment_seconds: Annotated[float | None, typer.Option(help="Length of a segment in seconds. [default: 1]")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, float16 or int8. [default: float16]")] = None,
    stored_as: Annotated[str | None, typer.Option(help="float16 or float32. [default: float16]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or torch-cpu.")] = "auto",
    engine: Annotated[str, typer.Option(help="local: in this process; dask: on many.")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Processes that Dask starts here. [default: one for each core]")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a running Dask scheduler, instead.")] = None,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try videos again that took their process down with them.")
    ] = False,
) -> None:
    """Extract the features of videos into a store.

    May be stopped at any moment and run again: what is done is not done again.
    """
    with console.usage_errors():
        from avel.features.run import extract_many

        settings: dict[str, Any] = {
            "visual": visual,
            "audio": audio,
            "frames_per_segment": frames_per_segment,
            "segment_seconds": segment_seconds,
            "precision": precision,
            "stored_as": stored_as,
        }
        recipe = recipe_of(output, preset, settings)
        with extraction_progress() as progress:
            summary = extract_many(
                videos,
                output,
                recipe,
                engine=engine,  # type: ignore[arg-type]  # checked there
                workers=workers,
                scheduler=scheduler,
                device=device,
                retry_quarantined=retry_quarantined,
                progress=progress,
            )
    print(f"{output}: {summary.done} extracted, {summary.skipped} already there, {len(summary.failures)} failed")
    if summary.failures:
        raise typer.Exit(1)


@app.command()
def info(
    store: Store, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Say what a store holds."""
    from avel.features.journal import read_failures
    from avel.features.store import FeatureStore

    opened = FeatureStore(store)
    found, failures = opened.info(), read_failures(store)
    if as_json:
        print(json.dumps(_info_dict(found, failures), indent=2))
    else:
        _print_info(opened, found, failures)


@app.command()
def verify(
    store: Store,
    sources: Annotated[bool, typer.Option("--sources", help="Also compare the videos with their digests.")] = False,
) -> None:
    """Read every file of a store from end to end, and name those that are damaged."""
    from avel.data.ave.exchange import read_source
    from avel.features.store import FeatureStore

    intact = damaged = 0
    for key, problems in FeatureStore(store).verify(read_source=read_source if sources else None):
        intact += not problems
        damaged += bool(problems)
        for problem in problems:
            console.say(f"[red]{escape(key)}:[/red] {escape(problem)}")
    print(f"{store}: {intact} intact, {damaged} damaged")
    if damaged:
        raise typer.Exit(1)


@app.command("export")
def export_command(
    store: Store,
    folder: Annotated[Path, typer.Argument(help="Folder for visual_feature.h5, audio_feature.h5 and others.")],
    annotations: Annotations = None,
    segments: Annotated[int, typer.Option(help="Segments of every row; longer videos are cut, shorter filled.")] = 10,
    dtype: Annotated[str, typer.Option(help="float16, float32 or float64.")] = "float32",
    visual: Annotated[str | None, typer.Option(help="Visual backbone to export. [default: the only one]")] = None,
    audio: Annotated[str | None, typer.Option(help="Audio backbone to export. [default: the only one]")] = None,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Write zeros for videos that are not in the store.")
    ] = False,
) -> None:
    """Write a store in the HDF5 layout of the AVE data set."""
    with console.usage_errors():
        from avel.data.ave.exchange import export_ave
        from avel.features.store import FeatureStore

        exported = export_ave(
            FeatureStore(store),
            folder,
            _rows(annotations),
            segments=segments,
            dtype=dtype,  # type: ignore[arg-type]  # checked there
            visual=visual,
            audio=audio,
            allow_missing=allow_missing,
        )
    for what, videos in (("cut", exported.cut), ("filled with zeros", exported.filled), ("missing", exported.missing)):
        if videos:
            console.say(f"[yellow]{len(videos)} videos {what}:[/yellow] {escape(_some(videos))}")
    for path in exported.files:
        print(path)


@app.command("import")
def import_command(
    folder: Annotated[Path, typer.Argument(help="Folder with visual_feature.h5, audio_feature.h5 or both.")],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="Folder of the new feature store.")],
    annotations: Annotations = None,
    visual: Annotated[str, typer.Option(help="Backbone that made the visual features.")] = "vgg19-original",
    audio: Annotated[str, typer.Option(help="Backbone that made the audio features.")] = "vggish",
    stored_as: Annotated[str, typer.Option(help="float16 or float32.")] = "float16",
) -> None:
    """Make a store of features in the HDF5 layout of the AVE data set."""
    with console.usage_errors():
        from avel.data.ave.exchange import import_ave

        opened = import_ave(
            folder,
            store,
            _rows(annotations),
            visual=visual,
            audio=audio,
            stored_as=stored_as,  # type: ignore[arg-type]  # checked there
        )
    print(f"{store}: {len(opened)} videos")


def _names(text: str) -> tuple[str, ...]:
    return () if text == "none" else tuple(name.strip() for name in text.split(",") if name.strip())


def recipe_of(store: Path, preset: str | None, options: Mapping[str, Any]) -> "Recipe | None":
    """What options ask for; what they do not say (``None``) is as in the store, or else as in the default preset."""
    from avel.features import recipe as recipes
    from avel.features.store import FeatureStore

    settings = {name: value for name, value in options.items() if value is not None}
    for name in ("visual", "audio"):
        if name in settings:
            settings[name] = _names(settings[name])
    if preset is None and not settings:
        return None
    if preset is not None:
        base = recipes.preset(preset)
    elif (store / "store.json").exists():
        base = FeatureStore(store).recipe
    else:
        base = recipes.Recipe()
    return dataclasses.replace(base, **settings)


def _rows(annotations: Path | None) -> list[str] | None:
    """The video of each row of AVE's table, or each line of a plain list."""
    if annotations is None:
        return None
    from avel.data.formats.ave import read_ave_table
    from avel.errors import AnnotationsError

    table = read_ave_table(annotations)
    if table.rows and table.malformed:
        line, complaint = table.malformed[0]
        raise AnnotationsError(f"{annotations}: line {line} is no row ({complaint}). Without it all rows would shift.")
    if table.rows:
        return [row.video for row in table.rows]
    return [line.strip() for line in annotations.read_text("utf-8").splitlines() if line.strip()]


@contextlib.contextmanager
def extraction_progress() -> "Iterator[OutcomeProgress]":
    """Failures as they come, and on a terminal a bar."""

    def tell(outcome: "Outcome") -> None:
        if outcome.status == "failed":
            console.say(f"[red]error:[/red] {escape(outcome.reason)}")

    if not console.errors.is_terminal:
        yield lambda through, total, outcome: tell(outcome)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console.errors, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def update(through: int, total: int, outcome: "Outcome") -> None:
            tell(outcome)
            bar.update(task, completed=through, total=total, description=escape(Path(outcome.video).name))

        yield update


def _info_dict(found: "StoreInfo", failures: "list[Outcome]") -> dict[str, Any]:
    return {
        **dataclasses.asdict(dataclasses.replace(found, backbones={})),
        "recipe": found.recipe.to_dict(),
        "backbones": {name: entry.to_dict() for name, entry in found.backbones.items()},
        "failures": [{"video": f.video, "reason": f.reason, "quarantined": f.quarantined} for f in failures],
    }


def _print_info(store: "FeatureStore", found: "StoreInfo", failures: "list[Outcome]") -> None:
    table = Table(title=escape(str(store.folder)), title_justify="left", show_header=False)
    table.add_row("videos", f"{found.videos} ({found.seconds / 3600:.2f} h, {found.segments} segments)")
    table.add_row("size", f"{found.size_bytes / 1e6:.1f} MB")
    for name, entry in found.backbones.items():
        digest = entry.network.get("digest") or entry.network.get("origin") or "no weights"
        shape = " x ".join(map(str, entry.shape))
        table.add_row(f"{entry.modality} backbone", escape(f"{name}: {shape} a segment, {digest}"))
    for setting, value in found.recipe.to_dict().items():
        if setting not in ("visual", "audio") and value is not None:
            table.add_row(setting.replace("_", " "), str(value))
    table.add_row(
        "could not be read",
        f"pictures of {found.invalid_visual_segments} segments, sound of {found.invalid_audio_segments}; "
        f"{found.videos_with_warnings} videos with warnings",
    )
    table.add_row("failed", f"{len(failures)} ({sum(failure.quarantined for failure in failures)} quarantined)")
    if found.damaged:
        table.add_row("[red]damaged[/red]", escape(_some(list(found.damaged))))
    Console().print(table)


def _some(names: "list[str] | tuple[str, ...]") -> str:
    return f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
