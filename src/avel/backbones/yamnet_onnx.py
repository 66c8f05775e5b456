"""YAMNet from the Python package index: sound to scores of the 521 AudioSet classes, or to a 1024-D embedding.

The network that `avel.backbones.yamnet` runs from TensorFlow's own file, which is at an address that not everybody
reaches; this one is a part of the package ``sead``, as ONNX. It takes log-mel patches and gives logits. Its steps to 8
bits and back are taken out here, so that it computes in floating point, on every processor alike.

Its scores are not those of the other file (correlation 0.92 on 16 clips), and further from a half: logits are shrunk
here, so that a threshold for the one fits the other. On 44 clips with 75 labels of what is heard, the labelled class is
among the five surest in its time for 56 labels, for 65 with the other file, and for 49 with the tagger that ships with
avel, whose scores reach 0.3 for 24 labels alone (51 and 53 with the others).
"""

import dataclasses
import tempfile
import zipfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from avel.backbones import weights
from avel.backbones.embedded import audioset_classes
from avel.backbones.engine import EngineOptions, from_graph
from avel.backbones.quantization import end_of_way_back, replace, to_floating_point
from avel.backbones.yamnet import FRAMES, LOG_MEL, WINDOWS_TOGETHER, YamnetWindows

if TYPE_CHECKING:
    from avel.runtimes import openvino

WEIGHTS = "yamnet-onnx"
LOGIT_SCALE = 0.6
"""With it, of those 75 labels 51 reach 0.3 and 39 reach 0.5, about as many as with the other file (53 and 40)."""


class YamnetOnnx(YamnetWindows):
    """Scores or embedding of a segment from windows of 0.975 s that cover it, as `Yamnet` gives them.

    Args:
        options: threads; precision is ``float32`` whatever it says.
        output: ``"scores"``, in [0, 1], the greatest of the windows: what is heard in any of them is heard in the
            segment. ``"embedding"``, non-negative, the mean of the windows.
        hop_seconds: about how long a step is, as of `Yamnet`; ``None`` for one vector a segment.
        segment_seconds: length of a segment, of which steps are equal parts.

    Raises:
        ValueError: if there is no such output.
        WeightsError: if the weights are not available.
    """

    _channels = (1,)

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
        if output == "scores":
            self.name, self.labels = WEIGHTS, audioset_classes()
            self.dims = len(self.labels)
        else:
            self.name, self.dims, self.labels = f"{WEIGHTS}-embedding", 1024, None
        network = from_graph(
            partial(_graph, output),
            name=self.name,
            digest=weights.digest(WEIGHTS),
            options=dataclasses.replace(options or EngineOptions(), precision="float32"),
            items_together=WINDOWS_TOGETHER,
        )
        self._run_by(network, output, hop_seconds, segment_seconds)


def _graph(output: str) -> "openvino.Model":
    """(1, 1, 96, 64) log-mel patch to (1, 521) scores or (1, 1024) embedding, in floating point."""
    from avel.runtimes import openvino

    with tempfile.TemporaryDirectory(prefix="avel-") as folder:
        with zipfile.ZipFile(weights.path(WEIGHTS)) as archive:
            archive.extractall(folder)
        (file,) = Path(folder).rglob("*.onnx")
        model = openvino.Core().read_model(file)
        to_floating_point(model)
        (given,) = model.get_parameters()  # 8 bits of its own
        patch = openvino.opset13.parameter([1, 1, FRAMES, LOG_MEL.bands], np.float32)
        replace(end_of_way_back(given), patch.output(0))
        if output == "embedding":
            (pooled,) = (node for node in model.get_ordered_ops() if node.get_type_name() == "ReduceMean")
            wanted = openvino.opset13.reshape(pooled, np.array([1, 1024]), False)
        else:
            (product,) = (node for node in model.get_ordered_ops() if node.get_type_name() == "MatMul")
            (logits,) = (taker.get_node() for taker in product.output(0).get_target_inputs())  # with the bias
            scale = openvino.opset13.constant(np.float32(LOGIT_SCALE))
            wanted = openvino.opset13.sigmoid(openvino.opset13.multiply(logits, scale))
        # Written and read once more, as its numbers lie in a file that will be gone.
        kept = Path(folder) / "kept.xml"
        openvino.save_model(openvino.Model([wanted], [patch], WEIGHTS), kept, compress_to_fp16=False)
        copied: openvino.Model = openvino.Core().read_model(kept.read_bytes(), kept.with_suffix(".bin").read_bytes())
        return copied
