"""Checkpoints of small models with random weights, for the features of `features/tiny_backbones.py` or others."""

import dataclasses

import torch
from tiny_backbones import RECIPE, BandEnergies, MeanColours

from avel.features.store import entries
from avel.models import registry
from avel.models.options import Dims
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord

CATEGORIES = ("bark", "meow", "bell")
NETWORKS = {name: entry.network for name, entry in entries([MeanColours(), BandEnergies()]).items()}
FEATURES = FeatureRecord(4, 3, 8, 1.0, RECIPE.visual, RECIPE.audio, NETWORKS, RECIPE.to_dict())


def write_checkpoint(path, model="a+v-att", *, features=FEATURES, categories=CATEGORIES, seed=0, **fields):
    """A checkpoint; ``fields`` are of its `CheckpointInfo`, or the model's options."""
    known = {field.name for field in dataclasses.fields(CheckpointInfo)}
    options = {name: value for name, value in fields.items() if name not in known}
    dims = Dims(
        visual_dims=max(features.visual_dims, 1),
        regions=max(features.regions, 1),
        audio_dims=max(features.audio_dims, 1),
        num_categories=len(categories),
    )
    torch.manual_seed(seed)
    built = registry.build(model, dims, **options)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(3)  # so that answers differ
    info = CheckpointInfo(
        model,
        registry.options_of(model, **options).model_dump(),
        dims,
        categories,
        features,
        **{name: value for name, value in fields.items() if name in known},
    )
    checkpoint.save(path, built, info)
    return path
