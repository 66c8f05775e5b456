"""The network of `vggish`; it opens no file.

Hershey et al., ICASSP 2017 (arXiv:1609.09430): VGG's configuration A, with the layers and sizes of AudioSet's release.
"""

from torch import Tensor, nn

BLOCKS = ((64,), (128,), (256, 256), (512, 512))
"""Channels of the convolutions between poolings."""
HIDDEN = 4096
EMBEDDING_DIMS = 128


class VggishNetwork(nn.Module):
    """Log-mel patches to embeddings, before the last ReLU.

    Args:
        frames: of a patch.
        bands: of a patch.
    """

    def __init__(self, frames: int, bands: int) -> None:
        super().__init__()
        convolutions: list[nn.Module] = []
        channels = 1
        for block in BLOCKS:
            for width in block:
                convolutions += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            convolutions.append(nn.MaxPool2d(2))
        self.features: nn.Sequential = nn.Sequential(*convolutions)
        places = frames // 2 ** len(BLOCKS) * (bands // 2 ** len(BLOCKS))
        self.embeddings: nn.Sequential = nn.Sequential(
            *(nn.Linear(places * channels, HIDDEN), nn.ReLU()),
            *(nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, EMBEDDING_DIMS),
        )

    def forward(self, patches: Tensor) -> Tensor:
        """(N, frames, bands) to (N, 128)."""
        features = self.features(patches[:, None])  # (N, C, H, W)
        # The layers after this were trained on channels that lie next to each other.
        return self.embeddings(features.permute(0, 2, 3, 1).flatten(1))
