"""What 8 bits cost VGG-19's features of segments, and what they save.

Segments of clips that 8-bit networks are not calibrated with, in float32 and int8, one after the other. With
``--other GRAPH``, also an int8 graph of another version of avel (``graph.xml`` in its cache folder), so that both are
measured in one run.
"""

import argparse
import os
import statistics
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from _common import SHARED, save

from avel.backbones.compilation import core
from avel.backbones.engine import EngineOptions
from avel.backbones.vgg import Vgg19
from avel.runtimes import openvino

SEGMENTS = (
    ("cough_00331", 1),
    ("dog_bark_02754", 1),
    ("speech_nasa", 1),
    ("harp_6zlMP", 1),
    ("hammer_00323", 0),
    ("hammer_00323", 4),
)
"""Clips, and the second of each that is taken."""
FRAMES = 8


def pictures(name: str, second: int) -> np.ndarray:
    """(FRAMES, 224, 224, 3) of one second."""
    found: list[np.ndarray] = []
    with av.open(str(SHARED / "data" / "media" / "events" / f"{name}.mp4")) as container:
        for frame in container.decode(video=0):
            while len(found) < FRAMES and frame.time >= second + len(found) / FRAMES:
                found.append(frame.to_ndarray(width=224, height=224, format="rgb24", interpolation="BICUBIC"))
    return np.stack(found)


class Graph:
    """An int8 graph in a file, run as avel runs networks.

    Args:
        path: of the graph.
    """

    def __init__(self, path: Path) -> None:
        settings = {"NUM_STREAMS": "2", "INFERENCE_NUM_THREADS": "2", "ENABLE_CPU_PINNING": "NO"}
        model = core().compile_model(path, "CPU", {**settings, "INFERENCE_PRECISION_HINT": "f32"})
        self._queue = openvino.AsyncInferQueue(model, 2)

    def __call__(self, segments: np.ndarray) -> np.ndarray:
        """Features (T, 49, 512) of segments."""
        features = []
        for frames in segments:
            found = np.empty((len(frames), 49, 512), np.float32)

            def keep(request: Any, index: int, found: np.ndarray = found) -> None:
                found[index] = request.get_output_tensor(0).data[0]

            self._queue.set_callback(keep)
            for index, frame in enumerate(frames):
                self._queue.start_async({0: frame[np.newaxis]}, index)
            self._queue.wait_all()
            features.append(found.mean(axis=0))
        return np.stack(features)


def errors(found: np.ndarray, exact: np.ndarray) -> dict[str, Any]:
    """Relative L2 error of each segment, of all together, and the smallest cosine."""
    each = [float(np.linalg.norm(f - e) / np.linalg.norm(e)) for f, e in zip(found, exact, strict=True)]
    cosines = [np.vdot(f, e) / np.linalg.norm(f) / np.linalg.norm(e) for f, e in zip(found, exact, strict=True)]
    return {
        "relative_l2_error": {
            "each": [round(error, 4) for error in each],
            "median": round(statistics.median(each), 4),
            "together": round(float(np.linalg.norm(found - exact) / np.linalg.norm(exact)), 4),
        },
        "least_cosine": round(float(min(cosines)), 5),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--other", type=Path, metavar="GRAPH", help="an int8 graph of another version to measure too")
    args = parser.parse_args()
    backbones: dict[str, Any] = {
        precision: Vgg19(EngineOptions(device="cpu", precision=precision, threads=2), frames_per_segment=FRAMES)
        for precision in ("int8", "float32")
    }
    quantization = backbones["int8"].record["quantization"]
    if args.other:
        backbones["other int8"] = Graph(args.other)
    segments = np.stack([pictures(name, second) for name, second in SEGMENTS])
    features: dict[str, list[np.ndarray]] = {name: [] for name in backbones}
    seconds: dict[str, list[float]] = {name: [] for name in backbones}
    for backbone in backbones.values():
        backbone(segments[:1, :2])  # loads it
    for segment in segments:
        for name, backbone in backbones.items():
            start = time.process_time()
            features[name].append(backbone(segment[np.newaxis])[0])
            seconds[name].append((time.process_time() - start) / FRAMES)
    exact = np.stack(features["float32"])
    result: dict[str, Any] = {
        "segments": [f"{name}, second {second}" for name, second in SEGMENTS],
        "frames_per_segment": FRAMES,
        "quantization": quantization,
        "load_average": round(os.getloadavg()[0], 1),
    }
    for name in backbones:
        of_float32 = [a / b for a, b in zip(seconds[name], seconds["float32"], strict=True)]
        result[name] = {
            "cpu_seconds_a_picture": round(statistics.median(seconds[name]), 3),
            "cpu_of_float32": round(statistics.median(of_float32), 3),
            **({} if name == "float32" else errors(np.stack(features[name]), exact)),
        }
    for key, value in result.items():
        print(f"{key}: {value}")
    save(__file__, result)


if __name__ == "__main__":
    main()
