"""Videos that arrive in folders, each taken when it has stopped growing.

What has been done of them is in the journal of the results (`avel.batch.journal`), so that whoever starts again goes on
where it was. However many have been done, one that arrives costs the same: it is a batch of its own, and what is
written of all together (`NowAndThen`) is written seldom.
"""

import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from avel.batch.run import VideoBatch
from avel.batch.videos import VideoItem
from avel.errors import MediaError
from avel.features.discovery import is_media_name
from avel.features.source import absolute_text, stamp_of

SETTLED_SECONDS = 10.0
"""A recording that is still being written changes more often than this."""
POLL_SECONDS = 2.0
"""Between two looks at a folder, at least."""
SUMMARY_SECONDS = 60.0
"""Between two summaries of all, at least."""
TIMES_LONGER = 10
"""What takes longer the more videos there are is done again after so many times as long as it took."""

_NANOSECONDS = 1e9

Stamp = tuple[int, ...]


class WatchedFolders:
    """The videos in folders, which are looked at again and again: those of `avel.batch.videos.find_items`.

    Args:
        folders: with their folders.
        output: where results go; what is in it is no video to localize.
    """

    def __init__(self, folders: Sequence[str], output: Path) -> None:
        self._folders = [folder if folder != "." else "" for folder in map(str, map(Path, folders))]
        self._output = os.path.abspath(output)  # noqa: PTH100
        self._found: dict[str, tuple[str, str]] = {}  # the folder and the absolute path of each video
        self._paths: dict[str, str] = {}  # the path of each absolute one
        self._again: set[str] = set()  # paths of videos that have another path, too

    def look(self) -> dict[str, Stamp]:
        """Size and times of each video by its path.

        Raises:
            MediaError: if a folder is no longer there.
        """
        stamps: dict[str, Stamp] = {}
        for folder in self._folders:
            if not Path(folder).is_dir():
                raise MediaError(
                    f"{folder or '.'}: the watched folder is no longer there: it was deleted, moved or unmounted. "
                    "Start again when it is back; what has been done is kept."
                )
            for path, seen in self._media(folder):
                if path in self._found or self._is_new(path, folder):
                    stamps[path] = seen
        if len(stamps) < len(self._found):
            for gone in self._found.keys() - stamps.keys():
                _, absolute = self._found.pop(gone)
                del self._paths[absolute]
            self._again.clear()
        return stamps

    def items(self, paths: Iterable[str]) -> list[VideoItem]:
        """Some of the videos."""
        found = ((path, self._found[path][0]) for path in paths)
        names = ((path, Path(path).relative_to(folder).with_suffix("").as_posix()) for path, folder in found)
        return in_order(VideoItem(path, name, path) for path, name in names)

    def _is_new(self, path: str, folder: str) -> bool:
        """Whether a path is of a video that was not found before, also by another path."""
        if path in self._again:
            return False
        absolute = os.path.abspath(path)  # noqa: PTH100
        if self._paths.setdefault(absolute, path) != path:
            self._again.add(path)
            return False
        self._found[path] = folder, absolute
        return True

    def _media(self, folder: str) -> Iterator[tuple[str, Stamp]]:
        """Path and stamp of each video in a folder and those below it."""
        if Path(os.path.abspath(folder)).is_relative_to(self._output):  # noqa: PTH100
            return
        pending = [folder]
        while pending:
            here = pending.pop()
            # Paths are put together as text, which is quicker than as Path.
            start = os.path.join(here, "")  # noqa: PTH118
            with contextlib.suppress(OSError), os.scandir(here or ".") as entries:
                for entry in entries:
                    name = entry.name
                    with contextlib.suppress(OSError):  # a file that is gone by now
                        if is_media_name(name) and not entry.is_dir():
                            status = entry.stat()
                            if stat.S_ISREG(status.st_mode):  # reading a pipe could wait for ever
                                yield start + name, stamp_of(status)
                        elif entry.is_dir(follow_symlinks=False) and not self._is_output(start + name):
                            pending.append(start + name)

    def _is_output(self, path: str) -> bool:
        return os.path.abspath(path) == self._output  # noqa: PTH100


class Look(NamedTuple):
    """What a look at the videos in some folders has shown.

    Attributes:
        arrived: those that have stopped growing, and had not, or were another file, at the look before.
        gone: those that had arrived and are no longer there.
    """

    arrived: list[str]
    gone: list[str]


