"""What has to be the same for features to be the same: networks and every setting."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from avel.features.choices import PRECISIONS, STORED_TYPES, Precision, StoredType

MAX_FRAMES_PER_SEGMENT = 256
SHORTEST_SEGMENT_SECONDS, LONGEST_SEGMENT_SECONDS = 0.2, 30.0


@dataclass(frozen=True)
class Recipe:
    """How features are made.

    Attributes:
        visual: names of visual backbones, at most one of each.
        audio: names of audio backbones, at most one of each.
        frames_per_segment: pictures whose features are averaged in each segment; each network's own number when
            ``None``, such as VGG-19's 16 a second.
        segment_seconds: length of a segment.
        precision: of the networks' arithmetic.
        stored_as: type of the numbers that are stored.
        audio_track: number of each video's audio track to use, 1 for the file's first one; the one that a player would
            play when ``None``.

    Raises:
        ValueError: if a setting is not one that is allowed.
    """

    visual: tuple[str, ...] = ("vgg19",)
    audio: tuple[str, ...] = ("yamnet-embedding",)
    frames_per_segment: int | None = None
    segment_seconds: float = 1.0
    precision: Precision = "float16"
    stored_as: StoredType = "float16"
    audio_track: int | None = None

    def __post_init__(self) -> None:
        for modality in ("visual", "audio"):
            names = getattr(self, modality)
            if isinstance(names, str) or not all(isinstance(name, str) and name for name in names):
                raise ValueError(f"{modality} must be a list of backbone names, got {names!r}.")
            object.__setattr__(self, modality, tuple(names))
        names = (*self.visual, *self.audio)
        if not names:
            raise ValueError("A recipe needs at least one backbone; it has neither a visual nor an audio one.")
        if len(set(names)) < len(names):
            raise ValueError(f"A recipe has each backbone once, got {', '.join(names)}.")
        frames = self.frames_per_segment
        if frames is not None and not (_is_whole(frames) and 1 <= frames <= MAX_FRAMES_PER_SEGMENT):
            raise ValueError(
                f"frames_per_segment must be a whole number from 1 to {MAX_FRAMES_PER_SEGMENT}, got {frames!r}."
            )
        if not _is_number(self.segment_seconds) or not (
            SHORTEST_SEGMENT_SECONDS <= self.segment_seconds <= LONGEST_SEGMENT_SECONDS
        ):
            raise ValueError(
                f"segment_seconds must be from {SHORTEST_SEGMENT_SECONDS} to {LONGEST_SEGMENT_SECONDS}, "
                f"got {self.segment_seconds!r}."
            )
        # 1 and 1.0 are the same recipe, so they have to be the same text.
        object.__setattr__(self, "segment_seconds", float(self.segment_seconds))
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}.")
        if self.audio_track is not None and not (_is_whole(self.audio_track) and self.audio_track >= 1):
            raise ValueError(f"audio_track must be a whole number from 1, got {self.audio_track!r}.")
        if self.stored_as not in STORED_TYPES:
            raise ValueError(f"stored_as must be one of {', '.join(STORED_TYPES)}; got {self.stored_as!r}.")

    def digest(self, weights: Mapping[str, Any]) -> str:
        """Digest of the recipe and of the networks that it names, ``"sha256:..."``.

        Args:
            weights: by backbone name, what tells its weights and options from others, as far as JSON can say it.
        """
        return digest_of({"recipe": self.to_dict(), "weights": dict(weights)})

    def differences(self, other: "Recipe") -> list[str]:
        """Lines such as ``precision is float16, not int8``: first this recipe, then the other."""
        mine, others = self.to_dict(), other.to_dict()
        return [
            f"{name} is {_shown(mine.get(name))}, not {_shown(others.get(name))}"
            for name in {**mine, **others}
            if mine.get(name) != others.get(name)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to JSON; without ``audio_track`` when it is ``None``, as before there was one."""
        values = dataclasses.asdict(self)
        if self.audio_track is None:
            del values["audio_track"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made.

        Raises:
            ValueError: if a setting is unknown, missing or not allowed.
        """
        known = {field.name for field in dataclasses.fields(cls)}
        if set(data) | {"audio_track"} != known:
            raise ValueError(
                f"A recipe has the settings {', '.join(sorted(known))}; got {', '.join(sorted(map(str, data)))}."
            )
        return cls(**data)


def preset(name: str) -> Recipe:
    """One of `PRESETS`.

    Raises:
        ValueError: if there is none of that name.
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ValueError(f"Unknown preset {name!r}. There are: {', '.join(PRESETS)}.") from None


def canonical_json(data: Any) -> str:
    """JSON that is the same text for the same data."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_of(data: Any) -> str:
    """Digest of data as JSON, ``"sha256:..."``."""
    return f"sha256:{hashlib.sha256(canonical_json(data).encode()).hexdigest()}"


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and math.isfinite(value)


def _shown(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


PRESETS: Mapping[str, Recipe] = MappingProxyType(
    {
        "default": Recipe(),
        "fast": Recipe(visual=("efficientnet-lite0",), audio=("embedded-embedding",)),
        "ave": Recipe(visual=("vgg19-ave",), audio=("vggish",), frames_per_segment=16, precision="float32"),
    }
)
"""Recipes by name.

``fast`` is for a processor: a small network for pictures in place of VGG-19, and sound that needs no weights but those
that ship with avel. Its pictures have one region, so that a model of it cannot show where.

``ave`` is the one that the features of the AVE data set were made with (Tian et al., ECCV 2018). What is left that
differs is how sound is resampled; see `avel.backbones.vggish`.
"""
