"""Train the matchers on pairs of segments (Tian et al., ECCV 2018, Section 5; their code's settings)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.errors import ModelError
from avel.matching import avdln
from avel.matching.avdln import Avdln, contrastive_loss
from avel.matching.base import Matcher, MatcherOptions
from avel.matching.contrast import ContrastName, Footage, contrast_losses
from avel.matching.dcca import Dcca, correlation
from avel.matching.dual_encoder import MARGIN, DualEncoder
from avel.matching.localization import MatchingAccuracy, evaluate
from avel.models.options import Dims

MatcherName = Literal["avdln", "dcca", "dual-encoder"]
Misaligned = Literal["none", "same-clip", "other-clips", "both"]

MATCHERS: dict[str, type[Matcher]] = {"avdln": Avdln, "dcca": Dcca, "dual-encoder": DualEncoder}

_WEIGHT_DECAY = 0.05
"""Of the dual encoder."""

MatchingProgress = Callable[[int, int, float], None]
"""Called after each epoch with its number, how many there are, and its mean loss."""


def tell_nothing(epoch: int, epochs: int, loss: float) -> None:
    """A `MatchingProgress` for those who need none."""


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
        matcher: ``avdln``, ``dcca`` or ``dual-encoder``.
        options: sizes of its networks; the matcher's own when ``None``.
        misaligned: pairs that are not synchronous, in the loss of AVDLN, for which the paper has y = 0. ``same-clip``
            adds to each event segment one background segment of its clip in the other modality, ``other-clips`` an
            event segment of another clip, ``both`` both; which modality is exchanged is drawn. They are drawn anew in
            each epoch. ``none`` is the authors' code, where every pair is synchronous and y = 0 means background, so
            that nothing teaches misalignment. ``None`` is ``both`` for AVDLN; the others have no such pairs.
        loss: of the dual encoder, ``infonce`` or ``contrastive`` (Tian et al., Eq. 10); see `avel.matching.contrast`.
            ``None`` is ``infonce`` for it; the others have a loss of their own.
        margin: th of the contrastive loss; ``None`` is 2 for AVDLN and 1 for the dual encoder.
        learning_rate: of Adam; that of the dual encoder falls with half a cosine to 0.
        batch_size: pairs in a batch; ``None`` is 8 for AVDLN, and 2048 for DCCA, whose loss needs the covariances of
            many pairs. Of the dual encoder clips, and 64.
        epochs: passes over the pairs, or of the dual encoder over the clips; ``None`` is 30 for it and 20 for the
            others.
        seed: of weights, order and misaligned pairs.

    Raises:
        ValueError: if a value is not allowed.
    """

    matcher: MatcherName = "avdln"
    options: MatcherOptions | None = None
    misaligned: Misaligned | None = None
    loss: ContrastName | None = None
    margin: float | None = None
    learning_rate: float = 1e-3
    batch_size: int | None = None
    epochs: int | None = None
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
        if self.loss not in (None, *get_args(ContrastName)):
            raise ValueError(f"Unknown loss '{self.loss}'. Supported are {', '.join(get_args(ContrastName))}.")
        is_dual = self.matcher == "dual-encoder"
        if self.loss is not None and not is_dual:
            raise ValueError(f"loss is for dual-encoder; {self.matcher} has its own. Leave it.")
        if is_dual and self.misaligned is not None:
            raise ValueError("misaligned is for avdln; dual-encoder has its own misaligned pairs. Leave it.")
        if self.options is not None and not isinstance(self.options, MATCHERS[self.matcher].options_type):
            raise ValueError(f"options of {self.matcher} are {MATCHERS[self.matcher].options_type.__name__}.")
        smallest = 1 if self.matcher == "avdln" else 2
        if self.batch_size is not None and self.batch_size < smallest:
            raise ValueError(f"batch_size must be {smallest} or more, got {self.batch_size}.")
        if self.passes < 1 or not self.th > 0 or not self.learning_rate > 0:
            raise ValueError(
                f"epochs must be 1 or more, margin and learning_rate above 0; got {self.passes}, {self.th} and "
                f"{self.learning_rate}."
            )

    @property
    def pairs(self) -> Misaligned:
        """The misaligned pairs that are trained on."""
        return self.misaligned or ("both" if self.matcher == "avdln" else "none")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with those that the matcher gives where none was given."""
        values = {**asdict(self), "options": self.sizes.model_dump(), "margin": self.th, "epochs": self.passes}
        if self.matcher == "dual-encoder":
            return {**values, "loss": self.loss or "infonce"}
        del values["loss"]
        return values

    @property
    def passes(self) -> int:
        """How many epochs are trained."""
        if self.epochs is not None:
            return self.epochs
        return 30 if self.matcher == "dual-encoder" else 20

    @property
    def sizes(self) -> MatcherOptions:
        """The options that its networks are built with."""
        return self.options or MATCHERS[self.matcher].options_type()

    @property
    def th(self) -> float:
        """The margin that is trained with."""
        if self.margin is not None:
            return self.margin
        return MARGIN if self.matcher == "dual-encoder" else avdln.MARGIN


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
    return MATCHERS[name](dims or Dims(), options or MATCHERS[name].options_type())


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


def train(
    clips: Clips,
    settings: MatchingSettings | None = None,
    validation: Clips | None = None,
    progress: MatchingProgress = tell_nothing,
) -> TrainedMatcher:
    """Train a matcher.

    Args:
        clips: to learn from. The authors train on all, also where the event fills the clip.
        settings: see there.
        validation: clips that choose the epoch, by the mean of A2V and V2A, the earlier of equal ones.
        progress: is told of each epoch.

    Raises:
        ValueError: if the clips cannot give what the settings ask for.
    """
    settings = settings or MatchingSettings()
    generator = torch.Generator().manual_seed(settings.seed)
    matcher = _initial(settings, clips.visual.shape[2], clips.audio.shape[2])
    in_event = clips.in_event()
    if isinstance(matcher, DualEncoder):
        matcher.fit_scales(clips.visual.flatten(0, 1), clips.audio.flatten(0, 1))
    accuracies: list[MatchingAccuracy] = []

    def judge() -> float:
        assert validation is not None
        accuracies.append(evaluate(matcher, validation.visual, validation.audio, validation.spans))
        return accuracies[-1].mean

    def after(epoch: int) -> None:
        if isinstance(matcher, Dcca):
            matcher.fit(clips.visual[in_event], clips.audio[in_event])

    losses, best_epoch = _fit(
        matcher,
        settings,
        lambda: _batch_losses(matcher, clips, in_event, settings, generator),
        judge if validation is not None else None,
        after,
        progress,
    )
    return TrainedMatcher(matcher.eval(), best_epoch, losses, tuple(accuracies))


def train_on_footage(
    footage: Footage,
    settings: MatchingSettings,
    judge: Callable[[DualEncoder], float],
    progress: MatchingProgress = tell_nothing,
) -> tuple[DualEncoder, int, tuple[float, ...]]:
    """Train a dual encoder on clips without labels.

    Args:
        footage: to learn from.
        settings: see there.
        judge: how good it is on other footage, which chooses the epoch; the greater the better.
        progress: is told of each epoch.

    Returns:
        The encoder of the best epoch in eval mode, which epoch that is, and the mean loss of each.

    Raises:
        ValueError: if the settings are of another matcher, or the footage is too little.
    """
    matcher = _initial(settings, footage.visual.shape[2], footage.audio.shape[2])
    if not isinstance(matcher, DualEncoder):
        raise ValueError(f"{settings.matcher} learns from labelled clips; without labels train dual-encoder.")
    matcher.fit_scales(footage.visual[footage.valid], footage.audio[footage.valid])
    generator = torch.Generator().manual_seed(settings.seed)
    losses, best_epoch = _fit(
        matcher,
        settings,
        lambda: _contrast(matcher, footage, settings, generator),
        lambda: judge(matcher),
        progress=progress,
    )
    return matcher.eval(), best_epoch, losses


def _initial(settings: MatchingSettings, visual_dims: int, audio_dims: int) -> Matcher:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        return build(settings.matcher, Dims(visual_dims=visual_dims, audio_dims=audio_dims), settings.sizes)


def _fit(
    matcher: Matcher,
    settings: MatchingSettings,
    batch_losses: Callable[[], Iterator[Tensor]],
    judge: Callable[[], float] | None,
    after: Callable[[int], None] = lambda epoch: None,
    progress: MatchingProgress = tell_nothing,
) -> tuple[tuple[float, ...], int]:
    """Train; gives the mean loss of each epoch and which is kept: the best of the judge, the earlier of equal ones.

    Args:
        matcher: it; has the weights of that epoch in the end.
        settings: how.
        batch_losses: of an epoch.
        judge: called in eval mode after each epoch; the last epoch is kept when ``None``.
        after: called with the number of each epoch before it is judged.
        progress: is told of each epoch.
    """
    is_dual = isinstance(matcher, DualEncoder)
    decay = _WEIGHT_DECAY if is_dual else 0.0
    optimizer = torch.optim.AdamW(matcher.parameters(), lr=settings.learning_rate, weight_decay=decay)
    losses: list[float] = []
    best, best_state, best_epoch = -math.inf, matcher.state_dict(), settings.passes
    with torch.random.fork_rng(devices=[]):  # of dropout
        torch.manual_seed(settings.seed)
        for epoch in range(1, settings.passes + 1):
            matcher.train()
            if is_dual:
                done = (epoch - 1) / settings.passes
                optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 + math.cos(math.pi * done)) / 2
            total = batches = 0.0
            for loss in batch_losses():
                optimizer.zero_grad()
                torch.autograd.backward(loss)
                optimizer.step()
                total, batches = total + float(loss.detach()), batches + 1
            losses.append(total / batches)
            after(epoch)
            progress(epoch, settings.passes, losses[-1])
            if judge is None:
                continue
            matcher.eval()
            value = judge()
            if value > best:
                best_state, best_epoch = {k: v.clone() for k, v in matcher.state_dict().items()}, epoch
                best = value
    if judge is not None:
        matcher.load_state_dict(best_state)
    return tuple(losses), best_epoch


def _contrast(
    matcher: DualEncoder, footage: Footage, settings: MatchingSettings, generator: torch.Generator
) -> Iterator[Tensor]:
    return contrast_losses(
        matcher,
        footage,
        generator,
        loss=settings.loss or "infonce",
        batch_size=settings.batch_size or 64,
        margin=settings.th,
    )


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
    if isinstance(matcher, DualEncoder):
        whole = torch.ones_like(in_event)
        footage = Footage(clips.visual, clips.audio, whole, torch.arange(len(in_event)), in_event)
        yield from _contrast(matcher, footage, settings, generator)
        return
    assert isinstance(matcher, Avdln)
    pairs = training_pairs(in_event, settings.pairs, generator)
    order = torch.randperm(len(pairs.synchronized), generator=generator)
    for batch in torch.split(order, settings.batch_size or 8):
        visual = clips.visual[pairs.visual_clip[batch], pairs.visual_segment[batch]]
        audio = clips.audio[pairs.audio_clip[batch], pairs.audio_segment[batch]]
        yield contrastive_loss(matcher(visual, audio), pairs.synchronized[batch], settings.th)
