import os
import signal
import sys
from pathlib import Path

import pytest
from tiny_backbones import RECIPE, load, load_and_die, load_nothing, load_poisonable, load_slow
from tiny_clips import make_clip

from avel.errors import AvelError, WeightsError
from avel.features.journal import read_failures
from avel.features.run import extract_many
from avel.features.source import SourceFile
from avel.features.store import FeatureStore

pytest.importorskip("distributed")


def run(videos, store, **more):
    return extract_many(videos, store, RECIPE, **{"loader": load, "engine": "dask", "workers": 2, **more})


def contents(store):
    videos = Path(store, "videos")
    return {path.relative_to(videos): path.read_bytes() for path in videos.rglob("*") if path.is_file()}


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The process that loaded the networks, and for how many threads, a line for each time."""
    monkeypatch.setenv("TINY_LOG", str(tmp_path / "log"))
    return lambda: [tuple(map(int, line.split())) for line in (tmp_path / "log").read_text().splitlines()]


@pytest.mark.slow
def test_a_worker_that_is_killed_is_replaced(clips, tmp_path, log):
    """Also: the bytes are those of one process, and every worker loads the networks once."""
    extract_many(clips, tmp_path / "alone", RECIPE, loader=load)
    before = len(log())
    killed = []

    def kill(through, total, outcome):
        assert outcome.status == "done"
        if through == 2:
            (pid, _), *_ = log()[before:]
            os.kill(pid, signal.SIGKILL)
            killed.append(pid)

    summary = run(clips, tmp_path / "s", loader=load_slow, progress=kill)
    assert (summary.done, summary.failures) == (6, ())
    assert contents(tmp_path / "s") == contents(tmp_path / "alone")
    loads = log()[before:]
    pids = [pid for pid, _ in loads]
    assert len(killed) == 1
    assert len(set(pids)) == len(pids)
    assert 2 <= len(pids) <= 3
    assert os.getpid() not in pids
    assert {threads for _, threads in loads} == {max(1, len(os.sched_getaffinity(0)) // 2)}
    assert run(clips, tmp_path / "s").skipped == 6


@pytest.mark.slow
def test_a_poisonous_video_is_quarantined(clips, tmp_path):
    poison = make_clip(tmp_path / "v" / "poison.mp4", (255, 0, 0))
    summary = run([clips, poison], tmp_path / "s", loader=load_poisonable)
    assert summary.done == 6
    (failure,) = summary.failures
    assert failure.quarantined
    assert failure.reason.startswith(f"{poison}: every worker that tried it died (killed, crashed or out of memory).")
    assert read_failures(tmp_path / "s") == [failure]
    # It is left alone from now on, also in this process, which it would take down.
    summary = extract_many([clips, poison], tmp_path / "s", RECIPE, loader=load_poisonable)
    assert (summary.skipped, summary.failures) == (6, (failure,))
    assert extract_many(clips, tmp_path / "s", RECIPE, loader=load).skipped == 6
    assert read_failures(tmp_path / "s") == [failure]
    # Where the cause is gone, it can be tried again.
    summary = extract_many(poison, tmp_path / "s", RECIPE, loader=load, retry_quarantined=True)
    assert summary.done == 1
    assert read_failures(tmp_path / "s") == []


def test_a_running_scheduler(clips, tmp_path, log):
    from distributed import LocalCluster

    (tmp_path / "text.mp4").write_text("This is not a video.")
    with LocalCluster(n_workers=1, threads_per_worker=3, dashboard_address=None, silence_logs="CRITICAL") as cluster:
        summary = run([clips, tmp_path / "text.mp4"], tmp_path / "s", workers=None, scheduler=cluster.scheduler_address)
        assert cluster.workers  # it is not ours to end
    assert summary.done == 6
    assert "not a video or audio file" in summary.failures[0].reason
    assert [threads for _, threads in log()] == [3]
    assert not any(problems for _, problems in FeatureStore(tmp_path / "s").verify(read_source=SourceFile.of))


def test_weights_that_cannot_be_had_end_the_run(clips, tmp_path):
    with pytest.raises(WeightsError, match="no weights"):
        run(clips, tmp_path / "s", loader=load_nothing, workers=1)
    assert not (tmp_path / "s").exists()


def test_workers_that_die_of_the_networks(clips, tmp_path):
    with pytest.raises(AvelError, match="Workers die while they load the networks .*Is there enough memory"):
        run(clips, tmp_path / "s", loader=load_and_die, workers=1)


def test_a_scheduler_that_does_not_answer(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("avel.features.distributed.CONNECT_SECONDS", 1)
    with pytest.raises(AvelError, match="No Dask scheduler answers at tcp://127.0.0.1:9 .*Check the address"):
        run(clips, tmp_path / "s", workers=None, scheduler="tcp://127.0.0.1:9")


def test_a_scheduler_without_workers(clips, tmp_path, monkeypatch):
    from distributed import LocalCluster

    monkeypatch.setattr("avel.features.distributed.WORKERS_SECONDS", 1)
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster,
        pytest.raises(AvelError, match="had no worker within 1 s. Start some with `dask worker ADDRESS`"),
    ):
        run(clips, tmp_path / "s", workers=None, scheduler=cluster.scheduler_address)


def test_a_cluster_that_goes_away(clips, tmp_path, monkeypatch):
    monkeypatch.setattr("avel.features.distributed.CONNECT_SECONDS", 10)
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, dashboard_address=None, silence_logs="CRITICAL") as cluster:

        def end(through, total, outcome):
            if through == 1:
                cluster.close()

        with pytest.raises(
            AvelError, match="The Dask cluster went away .*Run the same command again: what is done is kept"
        ):
            run(
                clips, tmp_path / "s", workers=None, scheduler=cluster.scheduler_address, loader=load_slow, progress=end
            )
    assert extract_many(clips, tmp_path / "s", RECIPE, loader=load).skipped >= 1


def test_without_dask(clips, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(AvelError, match="The engine 'dask' needs Dask distributed: pip install 'avel.cluster.'"):
        run(clips, tmp_path / "s")
