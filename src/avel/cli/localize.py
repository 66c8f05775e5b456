"""``avel localize``."""

import contextlib
import dataclasses
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avel.cli.console import errors, say, usage_errors
from avel.errors import AvelError

if TYPE_CHECKING:
    from avel.events import Localization
    from avel.features.extract import Progress
    from avel.localization.localizer import Localizer


STDIN = "-"
STDOUT = Path("-")

SECONDS_BETWEEN_SAVES = 60.0
STOPPED = 130
"""Exit code after Ctrl-C, as of programs that it ends at once."""


def localize(
    videos: Annotated[
        list[str], typer.Argument(metavar="VIDEO...", help="Video files; - reads one from standard input.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder for the results; for one video also a file; - is standard output."),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Any of json,csv,srt,vtt,elan,audacity,label-studio,coco,html,png,mp4, with commas. "
            "[default: json, or OUTPUT's]",
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option(help="agreement, which needs no training; or a checkpoint of avel train, or its run's folder."),
    ] = "agreement",
    categories: Annotated[
        Path | None, typer.Option(help="Of agreement: TOML file of event categories. [default: AVE's 28]")
    ] = None,
    segment_seconds: Annotated[
        float | None, typer.Option(help="Of agreement: length of a segment in seconds. [default: 1]")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, float16 or int8. [default: float16; as trained for a checkpoint]")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or torch-cpu.")] = "auto",
    audio_tagger: Annotated[
        str | None,
        typer.Option(help="Of agreement: yamnet, embedded, or auto: YAMNet where it can be had. [default: auto]"),
    ] = None,
) -> None:
    """Find the audio-visual events of videos.

    Without -o the events are printed; with it they are written as files.

    Ctrl-C ends the video at hand early and writes what was found in it; a second Ctrl-C ends the program. Of a long
    video a file NAME.partial.json is kept up to date meanwhile, in case the program does not live to write the rest.
    """
    with usage_errors(), _standard_input(videos) as paths:
        target = _Target(output, formats, videos, paths)
        from avel.localization.localizer import Localizer

        localizer = Localizer(
            model,
            categories=categories,
            segment_seconds=segment_seconds,
            precision=precision,
            device=device,
            audio_tagger=audio_tagger,
        )
        for notice in localizer.notices:
            say(f"[yellow]notice:[/yellow] {escape(notice)}")
        failed = _localize_all(localizer, paths, target)
    if failed:
        if len(videos) > 1:
            say(f"[red]{failed} of {len(videos)} videos failed.[/red]")
        raise typer.Exit(1)


class _Target:
    """Where results go, as ``-o`` and ``--format`` ask for."""

    def __init__(self, output: Path | None, formats: str | None, videos: list[str], paths: list[str]) -> None:
        from avel.outputs import FORMATS, TEXT_FORMATS, format_of, unique_stems

        self.output = output
        self.videos = videos
        self.formats = [name.strip() for name in formats.split(",")] if formats else []
        for name in self.formats:
            if name not in FORMATS:
                raise ValueError(f"Unknown format {name!r}. Supported formats are {', '.join(FORMATS)}.")
        self.to_stdout = output == STDOUT or (output is None and bool(self.formats))
        self.to_table = output is None and not self.formats
        of_file = None if output is None or self.to_stdout or output.is_dir() else format_of(output)
        self.to_file = of_file is not None
        if self.to_file and (len(videos) > 1 or self.formats not in ([], [of_file])):
            raise ValueError(f"{output} is one file; for several videos or formats give a folder.")
        self.formats = self.formats or [of_file or "json"]
        if self.to_stdout and (len(self.formats) > 1 or self.formats[0] not in TEXT_FORMATS):
            raise ValueError(
                f"Standard output takes one of {', '.join(TEXT_FORMATS)}; give a folder with -o for others."
            )
        self.stems = unique_stems(paths)

    def save_partial(self, result: "Localization", index: int) -> None:
        """Keep what was found so far beside where the result will be; it is removed when that is written."""
        from avel.outputs import write

        path = self._partial(index)
        if path is not None:
            write(result, path)

    def _partial(self, index: int) -> Path | None:
        if self.to_table or self.to_stdout:
            return None
        assert self.output is not None
        folder = self.output.parent if self.to_file else self.output
        return folder / f"{self.output.stem if self.to_file else self.stems[index]}.partial.json"

    def write(self, result: "Localization", index: int, *, is_whole: bool = True) -> None:
        """Write or print a result; of one that was stopped, what needs no more reading of the video."""
        from avel.outputs import TEXT_FORMATS, render, write, write_all

        formats = [name for name in self.formats if is_whole or name in TEXT_FORMATS]
        partial = self._partial(index)
        if partial is not None and not formats:
            print(write(result, partial))
            return
        if self.to_table or self.to_stdout:
            # Nothing reads the video again, so a temporary copy of standard input need not be told by its path.
            result = dataclasses.replace(result, video=self.videos[index])
        if self.to_table:
            _print_events(result)
        elif self.to_stdout and self.formats == ["json"] and len(self.videos) > 1:
            print(result.to_json(indent=None), flush=True)  # one video a line
        elif self.to_stdout:
            print(render(result, self.formats[0]), end="", flush=True)
        elif self.to_file:
            assert self.output is not None
            print(write(result, self.output))
        else:
            assert self.output is not None
            for path in write_all(result, self.output, formats, stem=self.stems[index]):
                print(path, flush=True)
        if partial is not None:
            partial.unlink(missing_ok=True)


def _localize_all(localizer: "Localizer", paths: list[str], target: _Target) -> int:
    failed = 0
    for index, path in enumerate(paths):
        try:
            run = localizer.start(path)
            with run, _ctrl_c(run.stop), _progress(path) as progress:
                saved = time.monotonic()
                for done_seconds in run:
                    if progress is not None:
                        progress(done_seconds, run.declared_seconds)
                    if run.num_segments and time.monotonic() - saved > SECONDS_BETWEEN_SAVES:
                        target.save_partial(run.result(), index)
                        saved = time.monotonic()
                result = run.result()
            for warning in result.warnings:
                say(f"[yellow]warning:[/yellow] {escape(path)}: {escape(warning)}")
            target.write(result, index, is_whole=not run.stopped)
            if run.stopped:
                raise typer.Exit(STOPPED)
        except AvelError as error:
            failed += 1
            say(f"[red]error:[/red] {escape(str(error))}")
    return failed


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


def _print_events(result: "Localization") -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    console = Console()
    rows = [
        (f"{e.start_seconds:.2f}", f"{e.end_seconds:.2f}", e.category, e.modality, f"{e.score:.2f}")
        for e in result.events
    ]
    if not console.is_terminal:
        for row in rows:
            print(result.video, *row, sep="\t")
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
def _progress(path: str) -> "Iterator[Progress | None]":
    """A progress bar on a terminal, nothing elsewhere."""
    if not errors.is_terminal:
        yield None
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
