"""``avel train``, ``avel evaluate`` and ``avel reproduce``."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avel.cli.console import errors, say, usage_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avel.data.annotations import Split
    from avel.evaluation.evaluate import Evaluation
    from avel.evaluation.leaderboard import Line
    from avel.evaluation.papers import Row
    from avel.evaluation.reproduce import RowResult
    from avel.features.recipe import Recipe
    from avel.training.data import LocalizationData
    from avel.training.own import LabelledData, VideoLabelling
    from avel.training.settings import TrainingSettings
    from avel.training.state import Epoch

DataArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[DATA]",
        help="Folder in AVE's layout, or a feature store of AVE's videos; with --videos, labels of one's own: a CSV, "
        "ELAN, Audacity or Label Studio file, or a folder of them.",
    ),
]
DataOption = Annotated[Path | None, typer.Option("--data", metavar="DATA", help="The same as DATA.")]
VideosOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of the videos that the labels name.")]
StoreOption = Annotated[
    Path | None, typer.Option(metavar="STORE", help="Where the videos' features are kept. [default: RUN/features]")
]
FormatOption = Annotated[
    str | None, typer.Option(help="Of the labels: ave, csv, elan, audacity or label-studio. [default: found out]")
]
FrameRateOption = Annotated[
    float | None, typer.Option("--frames-per-second", help="Of Label Studio's timelines, as set there.")
]
FEATURES_FOLDER = "features"
SPLITS_FILE = "splits.csv"
AnnotationsOption = Annotated[
    Path | None, typer.Option(help="Folder with Annotations.txt and the splits. [default: DATA]")
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features-of",
        help="Recipe that AVE's files were made with: ave for the published ones. [default: not known]",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting; options.NAME=VALUE for one of the model's."),
]


def train(
    output: Annotated[Path, typer.Option("-o", "--output", metavar="RUN", help="Folder of the run.")],
    data: DataArgument = None,
    data_option: DataOption = None,
    videos: VideosOption = None,
    store: StoreOption = None,
    labels_format: FormatOption = None,
    frames_per_second: FrameRateOption = None,
    preset: Annotated[
        str | None, typer.Option(help="How the videos' features are made: fast, default or ave. [default: fast]")
    ] = None,
    visual: Annotated[str | None, typer.Option(help="Visual backbones, with commas; none for no pictures.")] = None,
    audio: Annotated[str | None, typer.Option(help="Audio backbones, with commas; none for no sound.")] = None,
    segment_seconds: Annotated[float | None, typer.Option(help="Length of a segment in seconds. [default: 1]")] = None,
    model: Annotated[str | None, typer.Option(help="As avel models lists them. [default: recommended]")] = None,
    settings: Annotated[Path | None, typer.Option(help="YAML file of settings.")] = None,
    task: Annotated[str | None, typer.Option(help="supervised or weak. [default: supervised]")] = None,
    multi_label: Annotated[
        bool | None,
        typer.Option(
            "--multi-label/--one-label",
            help="Whether a segment may hold several categories. [default: one, unless one's own labels overlap]",
        ),
    ] = None,
    class_weights: Annotated[str | None, typer.Option(help="none, or balanced: rare classes count more.")] = None,
    weak_labels: Annotated[str | None, typer.Option(help="one-hot or proportion. [default: one-hot]")] = None,
    pooling: Annotated[str | None, typer.Option(help="Of the weak task: mean or max. [default: the model's]")] = None,
    backgrounds: Annotated[
        str | None,
        typer.Option(
            help="Of the weak task: noisy, mismatched, noisy+mismatched, none or a folder. "
            "[default: the model's; none with --videos]"
        ),
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Epoch that is kept: validation, or literature: best on test. [default: validation]"),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Most passes over the clips. [default: the model's]")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Clips in a batch. [default: the model's]")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="At the start. [default: the model's]")] = None,
    early_stop: Annotated[int | None, typer.Option(help="Stop after so many epochs without a better one.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn. [default: 0]")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, bfloat16 or float32. [default: auto]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. [default: auto]")] = None,
    tensorboard: Annotated[bool | None, typer.Option("--tensorboard", help="Write TensorBoard files too.")] = None,
    more: SetOption = None,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the folder.")] = False,
) -> None:
    """Train a model, keep its best epoch, and measure it on the test split.

    On one's own videos: avel train --data labels.csv --videos DIR -o RUN. Features are extracted into RUN/features
    first (what is there is not extracted again), and videos are split by category unless the labels name splits.

    Settings are the defaults, then what the model's paper says, then the file's, then the options here. For several
    processes, start it as: torchrun --nproc-per-node 2 -m avel train ...
    """
    given = {
        "task": task,
        "multi_label": multi_label,
        "class_weights": class_weights,
        "weak_labels": weak_labels,
        "pooling": pooling,
        "backgrounds": backgrounds,
        "protocol": protocol,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "early_stop": early_stop,
        "seed": seed,
        "precision": precision,
        "device": device,
        "tensorboard": tensorboard,
    }
    with usage_errors():
        flags = {name: value for name, value in given.items() if value is not None} | _changes(more)
        from avel.evaluation.evaluate import evaluate as measure
        from avel.training import loop
        from avel.training.own import splits_csv
        from avel.training.run_folder import check_folder
        from avel.training.settings import settings_for

        path = _data_path(data, data_option)
        backbones = {"visual": visual, "audio": audio, "segment_seconds": segment_seconds}
        if videos is None:
            own = {"--store": store, "--labels-format": labels_format, "--frames-per-second": frames_per_second}
            _refuse_without_videos(path, {**own, "--preset": preset, **{f"--{n}": v for n, v in backbones.items()}})
            chosen = settings_for(model, file=settings, flags=flags)
            opened = _open(path, annotations, features_of)
        else:
            _refuse({"--annotations": annotations, "--features-of": features_of})
            store = store or output / FEATURES_FOLDER
            recipe = _own_recipe(store, preset, backbones)
            labelling = _read_labels(path, videos, labels_format, frames_per_second)
            asked_for = labelling.asks_for(recipe.segment_seconds)
            chosen = settings_for(model, file=settings, flags=flags, asked_for=asked_for)
            _say_what_was_chosen(labelling, chosen, asked_for)
            check_folder(output, resume=resume)
            opened = _open_own(labelling, store, chosen, recipe)
            output.mkdir(parents=True, exist_ok=True)
            (output / SPLITS_FILE).write_text(splits_csv(opened), encoding="utf-8")
        with _epochs(chosen.epochs) as progress:
            result = loop.train(chosen, opened, output, resume=resume, progress=progress)
        if os.environ.get("RANK", "0") != "0":
            return
        print(
            f"{result.checkpoint}: epoch {result.best_epoch} of {len(result.history)}, chosen on {result.chosen_on} "
            f"(protocol {chosen.protocol}), where its {result.measure.replace('_', ' ')} is "
            f"{100 * result.accuracy:.1f} %"
        )
        if len(opened.splits.get("test", ())):
            found = measure(result.checkpoint, opened, "test", device=chosen.device)
            _write_evaluation(found, output / "result.json", output / "result.html")
            _print_evaluation(found)


def evaluate(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="Of avel train, or its run's folder.")],
    data: DataArgument = None,
    data_option: DataOption = None,
    videos: VideosOption = None,
    store: StoreOption = None,
    labels_format: FormatOption = None,
    frames_per_second: FrameRateOption = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write a report: a file .html or .json, or a folder for both.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Measure a trained model beside what needs no learning."""
    with usage_errors():
        if split not in ("train", "val", "test"):
            raise ValueError(f"Unknown split {split!r}. Splits are train, val and test.")
        from avel.evaluation.evaluate import evaluate as measure
        from avel.training.checkpoint import path_of

        path = path_of(checkpoint)
        where = _data_path(data, data_option)
        opened: LocalizationData
        if videos is None:
            own = {"--store": store, "--labels-format": labels_format, "--frames-per-second": frames_per_second}
            _refuse_without_videos(where, own)
            opened = _open(where, annotations, features_of)
        else:
            _refuse({"--annotations": annotations, "--features-of": features_of})
            kept = store or path.parent / FEATURES_FOLDER
            opened = _open_for_checkpoint(path, where, videos, kept, split, labels_format, frames_per_second)  # type: ignore[arg-type]
        found = measure(path, opened, split, device=device)  # type: ignore[arg-type]
        if output is not None:
            _write_report(found, output)
        if as_json:
            print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        else:
            _print_evaluation(found)


