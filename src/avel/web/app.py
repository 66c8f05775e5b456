"""What the page asks for, by its address; docs/howto/review.md tells of it."""

import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from avel.data.corrections import Corrections, RevisionError
from avel.data.formats.table import labels_text
from avel.documents import DocumentError, parse_json
from avel.errors import AvelError, unexpected
from avel.events import Event, Localization
from avel.files import utf8_text
from avel.library.library import TOP
from avel.library.query import QueryKind
from avel.localization.rethreshold import THRESHOLD, events_at
from avel.outputs import FORMATS, render
from avel.outputs.timeline import tells_modalities
from avel.version import __version__
from avel.web import views
from avel.web.answers import JsonAnswer
from avel.web.jobs import JobError
from avel.web.library import ORDERS, STATES, Library, NoResultError, UnknownVideoError, media_path
from avel.web.search import MAX_FOUND, PageSearch
from avel.web.security import Access, Guard
from avel.web.services import Services
from avel.web.uploads import PICTURE_SUFFIXES, UploadError
from avel.web.worker import WorkerStoppedError

STATIC = Path(__file__).parent / "static"
MAX_JSON_BYTES = 8 << 20
MAX_LISTED = 1000
MAX_STRIP = 200
MAX_PER_SECOND = 200
MAX_SECONDS = 1_000_000
"""Of a moment that a picture is asked of."""
ATTACHED = "application/octet-stream"
SECONDS_TO_END = 1.0
KEPT = {"Cache-Control": "private, max-age=600"}
"""Of what browsers may keep for a while: videos, so that seeking does not fetch them again, and drawings of them."""


@dataclass(frozen=True)
class ReviewView:
    """What the page knows of the corrections of a video."""

    revision: int = 0
    reviewed: bool = False
    can_undo: bool = False
    can_redo: bool = False
    undo_label: str | None = None
    redo_label: str | None = None
    corrected: bool = False

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


