"""What extracting VGG-19 features costs and how exact it is, against the published recipe in plain PyTorch float32.

    python benchmarks/extraction.py

One run, ratios: on a 10 s clip at 1280x720 (made by the ffmpeg program from a real one) and 16 pictures a second,

- speed of each precision, as the whole extraction (decoding, scaling, network) against that of the plain recipe: all
  frames decoded, scaled with two-tap bilinear interpolation, 16 of each second through an NCHW network in batches;
- relative L2 error of each precision, on the same pictures;
- CPU seconds of the extraction against those of a null decode and the bare network on pictures in memory;
- the network's share of the processor's matrix multiplication rate, measured here with the same arithmetic;
- what fewer pictures a segment change, against 16, and the time they take;
- what departs from the published recipe, for pictures (scaling, choice of frames) and for sound (resampling, 16 bits).

Some minutes with AMX, and a quarter of an hour without.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from _common import SHARED, machine, save
from decode import make_720p, null_decode, timed
from scipy.signal import firwin, resample_poly
from torch.nn import functional

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.vgg import Vgg19
from avel.backbones.vggish import patches
from avel.features.extract import extract
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.runtimes import openvino

EVENTS = SHARED / "data" / "media" / "events"
CLIP = "hammer_00323.mp4"
DRIFT_CLIPS = ("race_car.mp4", "dog_bark_02754.mp4", "harp_6zlMP.mp4")
SECONDS = 10
CHECKED_SECONDS = 2
DRIFT_SECONDS = 4
FRAMES = 16
SIDE = 224
TARGETS = {"float16": 12.0, "int8": 18.0}
GFLOP_PER_PICTURE = 39.0


# The published recipe (Tian et al., ECCV 2018), written plainly


def published_pictures(clip: Path, seconds: int = SECONDS) -> np.ndarray:
    """(T, 16, 224, 224, 3): every frame decoded and scaled, then those picked whose numbers the recipe gives."""
    with av.open(str(clip)) as container:
        frames = [two_taps(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    interval = len(frames) // seconds
    picked = [int(s * interval + i / FRAMES * interval) for s in range(seconds) for i in range(FRAMES)]
    return np.stack([frames[number] for number in picked]).reshape(seconds, FRAMES, SIDE, SIDE, 3)


def two_taps(picture: np.ndarray) -> np.ndarray:
    """Bilinear interpolation between the four nearest pixels, however much the picture shrinks, as OpenCV's default."""
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    scaled = functional.interpolate(planes, (SIDE, SIDE), mode="bilinear", align_corners=False, antialias=False)
    return scaled[0].permute(1, 2, 0).round().to(torch.uint8).numpy()


class PlainVgg19:
    """VGG-19 up to its last pooling, float32, NCHW."""

    def __init__(self) -> None:
        stored = weights.load_tensors("vgg19")
        layers: list[torch.nn.Module] = []
        for place in sorted({int(name.split(".")[0]) for name in stored}):
            weight, bias = stored[f"{place}.weight"], stored[f"{place}.bias"]
            convolution = torch.nn.Conv2d(
                weight.shape[1], weight.shape[0], weight.shape[2], padding=weight.shape[2] // 2
            )
            convolution.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
            layers.append(convolution)
            if weight.shape[2] == 3:
                layers.append(torch.nn.ReLU())
                if len([x for x in layers if isinstance(x, torch.nn.ReLU)]) in (2, 4, 8, 12, 16):
                    layers.append(torch.nn.MaxPool2d(2))
        self.network = torch.nn.Sequential(*layers).eval()

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """(T, F, 224, 224, 3) to (T, 49, 512)."""
        with torch.inference_mode():
            means = [
                self.network(torch.from_numpy(segment).permute(0, 3, 1, 2).float().contiguous() / 255).mean(dim=0)
                for segment in pictures
            ]
        return torch.stack(means).flatten(2).transpose(1, 2).numpy()


# What is measured


