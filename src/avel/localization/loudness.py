"""When a sound starts, ends, pauses and lasts, by how loud it is.

A tagger that hears windows of a second says what a sound is, and when only to half a second: it names a sound from the
moment that a window reaches it, before it starts, and until the last one has left it. A pause as short as its window it
does not notice, and a sound that it barely knows it names at some moments and not at others. Loudness tells these
apart: where it rises a sound starts, where nothing is heard there is a pause, and while it stays as it was the sound
goes on.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.backbones.arithmetic import running_maxima
from avel.localization.decoding import Span

REACH_SECONDS = (0.1, 0.5)
"""Where the edge of a sound is looked for: before and after the first window that names it, in the order of time for
its start. A window of a second names a sound up to half a second before it starts."""

SHORTEST_SECONDS = 0.3
"""A window of a second that moves on by a tenth sees every sound many times; what it names in one or two is a slip."""

FAINT = 3.0
"""Nepers (26 dB) below the loudest of a sound from which on there is silence: its reverberation, or something else."""

SILENCE_SECONDS = 0.8
"""From how long a silence on there are two sounds, and not one that pauses: a bark and the next one."""

WINDOW_SECONDS = 1.0
"""What the tagger hears at a time."""

AS_LOUD = 1.0
"""How many nepers a sound that goes on may become quieter."""

LONGEST_UNNAMED_SECONDS = 5.0
"""How long a sound that stays as it was may go on without being named."""


@dataclass(frozen=True)
class Loudness:
    """How loud a video is, in N steps, as `avel.backbones.edges` measures it.

    Attributes:
        rise: (N,) nepers by which it becomes louder at the start of a step.
        fall: (N,) the same, quieter.
        level: (N,) nepers, after the start of a step.
        step_seconds: length of a step.
    """

    rise: npt.NDArray[np.float32]
    fall: npt.NDArray[np.float32]
    level: npt.NDArray[np.float32]
    step_seconds: float

    @classmethod
    def of(cls, edges: npt.NDArray[np.float32], step_seconds: float) -> "Loudness":
        """Of (N, 3) features of `avel.backbones.edges.Edges`."""
        rise, fall, level = edges.T
        return cls(rise, fall, level, step_seconds)

    def edges(self, span: Span) -> Span:
        """Where the sound starts and ends that a tagger names in `span`."""
        count = len(self.rise)
        before, after = (self._steps(reach) for reach in REACH_SECONDS)
        start, end = span
        heard = self._heard(span)
        if start > 0:
            first = max(start - before, 0)
            start = first + int(np.argmax(self.rise[first : min(start + after, count - 1) + 1]))
        else:  # the video's start is no sound's
            start = _leading(~heard, self._steps(WINDOW_SECONDS))
        if end < count:
            first = max(end - after, start + 1)
            last = max(min(end + before, count - 1) + 1, first + 1)
            end = first + int(np.argmax(self.fall[first:last])) if first < count else count
        else:
            end -= _leading(~heard[::-1], self._steps(WINDOW_SECONDS))
        return self._long_enough(Span(start, end))

    def parts(self, span: Span) -> list[Span]:
        """A sound that silences interrupt, as the sounds between them."""
        heard = self._heard(span)
        silence = self._steps(SILENCE_SECONDS)
        sounding = np.flatnonzero(heard) + span.start
        if not len(sounding):
            return [span]
        cuts = np.flatnonzero(np.diff(sounding) > silence)
        if not len(cuts):
            return [span]
        starts = [span.start, *(int(sounding[cut + 1]) for cut in cuts)]
        ends = [*(int(sounding[cut]) + 1 for cut in cuts), span.end]
        return [self._long_enough(Span(start, end)) for start, end in zip(starts, ends, strict=True)]

    def lasting(self, span: Span, may_last: npt.NDArray[np.bool_]) -> Span:
        """A sound from where to where it stays about as loud as it is in `span`.

        Args:
            span: of the sound.
            may_last: (N,) steps that it may extend to.
        """
        envelope = running_maxima(self.level, self._steps(WINDOW_SECONDS))
        goes_on = may_last & (envelope >= np.median(envelope[span.start : span.end]) - AS_LOUD)
        most = self._steps(LONGEST_UNNAMED_SECONDS)
        start = span.start - _leading(goes_on[: span.start][::-1], most)
        end = span.end + _leading(goes_on[span.end :], most)
        # The envelope is up to half a window ahead of a sound, and behind its end.
        half = self._steps(WINDOW_SECONDS / 2)
        heard = self._heard(Span(start, end))
        start += _leading(~heard, min(half, span.start - start))
        end -= _leading(~heard[::-1], min(half, end - span.end))
        return Span(start, end)

    def _heard(self, span: Span) -> npt.NDArray[np.bool_]:
        level = self.level[span.start : span.end]
        return np.asarray(level >= level.max() - FAINT)

    def _long_enough(self, span: Span) -> Span:
        shortest = self._steps(SHORTEST_SECONDS)
        if span.end - span.start >= shortest:
            return span
        end = min(span.start + shortest, len(self.rise))
        return Span(max(0, end - shortest), end)

    def _steps(self, seconds: float) -> int:
        return round(seconds / self.step_seconds)


def _leading(mask: npt.NDArray[np.bool_], most: int) -> int:
    """How many are True at the start, up to `most`."""
    mask = mask[:most]
    return len(mask) if mask.all() else int(np.argmin(mask))
