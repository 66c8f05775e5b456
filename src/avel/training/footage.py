"""Train the cross-modal model on footage without labels: what is seen and heard at one moment goes together.

The run is a folder, as of `avel.training.matchers`::

    features/             a feature store of the videos, unless another one is named
    settings.yaml         every setting of the training
    matcher.safetensors   the dual encoder of the best epoch, with the record of its features and its calibration
    result.json           retrieval on videos that were kept apart

Videos are cut into clips of ten segments. A part of the videos chooses the epoch and calibrates, another one is
measured on; which they are follows from the videos' contents.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from avel.errors import FeaturesError
from avel.features.store import FeatureStore
from avel.files import write_text
from avel.matching import weights
from avel.matching.calibration import PlattScaling, fit_calibration
from avel.matching.contrast import APART_SEGMENTS, Footage
from avel.matching.dual_encoder import DualEncoder
from avel.matching.training import MatchingProgress, MatchingSettings, tell_nothing, train_on_footage
from avel.metrics.retrieval import Retrieval, retrieval
from avel.training.matchers import MATCHER_FILE, RESULT_FILE
from avel.training.run_folder import SETTINGS_FILE
from avel.training.sources import store_record
from avel.version import __version__

CLIP_SEGMENTS = 10
FEWEST_VIDEOS = 6
EVERY_NTH = 6
"""Of the videos in the order of their digests one chooses the epoch, and the next one is measured on."""
MAX_JUDGED = 2000
"""Segments of a part; of more, as many that lie equally apart."""


@dataclass(frozen=True)
class FootageRun:
    """What `train_on_store` gives.

    Attributes:
        path: of the matcher.
        epoch: the one that was kept, from 1.
        losses: mean of each epoch.
        videos: number of videos of ``train``, ``val`` and ``test``.
        test: on the videos that were kept apart, by ``a2v`` and ``v2a``: the clip of ten segments that a segment is of
            is relevant.
        exact: the same, where the segment of the very moment alone is relevant.
    """

    path: Path
    epoch: int
    losses: tuple[float, ...]
    videos: dict[str, int]
    test: dict[str, Retrieval]
    exact: dict[str, Retrieval]


def train_on_store(
    settings: MatchingSettings, store: FeatureStore, folder: Path, progress: MatchingProgress = tell_nothing
) -> FootageRun:
    """Train a dual encoder on all videos of a store, and write its run.

    Args:
        settings: how.
        store: features of both modalities.
        folder: of the run.
        progress: is told of each epoch.

    Raises:
        FeaturesError: if the store lacks a modality, or holds too few videos in which both can be read.
        OutputError: if the folder cannot be written.
        ValueError: if the settings are of another matcher.
    """
    record = store_record(store)
    if not record.visual or not record.audio:
        raise FeaturesError(f"{store.folder}: learning what goes together needs pictures and sound. Extract both.")
    parts = split_by_content(store)
    footage = {part: read_footage(store, keys) for part, keys in parts.items()}
    short = {part: len(np.unique(of.video.numpy())) for part, of in footage.items()}
    if short["train"] < 2 or not short["val"] or not short["test"]:
        raise FeaturesError(
            f"{store.folder}: {sum(short.values())} of its videos have segments that can be both seen and heard; "
            f"{FEWEST_VIDEOS} are needed, so that some can be kept apart. Give more footage."
        )
    encoder, epoch, losses = train_on_footage(
        footage["train"], settings, lambda one: _mean_ndcg(_measured(one, footage["val"], by_clip=True)), progress
    )
    test = {by: _measured(encoder, footage["test"], by_clip=by == "clip") for by in ("clip", "moment")}
    calibrations = calibrate(encoder, footage["val"])
    said = settings.to_dict()
    about: dict[str, Any] = {
        "written_by": __version__,
        "features": record.to_dict(),
        "settings": said,
        "data": str(store.folder),
        "calibration": {name: one.to_dict() for name, one in calibrations.items()},
    }
    path = folder / MATCHER_FILE
    weights.save(encoder, path, about)
    write_text(folder / SETTINGS_FILE, yaml.safe_dump(said, sort_keys=False))
    videos = {part: len(keys) for part, keys in parts.items()}
    result = {
        "matcher": settings.matcher,
        "epoch": epoch,
        "videos": videos,
        "test": {by: {name: one.to_dict() for name, one in found.items()} for by, found in test.items()},
    }
    write_text(folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    return FootageRun(path, epoch, losses, videos, test["clip"], test["moment"])


def split_by_content(store: FeatureStore) -> dict[str, list[str]]:
    """Keys of the videos of ``train``, ``val`` and ``test``; copies of one video are in one part, once."""
    rows, _ = store.index()
    by_digest = {row.sha256: row.key for row in rows}
    parts: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    kept = {0: "val", 1: "test"}
    for number, digest in enumerate(sorted(by_digest)):
        parts[kept.get(number % EVERY_NTH, "train")].append(by_digest[digest])
    return parts


def read_footage(store: FeatureStore, keys: Sequence[str]) -> Footage:
    """The videos' features, cut into clips; the last one of a video is filled with segments that are not valid.

    Raises:
        FeaturesError: if a file is damaged.
    """
    record = store_record(store)
    clips: dict[str, list[npt.NDArray[Any]]] = {"visual": [], "audio": [], "valid": []}
    videos: list[int] = []
    for number, key in enumerate(keys):
        stored = store.open(key)
        valid = stored.visual_valid & stored.audio_valid
        if not valid.any():
            continue
        visual = np.concatenate([stored.visual[name].astype(np.float32).mean(axis=1) for name in record.visual], -1)
        audio = np.concatenate([stored.audio[name].astype(np.float32) for name in record.audio], -1)
        count = -(-len(stored) // CLIP_SEGMENTS)
        for name, array in (("visual", visual), ("audio", audio), ("valid", np.asarray(valid))):
            padding = [(0, count * CLIP_SEGMENTS - len(stored)), *[(0, 0)] * (array.ndim - 1)]
            clips[name].append(np.pad(array, padding).reshape(count, CLIP_SEGMENTS, *array.shape[1:]))
        videos += [number] * count
    empty: dict[str, npt.NDArray[Any]] = {
        "visual": np.zeros((0, CLIP_SEGMENTS, record.visual_dims), np.float32),
        "audio": np.zeros((0, CLIP_SEGMENTS, record.audio_dims), np.float32),
        "valid": np.zeros((0, CLIP_SEGMENTS), np.bool_),
    }
    joined = {name: torch.from_numpy(np.concatenate([empty[name], *of])) for name, of in clips.items()}
    return Footage(**joined, video=torch.tensor(videos, dtype=torch.int64))


@torch.no_grad()
def calibrate(encoder: DualEncoder, footage: Footage) -> dict[str, PlattScaling]:
    """How sure cosines are, by what is compared: ``cross``, ``audio`` with audio, and ``visual`` with visual.

    Of one modality, segments that follow each other go together, as nothing says which other ones do.
    """
    visual, audio, place = _embedded(encoder, footage)
    sides = {"cross": (visual, audio, 0), "audio": (audio, audio, 1), "visual": (visual, visual, 1)}
    found = {}
    for name, (one, other, step) in sides.items():
        cosines = one @ other.T
        same_video = place[:, None, 0] == place[None, :, 0]
        together = same_video & (place[None, :, 1] - place[:, None, 1] == step)
        if together.any() and (~same_video).any():
            found[name] = fit_calibration(cosines[together], cosines[~same_video])
    return found


def _measured(encoder: DualEncoder, footage: Footage, *, by_clip: bool) -> dict[str, Retrieval]:
    """Retrieval of partners in the other modality."""
    visual, audio, place = _embedded(encoder, footage)
    same_video = place[:, None, 0] == place[None, :, 0]
    apart = np.abs(place[:, None, 1] - place[None, :, 1])
    relevant = same_video & (apart < CLIP_SEGMENTS if by_clip else apart == 0)
    return {"a2v": retrieval(audio @ visual.T, relevant), "v2a": retrieval(visual @ audio.T, relevant)}


def _mean_ndcg(found: dict[str, Retrieval]) -> float:
    return sum(one.ndcg for one in found.values()) / len(found)


@torch.no_grad()
def _embedded(
    encoder: DualEncoder, footage: Footage
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """(N, E) of both modalities, and (N, 2) video and segment, of the valid segments or so many of them."""
    video = footage.video[:, None].expand(footage.valid.shape)
    clip_of_video = torch.zeros_like(footage.video)
    for number in set(footage.video.tolist()):
        clip_of_video[footage.video == number] = torch.arange(int((footage.video == number).sum()))
    moment = clip_of_video[:, None] * footage.valid.shape[1] + torch.arange(footage.valid.shape[1])
    kept = footage.valid.flatten().nonzero().flatten()
    # Neighbours stay together, since a calibration compares them.
    if len(kept) > MAX_JUDGED:
        starts = np.linspace(0, len(kept) - APART_SEGMENTS, MAX_JUDGED // APART_SEGMENTS).astype(np.int64)
        kept = kept[np.unique(starts[:, None] + np.arange(APART_SEGMENTS))]
    place = torch.stack([video.flatten()[kept], moment.flatten()[kept]], dim=1)
    visual = encoder.visual(footage.visual.flatten(0, 1)[kept])
    audio = encoder.audio(footage.audio.flatten(0, 1)[kept])
    return visual.numpy(), audio.numpy(), place.numpy()