def speed_and_error(clip: Path, repeats: int, result: dict[str, Any]) -> None:
    plain = PlainVgg19()
    networks = {precision: Vgg19(EngineOptions(precision=precision)) for precision in TARGETS}
    same_pictures = read(clip, FRAMES)
    for network in networks.values():
        network(same_pictures[:1])  # what a first call prepares
    plain(same_pictures[:1])

    taken: dict[str, list[tuple[float, float]]] = {}

    outputs: dict[str, np.ndarray] = {}

    def run(name: str, action: Callable[[], Any]) -> None:
        taken.setdefault(name, []).append(timed(lambda: outputs.update({name: action()})))
        print(f"  {name:34} wall {taken[name][-1][0]:7.2f} s  CPU {taken[name][-1][1]:7.2f} s", flush=True)

    run("plain recipe", lambda: plain(published_pictures(clip)))
    for _ in range(repeats):
        run("null decode", lambda: null_decode(clip))
        for precision, network in networks.items():
            run(f"{precision}: extraction", lambda network=network: extract(clip, [network], []))
            run(f"{precision}: network alone", lambda network=network: network(same_pictures))

    def least(name: str, kind: int) -> float:
        """What other programs on the machine do can only add."""
        return min(row[kind] for row in taken[name])

    expected = plain(same_pictures[:CHECKED_SECONDS])
    peaks = {used: matmul_peak(used) for used in {network.record["precision"] for network in networks.values()}}
    result["matmul_peak_gflop_per_cpu_second"] = {name: round(peak) for name, peak in peaks.items()}
    result["plain_recipe"] = {
        "wall_seconds": round(least("plain recipe", 0), 2),
        "cpu_seconds": round(least("plain recipe", 1), 2),
    }
    result["null_decode_cpu_seconds"] = round(least("null decode", 1), 3)
    result["precisions"] = {}
    for precision, network in networks.items():
        used = network.record["precision"]
        cpu, bare = least(f"{precision}: extraction", 1), least(f"{precision}: network alone", 1)
        rate = GFLOP_PER_PICTURE * SECONDS * FRAMES / bare
        result["precisions"][precision] = {
            "arithmetic": used,
            "extraction_seconds": round(least(f"{precision}: extraction", 0), 2),
            "times_as_fast_as_plain_wall": round(least("plain recipe", 0) / least(f"{precision}: extraction", 0), 2),
            "times_as_fast_as_plain_cpu": round(least("plain recipe", 1) / cpu, 2),
            "target_times_with_amx": TARGETS.get(precision),
            "relative_l2_error": float(
                f"{relative(outputs[f'{precision}: network alone'][:CHECKED_SECONDS], expected):.2e}"
            ),
            "cpu_over_null_decode_and_network": round(cpu / (least("null decode", 1) + bare), 3),
            "share_of_matmul_peak": round(rate / peaks[used], 2),
        }
    result["departures"] = {
        "scaling and choice of frames, relative L2 of pool5": round(
            relative(expected, outputs["plain recipe"][:CHECKED_SECONDS]), 3
        )
    }


def matmul_peak(arithmetic: str) -> float:
    """Best rate of a large matrix multiplication, GFLOP a CPU second, by the better of OpenVINO and PyTorch."""
    size, rounds = 4096, 6
    random = np.random.default_rng(0)
    left, right = (random.standard_normal((size, size), np.float32) for _ in range(2))
    given = openvino.opset13.parameter([size, size], np.float32)
    factors = [given, openvino.opset13.constant(right)]
    if arithmetic == "int8":
        low, high = openvino.opset13.constant(np.float32(-4)), openvino.opset13.constant(np.float32(4))
        factors = [
            openvino.opset13.fake_quantize(x, low, high, low, high, n) for x, n in zip(factors, (256, 255), strict=True)
        ]
    product = openvino.opset13.matmul(*factors, False, True)
    # Only a row of it comes out, so that copying it does not count.
    model = openvino.Model(
        [openvino.opset13.reduce_max(product, openvino.opset13.constant(np.array([0])), False)], [given]
    )
    hints = {"INFERENCE_PRECISION_HINT": "f16" if arithmetic == "float16" else "f32", "ENABLE_CPU_PINNING": "NO"}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
    compiled([left])
    actions: list[Callable[[], Any]] = [lambda: compiled([left])]
    if arithmetic == "int8":
        small = torch.randint(-100, 100, (size, size), dtype=torch.int8)
        actions.append(lambda: torch._int_mm(small, small))
    else:
        numbers = torch.from_numpy(left).to(getattr(torch, arithmetic))
        actions.append(lambda: numbers @ numbers)
    return max(2 * size**3 / timed(action)[1] / 1e9 for action in actions for _ in range(rounds))


