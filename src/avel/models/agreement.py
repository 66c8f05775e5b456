"""Agreement of two frozen taggers: an audio-visual event localizer that needs no training.

An audio tagger and a visual tagger score every event category through lists of their own classes
(`avel.data.categories`). A category is there where both say so. It is the system for people who have no trained
checkpoint; it follows no paper. It has nothing to train and is a little arithmetic, so it is written for NumPy:
whoever only localizes never imports PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.data.categories import Category, class_indices

Probabilities = npt.NDArray[np.float32]
"""In [0, 1], of a tagger's classes or of event categories."""

Odds = npt.NDArray[np.float32]
"""Of event categories, 0 or more; 1 at the threshold."""

ALIKE = 0.5
"""What a class counts that is only like a category's own."""

COMPANY = 3.0
"""How many times as much a modality's odds count at most where the other one agrees."""

_KERNEL = (0.25, 0.5, 0.25)


def smoothed(values: Probabilities, inside: npt.NDArray[np.bool_]) -> Probabilities:
    """Average of each segment with its neighbours, itself counting as much as both.

    Args:
        values: (T, C).
        inside: (T, 1); other segments count for nothing.
    """
    weights = inside.astype(values.dtype)
    return np.asarray(_spread(values * weights) / np.maximum(_spread(weights), np.float32(_KERNEL[0])), np.float32)


def _spread(x: Probabilities) -> Probabilities:
    before, itself, after = map(np.float32, _KERNEL)
    padded = np.pad(x, ((1, 1), (0, 0)))  # (T + 2, C)
    return np.asarray(before * padded[:-2] + itself * x + after * padded[2:])


def agreement(audio: Odds, visual: Odds) -> Odds:
    """Odds of what is both heard and seen, from the odds of each; see `Agreement`."""
    return np.asarray(np.minimum(np.sqrt(audio * visual), COMPANY * np.minimum(audio, visual)), np.float32)


def _odds(
    scores: Probabilities,
    classes: npt.NDArray[np.float32],
    chance: Probabilities,
    thresholds: Probabilities,
    inside: npt.NDArray[np.bool_],
) -> Odds:
    """(T, C - 1) odds of what a visual tagger sees in (T, R, D) pictures; 0 where it saw none."""
    looked = inside & np.asarray(scores.any(axis=(1, 2)))[:, None]
    p = ((scores @ classes - chance) / (1 - chance)).clip(0, 1).max(axis=1)
    return np.asarray(np.where(looked, smoothed(p, looked), 0) / thresholds, np.float32)


def _mean_over_steps(values: Probabilities, inside: npt.NDArray[np.bool_], count: int) -> Probabilities:
    """Mean of `count` steps around each, (T, S, C); those outside count for nothing."""
    rows = values.reshape(-1, values.shape[-1])  # (T * S, C)
    weights = inside.astype(values.dtype).reshape(-1, 1)
    reach = count // 2

    def total(x: Probabilities) -> Probabilities:
        padded = np.pad(x, ((reach, reach), (0, 0)))
        return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, count, axis=0).sum(axis=-1))

    return np.asarray((total(rows) / np.maximum(total(weights), 1)).reshape(values.shape), np.float32)


@dataclass(frozen=True)
class Agreed:
    """What is said of T segments, each of S steps of sound; scores are 0.5 at odds of 1.

    Attributes:
        events: (T, C - 1) audio-visual scores, the greatest of a segment's steps.
        audio: (T, C - 1) scores of what is heard, classes that are only alike left out, the greatest of the steps.
        visual: (T, C - 1) scores of what is seen.
        audio_odds: (T, S, C - 1) of what is heard.
        heard_odds: (T, S, C - 1), classes that are only alike left out.
        visual_odds: (T, C - 1) of what is seen.
        seen_odds: (T, C - 1), classes that are only alike and actions left out.
        done_odds: (T, C - 1) by actions alone.
    """

    events: Probabilities
    audio: Probabilities
    visual: Probabilities
    audio_odds: Odds
    heard_odds: Odds
    visual_odds: Odds
    seen_odds: Odds
    done_odds: Odds


