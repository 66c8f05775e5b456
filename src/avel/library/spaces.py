"""One space for pictures and sound, in which the inner product says how well segments go together.

- **agreement**, which needs no training: an axis for each everyday category that the taggers can tell, as `avel
  localize` uses them (`avel.models.agreement`). A segment's vector has the direction of its categories' scores, and its
  length is the greatest of them, so that what nothing is recognized in is near to nothing. The root of an inner product
  is a score as those of events are: 0.5 where both sides reach their thresholds.
- a **dual encoder** of `avel train-matching`: vectors of length 1, whose cosines were calibrated on videos kept apart.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats
from avel.backbones.voice import VOICES
from avel.data.categories import Category, class_indices, everyday_categories
from avel.errors import CategoriesError, ModelError
from avel.features.feature_file import BackboneModality
from avel.features.recipe import Recipe, digest_of
from avel.matching.calibration import PlattScaling
from avel.matching.heads import EncoderHead, load_heads
from avel.models.agreement import Agreement

MODALITIES: tuple[BackboneModality, BackboneModality] = ("audio", "visual")

AGREEMENT = "agreement"

ByNetwork = Mapping[str, Floats]
"""Features of T segments by the name of the network, (T, D); pictures as the mean over their regions."""


@dataclass(frozen=True)
class Taggers:
    """The networks whose scores of classes a library keeps.

    Attributes:
        visual: name of the one for pictures.
        audio: name of the one for sound.
        visual_labels: its classes.
        audio_labels: its classes.
    """

    visual: str
    audio: str
    visual_labels: tuple[str, ...]
    audio_labels: tuple[str, ...]

    def labels(self, modality: BackboneModality) -> tuple[str, ...]:
        """Classes of one of them."""
        return self.audio_labels if modality == "audio" else self.visual_labels

    def name(self, modality: BackboneModality) -> str:
        """Name of one of them."""
        return self.audio if modality == "audio" else self.visual


class Space(Protocol):
    """A cross-modal model.

    Attributes:
        name: for people.
        digest: tells it from others.
        dims: E.
    """

    name: str
    digest: str
    dims: int

    def vectors(self, modality: BackboneModality, features: ByNetwork) -> Floats:
        """(T, E) of one modality's segments; the inner product of two says how well they go together."""
        ...

    def scores(
        self, asked: BackboneModality, found: BackboneModality, products: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float64]:
        """From inner products of segments of a query and of a library to scores in [0, 1]; 0.5 is close."""
        ...


BETWEEN_PICTURES = 0.8
"""What a product of two pictures is raised to in place of its root: they agree in all that what they show may sound
like, so that they are more alike than a sound and a picture. Chosen on the clips of ``benchmarks/library.py``."""

FAMILY_WEIGHT = 0.5
"""Of an axis that other ones are kinds of, as animals are: a lion is near to a sheep, but nearer to a lion."""


class AgreementSpace:
    """The space of everyday categories; see the module's head.

    Args:
        taggers: what hears and sees.
        categories: the axes; everyday ones when ``None``.
    """

    name = AGREEMENT

    def __init__(self, taggers: Taggers, categories: tuple[Category, ...] | None = None) -> None:
        table = categories or everyday_categories()
        self._taggers = taggers
        self._categories = tuple(one for one in (_known(category, taggers) for category in table) if one is not None)
        self._model = agreement_of(self._categories, taggers)
        families = {category.family for category in self._categories}
        self._weights = np.array(
            [FAMILY_WEIGHT if category.name in families else 1.0 for category in self._categories], np.float32
        )
        self.dims: int = len(self._categories)
        self.digest: str = digest_of({"axes": list(map(repr, self._categories)), "weights": self._weights.tolist()})

    def vectors(self, modality: BackboneModality, features: ByNetwork) -> Floats:
        """See `Space`."""
        scores = category_scores(self._model, self._taggers, modality, features[self._taggers.name(modality)])
        weighted = scores * self._weights
        length = np.linalg.norm(weighted, axis=1, keepdims=True)
        return np.asarray(weighted * (scores.max(axis=1, keepdims=True) / np.maximum(length, 1e-6)))

    def scores(
        self, asked: BackboneModality, found: BackboneModality, products: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float64]:
        """See `Space`."""
        power = BETWEEN_PICTURES if asked == found == "visual" else 0.5
        return np.asarray(np.clip(np.asarray(products, np.float64), 0, 1) ** power)


