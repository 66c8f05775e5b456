"""Speed and error of every network, engine and precision, against plain PyTorch in float32.

One run on one machine; only its ratios mean something elsewhere. Pictures are of real clips, as a media reader would
give them. Weights are fetched where they are missing; networks whose weights are not available are left out, and named.

    python benchmarks/backbones.py CLIP...

The numbers in ``backbones.json`` are from ``events/*.mp4`` of the project's third-party test media.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from _common import save

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.errors import AvelError

REPEATS = 5
NETWORKS = ("vgg19", "efficientnet-lite0")
WAYS = (
    EngineOptions(device="torch-cpu", precision="float32"),
    EngineOptions(device="cpu", precision="float32"),
    EngineOptions(device="cpu", precision="float16"),
    EngineOptions(device="cpu", precision="int8"),
    EngineOptions(device="cuda", precision="float32"),
    EngineOptions(device="cuda", precision="float16"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=4, help="pictures of each clip, over one second")
    arguments = parser.parse_args()
    results = [row for name in NETWORKS for row in measure(name, arguments.clips, arguments.frames)]
    results.append(measure_yamnet())
    report = {
        "load_average": os.getloadavg()[0],  # above the number of cores: other programs took part of the machine
        "torch_threads": torch.get_num_threads(),
        "pictures": {"clips": [clip.name for clip in arguments.clips], "frames_per_clip": arguments.frames},
        "repeats": REPEATS,
        "results": results,
    }
    save(__file__, report)


def measure(name: str, clips: list[Path], frames: int) -> list[dict[str, Any]]:
    networks: list[VisualBackbone] = []
    rows: list[dict[str, Any]] = []
    for way in WAYS:
        try:
            networks.append(visual_backbone(name, way, frames_per_segment=frames))
        except AvelError as error:
            print(f"{name} on {way.device} in {way.precision} is left out: {error}")
            continue
        rows.append({"network": name, "asked": f"{way.device} {way.precision}", **networks[-1].record})
    side = networks[0].pictures.height
    assert side is not None
    pictures = np.stack([pictures_of(clip, frames, side) for clip in clips])
    outputs = [network(pictures) for network in networks]
    # Taking turns spreads what other programs do to the machine over all of them.
    seconds = [[timed(lambda network=network: network(pictures)) for network in networks] for _ in range(REPEATS)]
    for index, row in enumerate(rows):
        taken = [turn[index] for turn in seconds]
        ratios = [turn[0] / turn[index] for turn in seconds]
        error = outputs[index] - outputs[0]
        row |= {
            "images_per_second": round(pictures.shape[0] * frames / statistics.median(taken), 2),
            "times_as_fast": round(statistics.median(ratios), 2),
            "relative_error": float(f"{np.linalg.norm(error) / np.linalg.norm(outputs[0]):.2e}"),
        }
        print(
            f"{name:20} {row['asked']:20} ran in {row['precision']:8} {row['images_per_second']:8.1f} images/s "
            f"{row['times_as_fast']:6.2f} x torch float32   relative error {row['relative_error']:.1e}"
        )
    return rows


def measure_yamnet() -> dict[str, Any]:
    network: AudioBackbone = audio_backbone("yamnet", EngineOptions())
    waveforms = np.random.default_rng(0).normal(0, 0.1, (60, network.sample_rate)).astype(np.float32)
    network(waveforms)
    taken = statistics.median(timed(lambda: network(waveforms)) for _ in range(REPEATS))
    print(f"yamnet: {1000 * taken / len(waveforms):.2f} ms for a second of sound")
    return {"network": "yamnet", **network.record, "ms_per_second": round(1000 * taken / len(waveforms), 3)}


def timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def pictures_of(clip: Path, frames: int, side: int) -> np.ndarray:
    """(F, side, side, 3) pictures, evenly over the clip's first 30."""
    with av.open(str(clip)) as container:
        first = list(islice(container.decode(video=0), 30))
    chosen = [first[index] for index in np.linspace(0, len(first) - 1, frames).astype(int)]
    return np.stack([f.to_ndarray(width=side, height=side, format="rgb24", interpolation="BICUBIC") for f in chosen])


if __name__ == "__main__":
    main()
