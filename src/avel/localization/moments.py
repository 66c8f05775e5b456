"""Find when something heard is seen in a video, or when something seen is heard (Tian et al., ECCV 2018, Section 5).

    A2V   the query is sound, of a file or a part of the video; where in the pictures does it belong?
    V2A   the query is a part of the pictures; where in the sound does it belong?

The query slides over the other modality; each start has the mean distance of the pairs that then meet.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avel.errors import MediaError, ModelError
from avel.events import step_seconds
from avel.features.extract import Extraction, FeatureBatch
from avel.features.jobs import Loader, load_backbones
from avel.features.silence import IT_IS_SILENT, SegmentLevel, is_loud
from avel.localization.checkpoint_system import check_networks, needed_by, recipe_of
from avel.localization.system import audio_track_notices
from avel.matching.localization import Direction, window_sums
from avel.matching.weights import load_with_metadata
from avel.training.matchers import features_of, matcher_path
from avel.wording import counted


@dataclass(frozen=True)
class Moment:
    """When a query belongs in the other modality of a video.

    Attributes:
        video: the file.
        direction: ``a2v``: a sound is looked for in the pictures; ``v2a``: pictures in the sound.
        query: the file that the query is of.
        query_start_seconds: start of the query in its file.
        query_end_seconds: its end.
        start_seconds: where it was found in the video.
        end_seconds: start_seconds and the query's length.
        starts_seconds: every start that the query may have.
        distances: of each start, the mean distance of the pairs that then meet; ``inf`` where a segment of the video
            could not be read. The smallest is the answer. Only distances of one query can be compared.
        warnings: what could not be read.
    """

    video: str
    direction: Direction
    query: str
    query_start_seconds: float
    query_end_seconds: float
    start_seconds: float
    end_seconds: float
    starts_seconds: tuple[float, ...]
    distances: tuple[float, ...]
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; a distance that is not known is ``None``."""
        known = [distance if math.isfinite(distance) else None for distance in self.distances]
        return {
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "starts_seconds": list(self.starts_seconds),
            "distances": known,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class _ModalityTrack:
    """A modality of a file: (T, D) features, which of the segments could be read, and which are not silent."""

    features: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    loud: npt.NDArray[np.bool_]
    warnings: tuple[str, ...]


class MomentFinder:
    """A trained matcher and the networks that make its features, loaded once, for any number of videos.

    Args:
        matcher: a file that ``avel train --model avdln`` or ``dcca`` wrote, or the folder of its run.
        audio_track: number of the audio track to listen to in each video, 1 for the file's first one; the one that the
            matcher was trained on when ``None``.
        device: of the networks: ``auto``, ``cpu``, ``cuda`` or ``torch-cpu``.
        precision: of the networks; as at training when ``None``.
        loader: gives the networks; replace it to use your own.

    Attributes:
        segment_seconds: length of a segment, in whose steps moments are found.
        notices: what to know of the audio track that is listened to.

    Raises:
        ModelError: if the matcher cannot be read, or does not say what features it needs.
        FeaturesError: if these cannot be made here.
        WeightsError: if a network's weights are not available.
    """

    def __init__(
        self,
        matcher: str | Path,
        *,
        audio_track: int | None = None,
        device: str = "auto",
        precision: str | None = None,
        loader: Loader = load_backbones,
    ) -> None:
        path = matcher_path(matcher)
        self._matcher, said = load_with_metadata(path)
        features = features_of(said)
        if features is None:
            raise ModelError(f"{path}: does not say on which features it was trained. Train it again.")
        self.segment_seconds: float = features.segment_seconds
        recipe = recipe_of(path, features, ("audio", "visual"), precision)
        self._audio_track: int | None = recipe.audio_track if audio_track is None else audio_track
        self.notices: tuple[str, ...] = audio_track_notices(recipe.audio_track, audio_track)
        with needed_by(path):
            self._backbones = loader(recipe, device, None)
        check_networks(path, features, self._backbones, ("audio", "visual"))

    def find_sound(self, video: str | Path, sound: str | Path) -> Moment:
        """When the sound of a file is seen in a video.

        Args:
            video: the file that is looked at.
            sound: the file that is listened to: the audio track that a player would play.

        Raises:
            MediaError: if a file cannot be read, or the sound is silent or longer than the video.
        """
        query = self._track(sound, "audio", None)
        return self._found(video, sound, "a2v", query, (0, len(query.valid)))

    def find_part(self, video: str | Path, direction: Direction, start_seconds: float, end_seconds: float) -> Moment:
        """When a part of a video's sound is seen (``a2v``) or a part of its pictures heard (``v2a``) in the same video.

        Args:
            video: the file.
            direction: see there.
            start_seconds: of the part; it begins with the segment that holds it.
            end_seconds: of the part, above its start; it ends with the segment that holds it.

        Raises:
            MediaError: if the video cannot be read, or the part is silent or not in it.
            ValueError: if the end is not after the start, or the start is below 0.
        """
        if not 0 <= start_seconds < end_seconds:
            raise ValueError(
                f"A part is from START to END seconds with 0 <= START < END, got {start_seconds:g} and {end_seconds:g}."
            )
        query = self._track(video, "audio" if direction == "a2v" else "visual", self._audio_track)
        first, end = math.floor(start_seconds / self.segment_seconds), math.ceil(end_seconds / self.segment_seconds)
        if end > len(query.valid):
            raise MediaError(
                f"{video}: the part from {start_seconds:g} to {end_seconds:g} s is not in it; it has "
                f"{len(query.valid) * self.segment_seconds:g} s."
            )
        return self._found(video, video, direction, query, (first, end))

    def _found(
        self, video: str | Path, source: str | Path, direction: Direction, query: _ModalityTrack, part: tuple[int, int]
    ) -> Moment:
        first, end = part
        what, where = ("sound", "pictures") if direction == "a2v" else ("pictures", "sound")
        if not query.valid[first:end].all():
            raise MediaError(f"{source}: its {what} cannot be read all through the query. Choose another part.")
        if not query.loud[first:end].any():
            asked = f"{first * self.segment_seconds:g} to {end * self.segment_seconds:g} s"
            raise MediaError(f"{source}: {IT_IS_SILENT} from {asked}: there is nothing to look for.")
        candidates = self._track(video, "visual" if direction == "a2v" else "audio", self._audio_track)
        length, count = end - first, len(candidates.valid)
        if length > count:
            raise MediaError(
                f"{video}: its {where} have {counted(count, 'segment')}, and the query has {length}. Give a shorter "
                "one."
            )
        distances = self._distances(query.features[first:end], candidates, direction)
        if not np.isfinite(distances).any():
            raise MediaError(f"{video}: its {where} cannot be read for as long as the query is.")
        best, seconds = int(distances.argmin()), self.segment_seconds
        return Moment(
            video=str(video),
            direction=direction,
            query=str(source),
            query_start_seconds=step_seconds(first, seconds),
            query_end_seconds=step_seconds(end, seconds),
            start_seconds=step_seconds(best, seconds),
            end_seconds=step_seconds(best + length, seconds),
            starts_seconds=tuple(step_seconds(start, seconds) for start in range(len(distances))),
            distances=tuple(map(float, distances)),
            warnings=(*query.warnings, *(text for text in candidates.warnings if text not in query.warnings)),
        )

    def _distances(
        self, query: npt.NDArray[np.float32], candidates: _ModalityTrack, direction: Direction
    ) -> npt.NDArray[np.float64]:
        """(T - l + 1,) mean distance of each start."""
        asked, offered = torch.from_numpy(query), torch.from_numpy(candidates.features)
        with torch.inference_mode():
            if direction == "a2v":
                distances = self._matcher.distances(offered, asked)
            else:
                distances = self._matcher.distances(asked, offered).mT
            distances = distances.double().masked_fill(~torch.from_numpy(candidates.valid)[:, None], math.inf)
            return (window_sums(distances) / len(query)).numpy()

    def _track(self, path: str | Path, modality: str, audio_track: int | None) -> _ModalityTrack:
        """One modality of a whole file, the pictures as the mean over their regions."""
        networks = self._backbones.visual if modality == "visual" else self._backbones.audio
        of_batch: Callable[[FeatureBatch], npt.NDArray[np.float32]] = _pictures if modality == "visual" else _sound
        visual: Sequence[Any] = networks if modality == "visual" else ()
        audio: Sequence[Any] = networks if modality == "audio" else ()
        if audio:
            audio = [*audio, SegmentLevel(audio[0].sample_rate)]
        features, valid, loud = [], [], []
        track = audio_track if audio else None
        with Extraction(path, visual, audio, segment_seconds=self.segment_seconds, audio_track=track) as extraction:
            for batch in extraction:
                features.append(of_batch(batch))
                valid.append(batch.visual_valid if modality == "visual" else batch.audio_valid)
                loud.append(is_loud(batch) if audio else batch.visual_valid)
            return _ModalityTrack(
                np.concatenate(features), np.concatenate(valid), np.concatenate(loud), extraction.warnings
            )


def _pictures(batch: FeatureBatch) -> npt.NDArray[np.float32]:
    return np.concatenate([features.mean(axis=1) for features in batch.visual.values()], axis=-1)


def _sound(batch: FeatureBatch) -> npt.NDArray[np.float32]:
    return np.concatenate([x for name, x in batch.audio.items() if name != SegmentLevel.name], axis=-1)