def drift(clips: list[Path], network: Vgg19, clip_720p: Path) -> dict[str, Any]:
    """Fewer pictures a segment: distance from 16 on real clips, and time on the 720p clip."""
    found: dict[int, list[float]] = {}
    between: list[float] = []
    for clip in clips:
        pictures = read(clip, FRAMES)[:DRIFT_SECONDS]
        # A picture a segment of its own, so that any of them can be averaged.
        single = network(pictures.reshape(-1, 1, *pictures.shape[2:])).reshape(len(pictures), FRAMES, 49, 512)
        full = single.mean(axis=1)
        between.append(relative(full[1:], full[:-1]))
        for count in (1, 2, 4, 8):
            fewer = single[:, :: FRAMES // count].mean(axis=1)
            found.setdefault(count, []).append(relative(fewer, full))
    times = {}
    for count in (16, 8, 4, 2, 1):
        smaller = Vgg19(EngineOptions(), frames_per_segment=count)
        times[count] = timed(lambda smaller=smaller: extract(clip_720p, [smaller], []))
    return {
        "consecutive_seconds": [round(value, 3) for value in between],
        **{
            str(count): {
                "relative_l2": [round(value, 4) for value in found[count]],
                "times_as_fast_wall": round(times[16][0] / times[count][0], 2),
                "times_as_fast_cpu": round(times[16][1] / times[count][1], 2),
            }
            for count in (8, 4, 2, 1)
        },
    }


def sound_departures(clips: list[Path]) -> dict[str, Any]:
    """Relative L2 error of VGGish's log-mel patches for what differs from the published recipe, by itself."""
    errors: dict[str, list[float]] = {}
    for clip in clips:
        with av.open(str(clip)) as container:
            stream = container.streams.best("audio")
            packer = av.AudioResampler(format="flt")  # planar frames are not safe to read in every layout
            packed = [part for frame in container.decode(stream) for part in packer.resample(frame)]
            rate = stream.codec_context.sample_rate
        samples = np.concatenate([part.to_ndarray().reshape(-1, part.layout.nb_channels) for part in packed])
        stereo = samples.T.astype(np.float64)  # (C, S)
        seconds = min(SECONDS, stereo.shape[1] // rate)
        stereo = stereo[:, : seconds * rate]
        mono = stereo.mean(axis=0)
        rounded = (np.clip(np.round(stereo * 32768), -32768, 32767) / 32768).mean(axis=0)
        with MediaReader(clip) as reader:
            ours = patches(np.stack([segment.waveform for segment in reader][:seconds]))
        each = patches(np.stack([long_filter(second, rate) for second in mono.reshape(seconds, rate)]))
        each_rounded = patches(np.stack([long_filter(second, rate) for second in rounded.reshape(seconds, rate)]))
        whole = patches(long_filter(mono, rate).reshape(seconds, 16000))
        for name, (found, expected) in {
            "all together": (ours, each_rounded),
            "another resampling filter": (ours, whole),
            "not each second by itself": (whole, each),
            "not each second by itself, first two frames": (whole[:, :, :2], each[:, :, :2]),
            "not rounded to 16 bits": (each, each_rounded),
        }.items():
            errors.setdefault(name, []).append(relative(found, expected))
    return {
        name: {"median": float(f"{np.median(values):.1e}"), "max": float(f"{max(values):.1e}")}
        for name, values in errors.items()
    }


def long_filter(samples: np.ndarray, rate: int) -> np.ndarray:
    """To 16 kHz with the windowed sine of the package that the published recipe used (resampy's ``kaiser_best``)."""
    ratio = Fraction(16000, rate)
    up, down = ratio.numerator, ratio.denominator
    if up == down:
        return samples.astype(np.float32)
    longest = max(up, down)
    taps = firwin(2 * 64 * longest + 1, 0.9475937167399596 / longest, window=("kaiser", 14.769656459379492))
    return resample_poly(samples, up, down, window=taps).astype(np.float32)


def read(clip: Path, frames: int) -> np.ndarray:
    with MediaReader(clip, pictures={"vgg": PictureFormat(frames, SIDE, SIDE)}, sample_rate=None) as reader:
        return np.stack([segment.pictures["vgg"] for segment in reader])[:SECONDS]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(cores)
    has_amx = any(feature.startswith("amx") for feature in machine()["cpu_features"])
    result: dict[str, Any] = {
        "clip": f"{CLIP}, 10 s of it at 1280x720, 30 pictures a second",
        "has_amx": has_amx,
        "threads": cores,
        "repeats": options.repeats,
        "load_average": round(os.getloadavg()[0], 1),
        "vggish_embedding": "not measured: its weights could not be had",
    }
    if not has_amx:
        print("This processor has no AMX; the targets of 12 x (float16) and 18 x (int8) are for one that has.")
    with tempfile.TemporaryDirectory() as name:
        clip = Path(name) / "clip.mp4"
        make_720p(EVENTS / CLIP, clip, SECONDS)
        speed_and_error(clip, options.repeats, result)
        result["drift_from_16_frames"] = drift([EVENTS / name for name in DRIFT_CLIPS], Vgg19(EngineOptions()), clip)
        result["departures"]["sound, relative L2 of log-mel patches"] = sound_departures(sorted(EVENTS.glob("*.mp4")))
    for key, value in result.items():
        print(f"{key}: {value}")
    save(__file__, result)


if __name__ == "__main__":
    main()
