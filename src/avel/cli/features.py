"""The commands ``avel extract`` and ``avel features``: parse, call, print."""

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from avel.cli import console, terminal
from avel.cli.console import Device
from avel.cli.extraction_options import DaskScheduler, DaskWorkers, EngineChoice, RetryQuarantined
from avel.cli.logs import CommandGroup
from avel.cli.printing import print_json
from avel.features.choices import FloatType, Precision, StoredType
from avel.wording import counted

if TYPE_CHECKING:
    from avel.features.jobs import Outcome
    from avel.features.recipe import Recipe
    from avel.features.run import OutcomeProgress
    from avel.features.store import FeatureStore, StoreInfo

app: typer.Typer = CommandGroup(
    help="Look into feature stores, check that they are intact, and convert them from and to the layout of the AVE "
    "data set.",
    short_help="Look into feature stores, check and convert them.",
)

Store = Annotated[Path, typer.Argument(metavar="STORE", help="The folder of a feature store.")]
Annotations = Annotated[
    Path | None,
    typer.Option(
        help="The file that names the video of each row: AVE's Annotations.txt, or a text file with one video in each "
        "line. [default: the videos of the store in alphabetical order]"
    ),
]
ImportedAnnotations = Annotated[
    Path | None,
    typer.Option(
        help="The file that names the video of each row: AVE's Annotations.txt, or a text file with one video in each "
        "line. [default: videos.txt in FOLDER, or else the numbers of the rows]"
    ),
]


