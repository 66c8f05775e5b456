"""What the page asks for, by its address; see docs/howto/review.md."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from avel.data.corrections import Corrections, RevisionError
from avel.errors import AvelError
from avel.events import Localization
from avel.outputs import FORMATS
from avel.version import __version__
from avel.web import views
from avel.web.library import ORDERS, STATES, Library, NoResultError, UnknownVideoError, media_path
from avel.web.security import Access, Guard

STATIC = Path(__file__).parent / "static"
MAX_JSON_BYTES = 8 << 20
MAX_LISTED = 1000
MAX_STRIP = 200
MAX_PER_SECOND = 200

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class ReviewView:
    """What the page knows of the corrections of a video."""

    revision: int
    reviewed: bool
    can_undo: bool
    can_redo: bool
    undo_label: str | None
    redo_label: str | None
    corrected: bool

    @classmethod
    def of(cls, corrections: Corrections) -> "ReviewView":
        """Of a journal."""
        undo, redo = corrections.undo_label, corrections.redo_label
        return cls(
            corrections.revision,
            corrections.reviewed,
            undo is not None,
            redo is not None,
            undo,
            redo,
            corrections.corrected,
        )


class Pages:
    """Answers what the page asks for.

    Args:
        library: the videos.
        settings: of the localizer.
    """

    def __init__(self, library: Library, settings: Mapping[str, Any]) -> None:
        self.library = library
        self.settings = settings
        self.access: Access
        self._listeners: set[asyncio.Queue[tuple[str, dict[str, Any]]]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        library.changed = lambda summary: self.tell("video", summary)

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """Tell every open page of a change; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell, event, data)

    def _tell(self, event: str, data: dict[str, Any]) -> None:
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait((event, data))

    def routes(self) -> list[Route | Mount]:
        """What is answered under which address."""
        video = "/api/videos/{id}"
        return [
            Route("/", self.page),
            Route("/video/{id}", self.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/session", self.session),
            Route("/api/videos", self.videos),
            Route("/api/next", self.next_video),
            Route("/api/labels", self.labels),
            Route("/api/stream", self.stream),
            Route(video, self.one),
            Route(f"{video}/scores", self.scores),
            Route(f"{video}/media", self.media),
            Route(f"{video}/thumbnail", self.thumbnail),
            Route(f"{video}/strip", self.strip),
            Route(f"{video}/peaks", self.peaks),
            Route(f"{video}/map", self.map),
            Route(f"{video}/events", self.edit, methods=["POST"]),
            Route(f"{video}/undo", self.undo, methods=["POST"]),
            Route(f"{video}/redo", self.redo, methods=["POST"]),
            Route(f"{video}/reviewed", self.reviewed, methods=["POST"]),
            Route(f"{video}/export", self.export),
        ]

    async def page(self, request: Request) -> Response:
        """The one page there is; what it shows is up to its script."""
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")

    async def session(self, request: Request) -> Response:
        """What the page has to know before anything else."""
        return JSONResponse(
            {
                "token": self.access.token,
                "version": __version__,
                "title": self.library.collection.title,
                "source": self.library.collection.source,
                "categories": await run_in_threadpool(self._categories),
                "formats": [
                    {"name": name, "suffix": one.suffix, "title": name}
                    for name, one in FORMATS.items()
                    if name != "coco"
                ],
                "upload": {"max_bytes": 0, "max_seconds": 0, "suffixes": []},
                "model": str(self.settings.get("model", "agreement")),
            }
        )

    def _categories(self) -> list[str]:
        from avel.data.categories import BUILT_IN_TABLES, built_in_categories, load_categories

        given = self.settings.get("categories") or "everyday"
        table = built_in_categories(str(given)) if str(given) in BUILT_IN_TABLES else load_categories(given)
        return [category.name for category in table]

    async def videos(self, request: Request) -> Response:
        """A part of the list."""
        asked = request.query_params
        order, state = asked.get("order", "name"), asked.get("state", "")
        if order not in ORDERS or state not in ("", *STATES):
            raise HTTPException(400, f"Videos can be ordered by {', '.join(ORDERS)}, and are {', '.join(STATES)}.")
        found = await run_in_threadpool(
            self.library.listing,
            offset=_whole(asked.get("offset", "0"), 0, 1 << 31),
            limit=_whole(asked.get("limit", "200"), 0, MAX_LISTED),
            query=asked.get("query", ""),
            state=state,
            category=asked.get("category", ""),
            order=order,
        )
        return JSONResponse(found)

    async def one(self, request: Request) -> Response:
        """Everything that the review of a video begins with."""
        id_ = request.path_params["id"]
        return JSONResponse(await run_in_threadpool(self._one, id_))

    def _one(self, id_: str) -> dict[str, Any]:
        video = self.library.video(id_)
        media = _media_view(video.item.path, id_)
        if not video.has_result:
            return {
                "video": video.summary(),
                "media": media,
                "duration_seconds": video.duration_seconds,
                "segment_seconds": 1.0,
                "segments": [],
                "categories": [],
                "thresholds": {},
                "warnings": [],
                "events": [],
                "review": asdict(ReviewView(0, False, False, False, None, None, False)),
                "has_maps": False,
            }
        result = self.library.result(id_)
        corrections = self.library.corrections(id_)
        return {
            "video": video.summary(),
            "media": media,
            "duration_seconds": result.duration_seconds,
            "segment_seconds": result.segment_seconds,
            "segments": [
                {
                    "start_seconds": segment.start_seconds,
                    "end_seconds": segment.end_seconds,
                    "audio_valid": segment.valid.audio,
                    "visual_valid": segment.valid.visual,
                }
                for segment in result.segments
            ],
            "categories": _scored(result),
            "thresholds": {"audio": 0.5, "visual": 0.5, "av": 0.5},
            "warnings": list(result.warnings),
            "events": [event.to_dict() for event in corrections.events],
            "review": asdict(ReviewView.of(corrections)),
            "has_maps": result.attention is not None,
        }

    async def scores(self, request: Request) -> Response:
        """Scores of a category over time."""
        result = await run_in_threadpool(self.library.result, request.path_params["id"])
        category = request.query_params.get("category", "")
        return JSONResponse(await run_in_threadpool(views.scores, result, category))

    async def media(self, request: Request) -> Response:
        """The video, in ranges."""
        path = media_path(self.library.video(request.path_params["id"]))
        return FileResponse(path, content_disposition_type="inline")

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of a video."""
        path = media_path(self.library.video(request.path_params["id"]))
        return Response(await run_in_threadpool(views.thumbnail, path), media_type="image/jpeg")

    async def strip(self, request: Request) -> Response:
        """Small pictures along a video, side by side."""
        id_ = request.path_params["id"]
        path = media_path(self.library.video(id_))
        count = _whole(request.query_params.get("count", "20"), 1, MAX_STRIP)
        seconds = (await run_in_threadpool(self.library.result, id_)).duration_seconds
        return Response(await run_in_threadpool(views.strip, path, count, seconds), media_type="image/jpeg")

    async def peaks(self, request: Request) -> Response:
        """The waveform of a video."""
        path = media_path(self.library.video(request.path_params["id"]))
        per_second = _whole(request.query_params.get("per_second", "50"), 1, MAX_PER_SECOND)
        return JSONResponse(await run_in_threadpool(views.peaks, path, per_second))

    async def map(self, request: Request) -> Response:
        """Where in the picture the event of a segment is."""
        result = await run_in_threadpool(self.library.result, request.path_params["id"])
        segment = _whole(request.query_params.get("segment", ""), 0, 1 << 31)
        image = await run_in_threadpool(views.heat_map, result, segment)
        if image is None:
            raise HTTPException(404, "Nothing says where in the picture something is in this segment.")
        return Response(image, media_type="image/png")

    async def edit(self, request: Request) -> Response:
        """Put a person's events in place of those that are there."""
        asked = await _body(request)
        events, label = asked.get("events"), asked.get("label", "Edit")
        if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
            raise HTTPException(400, "The events are a list of objects.")
        return await self._correct(request, lambda c: c.edit(events, label, _revision(asked)))

    async def undo(self, request: Request) -> Response:
        """Take an edit back."""
        asked = await _body(request)
        return await self._correct(request, lambda c: c.undo(_revision(asked)))

    async def redo(self, request: Request) -> Response:
        """Do an edit again."""
        asked = await _body(request)
        return await self._correct(request, lambda c: c.redo(_revision(asked)))

    async def reviewed(self, request: Request) -> Response:
        """Mark a video as looked through, or not."""
        asked = await _body(request)
        id_ = request.path_params["id"]
        corrections = await run_in_threadpool(
            self.library.correct, id_, lambda c: c.review(asked.get("reviewed") is True)
        )
        review = asdict(ReviewView.of(corrections))
        self.tell("review", {"id": id_, "review": review})
        return JSONResponse({"video": self.library.video(id_).summary(), "review": review})

    async def _correct(self, request: Request, change: Callable[[Corrections], None]) -> Response:
        id_ = request.path_params["id"]
        status, error = 200, {}
        try:
            corrections = await run_in_threadpool(self.library.correct, id_, change)
        except RevisionError as refused:
            status, error = 409, {"error": str(refused)}
            corrections = await run_in_threadpool(self.library.corrections, id_)
        review = asdict(ReviewView.of(corrections))
        if status == 200:
            self.tell("review", {"id": id_, "review": review})
        return JSONResponse(
            {**error, "events": [event.to_dict() for event in corrections.events], "review": review}, status
        )

    async def next_video(self, request: Request) -> Response:
        """Which video to review next."""
        return JSONResponse({"id": self.library.next_unreviewed(request.query_params.get("after", ""))})

    async def export(self, request: Request) -> Response:
        """The corrected events of a video, as a file of any format."""
        id_, name = request.path_params["id"], request.query_params.get("format", "json")
        if name not in FORMATS or name == "coco":
            raise HTTPException(400, f"Unknown format {name!r}. Supported formats are {', '.join(FORMATS)}.")
        content = await run_in_threadpool(self._export, id_, name)
        stem = Path(self.library.video(id_).item.shown).stem or "video"
        return _attachment(content, f"{stem}.{FORMATS[name].suffix}")

    def _export(self, id_: str, name: str) -> bytes:
        from avel.outputs import write

        result = self.library.corrections(id_).applied_to(self.library.result(id_))
        with tempfile.TemporaryDirectory(prefix="avel-") as folder:
            return write(result, Path(folder) / f"{Path(result.video).stem}.{FORMATS[name].suffix}", name).read_bytes()

    async def labels(self, request: Request) -> Response:
        """Labels of everything that people have looked at."""
        raise HTTPException(501, "Not there yet.")

    async def stream(self, request: Request) -> Response:
        """Changes as they happen."""
        from sse_starlette import EventSourceResponse

        queue: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue(1000)

        async def events() -> AsyncIterator[dict[str, str]]:
            self._listeners.add(queue)
            try:
                while True:
                    event, data = await queue.get()
                    yield {"event": event, "data": json.dumps(data)}
            finally:
                self._listeners.discard(queue)

        return EventSourceResponse(events())


def make_app(library: Library, access: Access, settings: Mapping[str, Any] | None = None) -> Starlette:
    """The server as an ASGI application.

    Args:
        library: the videos.
        access: who may ask.
        settings: of the `avel.localization.localizer.Localizer`.
    """
    pages = Pages(library, settings or {})
    pages.access = access

    async def started() -> None:
        pages._loop = asyncio.get_running_loop()

    import contextlib

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await started()
        yield

    return Starlette(
        routes=pages.routes(),
        lifespan=lifespan,
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={
            HTTPException: _http_error,
            UnknownVideoError: _said(404),
            NoResultError: _said(404),
            AvelError: _said(422),
            ValueError: _said(400),
            Exception: _unexpected,
        },
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": str(error.detail)}, error.status_code)


def _said(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": str(error)}, status)

    return answer


async def _unexpected(request: Request, error: Exception) -> Response:
    from avel.errors import unexpected

    return JSONResponse({"error": unexpected("avel serve", error)}, 500)


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object that came with a request, which is no larger than is allowed."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_JSON_BYTES:
            raise HTTPException(413, f"This is larger than the {MAX_JSON_BYTES >> 20} MiB that are read.")
    from avel.documents import DocumentError, parse_json

    try:
        asked = parse_json(data.decode("utf-8"))
    except (DocumentError, UnicodeDecodeError) as error:
        raise HTTPException(400, "The request is not valid JSON.") from error
    if not isinstance(asked, dict):
        raise HTTPException(400, "The request is a JSON object.")
    return asked


def _revision(asked: Mapping[str, Any]) -> int:
    revision = asked.get("revision")
    if isinstance(revision, bool) or not isinstance(revision, int):
        raise ValueError("The revision is a whole number.")
    return revision


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        raise HTTPException(400, f"A whole number from {least} to {most} is needed, got {text[:20]!r}.")
    return int(text)


def _scored(result: Localization) -> list[str]:
    names: dict[str, None] = {}
    for segment in result.segments:
        for scores in (segment.scores, segment.audio_scores, segment.visual_scores):
            names |= dict.fromkeys(scores or ())
    return sorted(names)


def _media_view(path: Path | None, id_: str) -> dict[str, Any]:
    from avel.errors import MediaError
    from avel.media.reader import probe

    view: dict[str, Any] = {
        "url": f"/api/videos/{id_}/media",
        "kind": "original",
        "note": None,
        "width": None,
        "height": None,
        "frames_per_second": None,
        "has_picture": False,
        "has_sound": False,
    }
    if path is None:
        return view | {"kind": "unplayable", "note": "The video is not where it was when it was localized."}
    try:
        info = probe(path)
    except MediaError as error:
        return view | {"kind": "unplayable", "note": str(error)}
    return view | {
        "width": info.width,
        "height": info.height,
        "frames_per_second": info.frame_rate,
        "has_picture": info.width is not None,
        "has_sound": info.sample_rate is not None,
    }


def _attachment(content: bytes, name: str) -> Response:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    disposition = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
    return Response(content, media_type="application/octet-stream", headers={"Content-Disposition": disposition})
