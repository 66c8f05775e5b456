import contextlib
import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_backbones import RECIPE, load

from avel.errors import FeaturesError, MediaError, WeightsError
from avel.features import jobs
from avel.features.extract import FeatureBatch
from avel.features.jobs import Backbones, load_backbones
from avel.features.journal import read_failures
from avel.features.recipe import Recipe
from avel.features.run import extract_many
from avel.features.source import SourceFile
from avel.features.store import BackboneEntry, FeatureStore


def run(videos, store, recipe=RECIPE, **more):
    return extract_many(videos, store, recipe, **{"loader": load, **more})


def contents(store):
    return {path: (Path(store, "videos") / path).read_bytes() for path in times(store)}


def times(store):
    videos = Path(store, "videos")
    return {path.relative_to(videos): path.stat().st_mtime_ns for path in videos.rglob("*") if path.is_file()}


def test_how_far_the_reading_of_each_video_is(clips, tmp_path):
    read = []
    run([clips / "more" / "e.mp4", clips / "a.mp4"], tmp_path / "s", reading=lambda *of: read.append(of))
    store = FeatureStore(tmp_path / "s")
    assert [(video, seconds) for video, seconds, _ in read] == [
        (str(clips / "more" / "e.mp4"), store.open("e").duration_seconds),  # fewer segments than go together
        (str(clips / "a.mp4"), store.open("a").duration_seconds),
    ]
    assert all(declared == pytest.approx(seconds, abs=0.2) for _, seconds, declared in read)


def test_what_is_done_once_more_after_its_worker_was_lost_counts_as_done(clips, tmp_path, monkeypatch):
    once = jobs.extract_one

    def twice(*arguments, **more):
        once(*arguments, **more)  # is stored, and nobody is told
        return once(*arguments, **more)

    monkeypatch.setattr(jobs, "extract_one", twice)
    summary = run(clips, tmp_path / "s")
    assert (summary.done, summary.skipped, summary.failures) == (6, 0, ())
    again = run(clips, tmp_path / "s")
    assert (again.done, again.skipped) == (0, 6)


def test_a_folder_of_videos(clips, tmp_path):
    seen = []
    summary = run(clips, tmp_path / "s", progress=lambda *through: seen.append(through))
    assert (summary.done, summary.skipped, summary.failures) == (6, 0, ())
    assert [(through, total) for through, total, _ in seen] == [(number, 6) for number in range(1, 7)]
    store = FeatureStore(tmp_path / "s")
    assert store.keys() == ["a", "b", "c", "d", "more/a", "more/e"]
    assert not any(problems for _, problems in store.verify(read_source=SourceFile.of))
    stored = store.open("more/e")
    assert stored.duration_seconds == pytest.approx(4.0, abs=0.15)
    assert stored.visual_valid.all()
    assert stored.audio_valid.all()
    # Clip 5 is (200, 55, 128) with a tone of 2800 Hz, in the sixth band of 500 Hz.
    assert stored.visual["mean-colours"] == pytest.approx(
        np.broadcast_to([200 / 255, 55 / 255, 0.5], (4, 4, 3)), abs=0.05
    )
    assert (stored.audio["band-energies"][:3].argmax(axis=1) == 5).all()
    assert stored.audio["band-energies"][1, 5] == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert stored.record["source"]["path"] == str(clips / "more" / "e.mp4")
    assert stored.record["media"]["width"] == 64
    assert stored.record["backbones"]["mean-colours"]["engine"] == "numpy"


def test_nothing_is_done_twice(clips, tmp_path):
    run(clips, tmp_path)
    before = times(tmp_path)
    summary = run([clips, clips / "a.mp4"], tmp_path)
    assert (summary.done, summary.skipped) == (0, 6)
    assert times(tmp_path) == before


def test_a_damaged_feature_file_is_made_again(clips, tmp_path):
    run(clips, tmp_path)
    before = contents(tmp_path)
    file = FeatureStore(tmp_path).path("b")
    os.truncate(file, 100)
    summary = run(clips, tmp_path)
    assert (summary.done, summary.skipped) == (1, 5)
    assert contents(tmp_path) == before


