import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avel.data.ave import dataset as ave
from avel.data.ave import hdf5 as ave_hdf5
from avel.data.ave.hdf5 import AveArrays, read_order
from avel.errors import FeaturesError
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData

D_A, D_V, R, T = 6, 8, 4, 10
Make = Callable[..., Path]


def test_batches_hold_the_clips_asked_for(ave_folder: Path, data: LocalizationData) -> None:
    examples = data.examples("val")
    batches = list(data.batches(examples, [[3, 0], [1]]))
    with AveArrays.open(ave_folder) as arrays:
        rows = read_order(ave_folder / "val_order.h5")
        visual, audio = arrays.visual.read(rows[[3, 0]]), arrays.audio.read(rows[[3, 0]])
    torch.testing.assert_close(batches[0].visual, torch.from_numpy(visual), atol=2e-3, rtol=1e-3)  # kept as float16
    torch.testing.assert_close(batches[0].audio, torch.from_numpy(audio), atol=2e-3, rtol=1e-3)
    dataset = ave.load(ave_folder)
    assert np.array_equal(batches[1].labels.numpy(), dataset.segment_labels()[rows[[1]]])
    assert batches[0].valid.all()
    assert batches[0].valid.dtype == torch.bool
    assert [tuple(batch.visual.shape) for batch in batches] == [(2, T, R, D_V), (1, T, R, D_V)]


def test_a_modality_that_nobody_looks_at_is_not_read(data: LocalizationData) -> None:
    batch = next(data.batches(data.examples("val"), [[0, 1]], ("audio",)))
    assert batch.visual.shape == (2, T, R, D_V)
    assert not batch.visual.any()
    assert data.num_held("visual") == 0


def test_only_clips_that_are_asked_for_are_read(data: LocalizationData) -> None:
    val = data.examples("val")
    list(data.batches(val, [[0, 1], [2]]))
    assert data.num_held("visual") == data.num_held("audio") == len(val) < len(data.dataset)
    list(data.batches(data.examples("train"), [[0]]))
    assert data.num_held("visual") == len(val) + len(data.examples("train"))


def test_a_batch_is_new_each_time(data: LocalizationData) -> None:
    examples = data.examples("train")
    first = next(data.batches(examples, [[0]]))
    first.labels.fill_(7)
    first.visual.fill_(7)
    again = next(data.batches(examples, [[0]]))
    assert again.labels.sum() == T
    assert (again.visual != 7).any()


def test_batches_are_made_ahead_and_no_thread_is_left(data: LocalizationData) -> None:
    iterator = data.batches(data.examples("train"), [[i] for i in range(20)])
    next(iterator)
    assert any(thread.name.startswith("avel-batches") for thread in threading.enumerate())
    iterator.close()
    assert not any(thread.name.startswith("avel-batches") for thread in threading.enumerate())


def test_features_are_held_as_float16_where_they_fit(make_folder: Make) -> None:
    folder = make_folder(clips=(4, 2, 2))
    data = open_data(folder)
    next(data.batches(data.examples("val"), [[0]]))
    assert {held.dtype for held in data._parts[0]._held["visual"].values()} == {np.dtype(np.float16)}
    large = np.zeros((8, T, R, D_V), np.float32)
    large[1, 2, 3, 4] = 1e5
    ave_hdf5.write_visual(folder / "visual_feature.h5", list(large), 8)
    data = open_data(folder)
    batch = next(data.batches(data.examples("train"), [[1]]))
    assert batch.visual[0, 2, 3, 4] == 1e5


def test_noisy_clips_are_background(data: LocalizationData) -> None:
    noisy = data.backgrounds("noisy", 0)
    assert len(noisy) == 4
    assert (noisy.labels.first_classes == data.dataset.num_classes - 1).all()
    both = data.examples("train").with_more(noisy)
    batch = next(data.batches(both, [[0, len(both) - 1]]))
    with AveArrays.open(data.name) as arrays:
        torch.testing.assert_close(batch.visual[1].numpy(), arrays.background_visual[3], atol=2e-3, rtol=1e-3)
    assert len(data.backgrounds("none", 0)) == 0


