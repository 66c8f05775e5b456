import pytest
import torch
from torch.nn import functional

from avel.models.base import ModelOutput
from avel.training.settings import TrainingSettings
from avel.training.tasks import Supervised, Weak, task_of

B, T, C = 3, 5, 4
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
    assert float(task.loss(ModelOutput(logits), task.target(LABELS), VALID)) == pytest.approx(expected / count)


def test_weak_targets_by_hand() -> None:
    assert Weak().target(LABELS).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]
    shares = Weak(labels="proportion").target(LABELS)
    torch.testing.assert_close(shares, torch.tensor([[0.4, 0, 0, 0.6], [0, 0.6, 0, 0.4], [0, 0, 0, 1]]))
    two_events = one_hot([[0, 0, 0, 1, 3]])
    assert Weak().target(two_events).tolist() == [[0.5, 0.5, 0, 0]]


def test_weak_pooling_by_a_loop(logits: torch.Tensor) -> None:
    for b in range(B):
        segments = [logits[b, t] for t in range(T) if VALID[b, t]]
        torch.testing.assert_close(Weak().pool(logits, VALID)[b], sum(segments) / len(segments))
        highest = torch.stack(segments).max(dim=0).values
        assert torch.equal(Weak(pooling="max").pool(logits, VALID)[b], highest)


def test_weak_loss_is_cross_entropy_of_the_pooled_logits(logits: torch.Tensor) -> None:
    task = Weak(labels="proportion")
    target = task.target(LABELS)
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
        target = task.target(LABELS)
        assert task.loss(ModelOutput(logits), target, VALID) == task.loss(ModelOutput(other), target, VALID)


def test_decision_is_the_largest_logit_of_each_segment(logits: torch.Tensor) -> None:
    assert torch.equal(Weak().decide(ModelOutput(logits)), logits.argmax(-1))


def test_settings_choose_the_task() -> None:
    assert task_of(TrainingSettings()) == Supervised()
    settings = TrainingSettings(task="weak", pooling="max", weak_labels="proportion", loss="multi-label-soft-margin")
    assert task_of(settings) == Weak("multi-label-soft-margin", "proportion", "max")
