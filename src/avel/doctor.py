"""What a report of a fault needs to say of the machine: versions, codecs, processor, weights, disk, GPU.

Nothing is sent anywhere and nothing is fetched. Paths of this machine are in it, but no names of videos.
"""

import importlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from avel.backbones import weights
from avel.version import __version__

PACKAGES = ("av", "numpy", "openvino", "torch", "pillow", "matplotlib", "h5py", "safetensors", "scipy", "pydantic")
"""Those whose versions matter most for what avel finds."""
EXTRAS = ("distributed", "onnx", "onnxruntime", "nncf", "tensorboard")

DECODERS = (
    *("h264", "hevc", "av1", "vp8", "vp9", "mpeg2video", "mpeg4", "mjpeg", "theora", "prores", "wmv3"),
    *("aac", "mp3", "opus", "vorbis", "flac", "ac3", "eac3", "pcm_s16le", "wmav2"),
)
"""Codecs of most videos, as FFmpeg calls them."""

INSTRUCTIONS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("amx_tile", "amx_int8", "amx_bf16", "asimd", "asimddp", "bf16", "i8mm", "sve"),
)
"""What makes networks fast, as Linux names them."""

_LIMIT_SECONDS = 20

Section = Mapping[str, str]


def examine() -> dict[str, Section]:
    """Everything, by section and name, in words."""
    return {
        "avel": {
            "version": __version__,
            "from": str(Path(__file__).parent),
            "python": f"{platform.python_version()} ({sys.executable})",
            "system": platform.platform(),
            "settings": _environment(),
        },
        "packages": {name: _version(name) for name in PACKAGES}
        | {f"{name} (extra)": _version(name) for name in EXTRAS},
        "media": _media(),
        "processor": _processor(),
        "GPU": _gpu(),
        "weights": _weights(),
        "disk": _disk(),
    }


def lines(found: Mapping[str, Section]) -> list[str]:
    """The same as text, a heading and its lines for each section."""
    text = []
    for title, section in found.items():
        text += [title, *(f"  {name}: {value}" for name, value in section.items())]
    return text


def _environment() -> str:
    names = sorted(name for name in os.environ if name.startswith(("AVEL_", "ONEDNN_", "OMP_", "CUDA_VISIBLE")))
    return ", ".join(f"{name}={os.environ[name]}" for name in names) or "none"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _media() -> Section:
    try:
        av = importlib.import_module("av")
    except ImportError as error:  # such as a library of the system that is missing
        return {"error": f"PyAV cannot be imported: {error}"}
    there = set(av.codecs_available)
    known = [name for name in DECODERS if _decodes(av, name)] if there else []
    return {
        "libraries": ", ".join(f"{name} {'.'.join(map(str, number))}" for name, number in av.library_versions.items()),
        "decodes": ", ".join(known) or "nothing",
        "does not decode": ", ".join(name for name in DECODERS if name not in known) or "nothing of these is missing",
    }


def _decodes(av: object, name: str) -> bool:
    try:
        av.codec.Codec(name, "r")  # type: ignore[attr-defined]
    except ValueError:  # av.codec.codec.UnknownCodecError is one
        return False
    return True


def _processor() -> Section:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    model, flags = _cpu_info()
    memory = _memory_bytes()
    return {
        "model": model or platform.processor() or platform.machine(),
        "cores": f"{usable} usable of {os.cpu_count()}{_cpu_quota()}",
        "instructions": ", ".join(name for name in INSTRUCTIONS if name in flags) or "not known on this system",
        "memory": "not known on this system" if memory is None else _size(memory),
    }


def _cpu_info() -> tuple[str, set[str]]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", set()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    return fields.get("model name", ""), set((fields.get("flags") or fields.get("Features", "")).split())


def _cpu_quota() -> str:
    """What a container may use of the processor, if it is limited."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return "" if quota == "max" else f", limited to the time of {int(quota) / int(period):g}"
    except (OSError, ValueError):
        return ""


def _memory_bytes() -> int | None:
    try:
        whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    try:
        return min(whole, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    except (OSError, ValueError):  # no limit
        return whole


def _gpu() -> Section:
    found = {"NVIDIA driver": _nvidia()}
    if _version("torch") == "not installed":
        return found | {"PyTorch": "not installed"}
    try:
        torch = importlib.import_module("torch")
        devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        return found | {"PyTorch": ", ".join(devices) if torch.cuda.is_available() else "sees none"}
    except Exception as error:  # whatever a broken driver does
        return found | {"PyTorch": f"cannot be asked: {type(error).__name__}: {error}"}


def _nvidia() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return "not installed"
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_LIMIT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"cannot be asked: {error}"
    return "; ".join((done.stdout or done.stderr).split("\n")).strip("; ") or "gives no answer"


def _weights() -> Section:
    """Where the files are that are whole, and what is wrong with others."""
    found = {
        "AVEL_WEIGHTS_DIR": os.environ.get("AVEL_WEIGHTS_DIR", "not set"),
        "cache": str(weights.cache_folder()),
    }
    for name in weights.catalogue():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            path = weights.find(name)
        found[name] = "; ".join([str(path or "not on this machine"), *(str(warning.message) for warning in said)])
    return found


def _disk() -> Section:
    places = {"cache": weights.cache_folder(), "temporary files": Path(tempfile.gettempdir()), "here": Path.cwd()}
    return {name: f"{_free(path)} free at {path}" for name, path in places.items()}


def _free(path: Path) -> str:
    """Free space where a path is, or will be."""
    there = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    return "no such place" if there is None else _size(shutil.disk_usage(there).free)


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
