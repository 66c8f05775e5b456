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

Where events of several categories overlap, one class a segment is not enough. With ``multi_label`` each category has a
score of its own, sigmoid(logit of the category - logit of background), the loss is the binary cross entropy of each
category, and a category is there where its score reaches its threshold. This follows no paper.
"""

import itertools
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn import functional

from avel.data.annotations import WeakProtocol
from avel.errors import SettingsError
from avel.models.base import ModelOutput, TaskSpec, category_odds
from avel.training.choices import LossName, WeakPooling
from avel.training.settings import TrainingSettings

LARGEST_WEIGHT = 100.0
"""Of a class: one segment of a class that hardly occurs must not outweigh a batch."""


@dataclass(frozen=True)
class Task(ABC):
    """One task.

    Attributes:
        loss_name: ``cross-entropy`` as the paper says, or ``multi-label-soft-margin`` of the softmax's output, as its
            released code has it.
        multi_label: whether segments may hold several categories.
        weights: of the loss, see `balanced`; none where all classes count alike.
        label_smoothing: share of the target that all classes get alike; in multi-label, presence and absence.
    """

    loss_name: LossName = "cross-entropy"
    multi_label: bool = False
    weights: tuple[float, ...] = ()
    label_smoothing: float = 0.0

    taught_by: ClassVar[Literal["segments", "videos"]] = "segments"
    """What `target` gives, see `avel.models.base.TaskSpec`."""

    def spec(self, categories: Sequence[str]) -> TaskSpec:
        """The task as its model says it."""
        return TaskSpec(tuple(categories), "multi-label" if self.multi_label else "one-class", self.taught_by)

    @abstractmethod
    def target(self, segment_labels: Tensor, valid: Tensor) -> Tensor:
        """What the loss compares with.

        Args:
            segment_labels: (B, T, C) one-hot; in multi-label, 1 for each category that is there and for background
                where none is.
            valid: (B, T) bool; False where a segment is only padding, whose label says nothing.
        """

    @abstractmethod
    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Loss of a batch, a scalar.

        Args:
            output: of the model, logits (B, T, C).
            target: as `target` gives it, for the batch.
            valid: (B, T) bool; False where a segment is only padding.
        """

    def decide(self, logits: Tensor) -> Tensor:
        """(...,) class of each segment, the one with the largest of its (..., C) logits."""
        return logits.argmax(dim=-1)

    def scores(self, logits: Tensor) -> Tensor:
        """(..., C - 1) score in [0, 1] of each category in multi-label, from (..., C) logits."""
        return torch.sigmoid(category_odds(logits))

    @abstractmethod
    def pool(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C) logits of segments to (B, C) logits of videos; padding does not count."""

    def of_video(self, logits: Tensor) -> Tensor:
        """(T, C) logits of a video's segments to the (C,) that the video is judged by where labels have no times.

        In multi-label a video has a category as much as the segment that has it most, so that a threshold chosen on
        videos says of segments what it says of videos. Otherwise they are pooled as for the loss.
        """
        segments, valid = logits[None], torch.ones(1, len(logits), dtype=torch.bool, device=logits.device)
        if self.multi_label:
            return _largest(_above_background(segments), valid)[0]
        return self.pool(segments, valid)[0]

    @abstractmethod
    def counted(self, target: Tensor, valid: Tensor) -> Tensor:
        """(M, C) rows of a batch's target over which the loss is a mean."""

    def balanced(self, targets: Iterable[tuple[Tensor, Tensor]]) -> Self:
        """The task with a loss in which rare classes count as much as frequent ones.

        With n_c of n rows of class c, its weight is n / (C n_c), so that all classes together weigh as much as before
        (King and Zeng, Political Analysis 2001; scikit-learn's "balanced"). In multi-label, a category's presence
        weighs (n - n_c) / n_c times its absence. No weight exceeds `LARGEST_WEIGHT`; a class without example has 1.

        Args:
            targets: of all training clips, batch by batch: what `target` gives, and the (B, T) bool it was given.
        """
        sums, counts = zip(
            *((rows.double().sum(0), len(rows)) for rows in itertools.starmap(self.counted, targets)), strict=True
        )
        there, count = torch.stack(sums).sum(0), sum(counts)
        if self.multi_label:
            there = there[:-1]
        outweighed = count - there if self.multi_label else torch.tensor(count / int((there > 0).sum()))
        weights = outweighed / there
        smallest = 1 / LARGEST_WEIGHT
        weights = torch.where(there > 0, weights.clamp(smallest, LARGEST_WEIGHT), 1.0)
        return replace(self, weights=tuple(weights.tolist()))

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean over the M rows of (M, C) logits against (M, C) targets."""
        logits = logits.float()
        weights = _tensor(self.weights, logits)
        if self.multi_label:
            there = target[:, :-1] * (1 - self.label_smoothing) + self.label_smoothing / 2
            return functional.binary_cross_entropy_with_logits(category_odds(logits), there, pos_weight=weights)
        if self.loss_name == "multi-label-soft-margin":
            # Of probabilities where the loss expects logits: this is what the released code does.
            return functional.multilabel_soft_margin_loss(torch.softmax(logits, dim=-1), target, weight=weights)
        return functional.cross_entropy(logits, target, weight=weights, label_smoothing=self.label_smoothing)


class Supervised(Task):
    """Segment labels at training (Tian et al., ECCV 2018, Section 4.1)."""

    def target(self, segment_labels: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C), the labels themselves."""
        return segment_labels

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the valid segments of the batch."""
        return self._loss(output.logits[valid], self.counted(target, valid))

    def counted(self, target: Tensor, valid: Tensor) -> Tensor:
        """The valid segments."""
        return target[valid]

    def pool(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C) logits of segments to (B, C) logits of videos, by their mean."""
        return _mean(logits, valid)


