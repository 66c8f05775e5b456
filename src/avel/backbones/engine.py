"""Run a frozen network: OpenVINO on CPUs, PyTorch on CUDA or on request.

A network is made ready for OpenVINO once and kept in the cache folder (`avel.backbones.compilation`), so that later
starts read it when it is first asked for, and import neither PyTorch nor NNCF.

What a precision means:

- ``float32``: every engine within a relative L2 error of 1e-4 of the others.
- ``float16``: within 1e-3 of float32. Arithmetic is float16 only where the processor has it, else float32; bfloat16,
  which OpenVINO would choose on many processors, is 10 times further away and never used. `Network.record` says
  what is used.
- ``int8``: 8-bit weights and activations, quantized after training with calibration data; each network says what that
  costs it. Networks that bring no calibration data run as ``float16``.
"""

import ctypes
import inspect
import io
import json
import logging
import os
import re
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from avel.backbones.batching import for_several
from avel.backbones.compilation import CompiledNetwork, Key, cached_graph, core, openvino_version
from avel.backbones.operations import FrozenNetwork
from avel.backbones.quantization import to_floating_point
from avel.errors import ModelError, WeightsError, training_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from avel.runtimes import openvino

Array = npt.NDArray[Any]
DEVICES = ("auto", "cpu", "cuda", "torch-cpu")
PRECISIONS = ("float32", "float16", "int8")

# More streams than this gain nothing over more threads in each, and every stream holds a copy of the activations.
_MAX_STREAMS = 8
_TORCH_BATCH = 16

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EngineOptions:
    """How networks are run.

    Attributes:
        device: ``cpu`` is OpenVINO, ``cuda`` and ``torch-cpu`` are PyTorch, ``auto`` is ``cuda`` where there is one
            (and the precision is not ``int8``), else ``cpu``.
        precision: see this module's page.
        threads: how many a CPU engine may use; all that this process may run on when ``None``. With ``torch-cpu`` this
            sets the number for the whole process.

    Raises:
        ValueError: if a value is not one of these, or ``int8`` is asked of PyTorch.
    """

    device: str = "auto"
    precision: str = "float16"
    threads: int | None = None

    def __post_init__(self) -> None:
        if self.device not in DEVICES:
            raise ValueError(f"device must be one of {', '.join(DEVICES)}; got {self.device!r}.")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}.")
        if self.threads is not None and self.threads < 1:
            raise ValueError(f"threads must be 1 or more, got {self.threads}.")
        if self.precision == "int8" and self.device in ("cuda", "torch-cpu"):
            raise ValueError(f"precision 'int8' runs only on device 'cpu' (OpenVINO), not on {self.device!r}.")


@dataclass(frozen=True)
class Calibration:
    """Data that shows a network's usual activations, to choose the ranges of 8-bit numbers.

    Attributes:
        digest: changes whenever the items do.
        items: gives the items, each with the shape and dtype of one item of a batch.
        prepare: gives a module that computes the same and loses less to 8 bits.
        prepared: what `prepare` does, in a few words; changes whenever it does.
        keep_float: paths within the module, such as ``"layers.0"``, of layers that are not quantized.
        outliers: share of an item's activations in a layer that may be beyond the greatest 8-bit number, from 0 to 1.
    """

    digest: str
    items: Callable[[], Iterable[Array]]
    prepare: "Callable[[torch.nn.Module], torch.nn.Module] | None" = None
    prepared: str = ""
    keep_float: tuple[str, ...] = ()
    outliers: float = 0.0

    @property
    def record(self) -> dict[str, Any]:
        """What has to be known to quantize alike again."""
        return {
            "calibration": self.digest,
            "keep_float": list(self.keep_float),
            **({"prepared": self.prepared} if self.prepared else {}),
            **({"outliers": self.outliers} if self.outliers else {}),
        }


