"""What a user's own words mean: event categories by name, or by what a phrase is most like.

A phrase is looked up among the names of the everyday table and of the 521 AudioSet classes. A name as it is written
there always wins; upper case, hyphens and plurals do not matter. Any other phrase means the name whose embedding
(`avel.backbones.text`) is nearest to its own, if that is near enough (`FLOOR`) and nearer than any other (`LEAD`).
Where several are as near and one family holds them all, it is the family. Else it is an error that names the nearest
ones: a phrase that was misunderstood would only be seen in the results, if at all.

What is seen is never guessed: no similarity tells ImageNet's or Kinetics' names that mean a phrase from those that do
not. It is what the everyday table gives for the class that is heard, or nothing.

`benchmarks/phrases.py` measures how often this is right.
"""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avel.backbones.embedded import audioset_classes
from avel.data.categories import (
    BUILT_IN_TABLES,
    MAX_CATEGORIES,
    Category,
    built_in_categories,
    everyday_categories,
    is_file_of_categories,
    load_categories,
)
from avel.documents import control_characters
from avel.errors import CategoriesError, WeightsError
from avel.events import BACKGROUND

if TYPE_CHECKING:
    from avel.backbones.text import TextEmbedder

FLOOR = 0.81
"""Cosine of a phrase and a name from which the name may be meant."""

LEAD = 0.02
"""By how much it must be nearer than any other."""

MAX_LETTERS = 100
"""Of a phrase; the network reads 30 tokens."""

NEAREST = 3
"""How many names an error gives."""

AUDIO_THRESHOLD = 0.3
"""Of a class that the everyday table does not have: what the tagger names as it hears it."""


@dataclass(frozen=True)
class Meaning:
    """What a phrase means, or may mean.

    Attributes:
        phrase: as it was given.
        name: of the event category, or of the AudioSet class, that it means; empty when none is meant clearly.
        similarity: cosine of the phrase and the name; 1 where it is the name.
        category: named by the phrase; ``None`` when no name is meant clearly.
        seen_as: name of the everyday category whose pictures show it; empty when nothing does.
        nearest: names and similarities, nearest first; none where the phrase is a name.
    """

    phrase: str
    name: str = ""
    similarity: float = 0.0
    category: Category | None = None
    seen_as: str = ""
    nearest: tuple[tuple[str, float], ...] = field(default=())

    def __str__(self) -> str:
        """A line for a person."""
        if self.category is None:
            best = self.nearest[0][1]
            near = [f"{name} {similarity:.2f}" for name, similarity in self.nearest]
            if best < FLOOR:
                return f"{self.phrase!r} is like no event category; the nearest are {_listed(near, 'and')}"
            rivals = [text for text, (_, s) in zip(near, self.nearest, strict=True) if s > best - LEAD]
            return f"{self.phrase!r} may mean {_listed(rivals, 'or')}"
        return f"{self.phrase}: heard as {self.evidence}"

    @property
    def evidence(self) -> str:
        """What hears it and what sees it."""
        seen = f"seen as {self.seen_as}" if self.seen_as else "nothing to see it by"
        return f"{self.name} {self.similarity:.2f}; {seen}"


def more_names() -> tuple[str, ...]:
    """AudioSet classes that the everyday table has no category for, and that a phrase may mean all the same."""
    return tuple(name for name in audioset_classes() if name not in _entries())


def split_phrases(text: str) -> list[str]:
    """Phrases between commas; a name that has commas itself, as ``Violin, fiddle``, stays whole."""
    parts = [part.strip() for part in text.split(",")]
    names = {name.casefold() for name in (*_entries(), *audioset_classes())}
    longest = max(name.count(",") for name in names) + 1
    phrases, start = [], 0
    while start < len(parts):
        for count in range(min(longest, len(parts) - start), 0, -1):
            joined = ", ".join(parts[start : start + count])
            if count == 1 or joined.casefold() in names:
                phrases.append(joined)
                start += count
                break
    return [phrase for phrase in phrases if phrase]


