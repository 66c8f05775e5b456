"""Agreement of two frozen taggers: an audio-visual event localizer that needs no training.

An audio tagger and a visual tagger score every event category through lists of their own classes
(`avel.data.categories`). A category is there where both say so. It is the system for people who have no trained
checkpoint; it follows no paper.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from avel.data.categories import Category, class_indices
from avel.models.base import LocalizationModel, ModelOutput, TaskSpec

_KERNEL = (0.25, 0.5, 0.25)


def smoothed(values: Tensor, inside: Tensor) -> Tensor:
    """Average of each segment with its neighbours, itself counting as much as both.

    Args:
        values: (B, T, C).
        inside: (B, T, 1) bool; other segments count for nothing.
    """
    weights = inside.to(values.dtype)
    return _spread(values * weights) / _spread(weights).clamp(min=_KERNEL[0])


def _spread(x: Tensor) -> Tensor:
    before, itself, after = _KERNEL
    padded = functional.pad(x, (0, 0, 1, 1))  # (B, T + 2, C)
    return before * padded[:, :-2] + itself * x + after * padded[:, 2:]


class Agreement(LocalizationModel):
    """Scores of two taggers to scores of event categories.

    With p the probability of a category in one modality (the largest of its classes' for the audio tagger, whose
    classes are independent; the sum for the visual tagger, whose classes exclude each other) and tau the category's
    threshold, its score is p / (p + tau): 0.5 at the threshold, and monotone. The audio-visual score is the smaller of
    the two, so that both have to agree.

    What is in view changes more slowly than what is heard, and a tagger's word on single pictures flickers: the visual
    probabilities are smoothed over neighbouring segments (`smoothed`). Sounds as short as a bark are left as they are.

    A tagger with 1000 classes that sees nothing it knows gives each 1/1000, and so 118 breeds of dog a probability of
    0.118. What chance gives a category is therefore taken off: p becomes (p - chance) / (1 - chance).

    Args:
        categories: what to look for.
        visual_labels: names of the D_v visual scores.
        audio_labels: names of the D_a audio scores.
        visual_chance: what chance gives each of the D_v visual scores; 0 when ``None``.

    Raises:
        CategoriesError: if a category names a class that the taggers do not have.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        visual_labels: Sequence[str],
        audio_labels: Sequence[str],
        visual_chance: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.spec = TaskSpec(tuple(category.name for category in categories), "multi-label")
        heard, required = [], []
        seen = torch.zeros(len(visual_labels), len(categories))
        for i, category in enumerate(categories):
            heard.append(class_indices(category.audio, audio_labels, category.name))
            required.append(class_indices(category.audio_requires, audio_labels, category.name))
            seen[class_indices(category.visual, visual_labels, category.name), i] = 1.0
        self.audible = [bool(indices) for indices in heard]
        self.visible = [bool(column.any()) for column in seen.T]
        self._heard, self._required = heard, required
        self.register_buffer("seen", seen)  # (D_v, C - 1)
        chance = torch.zeros(len(visual_labels)) if visual_chance is None else torch.tensor(visual_chance)
        self.register_buffer("chance", chance @ seen)  # (C - 1)
        self.register_buffer("audio_thresholds", torch.tensor([c.audio_threshold for c in categories]))
        self.register_buffer("visual_thresholds", torch.tensor([c.visual_threshold for c in categories]))
        self.seen: Tensor
        self.chance: Tensor
        self.audio_thresholds: Tensor
        self.visual_thresholds: Tensor

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v) probabilities; a category is seen where any region sees it. All zeros where the
                pictures could not be read.
            audio: (B, T, D_a) probabilities.
            valid: (B, T) bool.

        Returns:
            Logits of the audio-visual scores, with background at 0, which is score 0.5; and ``audio_scores`` and
            ``visual_scores``.
        """
        visual_p = ((visual @ self.seen - self.chance) / (1 - self.chance)).clamp(0, 1).amax(dim=2)  # (B, T, C - 1)
        audio_p = torch.stack([self._audio_probability(audio, i) for i in range(len(self.spec.categories))], dim=-1)
        inside = valid[..., None]
        readable = inside & visual.any(dim=-1).any(dim=-1)[..., None]
        visual_p = torch.where(readable, smoothed(visual_p, readable), 0.0)
        visual_scores = torch.where(inside, visual_p / (visual_p + self.visual_thresholds), 0.0)
        audio_scores = torch.where(inside, audio_p / (audio_p + self.audio_thresholds), 0.0)
        agreed = torch.minimum(visual_scores, audio_scores)
        logits = torch.logit(agreed, eps=1e-6)
        background = torch.zeros_like(logits[..., :1])
        return ModelOutput(
            torch.cat([logits, background], dim=-1),
            {"audio_scores": audio_scores, "visual_scores": visual_scores},
        )

    def _audio_probability(self, audio: Tensor, category: int) -> Tensor:
        if not self._heard[category]:
            return torch.zeros_like(audio[..., 0])
        probability = audio[..., self._heard[category]].amax(dim=-1)
        for index in self._required[category]:
            probability = torch.minimum(probability, audio[..., index])
        return probability
