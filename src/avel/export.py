"""A trained model for other runtimes: ONNX, and OpenVINO's intermediate representation (IR).

A file takes B videos of T segments and gives float32, as `avel.models.base.LocalizationModel` does. Both numbers are
free, but for models that step through the segments one by one or cut them into windows (CMAN, JCA, and ED-TCN with five
layers or more): their T is that of the training, and shorter videos are padded.

==========  =======================  ==========================================================================
input       ``visual``               (B, T, R, D_v) float32, features of regions; only if the model looks at it
input       ``audio``                (B, T, D_a) float32, features of the sound; only if the model looks at it
input       ``valid``                (B, T) bool, False where a segment is only padding
output      ``logits``               (B, T, C), the last class is background
outputs     ``spatial_attention``... what else the model shows, see `avel.models.base.ModelOutput`
==========  =======================  ==========================================================================

What it was trained on travels in the file under `KEYS`, each as JSON text: ONNX keeps it in ``metadata_props``, an IR
in its runtime information under ``avel``.
"""

import contextlib
import importlib.util
import json
import logging
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from avel.errors import ModelError
from avel.files import write_bytes
from avel.models import registry
from avel.models.base import LocalizationModel, shown_by
from avel.training import checkpoint

if TYPE_CHECKING:
    from avel.training.checkpoint import CheckpointInfo

OPSET = 20
"""Of the ONNX file; the first with all that the models need is 18, and 20 is understood by runtimes since 2023."""

TOLERANCE = 1e-4
"""Largest difference to PyTorch: of each number, divided by 1 plus its size."""

KEYS = ("avel", "categories", "segment_seconds", "num_segments", "thresholds", "features")
"""What a file says of itself: ``avel`` is all that the checkpoint says, the others are parts of it for easy reading."""

SHAPES = ((1, 1), (1, 10), (3, 7), (2, 23))
"""B and T that an exported file is compared with PyTorch at, with all segments valid and with holes."""

SCALES = (1.0, 10.0, 100.0)
"""How many times the size of real features those are that an exported file is compared with PyTorch on."""

_ROUNDING = 2.0**-22
"""Two bits of a float32: inputs moved by so much are the same to every runtime."""

_ANY_SIZE = 1 << 40

_AXES = ("videos", "segments")

Runtime = Callable[[Mapping[str, npt.NDArray[Any]]], Mapping[str, npt.NDArray[Any]]]


