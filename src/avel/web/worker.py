"""Processes that read videos, so that one which brings a library down costs that one and not the page."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from avel.errors import AvelError, unexpected

_CONTEXT = multiprocessing.get_context("spawn")

Progress = Callable[..., None]
"""Called in this process with what a function in another one has to tell."""


class WorkerStoppedError(Exception):
    """Somebody wanted what was being done to end."""


class WorkerDiedError(AvelError):
    """A process died of what it was doing."""


class Worker:
    """A process that does one thing after the other; it is started when it is needed, and ends with this one.

    Several threads may ask for something; they wait for each other.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._change = threading.Lock()
        self._process: Any = None
        self._connection: Any = None
        self._doing: threading.Event | None = None
        self._is_closed = False

    def call(
        self,
        function: Callable[..., Any],
        *arguments: Any,
        progress: Progress | None = None,
        unwanted: threading.Event | None = None,
    ) -> Any:
        """Call a function of a module in the process.

        Args:
            function: that can be pickled, as its arguments and its result.
            arguments: of the function.
            progress: what the function is given as ``progress``, if that is wanted.
            unwanted: what `stop` knows this call by.

        Raises:
            WorkerStoppedError: if `stop` or `close` ended it.
            WorkerDiedError: if the process died.
            Exception: whatever the function raises.
        """
        doing = unwanted or threading.Event()
        with self._turn:
            with self._change:
                if self._is_closed or doing.is_set():
                    raise WorkerStoppedError
                if self._process is None or not self._process.is_alive():
                    self._start()
                connection, self._doing = self._connection, doing
            try:
                connection.send((function, arguments, progress is not None))
                while True:
                    kind, value = connection.recv()
                    if kind == "done":
                        return value
                    if kind == "error":
                        raise value
                    if progress is not None:
                        progress(*value)
            except (EOFError, ConnectionError) as error:
                raise self._ended(doing) from error
            finally:
                with self._change:
                    self._doing = None

    def stop(self, unwanted: threading.Event) -> None:
        """End a call at once, whether it has begun or not; the next one is done by another process."""
        with self._change:
            unwanted.set()
            if self._doing is unwanted:
                self._kill()

    def close(self) -> None:
        """End the process for good."""
        with self._change:
            self._is_closed = True
            self._kill()

    def _start(self) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def _ended(self, doing: threading.Event) -> Exception:
        """Why the process is there no more."""
        with self._change:
            process, self._process = self._process, None
            self._connection.close()
            was_stopped = doing.is_set() or self._is_closed
        process.join()
        if was_stopped:
            return WorkerStoppedError()
        code = process.exitcode or 0
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return WorkerDiedError(
            f"The process that read it was killed ({how}): a library crashed on it, or memory ran out."
        )


class WorkerPool:
    """Some workers that share what is to be done.

    Args:
        count: how many.
    """

    def __init__(self, count: int) -> None:
        self._workers = [Worker() for _ in range(count)]
        self._free = threading.BoundedSemaphore(count)
        self._idle = deque(self._workers)
        self._lock = threading.Lock()

    def call(self, function: Callable[..., Any], *arguments: Any, progress: Progress | None = None) -> Any:
        """As `Worker.call`, in whichever is free first."""
        with self._free:
            with self._lock:
                worker = self._idle.popleft()
            try:
                return worker.call(function, *arguments, progress=progress)
            finally:
                with self._lock:
                    self._idle.append(worker)

    def warm(self, function: Callable[[], Any]) -> None:
        """Call a function in each, so that what it imports is there when it is needed.

        Raises:
            WorkerStoppedError: if they are closed.
        """
        for _ in self._workers:  # the one that was used last is taken last
            self.call(function)

    def close(self) -> None:
        """End all of them for good."""
        for worker in self._workers:
            worker.close()


def _work(connection: Any) -> None:
    """What the process does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends Ctrl-C to all; who started this ends it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            function, arguments, wants_progress = connection.recv()
        except (EOFError, OSError):
            return
        more = {"progress": lambda *value: connection.send(("progress", value))} if wants_progress else {}
        try:
            answer = ("done", function(*arguments, **more))
        except AvelError as error:
            answer = ("error", error)
        except Exception as error:
            answer = ("error", AvelError(unexpected(_subject(arguments), error)))
        with contextlib.suppress(OSError):
            connection.send(answer)


def _subject(arguments: tuple[Any, ...]) -> str:
    return str(arguments[0]) if arguments else "avel serve"


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
