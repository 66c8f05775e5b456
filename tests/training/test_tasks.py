import math

import pytest
import torch
from torch.nn import functional

from avel.errors import SettingsError
from avel.models.base import ModelOutput
from avel.training.settings import TrainingSettings
from avel.training.tasks import Supervised, Weak, task_of

B, T, C = 3, 5, 4
EVERY = torch.ones(B, T, dtype=torch.bool)
VALID = torch.tensor([[True] * 5, [True, True, True, False, False], [True, False, False, False, False]])


@pytest.fixture
def logits() -> torch.Tensor:
    return torch.randn(B, T, C, generator=torch.Generator().manual_seed(0))


def one_hot(classes: list[list[int]]) -> torch.Tensor:
    return functional.one_hot(torch.tensor(classes), C).float()


LABELS = one_hot([[3, 0, 0, 3, 3], [1, 1, 1, 3, 3], [3, 3, 3, 3, 3]])


def test_supervised_loss_by_a_loop(logits: torch.Tensor) -> None:
    task = Supervised()
    expected, count = 0.0, 0
    for b in range(B):
        for t in range(T):
            if VALID[b, t]:
                probabilities = logits[b, t].exp() / logits[b, t].exp().sum()
                expected -= float(probabilities[LABELS[b, t].argmax()].log())
                count += 1
    assert float(task.loss(ModelOutput(logits), task.target(LABELS, EVERY), VALID)) == pytest.approx(expected / count)


def test_weak_targets_by_hand() -> None:
    assert Weak().target(LABELS, EVERY).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    shares = Weak(labels="proportion").target(LABELS, EVERY)
    torch.testing.assert_close(shares, torch.tensor([[0.4, 0, 0, 0.6], [0, 0.6, 0, 0.4], [0, 0, 0, 1]]))
    two_events = one_hot([[0, 0, 0, 1, 3]])
    assert Weak().target(two_events, EVERY[:1]).tolist() == [[0.5, 0.5, 0, 0]]
    without_padding = Weak(labels="proportion").target(LABELS, VALID)
    torch.testing.assert_close(without_padding, torch.tensor([[0.4, 0, 0, 0.6], [0, 1, 0, 0], [0, 0, 0, 1]]))


def test_weak_pooling_by_a_loop(logits: torch.Tensor) -> None:
    for b in range(B):
        segments = [logits[b, t] for t in range(T) if VALID[b, t]]
        torch.testing.assert_close(Weak().pool(logits, VALID)[b], sum(segments) / len(segments))
        highest = torch.stack(segments).max(dim=0).values
        assert torch.equal(Weak(pooling="max").pool(logits, VALID)[b], highest)


def test_weak_loss_is_cross_entropy_of_the_pooled_logits(logits: torch.Tensor) -> None:
    task = Weak(labels="proportion")
    target = task.target(LABELS, EVERY)
    pooled = task.pool(logits, VALID)
    expected = -(target * (pooled - pooled.exp().sum(1, keepdim=True).log())).sum(1).mean()
    torch.testing.assert_close(task.loss(ModelOutput(logits), target, VALID), expected)


def test_released_loss_is_soft_margin_of_the_softmax(logits: torch.Tensor) -> None:
    loss = Supervised("multi-label-soft-margin").loss(ModelOutput(logits), LABELS, torch.ones(B, T, dtype=torch.bool))
    p = logits.softmax(-1)
    expected = -(LABELS * torch.sigmoid(p).log() + (1 - LABELS) * torch.sigmoid(-p).log()).mean()
    torch.testing.assert_close(loss, expected)


def test_padding_changes_no_loss(logits: torch.Tensor) -> None:
    for task in (Supervised(), Weak(), Weak(pooling="max")):
        other = logits.masked_fill(~VALID[..., None], 100.0)
        target = task.target(LABELS, EVERY)
        assert task.loss(ModelOutput(logits), target, VALID) == task.loss(ModelOutput(other), target, VALID)


def test_decision_is_the_largest_logit_of_each_segment(logits: torch.Tensor) -> None:
    assert torch.equal(Weak().decide(logits), logits.argmax(-1))


def test_settings_choose_the_task() -> None:
    assert task_of(TrainingSettings()) == Supervised()
    settings = TrainingSettings(task="weak", pooling="max", weak_labels="proportion", loss="multi-label-soft-margin")
    assert task_of(settings) == Weak("multi-label-soft-margin", labels="proportion", pooling="max")
    assert task_of(TrainingSettings(multi_label=True)) == Supervised(multi_label=True)
    assert task_of(TrainingSettings(task="weak", multi_label=True)) == Weak(multi_label=True)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(SettingsError, match="loss: with multi_label it is cross-entropy"):
        task_of(TrainingSettings(multi_label=True, loss="multi-label-soft-margin"))
    with pytest.raises(SettingsError, match="label_smoothing: goes with the loss cross-entropy; got multi-label-soft"):
        task_of(TrainingSettings(label_smoothing=0.1, loss="multi-label-soft-margin"))
    with pytest.raises(SettingsError, match="weak_labels: shares of classes that sum to 1 cannot be multi_label"):
        task_of(TrainingSettings(multi_label=True, task="weak", weak_labels="proportion"))