def asked_for(categories: str | Path | Sequence[str | Category] | None) -> list[str | Category]:
    """What a `avel.localization.localizer.Localizer` is asked for: categories of a table, or phrases of a user.

    Raises:
        CategoriesError: if a file of categories cannot be read, a phrase cannot be a name, or there is nothing at all.
    """
    if categories is None:
        return list(everyday_categories())
    if isinstance(categories, str) and categories in BUILT_IN_TABLES:
        return list(built_in_categories(categories))
    if isinstance(categories, Path) or (isinstance(categories, str) and is_file_of_categories(categories)):
        return list(load_categories(categories))
    if isinstance(categories, str):
        _refuse_slips(categories)
        categories = split_phrases(categories)
    phrases = [each for each in categories if isinstance(each, str)]
    plain = iter(checked_phrases(phrases) if phrases or not categories else [])
    asked: list[str | Category] = [next(plain) if isinstance(each, str) else each for each in categories]
    names = [_name_of(each) for each in asked]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise CategoriesError(f"The event category {repeated!r} is there twice; names must differ.")
    return asked


def _refuse_slips(text: str) -> None:
    """A table or a file that was meant, and is not called so, is no phrase."""
    (table,) = difflib.get_close_matches(text, BUILT_IN_TABLES, 1, cutoff=0.9) or [""]
    if table:
        raise CategoriesError(f"There is no table of event categories {text!r}. Did you mean {table!r}?")
    if re.fullmatch(r"\S+\.\w{2,5}|\S*[/\\]\S*", text):
        raise CategoriesError(
            f"{text}: there is no such file. A file of event categories is a TOML file; check its name."
        )


def names_of(categories: str | Path | Sequence[str | Category] | None) -> list[str]:
    """Names of what is `asked_for`, told without any network."""
    return [_name_of(each) for each in asked_for(categories)]


def _name_of(each: str | Category) -> str:
    return each if isinstance(each, str) else each.name


def meanings(phrases: Sequence[str]) -> list[Meaning]:
    """What each of some phrases means, by itself.

    The network that compares texts is loaded only for phrases that are no names.

    Raises:
        CategoriesError: if there is none, or one that cannot be a name.
        WeightsError: if a phrase is no name, and the network's weights are not available.
    """
    phrases = checked_phrases(phrases)
    found = {phrase: _named(phrase) for phrase in phrases}
    others = [phrase for phrase, name in found.items() if name is None]
    like = dict(zip(others, _compared(others), strict=True)) if others else {}
    return [like[phrase] if name is None else _meaning(phrase, name, 1.0) for phrase, name in found.items()]


def understood(phrases: Sequence[str]) -> tuple[list[Meaning], list[str]]:
    """What phrases mean together: those that mean one event category each, and what is wrong with the others.

    A phrase for a kind of what another phrase means has that as its family, as in the everyday table.

    Raises:
        CategoriesError: as of `meanings`.
        WeightsError: as of `meanings`.
    """
    clear: list[Meaning] = []
    faults = []
    by_name: dict[str, Meaning] = {}
    for meaning in meanings(phrases):
        if meaning.category is None:
            faults.append(str(meaning))
        elif meaning.name in by_name:
            other = by_name[meaning.name].phrase
            faults.append(f"{other!r} and {meaning.phrase!r} both mean {meaning.name}; one of them is enough")
        else:
            by_name[meaning.name] = meaning
            clear.append(meaning)
    return [_in_family(meaning, by_name) for meaning in clear], faults


def phrase_categories(phrases: Sequence[str]) -> list[Meaning]:
    """What phrases mean, each one event category.

    Raises:
        CategoriesError: if a phrase is not understood, with the names nearest to it.
        WeightsError: as of `meanings`.
    """
    clear, faults = understood(phrases)
    if faults:
        raise CategoriesError(advised(faults))
    return clear


