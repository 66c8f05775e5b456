"""The command ``avel data``: parse, call, print."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avel.cli.console import SCREEN, complain
from avel.cli.logs import CommandGroup
from avel.cli.printing import print_json, printable
from avel.cli.terminal import errors
from avel.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from avel.data.annotations import Annotation
    from avel.data.ave.check import CheckProgress

app: typer.Typer = CommandGroup(
    help="Check copies of published data sets, and tell the figures of labels.",
    short_help="Check copies of data sets, tell the figures of labels.",
)


JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
PictureOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draw the figures into a file, such as one that ends in .png, .svg or .pdf."),
]


@app.command(short_help="Check a copy of the AVE data set.")
def ave(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="The folder with AVE's Annotations.txt and whatever else of AVE you have."),
    ],
    as_json: JsonOption = False,
    statistics: Annotated[
        bool,
        typer.Option("--statistics", help="Tell the figures of its annotations instead of checking the copy."),
    ] = False,
    picture: PictureOption = None,
    extract: Annotated[
        Path | None,
        typer.Option(
            metavar="OUT",
            help="Of a copy in parquet files, as on the Hugging Face hub: write its videos into OUT/AVE instead of "
            "checking it.",
        ),
    ] = None,
) -> None:
    """Check a copy of the AVE data set, which need not be complete; also one in parquet files.

    The exit code is 1 if something in the copy is wrong; it is 0 if something is only missing.
    """
    if statistics or picture is not None:
        from avel.data.ave.dataset import NUM_SEGMENTS, SEGMENT_SECONDS, load

        dataset = load(folder)
        seconds = NUM_SEGMENTS * SEGMENT_SECONDS
        _tell(((dataset.events_of(i), seconds) for i in range(len(dataset))), dataset.categories, as_json, picture)
        return
    from avel.data.ave.parquet import is_hub_copy

    if extract is not None or is_hub_copy(folder):
        _hub(folder, extract, as_json)
        return
    from avel.data.ave.check import check

    with _progress() as progress:
        report = check(folder, progress=progress)
    if as_json:
        print_json(report.to_dict())
    else:
        print("\n".join(report.lines()))
    if not report.ok:
        raise typer.Exit(1)


def _hub(folder: Path, extract: Path | None, as_json: bool) -> None:
    from avel.data.ave.parquet import check_hub, extract_hub

    if extract is None:
        report = check_hub(folder)
        if as_json:
            print_json(report.to_dict())
        else:
            print(printable("\n".join(report.lines()), keep="\n"))
        if not report.ok:
            raise typer.Exit(1)
        return
    with _progress() as progress:
        written, missing = extract_hub(folder, extract, progress=progress or (lambda done, total: None))
    print(f"{counted(written, 'video')} written into {printable(str(extract / 'AVE'))}")
    if missing:
        rows = counted(len(missing), "row holds", "rows hold")
        complain(f"{folder}: {rows} no video ({', '.join(missing[:5])}). Get the files again.")
        raise typer.Exit(1)


@app.command(short_help="Tell the figures of your own labels.")
def labels(
    path: Annotated[
        Path, typer.Argument(metavar="LABELS", help="A label file in any format that avel train reads, or a folder.")
    ],
    videos: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The folder of the videos, whose lengths the share of segments needs."),
    ] = None,
    as_json: JsonOption = False,
    picture: PictureOption = None,
) -> None:
    """Tell the figures of your own labels: videos of each category, lengths of events, segments with an event."""
    if videos is None:
        from avel.data.formats import read_annotations

        annotations, durations = read_annotations(path), {}
    else:
        from avel.training.own.labels import read_labels

        labelling = read_labels(path, videos)
        annotations, durations = labelling.annotations, dict(labelling.durations)
    by_video = annotations.by_video()
    pairs = ((events, durations.get(video)) for video, events in by_video.items())
    _tell(pairs, annotations.categories, as_json, picture)


def _tell(
    videos: "Iterable[tuple[Sequence[Annotation], float | None]]",
    categories: "Sequence[str]",
    as_json: bool,
    picture: Path | None,
) -> None:
    from avel.data.statistics import draw, statistics

    found = statistics(videos, categories)
    if picture is not None:
        draw(found, picture)
    if as_json:
        print_json(found.to_dict())
    else:
        print("\n".join(found.lines()))


@contextlib.contextmanager
def _progress() -> "Iterator[CheckProgress | None]":
    """A progress bar on a terminal, nothing elsewhere."""
    if not SCREEN.shows_bars:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=errors, transient=True) as bar:
        task = bar.add_task("videos", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
