"""What the media reader is asked for and what it gives."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

Scaling = Literal["smooth", "bilinear"]
Moments = Literal["even", "whole-interval"]
Colours = Literal["rgb", "luma"]
CHANNELS: dict[Colours, int] = {"rgb": 3, "luma": 1}
Picture = npt.NDArray[np.uint8]
"""(H, W, 3), RGB; or (H, W, 1), luma."""

MIN_VALID_SHARE = 0.5
"""Share of a segment that must be covered by a modality for it to be valid there."""


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """One stream of sampled, scaled pictures.

    Picture ``i`` of segment ``s`` is the one on screen at ``(s + i / frames_per_segment) * segment_seconds``.

    Attributes:
        frames_per_segment: how many pictures each segment gives.
        width: width in pixels; aspect is not kept. Give both or neither of ``width`` and ``height``.
        height: height in pixels.
        longest_side: with neither width nor height: pictures keep their (display) aspect and are scaled so that the
            longer side has this many pixels, both sides even; never enlarged.
        scaling: ``"smooth"`` lets every pixel count. ``"bilinear"`` interpolates between the four nearest pixels
            however much a picture shrinks, as OpenCV's ``resize`` does by default and so the recipe of AVE's features;
            it aliases.
        moments: ``"even"`` is as above. ``"whole-interval"`` is by frame numbers, as in the recipe of AVE's features:
            picture ``i`` of segment ``s`` is frame ``int((s + i / frames_per_segment) * interval)``, where ``interval``
            is the number of frames by the number of segments without its fraction. Where that is not whole, pictures
            come early, the later the more, and the last frames are never picked. Meant for clips of some seconds.
        colours: ``"rgb"``; or ``"luma"``, one channel: brightness as the video has it coded, from black at 0 to white
            at 255, in less than half the time. Of videos that are not coded as luma and chroma, are of high dynamic
            range or transparent, it is that of their RGB pictures.
    """

    frames_per_segment: int
    width: int | None = None
    height: int | None = None
    longest_side: int | None = None
    scaling: Scaling = "smooth"
    moments: Moments = "even"
    colours: Colours = "rgb"

    def __post_init__(self) -> None:
        literals = (("scaling", Scaling), ("moments", Moments), ("colours", Colours))
        for name, allowed in ((name, get_args(literal)) for name, literal in literals):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}.")
        if self.frames_per_segment < 1:
            raise ValueError(f"frames_per_segment must be 1 or more, got {self.frames_per_segment}.")
        exact = self.width is not None and self.height is not None
        neither = self.width is None and self.height is None
        if not (exact and self.longest_side is None) and not (neither and self.longest_side):
            raise ValueError(
                "A picture format takes either width and height, or longest_side; got "
                f"width={self.width}, height={self.height}, longest_side={self.longest_side}."
            )


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What a file says of itself, with rotation applied.

    Attributes:
        path: the path as it was given.
        duration_seconds: length of the timeline as declared, ``None`` when the file does not say.
        width: display width in pixels, ``None`` without a video track.
        height: display height in pixels.
        frame_rate: average pictures a second, ``None`` when unknown.
        sample_rate: of the sound, ``None`` without an audio track.
        audio_track: number of the audio track that is read, 1 for the file's first one; ``None`` without one.
        audio_tracks: how many audio tracks the file has.
    """

    path: str
    duration_seconds: float | None
    width: int | None
    height: int | None
    frame_rate: float | None
    sample_rate: int | None
    audio_track: int | None = None
    audio_tracks: int = 0


class SegmentPictures(Mapping[str, npt.NDArray[np.uint8]]):
    """The pictures of a segment by the name given to the reader, (F, H, W, 3) uint8 RGB or (F, H, W, 1) luma each.

    They are put into one array when they are asked for, or, with those of other segments, by `stacked`: what is shown
    several times takes memory once until then.

    Args:
        rows: F pictures (H, W, 3) or (H, W, 1) of each name.
    """

    def __init__(self, rows: Mapping[str, Sequence[Picture]]) -> None:
        self._rows = dict(rows)

    def __getitem__(self, name: str) -> npt.NDArray[np.uint8]:
        return np.stack(self._rows[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def let_go(self, name: str) -> None:
        """Hold the pictures of a name no longer."""
        del self._rows[name]

    @staticmethod
    def stacked(segments: "Sequence[SegmentPictures]", name: str) -> npt.NDArray[np.uint8]:
        """(T, F, H, W, 3 or 1): the pictures of T segments, T >= 1."""
        rows = [segment._rows[name] for segment in segments]
        together = np.empty((len(rows), len(rows[0]), *rows[0][0].shape), np.uint8)
        for row, into in zip(rows, together, strict=True):
            for picture, place in zip(row, into, strict=True):
                place[...] = picture
        return together


@dataclass(frozen=True, slots=True)
class MediaSegment:
    """One segment of a video.

    Attributes:
        index: 0, 1, 2, ...
        start_seconds: ``index * segment_seconds`` on the file's timeline, which starts at 0 with its first track.
        end_seconds: end of what the file holds, less than ``start_seconds + segment_seconds`` in a last, padded
            segment.
        pictures: by the name given to the reader, (F, H, W, 3) uint8 RGB or (F, H, W, 1) luma; all zeros where not
            valid.
        waveform: (S,) float32 mono in [-1, 1], S = round(segment_seconds * sample_rate); zeros where not valid or
            padded. Empty when no sound was asked for.
        audio_valid: the sound of this segment was asked for and could be read.
        visual_valid: the pictures of this segment were asked for and could be read.
    """

    index: int
    start_seconds: float
    end_seconds: float
    pictures: SegmentPictures
    waveform: npt.NDArray[np.float32]
    audio_valid: bool
    visual_valid: bool
