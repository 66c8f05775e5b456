"""Pictures that show networks their usual activations; see README.md for where they come from."""

import hashlib
from collections.abc import Iterator
from importlib import resources
from typing import IO

import numpy as np

from avel.backbones.base import Pictures
from avel.backbones.engine import Calibration


def pictures(width: int, height: int) -> Calibration:
    """Calibration data for a network that takes pictures.

    Args:
        width: in pixels.
        height: in pixels.

    Returns:
        Of each picture the whole and its four quarters, every second one mirrored, (height, width, 3) uint8 RGB.
    """
    files = sorted(
        (file for file in resources.files(__name__).iterdir() if file.name.endswith(".jpg")), key=lambda file: file.name
    )

    def items() -> Iterator[Pictures]:
        for file in files:
            with file.open("rb") as stream:
                yield from _views(stream, width, height)

    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return Calibration(f"sha256:{digest}", items)


def _views(stream: IO[bytes], width: int, height: int) -> Iterator[Pictures]:
    import av

    with av.open(stream, "r") as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    rows, columns = (np.array_split(np.arange(side), 2) for side in picture.shape[:2])
    parts = [picture, *(picture[np.ix_(row, column)] for row in rows for column in columns)]
    for index, part in enumerate(parts):
        frame = av.VideoFrame.from_ndarray(part, format="rgb24")
        scaled = frame.reformat(width, height, interpolation="BICUBIC").to_ndarray().astype(np.uint8, copy=False)
        yield scaled[:, ::-1] if index % 2 else scaled
