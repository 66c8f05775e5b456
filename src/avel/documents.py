"""JSON, TOML and YAML from other people: whatever is wrong with a text, one kind of error says what.

The parsers themselves raise half a dozen: of their own, of recursion where a text is nested too deeply, and of numbers
with more digits than Python reads.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class DocumentError(ValueError):
    """A text is not in its format; the message is the reason, without the file's name."""


def parse_json(text: str) -> Any:
    """Read JSON.

    Raises:
        DocumentError: if it is not JSON, is nested too deeply, or holds a number that is too long.
    """
    with _one_kind_of_error("JSON"):
        return json.loads(text)


def read_json(path: Path, most_bytes: int) -> Any:
    """Read a JSON file that is no larger than some size.

    Raises:
        DocumentError: as `parse_json`, or if it is larger.
        OSError: if it cannot be read.
        UnicodeDecodeError: if it is not UTF-8.
    """
    if path.stat().st_size > most_bytes:
        raise DocumentError(f"it is larger than {most_bytes} bytes")
    return parse_json(path.read_text("utf-8"))


def parse_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        DocumentError: if it is not TOML, is nested too deeply, or holds a number that is too long.
    """
    with _one_kind_of_error("TOML"):
        return tomllib.loads(text)


def parse_yaml(text: str) -> Any:
    """Read YAML without aliases, with which a small text can stand for a huge one.

    Raises:
        DocumentError: if it is not YAML, uses aliases, is nested too deeply, or holds a number that is too long.
    """
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise DocumentError("it refers to another place of itself (an alias, *NAME); write the value out")
            return super().compose_node(parent, index)

    with _one_kind_of_error("YAML"):
        try:
            return yaml.load(text, PlainLoader)
        except yaml.YAMLError as error:
            raise DocumentError(f"it is not valid YAML: {' '.join(str(error).split())}") from error


@contextmanager
def _one_kind_of_error(language: str) -> Iterator[None]:
    try:
        yield
    except DocumentError:
        raise
    except RecursionError as error:
        raise DocumentError("it is nested too deeply to be read") from error
    except ValueError as error:  # of the parser, of a number's length, or of a date that is none
        if "integer string conversion" in str(error):
            raise DocumentError("it holds a number with thousands of digits") from error
        raise DocumentError(f"it is not valid {language}: {error}") from error


def control_characters(text: str) -> list[str]:
    """Control characters and lone surrogates in a text, each once, such as ``U+001B``.

    They steer terminals and end files; a name that people read has none.
    """
    return [f"U+{ord(letter):04X}" for letter in dict.fromkeys(re.findall("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text))]
