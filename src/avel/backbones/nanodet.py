"""NanoDet: persons, animals and vehicles anywhere in a picture, as scores of the 80 classes of COCO, with boxes.

NanoDet-g of RangiLyu (https://github.com/RangiLyu/nanodet), trained on COCO (Lin et al., arXiv:1405.0312): 22.9 mAP at
416 x 416 pixels, as its author gives it. Where an ImageNet tagger names the picture as a whole, this finds what fills
only a part of it.

The weights come from a package for JavaScript, as TensorFlow.js keeps them: numbers of 16 bits one after the other. The
package's own preparation of pictures (RGB in [0, 1]) is not the one the network was trained with, which is used here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from avel.backbones import weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.blazeface import overlap
from avel.backbones.engine import EngineOptions, from_torch
from avel.media.types import PictureFormat

if TYPE_CHECKING:
    import torch

WEIGHTS = "nanodet-g"
SIDE = 416
PICTURES_PER_SECOND = 2
MAX_OVERLAP = 0.6
"""Boxes of one class with a larger intersection over union are of one thing."""

CLASSES = (
    *("person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant"),
    *("bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard"),
    *("sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard", "tennis racket", "bottle"),
    *("wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich", "orange", "broccoli"),
    *("carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed", "dining table", "toilet"),
    *("tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster", "sink"),
    *("refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier", "toothbrush"),
)
"""COCO's, in the order of the outputs."""

# Where weight and bias of each convolution start in the file, in the order of `NanoDetNetwork.convolutions`; read from
# the package's models/nanodet.json.
_OFFSETS = (
    *((5545944, 5547672), (5547866, 5566298), (5518068, 5527284), (5513364, 5517972), (5527384, 5545816)),
    *((5566430, 5640158), (5365452, 5402316), (5346892, 5365324), (5402448, 5439312), (5328332, 5346764)),
    *((5439444, 5513172), (5640354, 5935266), (4737796, 4885252), (4663876, 4737604), (4885448, 5032904)),
    *((4589956, 4663684), (5033100, 5328012), (5935590, 7115238), (1639288, 2229112), (1344056, 1638968)),
    *((2229436, 2819260), (1048824, 1343736), (2819584, 3409408), (753592, 1048504), (3409732, 4589380)),
    *((654680, 687448), (687736, 753272), (7115786, 7246858)),
    *((120, 295032), (295320, 327064), (327408, 622320), (622608, 654352), (7247306, 7542218), (7542506, 7574250)),
)


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """Something that was found in a picture.

    Attributes:
        box: (4,) left, top, right and bottom, in pixels of the picture.
        score: in [0, 1].
        label: one of `CLASSES`.
    """

    box: Floats
    score: float
    label: str


class NanoDet(VisualBackbone):
    """Scores of COCO's classes: of each, the surest box of a picture, and the mean of that over a segment's pictures.

    Args:
        options: device, precision, threads.
        segment_seconds: length of a segment, which settles how many pictures it has: `PICTURES_PER_SECOND`.

    Raises:
        WeightsError: if the weights are not available.
    """

    name = "nanodet"
    dims: int = len(CLASSES)
    regions = 1
    labels: tuple[str, ...] = CLASSES

    def __init__(self, options: EngineOptions | None = None, *, segment_seconds: float = 1.0) -> None:
        count = max(1, round(PICTURES_PER_SECOND * segment_seconds))
        self.pictures: PictureFormat = PictureFormat(count, longest_side=SIDE)
        self._network = from_torch(
            _network,
            (SIDE, SIDE, 3),
            name=self.name,
            digest=weights.digest(WEIGHTS),
            options=options or EngineOptions(),
        )
        self.record: dict[str, Any] = {**self._network.record, "frames_per_segment": count}

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, H, W, 3) to (T, 1, 80) scores."""
        segments, count = pictures.shape[:2]
        scores, _ = self._network(_boxed(pictures.reshape(-1, *pictures.shape[2:])))
        surest = scores.max(axis=1).reshape(segments, count, -1)
        return surest.mean(axis=1, keepdims=True, dtype=np.float32)

    def detect(self, pictures: Pictures, *, min_score: float = 0.4) -> list[list[DetectedObject]]:
        """What there is in each picture, the surest first.

        Args:
            pictures: (N, H, W, 3) uint8 RGB, of any size.
            min_score: what has less is left out.
        """
        if not len(pictures):
            return []
        height, width = pictures.shape[1:3]
        scale = max(height, width) / SIDE
        limit = np.array([width, height, width, height], np.float32)
        found = []
        for scores, distances in zip(*self._network(_boxed(pictures)), strict=True):
            boxes = _boxes(distances)
            kept = [
                (label, index) for label in range(len(CLASSES)) for index in _kept(boxes, scores[:, label], min_score)
            ]
            things = [
                DetectedObject(np.clip(boxes[index] * scale, 0, limit), float(scores[index, label]), CLASSES[label])
                for label, index in kept
            ]
            found.append(sorted(things, key=lambda thing: -thing.score))
        return found


def _boxed(pictures: Pictures) -> Pictures:
    """(N, SIDE, SIDE, 3): as large as fits, black to the right of it or below."""
    count, height, width = pictures.shape[:3]
    scale = SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    boxed = np.zeros((count, SIDE, SIDE, 3), np.uint8)
    for place, picture in zip(boxed, pictures, strict=True):
        scaled = Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR)
        place[: size[1], : size[0]] = np.asarray(scaled)
    return boxed


@cache
def _centres() -> Floats:
    """(3549, 2) x and y in pixels of the middle of each cell, grid after grid, row by row."""
    grids = []
    for stride in (8, 16, 32):
        middles = (np.arange(SIDE // stride, dtype=np.float32) + 0.5) * stride
        grids.append(np.stack(np.meshgrid(middles, middles), axis=-1).reshape(-1, 2))
    return np.concatenate(grids)


def _boxes(distances: Floats) -> Floats:
    """(cells, 4) distances from the cells' middles to corners in pixels of the network's input."""
    return np.concatenate([_centres() - distances[:, :2], _centres() + distances[:, 2:]], axis=1)


def _kept(boxes: Floats, scores: Floats, min_score: float) -> Sequence[int]:
    """Indices of boxes of one class, without those that overlap a surer one."""
    left = np.flatnonzero(scores >= min_score)
    left = left[np.argsort(-scores[left], kind="stable")]
    kept: list[int] = []
    while len(left):
        kept.append(int(left[0]))
        overlaps = overlap(boxes[left[0]].reshape(2, 2), boxes[left[1:]].reshape(-1, 2, 2))
        left = left[1:][overlaps <= MAX_OVERLAP]
    return kept


def _network() -> "torch.nn.Module":
    import torch

    from avel.backbones.nanodet_network import NanoDetNetwork

    content = weights.path(WEIGHTS).read_bytes()

    def numbers(offset: int, shape: Sequence[int]) -> npt.NDArray[np.float32]:
        return np.frombuffer(content, "<f2", int(np.prod(shape)), offset).reshape(shape).astype(np.float32)

    network = NanoDetNetwork()
    for convolution, (weight, bias) in zip(network.convolutions(), _OFFSETS, strict=True):
        outputs, inputs, height, width = convolution.weight.shape
        kernel = numbers(weight, (height, width, inputs, outputs)).transpose(3, 2, 0, 1)
        state = {"weight": kernel, "bias": numbers(bias, (outputs,))}
        convolution.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
    return network
