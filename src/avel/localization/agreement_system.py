"""The system that needs no training: an audio tagger and visual taggers that agree (`avel.models.agreement`)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones import weights
from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.backbones.voice import VOICES, Voice, voice_scores
from avel.data.categories import Category, class_indices
from avel.errors import CategoriesError, WeightsError
from avel.events import Event, Segment
from avel.features.extract import FeatureBatch
from avel.features.jobs import Backbones
from avel.localization.decoding import Decoding, SegmentScores, present_in, segments
from avel.localization.loudness import SHORTEST_SECONDS, Loudness
from avel.localization.naming import Naming, StepOdds
from avel.localization.system import System
from avel.localization.windows import SegmentArrays, Windows
from avel.models.agreement import Agreement, agreement
from avel.synchrony.changes import Motion, Onsets
from avel.synchrony.witness import Witness

AUDIO_TAGGERS = ("auto", "yamnet", "yamnet-onnx", "embedded")

HOP_SECONDS = 0.1
SMOOTH_SECONDS = 0.5
"""Windows of sound of a second overlap over this long, so that one alone need not be believed."""

ANIMALS = ("Chihuahua..meerkat", "wood rabbit..giant panda")
ANIMAL_FACE = 0.5
"""Probability of an animal from which a face is the animal's: the detector finds those of dogs and goats too."""

WORTH_LISTENING = 0.05
"""Probability of a sound from which it is asked whose voice it is: voices are judged over several segments, and each of
them counts by that probability."""

WORTH_LOOKING = 0.65
"""Odds of what is heard from which the network for actions, which is heavy, is asked whether it is seen: what is heard
less, an action of the probability that actions mostly have (0.4) would not make an event."""


def check_audio_tagger(name: str) -> None:
    """Refuse what is none of `AUDIO_TAGGERS`.

    Raises:
        ValueError: if it is none.
    """
    if name not in AUDIO_TAGGERS:
        raise ValueError(f"Unknown audio tagger {name!r}. Supported are {', '.join(AUDIO_TAGGERS)}.")