class Arrivals:
    """Which files have stopped growing, from looks at them that are some time apart.

    Args:
        settled_seconds: how long a file has to be as it is.
    """

    def __init__(self, settled_seconds: float = SETTLED_SECONDS) -> None:
        self._settled_seconds = settled_seconds
        self._growing: dict[str, tuple[Stamp, float]] = {}
        self._arrived: dict[str, Stamp] = {}

    def look(self, stamps: Mapping[str, Stamp], *, seconds: float, wall_seconds: float) -> Look:
        """Look at all files that are there.

        Args:
            stamps: size and times of each, by its path.
            seconds: by a clock that is never set.
            wall_seconds: since 1970, as the file system counts; for files that are there when one begins.
        """
        gone = [path for path in self._arrived if path not in stamps]
        for path in gone:
            del self._arrived[path]
        growing: dict[str, tuple[Stamp, float]] = {}
        arrived = []
        for path, now in stamps.items():
            if self._arrived.get(path) == now:
                continue
            before = self._growing.get(path)
            since = before[1] if before is not None and before[0] == now else seconds
            age = wall_seconds - max(now[1:]) / _NANOSECONDS
            if seconds - since >= self._settled_seconds or age >= self._settled_seconds:
                arrived.append(path)
                self._arrived[path] = now
            else:
                growing[path] = now, since
        self._growing = growing
        return Look(arrived, gone)


class ArrivedVideos:
    """The videos that have arrived; those that did last are a batch by themselves.

    Args:
        batch_of: makes the batch of some videos, with one journal for all batches.
    """

    def __init__(self, batch_of: Callable[[Sequence[VideoItem]], VideoBatch]) -> None:
        self._batch_of = batch_of
        self._items: dict[str, VideoItem] = {}
        self._last: VideoBatch | None = None

    def batch(self, items: Sequence[VideoItem]) -> VideoBatch:
        """The batch of some that have arrived just now, and of what was not reached in the one before."""
        here = {absolute_text(item.path): item for item in items}
        self._items.update(here)
        again = [] if self._last is None else [absolute_text(item.path) for item in self._last.unreached()]
        here.update({path: self._items[path] for path in again if path in self._items})
        self._last = self._batch_of(in_order(here.values()))
        return self._last

    def forget(self, gone: Iterable[str]) -> None:
        """Forget videos that are no longer there, by their paths."""
        for path in gone:
            item = self._items.pop(absolute_text(path), None)
            if item is not None and self._last is not None and self._last.journal is not None:
                self._last.journal.forget(item.path)

    def all(self) -> VideoBatch:
        """The batch of all, of which nothing is to be done."""
        batch = self._batch_of(in_order(self._items.values()))
        batch.find_corrected()
        return batch


class NowAndThen:
    """Writes what is written of all videos, so seldom that it takes little of the time however many there are.

    Args:
        write: writes it.
        seconds: at least so long after it was written last.
        clock: that is never set, in seconds.
    """

    def __init__(
        self,
        write: Callable[[], None],
        seconds: float = SUMMARY_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._write, self._seconds, self._clock = write, seconds, clock
        self._is_stale = False
        self._due: float | None = None

    def changed(self) -> None:
        """Something is to be written."""
        self._is_stale = True

    def if_due(self) -> None:
        """Write what has changed, unless that was done just now."""
        if self._due is None or self._clock() >= self._due:
            self.at_once()

    def at_once(self) -> None:
        """Write what has changed."""
        if not self._is_stale:
            return
        self._is_stale = False  # also when it fails, so that whoever ends because of that does not try again
        began = self._clock()
        try:
            self._write()
        except (KeyboardInterrupt, SystemExit):
            self._is_stale = True
            raise
        ended = self._clock()
        self._due = ended + max(self._seconds, TIMES_LONGER * (ended - began))


def watch_folders(
    folders: Sequence[str],
    output: Path,
    through: Callable[[list[VideoItem], list[str]], bool],
    *,
    between: Callable[[], None] = lambda: None,
    settled_seconds: float = SETTLED_SECONDS,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Go on looking into folders for videos, until somebody wants no more.

    Args:
        folders: with their folders.
        output: where results go; what is in it is no video to localize.
        through: is given the videos that have stopped growing since it was called last, and the paths of those of
            former calls that are gone, whenever there is one of either; returns whether to go on.
        between: called after each look.
        settled_seconds: how long a file has to be as it is.
        wait: waits for some seconds.

    Raises:
        MediaError: if a folder is no longer there.
    """
    watched, arrivals = WatchedFolders(folders, output), Arrivals(settled_seconds)
    while True:
        began = time.monotonic()
        found = arrivals.look(watched.look(), seconds=began, wall_seconds=time.time())
        took = time.monotonic() - began
        if (found.arrived or found.gone) and not through(watched.items(found.arrived), found.gone):
            return
        between()
        wait(max(POLL_SECONDS, TIMES_LONGER * took))


def in_order(items: Iterable[VideoItem]) -> list[VideoItem]:
    """Videos by their paths, those of a folder before those of the folders in it."""

    def order(item: VideoItem) -> tuple[tuple[bool, str], ...]:
        *folders, name = Path(item.path).parts
        return *((True, folder) for folder in folders), (False, name)

    return sorted(items, key=order)
