"""Moments of the page's videos that are found in a library of ``avel index``.

The page names videos by id and never by path; what a library finds in videos that the page does not have is named, and
cannot be opened.
"""

import math
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from avel.errors import MediaError
from avel.features.source import absolute_text
from avel.library.library import TOP, SearchModality, VideoLibrary
from avel.library.query import MAX_SEGMENTS, QueryKind
from avel.library.results import Hit, SearchResult
from avel.web.library import Library, media_path

MAX_WORDS = 200
"""Characters of what is looked for in words."""

MAX_FOUND = 100
"""Moments that are given at most."""


class PageSearch:
    """Looks for moments in a library, for a page; several threads may use one, and are served one by one.

    What is searched is read when somebody searches for the first time, and anew when the library has changed.

    Args:
        searched: the library.
        shown: the videos of the page.
    """

    def __init__(self, searched: VideoLibrary, shown: Library) -> None:
        self._searched, self._shown = searched, shown
        self._lock = threading.Lock()
        self._ids: dict[str, str] = {}
        self._known = 0

    def words(
        self, *, category: str | None = None, text: str | None = None, modality: SearchModality = "both", top: int = TOP
    ) -> dict[str, Any]:
        """Moments of an event category, or of what words mean.

        Args:
            category: its name.
            text: words.
            modality: as of `VideoLibrary.search`.
            top: at most so many.

        Raises:
            AvelError: as `VideoLibrary.search`.
            ValueError: if not one of both is given, or it is too long.
        """
        asked = (text if category is None else category) or ""
        if len(asked) > MAX_WORDS:
            raise ValueError(f"At most {MAX_WORDS} characters are looked for; these are {len(asked)}.")
        if not asked.strip():
            raise ValueError("Say what to look for, such as: dog barking.")
        with self._lock:
            found = self._searched.search(category=category, text=text, modality=modality, top=top)
        return self._view(found, asked, meaning="; ".join(found.notes))

    def like(
        self,
        id_: str,
        start_seconds: float,
        end_seconds: float,
        *,
        by: str = "video",
        modality: SearchModality = "both",
        top: int = TOP,
    ) -> dict[str, Any]:
        """Moments like a part of a video of the page.

        Args:
            id_: of the video.
            start_seconds: where the part starts.
            end_seconds: where it ends; of a part that is longer than a query may be, the first is looked for.
            by: ``"video"`` for its sound and picture, ``"audio"`` for its sound alone.
            modality: as of `VideoLibrary.search`.
            top: at most so many.

        Raises:
            AvelError: as `VideoLibrary.search`.
            NoResultError: if the file of the video is not there.
            UnknownVideoError: if there is no such video.
            ValueError: if the part is not from START to END seconds with 0 <= START < END, or `by` is neither.
        """
        if by not in ("video", "audio"):
            raise ValueError(f"A part of a video is looked for by video or by audio, not by {by[:20]!r}.")
        if not (0 <= start_seconds < end_seconds and math.isfinite(end_seconds)):
            raise ValueError("A part of a video is from START to END seconds, with START below END.")
        item = self._shown.video(id_).item
        path = media_path(self._shown.video(id_))
        segment = self._searched.recipe.segment_seconds
        longest = (math.floor(start_seconds / segment) + MAX_SEGMENTS) * segment
        end = min(end_seconds, longest)
        asked = f"{item.shown} from {start_seconds:g} to {end:g} s"
        part = f"{path}#t={start_seconds:.3f},{end:.3f}"
        found, notes = self._by_file("audio" if by == "audio" else "video", part, path, item.shown, modality, top)
        if end < end_seconds:
            notes.insert(
                0, f"The first {end - start_seconds:g} s of it are looked for, which is the most there can be."
            )
        return self._view(found, asked, warnings=notes)

    def file(
        self, path: Path, shown: str, kind: QueryKind, *, modality: SearchModality = "both", top: int = TOP
    ) -> dict[str, Any]:
        """Moments like a file.

        Args:
            path: the file.
            shown: what people call it.
            kind: whether its sound, its picture, or both are looked for.
            modality: as of `VideoLibrary.search`.
            top: at most so many.

        Raises:
            AvelError: as `VideoLibrary.search`.
        """
        found, notes = self._by_file(kind, str(path), path, shown, modality, top)
        return self._view(found, shown, warnings=notes)

    def _by_file(
        self, kind: QueryKind, query: str, path: Path, shown: str, modality: SearchModality, top: int
    ) -> tuple[SearchResult, list[str]]:
        """What is found by a file or a part of it, and notes with its name in place of its path."""
        try:
            with self._lock:
                found = self._searched.search(**{kind: query}, modality=modality, top=top)
        except MediaError as error:
            raise MediaError(str(error).replace(str(path), shown).replace(path.name, shown)) from error
        return found, [note.replace(str(path), shown) for note in found.notes]

    def _view(
        self, found: SearchResult, asked: str, *, meaning: str | None = None, warnings: list[str] | None = None
    ) -> dict[str, Any]:
        """What the page is told; names in place of paths."""
        ids = [self._id(hit) for hit in found.hits]
        names = [
            self._shown.video(id_).item.shown if id_ else Path(hit.video).name
            for id_, hit in zip(ids, found.hits, strict=True)
        ]
        hits = tuple(replace(hit, video=name, copies=()) for hit, name in zip(found.hits, names, strict=True))
        told = replace(found, library="The library", asked=asked, hits=hits)
        return {
            "asked": asked,
            "meaning": meaning,
            "note": None if found.close else told.summary,
            "warnings": warnings or [],
            "hits": [
                {
                    "video_id": id_,
                    "name": hit.video,
                    "start_seconds": hit.start_seconds,
                    "end_seconds": hit.end_seconds,
                    "score": round(hit.score, 4),
                    "modality": hit.modality,
                    "why": hit.why,
                    "is_close": hit.is_close,
                }
                for id_, hit in zip(ids, hits, strict=True)
            ],
        }

    def _id(self, hit: Hit) -> str | None:
        """What the page calls the video of a moment, or a copy of it."""
        with self._lock:
            if len(self._shown) != self._known:  # videos are added, and none is taken away
                self._known = len(self._shown)
                self._ids = {}
                for video in self._shown:
                    if video.item.path is not None:
                        self._ids.setdefault(_real(video.item.path), video.item.id)
            return next((self._ids[path] for path in map(_real, (hit.video, *hit.copies)) if path in self._ids), None)


def _real(path: str | Path) -> str:
    """The one name of a file that links lead to by others."""
    return absolute_text(os.path.realpath(path))
