"""The authors' network in files as early and as today's PyTorch writes them; the answers are those of their code."""

import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import pytest
import torch
from torch import nn

from avel.backbones.weights.checkpoint_file import read_checkpoint
from avel.errors import ModelError, WeightsError
from avel.features.recipe import preset
from avel.training import checkpoint
from avel.training.published import import_att_net

NETWORK = ("models.att_Net", "torch.nn.modules.", "torch.nn.backends.thnn.")


class att_Net(nn.Module):  # noqa: N801 - the authors' name
    """The authors' network by the names of its layers, and what it computes."""

    def __init__(self):
        super().__init__()
        self.lstm_audio = nn.LSTM(128, 128, 1, batch_first=True, bidirectional=True)
        self.lstm_video = nn.LSTM(512, 128, 1, batch_first=True, bidirectional=True)
        self.relu = nn.ReLU()
        self.affine_audio, self.affine_video = nn.Linear(128, 512), nn.Linear(512, 512)
        self.affine_v, self.affine_g = nn.Linear(512, 49, bias=False), nn.Linear(512, 49, bias=False)
        self.affine_h = nn.Linear(49, 1, bias=False)
        self.L1, self.L2 = nn.Linear(512, 64), nn.Linear(64, 29)

    def forward(self, audio, visual):
        seen = self.affine_v(self.relu(self.affine_video(visual)))
        heard = self.affine_g(self.relu(self.affine_audio(audio)))
        weights = torch.softmax(self.affine_h(torch.tanh(seen + heard[..., None]))[..., 0], -1)
        attended = (weights[..., None] * visual).sum(-2)
        both = torch.cat([self.lstm_audio(audio)[0], self.lstm_video(attended)[0]], -1)
        return self.L2(self.relu(self.L1(self.relu(both))))


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    return att_Net().eval()


@pytest.fixture
def as_published(monkeypatch):
    """The class lies in a module called models, as in the authors' code, while it is saved, and nowhere afterwards."""
    module = types.ModuleType("models")
    monkeypatch.setitem(sys.modules, "models", module)
    module.att_Net = att_Net
    monkeypatch.setattr(att_Net, "__module__", "models")

    def save(net, path, **how):
        torch.save(net, path, **how)
        monkeypatch.delitem(sys.modules, "models")
        return path

    return save


@pytest.mark.parametrize("zipped", [False, True])
def test_the_checkpoint_answers_as_the_authors_network(net, as_published, tmp_path, zipped):
    path = as_published(net, tmp_path / "AV_att.pt", _use_new_zipfile_serialization=zipped)
    model, info = checkpoint.load(import_att_net(path, tmp_path / "checkpoint.safetensors"))
    audio, visual = torch.randn(2, 10, 128), torch.randn(2, 10, 49, 512)
    with torch.inference_mode():
        ours = model(visual, audio, torch.ones(2, 10, dtype=torch.bool)).logits
        torch.testing.assert_close(ours, net(audio, visual), atol=1e-4, rtol=1e-4)
    assert (info.features.visual, info.features.audio) == (preset("ave").visual, preset("ave").audio)
    assert info.categories[0] == "Church bell"
    assert info.notes["imported_from"] == "AV_att.pt"


@pytest.mark.parametrize("zipped", [False, True])
def test_the_command_takes_a_dictionary_too(net, tmp_path, avel_models, zipped):
    torch.save(net.state_dict(), tmp_path / "state.pt", _use_new_zipfile_serialization=zipped)
    assert zipfile.is_zipfile(tmp_path / "state.pt") == zipped
    found = avel_models("import", tmp_path / "state.pt", "-o", tmp_path / "c.safetensors")
    assert found.stdout.strip() == str(tmp_path / "c.safetensors")
    assert checkpoint.read_info(tmp_path / "c.safetensors").options["attention"] == "released"