def reproduce(
    paper: Annotated[
        str,
        typer.Argument(
            help="tian2018, xuan2020, lin2020, duan2021, liang2024, recommended (avel's own), or all in one table."
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="Folder in AVE's layout, or a feature store of AVE's videos.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder where every row is kept, to go on from.")
    ] = Path("reproduce"),
    table: Annotated[list[int] | None, typer.Option(help="Number; may be repeated. [default: all]")] = None,
    seeds: Annotated[int, typer.Option(help="How many, from 0.")] = 3,
    epochs: Annotated[int | None, typer.Option(help="Of localization. [default: the model's]")] = None,
    matching_epochs: Annotated[
        int | None, typer.Option(help="Of cross-modality localization. [default: the authors']")
    ] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Epoch that is kept: validation, or literature: best on test. [default: validation]"),
    ] = None,
    released: Annotated[
        bool, typer.Option("--released", help="As the authors' code does where it departs from the paper.")
    ] = False,
    more: SetOption = None,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N. [default: auto]")] = None,
) -> None:
    """Train the rows of a paper's tables, or all papers' methods, and print published numbers beside ours.

    May be stopped at any moment and run again: rows that are measured are not trained again.
    """
    with usage_errors():
        from avel.evaluation import leaderboard
        from avel.evaluation import reproduce as tables
        from avel.evaluation.papers import PAPERS

        if paper not in PAPERS and paper != "all":
            raise ValueError(f"Unknown paper {paper!r}. Papers are {', '.join(PAPERS)}, or all.")
        if paper == "all" and table:
            raise ValueError("--table is for one paper; all has one table, of its own.")

        given = {"epochs": epochs, "protocol": protocol, "device": device}
        how = tables.Reproduction(
            tables=tuple(sorted(set(table or ()))),
            seeds=seeds,
            released=released,
            flags={name: value for name, value in given.items() if value is not None} | _changes(more),
            matching={} if matching_epochs is None else {"epochs": matching_epochs},
        )
        opened = _open(data, annotations, features_of)

        def tell(row: "Row", seed: int, what: str) -> None:
            say(f"{escape(row.name)}, seed {seed}: {escape(what)}")

        if paper == "all":
            lines = leaderboard.leaderboard(opened, output, how, progress=tell)
            _print_leaderboard(lines, protocol or "validation")
            return
        results = tables.reproduce(PAPERS[paper], opened, output, how, progress=tell)
    _print_tables(PAPERS[paper].title, results, protocol or "validation")
    for better, worse, difference in tables.expectations(PAPERS[paper], results):
        holds = "as claimed" if difference > 0 else "[yellow]not as claimed[/yellow]"
        Console().print(f"{better} above {worse}: {difference:+.1f} points, {holds}", highlight=False)


