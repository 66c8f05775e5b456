import subprocess
import sys

import pytest

from avel.backbones.base import AudioBackbone
from avel.backbones.registry import audio_backbone, available_backbones, visual_backbone


def test_names() -> None:
    assert {"vgg19", "vgg19-ave", "efficientnet-lite0", "faces", "yamnet", "vggish", "vggish-no-relu", "voice"} <= set(
        available_backbones()
    )


def test_a_backbone_has_the_name_it_was_asked_for() -> None:
    backbone = audio_backbone("voice")
    assert isinstance(backbone, AudioBackbone)
    assert backbone.name == "voice"


def test_settings_reach_the_backbone() -> None:
    with pytest.raises(ValueError, match="frames_per_segment must be 1 or more, got 0"):
        visual_backbone("vgg19", frames_per_segment=0)


def test_unknown_names() -> None:
    with pytest.raises(ValueError, match="no visual backbone is called 'yamnet'. There are: vgg19, "):
        visual_backbone("yamnet")
    with pytest.raises(ValueError, match="no audio backbone is called 'vgg19'. There are: yamnet, "):
        audio_backbone("vgg19")


def test_importing_the_registry_is_light() -> None:
    code = "import sys, avel.backbones.registry; print({'torch', 'openvino', 'av', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
