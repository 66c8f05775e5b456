"""YAMNet as teacher: log-mel patches to the logits of its 521 classes and its 1024-D embedding.

The published file takes a waveform. Its front end is the same as ours, so the graph is cut behind its logarithm, which
saves computing the spectrum twice. It ends before the last sigmoid: the published scores are rounded to steps of
1/256, the logits are not.
"""

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avel.runtimes import openvino as ov
from shipped_weights.audio_tagger.recordings import read_sources

FRAMES, BANDS = 96, 64
CLASSES, EMBEDDING = 521, 1024
Floats = npt.NDArray[np.float32]


class Teacher:
    """YAMNet on one thread; each worker process has its own."""

    def __init__(self, path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        expected = read_sources()["teacher"]["sha256"]
        if digest != expected:
            raise ValueError(f"{path} has the SHA-256 {digest}; the teacher must be YAMNet's file with {expected}.")
        core = ov.Core()
        model = core.read_model(path)
        by_type: dict[str, list[ov.Node]] = {}
        for node in model.get_ordered_ops():
            by_type.setdefault(node.get_type_name(), []).append(node)
        (logarithm,), (mean,), (sigmoid,) = by_type["Log"], by_type["ReduceMean"], by_type["Sigmoid"]
        patch = ov.opset13.parameter([FRAMES, BANDS], np.float32, name="log_mel")
        for target in list(logarithm.output(0).get_target_inputs()):
            target.replace_source_output(patch.output(0))
        rounded = sigmoid.input_value(0).get_node()
        logits = rounded.input_value(0) if rounded.get_type_name() == "FakeQuantize" else sigmoid.input_value(0)
        cut = ov.Model([logits, mean.output(0)], [patch], "yamnet")
        settings = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False}
        self._request = core.compile_model(cut, "CPU", settings).create_infer_request()

    def __call__(self, patches: Floats) -> tuple[Floats, Floats]:
        """(N, 96, 64) log-mel patches to (N, 521) logits and (N, 1024) embeddings."""
        logits = np.empty((len(patches), CLASSES), np.float32)
        embeddings = np.empty((len(patches), EMBEDDING), np.float32)
        for number, patch in enumerate(patches):
            results = self._request.infer({0: patch})
            logits[number], embeddings[number] = results[0].ravel(), results[1].ravel()
        return logits, embeddings


def class_names(path: Path) -> list[str]:
    """AudioSet's display names of the teacher's classes, in its order; they are appended to its file."""
    with zipfile.ZipFile(path) as archive:
        names = archive.read("yamnet_label_list.txt").decode().splitlines()
    if len(names) != CLASSES:
        raise ValueError(f"{path} names {len(names)} classes; YAMNet has {CLASSES}.")
    return names
