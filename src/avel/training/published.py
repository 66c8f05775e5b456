"""A+V-att as its authors published it, ``AV_att.pt``, as a checkpoint; no code of the file is run.

The authors save the whole network with Python's pickle, by PyTorch 0.3. Such a file names classes and functions that a
plain reader would import and call; see `avel.backbones.weights.checkpoint_file` for how this one does not.
"""

import hashlib
from pathlib import Path

import torch

from avel.backbones.weights.checkpoint_file import read_checkpoint
from avel.data.ave.dataset import CATEGORIES, NUM_SEGMENTS
from avel.errors import ModelError, WeightsError
from avel.features.recipe import preset
from avel.models import registry
from avel.models.options import Dims
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord

OPTIONS = {"recurrence": "bilstm", "head": "mlp", "attention": "released"}
"""Of our a+v-att, to be the authors' network."""

LAYERS = {
    "affine_video": "pooling.attention.project_visual",
    "affine_audio": "pooling.attention.project_audio",
    "affine_v": "pooling.attention.hidden_visual",
    "affine_g": "pooling.attention.hidden_audio",
    "affine_h": "pooling.attention.score",
    "lstm_audio": "audio_lstm.lstm",
    "lstm_video": "visual_lstm.lstm",
    "L1": "heads.0.1",
    "L2": "heads.0.3",
}
"""Which layer of the published network is which of ours."""


_NETWORK = (
    "models.att_Net",
    "__main__.att_Net",
    "torch.nn.modules.",
    "torch.nn.backends.thnn.",
    "torch.nn._functions.",
)
"""Beginnings of names that files of early PyTorch hold of the network and its layers; nothing of these is imported."""


def is_torch_file(path: str | Path) -> bool:
    """Whether a file begins as those that PyTorch saves: a pickle, or the zip archive of later versions."""
    try:
        with Path(path).open("rb") as file:
            return file.read(2) in (b"\x80\x02", b"PK")
    except OSError:
        return False


def import_att_net(path: str | Path, output: str | Path) -> Path:
    """Make a checkpoint of our a+v-att of the authors' ``AV_att.pt``, for features of the preset ``ave``.

    Raises:
        ModelError: if the file is not that, or its weights are not those of the network.
        OutputError: if the checkpoint cannot be written.
    """
    path = Path(path)
    try:
        arrays = read_checkpoint(path, network=_NETWORK, advice="Give AV_att.pt as published, or its state_dict.")
    except WeightsError as error:
        raise ModelError(str(error)) from error
    recipe, dims = preset("ave"), Dims()
    model = registry.build("a+v-att", dims, **OPTIONS)
    expected = model.state_dict()
    ours = {}
    for name, array in arrays.items():
        layer, _, rest = name.removeprefix("module.").partition(".")
        ours[f"{LAYERS.get(layer, layer)}.{rest}"] = torch.from_numpy(array)
    for name, wanted in expected.items():
        if name not in ours or ours[name].shape != wanted.shape:
            shape = tuple(ours[name].shape) if name in ours else "none"
            raise ModelError(
                f"{path}: is not the network of AV_att.pt: {name} should have shape {tuple(wanted.shape)}, it has "
                f"{shape}."
            )
    if extra := sorted(set(ours) - set(expected)):
        raise ModelError(f"{path}: is not the network of AV_att.pt: it also has {extra[0]}.")
    if not all(tensor.dtype == torch.float32 and bool(tensor.isfinite().all()) for tensor in ours.values()):
        raise ModelError(f"{path}: holds weights that are not finite float32 numbers. Get it again.")
    model.load_state_dict(ours)
    features = FeatureRecord(
        regions=dims.regions,
        visual_dims=dims.visual_dims,
        audio_dims=dims.audio_dims,
        visual=recipe.visual,
        audio=recipe.audio,
        recipe=recipe.to_dict(),
    )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    info = CheckpointInfo(
        "a+v-att",
        registry.options_of("a+v-att", **OPTIONS).model_dump(),
        dims,
        CATEGORIES,
        features,
        notes={
            "imported_from": path.name,
            "sha256": digest,
            "origin": "weights of the authors of Tian et al., ECCV 2018",
        },
        num_segments=NUM_SEGMENTS,
    )
    checkpoint.save(output, model.eval(), info)
    return Path(output)
