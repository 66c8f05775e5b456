"""The files behind a page: videos as browsers play them, and what is drawn of them, made once and kept."""

import contextlib
import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import platformdirs

from avel.batch.journal import stamp
from avel.errors import AvelError, OutputError
from avel.features.source import absolute_text
from avel.files import replacing, write_bytes, writing
from avel.web.proxy import MediaLook, examine, make_proxy, proxy_encoding
from avel.web.worker import Worker, WorkerPool, WorkerStoppedError

MAX_CACHE_BYTES = 20 << 30
"""What has not been looked at for longest is removed above it."""
SECONDS_BETWEEN_NEWS = 0.5


def default_cache() -> Path:
    """Where pictures and copies of videos are kept."""
    return Path(platformdirs.user_cache_dir("avel")) / "web"


class MediaFiles:
    """Copies and drawings of videos, each made once, in processes of their own.

    Several threads may use one.

    Args:
        cache: folder that they are kept in.
        pool: processes that draw.
        changed: called with the path of a video whose copy has come further.
        private: folder whose videos leave nothing in the cache; their copies lie there too.
    """

    def __init__(
        self,
        cache: Path,
        pool: WorkerPool,
        changed: Callable[[Path], None] = lambda path: None,
        private: Path | None = None,
    ) -> None:
        self.cache = cache
        self.private = private
        self.pool = pool
        self.changed = changed
        self._lock = threading.Lock()
        self._looks: dict[str, MediaLook | str] = {}
        self._being_made: dict[Path, Future[None]] = {}
        self._copier = Worker()
        self._wanted: list[tuple[Path, Path, int | None, float | None]] = []
        self._copies: dict[Path, float | str] = {}
        self.copying: threading.Thread | None = None
        self._is_closed = False

    def look(self, video: Path, audio_track: int | None = None) -> MediaLook:
        """What a page has to know of a file; looked at once.

        Raises:
            MediaError: if the file cannot be read.
            WorkerDiedError: if a library crashed on it.
        """
        key = _key(video, audio_track)
        known = self._looks.get(key)
        if known is None:
            try:
                known = self.pool.call(examine, str(video), audio_track)
            except AvelError as error:
                known = str(error)
            self._looks[key] = known
        if isinstance(known, str):
            raise AvelError(known)
        return known

    def drawing(self, video: Path, name: str, function: Callable[..., bytes], *arguments: Any) -> Path:
        """A file that a function gives of a video, made once.

        Args:
            video: the file.
            name: of the drawing, with a suffix; tells it from others of the video.
            function: as for `avel.web.worker.Worker.call`, of the video's path and what follows; gives the bytes.
            arguments: what follows.

        Raises:
            AvelError: if it cannot be made.
        """
        path = self._place(video) / f"{_key(video)}.{name}"
        with self._lock:
            if path.is_file():
                _touch(path)
                return path
            future = self._being_made.get(path)
            is_mine = future is None
            if future is None:
                future = self._being_made[path] = Future()
        if is_mine:
            try:
                write_bytes(path, self.pool.call(function, str(video), *arguments))
                future.set_result(None)
            except BaseException as error:
                future.set_exception(error)
            finally:
                with self._lock:
                    del self._being_made[path]
        future.result()
        return path

    def playable(self, video: Path, audio_track: int | None = None) -> tuple[Path | None, str, str | None]:
        """The file that a browser is to play.

        A copy of what it cannot play is begun when it is asked for the first time.

        Returns:
            The file, ``None`` while there is none; of what kind it is: ``"original"``, ``"proxy"``, ``"preparing"`` or
            ``"unplayable"``; and a sentence for people unless it is the original.
        """
        try:
            look = self.look(video, audio_track)
        except AvelError as error:
            return None, "unplayable", str(error)
        if look.unplayable is None:
            return video, "original", None
        why = f"Browsers do not play {look.unplayable}"
        encoding = proxy_encoding()
        if encoding is None:
            return None, "unplayable", f"{why}, and nothing here can make a copy that they do."
        copy = self._place(video) / f"{_key(video, audio_track)}.proxy.{encoding.suffix}"
        if copy.is_file():
            _touch(copy)
            return copy, "proxy", f"{why}, so this is a copy with the same times."
        with self._lock:
            state = self._copies.get(copy)
            if state is None:
                state = self._copies[copy] = 0.0
                self._wanted.append((video, copy, audio_track, look.duration_seconds))
                if self.copying is None:
                    self.copying = threading.Thread(target=self._make_copies, daemon=True)
                    self.copying.start()
        if isinstance(state, str):
            return None, "unplayable", f"{why}, and no copy could be made. {state}"
        return None, "preparing", f"{why}. A copy that they do is being made ({state:.0%})."

    def _place(self, video: Path) -> Path:
        """The folder for what is made of a video; pictures of one's videos are nobody else's."""
        is_private = self.private is not None and self.private in video.parents
        folder = self.private / "made" if self.private is not None and is_private else self.cache
        with writing(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def _make_copies(self) -> None:
        """Make what is wanted, the latest wish first, until there is no more."""
        while True:
            with self._lock:
                if self._is_closed or not self._wanted:
                    self.copying = None
                    return
                video, copy, audio_track, seconds = self._wanted.pop()
            try:
                self._make_copy(video, copy, audio_track, seconds)
            except WorkerStoppedError:
                continue
            except AvelError as error:
                self._copies[copy] = str(error)
            else:
                self._copies.pop(copy, None)
            self.changed(video)

    def _make_copy(self, video: Path, copy: Path, audio_track: int | None, seconds: float | None) -> None:
        told = 0.0

        def progress(done_seconds: float) -> None:
            nonlocal told
            if seconds:
                self._copies[copy] = min(done_seconds / seconds, 0.99)
            if time.monotonic() - told > SECONDS_BETWEEN_NEWS:
                told = time.monotonic()
                self.changed(video)

        with replacing(copy) as temporary:
            self._copier.call(make_proxy, str(video), temporary, audio_track, progress=progress)

    def close(self) -> None:
        """End everything that is being made."""
        with self._lock:
            self._is_closed = True
            thread = self.copying
        self._copier.close()
        if thread is not None:
            thread.join()

    def prune(self, most_bytes: int = MAX_CACHE_BYTES) -> None:
        """Remove what has not been looked at for longest, as long as there is more than so much."""
        files = []
        with contextlib.suppress(OSError):
            for path in self.cache.iterdir():
                with contextlib.suppress(OSError):
                    status = path.stat()
                    files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= most_bytes:
                return
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size


def _key(video: Path, audio_track: int | None = None) -> str:
    """What a file is known by, as long as it does not change.

    Raises:
        OutputError: if it is not there.
    """
    try:
        is_now = stamp(video)
    except OSError as error:
        raise OutputError(f"{video}: not there any more ({error.strerror or error}). Put it back.") from error
    text = f"{absolute_text(video)}\n{is_now}\n{audio_track}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _touch(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.touch()
