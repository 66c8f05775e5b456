"""All that stands behind a page, put together and taken apart again."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avel.batch.run import default_settings
from avel.data.phrases import names_of
from avel.library.library import VideoLibrary
from avel.localization.model_choice import DEFAULT_MODEL, checkpoint_of
from avel.web.collection import Collection
from avel.web.jobs import JobQueue
from avel.web.library import Library
from avel.web.media import MediaFiles
from avel.web.news import News
from avel.web.proxy import proxy_encoding
from avel.web.search import PageSearch
from avel.web.uploads import UploadLimits, Uploads
from avel.web.worker import Worker, WorkerPool, WorkerStoppedError

READERS = 2
"""Processes that draw what a page shows."""


class Services:
    """All that stands behind a page.

    Args:
        collection: what a user opened.
        cache: folder for pictures and copies of videos.
        settings: of the `avel.localization.localizer.Localizer`, where they are not the usual ones.
        limits: of uploads.
        searched: a library whose moments the page looks for; ``None`` for none.
        pool: processes that draw; own ones when ``None``.
        say: called with what a user should know.

    Raises:
        AvelError: if the categories or the model cannot be read or understood.
        ValueError: if a setting is none that a localizer takes.
    """

    def __init__(
        self,
        collection: Collection,
        cache: Path,
        *,
        settings: Mapping[str, Any] | None = None,
        limits: UploadLimits | None = None,
        searched: VideoLibrary | None = None,
        pool: WorkerPool | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.settings: dict[str, Any] = {**default_settings(), **(settings or {})}
        self._table = _table(self.settings)
        self.news: News = News()
        self.library: Library = Library(collection, lambda summary: self.news.tell("video", summary))
        self.search: PageSearch | None = None if searched is None else PageSearch(searched, self.library)
        self.uploads: Uploads = Uploads(limits or UploadLimits())
        self._own_pool = WorkerPool(READERS) if pool is None else None
        self.pool: WorkerPool = pool or self._own_pool or WorkerPool(READERS)
        self.exporter: Worker = Worker()
        self._ids: dict[Path, str] = {}
        self.media: MediaFiles = MediaFiles(cache, self.pool, self._copy_changed, private=self.uploads.folder)
        self.jobs: JobQueue = JobQueue(self.library, self.settings, say)
        self._is_closed = threading.Event()
        self.reader: threading.Thread | None = None

    def start(self) -> None:
        """Begin with what is done unasked: results that no journal sums up are read, videos that were named localized.

        Called by the server when it starts.
        """
        self.reader = threading.Thread(target=self._begin, daemon=True)
        self.reader.start()
        for id_ in self.library.collection.named:
            if self.library.video(id_).state == "new":  # one that failed before waits to be asked for
                self.jobs.add(id_)

    def _begin(self) -> None:
        with contextlib.suppress(WorkerStoppedError):
            self.pool.warm(proxy_encoding)  # so that the first video that is looked at does not wait for processes
        self.media.prune()
        self.library.read_findings(self._is_closed.is_set)

    def categories(self) -> list[str]:
        """Names that an event can be given: those that are looked for, and those that were found."""
        found = {name for video in self.library for name in (video.findings.categories if video.findings else ())}
        return [*self._table, *sorted(found - set(self._table))]

    def playable(self, id_: str) -> tuple[Path | None, str, str | None]:
        """As `MediaFiles.playable`, of the video of an id.

        Raises:
            UnknownVideoError: if there is none.
        """
        path = self.library.video(id_).item.path
        if path is None or not path.is_file():
            return None, "unplayable", "The video is not where it was when it was localized."
        self._ids[path] = id_
        return self.media.playable(path, self.audio_track(id_))

    def audio_track(self, id_: str) -> int | None:
        """The audio track that was listened to, where a video has several."""
        if not self.library.video(id_).has_result:
            return None
        track = self.library.result(id_).model.get("audio_track")
        return track if isinstance(track, int) and track >= 1 else None

    def _copy_changed(self, path: Path) -> None:
        id_ = self._ids.get(path)
        if id_ is not None:
            _, kind, note = self.playable(id_)
            self.news.tell("media", {"id": id_, "kind": kind, "note": note})

    def close(self) -> None:
        """End everything, and remove what was uploaded; a second time does nothing."""
        self._is_closed.set()
        self.jobs.close()
        self.media.close()
        self.exporter.close()
        if self._own_pool is not None:
            self._own_pool.close()
        if self.reader is not None:
            self.reader.join()
        self.uploads.close()


def _table(settings: Mapping[str, Any]) -> list[str]:
    """Names of the categories that are looked for; no network is loaded for that.

    What is wrong with the settings is told now, and not of one video after another.
    """
    from avel.localization.localizer import check_settings

    checked = ("model", "categories", "segment_seconds", "precision", "device", "audio_tagger")
    check_settings(**{name: settings[name] for name in checked})
    if str(settings["model"]) == DEFAULT_MODEL:
        return names_of(settings["categories"])
    path = checkpoint_of(settings["model"])
    from avel.training.checkpoint import read_info

    return list(read_info(path).categories)