def test_a_video_that_changed_is_extracted_again(clips, tmp_path):
    video = shutil.copy(clips / "a.mp4", tmp_path / "v.mp4")
    run(video, tmp_path / "s")
    first = FeatureStore(tmp_path / "s").open("v").source
    os.utime(video)  # only its time
    assert run(video, tmp_path / "s").skipped == 1
    status = Path(video).stat()
    shutil.copy(clips / "b.mp4", video)
    os.utime(video, ns=(status.st_atime_ns, status.st_mtime_ns))  # hides the change
    assert run(video, tmp_path / "s").done == 1
    assert FeatureStore(tmp_path / "s").open("v").source != first


def test_a_video_that_was_moved_is_not_extracted_again(clip, tmp_path):
    first, second = tmp_path / "1" / "a.mp4", tmp_path / "2" / "a.mp4"
    first.parent.mkdir()
    shutil.copy(clip, first)
    run(first, tmp_path / "s")
    first.parent.rename(second.parent)
    assert run(second, tmp_path / "s").skipped == 1
    assert FeatureStore(tmp_path / "s").keys() == ["a"]


def test_equal_names_in_different_folders_are_different_videos(clips, tmp_path):
    videos = [clips / "a.mp4", clips / "more" / "a.mp4"]
    run(videos, tmp_path)
    keys = FeatureStore(tmp_path).keys()
    assert len(keys) == 2
    assert keys[0] == "a"
    assert run(reversed(videos), tmp_path).skipped == 2
    assert FeatureStore(tmp_path).keys() == keys


def test_the_settings_of_a_store_hold_for_what_is_added(clips, tmp_path):
    recipe = dataclasses.replace(RECIPE, frames_per_segment=3, stored_as="float32")
    run(clips / "a.mp4", tmp_path, recipe)
    run(clips / "b.mp4", tmp_path, recipe=None)
    assert FeatureStore(tmp_path).open("b").record["recipe"] == recipe.to_dict()
    with pytest.raises(FeaturesError, match="Compared with the store, frames_per_segment is 2, not 3; stored_as is"):
        run(clips / "b.mp4", tmp_path)


def test_arguments_that_do_not_go_together(clip, tmp_path):
    with pytest.raises(ValueError, match="engine must be one of local, dask; got 'ray'"):
        run(clip, tmp_path, engine="ray")
    with pytest.raises(ValueError, match="need the engine 'dask'"):
        run(clip, tmp_path, workers=2)
    with pytest.raises(ValueError, match="need the engine 'dask'"):
        run(clip, tmp_path, scheduler="tcp://localhost:8786")
    with pytest.raises(ValueError, match="workers must be 1 or more, got 0"):
        run(clip, tmp_path, engine="dask", workers=0)
    with pytest.raises(ValueError, match="give either workers or a scheduler"):
        run(clip, tmp_path, engine="dask", workers=1, scheduler="tcp://localhost:8786")
    with pytest.raises(ValueError, match="There is no video to extract"):
        run([], tmp_path)
    assert not list(tmp_path.iterdir())


def test_weights_that_cannot_be_had_end_the_run(clip, tmp_path):
    def missing(*_):
        raise WeightsError("no weights")

    with pytest.raises(WeightsError, match="no weights"):
        run(clip, tmp_path / "s", loader=missing)
    assert not (tmp_path / "s").exists()


