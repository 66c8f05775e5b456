"""Which features a model was trained on, and whether others are the same."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from avel.errors import FeaturesError


@dataclass(frozen=True)
class FeatureRecord:
    """What is known of a set of features; it travels in checkpoints.

    Attributes:
        regions: R; 0 where there are no visual features.
        visual_dims: D_v.
        audio_dims: D_a; 0 where there are no audio features.
        segment_seconds: length of a segment.
        visual: names of the visual networks, joined along D in this order; empty when they are not known, as files in
            AVE's layout do not say it.
        audio: names of the audio networks.
        networks: by name, what tells a network from others: digest of its weights, options.
        recipe: the settings that the features were made with; empty when they are not known.
    """

    regions: int
    visual_dims: int
    audio_dims: int
    segment_seconds: float = 1.0
    visual: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    networks: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "regions": self.regions,
            "visual_dims": self.visual_dims,
            "audio_dims": self.audio_dims,
            "segment_seconds": self.segment_seconds,
            "visual": list(self.visual),
            "audio": list(self.audio),
            "networks": dict(self.networks),
            "recipe": dict(self.recipe),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made.

        Raises:
            ValueError: if it is not that.
        """
        try:
            return cls(**{**data, "visual": _names(data["visual"]), "audio": _names(data["audio"])})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a record of features: {error!r}") from error


def check_same(trained: FeatureRecord, offered: FeatureRecord, *, modalities: tuple[str, ...], where: str) -> None:
    """Refuse features that a model was not trained on.

    Args:
        trained: the features that the model was trained on.
        offered: the features that it is to be given.
        modalities: those that the model looks at, of ``audio`` and ``visual``.
        where: the file or folder of the offered features, for the message.

    Raises:
        FeaturesError: naming every difference.
    """
    found = differences(trained, offered, modalities)
    if found:
        raise FeaturesError(
            f"{where}: not the features that the model was trained on: {'; '.join(found)}. "
            "Extract the features that it needs, or train a model on these."
        )


def differences(trained: FeatureRecord, offered: FeatureRecord, modalities: tuple[str, ...]) -> list[str]:
    """What is not the same, for a person to read.

    Sizes have to be equal, and where both records say them, networks, their digests and the recipe too. Of a modality
    that the model does not look at, only the size counts.

    Args:
        trained: the features that the model was trained on.
        offered: the features that it is to be given.
        modalities: those that the model looks at, of ``audio`` and ``visual``.
    """
    found = []
    for name, text in _SIZES.items():
        mine, other = getattr(trained, name), getattr(offered, name)
        if mine != other:
            found.append(f"the model was trained with {text} {mine:g}, these have {other:g}")
    for modality in modalities:
        mine, other = getattr(trained, modality), getattr(offered, modality)
        if mine and other and mine != other:
            found.append(
                f"the model was trained on {modality} features of {', '.join(mine)}, these are of {', '.join(other)}"
            )
            continue
        for network in mine:
            ours, theirs = trained.networks.get(network), offered.networks.get(network)
            if ours and theirs and ours != theirs:
                found.append(f"{network} has other weights or options ({_changed(ours, theirs)})")
    if trained.recipe and offered.recipe:
        found += [
            f"{name} was {trained.recipe.get(name)} at training, here it is {offered.recipe.get(name)}"
            for name in _RECIPE
            if trained.recipe.get(name) != offered.recipe.get(name)
        ]
    return found


_SIZES = {
    "regions": "R =",
    "visual_dims": "D_v =",
    "audio_dims": "D_a =",
    "segment_seconds": "segment seconds",
}
_RECIPE = ("frames_per_segment",)
"""What of a recipe changes features so much that a model has to be told. Precision does not: it moves them by 0.1 %."""


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"names of networks, got {value!r}")
    return tuple(value)


def _changed(ours: Any, theirs: Any) -> str:
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping):
        return f"{ours}, not {theirs}"
    names = sorted({*ours, *theirs})
    return ", ".join(f"{n} {ours.get(n)}, not {theirs.get(n)}" for n in names if ours.get(n) != theirs.get(n))