@dataclass(frozen=True)
class Weak(Task):
    """Only a video's label at training: multiple-instance learning (Tian et al., ECCV 2018, Section 4.4).

    Attributes:
        labels: ``one-hot`` or ``proportion``; see `avel.data.labels`. Their numbers must not be compared.
        pooling: of the segments' logits to the video's: ``mean`` is Eq. 7, ``max`` is the released code.
    """

    labels: WeakProtocol = "one-hot"
    pooling: WeakPooling = "mean"

    taught_by: ClassVar[Literal["segments", "videos"]] = "videos"

    def target(self, segment_labels: Tensor, valid: Tensor) -> Tensor:
        """(B, C), with sum 1: the share of segments of each class, or of each event category under ``one-hot``.

        In multi-label, 1 for each category of the video, or for background.

        Under ``one-hot``, a video without event is background. AVE has one category a video, which then has it all.
        """
        share = _mean(segment_labels, valid)  # (B, C)
        if self.labels == "proportion":
            return share
        events = (share[:, :-1] > 0).to(share.dtype)
        label = torch.cat([events, (events.sum(1, keepdim=True) == 0).to(share.dtype)], dim=1)
        return label if self.multi_label else label / label.sum(1, keepdim=True)

    def pool(self, logits: Tensor, valid: Tensor) -> Tensor:
        """(B, T, C) logits of segments to (B, C) logits of videos; padding does not count.

        In multi-label, the largest of a category is that of its logit above background's, which its score comes from.
        """
        if self.pooling == "mean":
            return _mean(logits, valid)
        return _largest(_above_background(logits) if self.multi_label else logits, valid)

    def counted(self, target: Tensor, valid: Tensor) -> Tensor:
        """The videos."""
        return target

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor) -> Tensor:
        """Mean over the videos of the batch."""
        return self._loss(self.pool(output.logits, valid), target)


def task_of(settings: TrainingSettings) -> Task:
    """The task that settings ask for.

    Raises:
        SettingsError: if they ask for what does not go together.
    """
    if settings.label_smoothing and settings.loss != "cross-entropy":
        raise SettingsError(f"label_smoothing: goes with the loss cross-entropy; got {settings.loss}.")
    if settings.multi_label and settings.loss != "cross-entropy":
        raise SettingsError(
            f"loss: with multi_label it is cross-entropy, the binary one of each category; got {settings.loss}."
        )
    if settings.task == "weak":
        if settings.multi_label and settings.weak_labels != "one-hot":
            raise SettingsError(
                "weak_labels: shares of classes that sum to 1 cannot be multi_label; give one-hot, or leave "
                "multi_label off."
            )
        return Weak(
            settings.loss,
            settings.multi_label,
            label_smoothing=settings.label_smoothing,
            labels=settings.weak_labels,
            pooling=settings.pooling,
        )
    return Supervised(settings.loss, settings.multi_label, label_smoothing=settings.label_smoothing)


def _mean(logits: Tensor, valid: Tensor) -> Tensor:
    kept = logits.masked_fill(~valid[..., None], 0.0)
    return kept.sum(dim=1) / valid.sum(dim=1, keepdim=True)


def _above_background(logits: Tensor) -> Tensor:
    return logits - logits[..., -1:]


def _largest(logits: Tensor, valid: Tensor) -> Tensor:
    return logits.masked_fill(~valid[..., None], -torch.inf).amax(dim=1)


def _tensor(weights: Sequence[float], like: Tensor) -> Tensor | None:
    return torch.tensor(weights, dtype=like.dtype, device=like.device) if weights else None