def extract(
    videos: Annotated[
        list[str],
        typer.Argument(
            metavar="VIDEO|DIR|LIST",
            help="The videos: video files, folders that are searched for video files at any depth, and text files "
            "(.txt) with the path of one video in each line.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="STORE",
            help="The folder of the feature store. It is made if it does not exist; in an existing store only what is "
            "missing is extracted.",
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            help="A set of networks and settings: default; fast, which is meant for a computer without a GPU; or ave, "
            "which follows the published recipe of the AVE data set. The options below change single settings of it. "
            "[default: the settings of the store, or default for a new store]"
        ),
    ] = None,
    visual: Annotated[
        str | None,
        typer.Option(
            help="The networks for pictures, separated by commas; none leaves the pictures out. [default: the preset's]"
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            help="The networks for sound, separated by commas; none leaves the sound out. [default: the preset's]"
        ),
    ] = None,
    frames_per_segment: Annotated[
        int | None,
        typer.Option(
            help="How many pictures of each segment the networks see; their features are averaged. More pictures take "
            "longer and follow fast movement better. [default: the network's own number; 16 a second for VGG-19]"
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            help="The length of a segment in seconds, from 0.2 to 30. Choose a smaller one when events are shorter "
            "than a second. [default: 1]"
        ),
    ] = None,
    precision: Annotated[
        Precision | None,
        typer.Option(
            help="The precision of the networks' arithmetic. int8 is the fastest and the least exact. "
            "[default: the preset's]"
        ),
    ] = None,
    stored_as: Annotated[
        StoredType | None,
        typer.Option(
            help="The type of the stored numbers. float32 takes twice the room, and is needed only where features are "
            "too large for float16. [default: float16]"
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of the audio track to use in each video, 1 for the first one of the file. Choose it for "
            "videos in several languages or with audio description. [default: the track that a player would play]",
        ),
    ] = None,
    device: Device = "auto",
    engine: EngineChoice = "local",
    workers: DaskWorkers = None,
    scheduler: DaskScheduler = None,
    retry_quarantined: RetryQuarantined = False,
) -> None:
    """Extract the features of videos into a feature store.

    The command may be stopped at any moment and run again; what has been extracted is not extracted again.
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
            "audio_track": audio_track,
        }
        recipe = recipe_of(output, preset, settings)
        with extraction_progress() as progress:
            summary = extract_many(
                videos,
                output,
                recipe,
                engine=engine,
                workers=workers,
                scheduler=scheduler,
                device=device,
                retry_quarantined=retry_quarantined,
                progress=progress,
                reading=console.ReadingLinesOfEach(),
            )
    print(f"{output}: {summary.done} extracted, {summary.skipped} already there, {len(summary.failures)} failed")
    if summary.failures:
        raise typer.Exit(1)


@app.command(short_help="Show what a store holds, how it was made, and what failed.")
def info(
    store: Store, as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False
) -> None:
    """Show what a feature store holds, how it was made, and what could not be extracted."""
    from avel.features.journal import read_failures
    from avel.features.store import FeatureStore

    opened = FeatureStore(store)
    found, failures = opened.info(), read_failures(store)
    if as_json:
        print_json(_info_dict(found, failures))
    else:
        _print_info(opened, found, failures)


@app.command(short_help="Report the files of a store that are damaged.")
def verify(
    store: Store,
    sources: Annotated[
        bool,
        typer.Option(
            "--sources",
            help="Also read the videos again, and report those that are missing or have changed since they were "
            "extracted.",
        ),
    ] = False,
) -> None:
    """Read every file of a feature store from end to end and report those that are damaged.

    The exit code is 1 if a file is damaged.
    """
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


@app.command("export", short_help="Write a store as HDF5 files in the layout of AVE.")
def export_command(
    store: Store,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="The folder to write visual_feature.h5, audio_feature.h5 and the other files to."
        ),
    ],
    annotations: Annotations = None,
    segments: Annotated[
        int,
        typer.Option(
            help="The number of segments in every row. Longer videos lose their end; shorter ones are filled with "
            "zeros."
        ),
    ] = 10,
    dtype: Annotated[
        FloatType,
        typer.Option(help="The type of the numbers in the files. The published features of AVE are float64."),
    ] = "float32",
    visual: Annotated[
        str | None,
        typer.Option(help="The network whose visual features are written. [default: the only one in the store]"),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(help="The network whose audio features are written. [default: the only one in the store]"),
    ] = None,
    allow_missing: Annotated[
        bool,
        typer.Option(
            "--allow-missing", help="Write zeros for videos that are not in the store, instead of ending with an error."
        ),
    ] = False,
) -> None:
    """Write the features of a store as HDF5 files in the layout of the AVE data set."""
    with console.usage_errors():
        from avel.data.ave.exchange import export_ave
        from avel.features.store import FeatureStore

        exported = export_ave(
            FeatureStore(store),
            folder,
            _rows(annotations),
            segments=segments,
            dtype=dtype,
            visual=visual,
            audio=audio,
            allow_missing=allow_missing,
        )
    for what, videos in (("cut", exported.cut), ("filled with zeros", exported.filled), ("missing", exported.missing)):
        if videos:
            console.say(f"[yellow]{counted(len(videos), 'video')} {what}:[/yellow] {escape(_some(videos))}")
    for path in exported.files:
        print(path)


@app.command("import", short_help="Make a store of HDF5 files in the layout of AVE.")
def import_command(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="The folder that holds visual_feature.h5, audio_feature.h5, or both."),
    ],
    store: Annotated[Path, typer.Argument(metavar="STORE", help="The folder of the new feature store.")],
    annotations: ImportedAnnotations = None,
    visual: Annotated[
        str, typer.Option(help="The name of the network that made the visual features.")
    ] = "vgg19-original",
    audio: Annotated[str, typer.Option(help="The name of the network that made the audio features.")] = "vggish",
    stored_as: Annotated[
        StoredType,
        typer.Option(
            help="The type of the stored numbers. float32 takes twice the room, and is needed only where features are "
            "too large for float16."
        ),
    ] = "float16",
) -> None:
    """Make a feature store of HDF5 files in the layout of the AVE data set."""
    with console.usage_errors():
        from avel.data.ave.exchange import import_ave

        opened = import_ave(
            folder,
            store,
            _rows(annotations),
            visual=visual,
            audio=audio,
            stored_as=stored_as,
        )
    print(f"{store}: {counted(len(opened), 'video')}")


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
    from avel.data.formats.label_file import read_text
    from avel.errors import AnnotationsError

    table = read_ave_table(annotations)
    if table.rows and table.malformed:
        line, complaint = table.malformed[0]
        raise AnnotationsError(f"{annotations}: line {line} is no row ({complaint}). Without it all rows would shift.")
    if table.rows:
        return [row.video for row in table.rows]
    lines = [line.strip() for line in read_text(annotations).splitlines() if line.strip()]
    beside = {line: str(annotations.parent / line) for line in lines}
    return [beside[line] if os.path.isfile(beside[line]) else line for line in lines]  # noqa: PTH113 - takes any text


@contextlib.contextmanager
def extraction_progress() -> "Iterator[OutcomeProgress]":
    """Failures as they come, a line every so often, and on a terminal a bar instead."""
    lines = console.ProgressLines("videos looked at")

    def tell(through: int, total: int, outcome: "Outcome") -> None:
        if outcome.status == "failed":
            console.complain(outcome.reason)
        else:
            console.detail(f"{outcome.video}: {outcome.status}", video=outcome.video, status=outcome.status)
        lines(through, total)

    if not console.SCREEN.shows_bars:
        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=terminal.errors, transient=True) as bar:
        task = bar.add_task("loading", total=None)

        def update(through: int, total: int, outcome: "Outcome") -> None:
            tell(through, total, outcome)
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
    table.add_row("videos", f"{found.videos} ({found.seconds / 3600:.2f} h, {counted(found.segments, 'segment')})")
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
        f"pictures of {counted(found.invalid_visual_segments, 'segment')}, sound of {found.invalid_audio_segments}; "
        f"{counted(found.videos_with_warnings, 'video')} with warnings",
    )
    table.add_row("failed", f"{len(failures)} ({sum(failure.quarantined for failure in failures)} quarantined)")
    if found.damaged:
        table.add_row("[red]damaged[/red]", escape(_some(list(found.damaged))))
    terminal.SafeConsole().print(table)


def _some(names: "list[str] | tuple[str, ...]") -> str:
    return f"{', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
