"""The commands ``avel index`` and ``avel search``: parse, call, print."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from avel.cli.console import Device, ReadingLinesOfEach, say, usage_errors, warn
from avel.cli.extraction_options import DaskScheduler, DaskWorkers, EngineChoice, RetryQuarantined
from avel.cli.features import extraction_progress
from avel.cli.printing import print_json, printable
from avel.cli.terminal import SafeConsole
from avel.wording import counted

if TYPE_CHECKING:
    from avel.library.results import SearchResult


def index(
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            metavar="LIBRARY",
            help="The folder of the library. It is made if it does not exist; to an existing library only what is "
            "missing is added.",
        ),
    ],
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO|DIR|LIST",
            help="The videos: video files, folders that are searched for video files at any depth, and text files "
            "(.txt) with the path of one video in each line.",
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            metavar="MATCHER",
            help="The cross-modal model: a run of avel train-matching, or its matcher.safetensors. [default: agreement "
            "of the taggers, which needs no training]",
        ),
    ] = None,
    update: Annotated[
        bool,
        typer.Option(
            "--update",
            help="Also look again at the videos and folders that were given before, and take out videos that are no "
            "longer there.",
        ),
    ] = False,
    device: Device = "auto",
    engine: EngineChoice = "local",
    workers: DaskWorkers = None,
    scheduler: DaskScheduler = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR",
            help="Take the videos of this folder, or this video, out of the library, and do not look for them again; "
            "the videos themselves stay. May be given several times; nothing else is done then.",
        ),
    ] = None,
    retry_quarantined: RetryQuarantined = False,
) -> None:
    """Make a library of videos for avel search, or add videos to one.

    The command may be stopped at any moment and run again; what is done is not done again. Copies of a video are one
    video of the library.
    """
    if forget:
        _forget(forget, output, others=bool(videos) or update or model is not None)
        return
    with usage_errors():
        from avel.library.library import index as make

        with extraction_progress() as progress:
            indexed = make(
                videos or (),
                output,
                model=model,
                update=update,
                engine=engine,
                workers=workers,
                scheduler=scheduler,
                device=device,
                retry_quarantined=retry_quarantined,
                progress=progress,
                reading=ReadingLinesOfEach(),
            )
    for path in indexed.removed:
        say(f"no longer there, taken out: {escape(path)}")
    for problem in indexed.problems:
        warn(problem)
    summary = indexed.summary
    print(
        printable(
            f"{output}: {counted(indexed.videos, 'video')}, {counted(indexed.segments, 'segment')}; "
            f"{summary.done} added, {summary.skipped} already there, {len(indexed.removed)} taken out, "
            f"{len(summary.failures)} failed"
        )
    )
    if summary.failures or indexed.problems:
        raise typer.Exit(1)


def _forget(places: list[str], library: Path, *, others: bool) -> None:
    with usage_errors():
        if others:
            raise ValueError("--forget takes videos out and does nothing else. Give no videos, --model or --update.")
        from avel.library.library import forget

        forgotten = forget(places, library)
    for path in forgotten.removed:
        say(f"taken out: {escape(path)}")
    for problem in forgotten.problems:
        warn(problem)
    print(printable(f"{library}: {counted(forgotten.videos, 'video')}; {len(forgotten.removed)} taken out"))


def search(
    library: Annotated[Path, typer.Argument(metavar="LIBRARY", help="A folder that avel index made.")],
    audio: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="Find where the sound of this file is heard or seen; FILE#t=3,6 is a part of it."
        ),
    ] = None,
    video: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Find moments like this video, or like a part of it: FILE#t=3,6."),
    ] = None,
    image: Annotated[
        str | None, typer.Option(metavar="FILE", help="Find where what this picture shows is seen or heard.")
    ] = None,
    category: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Find an event category or AudioSet class by its name, such as Bark."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(metavar="WORDS", help='Find what these English words mean, such as "dog barking".')
    ] = None,
    modality: Annotated[
        str,
        typer.Option(help="What is looked at in the library: audio, what is heard; visual, what is seen; or both."),
    ] = "both",
    top: Annotated[int, typer.Option(min=1, help="How many moments are shown at most.")] = 20,
    far: Annotated[
        bool,
        typer.Option(
            "--far", help="Show the nearest moments also where they are not close, which mostly are no finds."
        ),
    ] = False,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the moments: NAME.json, or NAME.html for a page with pictures and players. May be given "
            "several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    device: Device = "auto",
) -> None:
    """Find moments in a library of videos by a sound, a picture, a video, a category or words.

    A moment is as long as the query. A score of 0.5 or more is close; where nothing is close, that is what is said, and
    the exit code is 1, as of grep.
    """
    with usage_errors():
        from avel.library.library import VideoLibrary
        from avel.outputs.search_page import check_search_path, write_found

        for path in output or ():
            check_search_path(path)
        opened = VideoLibrary(library, device=device)
        found = opened.search(
            audio=audio,
            video=video,
            image=image,
            category=category,
            text=text,
            modality=modality,  # type: ignore[arg-type]
            top=top,
        )
    for note in found.notes:
        say(f"[dim]note:[/dim] {escape(note)}")
    if as_json:
        print_json(found.to_dict())
    else:
        _print(found, far=far)
    for path in output or ():
        for warning in write_found(found, path, far=far):
            warn(warning)
        say(f"wrote {escape(str(path))}")
    if not found.close:
        raise typer.Exit(1)


def _print(found: "SearchResult", *, far: bool) -> None:
    hits = found.hits if far else found.close
    console = SafeConsole(highlight=False)
    if hits and console.is_terminal:
        table = Table("score", "start", "end", "video", "", "why")
        for hit in hits:
            style = None if hit.is_close else "dim"
            start, end = f"{hit.start_seconds:.1f}", f"{hit.end_seconds:.1f}"
            table.add_row(f"{hit.score:.2f}", start, end, escape(hit.video), hit.modality, escape(hit.why), style=style)
        console.print(table)
    else:
        for hit in hits:
            row = (hit.video, f"{hit.start_seconds:.2f}", f"{hit.end_seconds:.2f}", f"{hit.score:.2f}", hit.modality)
            print("\t".join(printable(value) for value in (*row, hit.why)))
    say(escape(found.summary))
