"""``avel categories``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from avel.cli.console import complain, fail, say, standard_output, usage_errors
from avel.cli.printing import printable
from avel.cli.terminal import SafeConsole
from avel.wording import counted

if TYPE_CHECKING:
    from avel.data.categories import Category

COLUMNS = ("event category", "family", "heard as", "seen by")

HEAD = """\
# Event categories for `avel localize VIDEO --categories THIS_FILE`. Correct what was misunderstood; the page
# "Use your own categories" says what each key means, and `avel categories THIS_FILE` whether the file can be read.

"""


def categories(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="TABLE|FILE|WORDS",
            help="A table to list, everyday or ave, or a TOML file; or English words, separated by commas, of which a "
            "TOML file is written to standard output. [default: list the tables, and what else words may mean]",
        ),
    ] = None,
    toml: Annotated[
        bool, typer.Option("--toml", help="Write a table as a TOML file, to change it, instead of listing it.")
    ] = False,
) -> None:
    """List the event categories that videos can be searched for, or write a table of your own.

    avel categories "helicopter, puppy barking" > mine.toml writes what the words were taken for; correct the file, and
    use it with avel localize --categories mine.toml.
    """
    from avel.data.categories import (
        BUILT_IN_TABLES,
        built_in_categories,
        categories_text,
        is_file_of_categories,
        load_categories,
    )

    with usage_errors():
        tables: dict[str, tuple[Category, ...]]
        if what is None:
            tables = {name: built_in_categories(name) for name in BUILT_IN_TABLES}
        elif what in BUILT_IN_TABLES:
            tables = {what: built_in_categories(what)}
        elif is_file_of_categories(what):
            tables = {what: load_categories(what)}
        else:
            _write_understood(what)
            return
        if toml and what is None:
            raise ValueError(f"Say which table to write: {', '.join(BUILT_IN_TABLES)}, or a file.")
    with standard_output():
        if toml:
            for table in tables.values():
                print(HEAD + categories_text(table), end="")
            return
        for name, table in tables.items():
            _list(name, table)
        if what is None:
            _list_more()


def _write_understood(words: str) -> None:
    """A file of what words mean, with what is not clear as comments, an error and exit code 1."""
    from avel.data.categories import categories_text
    from avel.data.phrases import advised, names_of, understood

    clear, faults = understood(names_of(words))
    found = [meaning.category for meaning in clear if meaning.category is not None]
    if not found:
        fail(advised(faults))
    for meaning in clear:
        say(f"[yellow]notice:[/yellow] {escape(str(meaning))}")
    comments = {meaning.phrase: ", ".join(f"{name} {s:.2f}" for name, s in meaning.nearest) for meaning in clear}
    near = {phrase: f"Nearest names: {names}" for phrase, names in comments.items() if names}
    with standard_output():
        print(HEAD + categories_text(found, near), end="")
        for fault in faults:
            print(f"\n# Left out: {fault}.")
    if faults:
        complain(advised(faults))
        raise typer.Exit(1)


def _list(name: str, table: "tuple[Category, ...]") -> None:
    rows = list(_rows(table))
    console = SafeConsole()
    if not console.is_terminal:
        for row in rows:
            print(*map(printable, (name, *row)), sep="\t")
        return
    title = f"{escape(name)}  [dim]{counted(len(rows), 'event category')}[/dim]"
    shown = Table(*COLUMNS, title=title, title_justify="left")
    for row in rows:
        shown.add_row(*map(escape, row))
    console.print(shown)


def _rows(table: "tuple[Category, ...]") -> "Iterator[tuple[str, str, str, str]]":
    for category in table:
        heard = "; ".join(category.audio) or "nothing"
        yield category.name, category.family, heard, ", ".join(category.seen_by) or "nothing"


def _list_more() -> None:
    from avel.data.phrases import more_names

    names = more_names()
    console = SafeConsole()
    if not console.is_terminal:
        for name in names:
            print("audioset", name, "", name, "", sep="\t")
        return
    console.print(f"\nWords may also mean one of {len(names)} more AudioSet classes:", highlight=False)
    console.print(escape("; ".join(names)), highlight=False)
