"""The audio tagger that ships with avel: 521 AudioSet scores or a 1024-D embedding, from weights of our own.

A small convolutional network that was taught to answer as YAMNet does (distillation; Hinton et al., arXiv:1503.02531).
Front end, classes and their order are YAMNet's. How it was made and what it hears:
``shipped_weights/audio_tagger/MODEL_CARD.md``.
"""

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from avel.backbones.audio_windows import around_steps, cover, steps_in
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions, from_frozen
from avel.backbones.logmel import LogMel
from avel.backbones.operations import FrozenNetwork, Operations, Tensors, V
from avel.documents import parse_json
from avel.errors import WeightsError
from avel.files import SafetensorsError, open_safetensors, safetensors_header

FILE_NAME = "embedded_audio_tagger.safetensors"
FRAMES = 96
_MAX_FILE_BYTES = 5_000_000
EMBEDDING_DIMS = 1024


class _Layer(NamedTuple):
    inputs: int
    outputs: int
    kernel: int
    stride: int
    is_separable: bool

    def shapes(self, name: str) -> dict[str, tuple[int, ...]]:
        """Of its tensors."""
        kernel = (self.kernel, self.kernel)
        if not self.is_separable:
            convolutions = {"": (self.outputs, self.inputs, *kernel)}
        else:
            convolutions = {".each": (self.inputs, 1, *kernel), ".across": (self.outputs, self.inputs, 1, 1)}
        weights = {f"{name}{part}.convolution.weight": shape for part, shape in convolutions.items()}
        return weights | {key.replace(".weight", ".bias"): shape[:1] for key, shape in weights.items()}


_BODY = (
    *(_Layer(1, 24, 3, 2, False), _Layer(24, 64, 3, 2, False), _Layer(64, 160, 3, 2, True)),
    *[_Layer(160, 160, 3, 1, True)] * 2,
    _Layer(160, 384, 3, 2, True),
    *[_Layer(384, 384, 3, 1, True)] * 3,
    *(_Layer(384, 768, 3, 2, True), _Layer(768, EMBEDDING_DIMS, 1, 1, False)),
)


class Embedded(AudioBackbone):
    """Scores or embedding of a segment from windows of 0.975 s that cover it, as `Yamnet` gives them.

    Args:
        options: device, precision, threads.
        output: ``"scores"``, in [0, 1], the greatest of the windows: what is heard in any of them is heard in the
            segment. ``"embedding"``, non-negative, the mean of the windows.
        hop_seconds: about how long a step is, as of `Yamnet`; ``None`` for one vector a segment.
        segment_seconds: length of a segment, of which steps are equal parts.
        path: weights made by ``shipped_weights/audio_tagger``; those that ship with avel when ``None``.

    Raises:
        ValueError: if there is no such output.
        WeightsError: if the file has no such weights.
    """

    sample_rate = 16000

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        output: Literal["scores", "embedding"] = "scores",
        hop_seconds: float | None = None,
        segment_seconds: float = 1.0,
        path: Path | None = None,
    ) -> None:
        if output not in ("scores", "embedding"):
            raise ValueError(f"output must be 'scores' or 'embedding'; got {output!r}.")
        file = path or Path(__file__).parent / "data" / FILE_NAME
        data = _read(file)
        description = _description(file)
        classes = tuple(description["classes"])
        self._log_mel = LogMel(**description["log_mel"])
        self._reduce = np.max if output == "scores" else np.mean
        if output == "scores":
            self.name, self.dims, self.labels = "embedded", len(classes), classes
        else:
            self.name, self.dims, self.labels = "embedded-embedding", EMBEDDING_DIMS, None
        self._network = from_frozen(
            network(file, self._log_mel.bands, len(classes), output),
            name=self.name,
            digest="sha256:" + hashlib.sha256(data).hexdigest(),
            options=options or EngineOptions(),
        )
        if hop_seconds is not None:
            self.steps: int = steps_in(segment_seconds, hop_seconds)
            self.context_seconds: float = self._log_mel.samples(FRAMES) / 2 / self.sample_rate
        self.record: dict[str, Any] = {
            **self._network.record,
            "training": description["training"],
            "output": output,
            "window_seconds": self._log_mel.samples(FRAMES) / self.sample_rate,
            "over_windows": "max" if output == "scores" else "mean",
            **({} if self.steps is None else {"steps": self.steps}),
        }

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, N) at 16 kHz to (T, 521) or (T, 1024), or with steps (T, S, 521) or (T, S, 1024)."""
        if self.steps is not None:
            patches = around_steps(waveforms, self._log_mel, FRAMES, self.steps)
        else:
            patches = self._log_mel(cover(waveforms, self._log_mel.samples(FRAMES)))  # (T, W, 96, 64)
        (outputs,) = self._network(patches.reshape(-1, *patches.shape[2:]))
        outputs = outputs.reshape(*patches.shape[:2], -1)
        return outputs if self.steps is not None else self._reduce(outputs, axis=1)


@cache
def audioset_classes() -> tuple[str, ...]:
    """Names of the 521 classes that YAMNet hears, in its order, which is that of the shipped tagger."""
    return tuple(_description(Path(__file__).parent / "data" / FILE_NAME)["classes"])


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror}). Give weights of an audio tagger.") from error
    if len(data) > _MAX_FILE_BYTES:
        raise WeightsError(f"{path} has more than {_MAX_FILE_BYTES} bytes. Give weights of an audio tagger.")
    return data


def _description(file: Path) -> dict[str, Any]:
    """What is written in the file's header: classes, front end, digest of the training."""
    try:
        description = parse_json(safetensors_header(file).metadata["audio_tagger"])
        if {"classes", "log_mel", "training"} <= description.keys():
            return dict(description)
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise WeightsError(
        f"{file} does not describe an audio tagger in its header. Make one with: python -m shipped_weights.audio_tagger"
    )


