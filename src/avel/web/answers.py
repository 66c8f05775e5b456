"""JSON that the page is answered with."""

import json
from typing import Any

from starlette.responses import JSONResponse

from avel.files import utf8_text


class JsonAnswer(JSONResponse):
    r"""JSON that may hold names of files that are no valid UTF-8, whose other bytes are written as ``\udcxx``.

    One such name among thousands would otherwise be an error instead of an answer.
    """

    def render(self, content: Any) -> bytes:
        """The body."""
        return utf8_text(json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))).encode()
