"""The network of `embedded`, for inference and for training; it opens no file.

Separable convolutions on log-mel patches, as in YAMNet but a third of its size (Howard et al., arXiv:1704.04861).
"""

import torch
from torch import Tensor, nn


class Layer(nn.Module):
    """Convolution, batch normalization while training, ReLU.

    The shipped weights have the normalization multiplied into the convolution, which then has a bias instead.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, normalized: bool, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.convolution: nn.Conv2d = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not normalized
        )
        self.normalization: nn.BatchNorm2d | nn.Identity = nn.BatchNorm2d(outputs) if normalized else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        return torch.relu(self.normalization(self.convolution(x)))


class Separable(nn.Module):
    """A 3 x 3 convolution of each channel, then 1 x 1 across channels (Howard et al., arXiv:1704.04861).

    Where the shape stays the same, the input is added to the result.
    """

    def __init__(self, inputs: int, outputs: int, normalized: bool, stride: int = 1) -> None:
        super().__init__()
        self.each: Layer = Layer(inputs, inputs, 3, normalized, stride, groups=inputs)
        self.across: Layer = Layer(inputs, outputs, 1, normalized)
        self.residual: bool = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        result = self.across(self.each(x))
        return x + result if self.residual else result


class TaggerNetwork(nn.Module):
    """Log-mel patches to logits of classes, and the embedding that they are a linear map of.

    Args:
        classes: C, number of classes.
        normalized: with batch normalization, as it is trained.
    """

    embedding_dims = 1024

    def __init__(self, classes: int, normalized: bool = False) -> None:
        super().__init__()
        n = normalized
        self.body: nn.Sequential = nn.Sequential(
            Layer(1, 24, 3, n, stride=2),  # (B, 24, 48, 32)
            Layer(24, 64, 3, n, stride=2),  # (B, 64, 24, 16)
            Separable(64, 160, n, stride=2),  # (B, 160, 12, 8)
            Separable(160, 160, n),
            Separable(160, 160, n),
            Separable(160, 384, n, stride=2),  # (B, 384, 6, 4)
            Separable(384, 384, n),
            Separable(384, 384, n),
            Separable(384, 384, n),
            Separable(384, 768, n, stride=2),  # (B, 768, 3, 2)
            Layer(768, self.embedding_dims, 1, n),
        )
        self.head: nn.Linear = nn.Linear(self.embedding_dims, classes)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 96, 64) log-mel patches to (B, C) logits and (B, 1024) embeddings, which are not negative."""
        embedding = self.body(patches.unsqueeze(1)).mean(dim=(2, 3))
        return self.head(embedding), embedding


class ScoresOutput(nn.Module):
    """The scores alone, as `embedded` runs the network."""

    def __init__(self, network: TaggerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        """(B, 96, 64) log-mel patches to (B, C) scores in [0, 1]."""
        logits, _ = self.network(patches)
        return logits.sigmoid()


class EmbeddingOutput(nn.Module):
    """The embedding alone, as `embedded` runs the network."""

    def __init__(self, network: TaggerNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, patches: Tensor) -> Tensor:
        """(B, 96, 64) log-mel patches to (B, 1024) embeddings, which are not negative."""
        _, embedding = self.network(patches)
        return embedding
