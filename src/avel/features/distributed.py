"""Work on many videos in many processes or on many machines, with Dask: extraction, and localization.

Workers do what `SharedJob.do` does in one process, and load the networks once. They share the videos
and the store through the file system; only paths and outcomes travel. A worker that dies is replaced and its video
tried again; a video whose worker dies each time, also when nothing else runs, is quarantined.

One video at a time runs on each worker, with as many threads as the worker was started with.
"""

import contextlib
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Self

from avel.backbones.engine import usable_cores
from avel.errors import AvelError

CONNECT_SECONDS = 20
WORKERS_SECONDS = 120
"""How long to wait for the first worker: a cluster may have to start a machine."""
ALLOWED_DEATHS = 1
"""Of workers under a video before it is tried alone; on a cluster of our own (others have their own setting)."""


class SharedJob(Protocol):
    """What all tasks of a run have in common; it is sent to other processes, and so are tasks and results."""

    @property
    def token(self) -> str:
        """Tells what this run loads from what others load."""
        ...

    def load(self, threads: int | None) -> Any:
        """Load what every task needs, once in a process."""
        ...

    def describe(self, loaded: Any) -> Any:
        """Say what was loaded, in a form that can be sent."""
        ...

    def do(self, task: Any, loaded: Any, threads: int) -> Any:
        """Do one task; no exception of a video's leaves it."""
        ...

    def failed(self, task: Any, reason: str, *, quarantined: bool = False) -> Any:
        """The result of a task that no worker could do."""
        ...


class DaskEngine:
    """Does tasks on a Dask cluster.

    Args:
        job: what the tasks have in common.
        workers: number of processes to start on this machine; one for each core when ``None``.
        scheduler: address of a scheduler that runs already, instead.

    Raises:
        AvelError: if Dask is not installed.
    """

    def __init__(self, job: SharedJob, *, workers: int | None = None, scheduler: str | None = None) -> None:
        self._dask = _import_distributed()
        self._job, self._workers, self._scheduler = job, workers, scheduler
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Connect to the cluster, or start one.

        Raises:
            AvelError: if it cannot be reached or has no workers.
        """
        with contextlib.ExitStack() as stack:
            self._client = stack.enter_context(self._connect(stack))
            try:
                self._client.wait_for_workers(1, timeout=WORKERS_SECONDS)
            except TimeoutError as error:
                raise AvelError(
                    f"The Dask scheduler {self._client.scheduler.address} had no worker within {WORKERS_SECONDS} s. "
                    "Start some with `dask worker ADDRESS`, in an environment that has avel."
                ) from error
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the cluster; end it if it was started here."""
        self._stack.close()

    def describe(self) -> Any:
        """Load the networks on a worker and say what they are."""
        try:
            return self._client.submit(_describe, self._job, pure=False).result()
        except self._dask.scheduler.KilledWorker as error:
            raise AvelError(f"Workers die while they load the networks ({error}). Is there enough memory?") from error

    def run(self, tasks: Iterable[Any]) -> Iterator[Any]:
        """Do all tasks, in the order in which they are finished.

        No more are given to the cluster than it has workers, so that the death of one concerns one video, and so that
        any number of tasks can be done.

        Raises:
            AvelError: if the cluster goes away.
        """
        suspects: list[Any] = []
        for task, outcome in self._finished(tasks, window=None):
            if outcome is None:
                suspects.append(task)
            else:
                yield outcome
        # A worker may have died of its neighbour, or been killed by hand: judge each video by itself.
        for task, outcome in self._finished(suspects, window=1):
            yield outcome or self._job.failed(
                task,
                "every worker that tried it died (killed, crashed or out of memory). It is quarantined: left out from "
                "now on, unless you ask to retry quarantined videos.",
                quarantined=True,
            )

    def _finished(self, tasks: Iterable[Any], window: int | None) -> Iterator[tuple[Any, Any]]:
        """Tasks with their outcomes, none where the worker died too often."""
        waiting = iter(tasks)
        running: dict[str, Any] = {}
        completed = self._dask.as_completed(loop=self._client.loop)

        def fill() -> None:
            size = window or max(1, len(self._client.nthreads()))
            while len(running) < size and (task := next(waiting, None)) is not None:
                future = self._client.submit(_do, self._job, task, pure=False)
                running[future.key] = task
                completed.add(future)

        try:
            fill()
            for future in completed:
                task = running.pop(future.key)
                yield task, self._outcome(future, task)
                future.release()
                fill()
        except (self._dask.CancelledError, OSError) as error:
            raise AvelError(
                f"The Dask cluster went away ({error}). Run the same command again: what is done is kept."
            ) from error

    def _connect(self, stack: contextlib.ExitStack) -> Any:
        """A client of the scheduler that was given, or of a cluster that ends with the stack."""
        if self._scheduler is not None:
            try:
                return self._dask.Client(self._scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
            except (OSError, ValueError) as error:
                raise AvelError(
                    f"No Dask scheduler answers at {self._scheduler} ({error}). Check the address."
                ) from error
        cores = usable_cores()
        workers = self._workers or cores
        cluster = self._dask.LocalCluster(
            n_workers=workers,
            threads_per_worker=max(1, cores // workers),
            processes=True,
            dashboard_address=None,
            scheduler_kwargs={"allowed_failures": ALLOWED_DEATHS},
            memory_limit=0,  # mapped files count as memory there, and workers would be stopped for them
            silence_logs="CRITICAL",
        )
        stack.enter_context(cluster)
        return self._dask.Client(cluster, set_as_default=False)

    def _outcome(self, future: Any, task: Any) -> Any:
        """What a task gave; none if its worker died too often."""
        try:
            return future.result()
        except self._dask.scheduler.KilledWorker:
            return None
        except self._dask.CancelledError:
            raise
        except Exception as error:  # the worker could not even start: it lacks avel, or has another version
            return self._job.failed(task, f"the worker failed: {type(error).__name__}: {error}")


def _import_distributed() -> Any:
    """Dask distributed, whose types are too few to check."""
    try:
        import distributed
        import distributed.scheduler
    except ModuleNotFoundError as error:
        raise AvelError("The engine 'dask' needs Dask distributed: pip install 'avel[cluster]'.") from error
    return distributed


# In a worker process ------------------------------------------------------------------------------------------------

_loaded: dict[str, Any] = {}
_one_at_a_time = threading.Lock()


def _describe(job: SharedJob) -> Any:
    with _one_at_a_time:
        return job.describe(_load(job))


def _do(job: SharedJob, task: Any) -> Any:
    with _one_at_a_time:
        return job.do(task, _load(job), _threads())


def _load(job: SharedJob) -> Any:
    """What a job needs, loaded by the first of its tasks in this process."""
    if job.token not in _loaded:
        _loaded.clear()
        _loaded[job.token] = job.load(_threads())
    return _loaded[job.token]


def _threads() -> int:
    return int(_import_distributed().get_worker().state.nthreads)
