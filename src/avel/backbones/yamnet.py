"""YAMNet: sound to scores of the 521 AudioSet classes, or to a 1024-D embedding.

Plakal and Ellis, TensorFlow Model Garden, research/audioset/yamnet: MobileNet (Howard et al., arXiv:1704.04861) on
log-mel spectrograms of 0.975 s, trained on AudioSet (Gemmeke et al., ICASSP 2017). The file is the 8-bit one for
TensorFlow Lite; its scores are multiples of 1/256, each class by itself, and names of the classes come with it.
"""

import math
import zipfile
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from avel.backbones import weights
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions, from_file

if TYPE_CHECKING:
    import openvino

_WINDOW = 15600
_HOP = _WINDOW // 2
# In hops: how much one window may leave out of a segment at both ends together (73 ms), and how much further apart than
# a hop several may be. Segments of 1 s and 2 s then need 1 and 3 windows, not 2 and 4.
_SLACK = 0.15
_SCORES = "tower0/network/layer32/final_output"
_LOGITS = "tower0/network/layer29/fc/MatMul;tower0/network/layer29/fc/BiasAdd"
_LABELS = "yamnet_label_list.txt"


class Yamnet(AudioBackbone):
    """Scores or embedding of a segment from windows of 0.975 s that cover it.

    Windows lie evenly, about half a window apart, the first at the segment's start and the last at its end; a segment
    of 1 s has one, in its middle. A segment that is shorter than a window is followed by silence.

    Args:
        options: precision and threads. The file has 8-bit weights and activations whatever the precision.
        output: ``"scores"``, in [0, 1], the greatest of the windows: what is heard in any of them is heard in the
            segment. ``"embedding"``, non-negative, the mean of the windows.

    Raises:
        ValueError: if there is no such output.
        WeightsError: if the weights cannot be had.
    """

    sample_rate = 16000

    def __init__(
        self, options: EngineOptions | None = None, *, output: Literal["scores", "embedding"] = "scores"
    ) -> None:
        if output not in ("scores", "embedding"):
            raise ValueError(f"YAMNet gives scores or embedding; got {output!r}.")
        path = weights.path("yamnet")
        self._reduce = np.max if output == "scores" else np.mean
        if output == "scores":
            self.name, self.dims = "yamnet", 521
            with zipfile.ZipFile(path) as archive:  # the labels are appended to the network
                self.labels = tuple(archive.read(_LABELS).decode("utf-8").splitlines())
        else:
            self.name, self.dims, self.labels = "yamnet-embedding", 1024, None
        self._network = from_file(
            path,
            name=self.name,
            digest=weights.digest("yamnet"),
            options=options or EngineOptions(),
            outputs=[_SCORES] if output == "scores" else _embedding,
        )
        self.record = {
            **self._network.record,
            "output": output,
            "window_seconds": _WINDOW / self.sample_rate,
            "over_windows": "max" if output == "scores" else "mean",
        }

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, S) at 16 kHz to (T, 521) or (T, 1024)."""
        segments, samples = waveforms.shape
        if samples < _WINDOW:
            waveforms = np.pad(waveforms, ((0, 0), (0, _WINDOW - samples)))
        starts = _window_starts(waveforms.shape[1])
        windows = np.stack([waveforms[:, start : start + _WINDOW] for start in starts], axis=1)  # (T, W, 15600)
        (outputs,) = self._network(windows.reshape(-1, _WINDOW))
        features: Floats = self._reduce(outputs.reshape(segments, len(starts), -1), axis=1)
        return features


def _window_starts(samples: int) -> npt.NDArray[np.int64]:
    """First sample of each window in a segment of at least one window."""
    rest = samples - _WINDOW
    count = 1 + max(0, math.ceil(rest / _HOP - _SLACK))
    if count == 1:
        return np.array([rest // 2])
    return np.linspace(0, rest, count).round().astype(np.int64)


def _embedding(model: "openvino.Model") -> "list[openvino.Output]":
    """What the last, fully connected layer takes; the file has no name for it that OpenVINO keeps."""
    (logits,) = (operation for operation in model.get_ordered_ops() if _LOGITS in operation.output(0).get_names())
    product = logits.input_value(0).get_node()
    assert product.get_type_name() == "MatMul"
    return [product.input_value(0)]
