"""CAM: class activation maps of a network that merges the sound into every region (Owens and Efros, ECCV 2018).

The baseline that Xuan et al. (AAAI 2020) hold their spatial localization against: a global mean over the regions in
place of attention, and for where, the strongest response of the class activation map (Zhou et al., CVPR 2016). As
Owens and Efros do, the sound is joined to the features of every region early, convolutions over space and time follow,
and the mean over the regions goes into one linear layer, so that what a region adds to a class is the inner product of
its features and the class's weights: that is the map.

Departures, since the features here are those of frozen networks over whole seconds: Owens and Efros train on pixels and
waveforms to tell matching sound from shifted sound and take the map of "matches", of either sign. Xuan et al. give an
accuracy of event localization for it (72.3, weak 68.8), so it is trained on the event categories here, and its map is
that of the strongest event category of each segment, never of background; and it is pooled over the regions only, so
that each segment has its classes. Of their many layers there is one to merge and one residual 3D convolution, without
batch normalization, through which videos of a batch would reach each other. Neither paper says more, so sizes are those
of their merged features, 128, and training is that of Tian et al.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import RegionConv3d, mean_over_regions, scored_regions, without_padding
from avel.models.options import Dims, Options
from avel.models.region_linear import RegionLinear


class CamOptions(Options):
    """Options of CAM.

    Attributes:
        merged_dims: features of a region and the sound, merged; at most 1024.
    """

    merged_dims: Annotated[int, Field(ge=1, le=1024)] = 128


class Cam(TwoModalityInput):
    """The network; see the head of this module.

    Args:
        dims: sizes of the input.
        options: see there.

    Raises:
        ValueError: if the regions are not on a square grid.
    """

    def __init__(self, dims: Dims, options: CamOptions) -> None:
        super().__init__(dims)
        # One linear layer over a region's features joined with the sound's, in two parts: the sound is in every region.
        self.merge_visual: nn.Linear = RegionLinear(dims.visual_dims, options.merged_dims)
        self.merge_audio: nn.Linear = nn.Linear(dims.audio_dims, options.merged_dims, bias=False)
        self.convolution: RegionConv3d = RegionConv3d(options.merged_dims, options.merged_dims, dims.regions)
        self.head: nn.Linear = nn.Linear(options.merged_dims, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C); ``spatial_attention`` (B, T, R) is the map of each segment's strongest event category.

        It is 0 where the map is least and sums to 1; where the map is the same everywhere, so is it.
        """
        merged = functional.relu(self.merge_visual(visual) + self.merge_audio(audio)[..., None, :])
        merged = functional.relu(merged + self.convolution(merged, valid))  # (B, T, R, D)
        logits: Tensor = self.head(mean_over_regions(merged))
        strongest = logits[..., :-1].argmax(dim=-1)  # (B, T)
        maps = scored_regions(self.head.weight[strongest], merged)  # (B, T, R)
        shown["spatial_attention"] = without_padding(_share_of_regions(maps.detach().float()), valid)
        return logits


def _share_of_regions(maps: Tensor) -> Tensor:
    above = maps - maps.amin(dim=-1, keepdim=True)
    total = above.sum(dim=-1, keepdim=True)
    return torch.where(total > 0, above / total, 1 / maps.shape[-1])


ENTRIES: Mapping[str, Entry] = {
    "cam": Entry(
        "sound merged into every region, mean over the regions; where, by class activation maps",
        "Owens and Efros, ECCV 2018",
        CamOptions,
        Cam,
    ),
}
