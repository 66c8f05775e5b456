"""What is known of a paper's tables: their rows, and which row is said to be better than which."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OWN_ROWS = 0
"""Number of the table of rows that a paper does not have, and that avel adds to it."""

NO_MODEL = ""
"""Model of a row whose authors published no code, and whose paper says too little to build it."""


def title_of_table(number: int) -> str:
    """``Table 1``, or what the rows are called that no table of the paper has."""
    return "Rows that avel adds" if number == OWN_ROWS else f"Table {number}"


@dataclass(frozen=True)
class Row:
    """A number of the paper.

    Attributes:
        table: where it stands; `OWN_ROWS` where the paper does not have it.
        name: as the paper calls it.
        paper: the paper's accuracy in percent; ``None`` for what it does not have.
        model: of the registry; for cross-modality localization, of `avel.matching`; `NO_MODEL` where there is none.
        settings: those that are not the model's own.
        measure: ``test``, or ``a2v`` and ``v2a``, the directions of cross-modality localization.
    """

    table: int
    name: str
    paper: float | None
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    measure: str = "test"

    @property
    def is_matching(self) -> bool:
        """Whether it is a row of cross-modality localization."""
        return self.measure != "test"

    @property
    def folder(self) -> str:
        """Where it is trained; rows with the same training share it."""
        words = [self.model, *(_word(name, value) for name, value in sorted(_flat(self.settings)))]
        return "-".join(words).replace("+", "")


@dataclass(frozen=True)
class Claim:
    """That one row is better than another.

    Attributes:
        better: name of the row that is said to be better.
        worse: name of the other.
        where: the place in the paper that says so.
    """

    better: str
    worse: str
    where: str


def claims(where: str, *pairs: tuple[str, str]) -> tuple[Claim, ...]:
    """Claims of one place, each a better and a worse row."""
    return tuple(Claim(better, worse, where) for better, worse in pairs)


@dataclass(frozen=True)
class Paper:
    """A paper's tables.

    Attributes:
        name: short, as the command line takes it.
        title: authors, conference and year.
        rows: of all tables, in their order. Rows of the same training, also of other papers, share its result.
        claims: every order of rows that the paper states in words, or draws a conclusion from.
        released: settings in which the authors' code departs from the paper.
        released_weak: the same of weak training alone.
        released_options: the same for options, of those models that have them.
        leaderboard: methods, each with the names of its supervised and its weakly supervised row; ``None`` where there
            is none.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    claims: tuple[Claim, ...] = ()
    released: Mapping[str, Any] = field(default_factory=dict)
    released_weak: Mapping[str, Any] = field(default_factory=dict)
    released_options: Mapping[str, Any] = field(default_factory=dict)
    leaderboard: tuple[tuple[str, str | None, str | None], ...] = ()

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"{self.name}: rows must have different names, got {', '.join(sorted(repeated))} again.")
        in_use = {name for claim in self.claims for name in (claim.better, claim.worse)}
        in_use |= {name for _, *rows in self.leaderboard for name in rows if name is not None}
        pairs = [(claim.better, claim.worse) for claim in self.claims]
        if len(set(pairs)) < len(pairs):
            raise ValueError(f"{self.name}: {max(pairs, key=pairs.count)} is claimed twice.")
        if in_use - set(names):
            raise ValueError(f"{self.name}: there is no row {', '.join(sorted(in_use - set(names)))}.")

    @property
    def tables(self) -> tuple[int, ...]:
        """Their numbers."""
        return tuple(sorted({row.table for row in self.rows}))

    def row(self, name: str) -> Row:
        """The row of a name."""
        return next(row for row in self.rows if row.name == name)


def _word(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return name if value else f"no_{name}"
    if isinstance(value, list):
        return "_".join(map(str, (name, *value)))
    return value if isinstance(value, str) else f"{name}_{value}"


def _flat(settings: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return [
        pair
        for name, value in settings.items()
        for pair in (_flat(value) if isinstance(value, Mapping) else [(name, value)])
    ]