class Network(ABC):
    """A network that is ready to run, in any number of threads: one after the other, as each uses all cores.

    Attributes:
        record: ``name``, ``digest`` of its weights, ``engine`` and its ``engine_version``, ``device``, and the
            ``precision`` that is really used; what is quantized here also has its ``quantization``.
    """

    def __init__(self, item_shape: tuple[int, ...], dtype: npt.DTypeLike, record: dict[str, Any]) -> None:
        self._item_shape = item_shape
        self._dtype = np.dtype(dtype)
        self._lock = threading.Lock()
        self.record = record

    def __call__(self, batch: Array) -> tuple[Array, ...]:
        """Outputs for a batch of any size.

        Args:
            batch: (N, ...), of the shape and dtype that the network was made for; N >= 0.

        Returns:
            Each output, (N, ...) float32 (or an integer type where the network gives one).

        Raises:
            ValueError: if the batch has another shape or dtype.
            ModelError: if float16 is too small for this network's numbers.
        """
        if batch.shape[1:] != self._item_shape or batch.dtype != self._dtype:
            raise ValueError(
                f"{self.record['name']} takes a batch of {self._dtype} of shape (N, {_comma(self._item_shape)}); "
                f"got {batch.dtype} of shape ({_comma(batch.shape)})."
            )
        with self._lock:
            outputs = self._run(np.ascontiguousarray(batch))
        if self.record["precision"] == "float16" and not all(np.isfinite(output).all() for output in outputs):
            raise ModelError(
                f"{self.record['name']} gave numbers that float16 cannot hold (above 65504). Use precision 'float32'."
            )
        return outputs

    @abstractmethod
    def _run(self, batch: Array) -> tuple[Array, ...]: ...


def from_frozen(
    network: FrozenNetwork,
    *,
    name: str,
    digest: str,
    options: EngineOptions,
    items_at_once: int = _MAX_STREAMS,
    items_together: int = 1,
) -> Network:
    """A network that is written for every engine; on OpenVINO it needs no PyTorch.

    Precision ``int8`` runs as ``float16``.

    Args:
        network: what it computes. Its weights are asked for only when no converted graph is in the cache.
        name: for records, messages and the cache.
        digest: of the weights. The cache knows a network by it, by `name`, and by the source files of `network` and of
            its operations.
        options: device, precision, threads.
        items_at_once: how many are run at the same time, each with its share of the threads and memory of its own.
        items_together: how many items a CPU runs as one; see `avel.backbones.batching`.

    Raises:
        ModelError: if CUDA is asked for where there is none.
    """
    device = _torch_device(options)
    if device is not None:
        return _TorchNetwork(
            lambda: _frozen_module(network), device, network.item_shape, network.dtype, name, digest, options
        )

    def make() -> "openvino.Model":
        from avel.backbones.openvino_operations import graph

        return graph(network, name)

    sources: tuple[Callable[..., Any], ...] = (network.define, network.tensors, FrozenNetwork)
    code = [*map(_source_text, sources), Path(__file__).with_name("openvino_operations.py").read_text("utf-8")]
    key = (name, digest, str(network.item_shape), *code)
    return _OpenVinoNetwork(make, key, options, items_at_once=items_at_once, items_together=items_together)


def _frozen_module(network: FrozenNetwork) -> "torch.nn.Module":
    from avel.backbones.torch_operations import FrozenModule

    return FrozenModule(network)


def from_torch(
    make_module: "Callable[[], torch.nn.Module]",
    item_shape: tuple[int, ...],
    *,
    name: str,
    digest: str,
    options: EngineOptions,
    dtype: npt.DTypeLike = np.uint8,
    calibration: Calibration | None = None,
) -> Network:
    """A network that is written in PyTorch.

    Args:
        make_module: gives the module with its weights. Called only when no converted graph is in the cache, so it, and
            not its caller, should import PyTorch and load weights. The module takes one tensor (N, *item_shape),
            gives one tensor or several, (N, ...) each, and turns integers into its parameters' dtype by itself;
            floating point input comes in that dtype.
        item_shape: shape of one item, without N.
        name: for records, messages and the cache.
        digest: of the weights. The cache knows a network by it, by `name`, and by the source file of `make_module` with
            the one beside it that is called alike and ``_network``, where there is one.
        options: device, precision, threads.
        dtype: of the batches.
        calibration: for ``int8``.

    Raises:
        ModelError: if CUDA is asked for where there is none, or ``int8`` without NNCF.
    """
    device = _torch_device(options)
    if device is not None:
        return _TorchNetwork(make_module, device, item_shape, dtype, name, digest, options)

    key: Key = (name, digest, str(item_shape), str(np.dtype(dtype)), _source_text(make_module))
    quantization = None
    make = partial(_convert, make_module, item_shape, dtype, name)
    if options.precision == "int8" and calibration is not None:
        quantization = calibration.record
        key = (*key, "int8", json.dumps(quantization))
        make = partial(_quantized, make_module, item_shape, dtype, name, calibration)
    return _OpenVinoNetwork(lambda: cached_graph(key, make), key, options, quantization)


