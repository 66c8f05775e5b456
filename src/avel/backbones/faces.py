"""Faces, and faces that talk: what there is to see of speech, which no class of ImageNet is.

A segment's pictures go through three steps. A detector (`avel.backbones.blazeface`) looks at every other one. Boxes
that follow each other are one face; those seen in less than half of the pictures looked at are dropped, which drops
most of what is no face. On the remaining ones a mesh of 468 points is laid in every picture (Kartynnik et al.,
"Real-time Facial Surface Geometry from Monocular Video on Mobile GPUs", arXiv:1907.06724): its network says again
whether there is a face, and how far the mouth is open. A mouth that opens and closes within a segment is taken to talk.

The numbers that turn these into scores (``MIN_SCORE`` to ``MOUTH_SOFTNESS``) were chosen on 18 short clips, 5 of them
with faces in full view. What they cannot do: a bite, a laugh, a cough and a song move the mouth as well; a mouth that
something passes in front of seems to move; a person seen from the side or from behind is no face; a dog's face from the
front is about as likely called a face as not.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones import weights
from avel.backbones.arithmetic import sigmoid
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.blazeface import BlazeFace, Face, overlap
from avel.backbones.engine import EngineOptions, from_file
from avel.media.types import PictureFormat

MESH_WEIGHTS = "face-landmark"
MESH_SIDE = 192
"""Width and height of the mesh network's input, in pixels."""
UPPER_LIP, LOWER_LIP, FOREHEAD, CHIN = 13, 14, 10, 152
"""Points of the mesh; the lips' are on their inner edges, in the middle."""

PICTURES_PER_SECOND = 6
MAX_PICTURES = 30
"""In a segment, so that long ones do not fill the memory."""
LONGEST_SIDE = 640
DETECT_EVERY = 2
SEGMENTS_AT_ONCE = 4
"""That the detector looks at; twice as many take 15 MB more and are no faster."""
MAX_FACES = 3
"""Faces of a segment that get a mesh, the surest first."""

MIN_SCORE = 0.4
"""Of one detection; a face's mean over the pictures looked at must reach `MIN_MEAN_SCORE`."""
MIN_MEAN_SCORE = 0.6
MIN_OVERLAP = 0.1
"""Of a face with itself in the next picture looked at (intersection over union)."""
REGION_SCALE = 1.7
"""Side of the mesh's region in sizes of the detected box, which leaves out the forehead."""

SURE_PRESENCE, PRESENCE_SOFTNESS = 2.0, 2.0
"""Logit of the mesh network, and how much more makes it e times more likely a face."""
SURE_SCORE, SCORE_SOFTNESS = 0.72, 0.125
"""The same of the detector's score."""
MOUTH_MOTION, MOUTH_SOFTNESS = 0.0065, 0.0015
"""Standard deviation of the mouth's opening, in heights of the face, from which it rather talks."""


@dataclass(slots=True)
class _FaceTrack:
    """One face in the pictures of a segment that were looked at."""

    indices: list[int]
    faces: list[Face]

    def mean_score(self, looked_at: int) -> float:
        return sum(face.score for face in self.faces) / looked_at


