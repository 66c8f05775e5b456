"""AVSDN: dual-modality sequence to sequence network (Lin, Li and Wang, ICASSP 2019; arXiv:1902.07473).

Each modality has an encoder, a BiLSTM over the segments. Their last states, of which the hidden and the cell state are
each fused by a DMRN (Tian et al., ECCV 2018), know of the whole video; a decoder, a BiLSTM that starts from them, goes
over the joined features of the segments, and a head that all segments share gives their classes.

What the paper leaves open, and is chosen here: sizes and head are those of the code of Tian et al., with whom
it compares itself; the last states of both directions are fused as one vector, by one DMRN for the hidden and one for
the cell state; the regions are pooled by their mean. As the classifier of Lin and Wang, ACCV 2020, it takes attended
visual features (`avel.models.av_transformer`). Its optimizer is not given, so training is that of Tian et al.; weak
training is that of Lin and Wang, by the same authors.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry, TrainingRecipe
from avel.models.fusion import DMRN
from avel.models.layers import SegmentLSTM, mean_over_regions, mlp_head
from avel.models.options import Dims
from avel.models.tian2018 import LstmSizes

WEAK_OF_LIN_AND_WANG: TrainingRecipe = {"pooling": "max", "backgrounds": "mismatched"}
"""Training of Tian et al., with max pooling and mismatched backgrounds where it is weak (Lin and Wang, Sec. 3.1)."""


class SequenceToSequence(nn.Module):
    """The network behind the pooling of the regions; see the head of this module.

    Args:
        dims: sizes of the input.
        options: sizes.
    """

    def __init__(self, dims: Dims, options: LstmSizes) -> None:
        super().__init__()
        both_directions = 2 * options.lstm_dims
        self.audio_encoder: SegmentLSTM = SegmentLSTM(dims.audio_dims, options.lstm_dims)
        self.visual_encoder: SegmentLSTM = SegmentLSTM(dims.visual_dims, options.lstm_dims)
        self.fuse_hidden: DMRN = DMRN(both_directions, both_directions, both_directions)
        self.fuse_cell: DMRN = DMRN(both_directions, both_directions, both_directions)
        self.decoder: SegmentLSTM = SegmentLSTM(dims.audio_dims + dims.visual_dims, options.lstm_dims)
        self.head: nn.Sequential = mlp_head(both_directions, options.head_dims, dims.num_classes)

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """Logits (B, T, C) of (B, T, D_v) and (B, T, D_a)."""
        _, (audio_hidden, audio_cell) = self.audio_encoder.run(audio, valid)
        _, (visual_hidden, visual_cell) = self.visual_encoder.run(visual, valid)
        start = (
            _fused(self.fuse_hidden, audio_hidden, visual_hidden),
            _fused(self.fuse_cell, audio_cell, visual_cell),
        )
        decoded, _ = self.decoder.run(torch.cat([audio, visual], dim=-1), valid, start)
        return self.head(decoded)


def _fused(fusion: nn.Module, audio: Tensor, visual: Tensor) -> Tensor:
    """A state of both modalities (2, B, H) from one of each."""
    num_directions = audio.shape[0]
    fused: Tensor = fusion(*(state.transpose(0, 1).flatten(1) for state in (audio, visual)))[0]  # (B, 2 H)
    return fused.to(audio.dtype).view(fused.shape[0], num_directions, -1).transpose(0, 1).contiguous()


class Avsdn(TwoModalityInput):
    """AVSDN over the mean of the regions.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: LstmSizes) -> None:
        super().__init__(dims)
        self.network: SequenceToSequence = SequenceToSequence(dims, options)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        return self.network(mean_over_regions(visual), audio, valid)


ENTRIES: Mapping[str, Entry] = {
    "avsdn": Entry(
        "audio and visual, encoded each and decoded together, sequence to sequence",
        "Lin et al., ICASSP 2019",
        LstmSizes,
        Avsdn,
        training=WEAK_OF_LIN_AND_WANG,
    ),
}
