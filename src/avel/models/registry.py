"""Every model that is trained, by name: how it is built, its options, its paper, and how that paper trained it.

    model = build("dmrn", Dims(num_categories=5), position="early")

Adding a model is adding an `Entry` to `MODELS`.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from avel.errors import ModelError
from avel.models import avel, fusion, segmental
from avel.models.avel import AttentionOptions, AvelOptions
from avel.models.base import LocalizationModel
from avel.models.fusion import AudioVisual, FusionOptions
from avel.models.options import Dims, Options, Training

__all__ = ["MODELS", "Dims", "Entry", "Options", "Training", "available_models", "build", "entry", "options_of"]

TIAN = "Tian et al., ECCV 2018"

_RELEASED = Training()
_AFTER_ATTENTION = Training(start_from="a+v-att")
"""The authors' DMRN was trained from their A+V-att (a comment in their code); the weights that fit are taken over."""


@dataclass(frozen=True)
class Entry:
    """A model of the registry.

    Attributes:
        description: one line.
        paper: where it is from.
        options: its class of options.
        make: builds it of its sizes and options.
        modalities: which features it looks at; others may be anything of the right shape.
        training: how its paper trained it.
    """

    description: str
    paper: str
    options: type[Options]
    make: Callable[[Dims, Any], LocalizationModel]
    modalities: tuple[str, ...] = ("audio", "visual")
    training: Training = _RELEASED


def _fused(make_fusion: Callable[[int, int, int, Any], fusion.Fusion]) -> Callable[[Dims, Any], AudioVisual]:
    """A fusion is made of the sizes of audio and visual, the size of its result, and its options."""

    def make(dims: Dims, options: FusionOptions) -> AudioVisual:
        result = dims.num_classes if options.position == "decision" else getattr(options, "fusion_dims", 0)
        return AudioVisual(dims, options, lambda a, v: make_fusion(a, v, result, options), options.position)

    return make


def _concat(dims: Dims, options: AvelOptions) -> AudioVisual:
    return AudioVisual(dims, options, fusion.Concat)


def _dmrfe(dims: Dims, options: fusion.DmrfeOptions) -> AudioVisual:
    return AudioVisual(dims, options, lambda a, v: fusion.DMRN(a, v, options.fusion_dims), members=2)


def _table_2(
    name: str,
    options: type[Options],
    make: Callable[[Dims, Any], LocalizationModel],
    training: Training = _RELEASED,
) -> Entry:
    return Entry(f"audio and attended visual, fused by {name}", TIAN, options, make, training=training)


MODELS: Mapping[str, Entry] = {
    "a": Entry("audio alone", TIAN, AvelOptions, avel.AudioOnly, modalities=("audio",)),
    "v": Entry("visual alone, mean over the regions", TIAN, AvelOptions, avel.VisualOnly, modalities=("visual",)),
    "v-att": Entry("visual alone, pooled by audio-guided attention", TIAN, AttentionOptions, avel.VisualOnly),
    "a+v": Entry("audio and visual, concatenated after their BiLSTMs", TIAN, AvelOptions, _concat),
    "a+v-att": Entry("audio and attended visual, concatenated after their BiLSTMs", TIAN, AttentionOptions, _concat),
    "additive": _table_2(
        "addition", fusion.ProjectedOptions, _fused(lambda a, v, result, o: fusion.Additive(a, v, result))
    ),
    "maxpooling": _table_2(
        "their maximum", fusion.ProjectedOptions, _fused(lambda a, v, result, o: fusion.MaxPooling(a, v, result))
    ),
    "gated": _table_2(
        "a gate", fusion.GatedOptions, _fused(lambda a, v, result, o: fusion.Gated(a, v, result, o.gate))
    ),
    "bilinear": _table_2(
        "an outer product (Multimodal Bilinear)",
        fusion.BilinearOptions,
        _fused(lambda a, v, result, o: fusion.Bilinear(a, v, o.bilinear_dims)),
    ),
    "gated-bilinear": _table_2(
        "an outer product with a gate (GMB)",
        fusion.GatedBilinearOptions,
        _fused(lambda a, v, result, o: fusion.Bilinear(a, v, o.bilinear_dims, o.gate)),
    ),
    "gmu": _table_2(
        "a gated multimodal unit", fusion.ProjectedOptions, _fused(lambda a, v, result, o: fusion.GMU(a, v, result))
    ),
    "concat": _table_2("concatenation", FusionOptions, _fused(lambda a, v, result, o: fusion.Concat(a, v))),
    "mrn": _table_2(
        "a multimodal residual network",
        fusion.MrnOptions,
        _fused(lambda a, v, result, o: fusion.MRN(a, v, result, o.residual, o.blocks)),
    ),
    "dmrn": _table_2(
        "a dual multimodal residual network",
        fusion.DmrnOptions,
        _fused(lambda a, v, result, o: fusion.DMRN(a, v, o.fusion_dims, o.blocks)),
        _AFTER_ATTENTION,
    ),
    "dmrfe": _table_2("an ensemble of two DMRN blocks", fusion.DmrfeOptions, _dmrfe, _AFTER_ATTENTION),
    "ed-tcn": Entry(
        "encoder-decoder of temporal convolutions on visual features",
        "Lea et al., CVPR 2017, as a baseline of Tian et al., ECCV 2018",
        segmental.EdTcnOptions,
        segmental.EdTcn,
    ),
    "ssn": Entry(
        "spans as proposals on visual features",
        "Zhao et al., ICCV 2017, as a baseline of Tian et al., ECCV 2018",
        segmental.SsnOptions,
        segmental.Ssn,
    ),
}


def available_models() -> tuple[str, ...]:
    """Names that `build` knows, in the order of their papers."""
    return tuple(MODELS)


def entry(name: str) -> Entry:
    """What the registry knows of a model.

    Raises:
        ModelError: if there is no such model.
    """
    if name not in MODELS:
        raise ModelError(f"Unknown model '{name}'. Models are {', '.join(MODELS)}.")
    return MODELS[name]


def options_of(name: str, **options: Any) -> Options:
    """A model's options with those given in place of their defaults; ``dataclasses.asdict`` turns them back.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    try:
        return entry(name).options.from_mapping(options)
    except ValueError as error:
        raise ModelError(f"Model '{name}': {error}") from error


def build(name: str, dims: Dims | None = None, **options: Any) -> LocalizationModel:
    """Build a model with random weights, which depend on torch's seed.

    Its ``categories`` and ``needs`` are set by whoever trains or loads it.

    Args:
        name: one of `available_models`.
        dims: sizes of its input; AVE's published features if left out.
        options: by name, see the class of options of its `Entry`.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    checked = options_of(name, **options)
    try:
        return entry(name).make(dims or Dims(), checked)
    except ValueError as error:
        raise ModelError(f"Model '{name}' with {asdict(checked)}: {error}") from error