def advised(faults: Sequence[str]) -> str:
    """What is wrong with some phrases, and what to do."""
    return (
        f"{'; '.join(faults)}. Use one of these names, another that `avel categories` lists, or other words; "
        f"or give a TOML file, or one of the tables {', '.join(BUILT_IN_TABLES)}."
    )


@cache
def _entries() -> Mapping[str, Category]:
    return {category.name: category for category in everyday_categories()}


@cache
def _texts() -> tuple[tuple[str, str], ...]:
    """Every text that stands for a name, with the name; whole names first, then aliases, then parts between commas."""
    names = dict.fromkeys([*_entries(), *audioset_classes()])
    texts = [(name, name) for name in names]
    texts += [(alias, entry.name) for entry in _entries().values() for alias in entry.aliases]
    texts += [(part, name) for name in names for part in re.split(r", (?![^(]*\))", name) if part != name]
    return tuple(texts)


@cache
def _by_plain_text() -> Mapping[str, str]:
    """Names by the plain form of each of their texts, without parts that several have, such as ``Inside``."""
    found: dict[str, str] = {}
    whole = {_plain(name) for text, name in _texts() if text == name}
    for text, name in _texts():
        if found.setdefault(_plain(text), name) != name and _plain(text) not in whole:
            found[_plain(text)] = ""
    return found


def _named(phrase: str) -> str | None:
    """The name that a phrase is, ``None`` if it is none."""
    whole = {name.casefold(): name for _, name in _texts()}
    return whole.get(phrase.casefold()) or _by_plain_text().get(_plain(phrase)) or None


def _plain(text: str) -> str:
    """Without upper case, marks and plurals."""
    words = re.findall(r"[^\W_]+", text.casefold().replace("'", ""))
    return " ".join(_singular(word) for word in words)


def _singular(word: str) -> str:
    for ending, singular in (("ies", "y"), ("sses", "ss"), ("shes", "sh"), ("ches", "ch"), ("xes", "x"), ("s", "")):
        if word.endswith(ending) and len(word) > len(ending) + 1 and not word.endswith("ss"):
            return word.removesuffix(ending) + singular
    return word


def checked_phrases(phrases: Sequence[str]) -> list[str]:
    """Phrases with single spaces.

    Raises:
        CategoriesError: if there is none, or one that cannot be a name.
    """
    phrases = [" ".join(phrase.split()) for phrase in phrases]
    if not phrases:
        raise CategoriesError("No event category is named. Give one or more, separated by commas, such as 'dog, rain'.")
    if len(phrases) > MAX_CATEGORIES:
        raise CategoriesError(f"{len(phrases)} event categories are named; at most {MAX_CATEGORIES} are allowed.")
    for phrase in phrases:
        controls = control_characters(phrase)
        if controls:
            raise CategoriesError(f"The event category {phrase!a} holds {', '.join(controls)}. Remove it.")
        if not phrase.strip() or phrase.casefold() == BACKGROUND:
            raise CategoriesError(
                f"{phrase!r} is no name of an event category. Say what is to be found, such as 'dog'."
            )
        if len(phrase) > MAX_LETTERS:
            raise CategoriesError(
                f"The event category '{phrase[:30]}...' has {len(phrase)} letters; at most {MAX_LETTERS} are allowed. "
                "Say it in a few words, or separate several with commas."
            )
    repeated = [phrase for phrase in dict.fromkeys(phrases) if phrases.count(phrase) > 1]
    if repeated:
        raise CategoriesError(f"The event category {repeated[0]!r} is there twice; once is enough.")
    return phrases


