"""Videos that come through the page, kept in a private folder that is removed at the end."""

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from filelock import FileLock, Timeout

from avel.documents import control_characters
from avel.errors import AvelError
from avel.features.discovery import MEDIA_SUFFIXES
from avel.files import writing
from avel.web.collection import CollectionItem

MAX_NAME_BYTES = 200
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
SOUND_SUFFIXES = (".aac", ".flac", ".m4a", ".mp3", ".oga", ".opus", ".wav")
QUERY_SUFFIXES = (*PICTURE_SUFFIXES, *SOUND_SUFFIXES)
"""Of what a library is searched by, besides videos."""
FREE_BYTES = 1 << 30
"""Room that is left on the disk."""
PREFIX = "avel-serve-"
LOCK_FILE = ".lock"
SECONDS_TO_BEGIN = 60.0


class UploadError(AvelError):
    """A video is not taken; the message says why.

    Args:
        message: a sentence.
        status: of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class UploadLimits:
    """What is taken.

    Attributes:
        max_bytes: of one video; 0 to take none.
        max_seconds: of one video.
        max_videos: in all, until the server ends.
        suffixes: of their names.
    """

    max_bytes: int = 4 << 30
    max_seconds: float = 4 * 3600.0
    max_videos: int = 1000
    suffixes: tuple[str, ...] = MEDIA_SUFFIXES


class Uploads:
    """The folder of the videos that came through the page.

    Args:
        limits: what is taken.

    Attributes:
        folder: private to this user; it is made now. Folders of servers that were killed are removed.
    """

    def __init__(self, limits: UploadLimits) -> None:
        self.limits = limits
        _remove_left_folders()
        self._place = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._in_use = FileLock(self._place / LOCK_FILE)
        self._in_use.acquire()
        self.folder: Path = self._place / "uploads"
        self.folder.mkdir()
        self._lock = threading.Lock()
        self._count = 0

    async def receive(
        self, name: str, declared_bytes: int | None, chunks: AsyncIterable[bytes], *, is_query: bool = False
    ) -> CollectionItem:
        """Take a file in, as far as its name and size allow; whether it is a video is not looked at here.

        Args:
            name: of the file, percent-encoded; it becomes no path.
            declared_bytes: as the browser says.
            chunks: the bytes.
            is_query: whether it is looked for in a library, so that it may be a sound or a picture too.

        Raises:
            UploadError: if it is not taken.
        """
        if not self.limits.max_bytes:
            raise UploadError("Nothing can be uploaded here.", 403)
        shown = self._checked_name(name, is_query=is_query)
        self._check_size(declared_bytes or 0)
        if (declared_bytes or 0) + FREE_BYTES > shutil.disk_usage(self.folder).free:
            raise UploadError(f"There is no room for {shown} on this machine's disk for temporary files.", 507)
        with self._lock:
            if self._count >= self.limits.max_videos:
                raise UploadError(f"{self.limits.max_videos} videos were uploaded; start avel serve again.", 429)
            self._count += 1
        id_ = secrets.token_hex(8)
        place = self.folder / id_
        path = place / f"video{Path(shown).suffix.lower()}"
        try:
            with writing(path, raises=AvelError):
                place.mkdir()
                await self._write(path, chunks)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            raise
        return CollectionItem(id_, path, id_, shown, "", self.folder / "results", is_uploaded=True)

    async def _write(self, path: Path, chunks: AsyncIterable[bytes]) -> None:
        held = 0
        with path.open("xb") as file:
            async for chunk in chunks:
                held += len(chunk)
                self._check_size(held)
                file.write(chunk)
        if not held:
            raise UploadError("The file is empty.", 400)

    def check_duration(self, item: CollectionItem, seconds: float | None) -> None:
        """Refuse a video that is too long.

        Raises:
            UploadError: if it is.
        """
        if seconds is not None and seconds > self.limits.max_seconds:
            raise UploadError(
                f"{item.shown} lasts {seconds / 60:.0f} minutes; at most {self.limits.max_seconds / 60:.0f} are taken "
                "here. Open it by its name: avel serve VIDEO.",
                413,
            )

    def discard(self, item: CollectionItem) -> None:
        """Remove a file that was not taken after all, or is no longer needed."""
        with self._lock:
            self._count -= 1
        if item.path is not None:
            shutil.rmtree(item.path.parent, ignore_errors=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._in_use.release()
        shutil.rmtree(self._place, ignore_errors=True)

    def _checked_name(self, name: str, *, is_query: bool) -> str:
        shown = unquote(name, errors="replace").replace("\\", "/").rpartition("/")[2].strip()
        if not shown or control_characters(shown) or len(shown.encode()) > MAX_NAME_BYTES:
            raise UploadError("The name of the file is missing, too long, or holds control characters.", 400)
        suffixes = (*self.limits.suffixes, *(QUERY_SUFFIXES if is_query else ()))
        if Path(shown).suffix.lower() not in suffixes:
            what = "video, sound or picture" if is_query else "video"
            raise UploadError(f"{shown} is no {what} by its name. Names end in {', '.join(suffixes)}.", 415)
        return shown

    def _check_size(self, size: int) -> None:
        if size > self.limits.max_bytes:
            raise UploadError(
                f"The file is larger than the {self.limits.max_bytes / (1 << 20):.0f} MiB that are taken here. "
                "Open it by its name: avel serve VIDEO.",
                413,
            )


def _remove_left_folders() -> None:
    """Remove the folders of servers that were killed: those that nobody holds."""
    for place in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            status = place.lstat()
            is_own = stat.S_ISDIR(status.st_mode) and (not hasattr(os, "getuid") or status.st_uid == os.getuid())
            # One that was made just now may not be held yet.
            if is_own and time.time() - status.st_mtime > SECONDS_TO_BEGIN and (place / LOCK_FILE).is_file():
                with FileLock(place / LOCK_FILE, timeout=0):
                    shutil.rmtree(place, ignore_errors=True)