def from_file(
    path: Path,
    *,
    name: str,
    digest: str,
    options: EngineOptions,
    outputs: "Sequence[str] | Callable[[openvino.Model], Sequence[openvino.Output]] | None" = None,
    in_float: bool = False,
    cut_at: str | None = None,
    items_together: int = 1,
) -> Network:
    """A network in a TensorFlow Lite or ONNX file, on OpenVINO, whatever device is asked for.

    An input or output whose first axis is 1 is taken as one item of a batch; one without such an axis (YAMNet's
    waveform) is an item as it is.

    Args:
        path: the file.
        name: for records and messages.
        digest: of the file.
        options: precision and threads. A file that holds a quantized network is run as such whatever the
            precision, and one that does not is run as ``float16`` where ``int8`` is asked for.
        outputs: names of the tensors that are wanted, inner ones too, or a function that finds them; the file's own
            outputs when ``None``.
        in_float: run a network that holds 8-bit numbers in ``float32`` whatever the precision, so that all processors
            agree.
        cut_at: name of an inner tensor that the network is given instead of its input; what makes it is not run.
        items_together: as of `from_frozen`.

    Raises:
        ValueError: if the network has no tensor of that name.
    """
    if in_float:
        options = replace(options, precision="float32")

    def make() -> "openvino.Model":
        model = core().read_model(path)
        if in_float:
            to_floating_point(model)
        return _part(model, outputs, cut_at, path, name)

    wanted = (_source_text(outputs),) if callable(outputs) else tuple(outputs or ())
    code = _source_text(to_floating_point) if in_float else ""
    key = (name, digest, str(cut_at), *wanted, code, _source_text(_part))
    return _OpenVinoNetwork(make, key, options, items_together=items_together)


def _part(
    model: "openvino.Model",
    outputs: "Sequence[str] | Callable[[openvino.Model], Sequence[openvino.Output]] | None",
    cut_at: str | None,
    path: Path,
    name: str,
) -> "openvino.Model":
    """What `from_file` is asked for of a file's network."""
    from avel.runtimes import openvino

    wanted = model.outputs
    if outputs is not None:
        wanted = list(outputs(model) if callable(outputs) else [tensor(model, one, path) for one in outputs])
    inputs = model.get_parameters()
    if cut_at is not None:
        inner = tensor(model, cut_at, path)
        given = openvino.opset13.parameter(inner.get_partial_shape(), inner.get_element_type())
        for user in inner.get_target_inputs():
            user.replace_source_output(given.output(0))
        inputs = [given]
    return model if outputs is None and cut_at is None else openvino.Model(wanted, inputs, name)


def from_graph(
    make_graph: "Callable[[], openvino.Model]",
    *,
    name: str,
    digest: str,
    options: EngineOptions,
    items_together: int = 1,
) -> Network:
    """A network that is made as a graph of OpenVINO, on OpenVINO, whatever device is asked for.

    Args:
        make_graph: gives the graph, for one item with a first axis of 1. Called only when it is not in the cache.
        name: for records, messages and the cache.
        digest: of the weights. The cache knows a network by it, by `name`, and by the source file of `make_graph`.
        options: precision and threads.
        items_together: as of `from_frozen`.
    """
    key = (name, digest, _source_text(make_graph))
    return _OpenVinoNetwork(make_graph, key, options, items_together=items_together)


def read_network(path: Path, name: str) -> "openvino.Model":
    """The graph in an ONNX file of somebody else's.

    Raises:
        WeightsError: if it cannot be read.
    """
    try:
        return core().read_model(path)
    except RuntimeError as error:
        reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), "")
        raise WeightsError(f"{path}, of the network {name!r}, cannot be read as ONNX: {reason.strip()}") from error


def tensor(model: "openvino.Model", name: str, path: Path) -> "openvino.Output":
    """A tensor of a network by its name, an inner one too.

    Raises:
        ValueError: if the network has no tensor of that name.
    """
    for operation in model.get_ops():
        for output in operation.outputs():
            if name in output.get_names():
                # What makes an output has no name where it was put there in another's place.
                return operation.input_value(0) if operation.get_type_name() == "Result" else output
    raise ValueError(f"{path} has no tensor called {name!r}.")


