"""What an event is called in another tool."""

import itertools
import re
import unicodedata
from collections.abc import Iterator

from avel.events import MODALITIES, Event, Modality

MODALITY_WORDS: dict[Modality, str] = {"audio-visual": "seen and heard", "audio": "heard only", "visual": "seen only"}
"""What a modality is called in tools that have a place for it: a tier's name, a remark."""

_FILE_NAME_BYTES = 100


def name_of(event: Event) -> str:
    """The event's category; of an event that is only heard or only seen ``category (audio)`` or ``category (visual)``.

    It is on one line, see `one_line`.
    """
    category = one_line(event.category)
    return category if event.modality == "audio-visual" else f"{category} ({event.modality})"


def tier_names(modality: Modality) -> Iterator[str]:
    """Names of tiers for events of a modality, as many as are needed so that those of one do not overlap."""
    yield MODALITY_WORDS[modality]
    for number in itertools.count(2):
        yield f"{MODALITY_WORDS[modality]} #{number}"


def one_line(category: str) -> str:
    """A category on one line, without what controls terminals or ends files."""
    return as_text(" ".join(category.split()))


def as_text(name: str) -> str:
    """A name without what controls terminals, ends files, or is no character at all, as names of files may hold."""
    return "".join("�" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in name)


def category_and_modality(name: str) -> tuple[str, Modality | None]:
    """What `name_of` put together: ``Bark (visual)`` is the category Bark, seen only."""
    found = re.fullmatch(r"(.*\S)\s+\((audio-visual|audio|visual)\)", name.strip(), re.DOTALL)
    if found is None:
        return name, None
    return found[1], next(modality for modality in MODALITIES if modality == found[2])


def last_moment(event: Event, step_seconds: float) -> float:
    """The event's end in seconds, at least a step after its start, so that it has a length also when it is rounded."""
    return max(event.end_seconds, event.start_seconds + step_seconds)


def in_file_name(category: str) -> str:
    """A category as a part of a file's name that any system takes: without separators, short, with no dot at its end.

    Names that systems keep for devices are for the caller to avoid, by what stands before it.
    """
    plain = re.sub(r'[<>:"/\\|?*]', "_", one_line(category))
    while len(plain.encode()) > _FILE_NAME_BYTES:
        plain = plain[:-1]
    return plain.rstrip(" .")
