"""The one interface of all localization models.

Shapes: B videos, T segments, R regions, D features, C classes. Models take tensors and give tensors; which backbones
made the features is said in `FeatureNeeds`, and whoever calls the model joins their outputs in that order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn


@dataclass(frozen=True)
class FeatureNeeds:
    """Which backbones' features a model takes, each list joined along D in this order.

    Attributes:
        visual: names of visual backbones; all have the same number of regions.
        audio: names of audio backbones.
    """

    visual: tuple[str, ...]
    audio: tuple[str, ...]


@dataclass(frozen=True)
class ModelOutput:
    """What a model says of a batch of videos.

    Attributes:
        logits: (B, T, C) float32; the last class is background.
        shown: what the model can show besides, by name: ``audio_scores`` and ``visual_scores`` (B, T, C - 1) in [0, 1]
            of each modality alone, ``spatial_attention`` (B, T, R), ``temporal_attention`` (B, T, T), ``gates`` (B, T).
    """

    logits: Tensor
    shown: Mapping[str, Tensor] = field(default_factory=dict)


class LocalizationModel(nn.Module):
    """Base of every model.

    Attributes:
        categories: names of the event categories, C - 1 of them; class C - 1 is background.
        needs: the features it takes.
        multi_label: categories are scored independently, so that events of several may overlap; otherwise the
            classes exclude each other and a segment has the one with the largest logit.
    """

    categories: tuple[str, ...]
    needs: FeatureNeeds
    multi_label: bool = False

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v) float32.
            audio: (B, T, D_a) float32.
            valid: (B, T) bool; False where a segment is only padding.
        """
        raise NotImplementedError
