"""What is learned from which labels: target, loss and decision rule, one class per task.

========== ============================ ==================================== ======================
task       labels at training           loss                                 decision
========== ============================ ==================================== ======================
supervised class of each segment        cross entropy of each segment        argmax of each segment
weak       one-hot or proportions of    cross entropy of the video's logits, argmax of each segment
           each video                   pooled over its segments
========== ============================ ==================================== ======================

Both tasks are those of Tian et al., ECCV 2018, Sections 3 and 4.4. B videos, T segments, C classes, the last of which
is background.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from avel.data.labels import WeakProtocol
from avel.models.base import ModelOutput

if TYPE_CHECKING:
    from avel.training.settings import TrainingSettings

TaskName = Literal["supervised", "weak"]
TASKS: tuple[TaskName, ...] = get_args(TaskName)
LossName = Literal["cross-entropy", "multi-label-soft-margin"]
LOSSES: tuple[LossName, ...] = get_args(LossName)
Pooling = Literal["mean", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True)
class Task(ABC):
    """One task.

    Attributes:
        loss_name: ``cross-entropy`` as the paper says, or ``multi-label-soft-margin`` of the softmax's output, as its
            released code has it.
    """

    loss_name: LossName = "cross-entropy"

    @abstractmethod
    def target(self, segment_labels: Tensor) -> Tensor:
        """What the loss compares with.

        Args:
            segment_labels: (B, T, C) one-hot.
        """

    @abstractmethod
    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of a batch, a scalar.

        Args:
            output: of the model, logits (B, T, C).
            target: as `target` gives it, for the batch.
            valid: (B, T) bool; False where a segment is only padding.
        """

    def decide(self, output: ModelOutput) -> Tensor:
        """(B, T) class of each segment, the one with the largest logit."""
        return output.logits.argmax(dim=-1)


class Supervised(Task):
    """Segment labels at training (Tian et al., ECCV 2018, Section 4.1)."""

    def target(self, segment_labels: Tensor) -> Tensor:
        """(B, T, C), the labels themselves."""
        return segment_labels

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the valid segments of the batch."""
        return _classification_loss(self.loss_name, output.logits[valid], target[valid])


@dataclass(frozen=True)
class Weak(Task):
    """Only a video's label at training: multiple-instance learning (Tian et al., ECCV 2018, Section 4.4).

    Attributes:
        labels: ``one-hot`` or ``proportion``; see `avel.data.labels`. Their numbers must not be compared.
        pooling: of the segments' logits to the video's: ``mean`` is Eq. 7, ``max`` is the released code.
    """

    labels: WeakProtocol = "one-hot"
    pooling: Pooling = "mean"

    def target(self, segment_labels: Tensor) -> Tensor:
        """(B, C), with sum 1: the share of segments of each class, or of each event category under ``one-hot``.

        Under ``one-hot``, a video without event is background. AVE has one category a video, which then has it all.
        """
        share = segment_labels.mean(dim=1)  # (B, C)
        if self.labels == "proportion":
            return share
        events = (share[:, :-1] > 0).to(share.dtype)
        label = torch.cat([events, (events.sum(1, keepdim=True) == 0).to(share.dtype)], dim=1)
        return label / label.sum(1, keepdim=True)

    def pool(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C) logits of segments to (B, C) logits of videos; padding does not count."""
        if self.pooling == "max":
            return logits.masked_fill(~valid[..., None], -torch.inf).amax(dim=1)
        kept = logits.masked_fill(~valid[..., None], 0.0)
        return kept.sum(dim=1) / valid.sum(dim=1, keepdim=True)

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the videos of the batch."""
        return _classification_loss(self.loss_name, self.pool(output.logits, valid), target)


def task_of(settings: "TrainingSettings") -> Task:
    """The task that settings ask for."""
    if settings.task == "weak":
        return Weak(settings.loss, settings.weak_labels, settings.pooling)
    return Supervised(settings.loss)


def _classification_loss(name: LossName, logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the M rows of (M, C) logits against (M, C) targets whose rows sum to 1."""
    if name == "multi-label-soft-margin":
        # Of probabilities where the loss expects logits: this is what the released code does.
        return functional.multilabel_soft_margin_loss(torch.softmax(logits.float(), dim=-1), target)
    return functional.cross_entropy(logits.float(), target)
