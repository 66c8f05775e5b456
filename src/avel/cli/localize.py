"""``avel localize``."""

import contextlib
import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from avel.cli.console import (
    SCREEN,
    ProgressLines,
    ReadingLines,
    avel_errors,
    complain,
    detail,
    escape,
    fail,
    say,
    standard_output,
    usage_errors,
    warn,
)
from avel.cli.loading import loading
from avel.cli.printing import printable
from avel.errors import MediaError
from avel.features.choices import EngineName
from avel.wording import counted

if TYPE_CHECKING:
    from avel.batch.one import VideoOutcome
    from avel.batch.run import VideoBatch
    from avel.batch.supervise import ChildShare
    from avel.batch.videos import VideoItem
    from avel.events import Localization
    from avel.features.extract import SecondsProgress
    from avel.localization.localizer import LocalizationRun
    from avel.localization.selection import ModalityChoice
    from avel.outputs.destination import Destination

STDIN = "-"

COLUMNS = ("video", "start_seconds", "end_seconds", "category", "modality", "score")
"""Of the lines that are printed where standard output is no terminal."""

STOPPED = 130
"""Exit code after Ctrl-C, as of programs that it ends at once."""
FIRST_SIGNAL = 128
"""From here on, exit codes are of somebody who wanted the program to end."""


