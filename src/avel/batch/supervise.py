"""Child processes do the work, so that a crash inside a library costs one video and not all of them.

A child is a fork, made before any network is loaded: that costs milliseconds, and what it prints goes where the
parent's would. Several share the items, each of which goes to the child that is free first. A child says which item it
begins; when a signal kills it, the parent knows which item did that, and another child goes on behind it. Where several
run, one may have died of its neighbours, so its item is tried once more, alone. Where a process cannot be forked
safely, the work is done in this one.
"""

import contextlib
import gc
import os
import selectors
import signal
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_NUMBER = struct.Struct("<q")


class ChildShare:
    """The items that one child does, which it is given one after the other.

    Attributes:
        number: of the child among those that run at once, from 0.
    """

    def __init__(self, items: "_Items", number: int = 0, begin: Callable[[int], None] | None = None) -> None:
        self.number = number
        self._items, self._begin = items, begin

    @classmethod
    def all_of(cls, count: int) -> "ChildShare":
        """All items, where this process does them."""
        return cls(_Items(range(count)))

    def __iter__(self) -> Iterator[int]:
        """The numbers of its items; the next one is taken when it is asked for."""
        while (item := self._items.take()) is not None:
            if self._begin is not None:
                self._begin(item)
            yield item

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """Is around what no other child may do meanwhile, as printing more than a line."""
        return self._items.alone()


Work = Callable[[ChildShare], int]
"""Does a share of the items, and returns an exit code."""


class _Items:
    """Gives each item once, to this process or to one that was forked from it."""

    def __init__(self, items: Sequence[int]) -> None:
        self._all = items
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - open as long as this is
        self._file.write(_NUMBER.pack(0))

    def take(self) -> int | None:
        """The next item, ``None`` if there is no more."""
        with self._locked(0):
            place = self._taken()
            if place == len(self._all):
                return None
            os.pwrite(self._file.fileno(), _NUMBER.pack(place + 1), 0)
            return self._all[place]

    def is_empty(self) -> bool:
        """Whether all have been taken."""
        return self._taken() == len(self._all)

    def alone(self) -> contextlib.AbstractContextManager[None]:
        """See `ChildShare.alone`."""
        return self._locked(1)

    def _taken(self) -> int:
        return int(_NUMBER.unpack(os.pread(self._file.fileno(), _NUMBER.size, 0))[0])

    @contextlib.contextmanager
    def _locked(self, byte: int) -> Iterator[None]:
        """A lock that ends with the process that has it."""
        try:
            import fcntl
        except ModuleNotFoundError:  # where there is no fork either
            yield
            return
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1, byte)
        try:
            yield
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)


def can_supervise() -> bool:
    """Whether a child may be forked here: not where there are threads, whose locks it would inherit for ever."""
    return (
        hasattr(os, "fork")
        and sys.stdout is sys.__stdout__
        and threading.current_thread() is threading.main_thread()
        and threading.active_count() == 1
        and not {"torch", "openvino"} & set(sys.modules)
    )


def supervised(work: Work, count: int, on_death: Callable[[int | None, str], None], *, children: int = 1) -> int:
    """Do ``count`` items in child processes.

    Args:
        work: does items; runs in a child.
        count: how many items there are.
        on_death: called in this process with the number of an item whose process died, ``None`` when it had begun none
            and so nothing is done, and how it died.
        children: how many run at once.

    Returns:
        The largest of the children's exit codes, at least 1 when one died.
    """
    suspects: list[int] = []

    def suspect(item: int | None, how: str) -> None:
        if item is None:
            on_death(item, how)
        else:
            suspects.append(item)

    children = min(children, count)
    code, died = _Children(work, range(count), on_death if children == 1 else suspect).run(children)
    if code >= _FIRST_SIGNAL or not suspects:
        return max(code, died)
    again, died_again = _Children(work, suspects, on_death).run(1)
    return max(code, again, died_again)


_FIRST_SIGNAL = 128
"""From here on, exit codes are of somebody who wanted the work to end."""


class _Children:
    """Some children, until there is no item left."""

    def __init__(self, work: Work, items: Sequence[int], on_death: Callable[[int | None, str], None]) -> None:
        self._work, self._on_death = work, on_death
        self._items = _Items(items)
        self._running: dict[int, tuple[int, int]] = {}  # by the pipe that says what it begins: its number, its process
        self._code, self._died = 0, 0
        self._alive, self._parent_end = os.pipe()

    def run(self, count: int) -> tuple[int, int]:
        """The largest exit code, and 1 if any died."""
        # The terminal sends Ctrl-C to all; the child decides what it means. Whoever ends this process means the
        # children.
        before = {
            signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
            signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: self._end_all()),
        }
        try:
            with selectors.DefaultSelector() as pipes:
                for number in range(count):
                    self._start(number, pipes, before)
                begun: dict[int, int] = {}
                while self._running:
                    for key, _ in pipes.select():
                        if said := os.read(key.fd, 512 * _NUMBER.size):
                            (begun[key.fd],) = _NUMBER.unpack(said[-_NUMBER.size :])  # each is written at once
                        else:
                            pipes.unregister(key.fd)
                            self._ended(key.fd, begun.pop(key.fd, None), pipes, before)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(self._alive)
            os.close(self._parent_end)
        return self._code, self._died

    def _ended(
        self, pipe: int, item: int | None, pipes: selectors.BaseSelector, before: Mapping[signal.Signals, Any]
    ) -> None:
        number, child = self._running.pop(pipe)
        os.close(pipe)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status):
            self._code = max(self._code, os.WEXITSTATUS(status))
            return
        by = os.WTERMSIG(status)
        if by in (signal.SIGINT, signal.SIGTERM):  # somebody wanted it to end
            self._code = max(self._code, _FIRST_SIGNAL + by)
            self._end_all()
            return
        self._died = 1
        self._on_death(item, _how(by))
        if item is not None and self._code < _FIRST_SIGNAL and not self._items.is_empty():
            self._start(number, pipes, before)

    def _end_all(self) -> None:
        for _, child in self._running.values():
            os.kill(child, signal.SIGTERM)

    def _start(self, number: int, pipes: selectors.BaseSelector, before: Mapping[signal.Signals, Any]) -> None:
        items, tell = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        gc.freeze()  # what is there stays; looking it through again would copy its pages into the child
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGINT, before[signal.SIGINT])
            signal.signal(signal.SIGTERM, signal.SIG_DFL)  # at once: in good order, the parent ends
            for pipe in (items, self._parent_end, *self._running):
                os.close(pipe)
            _end_with_parent(self._alive)
            code = 70
            try:
                code = self._work(ChildShare(self._items, number, lambda item: _tell(tell, item)))
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except KeyboardInterrupt:
                code = 130
            finally:
                with contextlib.suppress(OSError, ValueError):
                    sys.stdout.flush()
                    sys.stderr.flush()
                # Not the interpreter's own end: what the parent registered for that is the parent's to do.
                os._exit(code)
        os.close(tell)
        self._running[items] = (number, child)
        pipes.register(items, selectors.EVENT_READ)


def _tell(pipe: int, item: int) -> None:
    os.write(pipe, _NUMBER.pack(item))


def _end_with_parent(alive: int) -> None:
    """End this process when its parent has ended, however that came about."""

    def watch() -> None:
        os.read(alive, 1)  # returns when the other end is closed
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _how(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = str(number)
    return f"signal {name}"
