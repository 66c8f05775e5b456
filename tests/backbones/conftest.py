"""Real pictures and sound for the networks, read with PyAV alone."""

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

Pictures = npt.NDArray[np.uint8]
Waveforms = npt.NDArray[np.float32]


@pytest.fixture(scope="session")
def clip_pictures(event_clips: Path) -> Callable[..., Pictures]:
    """(T, F, side, side, 3) pictures of the clip's first T seconds."""

    def read(name: str, segments: int, frames: int, side: int = 224) -> Pictures:
        pictures: list[Pictures] = []
        with av.open(str(event_clips / f"{name}.mp4")) as container:
            for frame in container.decode(video=0):
                while len(pictures) < segments * frames and frame.time >= len(pictures) / frames:
                    pictures.append(frame.to_ndarray(width=side, height=side, format="rgb24", interpolation="BICUBIC"))
        return np.stack(pictures).reshape(segments, frames, side, side, 3)

    return read


@pytest.fixture(scope="session")
def clip_waveforms(event_clips: Path) -> Callable[..., Waveforms]:
    """(T, 16000) sound of the clip's whole seconds."""

    def read(name: str, seconds: int = 1) -> Waveforms:
        resampler = av.AudioResampler("flt", "mono", 16000)
        parts = []
        with av.open(str(event_clips / f"{name}.mp4")) as container:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        samples = np.concatenate(parts)
        length = 16000 * seconds
        return samples[: len(samples) // length * length].reshape(-1, length)

    return read
