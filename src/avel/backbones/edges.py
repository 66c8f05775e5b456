"""Edges of sound: how much louder and how much quieter it becomes from one moment to the next.

A tagger that hears windows of a second names a sound from the moment that a window reaches it, before it starts, and
until the last one has left it. Where it starts and ends is seen in the spectrum: the mean over mel bands of how much
each rises (spectral flux; Boeck and Widmer, "Maximum Filter Vibrato Suppression for Onset Detection", DAFx 2013, whose
vibrato filter is left out), or falls, between the tenth of a second before a moment and the one after it.
"""

from typing import Any

import numpy as np

from avel.backbones.audio_windows import steps_in
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.logmel import LogMel

_SIDE_SECONDS = 0.1


class Edges(AudioBackbone):
    """Rise and fall at the start of each step, 0 or more, and the level after it, in nepers: means over mel bands.

    Args:
        hop_seconds: about how long a step is.
        segment_seconds: length of a segment, of which steps are equal parts.
    """

    name = "edges"
    dims = 3
    labels: tuple[str, ...] = ("rise", "fall", "level")
    sample_rate = 16000
    context_seconds: float = _SIDE_SECONDS + 0.025

    def __init__(self, *, hop_seconds: float = 0.1, segment_seconds: float = 1.0) -> None:
        self.steps: int = steps_in(segment_seconds, hop_seconds)
        self._log_mel = LogMel()
        self.record: dict[str, Any] = {"method": "spectral flux", "side_seconds": _SIDE_SECONDS, "steps": self.steps}

    def __call__(self, waveforms: Floats) -> Floats:
        """(T, N) waveforms to (T, S, 3); see `AudioBackbone`."""
        hop, window = self._log_mel.hop_samples, self._log_mel.window_samples
        context = round(self.context_seconds * self.sample_rate)
        side = round(_SIDE_SECONDS * self.sample_rate / hop)
        frames = self._log_mel(waveforms)
        # Frame i is centred half a window after sample i * hop of the waveform, which starts before the segment.
        starts = context + np.arange(self.steps) * (waveforms.shape[1] - 2 * context) / self.steps
        middles = np.round((starts - window / 2) / hop).astype(np.int64)
        after = np.stack([frames[:, middle : middle + side].mean(axis=1) for middle in middles], axis=1)
        before = np.stack([frames[:, middle - side : middle].mean(axis=1) for middle in middles], axis=1)
        change = after - before  # (T, S, M)
        numbers = (change.clip(min=0), (-change).clip(min=0), after)
        return np.stack([number.mean(axis=2) for number in numbers], axis=2)
