"""AudioSet's identifiers of event categories, such as ``/m/05tny_`` for Bark, which its label files have for names."""

import csv
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType


def is_identifier(text: str) -> bool:
    """Whether a text has the form of an identifier of AudioSet, or of the Knowledge Graph that most are from."""
    return re.fullmatch(r"/[gmt]/\w+", text, re.ASCII) is not None


@cache
def names_by_identifier() -> Mapping[str, str]:
    """The names of the 521 classes that audio taggers know, and of men's and women's speech, by identifier."""
    text = (resources.files("avel.data") / "audioset_identifiers.csv").read_text("utf-8")
    return MappingProxyType({row["identifier"]: row["name"] for row in csv.DictReader(text.splitlines())})
