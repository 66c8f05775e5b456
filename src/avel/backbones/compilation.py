"""Graphs of OpenVINO, made ready for this processor once and kept in the cache folder, which may be deleted any time.

Under ``compiled`` there is a folder for every network as avel, OpenVINO and this processor run it. Later starts read it
when the network is first asked for, and neither make its graph nor compile it. An entry that is damaged, or is another
network's, is made again. Under ``graphs`` are graphs that take long to make. Whenever one is added to either, those
that nobody reads any more are deleted (`avel.backbones.tidying`).
"""

import hashlib
import importlib.metadata
import json
import logging
import mmap
import os
import platform
import shutil
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from avel.backbones import weights
from avel.backbones.tidying import tidy, used
from avel.documents import parse_json
from avel.errors import OutputError
from avel.files import new_folder
from avel.version import __version__

if TYPE_CHECKING:
    from avel.runtimes import openvino

Key = tuple[str, ...]
"""A network's name, and all that tells it from others."""
Arithmetic = Literal["f16", "f32"]

_MODEL, _ABOUT = "model.blob", "about.json"
_INSTRUCTION_LIMITS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")

_log = logging.getLogger(__name__)


@cache
def core() -> "openvino.Core":
    """OpenVINO's entry, once for a process."""
    from avel.runtimes import openvino

    return openvino.Core()


@cache
def openvino_version() -> str:
    """As its package says."""
    return importlib.metadata.version("openvino")