class _OpenVinoNetwork(Network):
    """One request for each item, several at a time.

    As fast per image as one large batch (VGG-19: 175 ms of CPU time for 1 as for 16), takes any N without padding, and
    also runs graphs that are made for one item. Small networks are faster with a few items in each request, the last of
    which is filled up with zeros.
    """

    def __init__(
        self,
        make: "Callable[[], openvino.Model]",
        key: Key,
        options: EngineOptions,
        quantization: Mapping[str, Any] | None = None,
        *,
        items_at_once: int = _MAX_STREAMS,
        items_together: int = 1,
    ) -> None:
        self._together = items_together
        self._requests = min(options.threads or usable_cores(), items_at_once)
        settings = {
            "INFERENCE_NUM_THREADS": str(options.threads or usable_cores()),
            "NUM_STREAMS": str(self._requests),
            "ENABLE_CPU_PINNING": "NO",  # else two processes share one core and leave the other idle
        }
        make_all = make if items_together == 1 else lambda: for_several(make(), items_together)
        all_key = key if items_together == 1 else (*key, str(items_together), _source_text(for_several))
        self._compiled = CompiledNetwork(
            make_all, all_key, wants_half=options.precision != "float32", settings=settings
        )
        traits = self._compiled.traits
        self._input_shape = traits.input_shape
        self._outputs = [(self._item(shape), np.dtype(dtype)) for shape, dtype in traits.outputs]
        self._queue: openvino.AsyncInferQueue | None = None
        name, digest, *_ = key
        super().__init__(
            self._item(traits.input_shape),
            traits.input_type,
            {
                "name": name,
                "digest": digest,
                "engine": "openvino",
                "engine_version": openvino_version(),
                "device": "cpu",
                "precision": "int8" if traits.quantized else {"f16": "float16", "f32": "float32"}[traits.arithmetic],
                **({} if quantization is None else {"quantization": dict(quantization)}),
            },
        )

    def _run(self, batch: Array) -> tuple[Array, ...]:
        results = tuple(np.empty((len(batch), *shape), dtype) for shape, dtype in self._outputs)

        def keep(request: "openvino.InferRequest", start: int) -> None:
            for number, result in enumerate(results):
                items = request.get_output_tensor(number).data.reshape(-1, *result.shape[1:])
                result[start : start + len(items)] = items[: len(result) - start]

        if self._queue is None:
            from avel.runtimes import openvino

            self._queue = openvino.AsyncInferQueue(self._compiled.model, self._requests)
        self._queue.set_callback(keep)
        missing = -len(batch) % self._together
        if missing:
            batch = np.concatenate([batch, np.zeros((missing, *batch.shape[1:]), batch.dtype)])
        for start in range(0, len(batch), self._together):
            items = batch[start : start + self._together]
            self._queue.start_async(items.reshape(self._input_shape), start, share_inputs=True)
        self._queue.wait_all()
        return results

    def _item(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of one item, from the shape of an input or output of the graph."""
        return (shape[1:] or (1,)) if shape[:1] == (self._together,) else shape


class _TorchNetwork(Network):
    def __init__(
        self,
        make_module: "Callable[[], torch.nn.Module]",
        device: Literal["cuda", "cpu"],
        item_shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        name: str,
        digest: str,
        options: EngineOptions,
    ) -> None:
        with training_packages(f"Running {name} on the device {options.device}"):
            import torch

        if device == "cpu" and options.threads is not None:
            torch.set_num_threads(options.threads)
        half = options.precision == "float16" and (device == "cuda" or _torch_cpu_has_float16())
        self._device, self._float = device, torch.float16 if half else torch.float32
        self._module = make_module().eval().requires_grad_(False).to(device, self._float)
        for tensor in (*self._module.parameters(), *self._module.buffers()):
            if tensor.dim() == 4:
                tensor.data = tensor.contiguous(memory_format=torch.channels_last)
        super().__init__(
            item_shape,
            dtype,
            {
                "name": name,
                "digest": digest,
                "engine": "torch",
                "engine_version": torch.__version__,
                "device": device,
                "precision": "float16" if half else "float32",
            },
        )

    def _run(self, batch: Array) -> tuple[Array, ...]:
        import torch

        parts = []
        # TensorFloat-32 is cuDNN's default for float32 and as coarse as float16.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for start in range(0, max(len(batch), 1), _TORCH_BATCH):
                items = torch.from_numpy(batch[start : start + _TORCH_BATCH]).to(self._device)
                given = self._module(items.to(self._float) if items.is_floating_point() else items)
                outputs = given if isinstance(given, tuple) else (given,)
                parts.append([(o.float() if o.is_floating_point() else o).cpu().numpy() for o in outputs])
        return tuple(np.concatenate(output) for output in zip(*parts, strict=True))


def _source_text(function: Callable[..., Any]) -> str:
    """Text of the files that define `function` and its network: a change there may change the graph."""
    while isinstance(function, partial):
        function = function.func
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(function)) or "")
        network = file.with_name(f"{file.stem}_network.py")
        return "".join(source.read_text("utf-8") for source in (file, network) if source.exists())
    except (OSError, TypeError):  # not from a file
        return ""


def _torch_device(options: EngineOptions) -> Literal["cuda", "cpu"] | None:
    """Where PyTorch is to run a network; ``None`` where OpenVINO is to run it."""
    if options.device == "cuda" and not _has_cuda():
        raise ModelError(
            "Device 'cuda' was asked for, but PyTorch finds no CUDA device here. Use device 'cpu', or install the "
            "NVIDIA driver and a build of PyTorch with CUDA."
        )
    if options.device == "cuda" or (options.device == "auto" and options.precision != "int8" and _has_cuda()):
        return "cuda"
    return "cpu" if options.device == "torch-cpu" else None


@cache
def _has_cuda() -> bool:
    try:  # importing PyTorch takes a second, which machines without the driver need not wait
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    import torch

    return torch.cuda.is_available()


def _torch_cpu_has_float16() -> bool:
    """Without the instructions PyTorch computes float16 many times slower than float32."""
    import torch

    return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())


def usable_cores() -> int:
    """How many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _convert(
    make_module: "Callable[[], torch.nn.Module]", item_shape: tuple[int, ...], dtype: npt.DTypeLike, name: str
) -> "openvino.Model":
    """OpenVINO's graph of a module for one item.

    The front end is called directly because ``openvino.convert_model`` wants to report each use to its maker.
    """
    with training_packages(f"The network {name}"):
        import torch

    from avel.runtimes import openvino, pytorch_decoder

    module = make_module()
    example = torch.from_numpy(np.zeros((1, *item_shape), dtype))
    front_end = openvino.frontend.FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r".*torch\.jit\.trace", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit._trace.TracerWarning)  # sizes become constants; they are fixed here
        decoder = pytorch_decoder()(module.eval(), example_input=(example,))
    model = front_end.convert(front_end.load(decoder))
    model.reshape([1, *item_shape])
    return model