@dataclass(frozen=True)
class ExportedModel:
    """What was written.

    Attributes:
        paths: the file, or of an IR both files.
        inputs: names.
        outputs: names.
        segments: T that the file takes; ``None`` for any.
        difference: the largest one to PyTorch that was found, at most `TOLERANCE`.
    """

    paths: tuple[Path, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    segments: int | None
    difference: float


def export(path: str | Path, output: str | Path) -> ExportedModel:
    """Write a checkpoint's model as ONNX or OpenVINO IR, after the runtime's answers were compared with PyTorch's.

    Args:
        path: of the checkpoint.
        output: ``.onnx``; or ``.xml``, beside which the weights are written as ``.bin``.

    Raises:
        ValueError: if ``output`` ends otherwise.
        ModelError: if the checkpoint cannot be read, the model cannot be exported, the packages of ``avel[export]`` are
            missing, or the file does not compute what PyTorch does; nothing is written then.
        OutputError: if it cannot be written.
    """
    output = Path(output)
    suffix = output.suffix.lower()
    if suffix not in (".onnx", ".xml"):
        raise ValueError(f"{output}: a model is exported as .onnx (ONNX) or .xml (OpenVINO IR).")
    _need_packages()
    model, info = checkpoint.load(path)
    graph = _Graph(model, info).eval()
    with tempfile.TemporaryDirectory(prefix="avel-") as folder, _quiet():
        written, difference = _written(graph, info, Path(folder) / f"model{suffix}", str(path))
        targets = [(written, output)]
        if suffix == ".xml":
            targets.insert(0, (written.with_suffix(".bin"), output.with_suffix(".bin")))
        for source, target in targets:
            write_bytes(target, source.read_bytes())
    return ExportedModel(
        tuple(target for _, target in reversed(targets)), graph.inputs, graph.outputs, graph.segments, difference
    )


def metadata(info: "CheckpointInfo") -> dict[str, str]:
    """What stands under `KEYS`."""
    values = {
        "categories": list(info.categories),
        "segment_seconds": info.segment_seconds,
        "num_segments": info.num_segments,
        "thresholds": list(info.thresholds),
        "features": info.features.to_dict(),
    }
    return {"avel": info.to_json(), **{name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}}


class _Graph(nn.Module):
    """A model from named inputs to named outputs, those that the file has."""

    def __init__(self, model: LocalizationModel, info: "CheckpointInfo") -> None:
        super().__init__()
        self.model = model
        self.dims = info.dims
        looks_at = registry.modalities_of(info.model, info.options)
        self.inputs = (*(name for name in ("visual", "audio") if name in looks_at), "valid")
        self.segments: int | None = None
        self.outputs = ("logits", *shown_by(model, info.dims))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        output = self.model(*self._all(inputs))
        return (output.logits, *(output.shown[name].float() for name in self.outputs[1:]))

    def example(self, videos: int, segments: int, *, scale: float = 1.0, holes: bool = False) -> tuple[Tensor, ...]:
        """Inputs drawn at random: most features are 0 and few are large, as after a ReLU.

        Of scale 1 they are as large as AVE's published ones: VGG-19's have a mean of 2 and go up to some hundreds, the
        sound's have a mean of 0.1 to 0.3.
        """
        random = torch.Generator().manual_seed(0)
        draw = partial(torch.randn, generator=random)
        drawn = {
            "visual": 25 * (draw(videos, segments, self.dims.regions, self.dims.visual_dims) - 1).relu(),
            "audio": 0.5 * draw(videos, segments, self.dims.audio_dims).relu(),
        }
        valid = torch.rand(videos, segments, generator=random) > (0.4 if holes else -1.0)
        return (*(scale * drawn[name] for name in self.inputs[:-1]), valid)

    def _all(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, Tensor]:
        given = dict(zip(self.inputs, inputs, strict=True))
        valid = given["valid"]
        # A modality that the model does not look at is no input; PyTorch's model takes anything of the right shape.
        visual = given.get("visual", torch.zeros(*valid.shape, self.dims.regions, self.dims.visual_dims))
        return visual, given.get("audio", torch.zeros(*valid.shape, self.dims.audio_dims)), valid


def _need_packages() -> None:
    for name in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise ModelError(f"Exporting needs the package {name}. Run: pip install 'avel[export]'")


def _written(graph: _Graph, info: "CheckpointInfo", path: Path, where: str) -> tuple[Path, float]:
    """Write a file that computes what PyTorch does: of any number of segments, or else of the training's.

    Some models step through the segments one by one, or cut them into windows, which a graph does for one number only.
    """
    complaint, cause = "", None
    for graph.segments in (None, info.num_segments):
        try:
            _write_onnx(graph, info, path.with_suffix(".onnx"))
            if path.suffix == ".xml":
                _write_ir(path.with_suffix(".onnx"), info)
            run = _onnxruntime(path) if path.suffix == ".onnx" else _openvino(path, graph.outputs)
            differences = {scale: _largest_difference(graph, run, scale) for scale in SCALES}
        except Exception as error:  # a model can be anything, and so can what exporters and runtimes raise of it
            complaint, cause = f"cannot be exported: {_first_line(error)}", error
            continue
        wrong = {scale: found for scale, found in differences.items() if not found <= TOLERANCE}  # also NaN
        if not wrong:
            return path, max(differences.values())
        scale, difference = next(iter(wrong.items()))
        complaint, cause = (
            f"computes something else once exported: a difference of {difference:.1e} on features {scale:g} times as "
            f"large as real ones, allowed is {TOLERANCE:.0e}",
            None,
        )
    raise ModelError(
        f"{where}: its model '{info.model}' {complaint}. `avel models` lists others; avel itself runs it all the same."
    ) from cause


def _write_onnx(graph: _Graph, info: "CheckpointInfo", path: Path) -> None:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass
    from onnxscript.optimizer import fold_constants

    axes = dict(zip((0,) if graph.segments else (0, 1), map(torch.export.Dim, _AXES), strict=False))
    with torch.no_grad():
        # Not by torch.onnx.export alone: where this fails, it goes on by other means to a model of the example's size.
        captured = torch.export.export(
            graph,
            graph.example(3, graph.segments or 10),
            dynamic_shapes=(tuple(axes for _ in graph.inputs),),
            strict=False,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(
            captured,
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=graph.inputs,
            output_names=graph.outputs,
        )
    assert program is not None
    sizes = program.model.graph.inputs[-1].shape or ()
    program.rename_axes({size: name for size, name in zip(sizes, _AXES, strict=True) if not isinstance(size, int)})
    # The weights of recurrent layers in the runtime's order, which tools that make them 8-bit look for as constants.
    fold_constants(program.model, input_size_limit=_ANY_SIZE, output_size_limit=_ANY_SIZE)
    RemoveUnusedNodesPass()(program.model)
    ClearMetadataAndDocStringPass()(program.model)  # where each line of code lies on this machine
    program.model.metadata_props.update(metadata(info))
    program.save(path)


def _write_ir(onnx_file: Path, info: "CheckpointInfo") -> None:
    from avel.runtimes import openvino

    model = openvino.convert_model(onnx_file)
    for name, value in metadata(info).items():
        model.set_rt_info(value, ["avel", name])
    openvino.save_model(model, onnx_file.with_suffix(".xml"), compress_to_fp16=False)


def _onnxruntime(path: Path) -> Runtime:
    from avel import runtimes

    onnxruntime = runtimes.onnxruntime()

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it cannot compute, it raises
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _openvino(path: Path, outputs: tuple[str, ...]) -> Runtime:
    from avel.runtimes import openvino

    # Some processors would compute in bfloat16 otherwise, which says nothing of the file.
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(inputs: Mapping[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        found = compiled(dict(inputs))
        return {name: found[name] for name in outputs}

    return run


def _largest_difference(graph: _Graph, run: Runtime, scale: float) -> float:
    """The largest difference to PyTorch; infinite or NaN where shapes differ or a number is not finite.

    Of each number, divided by 1 plus its size, and less ten times as much as PyTorch's own moves when its inputs do by
    `_ROUNDING`: where features are huge, some models choose between what is nearly equal, so that rounding chooses.
    """
    largest = 0.0
    for videos, any_segments in SHAPES:
        segments = graph.segments or any_segments
        for holes in (False, True):
            inputs = graph.example(videos, segments, scale=scale, holes=holes)
            with torch.inference_mode():
                expected = graph(*inputs)
                moved = graph(*(x if x.dtype == torch.bool else x * (1 + _ROUNDING * _signs(x)) for x in inputs))
            found = run({name: tensor.numpy() for name, tensor in zip(graph.inputs, inputs, strict=True)})
            for name, one, other in zip(graph.outputs, expected, moved, strict=True):
                right, by_rounding = one.numpy(), np.abs((other - one).numpy()).max()
                if found[name].shape != right.shape:
                    return math.inf
                differences = (np.abs(found[name] - right) - 10 * by_rounding).clip(min=0) / (1 + np.abs(right))
                if not np.isfinite(differences).all():
                    return math.nan
                largest = max(largest, float(differences.max(initial=0.0)))
    return largest


def _signs(x: Tensor) -> Tensor:
    return torch.randint(2, x.shape, generator=torch.Generator().manual_seed(1)) * 2 - 1


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own notices, which tell nothing to a user."""
    names = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")
    before = {name: logging.getLogger(name).level for name in names}
    try:
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _first_line(error: Exception) -> str:
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return (lines[0] if lines else type(cause).__name__).rstrip(".")
