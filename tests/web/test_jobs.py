"""Localizing behind the page: real processes, a small trained model with tiny networks."""

import json
import threading

import pytest
from tiny_backbones import load, load_held, load_poisonable
from tiny_checkpoints import CATEGORIES, write_checkpoint
from tiny_clips import make_clip as make_plain_clip

from avel.batch.run import VideoBatch, default_settings
from avel.batch.videos import find_items
from avel.outputs.destination import Destination
from avel.testing.tone_and_flash import make_clip
from avel.web.jobs import localize_item


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    options = {"lstm_dims": 4, "attention_dims": 4, "attention_hidden_dims": 4}
    return write_checkpoint(tmp_path_factory.mktemp("model") / "a.safetensors", **options)


@pytest.fixture
def folder(tmp_path):
    """Three videos: one is long, one is broken, and one is in a folder of its own."""
    videos = tmp_path / "videos"
    (videos / "sub").mkdir(parents=True)
    make_clip(videos / "long.mkv", 40, events=[(5, 30)], frame_rate=2, sample_rate=8000)
    make_clip(videos / "sub" / "short.mkv", 3, events=[(1, 2)], frame_rate=2, sample_rate=8000)
    (videos / "broken.mp4").write_bytes(b"no video")
    return videos


class Watcher:
    """Waits for what the library tells of videos."""

    def __init__(self, page):
        self.seen = []
        self.changed = threading.Condition()
        tell = page.services.library.changed

        def note(summary):
            tell(summary)
            with self.changed:
                self.seen.append((summary["name"], summary["state"], summary["progress"]))
                self.changed.notify_all()

        page.services.library.changed = note

    def wait(self, wanted):
        with self.changed:
            assert self.changed.wait_for(lambda: any(wanted(*one) for one in self.seen), 300), self.seen


def is_in(name, *states):
    return lambda video, state, progress: video == name and state in states


def test_one_after_the_other_with_progress_cancel_and_what_became_of_each(
    model, folder, open_page, tmp_path, monkeypatch
):
    hold = tmp_path / "hold"
    hold.touch()
    monkeypatch.setenv("TINY_HOLD", str(hold))
    settings = {"model": str(model), "loader": load_held}
    page = open_page(folder, settings=settings)
    watcher = Watcher(page)
    ids = {name: page.id_of(name) for name in ("long.mkv", "short.mkv", "broken.mp4")}
    assert page.get("videos").json()["counts"]["new"] == 3

    assert page.post(f"videos/{ids['long.mkv']}/run").json()["state"] in ("queued", "running")
    for name in ("broken.mp4", "short.mkv"):
        assert page.post(f"videos/{ids[name]}/run").json()["state"] == "queued"
    watcher.wait(lambda name, state, progress: name == "long.mkv" and (progress or 0) > 0)
    counts = page.get("videos").json()["counts"]
    assert (counts["running"], counts["queued"]) == (1, 2)  # one at a time

    # What waits is taken out; what runs is ended at once, and leaves nothing.
    assert page.post(f"videos/{ids['short.mkv']}/cancel").json()["state"] == "new"
    page.post(f"videos/{ids['long.mkv']}/cancel")
    watcher.wait(is_in("broken.mp4", "failed"))
    hold.unlink()
    assert page.get(f"videos/{ids['long.mkv']}").json()["video"]["state"] == "new"
    assert not list((folder / "avel-results").rglob("*.json"))
    failed = page.get(f"videos/{ids['broken.mp4']}").json()["video"]
    assert "broken.mp4: not a video or audio file that can be read" in failed["reason"]

    # And the next one is done by another process.
    assert page.post("run").json() == {"queued": 2}
    watcher.wait(is_in("short.mkv", "done"))
    done = page.get(f"videos/{ids['short.mkv']}").json()
    assert (done["duration_seconds"], len(done["segments"])) == (3.0, 3)
    watcher.wait(is_in("long.mkv", "done"))
    assert [state for name, state, _ in watcher.seen if name == "long.mkv"][-2:] == ["running", "done"]

    # It is what avel localize writes, which takes it as done.
    items, _ = find_items([str(folder)], output=folder / "avel-results")
    batch = VideoBatch(
        items, Destination([i.name for i in items], folder / "avel-results", ["json"]), default_settings() | settings
    )
    batch.plan()
    assert [items[n].shown for n in batch.todo] == [str(folder / "broken.mp4")]

    again = open_page(folder, settings=settings)
    assert again.get("videos").json()["counts"] == page.get("videos").json()["counts"]

    # A correction is not overwritten, force or not.
    id_ = ids["short.mkv"]
    before = (folder / "avel-results" / "sub" / "short.json").read_bytes()
    page.post(f"videos/{id_}/reviewed", {"reviewed": True})
    refused = page.post(f"videos/{id_}/run", {"force": True})
    assert (refused.status_code, "which no run may overwrite" in refused.json()["error"]) == (409, True)
    # Also by a run that had begun before.
    reason = localize_item(
        str(folder / "sub" / "short.mkv"),
        "sub/short",
        str(folder / "avel-results"),
        default_settings() | settings,
        progress=lambda *told: None,
    )
    assert "a person has corrected or reviewed its result" in reason
    assert (folder / "avel-results" / "sub" / "short.json").read_bytes() == before


def test_a_crash_costs_one_video_which_is_left_alone(model, folder, open_page):
    (folder / "broken.mp4").unlink()
    (folder / "long.mkv").unlink()
    make_plain_clip(folder / "poison.mp4", (255, 0, 0))
    page = open_page(folder, settings={"model": str(model), "loader": load_poisonable})
    watcher = Watcher(page)
    page.post("run")
    watcher.wait(is_in("short.mkv", "done"))
    watcher.wait(is_in("poison.mp4", "failed"))
    reason = page.get(f"videos/{page.id_of('poison.mp4')}").json()["video"]["reason"]
    assert reason.startswith("poison.mp4: The process that read it was killed (exit code 139): a library crashed on it")
    lines = [json.loads(line) for line in (folder / "avel-results" / ".avel.jsonl").read_text().splitlines()]
    assert [line["status"] for line in lines if line["name"] == "poison"] == ["quarantined"]
    assert page.post("run").json() == {"queued": 0}


def test_a_video_that_is_named_is_localized_unasked(model, folder, open_page):
    page = open_page(folder / "sub" / "short.mkv", settings={"model": str(model), "loader": load})
    assert page.get("session").json()["categories"] == list(CATEGORIES)
    page.services.jobs.finish()
    (video,) = page.get("videos").json()["videos"]
    assert video["state"] == "done"
    assert (folder / "sub" / "avel-results" / "short.json").is_file()


def test_what_cannot_be_loaded_is_said_of_the_video(folder, model, open_page):
    (folder / "broken.mp4").unlink()
    page = open_page(folder, settings={"model": str(model)})  # whose networks nobody has
    id_ = page.id_of("short.mkv")
    page.post(f"videos/{id_}/run")
    page.services.jobs.finish()
    video = page.get(f"videos/{id_}").json()["video"]
    assert (video["state"], "mean-colours" in video["reason"]) == ("failed", True)


def test_a_model_that_is_not_there_is_said_at_once(folder, open_page):
    with pytest.raises(ValueError, match=r"Unknown model 'nothing'. Available models are"):
        open_page(folder, settings={"model": "nothing"})