TWO = torch.tensor([[[1.0, 1, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]]]).repeat(B, 1, 1)
"""Two categories at once in the first segment."""


def test_multi_label_loss_by_a_loop(logits: torch.Tensor) -> None:
    task = Supervised(multi_label=True)
    losses = []
    for b in range(B):
        for t in range(T):
            for c in range(C - 1):
                p = 1 / (1 + float((logits[b, t, -1] - logits[b, t, c]).exp()))
                losses += [-math.log(p if TWO[b, t, c] else 1 - p)] if VALID[b, t] else []
    assert float(task.loss(ModelOutput(logits), task.target(TWO, EVERY), VALID)) == pytest.approx(
        sum(losses) / len(losses)
    )
    assert task.scores(logits)[0, 0, 1] == torch.sigmoid(logits[0, 0, 1] - logits[0, 0, 3])


def test_smoothed_labels_by_hand(logits: torch.Tensor) -> None:
    smoothed = Supervised(label_smoothing=0.2)
    logs = torch.log_softmax(logits[VALID], dim=-1)
    target = 0.8 * LABELS[VALID] + 0.2 / C
    found = smoothed.loss(ModelOutput(logits), smoothed.target(LABELS, EVERY), VALID)
    torch.testing.assert_close(found, -(target * logs).sum(-1).mean())
    several = Supervised(multi_label=True, label_smoothing=0.2)
    scores = several.scores(logits)[VALID]
    there = 0.8 * TWO[..., :-1][VALID] + 0.1
    expected = -(there * scores.log() + (1 - there) * (1 - scores).log()).mean()
    torch.testing.assert_close(several.loss(ModelOutput(logits), several.target(TWO, EVERY), VALID), expected)


def test_a_category_of_a_weak_multi_label_video_counts_by_its_highest_score(logits: torch.Tensor) -> None:
    task = Weak(multi_label=True, pooling="max")
    videos = task.scores(task.pool(logits, VALID))
    for b in range(B):
        of_segments = [task.scores(logits[b, t]) for t in range(T) if VALID[b, t]]
        torch.testing.assert_close(videos[b], torch.stack(of_segments).amax(dim=0))


def test_weak_multi_label_target_has_every_category_of_the_video() -> None:
    task = Weak(multi_label=True)
    assert task.target(TWO[:1], EVERY[:1]).tolist() == [[1, 1, 0, 0]]
    assert task.target(LABELS, EVERY).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def test_balanced_weights_by_hand(logits: torch.Tensor) -> None:
    task = Supervised()
    balanced = task.balanced([(task.target(LABELS, EVERY), VALID)])
    # Valid are 5 + 3 + 1 segments: 2 of class 0, 3 of class 1, none of class 2, 4 of background.
    assert balanced.weights == pytest.approx((9 / (3 * 2), 9 / (3 * 3), 1.0, 9 / (3 * 4)))
    plain = functional.cross_entropy(logits[VALID], LABELS[VALID], reduction="none")
    factors = torch.tensor(balanced.weights)[LABELS[VALID].argmax(-1)]
    found = balanced.loss(ModelOutput(logits), task.target(LABELS, EVERY), VALID)
    torch.testing.assert_close(found, (plain * factors).mean())


def test_balanced_weights_in_multi_label_are_those_of_presence(logits: torch.Tensor) -> None:
    task = Supervised(multi_label=True)
    balanced = task.balanced([(TWO[:1], EVERY[:1]), (TWO[1:], EVERY[1:])])
    assert balanced.weights == pytest.approx((4.0, 1.5, 1.0))
    rows, target = (logits[..., :-1] - logits[..., -1:]).flatten(0, 1), TWO[..., :-1].flatten(0, 1)
    by_hand = -(
        target * 1.0 * torch.tensor(balanced.weights) * rows.sigmoid().log() + (1 - target) * (-rows).sigmoid().log()
    )
    torch.testing.assert_close(balanced.loss(ModelOutput(logits), TWO, EVERY), by_hand.mean())
    many = torch.zeros(1, 1000, C)
    many[..., -1], many[0, 0] = 1, torch.tensor([1.0, 0, 0, 0])
    assert task.balanced([(many, torch.ones(1, 1000, dtype=torch.bool))]).weights[0] == 100


def test_balanced_weights_of_videos() -> None:
    task = Weak()
    balanced = task.balanced([(task.target(LABELS, EVERY), VALID)])
    assert balanced.weights == pytest.approx((1.0, 1.0, 1.0, 1.0))


def test_a_video_has_a_category_as_much_as_its_best_segment() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.0], [3.0, 4.0, 2.0]])
    several = Weak(multi_label=True)
    assert several.of_video(logits).tolist() == [2.0, 2.0, 0.0]
    assert torch.equal(several.scores(several.of_video(logits)), several.scores(logits).amax(dim=0))
    assert Weak().of_video(logits).tolist() == [2.5, 1.5, 1.0]