@pytest.mark.parametrize(
    ("size", "stride", "found"),
    [((2, 2), (1, 2), [[1, 3], [2, 4]]), ((2**40,), (0,), None), ((2, 2), (2, 2), None)],
)
def test_parameters_and_backends_as_pytorch_0_3_wrote_them(tmp_path, size, stride, found):
    """Built by hand: a Parameter made of a tensor, then told its state; a layer that asks for its backend."""
    network, layer = OldObject("models", "att_Net"), OldObject("torch.nn.modules.linear", "Linear")
    weight = OldCall(
        OldName("torch.nn.parameter", "Parameter"),
        (OldCall(OldName("torch._utils", "_rebuild_tensor"), (Stored("k", 4), 0, size, stride)),),
        (True, False, OrderedDict()),
    )
    layer.state = {
        "_parameters": OrderedDict(weight=weight, bias=None),
        "_modules": OrderedDict(),
        "_backend": OldCall(OldName("torch.nn.backends.thnn", "_get_thnn_function_backend"), ()),
    }
    network.state = {"_parameters": OrderedDict(), "_modules": OrderedDict(L1=layer)}
    path = tmp_path / "old.pt"
    with path.open("wb") as file:
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        OldPickler(file, protocol=2).dump(network)
        pickle.dump(["k"], file, protocol=2)
        file.write(struct.pack("<q4f", 4, 1, 2, 3, 4))
    if found is None:  # larger than its numbers, or beyond them
        with pytest.raises(WeightsError, match="does not hold tensors alone"):
            read_checkpoint(path, network=NETWORK)
        return
    assert {name: tensor.tolist() for name, tensor in read_checkpoint(path, network=NETWORK).items()} == {
        "L1.weight": found
    }
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(WeightsError, match="does not hold tensors alone"):
        read_checkpoint(path, network=NETWORK)


class OldName:
    """A class or function by its name alone, which need not be there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class OldObject:
    def __init__(self, module, name):
        self.made_by, self.state = OldName(module, name), {}


class OldCall:
    def __init__(self, function, arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Stored:
    def __init__(self, key, length):
        self.pid = ("storage", OldName("torch.cuda", "FloatStorage"), key, "cuda:3", length, None)


class OldPickler(pickle._Pickler):
    """Writes names without looking for what they name."""

    def persistent_id(self, value):
        return value.pid if isinstance(value, Stored) else None

    def save(self, value, save_persistent_id=True):
        if isinstance(value, OldName):
            self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        elif isinstance(value, OldObject):
            self.save(value.made_by)
            self.write(pickle.EMPTY_TUPLE + pickle.NEWOBJ)
            self.save(value.state)
            self.write(pickle.BUILD)
        elif isinstance(value, OldCall):
            self.save(value.function)
            self.save(value.arguments)
            self.write(pickle.REDUCE)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
        else:
            super().save(value, save_persistent_id)


class Touch:
    """Would make a file if it was unpickled as usual."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [False, True])
def test_code_in_a_file_is_not_run(tmp_path, zipped):
    torch.save(
        {"w": torch.ones(1), "x": Touch(tmp_path / "made")}, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(WeightsError, match=r"does not hold tensors alone: it names \w+.open"):
        read_checkpoint(tmp_path / "a.pt", network=NETWORK)
    assert not (tmp_path / "made").exists()


def test_what_is_another_network_or_no_file_of_pytorch(net, tmp_path):
    state = net.state_dict()
    torch.save({**state, "L2.weight": torch.ones(3, 64)}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match=r"heads.0.3.weight should have shape \(29, 64\), it has \(3, 64\)"):
        import_att_net(tmp_path / "other.pt", tmp_path / "c.safetensors")
    torch.save({**state, "L3.weight": torch.ones(1)}, tmp_path / "more.pt")
    with pytest.raises(ModelError, match="it also has L3.weight"):
        import_att_net(tmp_path / "more.pt", tmp_path / "c.safetensors")
    torch.save({**state, "L2.bias": torch.full((29,), torch.nan)}, tmp_path / "nan.pt")
    with pytest.raises(ModelError, match="not finite float32 numbers"):
        import_att_net(tmp_path / "nan.pt", tmp_path / "c.safetensors")
    (tmp_path / "text.pt").write_text("weights")
    (tmp_path / "cut.pt").write_bytes((tmp_path / "nan.pt").read_bytes()[:1000])
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    for name in ("text", "cut", "pickle"):
        with pytest.raises(ModelError, match=rf"{name}.pt does not hold tensors alone"):
            import_att_net(tmp_path / f"{name}.pt", tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match="cannot be read"):
        import_att_net(tmp_path / "missing.pt", tmp_path / "c.safetensors")


@pytest.fixture
def avel_models():
    from typer.testing import CliRunner

    from avel.cli.main import app

    def run(*arguments):
        result = CliRunner().invoke(app, ["models", *(str(argument) for argument in arguments)])
        assert result.exit_code == 0, result.output
        return result

    return run