def test_mismatched_clips_join_two_categories(make_folder: Make) -> None:
    data = open_data(make_folder(clips=(100, 4, 4)))
    made = data.backgrounds("mismatched", 3)
    classes = data.dataset.classes
    assert len(made) == round(100 * 178 / 3339)
    assert (classes[made.visual_rows] != classes[made.audio_rows]).all()
    train = set(data.splits["train"].tolist())
    assert train >= {*made.visual_rows.tolist(), *made.audio_rows.tolist()}
    again = data.backgrounds("mismatched", 3)
    assert np.array_equal(again.audio_rows, made.audio_rows)
    assert not np.array_equal(data.backgrounds("mismatched", 4).audio_rows, made.audio_rows)


def test_noisy_clips_and_mismatched_ones(data: LocalizationData) -> None:
    both = data.backgrounds("noisy+mismatched", 3)
    parts = [data.backgrounds(kind, 3) for kind in ("noisy", "mismatched")]
    assert len(both) == sum(map(len, parts))
    for name in ("visual_rows", "audio_rows"):
        assert np.array_equal(getattr(both, name), np.concatenate([getattr(part, name) for part in parts]))
    assert np.array_equal(both.labels.dense(), np.concatenate([part.labels.dense() for part in parts]))


def test_background_clips_of_a_folder(data: LocalizationData, make_folder: Make) -> None:
    plain = make_folder("plain", clips=(3, 1, 1), noisy=0)
    assert len(data.backgrounds(str(plain), 0)) == 5
    noisy = make_folder("noisy", clips=(3, 1, 1), noisy=2)
    assert len(data.backgrounds(str(noisy), 0)) == 2
    assert len(next(data.batches(data.backgrounds(str(noisy), 0), [[0, 1]])).audio) == 2


def test_background_clips_that_are_not_there_or_do_not_fit(data: LocalizationData, make_folder: Make) -> None:
    without = open_data(make_folder("without", clips=(3, 1, 1), noisy=0))
    with pytest.raises(FeaturesError, match="has no clips without event .* mismatched, none, or a folder"):
        without.backgrounds("noisy", 0)
    other = make_folder("other", clips=(3, 1, 1), noisy=0)
    ave_hdf5.write_visual(other / "visual_feature.h5", [np.zeros((T, R, D_V + 1), np.float32)] * 5, 5)
    with pytest.raises(FeaturesError, match=r"visual features of shape \(10, 4, 9\), those of .* have \(10, 4, 8\)"):
        data.backgrounds(str(other), 0)
    one = make_folder("one", clips=(1, 1, 1), noisy=0)
    with pytest.raises(FeaturesError, match="mismatched clips need training clips of two categories"):
        open_data(one).backgrounds("mismatched", 0)


def test_a_missing_modality_is_named_when_it_is_needed(make_folder: Make) -> None:
    folder = make_folder(clips=(4, 2, 2))
    (folder / "visual_feature.h5").unlink()
    data = open_data(folder)
    assert data.missing(("audio",)) == ()
    assert data.missing(("audio", "visual")) == ("no visual_feature.h5",)
    assert next(data.batches(data.examples("val"), [[0]], ("audio",))).audio.shape == (1, T, D_A)
    with pytest.raises(FeaturesError, match="there are no visual features .no visual_feature.h5"):
        next(data.batches(data.examples("val"), [[0]]))


def test_features_that_do_not_belong_to_the_annotations(make_folder: Make) -> None:
    folder = make_folder(clips=(4, 2, 2))
    lines = (folder / "Annotations.txt").read_text().splitlines()
    (folder / "Annotations.txt").write_text("\n".join([*lines, lines[0]]) + "\n")
    with pytest.raises(FeaturesError, match="features of 8 clips for 9 annotations"):
        open_data(folder)


def test_features_that_are_not_numbers(make_folder: Make) -> None:
    import h5py

    folder = make_folder(clips=(4, 2, 2))
    with h5py.File(folder / "audio_feature.h5", "r+") as file:
        file["avadataset"][3, 0, 0] = np.nan
    data = open_data(folder)
    for held_bytes in (1 << 20, 0):
        data.hold(held_bytes)
        examples = data.examples("train")
        with pytest.raises(FeaturesError, match="the audio features of clip 3 hold NaN or infinite values"):
            list(data.batches(examples, [[0, 1], [2, 3]]))


