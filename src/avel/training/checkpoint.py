"""A trained model in one file: safetensors, with everything needed to use it as JSON in its head.

Nothing is unpickled. Sizes come from the file and are not believed: the model is first built without memory, its
tensors are compared with those of the file by name, type and shape, and only then is it built for good.
"""

import contextlib
import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

import torch
from safetensors.torch import save as serialize
from torch import Tensor

from avel.documents import parse_json
from avel.errors import AvelError, ModelError
from avel.files import SafetensorsError, open_safetensors, write_bytes
from avel.models import registry
from avel.models.base import LocalizationModel, TaskSpec
from avel.models.options import Dims
from avel.training.features import FeatureRecord
from avel.version import __version__

FORMAT = "avel checkpoint 1"
KEY = "avel"
CHECKPOINT_FILE = "checkpoint.safetensors"
"""In the folder of a run."""

MAX_CATEGORIES = 100_000
MAX_SEGMENTS = 100_000


def path_of(given: str | Path) -> Path:
    """The checkpoint that is meant by its path or by its run's folder; it need not be there."""
    path = Path(given)
    return path / CHECKPOINT_FILE if path.is_dir() else path


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of its model.

    Attributes:
        model: name in the registry.
        options: all of the model's options.
        dims: sizes of its input.
        categories: event categories in the order of the classes; background is the class after them.
        features: those it was trained on.
        settings: of the training (`avel.training.settings.TrainingSettings.to_dict`); empty for weights from elsewhere.
        metrics: what was measured, by split.
        notes: anything else that a person may want to know, such as the data and the epoch.
        num_segments: T of the windows that it was trained on.
        thresholds: of a multi-label model, one in (0, 1) a category, in their order: a segment holds every category
            whose score, sigmoid(logit of the category - logit of background), is at least its threshold. They were
            chosen on the validation split. Empty where classes exclude each other: a segment has the one with the
            largest logit.
        written_by: the version of avel that wrote it; empty of early ones, which did not say it.
    """

    model: str
    options: Mapping[str, Any]
    dims: Dims
    categories: tuple[str, ...]
    features: FeatureRecord
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    num_segments: int = 10
    thresholds: tuple[float, ...] = ()
    written_by: str = __version__

    @property
    def multi_label(self) -> bool:
        """Whether categories are scored independently, so that events of several may overlap."""
        return bool(self.thresholds)

    @property
    def spec(self) -> TaskSpec:
        """The task that the model was trained for."""
        kind: Literal["one-class", "multi-label"] = "multi-label" if self.multi_label else "one-class"
        return TaskSpec(self.categories, kind, "videos" if self.settings.get("task") == "weak" else "segments")

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        return self.features.segment_seconds

    def to_json(self) -> str:
        """As it stands in the file. Every option is named: one that is not means what it meant in earlier files."""
        options = dict(self.options)
        if self.model in registry.MODELS:
            options = registry.options_of(self.model, **options).model_dump()
        content = {
            "format": FORMAT,
            "written_by": self.written_by,
            "model": self.model,
            "options": options,
            "dims": self.dims.model_dump(),
            "categories": list(self.categories),
            "features": self.features.to_dict(),
            "num_segments": self.num_segments,
            "thresholds": list(self.thresholds),
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "notes": dict(self.notes),
        }
        return json.dumps(content, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` made.

        Raises:
            ValueError: if it is not that.
        """
        data = parse_json(text)
        try:
            version = data.setdefault("written_by", "")
            if data.pop("format") != FORMAT or not {field.name for field in dataclasses.fields(cls)} >= data.keys():
                raise _OtherFormatError(version)
            categories = data["categories"]
            if (
                not isinstance(categories, list)
                or not 1 <= len(categories) <= MAX_CATEGORIES
                or not all(isinstance(name, str) for name in categories)
                or len(set(categories)) < len(categories)
            ):
                raise ValueError("categories")
            dims = Dims(**data["dims"])
            if dims.num_categories != len(categories):
                raise ValueError(f"{len(categories)} categories for a model of {dims.num_categories}")
            num_segments = data.get("num_segments", 10)  # of AVE, in files that do not say it
            if type(num_segments) is not int or not 1 <= num_segments <= MAX_SEGMENTS:
                raise ValueError(f"windows of {num_segments!r} segments")
            thresholds = data.get("thresholds", [])
            if not isinstance(thresholds, list) or len(thresholds) not in (0, len(categories)):
                raise ValueError(f"thresholds that are not one for each of {len(categories)} categories")
            if not all(type(value) is float and 0 < value < 1 for value in thresholds):
                raise ValueError("thresholds that are not between 0 and 1")
            options = data["options"]
            if data["model"] in registry.MODELS:
                options = {**registry.MODELS[data["model"]].options.early, **options}
            known = {
                "options": options,
                "dims": dims,
                "categories": tuple(categories),
                "features": FeatureRecord.from_dict(data["features"]),
                "num_segments": num_segments,
                "thresholds": tuple(thresholds),
            }
            return cls(**{**data, **known})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(repr(error)) from error


