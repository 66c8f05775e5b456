import os
import signal
import threading
import time

import pytest

from avel.errors import AvelError, MediaError
from avel.web.worker import Worker, WorkerDiedError, WorkerPool, WorkerStoppedError


@pytest.fixture(scope="module")
def worker():
    one = Worker()
    yield one
    one.close()


def add(one, other, progress=None):
    if progress is not None:
        progress(one, "of", other)
    return one + other


def fail(kind):
    raise {"media": MediaError("a.mp4: broken"), "other": KeyError("what")}[kind]


def segfault():
    os.kill(os.getpid(), signal.SIGSEGV)


def sleep(folder, seconds):
    (folder / str(os.getpid())).touch()
    time.sleep(seconds)


def test_values_errors_and_progress_come_through(worker):
    told = []
    assert worker.call(add, 1, 2, progress=lambda *value: told.append(value)) == 3
    assert told == [(1, "of", 2)]
    with pytest.raises(MediaError, match="a.mp4: broken"):
        worker.call(fail, "media")
    with pytest.raises(AvelError, match="did not expect"):
        worker.call(fail, "other")
    assert worker.call(add, 1, 1) == 2


def test_a_process_that_dies_is_replaced(worker):
    with pytest.raises(WorkerDiedError, match=r"killed \(exit code 3\): a library crashed on it"):
        worker.call(os._exit, 3)
    with pytest.raises(WorkerDiedError, match=r"killed \(signal SIGSEGV\)"):
        worker.call(segfault)
    assert worker.call(add, 1, 1) == 2


def test_what_nobody_wants_ends_at_once_or_never_begins(worker, tmp_path):
    unwanted, outcome = threading.Event(), []

    def ask():
        try:
            worker.call(sleep, tmp_path, 600, unwanted=unwanted)
        except WorkerStoppedError:
            outcome.append("stopped")

    thread = threading.Thread(target=ask)
    thread.start()
    while not list(tmp_path.iterdir()):
        time.sleep(0.01)
    worker.stop(unwanted)
    thread.join(300)
    assert outcome == ["stopped"]
    process = int(next(tmp_path.iterdir()).name)
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(WorkerStoppedError):
        worker.call(add, 1, 1, unwanted=unwanted)
    worker.stop(threading.Event())  # of something else
    assert worker.call(add, 1, 1) == 2


def test_a_closed_pool_does_nothing_more():
    pool = WorkerPool(2)
    assert pool.call(add, 2, 2) == 4
    pool.close()
    with pytest.raises(WorkerStoppedError):
        pool.call(add, 1, 1)