class EncoderSpace:
    """The space of a trained dual encoder.

    Args:
        path: of the matcher's file.

    Raises:
        ModelError: if it is no dual encoder, or does not say on which features it was trained.
    """

    def __init__(self, path: Path) -> None:
        heads = load_heads(path)
        features = heads.said.get("features")
        try:
            assert isinstance(features, Mapping)
            self.networks: dict[str, tuple[str, ...]] = {
                modality: tuple(map(str, features[modality])) for modality in MODALITIES
            }
            self.recipe: Recipe = Recipe.from_dict(features["recipe"])
            self.network_records: dict[str, Any] = {
                str(name): record for name, record in dict(features["networks"]).items()
            }
            said = dict(heads.said.get("calibration", {}))
            self._calibrations = {str(name): PlattScaling.from_dict(one) for name, one in said.items()}
        except (AssertionError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"{path}: does not say which networks made the features that it was trained on. Train it on videos or "
                "on a feature store: avel train-matching."
            ) from error
        self._heads: dict[BackboneModality, EncoderHead] = {"audio": heads.audio, "visual": heads.visual}
        self.name = "dual-encoder"
        self.dims: int = heads.dims
        self.digest: str = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def vectors(self, modality: BackboneModality, features: ByNetwork) -> Floats:
        """See `Space`."""
        return self._heads[modality](np.concatenate([features[name] for name in self.networks[modality]], axis=1))

    def scores(
        self, asked: BackboneModality, found: BackboneModality, products: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float64]:
        """See `Space`."""
        kind = "cross" if asked != found else asked
        return self._calibrations.get(kind, PlattScaling())(products)


@cache
def agreement_space(taggers: Taggers) -> AgreementSpace:
    """The space of the everyday categories, made once."""
    return AgreementSpace(taggers)


def agreement_of(categories: tuple[Category, ...], taggers: Taggers) -> Agreement:
    """What says how clearly categories are heard and seen, for `category_scores`.

    Raises:
        CategoriesError: if a category names a class that the taggers do not have.
    """
    labels = taggers.visual_labels
    return Agreement(categories, labels, [*taggers.audio_labels, *VOICES], [1 / len(labels)] * len(labels))


def category_scores(model: Agreement, taggers: Taggers, modality: BackboneModality, probabilities: Floats) -> Floats:
    """(T, C) scores in [0, 1] of categories, 0.5 at the threshold, from (T, D) scores of a tagger's classes.

    Whose voice speaks is not kept in a library: categories that ask for it have a score of 0.
    """
    segments = len(probabilities)
    heard = np.zeros((segments, len(taggers.audio_labels) + len(VOICES)), np.float32)
    seen = np.zeros((segments, 1, len(taggers.visual_labels)), np.float32)
    if modality == "audio":
        heard[:, : len(taggers.audio_labels)] = probabilities
    else:
        seen[:, 0] = probabilities
    agreed = model(seen, heard, np.ones(segments, np.bool_))
    return agreed.audio if modality == "audio" else agreed.visual


def known_part(category: Category, taggers: Taggers) -> Category | None:
    """A category without what these taggers do not see; ``None`` when nothing is left."""
    return _known(category, taggers)


def _known(category: Category, taggers: Taggers) -> Category | None:
    """Kinetics' actions and faces are not looked for in a library: only what its two taggers say is kept."""

    def has(name: str, labels: tuple[str, ...]) -> bool:
        try:
            return bool(class_indices([name], labels, category.name))
        except CategoriesError:
            return False

    visual, alike = (
        tuple(name for name in names if has(name, taggers.visual_labels))
        for names in (category.visual, category.visual_like)
    )
    audio, audio_alike = (
        tuple(name for name in names if has(name, taggers.audio_labels))
        for names in (category.audio, category.audio_like)
    )
    if any(not has(name, taggers.audio_labels) for name in category.audio_requires):
        audio = audio_alike = ()
    if not (audio or visual):
        return None
    return replace(
        category, audio=audio, audio_like=audio_alike, visual=visual, visual_like=alike, actions=(), audio_requires=()
    )
