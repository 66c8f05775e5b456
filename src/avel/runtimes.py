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
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Make its import fail, also after this, unless somebody else had imported it before."""
    before = {name: sys.modules[name] for name in sys.modules if name.split(".")[0] == _TELEMETRY}
    for name in before:
        del sys.modules[name]
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # this is how Python itself blocks an import
    try:
        yield
    finally:
        if any(before.values()):
            del sys.modules[_TELEMETRY]
            sys.modules.update(before)


with _without_telemetry():
    import openvino


def pytorch_decoder() -> "type[TorchScriptPythonDecoder]":
    """What shows OpenVINO a module of PyTorch; importing it imports PyTorch."""
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    return TorchScriptPythonDecoder


def nncf() -> ModuleType:
    """The package NNCF.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    with _without_telemetry():
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
