import csv
import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from avel.errors import FeaturesError, ModelError, SettingsError
from avel.metrics.segments import segment_accuracy
from avel.models import registry
from avel.training import checkpoint, run_folder
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData
from avel.training.loop import train
from avel.training.optimization import averaging_of, learning_rate
from avel.training.prediction import predict
from avel.training.processes import Processes, pick_device
from avel.training.settings import TrainingSettings, from_mapping
from avel.training.state import Epoch

SMALL = {
    "model": "a+v-att",
    "options": {"lstm_dims": 8, "head_dims": 16, "attention_dims": 8, "attention_hidden_dims": 4},
    "epochs": 4,
    "batch_size": 8,
    "learning_rate": 0.01,
    "device": "cpu",
    "precision": "float32",
    "threads": 1,
}


def small(**changes: Any) -> TrainingSettings:
    return from_mapping({**SMALL, **changes}, "test")


def weights(run: Path, file: str = run_folder.STATE_FILE) -> dict[str, torch.Tensor]:
    return load_file(run / file)


def assert_equal(first: Path, second: Path) -> None:
    ours, theirs = weights(first), weights(second)
    assert ours.keys() == theirs.keys()
    different = [name for name in ours if not torch.equal(ours[name], theirs[name])]
    assert not different


def test_it_learns_and_keeps_the_best_epoch(data: LocalizationData, tmp_path: Path) -> None:
    result = train(small(epochs=25), data, tmp_path / "run")
    assert result.accuracy > 0.6  # always background has about 0.4
    assert result.history[-1].loss < result.history[0].loss / 2
    best = max(epoch.accuracy for epoch in result.history)
    assert result.accuracy == result.history[result.best_epoch - 1].accuracy == best
    model, info = checkpoint.load(result.checkpoint)
    val = data.examples("val")
    predicted = predict(model, data, val)
    assert segment_accuracy(predicted.classes, val.labels.first_classes, valid=predicted.valid) == result.accuracy
    assert info.notes == {"epoch": result.best_epoch, "chosen_on": "val", "data": data.name}
    assert info.metrics == {"val": {"segment_accuracy": result.accuracy}}
    assert info.settings == small(epochs=25).to_dict()


def test_one_batch_is_learned_by_heart(data: LocalizationData, tmp_path: Path) -> None:
    result = train(small(epochs=120, batch_size=64, learning_rate=0.02, clip_gradient_norm=1.0), data, tmp_path / "r")
    assert result.history[-1].loss < 0.05


@pytest.mark.parametrize(
    "changes",
    [
        {"task": "weak"},
        {"task": "weak", "pooling": "max", "weak_labels": "proportion", "backgrounds": "mismatched"},
        {"loss": "multi-label-soft-margin", "optimizer": "sgd", "schedule": "cosine"},
        {"model": "ed-tcn", "options": {}, "optimizer": "adamw", "weight_decay": 0.01, "schedule": "plateau"},
        {"model": "a", "options": {"lstm_dims": 4}, "precision": "bfloat16", "schedule": "milestones"},
        {"model": "recommended", "options": {"model_dims": 8}, "label_smoothing": 0.1, "average_weights": 0.9},
    ],
)
def test_every_way_of_training_runs(data: LocalizationData, tmp_path: Path, changes: dict[str, Any]) -> None:
    result = train(small(epochs=2, **changes), data, tmp_path / "run")
    assert len(result.history) == 2
    assert all(np.isfinite(epoch.loss) for epoch in result.history)


def test_equal_seeds_give_equal_results_and_others_do_not(data: LocalizationData, tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(small(epochs=2, seed=seed), data, tmp_path / name)
    assert_equal(tmp_path / "a", tmp_path / "b")
    first, other = weights(tmp_path / "a"), weights(tmp_path / "c")
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"model": "ed-tcn", "options": {}},  # draws a dropout
        {"average_weights": 0.9, "label_smoothing": 0.1},
    ],
)
def test_resumed_equals_uninterrupted(data: LocalizationData, tmp_path: Path, changes: dict[str, Any]) -> None:
    settings = small(**changes, schedule="step", decay_iterations=5)
    whole = train(settings, data, tmp_path / "whole")
    train(dataclasses.replace(settings, epochs=2), data, tmp_path / "parts")
    parts = train(settings, data, tmp_path / "parts", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "parts")
    assert weights(tmp_path / "whole", checkpoint.CHECKPOINT_FILE).keys()
    assert _without_seconds(whole.history) == _without_seconds(parts.history)
    assert parts.best_epoch == whole.best_epoch


