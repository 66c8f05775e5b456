"""What is looked for: a part of a sound or of a video, or a picture, as vectors of a space."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from avel.backbones.base import Floats
from avel.errors import MediaError
from avel.features.extract import Extraction, FeatureBatch
from avel.features.feature_file import BackboneModality
from avel.features.jobs import Backbones, Loader
from avel.features.silence import IT_IS_SILENT, SegmentLevel, is_loud
from avel.features.store import FeatureStore
from avel.files import no_such_file
from avel.library.spaces import MODALITIES, Space
from avel.media.pictures import picture_size

QueryKind = Literal["audio", "video", "image"]

MAX_SEGMENTS = 120
"""Of a query; a longer one is a film rather than a moment."""

PICTURE_FORMATS = ("JPEG", "PNG", "WEBP")

MAX_PIXELS = 100_000_000
"""Of a picture."""

_NETWORKS: dict[QueryKind, tuple[BackboneModality, ...]] = {
    "audio": ("audio",),
    "image": ("visual",),
    "video": MODALITIES,
}


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        path: of the file.
        start_seconds: where the query starts in it; 0 of a picture.
        end_seconds: where it ends.
        segments: L, its length.
        vectors: (L, E) of each modality that it has.
        usable: (L,) bool, where that modality can be heard or seen in it.
        notes: what a user should know of it.
    """

    path: str
    start_seconds: float
    end_seconds: float
    segments: int
    vectors: Mapping[BackboneModality, Floats]
    usable: Mapping[BackboneModality, npt.NDArray[np.bool_]]
    notes: tuple[str, ...]


def parse_query(text: str) -> tuple[Path, tuple[float, float] | None]:
    """A file and the part of it that is meant, from ``clip.mp4`` or ``clip.mp4#t=3,6`` (W3C Media Fragments).

    A file whose name itself ends so is meant as a whole.

    Raises:
        ValueError: if the part is not from START to END seconds with 0 <= START < END.
    """
    file, mark, given = text.rpartition("#t=")
    if not mark or Path(text).exists():
        return Path(text), None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)?(?:,(\d+(?:\.\d+)?))?", given)
    start = float(found[1] or 0) if found else 0.0
    end = float(found[2]) if found and found[2] else math.inf
    if not found or not given or not start < end:
        raise ValueError(f"A part is given as #t=START,END in seconds with START below END; got '#t={given}'.")
    return Path(file), (start, end)