def _open(data: Path, annotations: Path | None, features_of: str | None) -> "LocalizationData":
    from avel.features.recipe import preset
    from avel.training.ave_data import open_data
    from avel.training.features import FeatureRecord

    declared = None
    if features_of is not None:
        recipe = preset(features_of)
        declared = FeatureRecord(0, 0, 0, visual=recipe.visual, audio=recipe.audio, recipe=recipe.to_dict())
    opened = open_data(data, annotations=annotations, declared=declared)
    for warning in opened.warnings:
        say(f"[yellow]warning:[/yellow] {escape(str(data))}: {escape(warning)}")
    return opened


def _data_path(argument: Path | None, option: Path | None) -> Path:
    if (argument is None) == (option is None):
        raise ValueError("Give the data once: as DATA, or as --data DATA.")
    path = argument if argument is not None else option
    assert path is not None
    return path


def _refuse(options: "Mapping[str, Any]") -> None:
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)}: for AVE's layout only, not with --videos.")


def _refuse_without_videos(data: Path, options: "Mapping[str, Any]") -> None:
    """Data without ``--videos`` are features already."""
    given = [name.replace("_", "-") for name, value in options.items() if value is not None]
    if given:
        raise ValueError(f"{', '.join(given)}: only for labels of one's own. Add --videos DIR.")
    if data.is_file():
        raise ValueError(f"{data}: is a file. For labels of your own add --videos DIR; else give a folder of features.")


