"""What a search found, as JSON and as one HTML page with pictures and players that open at the moment."""

import base64
import io
import json
from pathlib import Path

from PIL import Image

from avel.errors import MediaError
from avel.files import write_text
from avel.library.results import Hit, SearchResult
from avel.media.container import choose_tracks, open_media
from avel.outputs.frames import frames_at, key_frames, letterboxed
from avel.outputs.page import link_to
from avel.outputs.timeline import clock
from avel.templates import page_templates

SUFFIXES = (".json", ".html")

WIDTH, HEIGHT = 320, 180
"""Of a picture; other shapes lie on black."""
WHOLE_SECONDS = 60.0
"""Up to here a video is decoded from its start; further on the key frame before the moment is shown."""

_JPEG_QUALITY = 80
_DECIMALS = 1


def check_search_path(path: str | Path) -> None:
    """Whether what is found can be written as this.

    Raises:
        ValueError: if not.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: what is found is written as {' or '.join(SUFFIXES)}.")


def write_found(found: SearchResult, path: str | Path, *, far: bool = False) -> tuple[str, ...]:
    """Write what was found, by the file's suffix as JSON or as a page.

    Args:
        found: it.
        path: of the file.
        far: let the page show hits that are not close, too; JSON has all and says which are close.

    Returns:
        What could not be shown.

    Raises:
        OutputError: if it cannot be written.
        ValueError: if the suffix is another one.
    """
    path = Path(path)
    check_search_path(path)
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return ()
    text, warnings = page_of(found, path.parent, far=far)
    write_text(path, text)
    return warnings


def page_of(found: SearchResult, folder: Path, *, far: bool = False) -> tuple[str, tuple[str, ...]]:
    """The page as HTML text, and what could not be shown.

    Args:
        found: it.
        folder: where the page will be; it plays the videos where they are.
        far: show hits that are not close, too.
    """
    environment = page_templates("avel.outputs")
    environment.filters["clock"] = lambda seconds: clock(seconds, _DECIMALS)
    hits = found.hits if far else found.close
    warnings: list[str] = []
    cards = []
    for hit in hits:
        picture = None
        try:
            picture = _picture(hit)
        except MediaError as error:
            warnings.append(str(error))
        cards.append({"hit": hit, "name": Path(hit.video).name, "picture": picture, "link": _link(hit, folder)})
    text = environment.get_template("search.html.j2").render(
        found=found,
        title=found.asked if found.kind in ("category", "text") else Path(found.asked).name,
        cards=cards,
        words={"audio-visual": "seen and heard", "audio": "heard", "visual": "seen"},
    )
    return text, tuple(warnings)


def _picture(hit: Hit) -> str | None:
    """The picture in the middle of a moment, as a data URI; ``None`` of a file without pictures.

    Raises:
        MediaError: if it cannot be read.
    """
    middle = (hit.start_seconds + hit.end_seconds) / 2
    with open_media(hit.video) as source:
        stream, _, _ = choose_tracks(source, hit.video)
        if stream is None:
            return None
        frame = next(key_frames(source, stream, [middle])) if middle > WHOLE_SECONDS else None
        frame = frame or next(frames_at(hit.video, [middle]))
        if frame is None:
            raise MediaError(f"{hit.video}: no picture of it can be decoded.")
        picture = letterboxed(frame, stream, (WIDTH, HEIGHT))
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _link(hit: Hit, folder: Path) -> str | None:
    """The moment as the page finds it, ``None`` when no browser could play it or it is on another drive."""
    place = link_to(hit.video, folder)
    return None if place is None else f"{place}#t={hit.start_seconds:g},{hit.end_seconds:g}"