def network(file: Path, bands: int, classes: int, output: str) -> FrozenNetwork:
    """The network, from log-mel patches (B, 96, 64) to scores (B, classes) or embeddings (B, 1024).

    The one that was trained is `avel.backbones.embedded_network.TaggerNetwork`; the shipped weights have its
    normalizations multiplied into the convolutions.
    """
    define = partial(_outputs, bands=bands, output=output)
    return FrozenNetwork(define, partial(_tensors, file, classes), (FRAMES, bands), np.float32)


def _outputs(ops: Operations[V], patches: V, *, bands: int, output: str) -> V:
    x = ops.reshape(patches, (1, FRAMES, bands))
    for number, layer in enumerate(_BODY):
        before, name, padding = x, f"body.{number}", layer.kernel // 2
        if not layer.is_separable:
            x = ops.relu(ops.convolution(x, f"{name}.convolution", stride=layer.stride, padding=padding))
            continue
        x = ops.convolution(x, f"{name}.each.convolution", stride=layer.stride, padding=padding, each=True)
        x = ops.relu(ops.convolution(ops.relu(x), f"{name}.across.convolution"))
        if layer.inputs == layer.outputs and layer.stride == 1:
            x = ops.add(before, x)
    embedding = ops.mean(x, (2, 3))
    return ops.sigmoid(ops.linear(embedding, "head")) if output == "scores" else embedding


def _tensors(file: Path, classes: int) -> Tensors:
    expected = {
        name: shape for number, layer in enumerate(_BODY) for name, shape in layer.shapes(f"body.{number}").items()
    }
    expected |= {"head.weight": (classes, EMBEDDING_DIMS), "head.bias": (classes,)}
    try:
        with open_safetensors(file, "numpy") as opened:
            tensors = {name: opened.get_tensor(name).astype(np.float32) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorsError) as error:
        raise WeightsError(f"{file} does not hold this tagger's tensors: {error}") from error
    found = {name: tensor.shape for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        name = wrong[0]
        raise WeightsError(
            f"{file} does not hold this tagger's tensors: {name} is {found.get(name, 'missing')}, not "
            f"{expected.get(name, 'in it')}. Make the file with: python -m shipped_weights.audio_tagger"
        )
    return tensors