@contextlib.contextmanager
def ordinary_user():
    """A new folder of a user who is bound to permissions."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_that_may_not_be_read(clip):
    content = clip.read_bytes()
    with ordinary_user() as folder:
        (folder / "v" / "closed").mkdir(parents=True)
        (folder / "v" / "a.mp4").write_bytes(content)
        (folder / "v" / "b.mp4").write_bytes(content)
        (folder / "v" / "b.mp4").chmod(0)
        (folder / "v" / "closed").chmod(0)
        try:
            summary = run([folder / "v", folder / "v" / "closed" / "x.mp4"], folder / "s")
        finally:
            (folder / "v" / "closed").chmod(0o700)
        assert summary.done == 1
        assert {failure.reason for failure in summary.failures} == {
            f"{folder}/v/closed: this folder cannot be read (Permission denied). Change its permissions.",
            f"{folder}/v/closed/x.mp4: cannot be read (Permission denied).",
            f"{folder}/v/b.mp4: cannot be read (Permission denied).",
        }


# Bad videos -----------------------------------------------------------------------------------------------------------


def test_where_no_video_is_there_nothing_is_loaded_or_written(tmp_path):
    def none(*_):
        pytest.fail("networks were loaded")

    with pytest.raises(MediaError, match=r"nosuch.mp4: no such file. Check the name."):
        extract_many(tmp_path / "nosuch.mp4", tmp_path / "s", loader=none)
    with pytest.raises(MediaError, match=r"None of 2 videos is there. The first: .*a.mp4: no such file."):
        extract_many([tmp_path / "a.mp4", tmp_path / "b.mp4"], tmp_path / "s", loader=none)
    assert not (tmp_path / "s").exists()


def test_where_no_name_stands_for_a_video_nothing_is_loaded_or_written(tmp_path):
    def load_never(recipe, device, threads):
        raise AssertionError("a network was loaded")

    (tmp_path / "empty").mkdir()
    told = []
    summary = extract_many(
        ["", tmp_path / "empty"], tmp_path / "store", RECIPE, loader=load_never, progress=lambda *of: told.append(of)
    )
    assert [failure.reason for failure in summary.failures] == [outcome.reason for _, _, outcome in told]
    assert [(number, total) for number, total, _ in told] == [(1, 2), (2, 2)]
    assert "is empty" in summary.failures[0].reason
    assert "there is no video in this folder" in summary.failures[1].reason
    assert (summary.done, summary.skipped) == (0, 0)
    assert not (tmp_path / "store").exists()


def test_one_bad_video_does_not_stop_the_others(clips, tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("This is not a video.\n" * 100)
    os.mkfifo(tmp_path / "pipe.mp4")
    bad = [tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "pipe.mp4", tmp_path / "missing.mp4"]
    summary = run([*bad, clips], tmp_path / "s")
    assert summary.done == 6
    assert [failure.video for failure in summary.failures] == list(map(str, bad))
    reasons = [failure.reason for failure in summary.failures]
    assert "an empty file" in reasons[0]
    assert "not a video or audio file" in reasons[1]
    assert "not a regular file. Features are made of files that can be read twice" in reasons[2]
    assert "no such file" in reasons[3]
    assert all(reason.startswith(str(video)) for reason, video in zip(reasons, bad, strict=True))
    lines = (tmp_path / "s" / "failures.jsonl").read_text().splitlines()
    assert [json.loads(line)["reason"] for line in lines] == reasons
    assert tuple(read_failures(tmp_path / "s")) == summary.failures
    run(clips, tmp_path / "s")
    assert read_failures(tmp_path / "s") == []


def test_the_odd_files(odd_files, tmp_path):
    summary = run(odd_files, tmp_path / "s")
    assert summary.done + len(summary.failures) == len(list(odd_files.iterdir()))
    assert summary.done >= 15
    store = FeatureStore(tmp_path / "s")
    assert not any(problems for _, problems in store.verify(read_source=SourceFile.of))
    assert not store.open("testsrc2_vp8").audio_valid.any()
    assert not np.any(store.open("testsrc2_vp8").audio["band-energies"])
    assert store.open("testsrc2_vp8").warnings
    assert store.open("testsrc2_vp8").visual_valid.any()


@given(share=st.floats(0, 1), name=st.sampled_from(["dog_bark_02677.mp4", "water_cc0.mp4"]))
@settings(max_examples=12)
def test_truncated_videos(event_clips, tmp_path, share, name):
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    content = (event_clips / name).read_bytes()
    video = tmp_path / "cut.mp4"
    video.write_bytes(content[: round(share * len(content))])
    summary = run(video, tmp_path / "s")
    assert summary.done + len(summary.failures) == 1
    for failure in summary.failures:
        assert failure.reason.startswith(f"{video}: ")
        assert "Error:" not in failure.reason  # no exception that nobody expected
    assert not any(problems for _, problems in FeatureStore(tmp_path / "s").verify())


def test_a_video_of_which_nothing_can_be_used(odd_files, tmp_path):
    recipe = Recipe(visual=(), audio=("band-energies",))

    def audio_only(recipe, device, threads):
        return Backbones([], load(RECIPE, device, threads).audio)

    summary = run(odd_files / "testsrc2_vp8.webm", tmp_path, recipe, loader=audio_only)
    (failure,) = summary.failures
    assert "nothing could be read that the recipe needs" in failure.reason


def test_a_video_that_changes_while_it_is_read(clips, tmp_path):
    video = shutil.copy(clips / "a.mp4", tmp_path / "a.mp4")

    def loader(recipe, device, threads):
        backbones = load(recipe, device, threads)

        class Changing(type(backbones.visual[0])):
            def __call__(self, pictures):
                shutil.copy(clips / "b.mp4", video)
                return super().__call__(pictures)

        backbones.visual[0].__class__ = Changing
        return backbones

    (failure,) = run(video, tmp_path / "s", loader=loader).failures
    assert failure.reason == f"{video}: it was changed while it was read. Run the command again."


def test_a_network_that_fails_on_one_video(clips, tmp_path):
    def loader(recipe, device, threads):
        backbones = load(recipe, device, threads)

        class Failing(type(backbones.visual[0])):
            def __call__(self, pictures):
                if len(pictures) == 4:
                    raise RuntimeError("out of luck")
                return super().__call__(pictures)

        backbones.visual[0].__class__ = Failing
        return backbones

    summary = run(clips, tmp_path / "s", loader=loader)
    assert summary.done + len(summary.failures) == 6
    assert summary.failures
    assert all(
        f.reason.startswith(f"{f.video}: an error that avel did not expect (RuntimeError: out of luck).")
        for f in summary.failures
    )


# Kills and full disks -------------------------------------------------------------------------------------------------

STUCK = """
import sys
from tiny_backbones import RECIPE, load_stuck
from avel.features.run import extract_many
extract_many(sys.argv[1], sys.argv[2], RECIPE, loader=load_stuck)
"""

KILLED = """
import os, signal, sys
from tiny_backbones import RECIPE, load
from avel.features.run import extract_many

