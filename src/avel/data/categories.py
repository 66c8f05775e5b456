"""Event categories and the tagger classes that stand for each of them.

AVE's 28 are in ``ave_categories.toml``, whose head explains the format; a user's own file has the same format.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args

from avel.documents import DocumentError, control_characters, parse_toml
from avel.errors import CategoriesError
from avel.events import BACKGROUND

VisualEvidence = Literal["class", "proxy"]

MAX_FILE_BYTES = 1_000_000
MAX_CATEGORIES = 1000


@dataclass(frozen=True)
class Category:
    """An event category and what counts as hearing and seeing it.

    Attributes:
        name: as in results.
        audio: classes of the audio tagger; any one of them is enough.
        audio_requires: classes of the audio tagger of which each must be there too.
        visual: classes of the visual tagger; their probabilities add up. ``"A..B"`` is all classes from A to B.
        visual_evidence: ``"class"`` when the classes are the thing itself, ``"proxy"`` when they only stand for it.
        audio_threshold: probability in (0, 1) at which it counts as heard.
        visual_threshold: probability in (0, 1) at which it counts as seen.
        note: what a reader of the result should know of this choice.
    """

    name: str
    audio: tuple[str, ...]
    visual: tuple[str, ...]
    audio_threshold: float
    visual_threshold: float
    audio_requires: tuple[str, ...] = ()
    visual_evidence: VisualEvidence = "class"
    note: str = ""


def ave_categories() -> tuple[Category, ...]:
    """AVE's 28 event categories in the data set's order."""
    source = resources.files("avel.data") / "ave_categories.toml"
    return _parse(source.read_text(encoding="utf-8"), "ave_categories.toml")


def load_categories(path: str | Path) -> tuple[Category, ...]:
    """Read a file of categories.

    Raises:
        CategoriesError: if the file cannot be read or is not as the format says.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_FILE_BYTES + 1)
        if len(raw) > MAX_FILE_BYTES:
            raise CategoriesError(f"{path}: larger than {MAX_FILE_BYTES} bytes; is this a file of categories?")
        return _parse(raw.decode("utf-8"), str(path))
    except OSError as error:
        raise CategoriesError(f"{path}: cannot be read ({error.strerror}). Give a TOML file of categories.") from error
    except UnicodeDecodeError as error:
        raise CategoriesError(f"{path}: not UTF-8 text. A file of categories is TOML text.") from error


def class_indices(names: Sequence[str], labels: Sequence[str], category: str) -> list[int]:
    """Positions of a tagger's classes by name.

    A name is a label as a whole or one of the synonyms that a label lists between commas ("tabby" for "tabby, tabby
    cat"); upper and lower case are the same. ``"A..B"`` is all from A to B.

    Args:
        names: class names or ranges.
        labels: the tagger's labels.
        category: the category they belong to, for the error.

    Raises:
        CategoriesError: if the tagger has no such class.
    """
    positions = _positions(labels)
    indices: list[int] = []
    for name in names:
        first, is_range, last = name.partition("..")
        if is_range:
            start, end = (_position(part.strip(), positions, category) for part in (first, last))
            if end < start:
                raise CategoriesError(f"Category {category!r}: the range {name!r} runs backwards.")
            indices.extend(range(start, end + 1))
        else:
            indices.append(_position(name, positions, category))
    return list(dict.fromkeys(indices))


def _positions(labels: Sequence[str]) -> dict[str, int]:
    """Every way to name a class; whole labels win over synonyms, and earlier classes over later ones."""
    whole = {label.casefold(): i for i, label in reversed(list(enumerate(labels)))}
    synonyms: dict[str, int] = {}
    for i, label in enumerate(labels):
        for synonym in label.split(", "):
            synonyms.setdefault(synonym.casefold(), i)
    return {**synonyms, **whole}


def _position(name: str, positions: Mapping[str, int], category: str) -> int:
    try:
        return positions[name.casefold()]
    except KeyError:
        near = difflib.get_close_matches(name.casefold(), positions, n=3, cutoff=0.6)
        hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
        raise CategoriesError(f"Category {category!r}: the tagger has no class {name!r}.{hint}") from None


def _parse(text: str, origin: str) -> tuple[Category, ...]:
    try:
        document = parse_toml(text)
    except DocumentError as error:
        raise CategoriesError(f"{origin}: cannot be read as a file of categories: {error}.") from error
    unknown = set(document) - {"defaults", "categories"}
    rows = document.get("categories")
    if unknown or not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        found = ", ".join(sorted(document)) or "nothing"
        raise CategoriesError(f"{origin}: expected [[categories]] tables and an optional [defaults], found {found}.")
    if len(rows) > MAX_CATEGORIES:
        raise CategoriesError(f"{origin}: {len(rows)} categories; at most {MAX_CATEGORIES} are allowed.")
    defaults = {"audio_threshold": 0.2, "visual_threshold": 0.15, **_table(document.get("defaults", {}), origin)}
    categories = tuple(_category({**defaults, **row}, origin) for row in rows)
    names = [category.name for category in categories]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise CategoriesError(f"{origin}: category {repeated[0]!r} is there twice; names must differ.")
    return categories


def _table(value: Any, origin: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) - {"audio_threshold", "visual_threshold"}:
        raise CategoriesError(f"{origin}: [defaults] may hold audio_threshold and visual_threshold only.")
    return value


def _category(row: dict[str, Any], origin: str) -> Category:
    name = row.get("name")
    if not isinstance(name, str) or not name.strip() or name == BACKGROUND:
        raise CategoriesError(f"{origin}: each category needs a name that is not {BACKGROUND!r}, found {name!r}.")
    if control_characters(name):
        raise CategoriesError(
            f"{origin}: the category name {name!r} holds the control character {control_characters(name)[0]}. "
            "Remove it."
        )
    allowed = [field.name for field in fields(Category)]
    for key, value in row.items():
        if key not in allowed:
            raise CategoriesError(f"{origin}: category {name!r} has {key!r}; allowed are {', '.join(allowed)}.")
        if key in ("audio", "audio_requires", "visual") and not (
            isinstance(value, list) and all(isinstance(item, str) for item in value)
        ):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be a list of class names.")
        if key.endswith("_threshold") and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
        ):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be between 0 and 1, found {value!r}.")
    if row.get("visual_evidence", "class") not in get_args(VisualEvidence):
        raise CategoriesError(
            f"{origin}: visual_evidence of category {name!r} must be one of {', '.join(get_args(VisualEvidence))}, "
            f"found {row['visual_evidence']!r}."
        )
    if not row.get("audio") and not row.get("visual"):
        raise CategoriesError(f"{origin}: category {name!r} names no class in audio or visual, so nothing can find it.")
    lists = {key: tuple(row.get(key, ())) for key in ("audio", "audio_requires", "visual")}
    return Category(**{**row, **lists})
