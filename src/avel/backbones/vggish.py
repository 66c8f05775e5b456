"""VGGish: sound to a 128-D embedding, the audio features of the AVE papers.

Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017 (arXiv:1609.09430), as released
with AudioSet: a network like VGG on log-mel patches of 0.96 s, trained on YouTube videos. AVE's features (Tian et al.,
ECCV 2018) are its embedding as it is, without the PCA and the 8 bits of AudioSet's own features, and after a last ReLU
that AudioSet's implementation had then and has dropped since.

The weights are AudioSet's, ported to PyTorch. Their layout follows the port's published source; no number of this
network has been compared with AudioSet's own where this was written, as the file was not available there.

What differs from the extraction that AVE's features were made with, as relative L2 error of the log-mel patches of real
clips (``benchmarks/extraction.py``): it resampled with another filter (below 2 %), rounded the sound to 16 bits first
(below 1 %), and resampled every second by itself (below 0.02 %, nearly all of it in the first frames of a patch; too
little for an option).
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from avel.backbones import weights
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions, from_torch
from avel.backbones.logmel import LogMel
from avel.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

FRAMES = 96
BANDS = 64

_LOG_MEL = LogMel(bands=BANDS, offset=0.01)


class Vggish(AudioBackbone):
    """VGGish embedding of a segment.

    A segment is cut into patches of 96 log-mel frames (0.96 s) from its start on; what is left over is not used, as in
    AudioSet's implementation. A segment of 1 s has 98 frames and so one patch. The embedding of several patches is
    their mean; a segment that is shorter than a patch is followed by silence.

    Args:
        options: device, precision, threads.
        last_relu: take the embedding after the last ReLU, as AVE's features were, so that it is non-negative. Without
            it the backbone is called ``vggish-no-relu``.

    Raises:
        WeightsError: if the weights are not available.
    """

    sample_rate = 16000
    dims = 128
    labels: tuple[str, ...] | None = None

    def __init__(self, options: EngineOptions | None = None, *, last_relu: bool = True) -> None:
        self.name = "vggish" if last_relu else "vggish-no-relu"
        self._last_relu = last_relu
        self._network = from_torch(
            _module,
            (FRAMES, BANDS),
            name="vggish",
            digest=weights.digest("vggish"),
            options=options or EngineOptions(),
            dtype=np.float32,
        )
        self.record: dict[str, Any] = {
            **self._network.record,
            "name": self.name,
            "last_relu": last_relu,
            "pca": False,
            "window_seconds": FRAMES * _LOG_MEL.hop_samples / self.sample_rate,
            "over_windows": "mean",
        }

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, S) at 16 kHz to (T, 128)."""
        found = patches(waveforms)
        (embeddings,) = self._network(found.reshape(-1, FRAMES, BANDS))
        if self._last_relu:
            embeddings = np.maximum(embeddings, 0)
        return embeddings.reshape(*found.shape[:2], self.dims).mean(axis=1, dtype=np.float32)


def patches(waveforms: Floats) -> Floats:
    """What the network takes.

    Args:
        waveforms: (T, S) float32 mono in [-1, 1] at 16 kHz; any S >= 1.

    Returns:
        (T, P, 96, 64) log-mel patches, P >= 1 the same for every segment.
    """
    missing = _LOG_MEL.samples(FRAMES) - waveforms.shape[1]
    if missing > 0:
        waveforms = np.pad(waveforms, ((0, 0), (0, missing)))
    frames = _LOG_MEL(waveforms)
    count = frames.shape[1] // FRAMES
    return frames[:, : count * FRAMES].reshape(len(waveforms), count, FRAMES, BANDS)


def _module() -> "torch.nn.Module":
    import torch

    return _network({name: torch.from_numpy(array) for name, array in weights.load_tensors("vggish").items()})


def _network(tensors: "Mapping[str, torch.Tensor]") -> "torch.nn.Module":
    """The network, its tensors named as in the published file.

    Raises:
        WeightsError: if they are not exactly those that the network has.
    """
    import torch

    from avel.backbones.vggish_network import VggishNetwork

    with torch.device("meta"):  # memory is for the tensors that come, not for random ones
        network = VggishNetwork(FRAMES, BANDS)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        differences = "; ".join(
            f"{name} is {found.get(name, 'missing')}, not {expected.get(name, 'in it')}" for name in wrong[:3]
        )
        raise WeightsError(
            f"The weights 'vggish' are not laid out as VGGish's: {differences}"
            f"{f'; and {len(wrong) - 3} more' if len(wrong) > 3 else ''}. Allowed is the state dict of torchvggish 0.1."
        )
    network.load_state_dict(dict(tensors), assign=True)
    return network
