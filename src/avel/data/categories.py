"""Event categories and the tagger classes that stand for each of them.

The built-in tables are ``everyday_categories.toml`` and AVE's 28 in ``ave_categories.toml``, whose heads explain the
format; a user's own file has the same format.
"""

import contextlib
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import Field, dataclass, fields
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from avel.documents import DocumentError, control_characters, parse_toml
from avel.errors import CategoriesError
from avel.events import BACKGROUND

VisualEvidence = Literal["class", "proxy"]

BUILT_IN_TABLES = ("everyday", "ave")

MAX_FILE_BYTES = 1_000_000
MAX_CATEGORIES = 1000

GROUP_MARK = "@"
"""Before the name of a group of classes, where a class name could stand."""

_CLASS_LISTS = ("audio", "audio_like", "audio_requires", "audio_unlike", "visual", "visual_like", "actions")


@dataclass(frozen=True)
class Category:
    """An event category and what counts as hearing and seeing it.

    Attributes:
        name: as in results.
        family: name of the category that this is a kind of; empty when there is none.
        aliases: what others call it.
        audio: classes of the audio tagger; any one of them is enough.
        audio_like: classes of the audio tagger that count half, and only where the category is seen too.
        audio_requires: classes of the audio tagger of which each must be there too.
        audio_unlike: classes of the audio tagger that sound like it and are none of the categories: where one of them
            is heard as clearly, this category is not.
        visual: classes of the visual tagger; their probabilities add up. ``"A..B"`` is all classes from A to B.
        visual_like: classes of the visual tagger that count half.
        actions: classes of Kinetics, what people do; their probabilities add up.
        visual_evidence: ``"class"`` when the classes are the thing itself, ``"proxy"`` when they only stand for it.
        in_time: its sound starts with a motion that can be seen, so that synchrony can say that it is in view.
        mixed: categories of which this is the family happen together, so that one does not stand for another.
        audio_threshold: probability in (0, 1) at which it counts as heard.
        visual_threshold: probability in (0, 1) at which it counts as seen.
        action_threshold: the same by its actions.
        note: what a reader of the result should know of this choice.
    """

    name: str
    audio: tuple[str, ...]
    visual: tuple[str, ...]
    audio_threshold: float
    visual_threshold: float
    audio_like: tuple[str, ...] = ()
    audio_requires: tuple[str, ...] = ()
    audio_unlike: tuple[str, ...] = ()
    visual_like: tuple[str, ...] = ()
    action_threshold: float = 0.25
    actions: tuple[str, ...] = ()
    family: str = ""
    in_time: bool = False
    mixed: bool = False
    aliases: tuple[str, ...] = ()
    visual_evidence: VisualEvidence = "class"
    note: str = ""

    @property
    def seen_by(self) -> tuple[str, ...]:
        """In what ways it can be seen, in a word each; none where it can only be heard."""
        ways = {
            "itself" if self.visual_evidence == "class" else "what goes with it": self.visual or self.visual_like,
            "actions": self.actions,
            "motion in time with the sound": self.in_time,
        }
        return tuple(way for way, is_one in ways.items() if is_one)


def ave_categories() -> tuple[Category, ...]:
    """AVE's 28 event categories in the data set's order."""
    return built_in_categories("ave")


def everyday_categories() -> tuple[Category, ...]:
    """Event categories of everyday videos, AVE's 28 and OV-AVEBench's 67 among them."""
    return built_in_categories("everyday")


def built_in_categories(name: str) -> tuple[Category, ...]:
    """The categories of one of `BUILT_IN_TABLES`.

    Raises:
        ValueError: if there is no such table.
    """
    if name not in BUILT_IN_TABLES:
        raise ValueError(f"No table of categories is called {name!r}. There are: {', '.join(BUILT_IN_TABLES)}.")
    file_name = f"{name}_categories.toml"
    source = resources.files("avel.data") / file_name
    return _parse(source.read_text(encoding="utf-8"), file_name)


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


def categories_text(categories: Sequence[Category], comments: Mapping[str, str] = MappingProxyType({})) -> str:
    """Categories as a file that `load_categories` reads.

    Args:
        categories: what to write. What a field has by default is left away.
        comments: by name, a line for a person above the category.
    """
    import tomli_w

    parts = []
    for category in categories:
        values = {field.name: (getattr(category, field.name), field.default) for field in _in_reading_order()}
        row = {
            name: list(value) if isinstance(value, tuple) else value
            for name, (value, default) in values.items()
            if value not in (default, ())
        }
        comment = f"# {comments[category.name]}\n" if category.name in comments else ""
        parts.append(comment + tomli_w.dumps({"categories": [row]}))
    return "\n".join(parts)