@dataclass(frozen=True)
class Traits:
    """What is known of a compiled network before it is read.

    Attributes:
        arithmetic: of its floating-point numbers.
        quantized: whether it computes in 8 bits.
        input_shape: of its only input.
        input_type: as NumPy calls it.
        outputs: shape and type of each.
    """

    arithmetic: Arithmetic
    quantized: bool
    input_shape: tuple[int, ...]
    input_type: str
    outputs: tuple[tuple[tuple[int, ...], str], ...]

    @classmethod
    def of(cls, model: "openvino.CompiledModel", arithmetic: Arithmetic, quantized: bool) -> Self:
        """What a compiled network says itself."""
        (source,) = model.inputs
        outputs = tuple((tuple(o.shape), np.dtype(o.get_element_type().to_dtype()).name) for o in model.outputs)
        type_name = np.dtype(source.get_element_type().to_dtype()).name
        return cls(arithmetic, quantized, tuple(source.shape), type_name, outputs)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `dataclasses.asdict` made, as JSON gives it back."""
        outputs = tuple((tuple(shape), type_name) for shape, type_name in data["outputs"])
        return cls(**{**data, "input_shape": tuple(data["input_shape"]), "outputs": outputs})


class CompiledNetwork:
    """A network on this processor: from the cache, where it is in it, when it is first asked for; else made at once.

    Args:
        make: gives the graph.
        key: see `Key`.
        wants_half: to compute in float16 where the processor has it. bfloat16, which OpenVINO would choose on many
            processors, is never used.
        settings: of OpenVINO, such as the number of threads, which change nothing of what is computed.

    Attributes:
        traits: see there.
    """

    traits: Traits

    def __init__(
        self, make: "Callable[[], openvino.Model]", key: Key, *, wants_half: bool, settings: Mapping[str, str]
    ) -> None:
        has_half = "FP16" in core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self._make, self._settings = make, dict(settings)
        self._arithmetic: Arithmetic = "f16" if wants_half and has_half else "f32"
        self._digest = _digest((*key, *_machine(), self._arithmetic))
        self._folder = weights.cache_folder().parent / "compiled" / f"{key[0]}-{self._digest[:16]}"
        self._lock = threading.Lock()
        self._model: openvino.CompiledModel | None = None
        self._content: npt.NDArray[np.uint8] | None = None  # what the model is read from lives as long as the model
        found = self._described()
        if found is None:
            self.traits, self._model = self._compiled()
        else:
            self.traits = found

    @property
    def model(self) -> "openvino.CompiledModel":
        """The network, ready to run."""
        with self._lock:
            if self._model is None:
                self._model = self._read()
            if self._model is None:
                self.traits, self._model = self._compiled()
            return self._model

    def _described(self) -> Traits | None:
        """What the cache's entry says of itself; ``None`` without an entry for this network."""
        try:
            about = parse_json((self._folder / _ABOUT).read_text("utf-8"))
            if about["network"] != self._digest:
                raise ValueError("it is another network's")
            if (self._folder / _MODEL).stat().st_size != about["bytes"]:
                raise ValueError("it is not whole")
            self._content_digest = str(about["content"])
            return Traits.from_dict(about["traits"])
        except FileNotFoundError:
            if self._folder.exists():
                self._throw_away(ValueError("a part of it is missing"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._throw_away(error)
        return None

    def _read(self) -> "openvino.CompiledModel | None":
        from avel.runtimes import openvino

        try:
            with (self._folder / _MODEL).open("rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            content = np.frombuffer(mapped, np.uint8)
            if hashlib.sha256(content.data).hexdigest() != self._content_digest:
                raise ValueError("its content has changed")
            model = core().import_model(openvino.Tensor(content), "CPU", self._all_settings)
        except (OSError, ValueError, RuntimeError) as error:
            self._throw_away(error)
            return None
        self._content = content
        used(self._folder)
        if hasattr(mapped, "madvise"):  # weights have been laid out anew, and what is not is read again where needed
            mapped.madvise(mmap.MADV_DONTNEED)
        return model

    def _throw_away(self, error: Exception) -> None:
        _log.warning("%s cannot be used and is made again: %s", self._folder, error)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _all_settings(self) -> dict[str, str]:
        return {**self._settings, "INFERENCE_PRECISION_HINT": self._arithmetic}

    def _compiled(self) -> "tuple[Traits, openvino.CompiledModel]":
        graph = self._make()
        model = core().compile_model(graph, "CPU", self._all_settings)
        # The hint is only a hint: a processor without float16 answers with bfloat16.
        if model.get_property("INFERENCE_PRECISION_HINT").to_string() != self._arithmetic:
            self._arithmetic = "f32"
            model = core().compile_model(graph, "CPU", self._all_settings)
        quantized = any(operation.get_type_name() == "FakeQuantize" for operation in graph.get_ops())
        traits = Traits.of(model, self._arithmetic, quantized)
        content = model.export_model()
        content = content if isinstance(content, bytes) else content.getvalue()
        self._content_digest = hashlib.sha256(content).hexdigest()
        about = {
            "network": self._digest,
            "bytes": len(content),
            "content": self._content_digest,
            "traits": asdict(traits),
        }
        try:
            with new_folder(self._folder) as temporary:
                (temporary / _MODEL).write_bytes(content)
                (temporary / _ABOUT).write_text(json.dumps(about, indent=1), "utf-8")
        except OutputError as error:
            _log.info("%s is not kept: %s", self._folder, error)
            return traits, model
        tidy(self._folder.parent)
        return traits, self._read() or model  # what later starts will run, to the last bit


@cache
def _machine() -> Key:
    """What a compiled network depends on beside itself."""
    return (
        *(__version__, openvino_version(), platform.machine()),
        *(core().get_property("CPU", name) for name in ("FULL_DEVICE_NAME",)),
        *sorted(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")),
        *(os.environ.get(name, "") for name in _INSTRUCTION_LIMITS),
        Path(__file__).read_text("utf-8"),
    )


def _digest(parts: Key) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def cached_graph(key: Key, make: "Callable[[], openvino.Model]") -> "openvino.Model":
    """The graph that `make` gives, kept in the cache for the next time where the cache can be written."""
    from avel.runtimes import openvino

    folder = weights.cache_folder().parent / "graphs" / f"{key[0]}-{_digest((openvino_version(), *key))[:16]}"
    if (folder / "graph.xml").exists():
        try:
            used(folder)
            return core().read_model(folder / "graph.xml")
        except RuntimeError as error:
            _log.warning("%s cannot be read and is made again: %s", folder, error)
            shutil.rmtree(folder, ignore_errors=True)
    model = make()
    try:
        with new_folder(folder) as temporary:
            openvino.save_model(model, temporary / "graph.xml", compress_to_fp16=False)
        tidy(folder.parent)
        return core().read_model(folder / "graph.xml")
    except (OutputError, RuntimeError) as error:
        _log.info("%s is not kept: %s", folder, error)
        return model
