"""``avel localize``."""

import contextlib
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from avel.cli.console import (
    Debug,
    SafeConsole,
    avel_errors,
    complain,
    errors,
    printable,
    say,
    standard_output,
    usage_errors,
    warn,
)

if TYPE_CHECKING:
    from avel.batch.one import VideoOutcome
    from avel.events import Localization
    from avel.features.extract import SecondsProgress
    from avel.localization.localizer import LocalizationRun
    from avel.outputs.destination import Destination

STDIN = "-"

STOPPED = 130
"""Exit code after Ctrl-C, as of programs that it ends at once."""


def localize(
    videos: Annotated[
        list[str],
        typer.Argument(metavar="VIDEO...", help="The video files; - reads one video from standard input."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder that the results are written to. For one video it may also be a file, whose suffix names "
            "the format; - is standard output. Without it the events are printed.",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="The formats to write, separated by commas: json, csv, srt, vtt, elan, audacity, label-studio, coco, "
            "html, png, mp4. [default: json, or what the suffix of OUTPUT says]",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="What finds the events: agreement, which needs no training, or a checkpoint that avel train wrote "
            "(the file, or the folder of the run)."
        ),
    ] = "agreement",
    categories: Annotated[
        Path | None,
        typer.Option(
            help="A TOML file of the event categories to look for; for agreement only, since a checkpoint has its own. "
            "[default: AVE's 28 categories]"
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            help="The length of a segment in seconds, which is how finely times are told; for agreement only. "
            "[default: 1]"
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="How the networks that make the features compute: float32, float16, which is faster on most machines, "
            "or int8. [default: float16; for a checkpoint, what it was trained with]"
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option(
            help="Where the networks run: cpu, cuda (one GPU), torch-cpu (PyTorch instead of OpenVINO), or auto, which "
            "takes the GPU where there is one."
        ),
    ] = "auto",
    audio_tagger: Annotated[
        str | None,
        typer.Option(
            help="The network that listens, for agreement only: yamnet, embedded (smaller, part of avel), or auto, "
            "which takes YAMNet where its weights are available. [default: auto]"
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of the audio track to listen to, 1 for the first one of the file. Choose it for a video "
            "in several languages or with audio description; the JSON result says which track was heard. [default: "
            "the track that a player would play]",
        ),
    ] = None,
    debug: Debug = False,
) -> None:
    """Find the events of videos that can be both seen and heard.

    Without -o the events are printed; with it the results are written as files.

    Ctrl-C ends the current video early and writes what was found in it so far; a second Ctrl-C ends the program at
    once. While a long video is read, what was found so far is kept in NAME.partial.json, so that it is not lost if the
    program is killed.
    """
    with usage_errors(), _standard_input(videos) as paths:
        from avel.batch.supervise import can_supervise, supervised
        from avel.outputs.destination import Destination

        wanted = [name.strip() for name in formats.split(",")] if formats else []
        destination = Destination(paths, output, wanted)
        settings = {
            "model": model,
            "categories": categories,
            "segment_seconds": segment_seconds,
            "precision": precision,
            "device": device,
            "audio_tagger": audio_tagger,
            "audio_track": audio_track,
        }
        batch = _Batch(videos, paths, destination, settings)
        code = supervised(batch.work, len(paths), batch.on_death) if can_supervise() else batch.work(0, _untold)
    if code:
        raise typer.Exit(code)


def _untold(item: int) -> None:
    """Called where nobody asks which video is at hand."""


@dataclass(frozen=True)
class _Batch:
    """Some videos to localize, in this process or in children of it.

    Attributes:
        videos: as the user gave them.
        paths: where they are.
        destination: where results go.
        settings: of the localizer.
    """

    videos: list[str]
    paths: list[str]
    destination: "Destination"
    settings: dict[str, Any]

    def work(self, first: int, begin: Callable[[int], None]) -> int:
        """Localize the videos from ``first`` on and print what became of each; an exit code."""
        with avel_errors(), usage_errors():
            from avel.batch.one import localize_one
            from avel.localization.localizer import Localizer

            localizer = Localizer(**self.settings)
            if first == 0:
                for notice in localizer.notices:
                    say(f"[yellow]notice:[/yellow] {escape(notice)}")
            failed = 0
            for index in range(first, len(self.paths)):
                begin(index)
                outcome = localize_one(localizer, self.paths[index], self.destination, index, watch=_watch)
                failed += outcome.status == "failed"
                self._print(outcome, index)
                if outcome.status == "stopped":
                    return STOPPED
            if failed and len(self.paths) > 1:
                say(f"[red]{failed} of {len(self.paths) - first} videos failed.[/red]")
            return 1 if failed else 0

    def on_death(self, item: int | None, how: str) -> None:
        """Say of which video a process died."""
        if item is None:
            complain(f"The program was killed while it loaded the networks ({how}). Is there enough memory?")
        else:
            complain(
                f"{self.videos[item]}: the process that read it was killed ({how}): a library crashed on it, or memory "
                "ran out. It is left out; the other videos go on."
            )

    def _print(self, outcome: "VideoOutcome", index: int) -> None:
        video = self.videos[index]
        for warning in outcome.warnings:
            warn(f"{video}: {warning}")
        if outcome.result is None:
            complain(outcome.reason)
            return
        with standard_output():
            for path in outcome.paths:
                print(printable(str(path)))
            # Nothing reads the video again, so a temporary copy of standard input need not be told by its path.
            _print_result(replace(outcome.result, video=video), self.destination, is_one_of_many=len(self.videos) > 1)


@contextlib.contextmanager
def _watch(run: "LocalizationRun") -> Iterator[Callable[[float], None]]:
    """Ctrl-C and a progress bar while a video is read."""
    with _ctrl_c(run.stop), _progress(run.video) as progress:
        yield lambda seconds: progress(seconds, run.declared_seconds)


@contextlib.contextmanager
def _ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C stops in good order, so that what was found is written; the second one ends the program."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return

    def on_signal(number: int, frame: object) -> None:
        say("stopping, to write what was found so far (Ctrl-C again ends the program at once)")
        signal.signal(signal.SIGINT, before)
        stop()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _print_result(result: "Localization", destination: "Destination", *, is_one_of_many: bool) -> None:
    """What goes to standard output, if anything does."""
    if destination.kind == "table":
        _print_events(result)
    elif destination.kind == "text" and destination.formats == ["json"] and is_one_of_many:
        print(result.to_json(indent=None))  # one video a line
    elif destination.kind == "text":
        from avel.outputs import render

        print(render(result, destination.formats[0]), end="")


def _print_events(result: "Localization") -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    console = SafeConsole()
    rows = [
        (f"{e.start_seconds:.2f}", f"{e.end_seconds:.2f}", e.category, e.modality, f"{e.score:.2f}")
        for e in result.events
    ]
    if not console.is_terminal:
        for row in rows:
            print(*map(printable, (result.video, *row)), sep="\t")
        return
    title = f"{escape(result.video)}  [dim]{result.duration_seconds:.1f} s[/dim]"
    if not rows:
        console.print(f"{title}: no event found")
        return
    table = Table("start", "end", "event category", "modality", "score", title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row), style=None if row[3] == "audio-visual" else "dim")
    console.print(table)


@contextlib.contextmanager
def _progress(path: str) -> "Iterator[SecondsProgress]":
    """A progress bar on a terminal, nothing elsewhere."""
    if not errors.is_terminal:
        yield lambda done_seconds, total_seconds: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(escape(Path(path).name), total=None, at="")

        def update(done_seconds: float, total_seconds: float | None) -> None:
            bar.update(task, completed=done_seconds, total=total_seconds, at=f"{done_seconds:.0f} s")

        yield update


@contextlib.contextmanager
def _standard_input(videos: list[str]) -> Iterator[list[str]]:
    """The videos as paths, with standard input kept in a temporary file, since containers have to be searched in."""
    if STDIN not in videos:
        yield videos
        return
    if videos.count(STDIN) > 1:
        raise ValueError("Standard input (-) holds one video; it is there twice.")
    with tempfile.TemporaryDirectory(prefix="avel-") as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield [str(path) if video == STDIN else video for video in videos]