def _quantized(
    make_module: "Callable[[], torch.nn.Module]",
    item_shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    name: str,
    calibration: Calibration,
) -> "openvino.Model":
    from avel import runtimes

    with _quiet_nncf():
        try:
            nncf = runtimes.nncf()
        except ModuleNotFoundError as error:
            raise ModelError(
                f"Precision 'int8' of {name} needs the package NNCF. Run: pip install 'avel[int8]'"
            ) from error

        def make_prepared() -> "torch.nn.Module":
            module = make_module()
            return calibration.prepare(module) if calibration.prepare else module

        model = _convert(make_prepared, item_shape, dtype, name)
        items = [item[np.newaxis] for item in calibration.items()]
        patterns = [rf"__module\.{re.escape(path)}/.*" for path in calibration.keep_float]
        estimators = nncf.quantization.range_estimator
        # NNCF's own choice, the mean of the items' greatest values, cuts off what is rare and large.
        ranges = estimators.RangeEstimatorParametersSet.MINMAX
        if calibration.outliers:
            ranges = estimators.RangeEstimatorParameters(
                min=ranges.min,
                max=estimators.StatisticsCollectorParameters(
                    statistics_type=estimators.StatisticsType.QUANTILE,
                    aggregator_type=estimators.AggregatorType.MAX,
                    quantile_outlier_prob=calibration.outliers,
                ),
            )
        return nncf.quantize(
            model,
            nncf.Dataset(items),
            subset_size=len(items),
            ignored_scope=nncf.IgnoredScope(patterns=patterns),
            advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=ranges),
        )


@contextmanager
def _quiet_nncf() -> "Iterator[None]":
    """No messages on the terminal."""
    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()):  # its progress bars
            yield
    finally:
        logger.setLevel(level)


def _comma(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
