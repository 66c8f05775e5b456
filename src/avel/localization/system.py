"""What localizes: a model, the networks that make its features, and how its predictions are read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.events import Event, Segment
from avel.features.extract import FeatureBatch, Gate
from avel.features.jobs import Backbones
from avel.localization.decoding import Decoding, SegmentScores, decode
from avel.localization.windows import SegmentArrays, Windows
from avel.synchrony.witness import Witness

MODALITIES = ("audio", "visual")


class System(ABC):
    """A model with everything that it takes to run it on a video.

    What goes through it is called *inputs* (features, as the model takes them), *predictions* (what the model says, as
    arrays that may be averaged where windows overlap) and *scores* (what they mean for each category).

    Attributes:
        name: as in results.
        categories: C - 1 names of what it looks for.
        backbones: the networks that make its features; none of a modality that the model does not look at.
        segment_seconds: length of a segment.
        windows: how long videos are cut for the model.
        decoding: how its scores become events unless a user says otherwise.
        synchrony: what says whether picture and sound change together, and where (`avel.synchrony.changes`), extracted
            beside what the model looks at; ``None`` for a model that needs no such witness.
        grid: rows and columns of the parts of the picture that its attention is about, ``None`` without any.
        gates: which segments a visual backbone has to look at, by its name; see `Extraction`.
        audio_track: number of the audio track that it was trained on, 1 for the file's first one; ``None`` for the one
            that a player would play.
        notices: what a user should know before reading its results.
    """

    name: str
    categories: tuple[str, ...]
    backbones: Backbones
    segment_seconds: float
    windows: Windows
    decoding: Decoding
    synchrony: Backbones | None = None
    grid: tuple[int, int] | None = None
    gates: Mapping[str, Gate] = MappingProxyType({})
    audio_track: int | None = None
    notices: Sequence[str] = ()

    @property
    def looks_at(self) -> tuple[str, ...]:
        """What the model looks at, of ``audio`` and ``visual``."""
        return tuple(m for m in MODALITIES if getattr(self.backbones, m))

    def inputs(self, batch: FeatureBatch) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs: ``visual`` (T, R, D_v) and ``audio`` (T, D_a)."""
        return {
            modality: np.concatenate([getattr(batch, modality)[b.name] for b in getattr(self.backbones, modality)], -1)
            for modality in self.looks_at
        }

    @abstractmethod
    def predict(self, inputs: SegmentArrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """What the model says of one window.

        Args:
            inputs: as `inputs` gives them.
            valid: (T,) bool, False in padding.

        Returns:
            Arrays of T rows whose averages make sense, for `scores` and `attention`.
        """

    def judged(self, predictions: SegmentArrays, witness: Witness | None) -> SegmentArrays:
        """Predictions of a video with what only all of it says, for `scores`, `decode` and `attention`.

        Args:
            predictions: of its T segments.
            witness: what synchrony says of them; ``None`` where `synchrony` is.
        """
        return predictions

    @abstractmethod
    def scores(self, predictions: SegmentArrays) -> SegmentScores:
        """Scores of a video, with 0.5 where a category counts as there."""

    def attention(self, predictions: SegmentArrays) -> npt.NDArray[np.float32] | None:
        """(T, rows, columns), shares of each segment that add up to 1; ``None`` when the model does not say where."""
        if self.grid is None:
            return None
        return predictions["attention"].reshape(-1, *self.grid)

    def details(self, predictions: SegmentArrays) -> dict[str, npt.NDArray[np.float32]]:
        """What the model knows beside its scores, by the names of `avel.models.details.DETAILS`; T rows each."""
        return {}

    def decode(
        self,
        predictions: SegmentArrays,
        scores: SegmentScores,
        bounds: list[tuple[float, float]],
        audio_valid: npt.NDArray[np.bool_],
        visual_valid: npt.NDArray[np.bool_],
        decoding: Decoding,
    ) -> tuple[tuple[Event, ...], tuple[Segment, ...]]:
        """Events and segments of a video; see `avel.localization.decoding.decode`."""
        return decode(scores, bounds, audio_valid, visual_valid, decoding)

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What a reader of a result has to know of how it was made, and of what it cannot find."""


def audio_track_notices(trained: int | None, asked: int | None) -> tuple[str, ...]:
    """What to say of the audio track that a model was trained on.

    Args:
        trained: its number, 1 for a file's first one; ``None`` for the one that a player would play.
        asked: what the user asks for; ``None`` for that of the training.
    """
    if trained is None or asked == trained:
        return ()
    if asked is None:
        return (
            f"Audio track {trained} is listened to, on which the model was trained; --audio-track chooses another.",
        )
    return (f"The model was trained on audio track {trained}, and audio track {asked} is listened to.",)
