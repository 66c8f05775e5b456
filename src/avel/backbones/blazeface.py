"""BlazeFace: where there are faces in a picture.

Bazarevsky et al., "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs" (arXiv:1907.05047); the network for
back cameras of Google's MediaPipe, whose graph ``face_detection_back`` gives the anchors, the clipping of the scores
and the weighted suppression here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from avel.backbones import weights
from avel.backbones.arithmetic import sigmoid
from avel.backbones.base import Floats
from avel.backbones.engine import EngineOptions, from_file
from avel.media.types import Picture

WEIGHTS = "blazeface-back"
SIDE = 256
"""Width and height of the network's input, in pixels."""
LAYERS = ((16, 2), (32, 6))
"""Stride of a feature map in pixels, and how many anchors each of its cells has."""
MAX_LOGIT = 100.0
MAX_OVERLAP = 0.3
"""Boxes with a larger intersection over union are of one face."""
BAND = 8
"""Rows or columns that are scaled together."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face that was found.

    Attributes:
        box: (4,) left, top, right and bottom, in pixels of the picture; it may reach beyond the picture.
        score: in [0, 1].
        keypoints: (6, 2) x and y in pixels of the right eye, left eye, nose tip, mouth, right ear and left ear; sides
            are the person's own.
    """

    box: Floats
    score: float
    keypoints: Floats


class BlazeFace:
    """Finds faces of at least about 4 % of the picture's longer side, upright or tilted by up to about 35 degrees.

    Args:
        options: how the network is run.
        min_score: faces with less are left out.

    Raises:
        WeightsError: if the weights are not available.
    """

    def __init__(self, options: EngineOptions, *, min_score: float = 0.5) -> None:
        self._network = from_file(
            weights.path(WEIGHTS),
            name=WEIGHTS,
            digest=weights.digest(WEIGHTS),
            options=options,
            outputs=("regressors", "classificators"),
        )
        self.min_score = min_score
        self.record: dict[str, float] = self._network.record | {"min_score": min_score, "max_overlap": MAX_OVERLAP}

    def __call__(self, pictures: Sequence[Picture] | Picture) -> list[list[Face]]:
        """Faces of each picture, the surest first.

        Args:
            pictures: (H, W, 3) uint8 RGB each, of any size.
        """
        if not len(pictures):
            return []
        boxed = np.full((len(pictures), SIDE, SIDE, 3), -1, np.float32)
        for picture, into in zip(pictures, boxed, strict=True):
            _fit(picture, into)
        regressions, logits = self._network(boxed)
        return [
            self._faces(*decode(regression, logit[:, 0], self.min_score), picture.shape[0], picture.shape[1])
            for picture, regression, logit in zip(pictures, regressions, logits, strict=True)
        ]

    def _faces(self, points: Floats, scores: Floats, height: int, width: int) -> list[Face]:
        points, scores = suppress(points, scores)
        scaled_height, scaled_width, top, left = _placement(height, width)
        ratio = np.array([width / scaled_width, height / scaled_height], np.float32)
        points = (points * SIDE - np.array([left, top], np.float32)) * ratio
        return [
            Face(box=point[:2].reshape(4), score=float(score), keypoints=point[2:])
            for point, score in zip(points, scores, strict=True)
        ]


def letterbox(picture: Picture) -> Floats:
    """A picture as the network takes it: scaled to fit, in the middle, black around it.

    Args:
        picture: (H, W, 3) uint8.

    Returns:
        (SIDE, SIDE, 3) in [-1, 1].
    """
    boxed = np.full((SIDE, SIDE, 3), -1, np.float32)
    _fit(picture, boxed)
    return boxed


def _fit(picture: Picture, boxed: Floats) -> None:
    """Put a picture into the (SIDE, SIDE, 3) that `letterbox` gives, which are black."""
    height, width, _ = picture.shape
    scaled_height, scaled_width, top, left = _placement(height, width)
    lines = picture.reshape(height, -1)
    rows = np.empty((scaled_height, 3 * width), np.float32)
    for sources, targets, band in _bands(height, scaled_height, 1):
        np.matmul(band.T, lines[sources].astype(np.float32), out=rows[targets])
    within = boxed[top : top + scaled_height].reshape(scaled_height, -1)[:, 3 * left : 3 * (left + scaled_width)]
    for sources, targets, band in _bands(width, scaled_width, 3):
        within[:, targets] = rows[:, sources] @ band
    within /= 127.5
    within -= 1