def localize(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO|DIR|LIST",
            help="Video files; folders, of which all videos are taken; text files (.txt) with a path a line; quoted "
            "patterns such as 'videos/**/*.mp4'; - reads one video from standard input.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder that the results are written to, in the same folders as the videos. For one video it may "
            "also be a file, whose suffix names the format; - is standard output. Without it the events are printed.",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="The formats to write, separated by commas: json, jsonl, csv, csv-clock (with times as HH:MM:SS.mmm), "
            "srt, vtt, elan, audacity, label-studio, textgrid, raven, coco, youtube (chapters), azure (Video Indexer's "
            "shape), otio, fcpxml, edl, html, png, mp4, chapters (the video as it is, with chapters), clips. "
            "[default: json, or what the suffix of OUTPUT says]",
        ),
    ] = None,
    frames_per_second: Annotated[
        float | None,
        typer.Option(
            "--frames-per-second",
            help="Write label-studio for the timeline of the video, which counts frames at this rate, the frameRate of "
            "the project. [default: for the sound, which counts seconds]",
        ),
    ] = None,
    clips: Annotated[
        bool,
        typer.Option(
            "--clips",
            help="Write a clip of the video for each event, with its sound, into a folder NAME.clips beside the other "
            "results. Nothing that is in it is overwritten.",
        ),
    ] = False,
    pad: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="How much of the video each clip has before and after its event."),
    ] = 0.0,
    model: Annotated[
        str,
        typer.Option(
            help="What finds the events: agreement, which needs no training, or a checkpoint that avel train wrote "
            "(the file, or the folder of the run)."
        ),
    ] = "agreement",
    categories: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|FILE|WORDS",
            help="The event categories to look for: everyday, ave (the 28 of AVE), a TOML file of your own, or English "
            "words, separated by commas, such as 'chainsaw, puppy barking'; for agreement only, since a checkpoint has "
            "its own. [default: everyday]",
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            help="The length of a segment in seconds, which is how finely times are told; for agreement only. "
            "[default: 1]"
        ),
    ] = None,
    refine: Annotated[
        bool | None,
        typer.Option(
            "--refine/--no-refine",
            help="Whether events start and end where their sound does, to a tenth of a second, or with whole segments; "
            "for agreement only. [default: refine]",
            show_default=False,
        ),
    ] = None,
    modality: Annotated[
        str,
        typer.Option(
            help="Which events to report: audio-visual (seen and heard), audio (heard only), visual (seen only), or "
            "all. Choose audio-visual when what happens off screen does not matter."
        ),
    ] = "all",
    min_score: Annotated[
        float,
        typer.Option(
            help="Events with a lower score, from 0 to 1, are left out. Raise it for fewer and surer events; at 0.5 "
            "and below it leaves out none."
        ),
    ] = 0.0,
    merge_gap: Annotated[
        float,
        typer.Option(
            help="Events of one category and modality with at most this many seconds between them become one. Raise it "
            "for one event where a dog barks several times."
        ),
    ] = 0.0,
    min_length: Annotated[
        float, typer.Option(help="Events shorter than this many seconds are left out, after they have been merged.")
    ] = 0.0,
    precision: Annotated[
        str | None,
        typer.Option(
            help="How the networks that make the features compute: float32, float16, which is faster on most machines, "
            "or int8, for networks that know it, as VGG-19 does and agreement's do not; others take float16. [default: "
            "float16; for a checkpoint, what it was trained with]"
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
            help="The network that listens, for agreement only: yamnet; yamnet-onnx, the same network from the Python "
            "package index; embedded, which is smaller and part of avel; or auto, which takes the first of these whose "
            "weights are available. [default: auto]"
        ),
    ] = None,
    open_vocabulary: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Look and listen for the words of --categories with an image-text and an audio-text network of yours, "
            "which this TOML file describes; instead of agreement's networks. Choose it for what no table has; it was "
            "not measured.",
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of the audio track to listen to, 1 for the first one of the file. Choose it for a video "
            "in several languages or with audio description; the JSON result says which track was heard. [default: "
            "the track that a player would play, or that a trained model was trained on]",
        ),
    ] = None,
    ungated: Annotated[
        bool,
        typer.Option(
            "--ungated",
            help="Show where the model looks in every segment, event or not, and not only where an event is; for "
            "models with spatial attention.",
        ),
    ] = False,
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Add what the model knows beside its scores, as far as it has it, to JSON, pictures and pages: gates, "
            "attention between segments, similarity, event relevance, and where it looks in every segment.",
        ),
    ] = False,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="A label file of any format that avel train reads: pictures (png) and pages (html) then show what is "
            "true below what was found.",
        ),
    ] = None,
    lists: Annotated[
        list[str] | None,
        typer.Option(
            "--list",
            metavar="FILE",
            help="A text file with the path of a video a line, for more videos than fit into a command; - reads the "
            "paths from standard input.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Localize videos again whose results are in the folder already, and videos that crashed the program.",
        ),
    ] = False,
    engine: Annotated[
        EngineName | None,
        typer.Option(
            help="How the work is shared: local, by processes of this machine, or dask, by a Dask cluster. [default: "
            "local; dask with --scheduler]"
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many processes share the work on this machine; each takes about 1 GB of memory. Choose as many "
            "as there are cores for many videos. [default: 1; with --engine dask one for each core]",
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="The address of a running Dask scheduler, such as tcp://host:8786, to work there."
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on until Ctrl-C: localize every video that arrives in the folders, once it has stopped growing. "
            "What has been done, and what failed, is kept in the folder of the results, so that it goes on there when "
            "it is started again.",
        ),
    ] = False,
    settled: Annotated[
        float,
        typer.Option(
            min=0.1, max=86400, metavar="SECONDS", help="How long a file has not changed when it has stopped growing."
        ),
    ] = 10.0,
    header: Annotated[
        bool,
        typer.Option(
            "--header", help="Begin printed lines with a line of the columns' names, where they are no table."
        ),
    ] = False,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Print on standard error, after the events of a video, which categories came nearest to one: how "
            "clearly and when each was heard and seen, and why it is no event. Choose it where nothing, or too little, "
            "is found.",
        ),
    ] = False,
) -> None:
    """Find the events of videos that can be both seen and heard.

    Without -o the events are printed; with it the results are written as files. In a folder, what has been done is not
    done again as long as the video, the model and the options are the same, so that a run that was stopped goes on
    where it was; summary.csv lists the events of all videos, and index.html shows them all.

    Ctrl-C ends the current video early and writes what was found in it so far; a second Ctrl-C ends the program at
    once. While a long video is read, what was found so far is kept in NAME.partial.json, so that it is not lost if the
    program is killed.
    """
    with usage_errors(), _standard_input(videos or []) as paths:
        with loading():
            from avel.batch.journal import ResultJournal
            from avel.batch.run import VideoBatch, default_settings
            from avel.batch.videos import find_items
            from avel.data.truth import read_truth
            from avel.localization.selection import Selection
            from avel.outputs import WriteOptions
            from avel.outputs.destination import Destination

        if watch:
            _check_watched(paths, output, no_lists=not lists, force=force, settled_seconds=settled)
        if not videos and not lists:
            raise ValueError("There is no video to localize. Name files or folders, or give --list.")
        folder = None if output in (None, STDIN) else Path(output or "")
        shown = dict(zip(paths, videos or [], strict=True))
        named, files = _listed(lists or [])
        items, failures = find_items([*paths, *named], files, shown=shown, output=folder)
        wanted = [name.strip() for name in formats.split(",")] if formats else []
        if clips:
            wanted = [*(wanted or ["json"]), "clips"]
        options = WriteOptions(frames_per_second, pad, None if truth is None else read_truth(truth))
        settings = default_settings() | {
            "model": model,
            "categories": categories,
            "refine": refine,
            "selection": Selection(cast("ModalityChoice", modality), merge_gap, min_length, min_score),
            "segment_seconds": segment_seconds,
            "precision": precision,
            "device": device,
            "audio_tagger": audio_tagger,
            "open_vocabulary": open_vocabulary,
            "audio_track": audio_track,
            "ungated": ungated,
            "details": details,
        }

        journal = ResultJournal(folder) if watch and folder is not None else None

        def batch_of(some: "Sequence[VideoItem]") -> VideoBatch:
            names, found = [item.name for item in some], [item.path for item in some]
            destination = Destination(names, output, wanted, options, found, is_of_many=True if watch else None)
            return VideoBatch(some, destination, settings, force, retry_failed=not watch, journal=journal)

        cluster = _cluster(engine, workers, scheduler)
        if watch and (cluster is not None or workers not in (None, 1)):
            raise ValueError("--watch works in one process. Leave --engine, --workers and --scheduler.")
        if watch and folder is not None:
            code = _watch_folders(paths, folder, settled, batch_of, explain=explain)
        else:
            batch = batch_of(items)
            for reason in failures.values():
                complain(reason)
            if items:
                batch.destination.check()
            code = _localize(batch, len(failures), workers or 1, cluster, header=header, explain=explain)
    if code:
        raise typer.Exit(code)


