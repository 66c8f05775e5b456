"""``avel reproduce``."""

import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from avel.cli.console import say, usage_errors
from avel.cli.data_options import AnnotationsOption, FeaturesOption, SetOption, changes
from avel.cli.terminal import SafeConsole
from avel.training.choices import EpochProtocol

if TYPE_CHECKING:
    from avel.evaluation.leaderboard import Line
    from avel.evaluation.papers import Row
    from avel.evaluation.reproduce import RowResult
    from avel.evaluation.verdicts import Verdict, VerdictName


_STYLES: "dict[VerdictName, str | None]" = {"holds": None, "does not hold": "yellow", "cannot be told": "dim"}
_COUNTED: "dict[VerdictName, str]" = {
    "holds": "hold",
    "does not hold": "do not hold",
    "cannot be told": "cannot be told",
}

SECONDS_BETWEEN_EPOCHS = 10.0
"""That are told: a row may have hundreds of short ones."""


def reproduce(
    paper: Annotated[
        str,
        typer.Argument(
            metavar="PAPER",
            help="The paper: tian2018, xuan2020, lin2020, duan2021 or liang2024; recommended for avel's own model, or "
            "all for the methods of all papers in one table.",
        ),
    ],
    data: Annotated[Path, typer.Option("--data", help="A folder in AVE's layout, or a feature store of AVE's videos.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="The folder where the result of every row is kept, to continue from."),
    ] = Path("reproduce"),
    table: Annotated[
        list[int] | None,
        typer.Option(
            help="The number of a table, or 0 for the rows that avel adds to the paper's; may be given several times. "
            "[default: all tables of the paper]"
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="How many times each row is trained, each time with another seed, from 0 on.")
    ] = 3,
    epochs: Annotated[
        int | None,
        typer.Option(help="How many epochs each localization model is trained, at most. [default: the model's]"),
    ] = None,
    matching_epochs: Annotated[
        int | None,
        typer.Option(help="How many epochs cross-modality localization is trained. [default: the authors']"),
    ] = None,
    protocol: Annotated[
        EpochProtocol | None,
        typer.Option(
            help="Which epoch is kept: validation, the best on the validation split; literature, the best on the test "
            "split, as some published code does. [default: validation]"
        ),
    ] = None,
    released: Annotated[
        bool,
        typer.Option("--released", help="Follow the authors' code instead of the paper where the two differ."),
    ] = False,
    more: SetOption = None,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    device: Annotated[
        str | None, typer.Option(help="Where models are trained: auto, cpu, cuda or cuda:N. [default: auto]")
    ] = None,
) -> None:
    """Train the rows of a paper's tables, or all papers' methods, and print the published numbers beside ours.

    The command may be stopped at any moment and run again: rows that have been measured are not trained again.
    """
    with usage_errors():
        from avel.cli.listener import ConsoleListener
        from avel.evaluation import leaderboard
        from avel.evaluation import reproduce as tables
        from avel.evaluation.papers import PAPERS
        from avel.evaluation.train_on import AveFeatures, open_ave
        from avel.files import make_folder

        if paper not in PAPERS and paper != "all":
            raise ValueError(f"Unknown paper {paper!r}. Papers are {', '.join(PAPERS)}, or all.")
        if paper == "all" and table:
            raise ValueError("--table is for one paper; all has one table, of its own.")

        given = {"epochs": epochs, "protocol": protocol, "device": device}
        how = tables.Reproduction(
            tables=tuple(sorted(set(table or ()))),
            seeds=seeds,
            released=released,
            flags={name: value for name, value in given.items() if value is not None} | changes(more),
            matching={} if matching_epochs is None else {"epochs": matching_epochs},
        )
        if output is not None:
            make_folder(output)
        opened = open_ave(AveFeatures(data, annotations, features_of), ConsoleListener())

        tell = _RowLines()
        if paper == "all":
            lines = leaderboard.leaderboard(opened, output, how, progress=tell)
            _print_leaderboard(lines, protocol or "validation")
            return
        results = tables.reproduce(PAPERS[paper], opened, output, how, progress=tell)
    print_tables(PAPERS[paper].title, results, protocol or "validation")
    print_verdicts(tables.verdicts(PAPERS[paper], results))


class _RowLines:
    """Lines as rows are trained; of epochs, one every so often."""

    def __init__(self) -> None:
        self._told = time.monotonic()

    def __call__(self, row: "Row", seed: int, what: str) -> None:
        now = time.monotonic()
        if what.startswith("epoch ") and now - self._told < SECONDS_BETWEEN_EPOCHS:
            return
        self._told = now
        say(f"{escape(row.name)}, seed {seed}: {escape(what)}")


def _print_leaderboard(lines: "list[Line]", protocol: str) -> None:
    console = SafeConsole()
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


def print_verdicts(verdicts: "list[Verdict]") -> None:
    """Print what became of each claim, and how many hold."""
    console = SafeConsole(highlight=False)
    for one in verdicts:
        console.print(escape(str(one)), style=_STYLES[one.verdict], soft_wrap=True)
    counts = Counter(one.verdict for one in verdicts)
    if verdicts:
        told = ", ".join(f"{counts[name]} {text}" for name, text in _COUNTED.items())
        console.print(f"{len(verdicts)} claims: {told} (95 % intervals over clips and seeds)")


def print_tables(title: str, results: "list[RowResult]", protocol: str) -> None:
    """Print a paper's tables, its numbers beside ours."""
    from avel.evaluation.papers.base import title_of_table

    console = SafeConsole()
    for number in sorted({result.row.table for result in results}):
        of_table = [result for result in results if result.row.table == number]
        table = Table(
            "",
            "paper",
            "ours",
            title=f"{title}, {title_of_table(number)}, accuracy in %",
            title_justify="left",
            min_width=60,
        )
        for result in of_table:
            published = "-" if result.row.paper is None else f"{result.row.paper:.1f}"
            mark = "" if result.learned else " (learned nothing)"
            reason = f" ({result.not_measured})" if result.not_measured else mark
            table.add_row(escape(result.row.name), published, escape(result.ours + reason))
        trivial = next((result.trivial for result in of_table if result.trivial), {})
        for name, accuracy in trivial.items():
            table.add_row(escape(name), "", f"{accuracy:.1f}", style="dim")
        console.print(table)
    console.print(f"epoch chosen by protocol {protocol}", highlight=False)