class _OtherFormatError(ValueError):
    def __init__(self, version: Any) -> None:
        writer = f"avel {version[:20]}" if isinstance(version, str) and version else "another version of avel"
        super().__init__(
            f"was written by {writer}, in a format that this one, avel {__version__}, does not read. Install the avel "
            "that wrote it or a newer one, or train the model again."
        )


def save(path: str | Path, model: LocalizationModel, info: CheckpointInfo) -> None:
    """Write a model; the file appears when it is complete.

    Raises:
        OutputError: if it cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in model.state_dict().items()}
    write_bytes(Path(path), serialize(tensors, {KEY: info.to_json()}))


def read_info(path: str | Path) -> CheckpointInfo:
    """What a checkpoint says of its model, without reading the weights.

    Raises:
        ModelError: if it cannot be read or is something else.
    """
    path = Path(path)
    with open_file(path) as file:
        return _info(path, file.metadata())


def load(path: str | Path, *, device: str | torch.device = "cpu") -> tuple[LocalizationModel, CheckpointInfo]:
    """Read a model, ready for inference.

    Returns:
        The model in evaluation mode, and what its checkpoint says.

    Raises:
        ModelError: if the file cannot be read, is no checkpoint, names an unknown model or option, or does not hold
            that model's weights.
    """
    path = Path(path)
    with open_file(path) as file:
        info = _info(path, file.metadata())
        try:
            with torch.device("meta"):
                expected = registry.build(info.model, info.dims, **info.options).state_dict()
        except (AvelError, TypeError, ValueError) as error:
            raise ModelError(f"{path}: its model cannot be built: {error}") from error
        found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
        complaint = _differences(
            {name: (tuple(t.shape), _dtype_name(t)) for name, t in expected.items()},
            {name: (tuple(t.get_shape()), t.get_dtype()) for name, t in found.items()},
        )
        if complaint:
            raise ModelError(f"{path}: does not hold the weights of '{info.model}': {complaint}. Train it again.")
        state = {name: file.get_tensor(name) for name in found}
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ModelError(f"{path}: {broken[0]} holds NaN or infinite values. Train it again.")
    model = registry.build(info.model, info.dims, **info.options)
    model.load_state_dict(state)
    model.spec = info.spec
    return model.eval().to(device), info


def take_over(model: LocalizationModel, path: str | Path) -> tuple[str, ...]:
    """Start a model from another one's weights: those with the same name and shape.

    Returns:
        Names of the tensors that were taken.

    Raises:
        ModelError: if the checkpoint cannot be read, or nothing in it fits.
    """
    other, info = load(path)
    own = model.state_dict()
    fitting = {n: t for n, t in other.state_dict().items() if n in own and own[n].shape == t.shape}
    if not fitting:
        raise ModelError(f"{path}: none of the weights of '{info.model}' fits. Start from another checkpoint.")
    model.load_state_dict(fitting, strict=False)
    return tuple(fitting)


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[Any]:
    """A safetensors file that may be of any origin.

    Raises:
        ModelError: if it cannot be read or is something else.
    """
    try:
        with open_safetensors(path, "pt") as file:
            yield file
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}). Give a checkpoint that avel trained.") from error
    except SafetensorsError as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, reason: str) -> ModelError:
    """The error of a file that cannot be used."""
    return ModelError(f"{path}: not a safetensors file, damaged, or of another model ({reason}). Get it again.")


def _info(path: Path, metadata: Mapping[str, str] | None) -> CheckpointInfo:
    if KEY not in (metadata or {}):
        raise ModelError(f"{path}: a safetensors file, but not a checkpoint of avel.")
    assert metadata is not None
    try:
        return CheckpointInfo.from_json(metadata[KEY])
    except _OtherFormatError as error:
        raise ModelError(f"{path}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: what it says of its model cannot be read ({error}). Train it again.") from error


def _differences(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    missing = [name for name in expected if name not in found]
    extra = [name for name in found if name not in expected]
    if missing:
        return f"{missing[0]} is missing"
    if extra:
        return f"it has no {extra[0]}"
    for name, (shape, dtype) in expected.items():
        if found[name] != (shape, dtype):
            return f"{name} is {found[name][1]} of shape {found[name][0]}, not {dtype} of shape {shape}"
    return ""


def _dtype_name(tensor: Tensor) -> str:
    return {torch.float32: "F32", torch.int64: "I64", torch.bool: "BOOL"}[tensor.dtype]
