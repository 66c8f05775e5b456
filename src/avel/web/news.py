"""What changes, told to every open page (server-sent events)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio

MOST_WAITING = 1000
"""News that wait for a page; of more, the oldest are dropped."""


class News:
    """Tells pages of changes; from any thread."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[dict[str, str] | None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def open(self) -> None:
        """Begin; called in the server's event loop."""
        self._loop = asyncio.get_running_loop()

    def tell(self, event: str, data: dict[str, Any]) -> None:
        """Tell all pages."""
        loop = self._loop
        if loop is not None and self._queues:
            with contextlib.suppress(RuntimeError):  # the server has ended meanwhile
                loop.call_soon_threadsafe(self._put, {"event": event, "data": json.dumps(data)})

    def _put(self, message: dict[str, str] | None) -> None:
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    async def listen(self, ending: anyio.Event) -> AsyncIterator[dict[str, str]]:
        """What is told from now on, until everything ends.

        Args:
            ending: is set when the server ends.
        """
        queue: asyncio.Queue[dict[str, str] | None] = asyncio.Queue(MOST_WAITING)
        self._queues.add(queue)
        waiting = asyncio.create_task(_end(queue, ending))
        try:
            while (message := await queue.get()) is not None:
                yield message
        finally:
            waiting.cancel()
            self._queues.discard(queue)

    def close(self) -> None:
        """End all streams; called in the server's event loop."""
        self._put(None)
        self._loop = None


async def _end(queue: "asyncio.Queue[dict[str, str] | None]", ending: anyio.Event) -> None:
    await ending.wait()
    await queue.put(None)
