"""Batches of synchronous segments and of those that are not, for the dual encoder: of clips with or without labels.

anchor      a segment whose picture and sound go together: of an event, or any where there are no labels
others      the anchors of other videos in the batch
misaligned  further segments that do not go with an anchor: those outside the events of the batch's clips, its own
            among them, which look and sound alike; where there are no labels, those of its own clip that are at
            least `APART_SEGMENTS` away in time
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from avel.matching.dual_encoder import DualEncoder, infonce_loss, margin_loss

ContrastName = Literal["infonce", "contrastive"]

APART_SEGMENTS = 2


@dataclass(frozen=True)
class Footage:
    """Clips of equal length, of one video or several.

    Attributes:
        visual: (N, T, D_v), mean over the regions.
        audio: (N, T, D_a).
        valid: (N, T) bool, both could be read.
        video: (N,) int64, number of the video that a clip is of.
        in_event: (N, T) bool, the segments of an event; ``None`` where there are no labels.

    Raises:
        ValueError: if they are not of the same clips and segments.
    """

    visual: Tensor
    audio: Tensor
    valid: Tensor
    video: Tensor
    in_event: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.visual.shape[:2]
        flags = self.valid if self.in_event is None else self.in_event
        if not self.audio.shape[:2] == self.valid.shape == flags.shape == shape or self.video.shape != shape[:1]:
            raise ValueError(
                f"visual, audio, valid, video and in_event must be of the same clips and segments, got "
                f"{tuple(self.visual.shape)}, {tuple(self.audio.shape)}, {tuple(self.valid.shape)}, "
                f"{tuple(self.video.shape)} and {tuple(flags.shape)}."
            )

    def anchors(self) -> Tensor:
        """(N, T) bool."""
        return self.valid if self.in_event is None else self.valid & self.in_event

    def misaligned(self, clips: Tensor, segments: Tensor) -> Tensor:
        """(B, B * T) bool, which segments of all of the clips are misaligned with each anchor.

        Args:
            clips: (B,) int64.
            segments: (B,) int64, the anchors.
        """
        valid = self.valid[clips]
        if self.in_event is not None:
            return (valid & ~self.in_event[clips]).flatten().expand(len(clips), -1)
        away = (torch.arange(valid.shape[1]) - segments[:, None]).abs() >= APART_SEGMENTS
        own = torch.eye(len(clips), dtype=torch.bool)
        return (own[:, :, None] & (valid & away)[:, None]).flatten(1)


def contrast_losses(
    encoder: DualEncoder,
    footage: Footage,
    generator: torch.Generator,
    *,
    loss: ContrastName,
    batch_size: int,
    margin: float,
) -> Iterator[Tensor]:
    """The loss of each batch of an epoch, in which every clip with an anchor gives one.

    Args:
        encoder: it.
        footage: to learn from.
        generator: for what is drawn.
        loss: ``infonce``, or ``contrastive`` as Tian et al.
        batch_size: clips in a batch.
        margin: th of the contrastive loss.

    Raises:
        ValueError: if fewer than two clips have an anchor.
    """
    anchors = footage.anchors()
    clips = anchors.any(dim=1).nonzero().flatten()
    if len(clips) < 2:
        raise ValueError(f"contrast needs two clips in which picture and sound can be read, got {len(clips)}.")
    for batch in torch.split(clips[torch.randperm(len(clips), generator=generator)], batch_size):
        if len(batch) < min(batch_size, len(clips)):
            continue  # few others to tell from; other clips are left out in each epoch
        seen = torch.multinomial(anchors[batch].float(), 1, generator=generator).squeeze(1)
        # In an event any sound goes with any picture; without labels only that of the same moment is known to.
        heard = seen
        if footage.in_event is not None:
            heard = torch.multinomial(anchors[batch].float(), 1, generator=generator).squeeze(1)
        rows = torch.arange(len(batch))
        visual, audio = encoder.visual(footage.visual[batch]), encoder.audio(footage.audio[batch])
        others = footage.video[batch][:, None] != footage.video[batch]
        cosines = visual[rows, seen] @ audio[rows, heard].T
        total = torch.zeros(())
        for of_anchors, candidates, own, moment in (
            (cosines, audio, visual[rows, seen], seen),
            (cosines.T, visual, audio[rows, heard], heard),
        ):
            further = own @ candidates.flatten(0, 1).T
            away = footage.misaligned(batch, moment)
            if loss == "infonce":
                total = total + infonce_loss(of_anchors, further, away, others, encoder.scale)
            else:
                total = total + margin_loss(of_anchors, further, away, others, margin)
        yield total