def _check_watched(
    paths: list[str], output: str | None, *, no_lists: bool, force: bool, settled_seconds: float
) -> None:
    """Refuse to watch what cannot be watched."""
    if not paths or not no_lists or not all(Path(path).is_dir() for path in paths):
        raise ValueError("--watch looks for videos in folders. Give folders that are there, and nothing else.")
    if output in (None, STDIN) or Path(output or "").is_file():
        raise ValueError("--watch needs a folder for the results: -o FOLDER.")
    from avel.batch.videos import is_of_results, of_results

    for path in paths:
        if is_of_results(path, Path(output or "")):
            raise ValueError(of_results(path, Path(output or "")))
    if force:
        raise ValueError("--force would do everything again whenever a video arrives. Leave it with --watch.")
    Path(output or "").mkdir(parents=True, exist_ok=True)  # so that one video does not make it a file


def _watch_folders(
    folders: list[str],
    output: Path,
    settled_seconds: float,
    batch_of: "Callable[[Sequence[VideoItem]], VideoBatch]",
    *,
    explain: bool,
) -> int:
    """Localize what arrives in folders until Ctrl-C; an exit code."""
    from avel.batch.arrivals import ArrivedVideos, NowAndThen, watch_folders

    code = 0
    arrived = ArrivedVideos(batch_of)

    def through(items: "list[VideoItem]", gone: list[str]) -> bool:
        nonlocal code
        arrived.forget(gone)
        if items:
            summary.changed()
            batch = arrived.batch(items)
            code = _do(batch, 1, None, header=False, explain=explain)
            of_batch = batch.summary() if code < FIRST_SIGNAL else None
            if of_batch is not None:
                say(escape(of_batch.text()))
        return code < FIRST_SIGNAL

    def write_summary() -> None:
        batch = arrived.all()
        _say_configuration(batch)
        path, page = batch.write_summary(), batch.write_index()
        videos = counted(len(batch.items), "video")
        say(f"{escape(str(path))} lists the events of {videos}, {escape(str(page))} shows all of them.")

    summary = NowAndThen(write_summary)
    say(f"watching {escape(', '.join(folders))}; Ctrl-C ends it")
    try:
        with _sigterm_as_exit():
            try:
                watch_folders(folders, output, through, between=summary.if_due, settled_seconds=settled_seconds)
            finally:
                summary.at_once()
    except KeyboardInterrupt:
        say("stopped watching")
        return 0
    except MediaError as error:
        fail(str(error))
    return code


@contextlib.contextmanager
def _sigterm_as_exit() -> Iterator[None]:
    """Who is asked to end, as by a service manager, ends in good order."""

    def on_signal(number: int, frame: object) -> None:
        raise SystemExit(FIRST_SIGNAL + number)

    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    before = signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _cluster(engine: EngineName | None, workers: int | None, scheduler: str | None) -> dict[str, Any] | None:
    """How a Dask cluster is asked for, ``None`` where the work is done without one."""
    if workers is not None and scheduler is not None:
        raise ValueError("A running scheduler has its own workers: give either --workers or --scheduler.")
    if engine == "local" and scheduler is not None:
        raise ValueError("A scheduler is one of Dask: leave --engine, or use --engine dask.")
    return None if engine != "dask" and scheduler is None else {"workers": workers, "scheduler": scheduler}


