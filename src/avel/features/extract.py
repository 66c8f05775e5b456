"""From a video to its features: the media reader's segments through the backbones, in bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.blas import each_on_one_blas_thread
from avel.media.reader import MediaReader
from avel.media.types import MediaInfo, MediaSegment, SegmentPictures

SecondsProgress = Callable[[float, float | None], None]
"""Called with the seconds done so far and the video's declared duration, if it declares one."""

BATCH_SEGMENTS = 8
"""Segments that go through a network together: enough to fill it, few enough to hold in memory."""


@dataclass(frozen=True)
class Features:
    """Features of one video, by backbone.

    Where a modality is not valid its features are zeros.

    Attributes:
        info: the video.
        visual: by backbone name, (T, R, D) float32.
        audio: by backbone name, (T, D) float32, or (T, S, D) of a backbone with steps.
        visual_valid: (T,) bool, the segment's pictures could be read.
        audio_valid: (T,) bool, the segment's sound could be read.
        segment_seconds: length of a segment.
        duration_seconds: length of what the file holds.
        record: how the features were made, by backbone name.
        warnings: what could not be read.
    """

    info: MediaInfo
    visual: Mapping[str, npt.NDArray[np.float32]]
    audio: Mapping[str, npt.NDArray[np.float32]]
    visual_valid: npt.NDArray[np.bool_]
    audio_valid: npt.NDArray[np.bool_]
    segment_seconds: float
    duration_seconds: float
    record: Mapping[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class FeatureBatch:
    """Features of a few segments in a row; the attributes are those of `Features`."""

    visual: Mapping[str, npt.NDArray[np.float32]]
    audio: Mapping[str, npt.NDArray[np.float32]]
    visual_valid: npt.NDArray[np.bool_]
    audio_valid: npt.NDArray[np.bool_]


Gate = Callable[[FeatureBatch], npt.NDArray[np.bool_]]
"""A batch of T segments to (T,) bool."""


class Extraction:
    """The features of one video, a few segments at a time, in one pass over the file.

    A context manager to iterate over once; it holds no more than one batch, however long the video is.

    Attributes:
        info: the video.
        duration_seconds: length of what has been read so far; in the end, of what the file holds.

    Args:
        path: the video.
        visual: visual backbones.
        audio: audio backbones; all want the same sample rate.
        segment_seconds: length of a segment.
        audio_track: number of the audio track to use, 1 for the file's first one; the one that a player would play when
            ``None``.
        threads: for decoding; 0 is as many as the machine has.
        gates: by the name of a backbone, which segments of a batch it has to look at or listen to; its features of all
            others are zeros. An audio backbone's gate judges by what the audio backbones without one say of them, a
            visual backbone's by what all audio backbones and the visual ones without one say. A visual backbone gets
            each run of such segments by itself, with those beside it where the run is shorter than what it looks at
            together.

    Raises:
        MediaError: if nothing of the video can be read.
        ValueError: if the audio backbones want different sample rates.
    """

    def __init__(
        self,
        path: str | Path,
        visual: Sequence[VisualBackbone],
        audio: Sequence[AudioBackbone],
        *,
        segment_seconds: float = 1.0,
        audio_track: int | None = None,
        threads: int = 0,
        gates: "Mapping[str, Gate] | None" = None,
    ) -> None:
        rates = {backbone.sample_rate for backbone in audio}
        if len(rates) > 1:
            raise ValueError(f"Audio backbones must want one sample rate, got {sorted(rates)}.")
        self._visual, self._audio = visual, audio
        self._gates = dict(gates or {})
        self._sample_rate = next(iter(rates), 0)
        self._reader = MediaReader(
            path,
            segment_seconds=segment_seconds,
            pictures={backbone.name: backbone.pictures for backbone in visual},
            sample_rate=next(iter(rates), None),
            audio_track=audio_track,
            threads=threads,
        )
        self.duration_seconds: float = 0.0

    def __enter__(self) -> Self:
        self._reader.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.__exit__(kind, error, trace)

    @property
    def info(self) -> MediaInfo:
        """The video."""
        return self._reader.info

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read so far."""
        return tuple(self._reader.warnings)

    def __iter__(self) -> Iterator[FeatureBatch]:
        """Batches of up to `BATCH_SEGMENTS` segments, in order.

        Raises:
            MediaError: if nothing of the video can be read.
        """
        return each_on_one_blas_thread(self._batches())

    def _batches(self) -> Iterator[FeatureBatch]:
        before: MediaSegment | None = None
        segments: list[MediaSegment] = []
        for segment in self._reader:
            if len(segments) == BATCH_SEGMENTS:
                yield self._features(before, segments, segment)
                before, segments = segments[-1], []
            segments.append(segment)
            self.duration_seconds = segment.end_seconds
        if segments:
            yield self._features(before, segments, None)

    def _features(
        self,
        before: MediaSegment | None,
        segments: list[MediaSegment],
        after: MediaSegment | None,
    ) -> FeatureBatch:
        """Of some segments, which let go of each kind of pictures when it has been seen."""
        seen = np.array([segment.visual_valid for segment in segments])
        heard = np.array([segment.audio_valid for segment in segments])
        batch = FeatureBatch({}, {}, seen, heard)
        for ear in sorted(self._audio, key=lambda ear: ear.name in self._gates):
            gate = self._gates.get(ear.name)
            waveforms = _with_context(before, segments, after, round(ear.context_seconds * self._sample_rate))
            features = _heard(ear, waveforms, heard if gate is None else heard & gate(batch))
            batch = replace(batch, audio={**batch.audio, ear.name: features})
        for eye in sorted(self._visual, key=lambda eye: eye.name in self._gates):
            gate = self._gates.get(eye.name)
            features = np.zeros((len(segments), eye.regions, eye.dims), np.float32)
            if gate is None:
                parts = [np.flatnonzero(seen)] if seen.any() else []
            else:
                parts = [np.arange(*run) for run in _runs(_widened(seen & gate(batch), eye.window_segments) & seen)]
            stacks = [SegmentPictures.stacked([segments[i].pictures for i in part], eye.name) for part in parts]
            for segment in segments:  # before a network takes memory of its own
                segment.pictures.let_go(eye.name)
            for part in parts:
                features[part] = eye(stacks.pop(0))
            batch = replace(batch, visual={**batch.visual, eye.name: features})
        return batch


def extract(
    path: str | Path,
    visual: Sequence[VisualBackbone],
    audio: Sequence[AudioBackbone],
    *,
    segment_seconds: float = 1.0,
    progress: SecondsProgress | None = None,
) -> Features:
    """Extract the features of one video in one pass over the file.

    Args:
        path: the video.
        visual: visual backbones.
        audio: audio backbones; all want the same sample rate.
        segment_seconds: length of a segment.
        progress: called after each batch of segments.

    Raises:
        MediaError: if nothing of the video can be read.
        ValueError: if the audio backbones want different sample rates.
    """
    batches: list[FeatureBatch] = []
    with Extraction(path, visual, audio, segment_seconds=segment_seconds) as extraction:
        for batch in extraction:
            batches.append(batch)
            if progress is not None:
                progress(extraction.duration_seconds, extraction.info.duration_seconds)
        return Features(
            info=extraction.info,
            visual={b.name: np.concatenate([batch.visual[b.name] for batch in batches]) for b in visual},
            audio={b.name: np.concatenate([batch.audio[b.name] for batch in batches]) for b in audio},
            visual_valid=np.concatenate([batch.visual_valid for batch in batches]),
            audio_valid=np.concatenate([batch.audio_valid for batch in batches]),
            segment_seconds=segment_seconds,
            duration_seconds=extraction.duration_seconds,
            record={b.name: b.record for b in (*visual, *audio)},
            warnings=extraction.warnings,
        )


def _with_context(
    before: MediaSegment | None, segments: list[MediaSegment], after: MediaSegment | None, context: int
) -> npt.NDArray[np.float32]:
    """(T, N) waveforms of segments in a row with `context` samples on both sides: of their neighbours, or zeros."""
    waveforms = np.stack([segment.waveform for segment in segments])
    if not context:
        return waveforms
    silence = np.zeros(context, np.float32)
    row = np.concatenate(
        [
            silence if before is None else before.waveform,
            waveforms.ravel(),
            silence if after is None else after.waveform,
            silence,  # of what neighbours shorter than the context do not have
        ]
    )
    first = context if before is None else len(before.waveform)
    if first < context:
        row, first = np.concatenate([silence, row]), first + context
    length = waveforms.shape[1]
    starts = first - context + np.arange(len(segments)) * length
    return np.stack([row[start : start + length + 2 * context] for start in starts])


def _widened(wanted: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Runs of wanted segments, with those beside them where they are shorter than `length`."""
    widened = wanted.copy()
    for start, end in _runs(wanted):
        first = min(max(0, (start + end - length) // 2), max(0, len(wanted) - length))
        widened[min(first, start) : max(first + length, end)] = True
    return widened


def _runs(wanted: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        yield int(start), int(end)


def _heard(
    backbone: AudioBackbone, waveforms: npt.NDArray[np.float32], usable: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Features of the usable segments, and zeros in the places of the others, which no network hears."""
    if usable.all():
        return backbone(waveforms)  # which are not copied
    shape = (len(waveforms), *([] if backbone.steps is None else [backbone.steps]), backbone.dims)
    features = np.zeros(shape, np.float32)
    if usable.any():
        features[usable] = backbone(waveforms[usable])
    return features
