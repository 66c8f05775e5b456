"""The interface of what tells how well a picture and a sound go with each other, and the blocks they share.

Shapes: N clips or pairs, T segments, D features. Visual features are the mean over the regions.
"""

from typing import ClassVar

from torch import Tensor, nn

from avel.models.options import Dims, Options, Size


class MatcherOptions(Options):
    """Sizes of the two networks, one for each modality.

    Attributes:
        hidden_dims: of the first layer.
        embedding_dims: of the result.
    """

    hidden_dims: Size = 128
    embedding_dims: Size = 64


class Matcher(nn.Module):
    """Base of the matchers.

    Attributes:
        dims: ``visual_dims`` and ``audio_dims`` count, the rest does not.
        options: it was built from.
    """

    options_type: ClassVar[type[MatcherOptions]] = MatcherOptions

    def __init__(self, dims: Dims, options: MatcherOptions) -> None:
        super().__init__()
        self.dims = dims
        self.options = options
        self.embed_visual: nn.Sequential = embedding(dims.visual_dims, options)
        self.embed_audio: nn.Sequential = embedding(dims.audio_dims, options)

    def distances(self, visual: Tensor, audio: Tensor) -> Tensor:
        """How badly each visual segment goes with each audio segment.

        Args:
            visual: (..., T_v, D_v).
            audio: (..., T_a, D_a).

        Returns:
            (..., T_v, T_a), 0 or more; only their order and sums mean something.
        """
        raise NotImplementedError


def embedding(input_dims: int, options: MatcherOptions) -> nn.Sequential:
    """Linear, LeakyReLU of 0.3, Linear; weights start as Keras's dense layers do (Glorot-uniform, biases 0)."""
    layers = nn.Sequential(
        nn.Linear(input_dims, options.hidden_dims),
        nn.LeakyReLU(0.3),
        nn.Linear(options.hidden_dims, options.embedding_dims),
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
    return layers
