"""The one interface of all localization models.

Shapes: B videos, T segments, R regions, D features, C classes. Models take tensors and give tensors. Which backbones
made the features is no business of theirs; a checkpoint says it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from avel.models.layers import all_valid, check_inputs, without_padding
from avel.models.options import Dims


@dataclass(frozen=True)
class TaskSpec:
    """What a model answers, and what it is taught by.

    Attributes:
        categories: names of the event categories, C - 1 of them; class C - 1 is background.
        kind: ``one-class``: classes exclude each other, a segment has the one with the largest logit; ``multi-label``:
            categories are scored independently, so that events of several may overlap.
        target: what is known at training: ``segments``, (B, T, C) the classes of every segment; ``videos``, (B, C) the
            classes of every video, whose sum is 1 in ``one-class``.
    """

    categories: tuple[str, ...]
    kind: Literal["one-class", "multi-label"] = "one-class"
    target: Literal["segments", "videos"] = "segments"

    @property
    def multi_label(self) -> bool:
        """Whether events of several categories may overlap."""
        return self.kind == "multi-label"


@dataclass(frozen=True)
class ModelOutput:
    """What a model says of a batch of videos.

    Attributes:
        logits: (B, T, C) float32; the last class is background.
        shown: what the model can show besides, by name; what the names mean is in `avel.models.details.DETAILS`:
            ``spatial_attention`` (B, T, R), ``temporal_attention`` (B, T, T), ``gates``, ``audio_gates`` and
            ``visual_gates`` (B, T) in [0, 1], ``event_relevance`` (B, T) logits of there being any event,
            ``similarity`` (B, T) in [-1, 1], ``video_category`` (B, C - 1) logits of what the video is about, or
            (B, C) with background. What only its loss needs besides: ``audio_features`` and ``visual_features``
            (B, T, D).
    """

    logits: Tensor
    shown: Mapping[str, Tensor] = field(default_factory=dict)


def category_odds(logits: Tensor) -> Tensor:
    """(..., C) logits to (..., C - 1), of each category against background; their sigmoid is a score by itself."""
    return logits[..., :-1] - logits[..., -1:]


TaskLoss = Callable[[ModelOutput, Tensor, Tensor], Tensor]
"""A task's loss of a model's output, its target and ``valid``; see `avel.training.tasks.Task`."""


class LocalizationModel(nn.Module):
    """Base of every model.

    Attributes:
        spec: its task. Whoever trains or loads a model sets it; one that was only built has numbered categories.
    """

    spec: TaskSpec

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v) float32.
            audio: (B, T, D_a) float32.
            valid: (B, T) bool; False where a segment is only padding.
        """
        raise NotImplementedError

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor, task_loss: TaskLoss) -> Tensor:
        """What training makes small: the task's loss, unless the model's paper has its own or adds to it.

        Args:
            output: of `forward`, for a batch.
            target: what ``spec.target`` says.
            valid: (B, T) bool; False where a segment is only padding.
            task_loss: of the task.

        Returns:
            A scalar.
        """
        return task_loss(output, target, valid)


def shown_by(model: LocalizationModel, dims: Dims) -> tuple[str, ...]:
    """Names of what a model shows besides its logits, found by asking it of one segment of zeros."""
    with torch.inference_mode():
        output = model(
            torch.zeros(1, 1, dims.regions, dims.visual_dims),
            torch.zeros(1, 1, dims.audio_dims),
            torch.ones(1, 1, dtype=torch.bool),
        )
    return tuple(output.shown)


def worth_showing(model: LocalizationModel, dims: Dims) -> tuple[str, ...]:
    """The same without attention over a single region, which says nothing of where in the picture something is."""
    return tuple(name for name in shown_by(model, dims) if name != "spatial_attention" or dims.regions > 1)


class TwoModalityInput(LocalizationModel):
    """Base of the models here: checks the input and clears its padding."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims
        self.spec: TaskSpec = TaskSpec(tuple(str(number) for number in range(dims.num_categories)))

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v) float; T may be any number from 1.
            audio: (B, T, D_a) float.
            valid: (B, T) bool; False where a segment is only padding. What it holds there is not looked at.

        Returns:
            Logits (B, T, C), zero where padding, and what the model can show.

        Raises:
            ValueError: if a shape or the mask's type is not as the model was built for.
        """
        check_inputs(visual, audio, valid, (self.dims.regions, self.dims.visual_dims, self.dims.audio_dims))
        if not all_valid(valid):
            visual, audio = without_padding(visual, valid), without_padding(audio, valid)
        shown: dict[str, Tensor] = {}
        logits = self.score(visual, audio, valid, shown)
        return ModelOutput(without_padding(logits.float(), valid), shown)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C) of input without padding; what can be shown goes into ``shown``."""
        raise NotImplementedError


class LearnedAtOnce(TwoModalityInput):
    """Base of models whose weights are computed from all training clips at once: no steps, no epochs, nothing drawn."""

    def see(self, visual: Tensor, audio: Tensor, valid: Tensor, target: Tensor) -> None:
        """Take in a batch of training clips.

        Args:
            visual: (B, T, R, D_v) float.
            audio: (B, T, D_a) float.
            valid: (B, T) bool; False where a segment is only padding.
            target: what ``spec.target`` says.
        """
        raise NotImplementedError

    def settle(self) -> None:
        """Set the weights from all that was seen, and forget it."""
        raise NotImplementedError
