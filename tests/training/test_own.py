import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny_backbones
import torch

from avel.errors import AnnotationsError, FeaturesError, SettingsError
from avel.evaluation import report
from avel.evaluation.evaluate import evaluate
from avel.features.run import extract_many
from avel.media.reader import probe
from avel.metrics.multi_label import MultiLabelMetrics
from avel.metrics.segments import Metrics, category_f1
from avel.models import registry
from avel.testing.shapes import SHAPES, make_shapes_clip
from avel.testing.tone_and_flash import make_clip
from avel.training import checkpoint
from avel.training.comparison import CANDIDATES, Candidate, ModelComparison, compare, few_examples, read_comparison
from avel.training.cross_validation import cross_validate
from avel.training.loop import train
from avel.training.own.dataset import LabelledData
from avel.training.own.labels import read_labels
from avel.training.own.opening import open_labelled
from avel.training.own.splits import split_videos, splits_csv
from avel.training.processes import joined_processes
from avel.training.settings import TrainingSettings, settings_for

SMALL = {
    "model": "a+v",
    "options": {"lstm_dims": 16, "head_dims": 16},
    "epochs": 30,
    "batch_size": 8,
    "learning_rate": 0.01,
    "threads": 1,
    "device": "cpu",
    "window_segments": 5,
    "hop_segments": 3,
}
CLIPS = 14
Write = Callable[..., Path]


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Clips of 7 s (the last two of 3 s) with an event of each of two categories, which overlap in every third."""
    folder = tmp_path_factory.mktemp("own") / "videos"
    folder.mkdir()
    for i in range(CLIPS):
        make_shapes_clip(folder / f"clip{i}.mp4", seconds(i), events(i), seed=i, width=48, height=48, frame_rate=4)
    return folder


def seconds(i: int) -> float:
    return 7.0 if i < CLIPS - 2 else 3.0


def events(i: int) -> list[tuple[str, float, float]]:
    first, second = list(SHAPES)[:2] if i % 2 else list(SHAPES)[1::-1]
    if i >= CLIPS - 2:
        return [(first, 0.0, 1.0), (second, 2.0, 3.0)]
    return [(first, 1.0, 4.0), (second, 3.0 if i % 3 == 0 else 4.0, 6.0)]


@pytest.fixture(scope="session")
def store(videos: Path) -> Path:
    folder = videos.parent / "store"
    extract_many(videos, folder, tiny_backbones.RECIPE, loader=tiny_backbones.load)
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(
        rows: list[list[object]] | None = None, columns: str = "video,start_seconds,end_seconds,category"
    ) -> Path:
        path = tmp_path / "labels.csv"
        if rows is None:
            rows = [[f"clip{i}.mp4", start, end, name] for i in range(CLIPS) for name, start, end in events(i)]
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([columns.split(","), *rows])
        return path

    return write


def opened(labels: Path, videos: Path, store: Path, **settings: object) -> LabelledData:
    labelling = read_labels(labels, videos)
    return open_labelled(labelling, store, TrainingSettings(**{**SMALL, **settings}))  # type: ignore[arg-type]


# Reading labels


def test_labels_find_their_videos_and_say_what_they_ask_for(write: Write, videos: Path) -> None:
    labelling = read_labels(write(), videos)
    assert labelling.files["clip3.mp4"] == videos / "clip3.mp4"
    assert labelling.durations["clip3.mp4"] == pytest.approx(7, abs=0.2)
    assert labelling.overlap() == (4, "clip0.mp4")
    assert labelling.asks_for() == {"backgrounds": "none", "multi_label": True}
    apart = [[f"clip{i}.mp4", 1, 4, list(SHAPES)[i % 2]] for i in range(6)]
    assert read_labels(write(apart), videos).asks_for() == {"backgrounds": "none"}
    whole = [[f"clip{i}", list(SHAPES)[i % 2]] for i in range(6)]
    labelling = read_labels(write(whole, "video,category"), videos)
    assert labelling.asks_for() == {"backgrounds": "none", "task": "weak"}
    both = [[f"clip{i}", name] for i in range(6) for name in list(SHAPES)[: 1 + (i == 3)]]
    labelling = read_labels(write(both, "video,category"), videos)
    assert labelling.overlap() == (1, "clip3")
    assert labelling.asks_for()["multi_label"] is True


def test_videos_in_the_store_are_not_opened_for_their_length(
    write: Write, videos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = read_labels(write(), videos)
    probed: list[Path] = []
    monkeypatch.setattr("avel.media.reader.probe", lambda path: probed.append(path) or probe(path))
    known = read_labels(write(), videos, store=store)
    assert not probed
    assert known.durations == pytest.approx(opened.durations, abs=0.2)
    late = write([["clip0.mp4", 1, 2, "bark"], ["clip1.mp4", 5, 70, "bark"]])
    with pytest.raises(AnnotationsError, match="labels.csv, line 3: the event ends at 70 s, but 'clip1.mp4' is 7"):
        read_labels(late, videos, store=store)
    assert [path.name for path in probed] == ["clip1.mp4"]


def test_other_formats_are_read_too(videos: Path, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"clip{i}.txt").write_text("1.0\t4.0\tbark\n")
    labelling = read_labels(tmp_path, videos)
    assert sorted(labelling.files) == ["clip0", "clip1", "clip2"]


def test_labels_that_cannot_be(write: Write, videos: Path, tmp_path: Path) -> None:
    late = write([["clip0.mp4", 1, 2, "bark"], ["clip1.mp4", 5, 70, "bark"]])
    with pytest.raises(AnnotationsError, match="labels.csv, line 3: the event ends at 70 s, but 'clip1.mp4' is 7"):
        read_labels(late, videos)
    with pytest.raises(AnnotationsError, match="labels.csv, line 2: there is no video 'dog.mp4' in"):
        read_labels(write([["dog.mp4", 1, 2, "bark"]]), videos)
    with pytest.raises(AnnotationsError, match="marks no event in any video"):
        read_labels(write([["clip0.mp4", "", "", ""]]), videos)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "a.mp4").write_text("no video")
    with pytest.raises(AnnotationsError, match="labels.csv, line 2: 'a' is no video that can be read. .*a.mp4"):
        read_labels(write([["a", 0, 1, "bark"]]), tmp_path / "videos")


# Splits


def test_videos_are_split_by_category_or_as_the_file_says(write: Write, videos: Path) -> None:
    labelling = read_labels(write(), videos)
    splits = split_videos(labelling, TrainingSettings())
    assert sorted(splits.values()) == ["test"] * 2 + ["train"] * 10 + ["val"] * 2
    assert split_videos(labelling, TrainingSettings(split_seed=5)) != splits
    given = [[f"clip{i}.mp4", 1, 4, "bark", ("train", "val", "test")[i % 3]] for i in range(6)]
    labelling = read_labels(write(given, "video,start_seconds,end_seconds,category,split"), videos)
    assert split_videos(labelling, TrainingSettings())["clip4.mp4"] == "val"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [["clip0.mp4", 1, 2, "bark", "train"], ["clip1.mp4", 1, 2, "bark", ""]],
            "line 3: 'clip1.mp4' has no split, but 1 other video has one",
        ),
        (
            [["clip0.mp4", 1, 2, "bark", "train"], ["clip1.mp4", 1, 2, "bark", "val"]],
            r"no video is in split test \(1 in train, 1 in val, 0 in test\). Put some rows in it",
        ),
        (
            [["clip0.mp4", 1, 2, "bark", ""], ["clip1.mp4", 1, 2, "bark", ""], ["clip2.mp4", 1, 2, "meow", ""]],
            "meow is in one video only",
        ),
        ([["clip0.mp4", 1, 2, "bark", ""], ["clip1.mp4", 1, 2, "bark", ""]], "2 videos cannot be split into"),
        (
            [[f"clip{i}.mp4", 1, 2, ("bark", "meow")[i % 2], ""] for i in range(4)],
            "no video is in split val .* Label three or more videos of each category",
        ),
        (
            [[f"clip{i}.mp4", 1, 2, "bark", s] for i, s in enumerate(("train", "val", "test"))]
            + [["clip2.mp4", 3, 4, "meow", "test"]],
            "meow is in no video of split train",
        ),
    ],
)
def test_splits_that_cannot_be(write: Write, videos: Path, rows: list[list[object]], message: str) -> None:
    labels = write(rows, "video,start_seconds,end_seconds,category,split")
    with pytest.raises(AnnotationsError, match=message):
        split_videos(read_labels(labels, videos), TrainingSettings())


# Clips


def test_windows_hold_their_part_of_the_video(write: Write, videos: Path, store: Path) -> None:
    from avel.features.store import FeatureStore

    data = opened(write(), videos, store)
    assert data.num_segments == 5
    assert data.notes["videos"] == {"train": 10, "val": 2, "test": 2}
    assert splits_csv(data).splitlines()[0] == "video,split"
    for split in ("train", "test"):
        examples = data.examples(split, multi_label=True)
        (batch,) = data.batches(examples, [list(range(len(examples)))])
        for row, clip in enumerate(data.splits[split]):
            video = data.windows.videos[data.windows.video_of[clip]]
            start = int(data.windows.starts[clip])
            stored = FeatureStore(store).open(video.name.removesuffix(".mp4")).audio["band-energies"][start : start + 5]
            assert np.array_equal(batch.audio[row, : len(stored)].numpy(), stored.astype(np.float32))
            assert batch.valid[row].tolist() == [start + t < video.num_segments for t in range(5)]
            number = int(video.name.removesuffix(".mp4").removeprefix("clip"))
            for category, begin, end in events(number):
                c = data.categories.index(category)
                inside = [begin <= start + t < end for t in range(5)]
                assert (batch.labels[row, :, c] > 0).tolist() == inside


def test_features_beyond_the_memory_for_them_are_read_for_each_batch(write: Write, videos: Path, store: Path) -> None:
    labels = write()
    order = [[3, 1], [0], [3]]
    held = opened(labels, videos, store)
    expected = list(held.batches(held.examples("train"), order))
    assert held.num_held("visual") == held.num_held("audio") == len(held.examples("train"))
    clip_bytes = expected[0].audio[0].nbytes // 2
    for num_held in (0, 2):  # of sound, which comes first
        read = opened(labels, videos, store)
        read.hold(num_held * clip_bytes)
        for one, other in zip(expected, read.batches(read.examples("train"), order), strict=True):
            assert torch.equal(one.visual, other.visual)
            assert torch.equal(one.audio, other.audio)
            assert torch.equal(one.valid, other.valid)
        assert (read.num_held("audio"), read.num_held("visual")) == (num_held, 0)


def test_windows_are_joined_to_videos(write: Write, videos: Path, store: Path) -> None:
    data = opened(write(), videos, store)
    labels = data.examples("test").labels.first_classes
    whole = data.as_videos("test", labels, 2)
    tested = [video for video in data.windows.videos if video.split == "test"]
    assert whole.shape == (2, 10)
    for row, video in zip(whole, tested, strict=True):
        for event in video.events:
            last = round(event.end_seconds) - 1
            assert row[last] == data.categories.index(event.category)
    shares = np.stack([(whole == category).sum(1) for category in range(2)], axis=1)
    assert data.video_classes("test").tolist() == np.where(shares.any(1), shares.argmax(1), 2).tolist()
    assert len(data.by_video("test")) == 2
    assert sorted(np.concatenate(data.by_video("test")).tolist()) == list(range(len(labels)))


def test_a_very_long_video_is_measured_in_pieces(
    write: Write, videos: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("avel.training.own.dataset.STRETCH_WINDOWS", 1)
    data = opened(write(), videos, store)
    labels = data.examples("test").labels.first_classes
    assert np.array_equal(data.as_videos("test", labels, 2), labels)


def test_warnings_tell_what_to_know_before_believing(write: Write, videos: Path, store: Path, tmp_path: Path) -> None:
    rows: list[list[object]] = [[f"clip{i}.mp4", 1, 4, "bark"] for i in range(8)]
    rows += [[f"clip{i}.mp4", 2, 5, "meow"] for i in range(2)] + [["clip3.mp4", 6, 6.3, "bark"]]
    warnings = " | ".join(opened(write(rows), videos, store).warnings)
    assert "fewer than 20 training events: bark (" in warnings
    assert "meow (1); such categories are hardly learned" in warnings
    assert "no video of split val has meow" in warnings
    assert "4 segments hold several categories at once (the first in 'clip0.mp4')" in warnings
    assert "1 event covers no segment of 1 s by half" in warnings
    quiet = " | ".join(opened(write(rows), videos, store, few_events=0, multi_label=True).warnings)
    assert "fewer than" not in quiet
    assert "several categories" not in quiet
    whole = write([[f"clip{i}", list(SHAPES)[i % 2]] for i in range(8)], "video,category")
    warnings = " | ".join(opened(whole, videos, store, task="weak").warnings)
    assert "8 videos are longer than a window of 5 segments" in warnings
    assert "window_segments=7 takes whole videos" in warnings


def test_copies_on_both_sides_and_videos_without_features(write: Write, videos: Path, tmp_path: Path) -> None:
    copies = tmp_path / "videos"
    copies.mkdir()
    for i in range(6):
        (copies / f"clip{i}.mp4").write_bytes((videos / f"clip{0 if i == 3 else i}.mp4").read_bytes())
    extract_many(
        [copies / f"clip{i}.mp4" for i in range(5)], tmp_path / "s", tiny_backbones.RECIPE, loader=tiny_backbones.load
    )
    rows = [[f"clip{i}.mp4", 1, 4, "bark", ("train", "val", "test")[i % 3 if i < 3 else 2]] for i in range(6)]
    labels = write(rows, "video,start_seconds,end_seconds,category,split")
    warnings = " | ".join(opened(labels, copies, tmp_path / "s").warnings)
    assert "'clip3.mp4' (test) and 'clip0.mp4' (train) are copies of one file" in warnings
    assert "left out without features: 1 video (clip5.mp4)" in warnings
    rows[2][-1] = rows[3][-1] = rows[4][-1] = "train"
    with pytest.raises(FeaturesError, match="holds features of no video of split test, of which the labels name 1"):
        opened(write(rows, "video,start_seconds,end_seconds,category,split"), copies, tmp_path / "s")


def test_videos_that_were_moved_and_renamed_have_their_features(write: Write, videos: Path, tmp_path: Path) -> None:
    names = [f"clip{i}.mp4" for i in range(3)]
    before = tmp_path / "before"
    before.mkdir()
    for name in names:
        shutil.copy(videos / name, before / name)
    extract_many(before, tmp_path / "s", tiny_backbones.RECIPE, loader=tiny_backbones.load)
    after = before.rename(tmp_path / "after")
    (after / "clip1.mp4").rename(after / "renamed.mp4")
    splits = {"clip0.mp4": "train", "renamed.mp4": "val", "clip2.mp4": "test"}
    rows = [[name, 1, 2, "bark", split] for name, split in splits.items()]
    labels = write(rows, "video,start_seconds,end_seconds,category,split")
    data = opened(labels, after, tmp_path / "s")
    assert {video.name: video.split for video in data.windows.videos} == splits


def test_a_data_set_without_pictures_is_said(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "sounds"
    folder.mkdir()
    splits = {"a.mp4": "train", "b.mp4": "val", "c.mp4": "test"}
    for number, name in enumerate(splits):
        make_clip(folder / name, 2.0, events=[(0.0, 1.0)], tone_hertz=440.0 + number, video_span=None)
    extract_many(folder, tmp_path / "s", tiny_backbones.RECIPE, loader=tiny_backbones.load)
    rows = [[name, 0, 1, "bark", split] for name, split in splits.items()]
    data = opened(write(rows, "video,start_seconds,end_seconds,category,split"), folder, tmp_path / "s")
    assert "none of the 3 videos has pictures, so that only sound can be learned from" in data.warnings


def test_events_of_one_modality_are_left_out_and_said(write: Write, videos: Path, tmp_path: Path) -> None:
    names = [f"clip{i}.mp4" for i in range(3)]
    rows = [[name, 1, 2, "bark", "audio-visual"] for name in names] + [["clip0.mp4", 3, 4, "purr", "audio"]]
    found = read_labels(write(rows, "video,start,end,category,modality"), videos)
    assert found.annotations.categories == ("bark",)
    assert len(found.annotations.events) == 3
    assert "1 event is only heard or only seen, and left out" in found.annotations.warnings[0]


# Training


def test_events_that_overlap_are_learned_and_measured(write: Write, videos: Path, store: Path, tmp_path: Path) -> None:
    data = opened(write(), videos, store, multi_label=True)
    settings = TrainingSettings(**{**SMALL, "multi_label": True, "class_weights": "balanced"})  # type: ignore[arg-type]
    result = train(settings, data, tmp_path / "run")
    assert result.measure == "mean_average_precision"
    model, info = checkpoint.load(result.checkpoint)
    assert model.spec.multi_label
    assert info.multi_label
    assert len(info.thresholds) == 2
    assert info.num_segments == 5
    assert info.metrics == {"val": {"mean_average_precision": result.accuracy}}
    assert info.notes["training_events"] == data.notes["training_events"]
    found = evaluate(result.checkpoint, data, device="cpu")
    assert isinstance(found.metrics, MultiLabelMetrics)
    trivial = {name: one.mean_average_precision for name, one in found.baselines.items()}  # type: ignore[union-attr]
    assert found.metrics.mean_average_precision > max(trivial.values())
    assert found.metrics.micro_f1 > max(
        one.micro_f1  # type: ignore[union-attr]
        for name, one in found.baselines.items()
    )
    assert found.metrics.videos == 2
    lines = "\n".join(report.lines(found))
    assert "mean AP" in lines
    assert "average precision" in lines
    assert "threshold" in lines
    page = report.page(found)
    assert "By category" in page
    assert "Confusion" not in page
    again = MultiLabelMetrics.from_dict(found.to_dict()["metrics"])
    assert again.to_dict() == found.metrics.to_dict()


def test_labels_of_whole_videos_teach_too(write: Write, videos: Path, store: Path, tmp_path: Path) -> None:
    # The first category of each video's events, as if somebody had only said that it is in it.
    labels = write([[f"clip{i}", events(i)[0][0]] for i in range(CLIPS)], "video,category")
    data = opened(labels, videos, store, task="weak")
    weak = {**SMALL, "task": "weak", "backgrounds": "none", "window_segments": 5}
    with pytest.raises(SettingsError, match="task: .* says which categories are in a video, not when"):
        train(TrainingSettings(**{**weak, "task": "supervised"}), data, tmp_path / "no")  # type: ignore[arg-type]
    result = train(TrainingSettings(**{**weak, "epochs": 3}), data, tmp_path / "run")  # type: ignore[arg-type]
    assert result.measure == "video_accuracy"
    found = evaluate(result.checkpoint, data, device="cpu")
    assert isinstance(found.metrics, Metrics)
    assert (found.unit, found.metrics.videos, found.metrics.segments) == ("video", 2, 2)
    assert set(found.baselines) == {"most frequent class of training", "random class"}
    lines = report.lines(found)
    assert lines[0].endswith("2 videos")
    assert lines[2].split() == ["video", "accuracy"]
    assert "2 videos of the test split are right" in report.page(found)
    both = write([[f"clip{i}", name] for i in range(CLIPS) for name, _, _ in events(i)], "video,category")
    data = opened(both, videos, store, task="weak", multi_label=True)
    settings = TrainingSettings(**{**weak, "epochs": 2, "multi_label": True})  # type: ignore[arg-type]
    result = train(settings, data, tmp_path / "both")
    assert result.measure == "video_mean_average_precision"
    found = evaluate(result.checkpoint, data, device="cpu")
    assert "mean AP of videos" in "\n".join(report.lines(found))


def test_several_labels_need_a_model_without_a_loss_of_its_own(
    write: Write, videos: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = opened(write(), videos, store, multi_label=True)
    settings = TrainingSettings(**{**SMALL, "multi_label": True})  # type: ignore[arg-type]
    kind = type(registry.build("a+v", data.dims, **SMALL["options"]))
    monkeypatch.setattr(kind, "loss", lambda *arguments: None, raising=False)
    with pytest.raises(SettingsError, match="multi_label: 'a[+]v' has a loss of its own"):
        train(settings, data, tmp_path / "run")


def test_a_validation_split_without_event_chooses_nothing(
    write: Write, videos: Path, store: Path, tmp_path: Path
) -> None:
    rows: list[list[object]] = [[f"clip{i}.mp4", 1, 4, "bark", "train"] for i in range(3)]
    rows += [["clip4.mp4", "", "", "", "val"], ["clip5.mp4", 1, 4, "bark", "test"]]
    labels = write(rows, "video,start_seconds,end_seconds,category,split")
    data = opened(labels, videos, store, multi_label=True)
    with pytest.raises(FeaturesError, match="split val has no event, so no epoch can be chosen on it"):
        train(TrainingSettings(**{**SMALL, "multi_label": True}), data, tmp_path / "run")  # type: ignore[arg-type]


# Few examples


def settings_of(candidate: Candidate) -> TrainingSettings:
    flags = {**SMALL, "options": {}, "epochs": 2, "protocol": "cross-validation", "model": candidate.model}
    return settings_for(flags=flags, asked_for={"backgrounds": "none", **candidate.changes})


def test_few_examples_are_compared_by_cross_validation_and_the_best_is_trained(
    write: Write, videos: Path, store: Path, tmp_path: Path
) -> None:
    rows = [[f"clip{i}.mp4", *events(i)[0][1:], events(i)[0][0]] for i in range(CLIPS)]
    data = opened(write(rows), videos, store)
    assert sum(few_examples(TrainingSettings(), data).values()) == 10
    assert not few_examples(TrainingSettings(few_events=4), data)
    comparison, settings = compare(settings_of, data)
    names = [line.name for line in comparison.lines]
    assert names == ["always background", *(candidate.name for candidate in CANDIDATES)]
    assert comparison.lines[0].quality == 0
    assert comparison.best.quality == max(line.quality for line in comparison.lines)
    assert (comparison.videos, comparison.folds) == (12, 5)
    assert all(line.low <= line.quality <= line.high for line in comparison.lines)
    assert settings == settings_of(next(one for one in CANDIDATES if one.name == comparison.chosen))
    with joined_processes("cpu") as processes:
        again = cross_validate(settings_of(CANDIDATES[0]), data, processes)
    assert (again.quality, *again.interval) == tuple(
        getattr(comparison.lines[1], name) for name in ("quality", "low", "high")
    )
    assert comparison == ModelComparison.from_dict(comparison.to_dict())
    result = train(settings, data, tmp_path / "run", measured=comparison.measured())
    assert (result.chosen_on, result.accuracy) == (None, comparison.best.accuracy)
    assert result.best_epoch == len(result.history)
    info = checkpoint.read_info(result.checkpoint)
    assert info.metrics == {"cross-validation": {"segment_accuracy": result.accuracy}}
    found = evaluate(result.checkpoint, data, device="cpu")
    assert found.comparison == comparison
    assert comparison.chosen in report.page(found)
    assert not [warning for warning in found.warnings if "learned from" in warning]
    assert "the model has learned from this same split, val" in str(evaluate(result.checkpoint, data, "val").warnings)


def test_nothing_of_a_video_is_known_to_the_model_that_answers_it(
    write: Write, videos: Path, store: Path, tmp_path: Path
) -> None:
    """Each video has a category of its own: whoever answers one right has seen it."""
    rows: list[list[object]] = [[f"clip{i}.mp4", 1, 4, f"kind {i}", "train"] for i in range(8)]
    rows += [["clip8.mp4", "", "", "", "val"], ["clip12.mp4", 0, 1, "kind 0", "test"]]
    data = opened(write(rows, "video,start,end,category,split"), videos, store)
    settings = settings_of(CANDIDATES[0])
    with joined_processes("cpu") as processes:
        assert cross_validate(settings, data, processes).quality == 0
    result = train(settings, data, tmp_path / "run")  # the protocol of these settings cross-validates by itself
    assert result.chosen_on is None
    found = evaluate(result.checkpoint, data, "train", device="cpu")
    assert isinstance(found.metrics, Metrics)
    assert category_f1(found.metrics.confusion) > 0.1


def test_thresholds_are_chosen_by_cross_validation(write: Write, videos: Path, store: Path, tmp_path: Path) -> None:
    data = opened(write(), videos, store, multi_label=True)
    settings = settings_of(CANDIDATES[0]).with_changes(multi_label=True)
    with joined_processes("cpu") as processes:
        wanted = cross_validate(settings, data, processes).measured
    result = train(settings, data, tmp_path / "run")
    assert result.accuracy == wanted.accuracy
    assert checkpoint.read_info(result.checkpoint).thresholds == wanted.thresholds
    assert len(wanted.thresholds) == 2


def test_cross_validation_measures_models_whose_training_stops_early(write: Write, videos: Path, store: Path) -> None:
    data = opened(write(), videos, store)
    settings = settings_of(CANDIDATES[0])
    stopping = settings.with_changes(protocol="validation", early_stop=1)
    with joined_processes("cpu") as processes:
        assert cross_validate(stopping, data, processes) == cross_validate(settings, data, processes)


def test_cross_validation_needs_two_videos_and_no_epoch_to_choose(
    write: Write, videos: Path, store: Path, tmp_path: Path
) -> None:
    data = opened(write(), videos, store)
    settings = settings_of(CANDIDATES[0]).with_changes(early_stop=3)
    with pytest.raises(SettingsError, match="with cross-validation no split measures the epochs"):
        train(settings, data, tmp_path / "run")


@pytest.mark.parametrize("text", ["{", "{}", '{"lines": 3}'])
def test_a_comparison_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "comparison.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match="comparison.json: cannot be read as the comparison of a run"):
        read_comparison(path)