def _compared(phrases: Sequence[str]) -> Iterator[Meaning]:
    """What phrases that are no names mean."""
    import numpy as np

    embed = _embedder(phrases)
    texts = _texts()
    cosines = embed(phrases) @ embed.kept([text for text, _ in texts]).T
    for phrase, row in zip(phrases, cosines, strict=True):
        similarities: dict[str, float] = {}
        for index in np.argsort(-row, kind="stable"):
            similarities.setdefault(texts[index][1], float(row[index]))
        nearest = tuple(similarities.items())
        best = nearest[0][1]
        near = [name for name, similarity in nearest if similarity > best - LEAD]
        name = near[0] if len(near) == 1 else _common(near)
        if best < FLOOR or not name:
            yield Meaning(phrase, nearest=nearest[: max(NEAREST, len(near) if best >= FLOOR else 0)])
        else:
            yield replace(_meaning(phrase, name, best), nearest=nearest[:NEAREST])


def _embedder(phrases: Sequence[str]) -> "TextEmbedder":
    from avel.backbones.text import TOKENIZER, WEIGHTS, TextEmbedder

    try:
        return TextEmbedder()
    except WeightsError as error:
        raise WeightsError(
            f"{_listed([repr(phrase) for phrase in phrases], 'and')} cannot be understood here: no event category has "
            "this name, and what tells which one is meant is not available. "
            f"`avel weights fetch {WEIGHTS} {TOKENIZER}` gets it; the names of the tables need nothing.\n{error}"
        ) from error


def _shown_by(name: str) -> Category | None:
    """The everyday category that gives what is seen of a name: its own, or the most special one that listens for it."""
    entries = _entries()
    if name in entries:
        return entries[name]
    # One that asks for a man's voice, say, is no answer to who asks for speech.
    listening = [entry for entry in entries.values() if name in entry.audio and not entry.audio_requires]
    counts = [len(entry.audio) for entry in listening]
    alone = [entry for entry, count in zip(listening, counts, strict=True) if counts.count(count) == 1]
    return min(alone, key=lambda entry: len(entry.audio), default=None)


def _lineage(name: str) -> list[str]:
    """A name, the category that shows it, and that one's families. Kinds of music, say, are together and no family."""
    entry = _shown_by(name)
    line = [name]
    while entry is not None and not entry.mixed:
        line.append(entry.name)
        entry = _entries().get(entry.family)
    return list(dict.fromkeys(line))


def _common(names: Iterable[str]) -> str:
    """The nearest family of all of some names; empty when they have none."""
    lines = [_lineage(name) for name in names]
    return next((name for name in lines[0] if all(name in line for line in lines)), "")


def _meaning(phrase: str, name: str, similarity: float) -> Meaning:
    """A phrase that means a name, and the category that is made of it."""
    shown_by = _shown_by(name)
    settings: dict[str, Any] = {"name": phrase, "family": "", "aliases": ()}
    if shown_by is None:
        category = Category(phrase, (name,), (), AUDIO_THRESHOLD, 0.25)
    elif shown_by.name == name:
        category = replace(shown_by, **settings)
    else:
        # What shows a door goes with its slam, and a silent door is none.
        settings |= {"audio": (name,), "audio_like": (), "audio_unlike": (), "mixed": False, "visual_evidence": "proxy"}
        category = replace(shown_by, **settings)
    is_seen = bool(category.visual or category.visual_like or category.actions)
    seen_as = shown_by.name if shown_by is not None and is_seen else ""
    meaning = Meaning(phrase, name, similarity, category, seen_as)
    note = f"Heard as {meaning.evidence}. {category.note}".strip()
    return replace(meaning, category=replace(category, note=note))


def _in_family(meaning: Meaning, others: Mapping[str, Meaning]) -> Meaning:
    entry = _entries().get(meaning.name)
    above = entry.family if entry is not None else getattr(_shown_by(meaning.name), "name", "")
    while above and above not in others:
        above = _entries()[above].family
    if not above or meaning.category is None:
        return meaning
    return replace(meaning, category=replace(meaning.category, family=others[above].phrase))


def _listed(texts: Sequence[str], word: str) -> str:
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} {word} {texts[-1]}"
