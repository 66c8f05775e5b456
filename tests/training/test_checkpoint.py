import json
import pickle
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from avel.errors import ModelError
from avel.models import registry
from avel.models.base import TaskSpec
from avel.models.options import Dims
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord
from avel.version import __version__

DIMS = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=3)
FEATURES = FeatureRecord(4, 6, 5, visual=("vgg19",), audio=("yamnet",), networks={"vgg19": {"sha256": "0" * 64}})


def info_of(model: str, **options: Any) -> CheckpointInfo:
    all_options = registry.options_of(model, **options).model_dump()
    return CheckpointInfo(
        model, all_options, DIMS, ("one", "two", "drei & vier"), FEATURES, {"seed": 1}, {"val": {"accuracy": 0.5}}
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = registry.build("dmrn", DIMS, position="early", fusion_dims=8, lstm_dims=8)
    checkpoint.save(tmp_path / "a.safetensors", model, info_of("dmrn", position="early", fusion_dims=8, lstm_dims=8))
    return tmp_path / "a.safetensors"


def changed(path: Path, **changes: Any) -> Path:
    """A copy whose head says something else."""
    with checkpoint.open_file(path) as file:
        content = json.loads(file.metadata()[checkpoint.KEY])
    other = path.with_name("changed.safetensors")
    save_file(load_file(path), other, {checkpoint.KEY: json.dumps({**content, **changes})})
    return other


def test_a_model_comes_back_as_it_was(saved: Path) -> None:
    model, info = checkpoint.load(saved)
    torch.manual_seed(0)
    same = registry.build("dmrn", DIMS, position="early", fusion_dims=8, lstm_dims=8).eval()
    visual, audio, valid = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 5), torch.ones(2, 3, dtype=torch.bool)
    assert torch.equal(model(visual, audio, valid).logits, same(visual, audio, valid).logits)
    assert not model.training
    assert model.spec == info.spec == TaskSpec(("one", "two", "drei & vier"), "one-class", "segments")
    assert info == checkpoint.read_info(saved) == info_of("dmrn", position="early", fusion_dims=8, lstm_dims=8)
    assert info.segment_seconds == 1.0


def test_thresholds_make_a_model_multi_label(saved: Path) -> None:
    model, info = checkpoint.load(saved)
    assert not info.multi_label
    assert not model.spec.multi_label
    model, info = checkpoint.load(changed(saved, thresholds=[0.25, 0.5, 0.75], num_segments=7))
    assert info.thresholds == (0.25, 0.5, 0.75)
    assert info.multi_label
    assert model.spec.multi_label
    assert info.num_segments == 7


def test_an_option_that_came_later_means_the_form_before_it(tmp_path: Path) -> None:
    model = registry.build("recommended", DIMS, model_dims=8, standardize_sound=False)
    checkpoint.save(tmp_path / "a.safetensors", model, info_of("recommended", model_dims=8, standardize_sound=False))
    options = dict(checkpoint.read_info(tmp_path / "a.safetensors").options)
    del options["standardize_sound"]
    earlier, info = checkpoint.load(changed(tmp_path / "a.safetensors", options=options, written_by="0.2.0"))
    assert info.options["standardize_sound"] is False
    assert earlier.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "nothing"}, "its model cannot be built: Unknown model 'nothing'"),
        ({"options": {"lstm_dims": "8"}}, "its model cannot be built: Model 'dmrn': option 'lstm_dims'"),
        ({"options": {"no": 1}}, "there is no option 'no'"),
        ({"options": {"self": 1}}, "there is no option 'self'"),
        (
            {"options": registry.options_of("dmrn", position="early", fusion_dims=8, lstm_dims=16).model_dump()},
            "does not hold the weights of 'dmrn': .* is F32 of shape",
        ),
        ({"model": "a", "options": {}}, "does not hold the weights of 'a': "),
        ({"dims": {"visual_dims": 10**12}}, "cannot be read .size 'visual_dims' must be a whole number"),
        ({"categories": ["one"]}, "1 categories for a model of 3"),
        ({"categories": ["one", "one", "two"]}, "cannot be read .categories"),
        ({"categories": "one"}, "cannot be read .categories"),
        (
            {"format": "avel checkpoint 99", "written_by": "9.1"},
            f"changed.safetensors: was written by avel 9.1, in a format that this one, avel {__version__}, does not",
        ),
        ({"format": "avel checkpoint 0"}, "was written by avel .*, in a format that this one"),
        (
            {"format": "avel checkpoint 99", "written_by": ["9"]},
            "was written by another version of avel, in a",
        ),
        ({"features": {"regions": 1}}, "not a record of features"),
        ({"extra": 1, "written_by": "9.1"}, "was written by avel 9.1, in a format that this one"),
        ({"num_segments": 0}, "windows of 0 segments"),
        ({"num_segments": True}, "windows of True segments"),
        ({"thresholds": [0.5]}, "thresholds that are not one for each of 3 categories"),
        ({"thresholds": "abc"}, "thresholds that are not one for each"),
        ({"thresholds": [0.5, 0.5, 1.0]}, "thresholds that are not between 0 and 1"),
    ],
)
def test_a_head_that_lies_is_refused(saved: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        checkpoint.load(changed(saved, **changes))


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, saved: Path) -> None:
    with pytest.raises(ModelError, match="gone: cannot be read .No such file"):
        checkpoint.load(tmp_path / "gone")
    (tmp_path / "text").write_text("short")
    with pytest.raises(ModelError, match="text: not a safetensors file"):
        checkpoint.load(tmp_path / "text")
    (tmp_path / "huge").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(ModelError, match="huge: not a safetensors file"):
        checkpoint.load(tmp_path / "huge")
    (tmp_path / "cut").write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(ModelError, match="cut: not a safetensors file, damaged"):
        checkpoint.load(tmp_path / "cut")
    save_file({"a": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ModelError, match="other: a safetensors file, but not a checkpoint of avel"):
        checkpoint.load(tmp_path / "other")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "touched",)

    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelError, match="not a safetensors file"):
        checkpoint.load(tmp_path / "evil.pt")
    assert not (tmp_path / "touched").exists()


def test_weights_that_are_not_numbers_are_refused(saved: Path) -> None:
    tensors = load_file(saved)
    next(iter(tensors.values())).fill_(torch.nan)
    with checkpoint.open_file(saved) as file:
        metadata = file.metadata()
    save_file(tensors, saved, metadata)
    with pytest.raises(ModelError, match="holds NaN or infinite values"):
        checkpoint.load(saved)


def test_weights_that_fit_are_taken_over(tmp_path: Path, saved: Path) -> None:
    model = registry.build("a+v-att", DIMS, lstm_dims=8)
    taken = checkpoint.take_over(model, saved)
    assert "pooling.attention.project_visual.weight" in taken
    state = model.state_dict()
    assert all(torch.equal(state[name], load_file(saved)[name]) for name in taken)
    other = registry.build(
        "a", Dims(visual_dims=1, regions=1, audio_dims=1, num_categories=1), lstm_dims=3, head_dims=2
    )
    with pytest.raises(ModelError, match="none of the weights of 'dmrn' fits"):
        checkpoint.take_over(other, saved)
