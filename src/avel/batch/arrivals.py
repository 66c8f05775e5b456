"""Videos that arrive in folders, each taken when it has stopped growing.

What has been done of them is in the journal of the results (`avel.batch.journal`), so that whoever starts again goes on
where it was.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from avel.batch.journal import stamp
from avel.batch.videos import VideoItem, find_items
from avel.errors import MediaError

SETTLED_SECONDS = 10.0
"""A recording that is still being written changes more often than this."""
POLL_SECONDS = 2.0

_NANOSECONDS = 1e9


class Arrivals:
    """Which files have stopped growing, from looks at them that are some time apart.

    Args:
        settled_seconds: how long a file has to be as it is.
    """

    def __init__(self, settled_seconds: float = SETTLED_SECONDS) -> None:
        self._settled_seconds = settled_seconds
        self._since: dict[str, tuple[tuple[int, ...], float]] = {}
        self._told: dict[str, tuple[int, ...]] = {}

    def look(self, paths: Sequence[str], *, seconds: float, wall_seconds: float) -> tuple[list[str], bool]:
        """Look at some files.

        Args:
            paths: of the files; those that are gone are left out.
            seconds: by a clock that is never set.
            wall_seconds: since 1970, as the file system counts; for files that are there when one begins.

        Returns:
            Those that have stopped growing, and whether any of them had not, or was another one, at the look before.
        """
        settled, is_new = [], False
        for path in paths:
            try:
                now = stamp(path)
            except OSError:
                continue
            before = self._since.get(path)
            if before is None or before[0] != now:
                before = self._since[path] = (now, seconds)
            age = wall_seconds - max(now[1:]) / _NANOSECONDS
            if seconds - before[1] >= self._settled_seconds or age >= self._settled_seconds:
                settled.append(path)
                is_new |= self._told.get(path) != now
                self._told[path] = now
        return settled, is_new


def watch_folders(
    folders: Sequence[str],
    output: Path,
    through: Callable[[list[VideoItem]], bool],
    *,
    settled_seconds: float = SETTLED_SECONDS,
    wait: Callable[[float], None] = time.sleep,
) -> None:
    """Go on looking into folders for videos, until somebody wants no more.

    Args:
        folders: with their folders.
        output: where results go; what is in it is no video to localize.
        through: is given all videos that have stopped growing, whenever there is another one among them; returns
            whether to go on. It is called again with those that it was given before.
        settled_seconds: how long a file has to be as it is.
        wait: waits for some seconds.

    Raises:
        MediaError: if a folder is no longer there.
    """
    arrivals = Arrivals(settled_seconds)
    while True:
        for folder in folders:
            if not Path(folder).is_dir():
                raise MediaError(
                    f"{folder}: the watched folder is no longer there: it was deleted, moved or unmounted. Start again "
                    "when it is back; what has been done is kept."
                )
        items, _ = find_items(folders, output=output)
        paths = [item.path for item in items]
        settled, is_new = arrivals.look(paths, seconds=time.monotonic(), wall_seconds=time.time())
        grown = set(settled)
        if is_new and not through([item for item in items if item.path in grown]):
            return
        wait(POLL_SECONDS)
