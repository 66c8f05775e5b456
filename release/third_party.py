"""Writes the tables of ``THIRD_PARTY.md``: the licences of what ``pip install avel`` installs, and of the weights.

Run: ``make third-party``, in an environment that has avel's packages; the licences are those that the packages state of
themselves. What stands above and between the tables is written by hand.
"""

import importlib.metadata
import re
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from avel.backbones import weights

ROOT = Path(__file__).parent.parent
LIST = ROOT / "THIRD_PARTY.md"

CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
"""SPDX identifiers of the names that package indexes know."""

READ = {"praatio": "MIT", "pympi-ling": "MIT", "tqdm": "MPL-2.0 AND MIT"}
"""Of packages that state none in a word; read in their licence files."""


def installed(requirements: Iterable[str], extras: Sequence[str] = ()) -> Iterator[importlib.metadata.Distribution]:
    """The packages that requirements bring, each once, on the platform that this runs on.

    Raises:
        PackageNotFoundError: if one is not installed.
    """
    todo, seen = [(Requirement(text), tuple(extras)) for text in requirements], set()
    while todo:
        requirement, wanted = todo.pop()
        marker = requirement.marker
        if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
            continue
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in seen:
            continue
        found = importlib.metadata.distribution(requirement.name)
        if key[0] not in {name for name, _ in seen}:
            yield found
        seen.add(key)
        todo += [(Requirement(text), tuple(requirement.extras)) for text in found.requires or ()]


def licence_of(package: importlib.metadata.Distribution) -> str:
    """A package's licence as an SPDX expression.

    Raises:
        ValueError: if it states none that is known here.
    """
    about, name = package.metadata, canonicalize_name(package.name)
    if stated := about.get("License-Expression"):
        return stated
    if name in READ:
        return READ[name]
    said = [text.rsplit(" :: ", 1)[-1] for text in about.get_all("Classifier") or () if text.startswith("License ::")]
    known = sorted({CLASSIFIED[text] for text in said if text in CLASSIFIED})
    if known and len(known) == len(set(said)):
        return " AND ".join(known)
    short = about.get("License", "")
    if re.fullmatch(r"[\w.-]+", short):
        return short
    raise ValueError(f"{name}: states no licence that is known. Read its licence file, and add it to READ.")


def package_table() -> str:
    """The packages of the base installation as a table in Markdown."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    direct = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    rows = {canonicalize_name(found.name): licence_of(found) for found in installed(project["dependencies"])}
    return _table(
        ("package", "licence", "asked for by"),
        [(name, rows[name], "avel" if name in direct else "others") for name in sorted(rows)],
    )


def weight_table() -> str:
    """The weight files of the catalogue as a table in Markdown."""
    files = weights.catalogue().values()
    return _table(("weights", "licence", "from"), [(file.name, file.licence, file.origin) for file in files])


def with_tables(text: str) -> str:
    """The list with its tables as they are now."""
    for name, table in (("packages", package_table()), ("weights", weight_table())):
        begin, end = f"<!-- {name} -->\n\n", f"\n<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{table}{end}{rest.split(end)[1]}"
    return text


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    LIST.write_text(with_tables(LIST.read_text(encoding="utf-8")), encoding="utf-8")