class Agreement:
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
        self.categories: tuple[str, ...] = tuple(category.name for category in categories)
        self.smooth_steps = smooth_steps
        self._heard, self._alike, self._required, self._unlike = (
            [class_indices(getattr(category, key), audio_labels, category.name) for category in categories]
            for key in ("audio", "audio_like", "audio_requires", "audio_unlike")
        )
        seen = np.zeros((len(visual_labels), len(categories)), np.float32)
        done = np.zeros((len(action_labels), len(categories)), np.float32)
        for i, category in enumerate(categories):
            seen[class_indices(category.visual_like, visual_labels, category.name), i] = ALIKE
            seen[class_indices(category.visual, visual_labels, category.name), i] = 1.0
            if action_labels:
                done[class_indices(category.actions, action_labels, category.name), i] = 1.0
        self.seen, self.done = seen, done
        self.audible: list[bool] = [bool(heard or alike) for heard, alike in zip(self._heard, self._alike, strict=True)]
        self.visible: list[bool] = [bool(column.any()) for column in np.concatenate([seen, done]).T]
        chance = np.zeros(len(visual_labels)) if visual_chance is None else np.asarray(visual_chance)
        self._itself = (seen == 1).astype(np.float32)
        self._chance = np.asarray(chance @ seen, np.float32)  # (C - 1)
        self._chance_of_itself = np.asarray(chance @ self._itself, np.float32)
        self._audio_thresholds, self._visual_thresholds, self._action_thresholds = (
            np.array([getattr(category, f"{kind}_threshold") for category in categories], np.float32)
            for kind in ("audio", "visual", "action")
        )

    def __call__(self, visual: Probabilities, audio: Probabilities, valid: npt.NDArray[np.bool_]) -> Agreed:
        """Score every segment.

        Args:
            visual: (T, R, D_v + D_k) probabilities; a category is seen where any region sees it. All zeros where the
                pictures could not be read.
            audio: (T, D_a) probabilities, or (T, S, D_a) of S steps of each segment.
            valid: (T,) bool; False where a segment is only padding.
        """
        if audio.ndim == 2:
            audio = audio[:, None]
        inside = valid[:, None]
        seen_odds, done_odds, visual_odds = self._visual_odds(visual, inside)
        heard_odds, audio_odds = self._audio_odds(audio, inside)
        agreed = agreement(audio_odds, visual_odds[:, None]).max(axis=1)
        heard = heard_odds.max(axis=1)
        return Agreed(
            events=agreed / (1 + agreed),
            audio=heard / (1 + heard),
            visual=visual_odds / (1 + visual_odds),
            audio_odds=audio_odds,
            heard_odds=heard_odds,
            visual_odds=visual_odds,
            seen_odds=seen_odds,
            done_odds=done_odds,
        )

    def _visual_odds(self, visual: Probabilities, inside: npt.NDArray[np.bool_]) -> tuple[Odds, Odds, Odds]:
        """Odds by what things are, by what people do, and by both and what is alike, (T, C - 1) each."""
        things, actions = visual[..., : len(self.seen)], visual[..., len(self.seen) :]
        seen_odds = _odds(things, self._itself, self._chance_of_itself, self._visual_thresholds, inside)
        odds = _odds(things, self.seen, self._chance, self._visual_thresholds, inside)
        if not len(self.done):
            return seen_odds, np.zeros_like(odds), odds
        chance = self.done.sum(axis=0) / np.float32(len(self.done))
        done_odds = _odds(actions, self.done, chance, self._action_thresholds, inside)
        return seen_odds, done_odds, np.maximum(odds, done_odds)

    def _audio_odds(self, audio: Probabilities, inside: npt.NDArray[np.bool_]) -> tuple[Odds, Odds]:
        """Odds without and with what is alike, (T, S, C - 1) each."""
        heard, alike = (
            np.stack([self._audio_probability(audio, number, classes) for number in range(len(classes))], axis=-1)
            for classes in (self._heard, self._alike)
        )
        both = np.concatenate([heard, np.maximum(heard, np.float32(ALIKE) * alike)], axis=-1)
        both = np.where(inside[:, None], both, np.float32(0))
        if self.smooth_steps > 1:
            steps = np.broadcast_to(inside[:, None], (*both.shape[:2], 1))
            both = _mean_over_steps(both, steps, self.smooth_steps)
        heard, both = np.split(both, 2, axis=-1)
        return np.asarray(heard / self._audio_thresholds), np.asarray(both / self._audio_thresholds)

    def _audio_probability(
        self, audio: Probabilities, category: int, classes: Sequence[Sequence[int]]
    ) -> Probabilities:
        if not classes[category]:
            return np.zeros_like(audio[..., 0])
        probability = audio[..., classes[category]].max(axis=-1)
        for index in self._required[category]:
            probability = np.minimum(probability, audio[..., index])
        if self._unlike[category]:
            other = audio[..., self._unlike[category]].max(axis=-1)
            probability = np.where(other >= probability, np.float32(0), probability)
        return np.asarray(probability)