def _placement(height: int, width: int) -> tuple[int, int, int, int]:
    """Height, width, top and left of the scaled picture in the network's input."""
    scale = SIDE / max(height, width)
    scaled_height, scaled_width = max(1, round(height * scale)), max(1, round(width * scale))
    return scaled_height, scaled_width, (SIDE - scaled_height) // 2, (SIDE - scaled_width) // 2


@lru_cache(maxsize=16)
def _bands(source: int, target: int, interleaved: int) -> list[tuple[slice, slice, Floats]]:
    """A triangle filter as wide as a target pixel, so that nothing aliases, as matrices.

    Most of one matrix for all would be zeros, so there is one for every `BAND` target pixels.

    Args:
        source: pixels of a line.
        target: pixels that it is to have.
        interleaved: numbers of each pixel, side by side.

    Returns:
        Numbers of the source that a matrix takes, numbers of the target that it gives, and the matrix.
    """
    step = source / target
    reach = max(step, 1)
    centres = (np.arange(target) + 0.5) * step - 0.5
    shares = np.maximum(1 - np.abs(np.arange(source)[:, np.newaxis] - centres) / reach, 0)
    shares /= shares.sum(axis=0)
    bands = []
    for first in range(0, target, BAND):
        last = min(first + BAND, target)
        (used,) = np.nonzero(shares[:, first:last].any(axis=1))
        low, high = int(used[0]), int(used[-1]) + 1
        band = np.kron(shares[low:high, first:last], np.eye(interleaved)).astype(np.float32)
        sources, targets = (slice(interleaved * a, interleaved * b) for a, b in ((low, high), (first, last)))
        bands.append((sources, targets, band))
    return bands


@lru_cache(maxsize=1)
def anchors() -> Floats:
    """(A, 2) x and y of each anchor's centre, in [0, 1] of the input: the middles of the feature maps' cells.

    Anchors of MediaPipe's detectors have no size of their own (``fixed_anchor_size``).
    """
    centres = []
    for stride, count in LAYERS:
        cells = SIDE // stride
        middles = (np.arange(cells) + 0.5) / cells
        grid = np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2)  # row by row, x first
        centres.append(np.repeat(grid, count, axis=0))
    return np.concatenate(centres).astype(np.float32)


def decode(regressions: Floats, logits: Floats, min_score: float) -> tuple[Floats, Floats]:
    """Candidate faces from the network's outputs.

    Args:
        regressions: (A, 16) centre, size and six keypoints, x before y, in pixels; all but the size from the anchor.
        logits: (A,).
        min_score: candidates with less are left out.

    Returns:
        (N, 8, 2) upper left corner, lower right corner and keypoints, in [0, 1] of the input; and (N,) scores.
    """
    scores = sigmoid(np.clip(logits, -MAX_LOGIT, MAX_LOGIT))
    chosen = np.flatnonzero(scores >= min_score)
    points = regressions[chosen].reshape(-1, 8, 2) / SIDE
    origins = anchors()[chosen, None]
    centres, half = points[:, :1] + origins, points[:, 1:2] / 2
    return np.concatenate([centres - half, centres + half, points[:, 2:] + origins], axis=1), scores[chosen]


def suppress(points: Floats, scores: Floats, max_overlap: float = MAX_OVERLAP) -> tuple[Floats, Floats]:
    """One candidate for each face: the mean of those that overlap the surest one, weighted by their scores.

    Section 3.3 of the paper: less jitter from frame to frame than keeping only the surest.

    Args:
        points: (N, P, 2) upper left corner, lower right corner, and any others.
        scores: (N,).
        max_overlap: intersection over union above which candidates are of one face.

    Returns:
        (M, P, 2) points and (M,) scores, the surest first.
    """
    left = np.argsort(-scores, kind="stable")
    merged, highest = [], []
    while len(left):
        group = overlap(points[left[0]], points[left]) > max_overlap
        group[0] = True  # a box without an area overlaps nothing, not even itself
        members = left[group]
        merged.append(np.average(points[members], axis=0, weights=scores[members]))
        highest.append(scores[members[0]])
        left = left[~group]
    return np.array(merged, np.float32).reshape(-1, *points.shape[1:]), np.array(highest, np.float32)


def overlap(one: Floats, many: Floats) -> Floats:
    """(N,) intersection over union of a box with N boxes; (2, 2) and (N, 2, 2) corners, more points are ignored."""
    common = _area(np.minimum(one[1], many[:, 1]) - np.maximum(one[0], many[:, 0]))
    union = _area(one[1] - one[0]) + _area(many[:, 1] - many[:, 0]) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def _area(size: Floats) -> Floats:
    return np.maximum(size, 0).prod(axis=-1)
