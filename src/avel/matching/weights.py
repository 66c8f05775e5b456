"""Weights of matchers in files: our own (safetensors), and AVDLN as its authors published it (Keras's HDF5)."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from avel.documents import parse_json
from avel.errors import ModelError
from avel.files import open_safetensors, write_bytes
from avel.matching.avdln import Avdln
from avel.matching.base import Matcher, MatcherOptions
from avel.matching.heads import FORMAT
from avel.matching.training import MATCHERS
from avel.models.options import Dims

if TYPE_CHECKING:
    import h5py

KERAS_LAYERS = {
    "dense_1": "embed_visual.0",
    "dense_2": "embed_visual.2",
    "dense_3": "embed_audio.0",
    "dense_4": "embed_audio.2",
}
"""Which dense layer of the published file is which of ours."""

_MAX_KERNEL = 2**24


def save(matcher: Matcher, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Write a matcher as safetensors, with its kind and sizes in the file's metadata.

    Args:
        matcher: it.
        path: of the file.
        about: plain values that the file says besides, such as the ``features`` that the matcher was trained on.

    Raises:
        OutputError: if it cannot be written.
    """
    from safetensors.torch import save as serialize

    name = next(name for name, kind in MATCHERS.items() if isinstance(matcher, kind))
    metadata = {
        **(about or {}),
        "matcher": name,
        "dims": matcher.dims.model_dump(),
        "options": matcher.options.model_dump(),
    }
    state = {key: value.detach().cpu().contiguous() for key, value in matcher.state_dict().items()}
    write_bytes(Path(path), serialize(state, {"format": FORMAT, "avel": json.dumps(metadata)}))


def load(path: str | Path) -> Matcher:
    """Read a matcher that `save` wrote, as `load_with_metadata`."""
    return load_with_metadata(path)[0]


def load_with_metadata(path: str | Path) -> tuple[Matcher, dict[str, Any]]:
    """Read a matcher that `save` wrote. Nothing is unpickled.

    Returns:
        The matcher in eval mode, and what the file says of it.

    Raises:
        ModelError: if the file is missing or is not such a file.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(
            f"{path}: no such file. A matcher comes of `avel train-matching`, or of `avel train` with a model that "
            "matches pictures and sound, such as avdln."
        )
    try:
        with open_safetensors(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ModelError(f"{path}: is not a matcher of avel, its format is {metadata.get('format')!r}.")
            made = parse_json(metadata["avel"])
            kind = MATCHERS[made["matcher"]]
            with torch.device("meta"):
                matcher = kind(Dims(**made["dims"]), kind.options_type(**made["options"]))
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        _fill(matcher, state, path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: is damaged ({error}). Make or get it again.") from error
    return matcher.eval(), made


def is_matcher_file(path: str | Path) -> bool:
    """Whether a file is one that `save` wrote, whole or damaged."""
    try:
        with open_safetensors(Path(path), "pt") as file:
            return (file.metadata() or {}).get("format") == FORMAT
    except (OSError, ValueError):
        return False


def load_keras(path: str | Path) -> Avdln:
    """Read AVDLN's weights as published, ``cmm_model_weights.h5``; Keras is not needed.

    Sizes are taken from the file.

    Returns:
        The network in eval mode.

    Raises:
        ModelError: if the file is missing, is not HDF5, or does not hold two networks of two dense layers each.
    """
    path = Path(path)
    state: dict[str, Tensor] = {}
    with _opened(path) as file:
        for keras, ours in KERAS_LAYERS.items():
            kernel, bias = _array(file, path, keras, "kernel:0", 2), _array(file, path, keras, "bias:0", 1)
            state[f"{ours}.weight"] = torch.from_numpy(kernel).T.contiguous()  # Keras has (inputs, outputs)
            state[f"{ours}.bias"] = torch.from_numpy(bias)
    hidden, visual_dims = state["embed_visual.0.weight"].shape
    audio_dims, embedding_dims = state["embed_audio.0.weight"].shape[1], state["embed_visual.2.weight"].shape[0]
    with torch.device("meta"):
        matcher = Avdln(
            Dims(visual_dims=visual_dims, audio_dims=audio_dims),
            MatcherOptions(hidden_dims=hidden, embedding_dims=embedding_dims),
        )
    _fill(matcher, state, path)
    return matcher.eval()


def _fill(matcher: Matcher, state: dict[str, Tensor], path: Path) -> None:
    expected = {key: tuple(value.shape) for key, value in matcher.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in state.items()}
    if found != expected:
        wrong = next(key for key in sorted(expected | found) if expected.get(key) != found.get(key))
        raise ModelError(
            f"{path}: '{wrong}' has shape {found.get(wrong, 'none')}, but the others make it "
            f"{expected.get(wrong, 'none')}."
        )
    if not all(value.dtype == torch.float32 and bool(value.isfinite().all()) for value in state.values()):
        raise ModelError(f"{path}: holds weights that are not finite float32 numbers. Get it again.")
    matcher.load_state_dict(state, assign=True)


@contextmanager
def _opened(path: Path) -> "Iterator[h5py.File]":
    import h5py

    if not path.is_file():
        raise ModelError(f"{path}: no such file.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, RuntimeError) as error:  # HDF5 has no error of its own
        raise ModelError(f"{path}: is not readable as Keras weights in HDF5 ({error}). Get it again.") from error


def _array(
    file: "h5py.File", path: Path, layer: str, name: str, ndim: int
) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """``layer/layer/name``, as Keras 2 writes it, if it lies in this file and has a size that can be."""
    import h5py

    where: h5py.Group = file
    for part in (layer, layer, name):
        links = where.id.links if isinstance(where, h5py.Group) else None  # `in` would follow a link to another file
        if links is None or not links.exists(part.encode()):
            raise ModelError(
                f"{path}: no '{layer}/{layer}/{name}' in it. It must be cmm_model_weights.h5 as published."
            )
        if links.get_info(part.encode()).type != h5py.h5l.TYPE_HARD:
            raise ModelError(f"{path}: '{part}' is a link to another place, which is not followed.")
        where = where[part]
    is_plain = isinstance(where, h5py.Dataset) and not where.is_virtual and not where.external
    if not is_plain or where.ndim != ndim or where.dtype != np.float32 or math.prod(where.shape) > _MAX_KERNEL:
        raise ModelError(f"{path}: '{layer}/{layer}/{name}' is not a plain float32 array of {ndim} dimensions.")
    return np.asarray(where[...], dtype=np.float32)
