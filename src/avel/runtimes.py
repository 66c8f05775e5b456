"""OpenVINO, NNCF and ONNX Runtime, imported so that they report nothing.

All three report their use. Importing OpenVINO writes an identifier into the user's home folder and posts an event to an
analytics service, and NNCF does the same. They do so through the package ``openvino_telemetry``, and both go on without
a word where it is missing: here it is made to look missing, in whatever process imports this. ONNX Runtime keeps a data
base of events in the home folder, which it posts to its maker, unless the environment says otherwise. Nothing in avel
may import the three but from here.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

_TELEMETRY = "openvino_telemetry"
_CONVERTER = "openvino.tools.ovc"


@contextmanager
def _missing(package: str, *, for_ever: bool) -> Iterator[None]:
    """Make the import of a package fail, unless somebody else had imported it before.

    Args:
        package: its name.
        for_ever: also after this.
    """
    before = {name: module for name, module in sys.modules.items() if f"{name}.".startswith(f"{package}.")}
    for name in before:
        del sys.modules[name]
    sys.modules[package] = None  # type: ignore[assignment]  # this is how Python itself blocks an import
    try:
        yield
    finally:
        if any(before.values()) or not for_ever:
            del sys.modules[package]
            sys.modules.update(before)


# The converter of models takes half of the time of OpenVINO's import, which goes on without it. Nothing here uses it.
with _missing(_TELEMETRY, for_ever=True), _missing(_CONVERTER, for_ever=False):
    import openvino


def _converter(name: str) -> Any:
    """Import OpenVINO's converter when somebody else in this process asks for it."""
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    return import_module(_CONVERTER).convert_model


if not hasattr(openvino, "convert_model"):
    openvino.__getattr__ = _converter


def pytorch_decoder() -> "type[TorchScriptPythonDecoder]":
    """What shows OpenVINO a module of PyTorch; importing it imports PyTorch."""
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    return TorchScriptPythonDecoder


def nncf() -> ModuleType:
    """The package NNCF.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    with _missing(_TELEMETRY, for_ever=True):
        import nncf as found
        import nncf.quantization.range_estimator
    return found


def onnxruntime() -> ModuleType:
    """The package ONNX Runtime.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime as found  # type: ignore[import-untyped]

    found.disable_telemetry_events()
    return found


__all__ = ["nncf", "onnxruntime", "openvino", "pytorch_decoder"]
