"""Text of strangers on its way to a terminal."""

import json
from typing import Any

UNPRINTABLE = frozenset(
    [
        *range(0x00, 0x20),  # control characters, which can move the cursor, hide text or drive the terminal
        *range(0x7F, 0xA0),
        *range(0x202A, 0x202F),  # text that runs the other way, so that what is read is not what is written
        *range(0x2066, 0x206A),
        *range(0x2028, 0x202A),  # line ends
        *range(0xD800, 0xE000),  # bytes of a file name that are no text
    ]
)


def printable(text: str, keep: str = "") -> str:
    r"""Text in which control characters are written as escapes, such as ``\x1b``.

    Names of files and of event categories can come from strangers, and a terminal obeys what it is sent.

    Args:
        text: anything.
        keep: characters that stay as they are, such as a line end.
    """
    bad = {number: ascii(chr(number))[1:-1] for number in set(map(ord, text)) & UNPRINTABLE if chr(number) not in keep}
    return text.translate(bad)


def print_json(content: Any, indent: int | None = 2) -> None:
    """Print as JSON, with what a terminal would obey as JSON's own escapes."""
    text = json.dumps(content, indent=indent, ensure_ascii=False, allow_nan=False)
    print(text.translate({number: f"\\u{number:04x}" for number in UNPRINTABLE - {ord("\n")}}))