def _localize(
    batch: "VideoBatch",
    unreadable: int,
    workers: int,
    cluster: dict[str, Any] | None,
    *,
    header: bool,
    explain: bool,
) -> int:
    """Do a batch and print what became of it; an exit code."""
    code = max(_do(batch, workers, cluster, header=header, explain=explain), 1 if unreadable else 0)
    _say_configuration(batch)
    total = len(batch.items) + unreadable
    summary = batch.summary() if total > 1 else None
    if summary is None:
        if code == 1 and total > 1:
            say("[red]Not all videos could be localized.[/red]")
        return code
    path, page = batch.write_summary(), batch.write_index()
    reasons_before = {entry.reason for entry in batch.before.values()}
    for video, reason in summary.failures.items():
        if reason in reasons_before:
            complain(f"{video}: left out, as before: {reason}")
    say(f"{escape(summary.text())} {escape(str(path))} lists all events, {escape(str(page))} shows all videos.")
    return max(code, 1 if summary.failures else 0)


def _do(batch: "VideoBatch", workers: int, cluster: dict[str, Any] | None, *, header: bool, explain: bool) -> int:
    """Do a batch, in child processes where that is possible, and print its results; an exit code."""
    from avel.batch.supervise import ChildShare, can_supervise, supervised

    batch.plan()
    if batch.before and batch.retry_failed:
        say(f"Done before: {len(batch.before)} of {counted(len(batch.items), 'video')}; --force does them again.")
    if batch.corrected:
        say(
            f"Corrected or reviewed by a person (avel serve), and so left as they are: {len(batch.corrected)} of "
            f"{counted(len(batch.items), 'video')}."
        )
    work = _Work(batch, explain, workers)
    if header and batch.todo and batch.destination.kind == "table":
        print(*COLUMNS, sep="\t")
    if batch.todo and cluster is None and can_supervise():
        return supervised(work.run, len(batch.todo), work.on_death, children=workers)
    if batch.todo and cluster is None and workers == 1:
        return work.run(ChildShare.all_of(len(batch.todo)))
    if batch.todo:
        return work.run_on_cluster(cluster or {"workers": workers})
    return 0


def _say_configuration(batch: "VideoBatch") -> None:
    """The labelling configuration that Label Studio needs for the predictions that were written."""
    if "label-studio" not in batch.destination.formats:
        return
    from avel.data.formats import label_studio

    ending = ".label-studio.json"
    paths = [path for index in range(len(batch.items)) for path in batch.destination.paths(index)]
    labels = [label for p in paths if p.name.endswith(ending) and p.is_file() for label in label_studio.labels_in(p)]
    if labels:
        say("Label Studio needs this labelling configuration (Settings, Labeling Interface, Code):")
        config = label_studio.config(labels, frames_per_second=batch.destination.options.frames_per_second)
        say(escape(config.rstrip("\n")))