class Faces(VisualBackbone):
    """Scores of "face" and "talking face".

    "face" is the probability that the same face is in view in at least half of a segment's pictures. "talking face" is
    never more than that; it is 0 where a segment has only one picture, which shows no motion.

    Args:
        options: how the networks are run.
        segment_seconds: length of a segment; it gets `PICTURES_PER_SECOND`.

    Raises:
        WeightsError: if the weights are not available.
    """

    name = "faces"
    dims = 2
    labels: tuple[str, ...] = ("face", "talking face")
    regions = 1

    def __init__(self, options: EngineOptions, *, segment_seconds: float = 1.0) -> None:
        count = min(max(round(PICTURES_PER_SECOND * segment_seconds), 1), MAX_PICTURES)
        self.pictures: PictureFormat = PictureFormat(frames_per_segment=count, longest_side=LONGEST_SIDE)
        self._detector = BlazeFace(options, min_score=MIN_SCORE)
        self._mesh = from_file(
            weights.path(MESH_WEIGHTS),
            name=MESH_WEIGHTS,
            digest=weights.digest(MESH_WEIGHTS),
            options=options,
            outputs=("conv2d_20", "conv2d_30"),
        )
        self.record: dict[str, Any] = {
            "detector": self._detector.record,
            "mesh": self._mesh.record,
            "detect_every": DETECT_EVERY,
            "max_faces": MAX_FACES,
        }

    def __call__(self, pictures: Pictures) -> Floats:
        """(T, F, H, W, 3) pictures to (T, 1, 2) scores in [0, 1]; see `VisualBackbone`."""
        scores = np.zeros((len(pictures), 1, 2), np.float32)
        for start in range(0, len(pictures), SEGMENTS_AT_ONCE):
            some = pictures[start : start + SEGMENTS_AT_ONCE]
            looked_at = some[:, ::DETECT_EVERY]
            found = self.detect(looked_at.reshape(-1, *some.shape[2:]))
            count = looked_at.shape[1]
            for index, segment in enumerate(some):
                tracks = follow(found[index * count : (index + 1) * count])[:MAX_FACES]
                scores[start + index, 0] = self._scores(segment, tracks)
        return scores

    def detect(self, pictures: Pictures) -> list[list[Face]]:
        """Faces of each picture by the detector alone, the surest first.

        Args:
            pictures: (N, H, W, 3) uint8 RGB.
        """
        return self._detector(pictures)

    def _scores(self, segment: Pictures, tracks: list[_FaceTrack]) -> tuple[float, float]:
        """Scores of one segment, (F, H, W, 3), from its faces."""
        if not tracks:
            return 0.0, 0.0
        count = len(segment)
        crops = np.empty((len(tracks), count, MESH_SIDE, MESH_SIDE, 3), np.float32)
        for number, track in enumerate(tracks):
            for index, region in enumerate(_regions(track, count, 2 * max(segment.shape[1:3]))):
                crops[number, index] = crop(segment[index], *region)
        points, logits = self._mesh(crops.reshape(-1, MESH_SIDE, MESH_SIDE, 3))
        mouths = mouth_opening(points.reshape(-1, 468, 3)).reshape(len(tracks), count)
        presence = logits.reshape(len(tracks), count)
        best = [0.0, 0.0]
        for track, logit, mouth in zip(tracks, presence, mouths, strict=True):
            score = np.interp(np.arange(count), track.indices, [face.score for face in track.faces])
            evidence = (logit - SURE_PRESENCE) / PRESENCE_SOFTNESS + (score - SURE_SCORE) / SCORE_SOFTNESS
            face = float(np.sort(sigmoid(evidence))[count // 2])
            motion = _deviation(mouth, sigmoid((logit - SURE_PRESENCE) / PRESENCE_SOFTNESS))
            talking = face * float(sigmoid((motion - MOUTH_MOTION) / MOUTH_SOFTNESS)) if count > 1 else 0.0
            best = [max(best[0], face), max(best[1], talking)]
        return best[0], best[1]


def _deviation(values: Floats, trust: Floats) -> float:
    """Standard deviation of (F,) values; those trusted less add less to it, so that a poor mesh shows no motion."""
    mean = np.average(values, weights=trust)
    return float(np.sqrt((trust * (values - mean) ** 2).mean()))


def follow(found: list[list[Face]]) -> list[_FaceTrack]:
    """Faces that persist: seen in at least half of some pictures, each near where it was before.

    Args:
        found: faces of pictures `DETECT_EVERY` apart.

    Returns:
        The surest first, with indices as in the segment.
    """
    tracks: list[_FaceTrack] = []
    for number, faces in enumerate(found):
        index = number * DETECT_EVERY
        for face in faces:
            free = [track for track in tracks if track.indices[-1] < index]
            if free:
                boxes = np.stack([track.faces[-1].box.reshape(2, 2) for track in free])
                overlaps = overlap(face.box.reshape(2, 2), boxes)
                nearest = int(overlaps.argmax())
                if overlaps[nearest] > MIN_OVERLAP:
                    free[nearest].indices.append(index)
                    free[nearest].faces.append(face)
                    continue
            tracks.append(_FaceTrack([index], [face]))
    looked_at = len(found)
    kept = [t for t in tracks if 2 * len(t.faces) >= looked_at and t.mean_score(len(t.faces)) >= MIN_MEAN_SCORE]
    return sorted(kept, key=lambda track: -track.mean_score(looked_at))


def _regions(track: _FaceTrack, count: int, limit: float) -> list[tuple[npt.NDArray[np.float64], float, float]]:
    """Centre, side (of at most `limit`) and tilt of the mesh's region in each of `count` pictures.

    Between detections interpolated, before the first and after the last as there.
    """
    boxes = np.stack([face.box for face in track.faces])
    eyes = np.stack([face.keypoints[1] - face.keypoints[0] for face in track.faces])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True) * REGION_SCALE
    sides = sides.clip(1, limit)
    known = np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, sides, eyes], axis=1)  # (N, 5)
    x, y, side, eye_x, eye_y = (np.interp(np.arange(count), track.indices, column) for column in known.T)
    centres = np.stack([x, y], axis=1)
    return list(zip(centres, side.tolist(), np.arctan2(eye_y, eye_x).tolist(), strict=True))


def crop(picture: npt.NDArray[np.uint8], centre: npt.NDArray[Any], side: float, tilt: float) -> Floats:
    """A square region of a picture, turned upright, as the mesh network takes it.

    Args:
        picture: (H, W, 3) uint8.
        centre: (2,) x and y of the region's middle, in pixels.
        side: of the region, in pixels.
        tilt: angle in radians by which the region is turned clockwise.

    Returns:
        (MESH_SIDE, MESH_SIDE, 3) in [0, 1], bilinear, black outside the picture.
    """
    reach = side * np.sqrt(0.5) + 2
    first = np.maximum(np.floor(centre - reach).astype(int), 0)
    last = np.maximum(np.ceil(centre + reach).astype(int), 0)
    part = picture[first[1] : last[1], first[0] : last[0]]  # Pillow copies what it is given
    if not part.size:
        return np.zeros((MESH_SIDE, MESH_SIDE, 3), np.float32)
    x, y = centre - first
    half = side / 2
    cos, sin = np.cos(tilt), np.sin(tilt)
    step = side / MESH_SIDE
    to_part = (step * cos, -step * sin, x - half * (cos - sin), step * sin, step * cos, y - half * (sin + cos))
    from PIL import Image  # takes long to import, and many videos show no face

    region = Image.fromarray(part).transform(
        (MESH_SIDE, MESH_SIDE), Image.Transform.AFFINE, to_part, Image.Resampling.BILINEAR
    )
    return np.asarray(region, np.float32) / np.float32(255)


def mouth_opening(points: Floats) -> Floats:
    """(N,) distance between the lips, in heights of the face, of (N, 468, 3) points of meshes."""
    opening = np.linalg.norm(points[:, UPPER_LIP] - points[:, LOWER_LIP], axis=1)
    heights = np.linalg.norm(points[:, FOREHEAD] - points[:, CHIN], axis=1)
    return (opening / np.maximum(heights, 1e-6)).astype(np.float32)
