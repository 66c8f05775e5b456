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

ALIKE = 0.5
"""What a class counts that is only like a category's own."""

COMPANY = 3.0
"""How many times as much a modality's odds count at most where the other one agrees."""

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


def agreement(audio: Tensor, visual: Tensor) -> Tensor:
    """Odds of what is both heard and seen, from the odds of each; see `Agreement`."""
    return torch.minimum((audio * visual).sqrt(), COMPANY * torch.minimum(audio, visual))


def _odds(scores: Tensor, classes: Tensor, chance: Tensor, thresholds: Tensor, inside: Tensor) -> Tensor:
    """(B, T, C - 1) odds of what a visual tagger sees in (B, T, R, D) pictures; 0 where it saw none."""
    looked = inside & scores.any(dim=-1).any(dim=-1)[..., None]
    p = ((scores @ classes - chance) / (1 - chance)).clamp(0, 1).amax(dim=2)
    return torch.where(looked, smoothed(p, looked), 0.0) / thresholds


def _mean_over_steps(values: Tensor, inside: Tensor, count: int) -> Tensor:
    """Mean of `count` steps around each, (B, T, S, C); those outside count for nothing."""
    batch, segments, steps, _ = values.shape
    kernel = torch.ones(1, 1, count)

    def total(x: Tensor) -> Tensor:
        rows = x.reshape(batch, segments * steps, -1).transpose(1, 2)  # (B, C, T * S)
        summed = functional.conv1d(rows.reshape(-1, 1, segments * steps), kernel, padding=count // 2)
        return summed.reshape(batch, -1, segments * steps).transpose(1, 2).reshape(batch, segments, steps, -1)

    return total(values) / total(inside.to(values.dtype)).clamp(min=1.0)


class Agreement(LocalizationModel):
    """Scores of taggers to scores of event categories.

    With p the probability of a category in one modality (the largest of its classes' for the audio tagger, whose
    classes are independent; the sum for a visual tagger, whose classes exclude each other) and tau the category's
    threshold, its odds are p / tau and its score is p / (p + tau): 0.5 at the threshold, and monotone. The surest of
    several visual taggers counts. Classes that a category lists as alike count half.

    Two weak words that agree are worth one strong word: the audio-visual odds are the geometric mean of both
    modalities' (independent evidence adds up in log odds), but no more than `COMPANY` times the smaller of the two, so
    that neither modality speaks for the other.

    What is in view changes more slowly than what is heard, and a tagger's word on single pictures flickers: the visual
    probabilities are smoothed over neighbouring segments (`smoothed`). Sounds as short as a bark are left as they are;
    where windows of sound overlap from step to step, probabilities are averaged over `smooth_steps` of them.

    A tagger with 1000 classes that sees nothing it knows gives each 1/1000, and so 118 breeds of dog a probability of
    0.118. What chance gives a category is therefore taken off: p becomes (p - chance) / (1 - chance).

    Args:
        categories: what to look for.
        visual_labels: names of the visual scores of what things are.
        audio_labels: names of the D_a audio scores.
        visual_chance: what chance gives each of the visual scores; 0 when ``None``.
        action_labels: names of the visual scores of what people do, which come after those of things.
        smooth_steps: odd number of steps of sound that are averaged.

    Raises:
        CategoriesError: if a category names a class that the taggers do not have.
    """

    def __init__(
        self,
        categories: Sequence[Category],
        visual_labels: Sequence[str],
        audio_labels: Sequence[str],
        visual_chance: Sequence[float] | None = None,
        action_labels: Sequence[str] = (),
        smooth_steps: int = 1,
    ) -> None:
        super().__init__()
        self.spec = TaskSpec(tuple(category.name for category in categories), "multi-label")
        self.smooth_steps = smooth_steps
        self._heard, self._alike, self._required = (
            [class_indices(getattr(category, key), audio_labels, category.name) for category in categories]
            for key in ("audio", "audio_like", "audio_requires")
        )
        seen = torch.zeros(len(visual_labels), len(categories))
        done = torch.zeros(len(action_labels), len(categories))
        for i, category in enumerate(categories):
            seen[class_indices(category.visual_like, visual_labels, category.name), i] = ALIKE
            seen[class_indices(category.visual, visual_labels, category.name), i] = 1.0
            if action_labels:
                done[class_indices(category.actions, action_labels, category.name), i] = 1.0
        self.audible = [bool(heard or alike) for heard, alike in zip(self._heard, self._alike, strict=True)]
        self.visible = [bool(column.any()) for column in torch.cat([seen, done]).T]
        self.register_buffer("seen", seen)  # (D_v, C - 1)
        self.register_buffer("done", done)  # (D_k, C - 1)
        chance = torch.zeros(len(visual_labels)) if visual_chance is None else torch.tensor(visual_chance)
        self.register_buffer("chance", chance @ seen)  # (C - 1)
        self.register_buffer("chance_of_itself", chance @ (seen == 1).to(seen.dtype))  # (C - 1)
        self.register_buffer("audio_thresholds", torch.tensor([c.audio_threshold for c in categories]))
        self.register_buffer("visual_thresholds", torch.tensor([c.visual_threshold for c in categories]))
        self.register_buffer("action_thresholds", torch.tensor([c.action_threshold for c in categories]))
        self.seen: Tensor
        self.done: Tensor
        self.chance: Tensor
        self.chance_of_itself: Tensor
        self.audio_thresholds: Tensor
        self.visual_thresholds: Tensor
        self.action_thresholds: Tensor

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v + D_k) probabilities; a category is seen where any region sees it. All zeros where
                the pictures could not be read.
            audio: (B, T, D_a) probabilities, or (B, T, S, D_a) of S steps of each segment.
            valid: (B, T) bool.

        Returns:
            Logits of the audio-visual scores, the greatest of a segment's steps, with background at 0, which is score
            0.5; ``audio_scores`` and ``visual_scores`` (B, T, C - 1); and what they are made of: ``audio_odds`` and,
            without classes that are only alike, ``heard_odds`` (B, T, S, C - 1); ``visual_odds`` and, without classes
            that are only alike and without actions, ``seen_odds`` (B, T, C - 1).
        """
        if audio.dim() == 3:
            audio = audio[:, :, None]
        inside = valid[..., None]
        seen_odds, visual_odds = self._visual_odds(visual, inside)
        heard_odds, audio_odds = self._audio_odds(audio, inside)
        agreed = agreement(audio_odds, visual_odds[:, :, None]).amax(dim=2)
        logits = torch.logit(agreed / (1 + agreed), eps=1e-6)
        background = torch.zeros_like(logits[..., :1])
        heard = heard_odds.amax(dim=2)
        return ModelOutput(
            torch.cat([logits, background], dim=-1),
            {
                "audio_scores": heard / (1 + heard),
                "visual_scores": visual_odds / (1 + visual_odds),
                "audio_odds": audio_odds,
                "heard_odds": heard_odds,
                "visual_odds": visual_odds,
                "seen_odds": seen_odds,
            },
        )

    def _visual_odds(self, visual: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Odds by what things are alone, and with what is alike and what people do, (B, T, C - 1) each."""
        things, actions = visual[..., : len(self.seen)], visual[..., len(self.seen) :]
        itself = (self.seen == 1).to(self.seen.dtype)
        seen_odds = _odds(things, itself, self.chance_of_itself, self.visual_thresholds, inside)
        odds = _odds(things, self.seen, self.chance, self.visual_thresholds, inside)
        if not len(self.done):
            return seen_odds, odds
        chance = self.done.sum(dim=0) / len(self.done)
        return seen_odds, torch.maximum(odds, _odds(actions, self.done, chance, self.action_thresholds, inside))

    def _audio_odds(self, audio: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
        """Odds without and with what is alike, (B, T, S, C - 1) each."""
        heard = torch.stack([self._audio_probability(audio, i, self._heard) for i in range(len(self._heard))], dim=-1)
        alike = torch.stack([self._audio_probability(audio, i, self._alike) for i in range(len(self._alike))], dim=-1)
        both = torch.cat([heard, torch.maximum(heard, ALIKE * alike)], dim=-1)
        both = torch.where(inside[:, :, None], both, 0.0)
        if self.smooth_steps > 1:
            both = _mean_over_steps(both, inside[:, :, None].expand_as(both[..., :1]), self.smooth_steps)
        heard, both = both.chunk(2, dim=-1)
        return heard / self.audio_thresholds, both / self.audio_thresholds

    def _audio_probability(self, audio: Tensor, category: int, classes: Sequence[Sequence[int]]) -> Tensor:
        if not classes[category]:
            return torch.zeros_like(audio[..., 0])
        probability = audio[..., classes[category]].amax(dim=-1)
        for index in self._required[category]:
            probability = torch.minimum(probability, audio[..., index])
        return probability