def _in_reading_order() -> "list[Field[Any]]":
    """The keys of a category: what it is, how it is heard, how it is seen."""
    kinds = ("name", "family", "aliases", "mixed", "audio", "in_time", "visual", "action", "note")
    return sorted(fields(Category), key=lambda field: next(n for n, k in enumerate(kinds) if field.name.startswith(k)))


def is_file_of_categories(text: str) -> bool:
    """Whether a user who names this means a file, as something that is there or is called like one, and not words."""
    with contextlib.suppress(OSError, ValueError):  # of words too long for a name, or that no file can have
        if Path(text).is_file():
            return True
    return text.endswith(".toml")


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
    positions = _positions(tuple(labels))
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


@lru_cache(maxsize=8)
def _positions(labels: tuple[str, ...]) -> Mapping[str, int]:
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
    unknown = set(document) - {"defaults", "groups", "categories"}
    rows = document.get("categories")
    if unknown or not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        found = ", ".join(sorted(document)) or "nothing"
        raise CategoriesError(
            f"{origin}: expected [[categories]] tables and, if wanted, [defaults] and [groups], found {found}."
        )
    if len(rows) > MAX_CATEGORIES:
        raise CategoriesError(f"{origin}: {len(rows)} categories; at most {MAX_CATEGORIES} are allowed.")
    defaults = {"audio_threshold": 0.2, "visual_threshold": 0.15, **_table(document.get("defaults", {}), origin)}
    groups = _groups(document.get("groups", {}), origin)
    categories = tuple(_category({**defaults, **row}, groups, origin) for row in rows)
    names = [category.name for category in categories]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise CategoriesError(f"{origin}: category {repeated[0]!r} is there twice; names must differ.")
    _check_families(categories, origin)
    return categories


def _check_families(categories: Sequence[Category], origin: str) -> None:
    """A family that the file lacks, or one that is its own ancestor, is an error."""
    parents = {category.name: category.family for category in categories}
    for name in parents:
        above, family = [name], parents[name]
        while family:
            if family not in parents:
                raise CategoriesError(
                    f"{origin}: category {above[-1]!r} has the family {family!r}, which is none of the categories. "
                    "Add it as a category, or leave the key away."
                )
            if family in above:
                raise CategoriesError(f"{origin}: category {family!r} is in its own family.")
            above.append(family)
            family = parents[family]


def _groups(value: Any, origin: str) -> dict[str, list[str]]:
    for name, classes in value.items() if isinstance(value, dict) else [("[groups]", None)]:
        if classes is None or not _is_names(classes) or any(item.startswith(GROUP_MARK) for item in classes):
            raise CategoriesError(f"{origin}: {name} in [groups] must be a list of class names.")
    return dict(value)


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _expanded(names: Sequence[str], groups: Mapping[str, Sequence[str]], category: str, origin: str) -> tuple[str, ...]:
    """Class names with those of the groups in place of the groups."""
    expanded: list[str] = []
    for name in names:
        group = name.removeprefix(GROUP_MARK)
        if group == name:
            expanded.append(name)
        elif group in groups:
            expanded.extend(groups[group])
        else:
            found = ", ".join(groups) or "none"
            raise CategoriesError(f"{origin}: category {category!r} names the group {name!r}; there are: {found}.")
    return tuple(dict.fromkeys(expanded))


def _table(value: Any, origin: str) -> dict[str, Any]:
    allowed = ("audio_threshold", "visual_threshold", "action_threshold")
    if not isinstance(value, dict) or set(value) - set(allowed):
        raise CategoriesError(f"{origin}: [defaults] may hold {', '.join(allowed)} only.")
    return value


def _category(row: dict[str, Any], groups: Mapping[str, Sequence[str]], origin: str) -> Category:
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
        if key in (*_CLASS_LISTS, "aliases") and not _is_names(value):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be a list of names.")
        if key in ("family", "note") and not isinstance(value, str):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be a text, found {value!r}.")
        if key.endswith("_threshold") and not (
            isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1
        ):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be between 0 and 1, found {value!r}.")
        if key.endswith("_evidence") and value not in get_args(VisualEvidence):
            raise CategoriesError(
                f"{origin}: {key} of category {name!r} must be one of {', '.join(get_args(VisualEvidence))}, "
                f"found {value!r}."
            )
        if key in ("in_time", "mixed") and not isinstance(value, bool):
            raise CategoriesError(f"{origin}: {key} of category {name!r} must be true or false, found {value!r}.")
    if not any(row.get(key) for key in _CLASS_LISTS if key not in ("audio_requires", "audio_unlike")):
        raise CategoriesError(f"{origin}: category {name!r} names no class in audio or visual, so nothing can find it.")
    row = {"audio": [], "visual": [], **row}
    lists = {key: _expanded(row.get(key, ()), groups, name, origin) for key in _CLASS_LISTS}
    return Category(**{**row, **lists, "aliases": tuple(row.get("aliases", ()))})
