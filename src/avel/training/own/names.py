"""Names in a sentence."""

from collections.abc import Sequence


def some(names: Sequence[str], most: int = 5) -> str:
    """The first names, with commas, and dots for what is left out."""
    return f"{', '.join(names[:most])}{', ...' if len(names) > most else ''}"