class AgreementSystem(System):
    """Frozen taggers that agree.

    The sound is scored in windows that move on by `HOP_SECONDS`; events start and end where it does. The network that
    sees what people do is run only around segments where a category that it could confirm is heard and not seen yet;
    the one that knows voices, where somebody may speak or sing.

    Args:
        categories: what to look for.
        segment_seconds: length of a segment.
        options: device and precision.
        audio_tagger: one of `AUDIO_TAGGERS`.
        refine: whether starts and ends of events are finer than segments.

    Raises:
        CategoriesError: if the categories name classes that the taggers lack.
        WeightsError: if a tagger's weights are not available.
        ValueError: if there is no such tagger.
    """

    name = "agreement"
    decoding: Decoding = Decoding(keep=0.3)
    # Scores of a segment depend on its neighbours alone, which the overlap gives it: windows change nothing.
    windows: Windows = Windows(64, 2)

    def __init__(
        self,
        categories: Sequence[Category],
        segment_seconds: float,
        options: EngineOptions,
        audio_tagger: str,
        *,
        refine: bool = True,
    ) -> None:
        self.categories: tuple[str, ...] = tuple(category.name for category in categories)
        self._table = tuple(categories)
        self.segment_seconds = segment_seconds
        things = [
            visual_backbone(name, options, segment_seconds=segment_seconds) for name in ("efficientnet-lite0", "faces")
        ]
        actions = self._actions(options)
        steps: dict[str, Any] = {"hop_seconds": HOP_SECONDS, "segment_seconds": segment_seconds} if refine else {}
        tagger = self._audio_tagger(audio_tagger, options, steps)
        self._animals = class_indices(ANIMALS, things[0].labels or (), "animals")
        self._tagger = tagger.name
        self._steps = tagger.steps or 1
        edges = [audio_backbone("edges", options, **steps)] if refine else []
        self.backbones: Backbones = Backbones([*things, *actions], [tagger, audio_backbone("voice", options), *edges])
        self.synchrony: Backbones = Backbones([Motion(segment_seconds)], [Onsets(segment_seconds)])
        self._voiced = _voiced(self._table, tagger.labels or ())
        self.gates = {Voice.name: self._worth_listening, **{eye.name: self._worth_looking for eye in actions}}
        smooth = round(SMOOTH_SECONDS * self._steps / segment_seconds) if refine else 1
        self._model = Agreement(
            self._table,
            visual_labels=[label for backbone in things for label in backbone.labels or ()],
            audio_labels=[*(tagger.labels or ()), *VOICES],
            visual_chance=[
                1 / backbone.dims if backbone.exclusive else 0.0 for backbone in things for _ in range(backbone.dims)
            ],
            action_labels=[label for backbone in actions for label in backbone.labels or ()],
            smooth_steps=smooth + 1 - smooth % 2,
        )
        by_category = np.concatenate([self._model.seen, self._model.done]).T
        self._naming = Naming(self._table, [frozenset(np.flatnonzero(seen).tolist()) for seen in by_category])

    def _actions(self, options: EngineOptions) -> list[VisualBackbone]:
        if not any(category.actions for category in self._table):
            return []
        try:
            return [visual_backbone("i3d", options, segment_seconds=self.segment_seconds)]
        except WeightsError:
            self.notices = (
                *self.notices,
                "The weights of I3D are not available here, so that what people do is not seen: fewer events are "
                "found. `avel weights fetch i3d-kinetics400` says what to do.",
            )
            return []

    def _audio_tagger(self, name: str, options: EngineOptions, steps: dict[str, Any]) -> AudioBackbone:
        check_audio_tagger(name)
        if name != "auto":
            return audio_backbone(name, options, **steps)
        for better in weights.here_first(["yamnet", weights.SUBSTITUTES["yamnet"]]):
            try:
                return audio_backbone(better, options, **steps)
            except WeightsError:
                pass
        self.notices: tuple[str, ...] = (
            *self.notices,
            "YAMNet's weights are not available here, so the smaller embedded audio tagger listens. "
            "`avel weights fetch yamnet` says what to do; --audio-tagger embedded chooses it without this notice.",
        )
        return audio_backbone("embedded", options, **steps)

    def inputs(self, batch: FeatureBatch) -> dict[str, npt.NDArray[Any]]:
        """See `System`; ``audio`` is (T, S, D_a), with ``voice`` (T, 3) and ``edges`` (T, S, 3) beside it."""
        visual = [batch.visual[b.name] for b in self.backbones.visual if b.name in batch.visual]
        animal = visual[0][..., self._animals].sum(axis=-1, keepdims=True)
        visual[1] = visual[1] * (1 - animal / ANIMAL_FACE).clip(min=0)
        audio = batch.audio[self._tagger]
        inputs: dict[str, npt.NDArray[Any]] = {
            "visual": np.concatenate(visual, axis=-1),
            "audio": audio if audio.ndim == 3 else audio[:, np.newaxis],
            "voice": batch.audio["voice"],
        }
        if "edges" in batch.audio:
            inputs["edges"] = batch.audio["edges"]
        return inputs

    def _worth_listening(self, batch: FeatureBatch) -> npt.NDArray[np.bool_]:
        """Segments where what has a voice is heard, if only a little."""
        scores = batch.audio[self._tagger][..., self._voiced]
        return np.asarray((scores >= WORTH_LISTENING).reshape(len(scores), -1).any(axis=1))

    def _worth_looking(self, batch: FeatureBatch) -> npt.NDArray[np.bool_]:
        """Segments where an action could confirm what is heard long enough, and no kind of it is settled already."""
        inputs = self.inputs(batch)
        not_looked = ((0, 0), (0, 0), (0, len(self._model.done)))
        inputs["visual"] = np.pad(inputs["visual"], not_looked)
        found = self.predict(inputs, np.ones(len(batch.audio_valid), dtype=bool))
        audio, visual = found["audio_odds"], found["visual_odds"]
        settled = agreement(audio, visual[:, None]) >= 1  # (T, S, C - 1)
        for family in self._naming.families:
            settled[..., family] = settled[..., family].any(axis=-1, keepdims=True)
        asked = (audio >= WORTH_LOOKING) & ~settled & self._model.done.any(axis=0)
        shortest = min(self._steps, round(SHORTEST_SECONDS * self._steps / self.segment_seconds))
        return np.asarray((asked.sum(axis=1) >= shortest).any(axis=-1))

    def predict(self, inputs: SegmentArrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """See `System`. Whose voice it is takes more of the video than a window's seams give: `scores` judges it."""
        sounds = inputs["audio"]
        anyones = np.ones((*sounds.shape[:-1], len(VOICES)), sounds.dtype)
        found = self._model(inputs["visual"], np.concatenate([sounds, anyones], axis=-1), valid)
        beside = {name: inputs[name] for name in ("voice", "edges") if name in inputs}
        return {**vars(found), **beside}

    def judged(self, predictions: SegmentArrays, witness: Witness | None) -> SegmentArrays:
        """See `System`: whose voice it is, and ``in_time_odds`` (T, C - 1) that the sound is made by what moves."""
        judged = dict(predictions)
        for index, odds in self._voices(predictions).items():
            for name in ("audio_odds", "heard_odds"):
                judged[name] = _at_most(judged[name], index, odds[:, None])
            for name in ("audio", "events"):
                judged[name] = _at_most(judged[name], index, odds / (1 + odds))
        can_be = np.array([category.in_time for category in self._table])
        confidence = np.zeros(len(predictions["audio"]), np.float32) if witness is None else witness.confidence
        in_time = np.where(can_be, confidence[:, None], np.float32(0))
        judged["in_time_odds"] = in_time / np.maximum(1 - in_time, np.float32(1e-3))
        judged["events"] = np.maximum(judged["events"], np.minimum(judged["audio"], in_time))
        return judged

    def scores(self, predictions: SegmentArrays) -> SegmentScores:
        """See `System`."""
        return SegmentScores(
            categories=self.categories,
            events=predictions["events"],
            audio=predictions["audio"],
            visual=predictions["visual"],
            seen_alone=np.array([category.visual_evidence == "class" for category in self._table]),
        )

    def _voices(self, predictions: SegmentArrays) -> dict[int, npt.NDArray[np.float32]]:
        """Odds (T,) that the voice is the one that a category requires, by the number of the category."""
        odds = {}
        for index, category in enumerate(self._table):
            for name in category.audio_requires:
                if name.casefold() in VOICES:
                    whose = voice_scores(predictions["voice"], predictions["audio"][:, index], self.segment_seconds)
                    odds[index] = whose[:, VOICES.index(name.casefold())] / category.audio_threshold
        return odds

    def decode(
        self,
        predictions: SegmentArrays,
        scores: SegmentScores,
        bounds: list[tuple[float, float]],
        audio_valid: npt.NDArray[np.bool_],
        visual_valid: npt.NDArray[np.bool_],
        decoding: Decoding,
    ) -> tuple[tuple[Event, ...], tuple[Segment, ...]]:
        """See `System`: events by `avel.localization.naming`; what is in time with the picture counts as seen."""
        step_seconds, duration_seconds = self.segment_seconds / self._steps, bounds[-1][1]
        count = math.ceil(duration_seconds / step_seconds - 1e-6)  # what comes after it is padding
        edges = predictions.get("edges")
        heard = {
            name: (predictions[name] * audio_valid[:, None, None]).reshape(-1, len(self.categories))[:count]
            for name in ("audio_odds", "heard_odds")
        }
        seen = {
            name: np.repeat(predictions[name] * visual_valid[:, None], self._steps, axis=0)[:count]
            for name in ("visual_odds", "seen_odds", "done_odds", "in_time_odds")
        }
        found = StepOdds(
            audio=heard["audio_odds"],
            heard=heard["heard_odds"],
            visual=seen["visual_odds"],
            seen=seen["seen_odds"],
            done=seen["done_odds"],
            in_time=seen["in_time_odds"],
            sound=None if edges is None else Loudness.of(edges.reshape(-1, 3)[:count], step_seconds),
            step_seconds=step_seconds,
            duration_seconds=duration_seconds,
        )
        events = self._naming(found, decoding)
        present = present_in(events, scores.categories, bounds)
        return events, segments(scores, present, bounds, audio_valid, visual_valid)

    def description(self) -> dict[str, Any]:
        """See `System`."""
        names = self.categories
        return {
            "cannot_hear": [n for n, audible in zip(names, self._model.audible, strict=True) if not audible],
            "cannot_see": [n for n, visible in zip(names, self._model.visible, strict=True) if not visible],
            "attention": "synchrony",
            "notes": {category.name: category.note for category in self._table if category.note},
        }


def _at_most(values: npt.NDArray[Any], index: int, most: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(..., C - 1) with the numbers of one category no greater than `most` (...)."""
    limited = values.copy()
    limited[..., index] = np.minimum(values[..., index], most)
    return limited


def _voiced(categories: Sequence[Category], labels: Sequence[str]) -> list[int]:
    """Classes of the audio tagger that are heard in categories of one kind of voice.

    Raises:
        CategoriesError: if a kind of voice is to be heard by itself, or a category names a class that there is not.
    """
    found: set[int] = set()
    for category in categories:
        sounds = (*category.audio, *category.audio_like)
        for name in (*sounds, *category.audio_unlike):
            if name.casefold() in VOICES:
                raise CategoriesError(
                    f"Category {category.name!r}: {name!r} says whose voice it is, not that there is one, and goes "
                    "under audio_requires alone. Name under audio what is heard, such as Speech."
                )
        if any(name.casefold() in VOICES for name in category.audio_requires):
            found.update(class_indices(sounds, labels, category.name))
    return sorted(found)
