"""What is being localized: one video at a time, in its own process, with progress, until nobody wants it any more."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from avel.batch.run import VideoBatch
from avel.batch.videos import VideoItem
from avel.errors import AvelError
from avel.outputs.destination import Destination
from avel.web.collection import CollectionItem
from avel.web.library import Library, LibraryVideo, media_path
from avel.web.worker import Worker, WorkerDiedError, WorkerStoppedError

if TYPE_CHECKING:
    from avel.localization.localizer import LocalizationRun, Localizer

SECONDS_BETWEEN_NEWS = 0.25


class JobError(ValueError):
    """A video cannot be localized now; the message says why."""


class JobQueue:
    """Localizes videos, one after the other.

    Args:
        library: the videos; their states are kept there.
        settings: of the `avel.localization.localizer.Localizer`.
        say: called with what a user should know of the localizer.
    """

    def __init__(
        self, library: Library, settings: Mapping[str, Any], say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.library = library
        self.settings: dict[str, Any] = dict(settings)
        self.say = say
        self._worker = Worker()
        self._lock = threading.Lock()
        self._waiting: deque[str] = deque()
        self._running: str | None = None
        self._unwanted = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def add(self, id_: str, *, force: bool = False) -> LibraryVideo:
        """Localize a video when those before it are done.

        Args:
            id_: of the video.
            force: also if there is a result.

        Raises:
            UnknownVideoError: if there is no such video.
            NoResultError: if its file is not there.
            JobError: if there is a result, or a person has corrected or reviewed it.
        """
        video = self.library.video(id_)
        media_path(video)
        if self.library.is_protected(id_):
            raise JobError(
                f"A person has corrected or reviewed {video.item.shown}, which no run may overwrite. To begin anew, "
                "move its corrections and its result away."
            )
        if video.has_result and not video.is_damaged and not force:
            raise JobError(f"{video.item.shown} has been localized already.")
        with self._lock:
            if video.job is None:
                video.job, video.progress, video.seconds_left, video.reason = "queued", None, None, None
                self._waiting.append(id_)
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        self.library.changed(video.summary())
        return video

    def add_new(self) -> int:
        """Localize all videos that are new; how many they are."""
        count = 0
        for video in self.library:
            if video.state == "new" and video.item.path is not None:
                with contextlib.suppress(JobError, LookupError):
                    self.add(video.item.id)
                    count += 1
        return count

    def cancel(self, id_: str) -> LibraryVideo:
        """Do not localize a video, or no further; what was there before stays.

        Raises:
            UnknownVideoError: if there is no such video.
        """
        video = self.library.video(id_)
        with self._lock:
            if id_ in self._waiting:
                self._waiting.remove(id_)
                self._put_away(video)
            elif self._running == id_:
                self._worker.stop(self._unwanted)
        self.library.changed(video.summary())
        return video

    def finish(self) -> None:
        """Wait until nothing is left to be done."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def close(self) -> None:
        """End everything."""
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
            thread = self._thread
        self._worker.close()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._is_closed or not self._waiting:
                    self._thread = None
                    return
                video = self.library.video(self._waiting.popleft())
                self._running, self._unwanted = video.item.id, threading.Event()
                video.job, video.progress = "running", 0.0
            self.library.changed(video.summary())
            reason = self._localize(video)
            with self._lock:
                self._running = None
                self._put_away(video)
                video.reason = reason
            self.library.refresh(video.item.id)
            self.library.changed(video.summary())

    def _localize(self, video: LibraryVideo) -> str | None:
        """Localize a video; why that failed, ``None`` if it did not, or if nobody wanted it any more."""
        item = video.item
        started = 0.0
        first_seconds = 0.0
        is_loaded = False

        def progress(kind: str, value: Any, total_seconds: float | None = None) -> None:
            nonlocal started, first_seconds, is_loaded
            is_loaded = True
            if kind == "notice":
                self.say(value)
            if kind != "seconds":
                return
            now = time.monotonic()
            if not started:
                started, first_seconds = now, value
            if total_seconds:
                video.progress = min(value / total_seconds, 1.0)
                if value > first_seconds:
                    left = (now - started) / (value - first_seconds) * max(total_seconds - value, 0.0)
                    video.seconds_left = round(left, 1)
            self.library.changed(video.summary())

        try:
            reason: str | None = self._worker.call(
                localize_item,
                str(media_path(video)),
                item.name,
                str(item.results),
                self.settings,
                progress=progress,
                unwanted=self._unwanted,
            )
        except WorkerStoppedError:
            _remove_partial(item)
            return video.reason
        except WorkerDiedError as error:
            _remove_partial(item)
            if is_loaded:  # it was not the networks that took too much memory
                _batch(str(item.path), item.name, str(item.results), self.settings).quarantine(0, str(error))
            return f"{item.shown}: {error}"
        except (AvelError, ValueError, LookupError) as error:
            return str(error)
        return reason

    @staticmethod
    def _put_away(video: LibraryVideo) -> None:
        video.job = video.progress = video.seconds_left = None


def localize_item(
    video: str, name: str, folder: str, settings: Mapping[str, Any], *, progress: Callable[..., None]
) -> str | None:
    """Localize a video as ``avel localize VIDEO -o FOLDER`` does; in a process of its own.

    Args:
        video: the file.
        name: of its result in the folder.
        folder: of the results.
        settings: of the `avel.localization.localizer.Localizer`.
        progress: called with ``"notice"`` and a text; with ``"loaded"`` and nothing; and with ``"seconds"``, those that
            have been read, and those that the file declares.

    Returns:
        Why it failed, ``None`` if it did not.

    Raises:
        AvelError: if the localizer cannot be loaded.
        ValueError: if a setting is impossible.
    """
    localizer = _localizer(settings, progress)
    progress("loaded", None)
    batch = _batch(video, name, folder, settings)
    reasons: list[str | None] = []

    @contextlib.contextmanager
    def watch(run: "LocalizationRun") -> Iterator[Callable[[float], None]]:
        told = 0.0

        def tell(seconds: float) -> None:
            nonlocal told
            if time.monotonic() - told > SECONDS_BETWEEN_NEWS:
                told = time.monotonic()
                progress("seconds", seconds, run.declared_seconds)

        yield tell

    batch.work(
        localizer,
        [0],
        lambda place, item, outcome: reasons.append(outcome.reason or None),
        watch=watch,
    )
    return reasons[0]


def _batch(video: str, name: str, folder: str, settings: Mapping[str, Any]) -> VideoBatch:
    destination = Destination([name], f"{folder}/", ["json"])
    return VideoBatch([VideoItem(video, name, video)], destination, settings, force=True, todo=[0])


def _localizer(settings: Mapping[str, Any], progress: Callable[..., None]) -> "Localizer":
    """The localizer of this process, which has one kind of settings all its life."""
    from avel.localization.localizer import Localizer

    if "localizer" not in _loaded:
        _loaded["localizer"] = localizer = Localizer(**settings)
        for notice in localizer.notices:
            progress("notice", notice)
    return _loaded["localizer"]


_loaded: "dict[str, Localizer]" = {}


def _remove_partial(item: CollectionItem) -> None:
    with contextlib.suppress(OSError):
        item.result.with_name(f"{item.result.name.removesuffix('.json')}.partial.json").unlink()