def run_and_die(videos, store, left):
    "Kill this process before the given one of its steps on files of the store."
    def watch(event, arguments):
        nonlocal left
        if event.startswith(("open", "os.")) and str((arguments or [""])[0]).startswith(store):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    try:
        extract_many(videos, store, RECIPE, loader=load)
        os._exit(0)
    finally:
        os._exit(1)

for line in sys.stdin:
    if not (child := os.fork()):
        run_and_die(sys.argv[1], sys.argv[2], int(line))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def start(script, videos, store, **pipes):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(videos), str(store)]
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def test_kill_and_resume(clips, tmp_path):
    whole, store = tmp_path / "whole", tmp_path / "s"
    run(clips, whole)
    process = start(STUCK, clips, store, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "stuck\n"  # in the third video
    process.kill()
    process.communicate()
    before = times(store)
    assert len(before) == 2
    assert any((store / ".tmp").iterdir())
    assert not any(problems for _, problems in FeatureStore(store).verify())
    summary = run(clips, store)
    assert (summary.done, summary.skipped) == (4, 2)
    after = times(store)
    assert {name: after[name] for name in before} == before
    assert contents(store) == contents(whole)
    assert not list((store / ".tmp").iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_kills_at_random_moments(clips, tmp_path):
    whole, store = tmp_path / "whole", tmp_path / "s"
    run(clips, whole)
    chance = random.Random(5)
    codes: list[int] = []
    written: dict[str, int] = {}
    with start(KILLED, clips, store, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as forks:
        while 0 not in codes:
            print(chance.randint(1, 40 + len(codes)), file=forks.stdin, flush=True)
            codes.append(int(forks.stdout.readline()))
            if (store / "store.json").exists():
                assert not any(problems for _, problems in FeatureStore(store).verify())
                now = times(store)
                assert {name: now[name] for name in written} == written
                written = now
    assert set(codes[:-1]) == {-signal.SIGKILL}
    assert len(codes) > 5
    assert contents(store) == contents(whole)


def test_a_stopped_run_leaves_nothing_half_written(clips, tmp_path):
    def stop(through, total, outcome):
        if through == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(clips, tmp_path, progress=stop)
    assert len(times(tmp_path)) == 3
    assert not list((tmp_path / ".tmp").iterdir())
    assert len((tmp_path / "index.csv").read_text().splitlines()) == 4
    assert run(clips, tmp_path).skipped == 3


# Of 6 KB each: the disk is full while 600 segments come; 100 have room, but the final file has not.
@pytest.mark.parametrize("segments", [600, 100])
def test_a_full_disk_leaves_nothing_half_written(small_disk, segments):
    backbones = {"seen": BackboneEntry("visual", (49, 64), {})}
    store = FeatureStore.create(small_disk / "s", Recipe(visual=("seen",), audio=()), backbones)
    batch = FeatureBatch({"seen": np.ones((50, 49, 64), np.float32)}, {}, np.ones(50, bool), np.ones(50, bool))

    class Stream(list):
        duration_seconds, warnings = float(segments), ()

    with pytest.raises(FeaturesError, match="Cannot write .*: the disk is full. Free some room and run"):
        store.write("a", SourceFile("/a.mp4", 1, "0" * 64), Stream([batch] * (segments // 50)), backbones={})
    assert store.keys() == []
    assert not list((small_disk / "s" / ".tmp").iterdir())


def test_no_time_is_spent_on_a_video_for_which_there_is_no_room(clips, small_disk):
    store = small_disk / "s"
    run(clips / "a.mp4", store)
    (small_disk / "filler").write_bytes(b"x" * (shutil.disk_usage(small_disk).free - 40_000))
    summary = run(clips, store)
    assert (summary.done, summary.skipped, len(summary.failures)) == (0, 1, 5)
    for failure in summary.failures:
        assert failure.video in failure.reason
        assert "features take about 0.1 MB while they are written" in failure.reason
        assert f"{store} has only 0.0 MB. Free some room and run the command again." in failure.reason
    (small_disk / "filler").unlink()
    assert run(clips, store).done == 5


def test_networks_of_the_catalogue(clip, tmp_path, weight_file):
    for name in ("efficientnet-lite0", "yamnet"):
        weight_file(name)
    recipe = Recipe(visual=("efficientnet-lite0",), audio=("yamnet-embedding",), frames_per_segment=2)
    assert extract_many(clip, tmp_path, recipe).done == 1
    stored = FeatureStore(tmp_path).open("a")
    assert stored.record["backbones"]["efficientnet-lite0"]["digest"].startswith("sha256:579344")
    assert stored.visual["efficientnet-lite0"].shape == (len(stored), 1, 1000)
    assert stored.visual["efficientnet-lite0"].sum(axis=-1) == pytest.approx(1, abs=1e-2)
    assert load_backbones(recipe, threads=1).entries() == FeatureStore(tmp_path).backbones


def test_a_backbone_that_chooses_its_own_frames(weight_file):
    for name in ("blazeface-back", "face-landmark"):
        weight_file(name)
    with pytest.raises(ValueError, match="faces does not take the settings segment_seconds, frames_per_segment"):
        load_backbones(Recipe(visual=("faces",), frames_per_segment=2))
    assert load_backbones(Recipe(visual=("faces",), audio=())).entries()


def test_an_unknown_backbone(clip, tmp_path):
    with pytest.raises(ValueError, match="no audio backbone is called 'ear'. There are: yamnet"):
        extract_many(clip, tmp_path, Recipe(visual=(), audio=("ear",)))