def _read_labels(
    labels: Path,
    videos: Path,
    labels_format: str | None,
    frames_per_second: float | None,
    categories: tuple[str, ...] | None = None,
) -> "VideoLabelling":
    from avel.training.own import read_labels

    return read_labels(
        labels,
        videos,
        format=labels_format,  # type: ignore[arg-type]  # checked there
        frames_per_second=frames_per_second,
        categories=categories,
    )


def _say_what_was_chosen(
    labelling: "VideoLabelling", settings: "TrainingSettings", asked_for: "Mapping[str, Any]"
) -> None:
    """What the labels asked for and a person may want to know of."""
    annotations = labelling.annotations
    say(
        f"{escape(labelling.source)}: {len(annotations.events)} labels of {annotations.num_categories} categories in "
        f"{len(annotations.videos)} videos"
    )
    if asked_for.get("task") == settings.task == "weak":
        say("labels have no times: training on labels of whole videos (task weak)")
    if asked_for.get("multi_label") and settings.multi_label:
        say("events of several categories overlap: each gets a score and a threshold of its own (multi_label)")


def _own_recipe(store: Path, preset: str | None, options: "Mapping[str, Any]") -> "Recipe":
    """How features are made: as asked for, else as those that are there, else fast."""
    from avel.cli.features import recipe_of
    from avel.features.store import FeatureStore

    if preset is None and not (store / "store.json").exists():
        preset = "fast"
    return recipe_of(store, preset, options) or FeatureStore(store).recipe


def _open_own(
    labelling: "VideoLabelling", store: Path, settings: "TrainingSettings", recipe: "Recipe"
) -> "LabelledData":
    """Extract what is missing, and split."""
    from avel.training.own import open_labelled, split_videos

    split_videos(labelling, settings)
    _extract(labelling, store, recipe)
    opened = open_labelled(labelling, store, settings)
    for warning in opened.warnings:
        say(f"[yellow]warning:[/yellow] {escape(labelling.source)}: {escape(warning)}")
    counts = opened.notes["videos"]
    say(f"videos: {', '.join(f'{count} {split}' for split, count in counts.items())}")
    return opened


def _extract(labelling: "VideoLabelling", store: Path, recipe: "Recipe") -> None:
    from avel.cli.features import extraction_progress
    from avel.features.run import extract_many

    with extraction_progress() as progress:
        summary = extract_many(labelling.files.values(), store, recipe, progress=progress)
    say(
        f"features in {escape(str(store))}: {summary.done} videos extracted, {summary.skipped} already there, "
        f"{len(summary.failures)} failed"
    )


def _open_for_checkpoint(
    checkpoint: Path,
    labels: Path,
    videos: Path,
    store: Path,
    split: "Split",
    labels_format: str | None,
    frames_per_second: float | None,
) -> "LabelledData":
    """Labels as the checkpoint's training cut and split them, with features as it was trained on."""
    from avel.features.recipe import Recipe
    from avel.training.checkpoint import read_info
    from avel.training.own import open_labelled
    from avel.training.settings import from_mapping

    info = read_info(checkpoint)
    settings = from_mapping(info.settings, str(checkpoint))
    labelling = _read_labels(labels, videos, labels_format, frames_per_second, info.categories)
    _extract(labelling, store, Recipe.from_dict(info.features.recipe))
    return open_labelled(labelling, store, settings, needed=(split,))


def _changes(texts: list[str] | None) -> dict[str, Any]:
    """What ``--set`` says; the model's options under ``options``."""
    from avel.training.settings import parse_flag

    changes: dict[str, Any] = {}
    for name, value in map(parse_flag, texts or ()):
        if name.startswith("options."):
            changes.setdefault("options", {})[name.removeprefix("options.")] = value
        else:
            changes[name] = value
    return changes


