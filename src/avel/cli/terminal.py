"""The consoles of rich, which takes long to import."""

from typing import Any

from rich.console import Console
from rich.text import Text

from avel.cli.printing import printable


class SafeConsole(Console):
    """Rich's console for text that may hold control characters; see `printable`."""

    def render_str(self, text: str, **settings: Any) -> Text:
        """Make text with rich's markup ready to be printed."""
        return super().render_str(printable(text, keep="\n"), **settings)


errors: SafeConsole = SafeConsole(stderr=True)
