"""Train the matchers on pairs of segments (Tian et al., ECCV 2018, Section 5; their code's settings)."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.errors import ModelError
from avel.matching.avdln import Avdln, contrastive_loss
from avel.matching.base import Matcher, MatcherOptions
from avel.matching.dcca import Dcca, correlation
from avel.matching.localization import MatchingAccuracy, evaluate
from avel.models.options import Dims

MatcherName = Literal["avdln", "dcca"]
Misaligned = Literal["none", "same-clip", "other-clips", "both"]

MATCHERS: dict[str, type[Matcher]] = {"avdln": Avdln, "dcca": Dcca}

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clips:
    """Clips with their features in memory: 74 MB of float32 for AVE's 3339 training clips.

    Attributes:
        visual: (N, T, D_v), mean over the regions.
        audio: (N, T, D_a).
        spans: (N, 2) start and end segment of each event; equal where there is none.

    Raises:
        ValueError: if they are not of the same clips and segments.
    """

    visual: Tensor
    audio: Tensor
    spans: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        same = self.visual.shape[:2] == self.audio.shape[:2] and self.spans.shape == (len(self.visual), 2)
        if self.visual.ndim != 3 or self.audio.ndim != 3 or not same:
            raise ValueError(
                f"visual (N, T, D_v), audio (N, T, D_a) and spans (N, 2) must be of the same clips and segments, got "
                f"{tuple(self.visual.shape)}, {tuple(self.audio.shape)} and {self.spans.shape}."
            )

    def in_event(self) -> Tensor:
        """(N, T) bool, as ``labels_closs.h5``."""
        times = np.arange(self.visual.shape[1])
        return torch.from_numpy((times >= self.spans[:, :1]) & (times < self.spans[:, 1:]))


class Pairs(NamedTuple):
    """P pairs of segments: (P,) clip and segment of the visual and of the audio, and whether they go together."""

    visual_clip: Tensor
    visual_segment: Tensor
    audio_clip: Tensor
    audio_segment: Tensor
    synchronized: Tensor


@dataclass(frozen=True)
class MatchingSettings:
    """How a matcher is trained; defaults are those of the authors' AVDLN.

    Attributes:
        matcher: ``avdln`` or ``dcca``.
        options: sizes of its networks.
        misaligned: pairs that are not synchronous, in the loss of AVDLN, for which the paper has y = 0. ``same-clip``
            adds to each event segment one background segment of its clip in the other modality, ``other-clips`` an
            event segment of another clip, ``both`` both; which modality is exchanged is drawn. They are drawn anew in
            each epoch. ``none`` is the authors' code, where every pair is synchronous and y = 0 means background, so
            that nothing teaches misalignment. ``None`` is ``both`` for AVDLN; DCCA has no such pairs.
        margin: th of the contrastive loss.
        learning_rate: of Adam.
        batch_size: pairs in a batch; ``None`` is 8 for AVDLN, and 2048 for DCCA, whose loss needs the covariances of
            many pairs.
        epochs: passes over the pairs.
        seed: of weights, order and misaligned pairs.

    Raises:
        ValueError: if a value is not allowed.
    """

    matcher: MatcherName = "avdln"
    options: MatcherOptions = field(default_factory=MatcherOptions)
    misaligned: Misaligned | None = None
    margin: float = 2.0
    learning_rate: float = 1e-3
    batch_size: int | None = None
    epochs: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if self.matcher not in MATCHERS:
            raise ValueError(f"Unknown matcher '{self.matcher}'. Matchers are {', '.join(MATCHERS)}.")
        if self.misaligned not in (None, "none", "same-clip", "other-clips", "both"):
            raise ValueError(
                f"Unknown misaligned pairs '{self.misaligned}'. Supported are none, same-clip, other-clips, both."
            )
        if self.matcher == "dcca" and self.misaligned not in (None, "none"):
            raise ValueError("DCCA learns from synchronous pairs alone; leave misaligned at none.")
        smallest = 2 if self.matcher == "dcca" else 1
        if self.batch_size is not None and self.batch_size < smallest:
            raise ValueError(f"batch_size must be {smallest} or more, got {self.batch_size}.")
        if self.epochs < 1 or not self.margin > 0 or not self.learning_rate > 0:
            raise ValueError(
                f"epochs must be 1 or more, margin and learning_rate above 0; got {self.epochs}, {self.margin} and "
                f"{self.learning_rate}."
            )

    @property
    def pairs(self) -> Misaligned:
        """The misaligned pairs that are trained on."""
        return self.misaligned or ("both" if self.matcher == "avdln" else "none")


@dataclass(frozen=True)
class TrainedMatcher:
    """What `train` gives.

    Attributes:
        matcher: of the best epoch on the validation clips, of the last epoch where there are none; in eval mode.
        epoch: which that is, from 1.
        losses: mean of each epoch.
        validation: of each epoch, empty where there are no validation clips.
    """

    matcher: Matcher
    epoch: int
    losses: tuple[float, ...]
    validation: tuple[MatchingAccuracy, ...]


def build(name: str, dims: Dims | None = None, options: MatcherOptions | None = None) -> Matcher:
    """Build a matcher with random weights.

    Raises:
        ModelError: if there is no such matcher.
    """
    if name not in MATCHERS:
        raise ModelError(f"Unknown matcher '{name}'. Matchers are {', '.join(MATCHERS)}.")
    return MATCHERS[name](dims or Dims(), options or MatcherOptions())


def training_pairs(in_event: Tensor, misaligned: Misaligned, generator: torch.Generator) -> Pairs:
    """Pairs of one epoch.

    Args:
        in_event: (N, T) bool.
        misaligned: see `MatchingSettings`.
        generator: for what is drawn.

    Returns:
        First all N * T synchronous pairs, which go together inside the event, then the misaligned ones, which do not.

    Raises:
        ValueError: if ``other-clips`` is asked for and fewer than two clips have an event.
    """
    clips, segments = in_event.shape
    clip = torch.arange(clips).repeat_interleave(segments)
    segment = torch.arange(segments).repeat(clips)
    parts = [Pairs(clip, segment, clip, segment, in_event.flatten().float())]
    event_clip, event_segment = in_event.nonzero(as_tuple=True)
    if misaligned in ("same-clip", "both"):
        keys = torch.rand(len(event_clip), segments, generator=generator)
        other_segment = keys.masked_fill(in_event[event_clip], -1.0).argmax(dim=1)
        possible = ~in_event[event_clip].all(dim=1)
        parts.append(
            _exchanged(
                (event_clip[possible], event_segment[possible]),
                (event_clip[possible], other_segment[possible]),
                generator,
            )
        )
    if misaligned in ("other-clips", "both"):
        starts = torch.cumsum(torch.bincount(event_clip, minlength=clips), 0)  # event segments lie clip by clip
        own_count = torch.bincount(event_clip, minlength=clips)[event_clip]
        own_start = starts[event_clip] - own_count
        others = len(event_clip) - own_count
        if len(event_clip) == 0 or bool((others == 0).any()):
            raise ValueError("misaligned pairs from other clips need two clips with an event.")
        drawn = (torch.rand(len(event_clip), generator=generator, dtype=torch.float64) * others).long()
        drawn = drawn + own_count * (drawn >= own_start)  # passes over the clip's own segments
        parts.append(_exchanged((event_clip, event_segment), (event_clip[drawn], event_segment[drawn]), generator))
    return Pairs(*(torch.cat(columns) for columns in zip(*parts, strict=True)))


def _exchanged(here: tuple[Tensor, Tensor], there: tuple[Tensor, Tensor], generator: torch.Generator) -> Pairs:
    """Pairs of which one modality is from here and the other from there, either one with equal chance."""
    keep_visual = torch.rand(len(here[0]), generator=generator) < 0.5
    visual = [torch.where(keep_visual, one, other) for one, other in zip(here, there, strict=True)]
    audio = [torch.where(keep_visual, other, one) for one, other in zip(here, there, strict=True)]
    return Pairs(visual[0], visual[1], audio[0], audio[1], torch.zeros(len(here[0])))


def train(clips: Clips, settings: MatchingSettings | None = None, validation: Clips | None = None) -> TrainedMatcher:
    """Train a matcher.

    Args:
        clips: to learn from. The authors train on all, also where the event fills the clip.
        settings: see there.
        validation: clips that choose the epoch, by the mean of A2V and V2A, the earlier of equal ones.

    Raises:
        ValueError: if the clips cannot give what the settings ask for.
    """
    settings = settings or MatchingSettings()
    generator = torch.Generator().manual_seed(settings.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        dims = Dims(visual_dims=clips.visual.shape[2], audio_dims=clips.audio.shape[2])
        matcher = build(settings.matcher, dims, settings.options)
    optimizer = torch.optim.Adam(matcher.parameters(), lr=settings.learning_rate)
    in_event = clips.in_event()
    losses: list[float] = []
    accuracies: list[MatchingAccuracy] = []
    best_state, best_epoch = matcher.state_dict(), 0
    for epoch in range(1, settings.epochs + 1):
        matcher.train()
        total = batches = 0.0
        for loss in _batch_losses(matcher, clips, in_event, settings, generator):
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            total, batches = total + float(loss.detach()), batches + 1
        losses.append(total / batches)
        if isinstance(matcher, Dcca):
            matcher.fit(clips.visual[in_event], clips.audio[in_event])
        if validation is None:
            continue
        accuracies.append(evaluate(matcher, validation.visual, validation.audio, validation.spans))
        _log.info("epoch %d: loss %.4f, validation %.4f", epoch, losses[-1], accuracies[-1].mean)
        if not best_epoch or accuracies[-1].mean > accuracies[best_epoch - 1].mean:
            best_state, best_epoch = {k: v.clone() for k, v in matcher.state_dict().items()}, epoch
    if validation is not None:
        matcher.load_state_dict(best_state)
    return TrainedMatcher(matcher.eval(), best_epoch or settings.epochs, tuple(losses), tuple(accuracies))


def _batch_losses(
    matcher: Matcher, clips: Clips, in_event: Tensor, settings: MatchingSettings, generator: torch.Generator
) -> Iterator[Tensor]:
    if isinstance(matcher, Dcca):
        visual, audio = clips.visual[in_event], clips.audio[in_event]
        size = settings.batch_size or 2048
        if len(visual) < 2:
            raise ValueError(f"DCCA needs two event segments or more, got {len(visual)}.")
        for batch in torch.split(torch.randperm(len(visual), generator=generator), size):
            if len(batch) > matcher.options.embedding_dims or len(batch) == len(visual):
                yield -correlation(matcher.embed_visual(visual[batch]), matcher.embed_audio(audio[batch]))
        return
    assert isinstance(matcher, Avdln)
    pairs = training_pairs(in_event, settings.pairs, generator)
    order = torch.randperm(len(pairs.synchronized), generator=generator)
    for batch in torch.split(order, settings.batch_size or 8):
        visual = clips.visual[pairs.visual_clip[batch], pairs.visual_segment[batch]]
        audio = clips.audio[pairs.audio_clip[batch], pairs.audio_segment[batch]]
        yield contrastive_loss(matcher(visual, audio), pairs.synchronized[batch], settings.margin)
