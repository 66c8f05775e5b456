"""YAMNet: sound to scores of the 521 AudioSet classes, or to a 1024-D embedding.

Plakal and Ellis, TensorFlow Model Garden, research/audioset/yamnet: MobileNet (Howard et al., arXiv:1704.04861) on
log-mel spectrograms of 0.975 s, trained on AudioSet (Gemmeke et al., ICASSP 2017). The file is the 8-bit one for
TensorFlow Lite, run in floating point: its 8-bit arithmetic gives other scores on other processors, and others again in
TensorFlow Lite's own interpreter, to which floating point comes closest (of 145 segments, 9 have a score that differs
by more than 0.05). Scores are each class's by itself, and names of the classes come with the file.
"""

import zipfile
from typing import TYPE_CHECKING, Literal

import numpy as np

from avel.backbones import weights
from avel.backbones.audio_windows import cover
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions, from_file

if TYPE_CHECKING:
    from avel.runtimes import openvino

_WINDOW = 15600
_SCORES = "tower0/network/layer32/final_output"
_LOGITS = "tower0/network/layer29/fc/MatMul;tower0/network/layer29/fc/BiasAdd"
_LABELS = "yamnet_label_list.txt"


class Yamnet(AudioBackbone):
    """Scores or embedding of a segment from windows of 0.975 s that cover it.

    Where windows lie is said in `avel.backbones.audio_windows.cover`: a segment of 1 s has one, in its middle.

    Args:
        options: threads; precision is ``float32`` whatever it says.
        output: ``"scores"``, in [0, 1], the greatest of the windows: what is heard in any of them is heard in the
            segment. ``"embedding"``, non-negative, the mean of the windows.

    Raises:
        ValueError: if there is no such output.
        WeightsError: if the weights are not available.
    """

    sample_rate = 16000

    def __init__(
        self, options: EngineOptions | None = None, *, output: Literal["scores", "embedding"] = "scores"
    ) -> None:
        if output not in ("scores", "embedding"):
            raise ValueError(f"output must be 'scores' or 'embedding'; got {output!r}.")
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
            in_float=True,
        )
        self.record = {
            **self._network.record,
            "output": output,
            "window_seconds": _WINDOW / self.sample_rate,
            "over_windows": "max" if output == "scores" else "mean",
        }

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, S) at 16 kHz to (T, 521) or (T, 1024)."""
        windows = cover(waveforms, _WINDOW)  # (T, W, 15600)
        (outputs,) = self._network(windows.reshape(-1, _WINDOW))
        return self._reduce(outputs.reshape(*windows.shape[:2], -1), axis=1)


def _embedding(model: "openvino.Model") -> "list[openvino.Output]":
    """What the last, fully connected layer takes; the file has no name for it that OpenVINO keeps."""
    (logits,) = (operation for operation in model.get_ordered_ops() if _LOGITS in operation.output(0).get_names())
    product = logits.input_value(0).get_node()
    assert product.get_type_name() == "MatMul"
    return [product.input_value(0)]