def test_how_many_features_are_held_changes_nothing(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(clips=(20, 4, 4))
    train(small(), open_data(folder), tmp_path / "held")
    data = open_data(folder)
    settings = small(held_bytes=1000)
    train(dataclasses.replace(settings, epochs=2), data, tmp_path / "read")
    train(settings, data, tmp_path / "read", resume=True)
    assert 0 < data.num_held("audio") < 20
    assert data.num_held("visual") == 0
    assert_equal(tmp_path / "held", tmp_path / "read")


def test_a_run_killed_in_an_epoch_goes_on_from_the_last_whole_one(data: LocalizationData, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(epoch: Epoch, epochs: int) -> None:
        if epoch.epoch == 3:
            raise KilledError

    train(small(), data, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(small(), data, tmp_path / "run", progress=kill)
    (tmp_path / "run" / run_folder.LOG_FILE).write_text("half a li")
    result = train(small(), data, tmp_path / "run", resume=True)
    assert_equal(tmp_path / "whole", tmp_path / "run")
    with (tmp_path / "run" / run_folder.LOG_FILE).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3, 4]
    assert [float(row["loss"]) for row in rows] == [epoch.loss for epoch in result.history]


def test_a_finished_run_is_not_trained_again(data: LocalizationData, tmp_path: Path) -> None:
    first = train(small(), data, tmp_path / "run")
    again = train(small(), data, tmp_path / "run", resume=True)
    assert again == first


def test_early_stop(data: LocalizationData, tmp_path: Path) -> None:
    result = train(small(epochs=50, learning_rate=1e-9, early_stop=3), data, tmp_path / "run")
    assert result.stopped_early
    assert len(result.history) == result.best_epoch + 3


def test_averaged_weights_by_hand(data: LocalizationData, tmp_path: Path) -> None:
    """With one step an epoch, the weights after each step are those of a run that ended there."""
    steps = []
    for epochs in (1, 2, 3):
        train(small(epochs=epochs, batch_size=64), data, tmp_path / str(epochs))
        steps.append(weights(tmp_path / str(epochs))["model.heads.0.weight"])
    result = train(small(epochs=3, batch_size=64, average_weights=0.75), data, tmp_path / "averaged")
    found = weights(tmp_path / "averaged")
    first, second = 2 / 11, 3 / 12  # (1 + n) / (10 + n), here below 0.75
    expected = second * (first * steps[0] + (1 - first) * steps[1]) + (1 - second) * steps[2]
    torch.testing.assert_close(found["average.module.heads.0.weight"], expected)
    assert torch.equal(found["model.heads.0.weight"], steps[2])
    model, _ = checkpoint.load(result.checkpoint)
    val = data.examples("val")
    predicted = predict(model, data, val)
    assert segment_accuracy(predicted.classes, val.labels.first_classes, valid=predicted.valid) == result.accuracy


@pytest.mark.parametrize(("step", "decay"), [(1, 2 / 11), (20, 0.7), (10_000, 0.75)])
def test_the_average_forgets_the_start(step: int, decay: float) -> None:
    averaged, current = [torch.ones(2)], [torch.zeros(2)]
    averaging_of(0.75)(averaged, current, torch.tensor(step))
    torch.testing.assert_close(averaged[0], torch.full((2,), decay))


def test_a_loss_of_its_own_is_not_smoothed(data: LocalizationData, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="label_smoothing: 'cmran' has a loss of its own. Leave it at 0"):
        train(small(model="cmran", options={}, label_smoothing=0.1), data, tmp_path / "run")


def test_literature_chooses_on_test(data: LocalizationData, tmp_path: Path) -> None:
    result = train(small(protocol="literature"), data, tmp_path / "run")
    assert result.chosen_on == "test"
    assert checkpoint.read_info(result.checkpoint).notes["chosen_on"] == "test"


def test_clipped_gradients_move_the_weights_less(data: LocalizationData, tmp_path: Path) -> None:
    changes = {"epochs": 1, "batch_size": 64, "optimizer": "sgd", "schedule": "constant", "learning_rate": 1.0}
    for name, norm in (("free", 0.0), ("clipped", 1e-3)):
        train(small(**changes, clip_gradient_norm=norm), data, tmp_path / name)
    torch.manual_seed(0)
    start = registry.build("a+v-att", data.dims, **SMALL["options"]).state_dict()

    def moved(run: str) -> float:
        ended = weights(tmp_path / run)
        return float(sum((ended[f"model.{n}"] - t).square().sum() for n, t in start.items()) ** 0.5)

    assert moved("clipped") == pytest.approx(1e-3, rel=0.01)
    assert moved("free") > 10 * moved("clipped")


def test_training_starts_from_another_models_weights(data: LocalizationData, tmp_path: Path) -> None:
    first = train(small(), data, tmp_path / "first")
    options = {**SMALL["options"], "fusion_dims": 8}
    settings = small(model="dmrn", options=options, start_from=str(first.checkpoint), learning_rate=1e-12, epochs=1)
    train(settings, data, tmp_path / "second")
    before, after = (
        weights(tmp_path / "first", checkpoint.CHECKPOINT_FILE),
        weights(tmp_path / "second", checkpoint.CHECKPOINT_FILE),
    )
    name = "audio_lstm.lstm.weight_ih_l0"
    torch.testing.assert_close(before[name], after[name], atol=1e-9, rtol=0)


def test_refuses_a_folder_with_another_run(data: LocalizationData, tmp_path: Path) -> None:
    train(small(epochs=1), data, tmp_path / "run")
    with pytest.raises(SettingsError, match="run: holds a run already. Resume it .--resume., or give another folder"):
        train(small(epochs=1), data, tmp_path / "run")
    with pytest.raises(SettingsError, match="run: holds a run with other settings: batch_size is 4, not 8"):
        train(small(epochs=1, batch_size=4), data, tmp_path / "run", resume=True)


def test_refuses_a_state_of_something_else(data: LocalizationData, tmp_path: Path) -> None:
    train(small(epochs=1), data, tmp_path / "run")
    state = tmp_path / "run" / run_folder.STATE_FILE
    state.write_bytes((tmp_path / "run" / checkpoint.CHECKPOINT_FILE).read_bytes())
    with pytest.raises(ModelError, match="state.safetensors: not a safetensors file, damaged, or of another model"):
        train(small(), data, tmp_path / "run", resume=True)


def test_a_loss_that_is_no_number_ends_the_run(data: LocalizationData, tmp_path: Path) -> None:
    settings = small(optimizer="sgd", learning_rate=1000.0, schedule="constant", model="a+v", options={}, epochs=40)
    with pytest.raises(SettingsError, match="the loss of epoch .* is (nan|inf). Use a smaller learning_rate"):
        train(settings.with_changes(weight_decay=1000.0), data, tmp_path / "run")


def test_a_missing_split_is_named(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(clips=(6, 4, 4))
    (folder / "val_order.h5").unlink()
    with pytest.raises(FeaturesError, match="has no clip in split val. Add val_order.h5"):
        train(small(), open_data(folder), tmp_path / "run")


def test_tensorboard_on_request(data: LocalizationData, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    train(small(epochs=1), data, tmp_path / "without")
    assert not list((tmp_path / "without").glob("events.out.*"))
    train(small(epochs=1, tensorboard=True), data, tmp_path / "with")
    assert list((tmp_path / "with").glob("events.out.*"))


def test_learning_rates_by_hand() -> None:
    def rates(settings: TrainingSettings, accuracies: list[float], iterations: int = 2) -> list[float]:
        history = [Epoch(i + 1, 0.0, a, 0.0, 0.0) for i, a in enumerate(accuracies)]
        return [
            learning_rate(settings, i, iterations, history[:epoch])
            for epoch in range(len(history) + 1)
            for i in range(iterations)
        ]

    base = {"learning_rate": 1.0, "decay_factor": 0.5}
    assert rates(small(**base, schedule="constant"), [0, 0]) == [1] * 6
    assert rates(small(**base, schedule="step", decay_iterations=3), [0, 0]) == [1, 1, 1, 0.5, 0.5, 0.5]
    assert rates(small(**base, schedule="milestones", decay_epochs=[1, 2]), [0, 0]) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    cosine = rates(small(**base, schedule="cosine", epochs=2), [0])
    assert cosine == pytest.approx([1, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2])
    plateau = small(**base, schedule="plateau", decay_patience=1, plateau_of="accuracy")
    assert rates(plateau, [0.1, 0.2, 0.2, 0.1, 0.3, 0.3, 0.3], 1) == [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25]


@hypothesis.settings(max_examples=50)
@given(
    values=st.lists(st.sampled_from([0.5, 0.49999, 0.4999, 0.499, 0.3, 0.2]), min_size=1, max_size=12),
    patience=st.integers(1, 3),
    measure=st.sampled_from(["training-loss", "accuracy"]),
)
def test_plateaus_are_those_of_pytorch(values: list[float], patience: int, measure: str) -> None:
    is_loss = measure == "training-loss"
    settings = small(
        learning_rate=1.0, decay_factor=0.5, schedule="plateau", decay_patience=patience, plateau_of=measure
    )
    history = [
        Epoch(i + 1, value if is_loss else 0.0, 0.0 if is_loss else value, 0, 0) for i, value in enumerate(values)
    ]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    mode: Any = "min" if is_loss else "max"
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, factor=0.5, patience=patience)
    for epoch in range(len(values)):
        scheduler.step(values[epoch])
        assert learning_rate(settings, 0, 1, history[: epoch + 1]) == optimizer.param_groups[0]["lr"]


def test_shares_of_a_batch() -> None:
    cpu = torch.device("cpu")
    processes = [Processes(rank, 3, cpu) for rank in range(3)]
    assert [p.share([5, 6, 7, 8]) for p in processes] == [[5, 8], [6], [7]]
    assert [p.weight([5, 6, 7, 8]) for p in processes] == [1.5, 0.75, 0.75]
    assert [p.share([5]) for p in processes] == [[5], [5], [5]]
    assert [p.weight([5]) for p in processes] == [3, 0, 0]


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="device: there is no cuda:99; found"):
        pick_device("cuda:99")


@pytest.mark.slow
def test_two_processes_equal_one(ave_folder: Path, data: LocalizationData, tmp_path: Path) -> None:
    settings = small(epochs=3, batch_size=7)  # 20 clips: the last batch has 6, and shares are uneven
    one = train(settings, data, tmp_path / "one")
    settings.save(tmp_path / "settings.yaml")
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pathlib, sys\n"
        "from avel.training.ave_data import open_data\n"
        "from avel.training.loop import train\n"
        "from avel.training.settings import from_mapping, read_yaml\n"
        "data, settings, run = sys.argv[1:]\n"
        "result = train(from_mapping(read_yaml(settings), settings), open_data(data), run)\n"
        "pathlib.Path(run + os.environ['RANK']).write_text(str(result.accuracy))\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    arguments = [script, ave_folder, tmp_path / "settings.yaml", tmp_path / "two"]
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    # Not printed: what two processes print can interleave.
    assert [(tmp_path / f"two{rank}").read_text() for rank in range(2)] == [str(one.accuracy)] * 2
    ours, theirs = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], atol=2e-4, rtol=2e-3, msg=name)
    with (tmp_path / "two" / run_folder.LOG_FILE).open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses == pytest.approx([epoch.loss for epoch in one.history], abs=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cpu_and_cuda_agree(data: LocalizationData, tmp_path: Path) -> None:
    on_cpu = train(small(), data, tmp_path / "cpu")
    on_cuda = train(small(device="cuda"), data, tmp_path / "cuda")
    losses = [[epoch.loss for epoch in result.history] for result in (on_cpu, on_cuda)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def _without_seconds(history: tuple[Epoch, ...]) -> list[Epoch]:
    return [dataclasses.replace(epoch, seconds=0) for epoch in history]