def test_rows_that_hdf5_unpacks_many_at_a_time_are_held_in_any_case(make_folder: Make) -> None:
    import h5py

    folder = make_folder(clips=(4, 2, 2))
    with h5py.File(folder / "visual_feature.h5", "r+") as file:
        rows = file["avadataset"][:]
        del file["avadataset"]
        file.create_dataset("avadataset", data=rows, chunks=(4, *rows.shape[1:]), compression="gzip")
    data = open_data(folder)
    data.hold(0)
    list(data.batches(data.examples("train"), [[0]]))
    assert (data.num_held("visual"), data.num_held("audio")) == (4, 0)


def test_other_lengths_are_refused(make_folder: Make) -> None:
    folder = make_folder(clips=(4, 2, 2))
    ave_hdf5.write_visual(folder / "visual_feature.h5", [np.zeros((9, R, D_V), np.float32)] * 8, 8)
    ave_hdf5.write_rows(folder / "audio_feature.h5", [np.zeros((9, D_A), np.float32)] * 8, 8)
    with pytest.raises(FeaturesError, match="its clips have 9 segments; AVE's layout has 10"):
        open_data(folder)


def test_a_store_gives_the_same_batches(ave_folder: Path, data: LocalizationData, tmp_path: Path) -> None:
    from avel.data.ave.exchange import import_ave

    videos = [row.video for row in data.dataset.rows]
    import_ave(ave_folder, tmp_path / "store", videos)
    stored = open_data(tmp_path / "store", annotations=ave_folder)
    assert stored.is_store
    assert stored.record.visual == ("vgg19-original",)
    order = [[2, 0], [1]]
    for ours, theirs in zip(
        stored.batches(stored.examples("val"), order), data.batches(data.examples("val"), order), strict=True
    ):
        assert torch.equal(ours.visual, theirs.visual)
        torch.testing.assert_close(ours.audio, theirs.audio, atol=2e-3, rtol=1e-3)
        assert torch.equal(ours.labels, theirs.labels)
    with pytest.raises(FeaturesError, match="no clips without event"):
        stored.backgrounds("noisy", 0)


def test_videos_that_are_not_in_the_store_are_left_out(
    ave_folder: Path, data: LocalizationData, tmp_path: Path
) -> None:
    from avel.data.ave.exchange import import_ave

    videos = [row.video for row in data.dataset.rows]
    other = [f"x{i}" if i % 3 == 0 else video for i, video in enumerate(videos)]
    import_ave(ave_folder, tmp_path / "store", other)
    stored = open_data(tmp_path / "store", annotations=ave_folder)
    assert len(stored.splits["val"]) == sum(i % 3 != 0 for i in data.splits["val"])
    assert "clips of split val have no features and are left out" in " ".join(stored.warnings)
    batch = next(stored.batches(stored.examples("val"), [[0]]))
    row = stored.splits["val"][0]
    same = next(data.batches(data.examples("val"), [[int(np.flatnonzero(data.splits["val"] == row)[0])]]))
    assert torch.equal(batch.visual, same.visual)
    import_ave(ave_folder, tmp_path / "none", [f"x{i}" for i in range(len(videos))])
    with pytest.raises(FeaturesError, match="none of its 36 videos is in the annotations"):
        open_data(tmp_path / "none", annotations=ave_folder)


def test_shorter_videos_are_padded(ave_folder: Path, data: LocalizationData, tmp_path: Path) -> None:
    from avel.data.ave.exchange import import_ave

    short = tmp_path / "short"
    short.mkdir()
    with AveArrays.open(ave_folder) as arrays:
        ave_hdf5.write_visual(short / "visual_feature.h5", [row[:7] for row in arrays.visual], 36)
        ave_hdf5.write_rows(short / "audio_feature.h5", [row[:7] for row in arrays.audio], 36)
    import_ave(short, tmp_path / "store", [row.video for row in data.dataset.rows])
    stored = open_data(tmp_path / "store", annotations=ave_folder)
    batch = next(stored.batches(stored.examples("val"), [[0, 1]]))
    assert batch.valid.tolist() == [[True] * 7 + [False] * 3] * 2
    assert batch.visual.shape == (2, T, R, D_V)
    assert not batch.visual[:, 7:].any()
