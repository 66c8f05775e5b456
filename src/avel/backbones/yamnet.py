"""YAMNet: sound to scores of the 521 AudioSet classes, or to a 1024-D embedding.

Plakal and Ellis, TensorFlow Model Garden, research/audioset/yamnet: MobileNet (Howard et al., arXiv:1704.04861) on
log-mel spectrograms of 0.975 s, trained on AudioSet (Gemmeke et al., ICASSP 2017). The file is the 8-bit one for
TensorFlow Lite, run in floating point: its 8-bit arithmetic gives other scores on other processors, and others again in
TensorFlow Lite's own interpreter, to which floating point comes closest (of 145 segments, 9 have a score that differs
by more than 0.05). Scores are each class's by itself, and names of the classes come with the file.

The file makes its log-mel spectrogram itself, window by window, which takes 20 times as long as the rest of it. Here
the network is cut where the spectrogram comes in, and frames of it are made once for all the windows that they are in.
They differ by up to 4e-6, and scores by nothing (`tests/backbones/test_yamnet.py`).
"""

import zipfile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from avel.backbones import weights
from avel.backbones.audio_windows import around_steps, cover, steps_in
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions, Network, from_file
from avel.backbones.logmel import LogMel

if TYPE_CHECKING:
    from avel.runtimes import openvino

FRAMES = 96
LOG_MEL = LogMel()
WINDOWS_TOGETHER = 5
"""Windows that go through the network as one, in two thirds of the time: a second has 10, or one."""
_WINDOW = LOG_MEL.samples(FRAMES)  # 15600
_SPECTROGRAM = "log_mel_spectrogram"
_SCORES = "tower0/network/layer32/final_output"
_LOGITS = "tower0/network/layer29/fc/MatMul;tower0/network/layer29/fc/BiasAdd"
_LABELS = "yamnet_label_list.txt"


class YamnetWindows(AudioBackbone):
    """What YAMNet's files have in common: windows of 0.975 s that cover a segment, or lie around its steps.

    Where windows lie is said in `avel.backbones.audio_windows`: `cover`, and `around_steps` for steps.
    """

    sample_rate = 16000
    _channels: tuple[int, ...] = ()
    """Axes of size 1 that the network wants before a log-mel patch's own two."""

    def _run_by(
        self,
        network: Network,
        output: Literal["scores", "embedding"],
        hop_seconds: float | None,
        segment_seconds: float,
    ) -> None:
        self._network = network
        self._reduce = np.max if output == "scores" else np.mean
        if hop_seconds is not None:
            self.steps: int = steps_in(segment_seconds, hop_seconds)
            self.context_seconds: float = _WINDOW / 2 / self.sample_rate
        self.record: dict[str, Any] = {
            **network.record,
            "output": output,
            "window_seconds": _WINDOW / self.sample_rate,
            "over_windows": "max" if output == "scores" else "mean",
            **({} if self.steps is None else {"steps": self.steps}),
        }

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, N) at 16 kHz to (T, 521) or (T, 1024), or with steps (T, S, 521) or (T, S, 1024)."""
        if self.steps is not None:
            patches = around_steps(waveforms, LOG_MEL, FRAMES, self.steps)
        else:
            patches = LOG_MEL(cover(waveforms, _WINDOW))  # (T, W, 96, 64)
        (outputs,) = self._network(patches.reshape(-1, *self._channels, *patches.shape[2:]))
        outputs = outputs.reshape(*patches.shape[:2], -1)
        return outputs if self.steps is not None else self._reduce(outputs, axis=1)


class Yamnet(YamnetWindows):
    """Scores or embedding of a segment from windows of 0.975 s that cover it.

    Where windows lie is said in `avel.backbones.audio_windows.cover`: a segment of 1 s has one, in its middle. With
    `hop_seconds` there is instead one around the middle of every step of a segment, and a vector for each step.

    Args:
        options: threads; precision is ``float32`` whatever it says.
        output: ``"scores"``, in [0, 1], the greatest of the windows: what is heard in any of them is heard in the
            segment. ``"embedding"``, non-negative, the mean of the windows.
        hop_seconds: about how long a step is; ``None`` for one vector a segment.
        segment_seconds: length of a segment, of which steps are equal parts.

    Raises:
        ValueError: if there is no such output.
        WeightsError: if the weights are not available.
    """

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        output: Literal["scores", "embedding"] = "scores",
        hop_seconds: float | None = None,
        segment_seconds: float = 1.0,
    ) -> None:
        if output not in ("scores", "embedding"):
            raise ValueError(f"output must be 'scores' or 'embedding'; got {output!r}.")
        path = weights.path("yamnet")
        if output == "scores":
            self.name, self.dims = "yamnet", 521
            with zipfile.ZipFile(path) as archive:  # the labels are appended to the network
                self.labels = tuple(archive.read(_LABELS).decode("utf-8").splitlines())
        else:
            self.name, self.dims, self.labels = "yamnet-embedding", 1024, None
        network = from_file(
            path,
            name=self.name,
            digest=weights.digest("yamnet"),
            options=options or EngineOptions(),
            outputs=[_SCORES] if output == "scores" else _embedding,
            in_float=True,
            cut_at=_SPECTROGRAM,
            items_together=WINDOWS_TOGETHER,
        )
        self._run_by(network, output, hop_seconds, segment_seconds)


def _embedding(model: "openvino.Model") -> "list[openvino.Output]":
    """What the last, fully connected layer takes; the file has no name for it that OpenVINO keeps."""
    (logits,) = (operation for operation in model.get_ordered_ops() if _LOGITS in operation.output(0).get_names())
    product = logits.input_value(0).get_node()
    assert product.get_type_name() == "MatMul"
    return [product.input_value(0)]
