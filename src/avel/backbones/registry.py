"""Backbones by name. Their modules, and what those need, are imported when one is asked for."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.engine import EngineOptions

_B = TypeVar("_B", VisualBackbone, AudioBackbone)


def _vgg19(options: EngineOptions, **settings: Any) -> VisualBackbone:
    from avel.backbones.vgg import Vgg19

    return Vgg19(options, **settings)


def _efficientnet(options: EngineOptions, **settings: Any) -> VisualBackbone:
    from avel.backbones.efficientnet import EfficientNetLite

    return EfficientNetLite(options, **settings)


def _faces(options: EngineOptions, **settings: Any) -> VisualBackbone:
    from avel.backbones.faces import Faces

    return Faces(options, **settings)


def _i3d(options: EngineOptions, **settings: Any) -> VisualBackbone:
    from avel.backbones.i3d import I3d

    return I3d(options, **settings)


def _nanodet(options: EngineOptions, **settings: Any) -> VisualBackbone:
    from avel.backbones.nanodet import NanoDet

    return NanoDet(options, **settings)


def _yamnet(options: EngineOptions, **settings: Any) -> AudioBackbone:
    from avel.backbones.yamnet import Yamnet

    return Yamnet(options, **settings)


def _yamnet_onnx(options: EngineOptions, **settings: Any) -> AudioBackbone:
    from avel.backbones.yamnet_onnx import YamnetOnnx

    return YamnetOnnx(options, **settings)


def _vggish(options: EngineOptions, **settings: Any) -> AudioBackbone:
    from avel.backbones.vggish import Vggish

    return Vggish(options, **settings)


def _embedded(options: EngineOptions, **settings: Any) -> AudioBackbone:
    from avel.backbones.embedded import Embedded

    return Embedded(options, **settings)


def _voice(options: EngineOptions) -> AudioBackbone:
    from avel.backbones.voice import Voice

    return Voice(options)


def _edges(options: EngineOptions, **settings: Any) -> AudioBackbone:
    from avel.backbones.edges import Edges

    return Edges(**settings)  # it runs no network


_VISUAL: dict[str, Callable[..., VisualBackbone]] = {
    "vgg19": partial(_vgg19, weights_name="vgg19"),
    "vgg19-original": partial(_vgg19, weights_name="vgg19-original"),
    "vgg19-ave": partial(_vgg19, weights_name="vgg19-original", scaling="bilinear", moments="whole-interval"),
    "efficientnet-lite0": partial(_efficientnet, name="efficientnet-lite0"),
    "efficientnet-lite1": partial(_efficientnet, name="efficientnet-lite1"),
    "efficientnet-lite2": partial(_efficientnet, name="efficientnet-lite2"),
    "i3d": _i3d,
    "nanodet": _nanodet,
    "faces": _faces,
}
_AUDIO: dict[str, Callable[..., AudioBackbone]] = {
    "yamnet": partial(_yamnet, output="scores"),
    "yamnet-embedding": partial(_yamnet, output="embedding"),
    "yamnet-onnx": partial(_yamnet_onnx, output="scores"),
    "yamnet-onnx-embedding": partial(_yamnet_onnx, output="embedding"),
    "vggish": partial(_vggish, last_relu=True),
    "vggish-no-relu": partial(_vggish, last_relu=False),
    "embedded": partial(_embedded, output="scores"),
    "embedded-embedding": partial(_embedded, output="embedding"),
    "voice": _voice,
    "edges": _edges,
}


def available_backbones() -> tuple[str, ...]:
    """Names of all backbones, those for pictures first."""
    return (*_VISUAL, *_AUDIO)


def visual_backbone(name: str, options: EngineOptions | None = None, **settings: Any) -> VisualBackbone:
    """A backbone for pictures.

    Args:
        name: one of `available_backbones`.
        options: device, precision, threads.
        settings: further arguments of its class; all of them take ``segment_seconds``.

    Raises:
        ValueError: if no backbone for pictures has that name.
        WeightsError: if its weights are not available.
    """
    return _make(_VISUAL, "visual", name, options, settings)


def audio_backbone(name: str, options: EngineOptions | None = None, **settings: Any) -> AudioBackbone:
    """A backbone for sound.

    Args:
        name: one of `available_backbones`.
        options: device, precision, threads.
        settings: further arguments of its class.

    Raises:
        ValueError: if no backbone for sound has that name.
        WeightsError: if its weights are not available.
    """
    return _make(_AUDIO, "audio", name, options, settings)


def _make(
    constructors: Mapping[str, Callable[..., _B]],
    modality: str,
    name: str,
    options: EngineOptions | None,
    settings: Mapping[str, Any],
) -> _B:
    if name not in constructors:
        raise ValueError(f"no {modality} backbone is called {name!r}. There are: {', '.join(constructors)}.")
    return constructors[name](options or EngineOptions(), **settings)