@contextlib.contextmanager
def _epochs(total: int) -> "Iterator[Any]":
    """A bar on a terminal, a line an epoch elsewhere."""
    if not errors.is_terminal:

        def tell(epoch: "Epoch", epochs: int) -> None:
            say(f"epoch {epoch.epoch}/{epochs}: loss {epoch.loss:.4f}, accuracy {100 * epoch.accuracy:.1f} %")

        yield tell
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True) as bar:
        task = bar.add_task("reading features", total=total)

        def update(epoch: "Epoch", epochs: int) -> None:
            text = f"loss {epoch.loss:.4f}, accuracy {100 * epoch.accuracy:.1f} %"
            bar.update(task, completed=epoch.epoch, total=epochs, description=text)

        yield update


def _write_report(found: "Evaluation", output: Path) -> None:
    suffix = output.suffix.lower()
    if output.is_dir() or not suffix:
        _write_evaluation(found, output / "evaluation.json", output / "evaluation.html")
        return
    from avel.evaluation import report

    writers = {".html": report.write_html, ".json": report.write_json}
    if suffix not in writers:
        raise ValueError(f"{output}: a report is .html, .json, or a folder for both.")
    writers[suffix](found, output)


def _write_evaluation(found: "Evaluation", json_path: Path, html_path: Path) -> None:
    from avel.evaluation import report

    report.write_json(found, json_path)
    report.write_html(found, html_path)


def _print_evaluation(found: "Evaluation") -> None:
    from avel.evaluation import report

    print("\n".join(report.lines(found)))


def _print_leaderboard(lines: "list[Line]", protocol: str) -> None:
    console = Console()
    columns = (
        "method",
        "from",
        "supervised: paper",
        "ours",
        "weak: paper",
        "ours",
        "parameters",
        "training",
        "ms a clip",
    )
    table = Table(*columns, title="Segment accuracy in %", title_justify="left")
    for line in lines:
        numbers = []
        for result in (line.supervised, line.weak):
            paper = None if result is None else result.row.paper
            numbers += ["-" if paper is None else f"{paper:.1f}", "-" if result is None else result.ours]
        costs = ["-"] * 3
        if line.costs:
            seconds = line.costs["training_seconds"]
            costs = [
                f"{line.costs['parameters'] / 1e6:.2f} M",
                f"{seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s",
                f"{line.costs['milliseconds_per_clip']:.2f}",
            ]
        table.add_row(escape(line.method), escape(line.paper), *map(escape, numbers), *costs)
    results = [result for line in lines for result in (line.supervised, line.weak) if result is not None]
    trivial = next((result.trivial for result in results if result.trivial), {})
    for name, accuracy in trivial.items():
        table.add_row(escape(name), "", "", f"{accuracy:.1f}", style="dim")
    console.print(table)
    for reason in dict.fromkeys(result.not_measured for result in results if result.not_measured):
        console.print(f"not measured: {escape(reason)}", highlight=False)
    console.print(
        f"epoch chosen by protocol {protocol}; a method's number in its paper, ours on this data", highlight=False
    )


def _print_tables(paper: str, results: "list[RowResult]", protocol: str) -> None:
    console = Console()
    for number in sorted({result.row.table for result in results}):
        of_table = [result for result in results if result.row.table == number]
        table = Table(
            "", "paper", "ours", title=f"{paper}, Table {number}, accuracy in %", title_justify="left", min_width=60
        )
        for result in of_table:
            paper = "-" if result.row.paper is None else f"{result.row.paper:.1f}"
            reason = f" ({result.not_measured})" if result.not_measured else ""
            table.add_row(escape(result.row.name), paper, escape(result.ours + reason))
        trivial = next((result.trivial for result in of_table if result.trivial), {})
        for name, accuracy in trivial.items():
            table.add_row(escape(name), "", f"{accuracy:.1f}", style="dim")
        console.print(table)
    console.print(f"epoch chosen by protocol {protocol}", highlight=False)