class Endpoints:
    """Answers what the page asks for.

    Args:
        services: what stands behind it.
        token: that changes need.
    """

    def __init__(self, services: Services, token: str) -> None:
        self.services = services
        self.library: Library = services.library
        self.token = token

    def routes(self) -> list[Route | Mount]:
        """What is answered under which address."""
        video = "/api/videos/{id}"
        return [
            Route("/", self.page),
            Route("/video/{id}", self.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/session", self.session),
            Route("/api/stream", self.stream),
            Route("/api/next", self.next_video),
            Route("/api/search", self.search),
            Route("/api/search", self.search_by_file, methods=["POST"]),
            Route("/api/labels", self.labels),
            Route("/api/run", self.run_all, methods=["POST"]),
            Route("/api/rescan", self.rescan, methods=["POST"]),
            Route("/api/videos", self.videos),
            Route("/api/videos", self.upload, methods=["POST"]),
            Route(video, self.one),
            Route(f"{video}/run", self.run, methods=["POST"]),
            Route(f"{video}/cancel", self.cancel, methods=["POST"]),
            Route(f"{video}/scores", self.scores),
            Route(f"{video}/detail", self.detail),
            Route(f"{video}/preview", self.preview),
            Route(f"{video}/media", self.media),
            Route(f"{video}/thumbnail", self.thumbnail),
            Route(f"{video}/strip", self.strip),
            Route(f"{video}/peaks", self.peaks),
            Route(f"{video}/spectrogram", self.spectrogram),
            Route(f"{video}/map", self.map),
            Route(f"{video}/events", self.edit, methods=["POST"]),
            Route(f"{video}/undo", self.undo, methods=["POST"]),
            Route(f"{video}/redo", self.redo, methods=["POST"]),
            Route(f"{video}/reviewed", self.reviewed, methods=["POST"]),
            Route(f"{video}/export", self.export),
        ]

    # The page itself

    async def page(self, request: Request) -> Response:
        """The one page there is; what it shows is up to its script."""
        return FileResponse(STATIC / "index.html", media_type="text/html; charset=utf-8")

    async def session(self, request: Request) -> Response:
        """What the page has to know before anything else."""
        limits = self.services.uploads.limits
        return JsonAnswer(
            {
                "token": self.token,
                "version": __version__,
                "title": self.library.collection.title,
                "source": self.library.collection.source,
                "categories": self.services.categories(),
                "formats": [
                    {"name": name, "suffix": one.suffix, "title": one.title}
                    for name, one in FORMATS.items()
                    if one.is_one_file
                ],
                "upload": {
                    "max_bytes": limits.max_bytes,
                    "max_seconds": limits.max_seconds,
                    "suffixes": list(limits.suffixes),
                },
                "model": str(self.services.settings["model"]),
                "search": self.services.search is not None,
            }
        )

    async def stream(self, request: Request) -> Response:
        """Changes as they happen."""
        ending = anyio.Event()
        return EventSourceResponse(
            self.services.news.listen(ending), shutdown_event=ending, shutdown_grace_period=SECONDS_TO_END
        )

    # Videos

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
        return JsonAnswer(found)

    async def upload(self, request: Request) -> Response:
        """Take a video in and localize it."""
        uploads = self.services.uploads
        declared = request.headers.get("content-length", "0")
        name = request.headers.get("x-filename", "")
        item = await uploads.receive(name, _whole(declared, 0, 1 << 50), request.stream())
        assert item.path is not None
        try:
            look = await run_in_threadpool(self.services.media.look, item.path)
            uploads.check_duration(item, look.duration_seconds)
        except AvelError as error:
            uploads.discard(item)
            if isinstance(error, UploadError):
                raise
            raise UploadError(str(error).replace(str(item.path), item.shown), 415) from error
        self.library.add(item).duration_seconds = look.duration_seconds
        return JsonAnswer(self.services.jobs.add(item.id).summary(), 201)

    async def run(self, request: Request) -> Response:
        """Localize a video."""
        asked = await _body(request)
        video = await run_in_threadpool(self.services.jobs.add, _id(request), force=asked.get("force") is True)
        return JsonAnswer(video.summary())

    async def run_all(self, request: Request) -> Response:
        """Localize all videos that are new."""
        return JsonAnswer({"queued": await run_in_threadpool(self.services.jobs.add_new)})

    async def rescan(self, request: Request) -> Response:
        """Look for videos and results that have come since the page was opened."""
        videos, results = await run_in_threadpool(self.library.look_for_new)
        return JsonAnswer({"videos": videos, "results": results})

    async def cancel(self, request: Request) -> Response:
        """Localize a video no further."""
        return JsonAnswer((await run_in_threadpool(self.services.jobs.cancel, _id(request))).summary())

    async def next_video(self, request: Request) -> Response:
        """Which video to review next."""
        return JsonAnswer({"id": self.library.next_unreviewed(request.query_params.get("after", ""))})

    async def search(self, request: Request) -> Response:
        """Moments that a library finds, by words, by a category, or by a part of one of the videos."""
        moments, asked = self._moments(), request.query_params
        given = [name for name in ("text", "category", "video") if name in asked]
        if len(given) != 1:
            raise HTTPException(400, "Give one of text, category and video.")
        how = _how(asked)
        if "video" not in asked:
            how[given[0]] = asked[given[0]]
            return JsonAnswer(await run_in_threadpool(moments.words, **how))
        part = [_number(asked.get(name, ""), f"A part's {name}") for name in ("start", "end")]
        return JsonAnswer(
            await run_in_threadpool(moments.like, asked["video"], *part, by=asked.get("by", "video"), **how)
        )

    async def search_by_file(self, request: Request) -> Response:
        """Moments like a sound, a picture or a video that is sent, and kept no longer than that takes."""
        moments, uploads = self._moments(), self.services.uploads
        how = _how(request.query_params)
        declared = _whole(request.headers.get("content-length", "0"), 0, 1 << 50)
        item = await uploads.receive(request.headers.get("x-filename", ""), declared, request.stream(), is_query=True)
        assert item.path is not None
        try:
            kind = await run_in_threadpool(self._kind_of_query, item.path)
            return JsonAnswer(await run_in_threadpool(moments.file, item.path, item.shown, kind, **how))
        except AvelError as error:
            raise UploadError(str(error).replace(str(item.path), item.shown), 422) from error
        finally:
            uploads.discard(item)

    def _kind_of_query(self, path: Path) -> QueryKind:
        if path.suffix in PICTURE_SUFFIXES:
            return "image"
        return "video" if self.services.media.look(path).has_picture else "audio"

    def _moments(self) -> PageSearch:
        if self.services.search is None:
            raise HTTPException(404, "There is no library to search. Start avel serve with --library LIBRARY.")
        return self.services.search

    # One video

    async def one(self, request: Request) -> Response:
        """Everything that the review of a video begins with."""
        return JsonAnswer(await run_in_threadpool(self._one, _id(request)))

    def _one(self, id_: str) -> dict[str, Any]:
        video = self.library.look_again(id_)
        result = self.library.result(id_) if video.has_result else None
        found = _result_view(result) if result is not None else _NOTHING_YET
        corrections = self.library.corrections(id_) if result is not None else None
        return {
            "video": video.summary(),
            "media": self._media_view(id_),
            "duration_seconds": video.duration_seconds,
            **found,
            "events": [event.to_dict() for event in corrections.events] if corrections else [],
            "review": asdict(ReviewView.of(corrections) if corrections else ReviewView()),
        }

    def _media_view(self, id_: str) -> dict[str, Any]:
        _, kind, note = self.services.playable(id_)
        view: dict[str, Any] = {"url": f"/api/videos/{id_}/media", "kind": kind, "note": note}
        try:
            look = self.services.media.look(media_path(self.library.video(id_)), self.services.audio_track(id_))
        except (AvelError, LookupError):
            look = None
        return view | {
            "width": look.width if look else None,
            "height": look.height if look else None,
            "frames_per_second": look.frames_per_second if look else None,
            "has_picture": look is not None and look.has_picture,
            "has_sound": look is not None and look.has_sound,
        }

    async def scores(self, request: Request) -> Response:
        """Scores of a category over time."""
        result = await self._result(request)
        return JsonAnswer(await run_in_threadpool(views.scores, result, request.query_params.get("category", "")))

    async def detail(self, request: Request) -> Response:
        """What the model knows besides, over time."""
        title = request.query_params.get("title", "")
        values = await run_in_threadpool(views.detail, await self._result(request), title)
        if values is None:
            raise HTTPException(404, "This result has no such detail.")
        return JsonAnswer({"values": values})

    async def preview(self, request: Request) -> Response:
        """Events of a category as they would be with other thresholds."""
        asked = request.query_params
        thresholds = {
            name: _number(asked[name], f"The threshold {name}")
            for name in ("audio", "visual", "combined")
            if asked.get(name)
        }
        found = await run_in_threadpool(events_at, await self._result(request), asked.get("category", ""), **thresholds)
        return JsonAnswer({"events": [_event_view(f"preview{n}", event) for n, event in enumerate(found)]})

    async def media(self, request: Request) -> Response:
        """The video as browsers play it, in ranges."""
        id_ = _id(request)
        path, _, note = await run_in_threadpool(self.services.playable, id_)
        if path is None:
            raise HTTPException(404, note)
        look = await run_in_threadpool(self.services.media.look, path)
        return FileResponse(path, media_type=look.media_type, headers=KEPT)

    async def thumbnail(self, request: Request) -> Response:
        """A small picture of a video, at a moment if one is given."""
        if "at" not in request.query_params:
            return await self._drawing(request, "thumbnail.jpg", views.thumbnail)
        at = round(_number(request.query_params["at"], "A moment"), 1)
        if not 0 <= at <= MAX_SECONDS:
            raise HTTPException(400, f"A moment is from 0 to {MAX_SECONDS} s.")
        return await self._drawing(request, f"thumbnail-{at:g}.jpg", views.thumbnail, at)

    async def strip(self, request: Request) -> Response:
        """Small pictures along a video, side by side."""
        count = _whole(request.query_params.get("count", "20"), 1, MAX_STRIP)
        seconds = (await self._result(request)).duration_seconds
        return await self._drawing(request, f"strip-{count}.jpg", views.strip, count, seconds)

    async def peaks(self, request: Request) -> Response:
        """The waveform of a video."""
        per_second = _whole(request.query_params.get("per_second", "50"), 1, MAX_PER_SECOND)
        track = await run_in_threadpool(self.services.audio_track, _id(request))
        return await self._drawing(request, f"peaks-{per_second}-{track}.json", views.peaks, per_second, track)

    async def spectrogram(self, request: Request) -> Response:
        """How loud each frequency is over time."""
        seconds = (await self._result(request)).duration_seconds
        track = await run_in_threadpool(self.services.audio_track, _id(request))
        return await self._drawing(request, f"spectrogram-{track}.png", views.spectrogram, seconds, track)

    async def map(self, request: Request) -> Response:
        """Where in the picture the event of a segment is."""
        segment = _whole(request.query_params.get("segment", ""), 0, 1 << 31)
        image = await run_in_threadpool(views.heat_map, await self._result(request), segment)
        if image is None:
            raise HTTPException(404, "Nothing says where in the picture something is in this segment.")
        return Response(image, media_type="image/png", headers=KEPT)

    async def _result(self, request: Request) -> Localization:
        return await run_in_threadpool(self.library.result, _id(request))

    async def _drawing(self, request: Request, name: str, function: Callable[..., bytes], *arguments: Any) -> Response:
        video = media_path(self.library.video(_id(request)))
        return FileResponse(
            await run_in_threadpool(self.services.media.drawing, video, name, function, *arguments), headers=KEPT
        )

    # Corrections

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
        id_ = _id(request)
        corrections = await run_in_threadpool(
            self.library.correct, id_, lambda c: c.review(asked.get("reviewed") is True)
        )
        review = asdict(ReviewView.of(corrections))
        self.services.news.tell("review", {"id": id_, "review": review})
        return JsonAnswer({"video": self.library.video(id_).summary(), "review": review})

    async def _correct(self, request: Request, change: Callable[[Corrections], None]) -> Response:
        id_ = _id(request)
        try:
            corrections = await run_in_threadpool(self.library.correct, id_, change)
        except RevisionError as refused:
            corrections = await run_in_threadpool(self.library.corrections, id_)
            return JsonAnswer({"error": str(refused), **_corrected_view(corrections)}, 409)
        view = _corrected_view(corrections)
        self.services.news.tell("review", {"id": id_, "review": view["review"]})
        return JsonAnswer(view)

    # What is taken away

    async def export(self, request: Request) -> Response:
        """The corrected events of a video, as a file of any format."""
        id_, name = _id(request), request.query_params.get("format", "json")
        if name not in FORMATS or not FORMATS[name].is_one_file:
            known = ", ".join(name for name, one in FORMATS.items() if one.is_one_file)
            raise HTTPException(400, f"Unknown format {name!r}. Supported formats are {known}.")
        video = self.library.video(id_).item.shown
        shown = f"{Path(video).stem or 'video'}.{FORMATS[name].suffix_of(video)}"
        if FORMATS[name].text is not None:
            return _attachment(await run_in_threadpool(self._export_text, id_, name), shown)
        folder = Path(tempfile.mkdtemp(prefix="export-", dir=self.services.uploads.folder))
        remove = BackgroundTask(shutil.rmtree, folder, ignore_errors=True)
        try:
            path = await run_in_threadpool(self._export_file, id_, name, folder / shown)
        except BaseException:
            await remove()
            raise
        return FileResponse(path, media_type=ATTACHED, headers=_attached(shown), background=remove)

    def _export_text(self, id_: str, name: str) -> bytes:
        item, result = self.library.video(id_).item, self._corrected(id_)
        if item.is_uploaded:
            result = replace(result, video=item.shown)  # where it lies now, it will not lie long
        return utf8_text(render(result, name)).encode()

    def _export_file(self, id_: str, name: str, path: Path) -> Path:
        result = replace(self._corrected(id_), video=str(media_path(self.library.video(id_))))
        self.services.exporter.call(views.export, result, name, path)
        return path

    def _corrected(self, id_: str) -> Localization:
        return self.library.corrections(id_).applied_to(self.library.result(id_))

    async def labels(self, request: Request) -> Response:
        """Labels of everything that people have looked at, as ``avel train`` reads them."""
        return _attachment(await run_in_threadpool(self._labels), "labels.csv")

    def _labels(self) -> bytes:
        annotations = self.library.annotations()
        without = [video for video, found in annotations.items() if not found]
        return utf8_text(labels_text((event for found in annotations.values() for event in found), without)).encode()


def make_app(services: Services, access: Access) -> Starlette:
    """The server as an ASGI application; it starts and ends the services with itself.

    Args:
        services: what stands behind it.
        access: who may ask.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        services.news.open()
        await run_in_threadpool(services.start)
        try:
            yield
        finally:
            services.news.close()
            await run_in_threadpool(services.close)

    return Starlette(
        routes=Endpoints(services, access.token).routes(),
        lifespan=lifespan,
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={
            HTTPException: _http_error,
            UploadError: _upload_error,
            UnknownVideoError: _said(404),
            NoResultError: _said(404),
            JobError: _said(409),
            AvelError: _said(422),
            ValueError: _said(400),
            WorkerStoppedError: _stopped,
            ClientDisconnect: _stopped,
            Exception: _unexpected,
        },
    )


_NOTHING_YET: dict[str, Any] = {
    "segment_seconds": 1.0,
    "segments": [],
    "categories": [],
    "thresholds": {},
    "warnings": [],
    "has_maps": False,
    "details": [],
}


def _result_view(result: Localization) -> dict[str, Any]:
    names: dict[str, None] = {}
    for segment in result.segments:
        for scores in (segment.scores, segment.audio_scores, segment.visual_scores):
            names |= dict.fromkeys(scores or ())
    kinds = ("audio", "visual", "av") if tells_modalities(result) else ("av",)
    return {
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
        "categories": sorted(names),
        "thresholds": dict.fromkeys(kinds, THRESHOLD),
        "warnings": list(result.warnings),
        "has_maps": result.attention is not None and bool(result.attention.any()),
        "details": views.details(result),
    }


def _event_view(id_: str, event: Event) -> dict[str, Any]:
    return {
        "id": id_,
        "start_seconds": event.start_seconds,
        "end_seconds": event.end_seconds,
        "category": event.category,
        "modality": event.modality,
        "score": event.score,
        "source": "localizer",
    }


def _corrected_view(corrections: Corrections) -> dict[str, Any]:
    return {
        "events": [event.to_dict() for event in corrections.events],
        "review": asdict(ReviewView.of(corrections)),
    }


def _said(status: int) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        return JsonAnswer({"error": str(error)}, status)

    return answer


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JsonAnswer({"error": str(error.detail)}, error.status_code, error.headers)


async def _upload_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, UploadError)
    return JsonAnswer({"error": str(error)}, error.status)


async def _stopped(request: Request, error: Exception) -> Response:
    return JsonAnswer({"error": "avel serve is ending."}, 503)


async def _unexpected(request: Request, error: Exception) -> Response:
    return JsonAnswer({"error": unexpected("avel serve", error)}, 500)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that came with a request, of bounded size; an empty one if nothing came."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_JSON_BYTES:
            raise HTTPException(413, f"This is larger than the {MAX_JSON_BYTES >> 20} MiB that are read.")
    try:
        asked = parse_json(data.decode("utf-8")) if data else {}
    except (DocumentError, UnicodeDecodeError) as error:
        raise HTTPException(400, "The request is not valid JSON.") from error
    if not isinstance(asked, dict):
        raise HTTPException(400, "The request is a JSON object.")
    return asked


def _id(request: Request) -> str:
    id_: str = request.path_params["id"]
    return id_


def _revision(asked: Mapping[str, Any]) -> int:
    revision = asked.get("revision")
    if isinstance(revision, bool) or not isinstance(revision, int):
        raise ValueError("The revision is a whole number.")
    return revision


def _whole(text: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or not least <= int(text) <= most:
        raise HTTPException(400, f"A whole number from {least} to {most} is needed, got {text[:20]!r}.")
    return int(text)


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise HTTPException(400, f"{what} is a number, got {text[:20]!r}.") from None


def _how(asked: Mapping[str, str]) -> dict[str, Any]:
    """In what is looked for moments, and how many are wanted."""
    return {
        "modality": asked.get("modality", "both"),
        "top": _whole(asked.get("top", str(TOP)), 1, MAX_FOUND),
    }


def _attachment(content: bytes, name: str) -> Response:
    return Response(content, media_type=ATTACHED, headers=_attached(name))


def _attached(name: str) -> dict[str, str]:
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._- ") else "_" for c in name)
    # A name that is no valid UTF-8, or on Windows no valid text, is named as well as that can be said.
    said = quote(name, safe="", errors="replace")
    return {"Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{said}"}