@dataclass(frozen=True)
class _Work:
    """What is done with a batch in one process, and printed there.

    Attributes:
        batch: the videos.
        explain: whether to say what came nearest to an event.
        workers: how many processes share the work, and so the cores.
    """

    batch: "VideoBatch"
    explain: bool
    workers: int

    def run(self, share: "ChildShare") -> int:
        """Localize a share of the videos; an exit code."""
        with avel_errors(), usage_errors():
            with loading():
                from avel.backbones.engine import usable_cores
                from avel.localization.localizer import Localizer
                from avel.localization.model_choice import check_attention

                if needing := self.batch.destination.needs_attention:
                    check_attention(self.batch.settings["model"], needing, self.batch.settings["open_vocabulary"])
                threads = None if self.workers == 1 else max(1, usable_cores() // self.workers)
                localizer = Localizer(**self.batch.settings, threads=threads)
            if share.number == 0:
                self._start(localizer.notices)
            statuses = self.batch.work(localizer, share, self._telling(share), watch=_watch)
            if "stopped" in statuses:
                return STOPPED
            return 1 if "failed" in statuses else 0

    def run_on_cluster(self, cluster: dict[str, Any]) -> int:
        """Localize all videos in several processes; an exit code."""
        with avel_errors(), usage_errors():
            from avel.batch.supervise import ChildShare
            from avel.localization.model_choice import check_attention

            if needing := self.batch.destination.needs_attention:
                check_attention(self.batch.settings["model"], needing, self.batch.settings["open_vocabulary"])
            tell, through = self._telling(ChildShare.all_of(0)), itertools.count()
            statuses = self.batch.work_on_cluster(self._start, lambda *of: tell(next(through), *of), **cluster)
            return 1 if "failed" in statuses else 0

    def _start(self, notices: Sequence[str]) -> None:
        for notice in notices:
            say(f"[yellow]notice:[/yellow] {escape(notice)}")

    def on_death(self, place: int | None, how: str) -> None:
        """Say of which video a process died, and leave that one alone from now on."""
        if place is None:
            complain(f"The program was killed while it loaded the networks ({how}). Is there enough memory?")
            return
        reason = (
            f"{self.batch.items[self.batch.todo[place]].shown}: the process that read it was killed ({how}): a library "
            "crashed on it, or memory ran out. It is left out from now on, unless you use --force."
        )
        self.batch.quarantine(place, reason)
        complain(reason)

    def _telling(self, share: "ChildShare") -> "Callable[[int, VideoItem, VideoOutcome], None]":
        """Prints what became of each video, and every so often how many are through."""
        lines, total = ProgressLines("videos looked at"), len(self.batch.todo)

        def tell(place: int, item: "VideoItem", outcome: "VideoOutcome") -> None:
            with share.alone():
                self._print(item, outcome)
            if share.number == 0 and total > 1:  # they are begun in order, so nearly all before it are through
                lines(place + 1, total)

        return tell

    def _print(self, item: "VideoItem", outcome: "VideoOutcome") -> None:
        for warning in outcome.warnings:
            warn(f"{item.shown}: {warning}")
        if outcome.result is None:
            complain(outcome.reason)
            return
        events = len(outcome.result.events)
        detail(f"{item.shown}: {events} {'event' if events == 1 else 'events'}", video=item.shown, events=events)
        with standard_output():
            for path in outcome.paths:
                print(printable(str(path)))
            # Nothing reads the video again, so a temporary copy of standard input need not be told by its path.
            result = replace(outcome.result, video=item.shown)
            _print_result(result, self.batch.destination, is_one_of_many=len(self.batch.items) > 1)
        if self.explain:
            _explain(result)


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

        print(render(result, destination.formats[0], destination.options), end="")


def _print_events(result: "Localization") -> None:
    """A table on a terminal, tab-separated lines elsewhere."""
    from rich.table import Table

    from avel.cli.terminal import SafeConsole

    console = SafeConsole()
    rows = [
        (f"{e.start_seconds:.2f}", f"{e.end_seconds:.2f}", e.category, e.modality, f"{e.score:.2f}")
        for e in result.events
    ]
    if not console.is_terminal:
        if not rows:
            say(f"{escape(result.video)}: no event found")
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


def _explain(result: "Localization") -> None:
    """Why a result has the events that it has, on standard error."""
    from rich.table import Table

    from avel.cli.terminal import errors
    from avel.outputs.explanation import Peak, explanation

    def told(peak: Peak | None) -> str:
        return "" if peak is None else f"{peak.score:.2f} at {peak.seconds:.0f} s"

    sys.stdout.flush()
    explained = explanation(result)
    say("\n".join(map(escape, (f"{result.video}:", *explained.facts))))
    if explained.categories:
        table = Table("event category", "heard", "seen", "both", "events", "why", pad_edge=False, box=None)
        for row in explained.categories:
            table.add_row(escape(row.category), *map(told, (row.heard, row.seen, row.both)), str(row.events), row.why)
        errors.print(table)


@contextlib.contextmanager
def _progress(path: str) -> "Iterator[SecondsProgress]":
    """A progress bar on a terminal, a line every so often elsewhere."""
    lines = ReadingLines(path)
    if not SCREEN.shows_bars:
        yield lines
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from avel.cli.terminal import errors

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[at]}"), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task(escape(Path(path).name), total=None, at="")

        def update(done_seconds: float, total_seconds: float | None) -> None:
            lines(done_seconds, total_seconds)
            bar.update(task, completed=done_seconds, total=total_seconds, at=f"{done_seconds:.0f} s")

        yield update


def _listed(lists: list[str]) -> tuple[list[str], list[Path]]:
    """The paths that standard input lists, if it is asked for, and the files that list others."""
    if STDIN not in lists:
        return [], [Path(name) for name in lists]
    content = sys.stdin.buffer.read()
    if b"\0" in content:
        raise ValueError("Standard input is no list with a path a line: it holds zero bytes. Leave -print0 of find.")
    # As names of files are decoded, whatever the locale says of text.
    names = [line.rstrip("\r") for line in os.fsdecode(content).split("\n")]
    return [name for name in names if name.strip()], [Path(name) for name in lists if name != STDIN]


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
