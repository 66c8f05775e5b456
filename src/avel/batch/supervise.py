"""A child process does the work, so that a crash inside a library costs one video and not all of them.

The child is a fork, made before any network is loaded: that costs milliseconds, and what it prints goes where the
parent's would. It says which item it begins; when a signal kills it, the parent knows which item did that, and another
child goes on behind it. Where a process cannot be forked safely, the work is done in this one.
"""

import contextlib
import gc
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable

_NUMBER = struct.Struct("<q")

Work = Callable[[int, Callable[[int], None]], int]
"""Does all items from a number on, calls with each one's number before it begins, and returns an exit code."""


def can_supervise() -> bool:
    """Whether a child may be forked here: not where there are threads, whose locks it would inherit for ever."""
    return (
        hasattr(os, "fork")
        and sys.stdout is sys.__stdout__
        and threading.current_thread() is threading.main_thread()
        and threading.active_count() == 1
        and not {"torch", "openvino"} & set(sys.modules)
    )


def supervised(work: Work, count: int, on_death: Callable[[int | None, str], None]) -> int:
    """Do ``count`` items in child processes.

    Args:
        work: does items; runs in a child.
        count: how many items there are.
        on_death: called in this process with the number of an item whose process died, ``None`` when it had begun none
            and so nothing is done, and how it died.

    Returns:
        The largest of the children's exit codes, at least 1 when one died.
    """
    code = 0
    first = 0
    while first < count:
        status, item = _one_child(work, first)
        if os.WIFEXITED(status):
            return max(code, os.WEXITSTATUS(status))
        number = os.WTERMSIG(status)
        if number in (signal.SIGINT, signal.SIGTERM):  # somebody wanted it to end
            return 128 + number
        code = 1
        on_death(item, _how(number))
        if item is None:
            break
        first = item + 1
    return code


def _one_child(work: Work, first: int) -> tuple[int, int | None]:
    """Run a child to its end; its status, and the item that it began last, if any."""
    items, tell = os.pipe()
    alive, parent_end = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there stays; looking it through again would copy its pages into the child
    child = os.fork()
    if child == 0:
        os.close(items)
        os.close(parent_end)
        _end_with_parent(alive)
        code = 70
        try:
            code = work(first, lambda item: _tell(tell, item))
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
    os.close(alive)
    # The terminal sends Ctrl-C to both; the child decides what it means. Whoever ends this process means the child.
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda number, frame: os.kill(child, signal.SIGTERM)),
    }
    try:
        item = _last(items)
        _, status = os.waitpid(child, 0)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(items)
        os.close(parent_end)
    return status, item


def _tell(pipe: int, item: int) -> None:
    os.write(pipe, _NUMBER.pack(item))


def _last(pipe: int) -> int | None:
    """The last number that comes through a pipe before it is closed, ``None`` without any."""
    item = None
    held = b""
    while chunk := os.read(pipe, 4096):
        held += chunk
        whole = len(held) // _NUMBER.size * _NUMBER.size
        if whole:
            (item,) = _NUMBER.unpack(held[whole - _NUMBER.size : whole])
            held = held[whole:]
    return item


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