class QueryReader:
    """Reads queries; networks are loaded when the first query needs them.

    Args:
        store: features of the library.
        space: of the library.
        loader: gives the networks.
        device: where they run.
    """

    def __init__(self, store: FeatureStore, space: Space, loader: Loader, device: str) -> None:
        self._store, self._recipe = store, store.recipe
        self._space, self._loader, self._device = space, loader, device
        self._loaded: dict[tuple[BackboneModality, ...], Backbones] = {}

    def __call__(self, text: str | Path, kind: QueryKind) -> Query:
        """Read a query.

        Args:
            text: a path, with ``#t=START,END`` for a part of the file.
            kind: whether its sound, its picture, or both are looked for.

        Raises:
            FeaturesError: if the library was made with other networks.
            MediaError: if it cannot be read, or what is asked for is silent, empty or not in it.
            ValueError: if the part is not written as it has to be.
            WeightsError: if a network's weights are not available.
        """
        path, part = parse_query(str(text))
        if kind == "image":
            if part is not None:
                raise ValueError("A picture has no parts; leave #t= away.")
            return self._picture(path)
        seconds = self._recipe.segment_seconds
        first = 0 if part is None else math.floor(part[0] / seconds)
        end = math.inf if part is None else part[1] / seconds
        batches, warnings = self._read(path, _NETWORKS[kind], math.ceil(end) if math.isfinite(end) else None)
        held = sum(len(batch.visual_valid) for batch in batches)
        last = min(held, math.ceil(min(end, held)))
        if first >= last:
            raise MediaError(f"{path}: the part from {part[0]:g} s on is not in it; it has {held * seconds:g} s.")  # type: ignore[index]
        if last - first > MAX_SEGMENTS:
            raise MediaError(
                f"{path}: a query of {last - first} segments is too long; at most {MAX_SEGMENTS} are looked for. Name "
                f"a part of it, such as {path.name}#t=0,10."
            )
        usable: dict[BackboneModality, npt.NDArray[np.bool_]] = {}
        notes = list(warnings)
        for modality in _NETWORKS[kind]:
            good, reason = _usable(batches, modality, first, last)
            if good.any():
                usable[modality] = good
            else:
                notes.append(
                    f"{path}: {reason} from {first * seconds:g} to {last * seconds:g} s: there is nothing to look for."
                )
        if not usable:
            raise MediaError(notes[-1])
        # Silence before and after what is looked for is no part of it.
        there = np.flatnonzero(np.logical_or.reduce(list(usable.values())))
        cut = slice(int(there[0]), int(there[-1]) + 1)
        first, last = first + cut.start, first + cut.stop
        vectors = {one: self._space.vectors(one, _features(batches, one, first, last)) for one in usable}
        flags = {one: good[cut] for one, good in usable.items()}
        return Query(str(path), first * seconds, last * seconds, last - first, vectors, flags, tuple(notes))

    def _picture(self, path: Path) -> Query:
        pixels = _pixels(path)
        features = {}
        for network in self._networks(("visual",)).visual:
            wanted = network.pictures
            size = picture_size(wanted, (pixels.width, pixels.height))
            scaled = np.asarray(pixels.resize(size, Image.Resampling.BICUBIC))
            shown = np.broadcast_to(scaled, (1, wanted.frames_per_segment, *scaled.shape))
            features[network.name] = network(np.ascontiguousarray(shown)).mean(axis=1)
        vectors = self._space.vectors("visual", features)
        return Query(str(path), 0.0, 0.0, 1, {"visual": vectors}, {"visual": np.ones(1, np.bool_)}, ())

    def _read(
        self, path: Path, modalities: tuple[BackboneModality, ...], end: int | None
    ) -> tuple[list[FeatureBatch], tuple[str, ...]]:
        networks = self._networks(modalities)
        audio = list(networks.audio)
        if audio:
            audio.append(SegmentLevel(audio[0].sample_rate))
        batches: list[FeatureBatch] = []
        limit = end if end is not None else MAX_SEGMENTS + 1
        with Extraction(
            path,
            networks.visual,
            audio,
            segment_seconds=self._recipe.segment_seconds,
            audio_track=self._recipe.audio_track,
        ) as extraction:
            for batch in extraction:
                batches.append(batch)
                if sum(len(one.visual_valid) for one in batches) >= limit:
                    break
            return batches, extraction.warnings

    def _networks(self, modalities: tuple[BackboneModality, ...]) -> Backbones:
        if modalities not in self._loaded:
            recipe = replace(
                self._recipe,
                visual=self._recipe.visual if "visual" in modalities else (),
                audio=self._recipe.audio if "audio" in modalities else (),
            )
            loaded = self._loader(recipe, self._device, None)
            self._store.check_networks([*loaded.visual, *loaded.audio])
            self._loaded[modalities] = loaded
        return self._loaded[modalities]


def _pixels(path: Path) -> Image.Image:
    """A picture in a file, as a person sees it.

    Raises:
        MediaError: if there is none, or it is too large.
    """
    try:
        with Image.open(path, formats=PICTURE_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise MediaError(
                    f"{path}: has {picture.width} x {picture.height} pixels; at most {MAX_PIXELS // 10**6} million are "
                    "allowed. Give a smaller copy."
                )
            return ImageOps.exif_transpose(picture).convert("RGB")
    except FileNotFoundError:
        raise MediaError(no_such_file(path)) from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaError(
            f"{path}: is not a picture that can be read ({error}). Give a JPEG, PNG or WebP file, or --video for a "
            "part of a video."
        ) from error


def _features(batches: list[FeatureBatch], modality: BackboneModality, first: int, last: int) -> dict[str, Floats]:
    """(L, D) of each network."""
    by_network: dict[str, Floats] = {}
    for name in getattr(batches[0], modality):
        joined = np.concatenate([getattr(batch, modality)[name] for batch in batches])[first:last]
        by_network[name] = joined.mean(axis=1) if modality == "visual" else joined
    return by_network


def _usable(
    batches: list[FeatureBatch], modality: BackboneModality, first: int, last: int
) -> tuple[npt.NDArray[np.bool_], str]:
    """(L,) where a query can be heard or seen, and what is wrong where it can be nowhere."""
    valid = np.concatenate([getattr(batch, f"{modality}_valid") for batch in batches])[first:last]
    if modality == "visual":
        return valid, "it has no picture that can be read"
    if not valid.any():
        return valid, "it has no sound that can be read"
    return valid & np.concatenate([is_loud(batch) for batch in batches])[first:last], IT_IS_SILENT
