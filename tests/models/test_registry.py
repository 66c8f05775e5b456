"""What every model of the registry has to do."""

from typing import get_args, get_type_hints

import pytest
import torch
from torch import nn
from torch.nn import functional

from avel.errors import ModelError
from avel.models.options import Dims
from avel.models.registry import MODELS, available_models, build, entry, modalities_of, options_of
from avel.training.passes import in_precision
from avel.training.settings import settings_for

SMALL = {
    "attention_dims": 8,
    "attention_hidden_dims": 4,
    "lstm_dims": 8,
    "fusion_dims": 8,
    "bilinear_dims": 3,
    "first_dims": 24,
    "more_dims": 8,
    "head_dims": 32,
    "region_dims": 8,
    "merged_dims": 16,
    "co_attention_dims": 8,
    "channel_dims": 8,
    "bottleneck_dims": 8,
    "spatial_dims": 8,
    "model_dims": 16,
    "feedforward_dims": 16,
    "embedding_dims": 8,
    "event_dims": 16,
    "map_dims": 4,
}
SWITCHES = (
    "with_audio",
    "global_context",
    "sentinel",
    "normalize_gates",
    "skip_connection",
    "bidirectional",
    "normalize",
)
"""Options that are true by default."""
NO_SPATIAL_ATTENTION = {"linear", "nearest-mean", "a", "v", "a+v", "ed-tcn", "ssn", "avsdn"}
GATES = {"gated": {"gates"}, "gated-bilinear": {"gates"}, "gmu": {"gates"}}
GATES |= {"cman": {"gates", "visual_gates", "audio_gates"}, "diia": {"visual_gates", "audio_gates"}}
TEMPORAL_ATTENTION = {"cman", "dam", "cmran", "psp", "diia"}
MORE = {"cmran": {"event_relevance", "video_category"}, "psp": {"similarity"}}
MORE["dam"] = MORE["cmran"] | {"visual_features", "audio_features"}


RELEASED = {"recurrence": "bilstm", "head": "mlp"}
"""Of Tian et al.'s models."""

BOUNDED = ("gmu", "dmrn")
"""In decision position they give numbers in (-1, 1) to the softmax, so that no class can be sure."""


def variants():
    """Each model with its defaults, and with every word that one of its options may be."""
    for name, found in MODELS.items():
        yield name, {}
        defaults = found.options().model_dump()
        for option, words in (
            ("position", ("early", "decision")),
            ("attention", ("released",)),
            ("gate", ("visual",)),
            ("residual", ("visual",)),
            ("features", ("both",)),
            ("channel_gate", ("plain",)),
            ("form", ("weak",)),
            ("event_region", ("whole",)),
            ("pooling", ("spatial", "mean")),
            ("gates", ("own", "none")),
            ("order", ("inter-intra", "intra", "inter")),
            ("classifier", ("mlp", "lstm", "avsdn")),
            ("visual", ("mlp", "conv3d", "lstm")),
            ("co_attention", ("avol", "ag")),
            ("frames", ("intra", "inter")),
        ):
            if isinstance(defaults.get(option), str):
                allowed = get_args(get_type_hints(found.options)[option])
                yield from ((name, {option: word}) for word in words if word in allowed)
        yield from ((name, {option: 2}) for option in ("blocks", "depth") if option in defaults)
        yield from ((name, {option: False}) for option in SWITCHES if option in defaults)
    yield "a+v-att", RELEASED
    yield from ((name, {"position": "decision", "decision_layer": True}) for name in BOUNDED)
    for parts in (("visual", "spatial_attention", "co_attention"), ("audio", "co_attention"), ("co_attention",)):
        yield "cman", dict.fromkeys(parts, False)
    for variant in ("paper", "code"):
        for options in ({}, {"guide": "other"}, {"fusion": "max"}, {"recurrence": "gru"}):
            yield "jca", {"variant": variant} | options
    yield "jca", {"unimodal_recurrence": False, "joint_recurrence": False, "fusion": "average"}
    yield "jca", {"residual_embedding": False, "window_segments": 4}


def small(name, dims, **options):
    defaults = entry(name).options().model_dump()
    return build(name, dims, **({k: v for k, v in SMALL.items() if k in defaults} | options))


each_variant = pytest.mark.parametrize(
    ("name", "options"),
    [pytest.param(name, options, id="-".join([name, *map(str, options.values())])) for name, options in variants()],
)


def test_table_1_and_2_and_baselines_are_there():
    table_1 = {"a", "v", "v-att", "a+v", "a+v-att"}
    table_2 = {"additive", "maxpooling", "gated", "bilinear", "gmu", "gated-bilinear", "concat", "mrn", "dmrn", "dmrfe"}
    assert set(available_models()) >= table_1 | table_2 | {"ed-tcn", "ssn"}


@each_variant
@pytest.mark.parametrize(("videos", "segments"), [(1, 1), (1, 10), (3, 7), (2, 23)])
def test_shapes(name, options, videos, segments, dims, batch):
    model = small(name, dims, **options).eval()
    output = model(*batch(videos, segments))
    assert output.logits.shape == (videos, segments, dims.num_classes)
    assert output.logits.dtype == torch.float32
    assert output.logits.isfinite().all()
    shapes = {
        "spatial_attention": (videos, segments, dims.regions),
        "temporal_attention": (videos, segments, segments),
        "gates": (videos, segments),
        "visual_gates": (videos, segments),
        "audio_gates": (videos, segments),
        "event_relevance": (videos, segments),
        "video_category": (videos, dims.num_categories + (options.get("form") == "weak")),
        "similarity": (videos, segments),
        "visual_features": (videos, segments, SMALL["event_dims"]),
        "audio_features": (videos, segments, SMALL["event_dims"]),
    }
    assert {key: tuple(value.shape) for key, value in output.shown.items()} == {
        key: shapes[key] for key in output.shown
    }
    for key in output.shown.keys() & {"spatial_attention", "temporal_attention"}:
        if name != "psp" or key == "spatial_attention":  # which may prune all that a segment attends to
            torch.testing.assert_close(output.shown[key].sum(-1), torch.ones(videos, segments))


@pytest.mark.parametrize("name", MODELS)
def test_what_it_shows(name, dims, batch):
    expected = GATES.get(name, set()) | MORE.get(name, set())
    expected |= {"spatial_attention"} if name not in NO_SPATIAL_ATTENTION else set()
    expected |= {"temporal_attention"} if name in TEMPORAL_ATTENTION else set()
    assert set(small(name, dims)(*batch()).shown) == expected


@each_variant
def test_padding_reaches_nothing(name, options, dims, batch):
    """A padded video says of its segments what it says alone, whatever is in the padding; gradients stay finite."""
    model = small(name, dims, **options).eval()
    visual, audio, valid = batch(3, 9)
    lengths = (9, 5, 1)
    for video, length in enumerate(lengths):
        valid[video, length:] = False
    filled = visual.masked_fill(~valid[..., None, None], torch.nan), audio.masked_fill(~valid[..., None], torch.inf)
    output = model(*filled, valid)
    for video, length in enumerate(lengths):
        part = slice(video, video + 1), slice(0, length)
        alone = model(visual[part], audio[part], valid[part])
        torch.testing.assert_close(output.logits[part], alone.logits)
        for key, value in alone.shown.items():
            found = output.shown[key][part[0] if key == "video_category" else part]
            if key == "temporal_attention":
                assert (found[..., length:] == 0).all()
                found = found[..., :length]
            torch.testing.assert_close(found, value)
    assert (output.logits[~valid] == 0).all()
    output.logits[valid].square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", MODELS)
def test_holes_and_videos_without_any_valid_segment(name, dims, batch):
    model = small(name, dims).eval()
    visual, audio, valid = batch(2, 6)
    valid[0, 2] = valid[1] = False
    one = model(visual, audio, valid).logits
    other = model(visual.masked_fill(~valid[..., None, None], 7.0), audio, valid).logits
    torch.testing.assert_close(one, other)
    assert one.isfinite().all()
    assert (one[1] == 0).all()


@each_variant
def test_every_parameter_gets_a_gradient(name, options, dims, batch):
    model = small(name, dims, **options)
    visual, audio, valid = batch(8, 7)
    target = torch.randint(dims.num_classes, (8, 7))
    # SSN takes the best of all spans, so that its gradient is sparse; all its parameters are still in it.
    functional.cross_entropy(model(visual, audio, valid).logits.flatten(0, 1), target.flatten()).backward()
    without = [key for key, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not without


@each_variant
def test_overfits_one_batch(name, options, dims, batch):
    model = small(name, dims, **options)
    for layer in model.modules():
        if isinstance(layer, nn.modules.dropout._DropoutNd):
            layer.p = 0.0
    _, audio, valid = batch(4, 6)
    # One category a video, as some models have it.
    target = torch.where(torch.rand(4, 6) < 0.6, torch.randint(dims.num_categories, (4, 1)), dims.num_categories)
    # Both modalities and every region tell the class, but for noise.
    signal = functional.one_hot(target, dims.num_classes).float()
    visual = functional.pad(signal, (0, 2))[..., None, :] + 0.3 * torch.rand(4, 6, dims.regions, dims.visual_dims)
    audio = functional.pad(signal, (0, 1)) + 0.3 * audio
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03, fused=True)
    is_bounded = name in BOUNDED and options == {"position": "decision"}
    for _ in range(400):
        logits = model(visual, audio, valid).logits
        loss = functional.cross_entropy(logits.flatten(0, 1), target.flatten())
        if (loss < 0.1 or is_bounded) and (logits.argmax(-1) == target).all():
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1 or is_bounded
    assert (logits.argmax(-1) == target).all()


@pytest.mark.parametrize("name", MODELS)
def test_equal_seeds_give_equal_models(name, dims, batch):
    inputs, outputs = batch(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(small(name, dims)(*inputs).logits)
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.equal(outputs[0], outputs[2])


@pytest.mark.parametrize("name", MODELS)
def test_looks_only_at_its_modalities(name, dims, batch):
    model = small(name, dims).eval()
    visual, audio, valid = batch()
    before = model(visual, audio, valid).logits
    if "visual" not in modalities_of(name):
        assert torch.equal(before, model(torch.zeros_like(visual), audio, valid).logits)
    if "audio" not in modalities_of(name):
        assert torch.equal(before, model(visual, torch.zeros_like(audio), valid).logits)
    assert not torch.equal(
        before, model(visual + torch.rand_like(visual), audio + torch.rand_like(audio), valid).logits
    )


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast_stays_near(name, dims, batch):
    model, inputs = small(name, dims).eval(), batch()
    exact = model(*inputs).logits
    with in_precision("cpu", torch.bfloat16):
        rough = model(*inputs).logits
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, atol=0.05, rtol=0.05)


@pytest.mark.parametrize("name", MODELS)
def test_built_on_meta_and_filled_is_the_same(name, dims, batch):
    """As a checkpoint is loaded: no memory is taken before the weights are known to fit."""
    model, inputs = small(name, dims).eval(), batch()
    with torch.device("meta"):
        empty = small(name, dims).eval()
    empty.load_state_dict(model.state_dict(), assign=True)
    assert torch.equal(model(*inputs).logits, empty(*inputs).logits)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", MODELS)
def test_cpu_and_cuda_agree(name, dims, batch):
    model, inputs = small(name, dims).eval(), batch()
    expected = model(*inputs).logits
    found = model.cuda()(*(x.cuda() for x in inputs)).logits.cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["a", "v", "a+v", "a+v-att", "dmrn"])
def test_sizes_are_those_of_the_released_code_on_request(name):
    sizes = {"a": 282_525, "v": 675_741, "a+v": 956_317, "a+v-att": 1_335_246, "dmrn": 1_571_150}
    assert sum(p.numel() for p in build(name, **RELEASED).parameters()) == sizes[name]


def test_default_is_the_papers_one_directional_lstm_and_one_layer():
    def lstm(inputs):
        return 4 * 128 * (inputs + 128 + 2)

    sizes = {
        "a": lstm(128) + 29 * (128 + 1),
        "v": lstm(512) + 29 * (128 + 1),
        "a+v": lstm(128) + lstm(512) + 29 * (256 + 1),
    }
    for name, size in sizes.items():
        assert sum(p.numel() for p in build(name).parameters()) == size


def test_a_one_directional_lstm_knows_nothing_of_what_comes(dims, batch):
    visual, audio, valid = batch(2, 5)
    later = torch.arange(5)[:, None] > 2
    for options, knows in (({}, False), ({"recurrence": "bilstm"}, True)):
        model = small("a", dims, **options).eval()
        changed = torch.where(later, audio + 1, audio)
        same = torch.equal(model(visual, audio, valid).logits[:, :3], model(visual, changed, valid).logits[:, :3])
        assert same is not knows


def test_released_training():
    training = settings_for("a+v-att")
    assert (training.learning_rate, training.batch_size, training.epochs) == (1e-3, 64, 300)
    assert (training.decay_iterations, training.decay_factor) == (15_000, 0.1)
    assert entry("dmrn").starts_from == "a+v-att"


@pytest.mark.parametrize("name", ["dmrn", "dmrfe"])
def test_most_of_dmrn_can_start_from_a_v_att(name, dims):
    start, model = (build(one, dims, **RELEASED).state_dict() for one in ("a+v-att", name))
    shared = {key for key in start if key in model and start[key].shape == model[key].shape}
    assert {key.split(".")[0] for key in shared} == {"pooling", "audio_lstm", "visual_lstm"}


def test_unknown_model():
    with pytest.raises(ModelError, match="Unknown model 'resnet'. Models are a, v, v-att"):
        build("resnet", Dims())


def test_unknown_option():
    with pytest.raises(
        ModelError, match="Model 'a': there is no option 'position'. The options are lstm_dims, head_dims"
    ):
        options_of("a", position="late")


def test_wrong_option():
    with pytest.raises(ModelError, match="Model 'dmrn': option 'position' must be one of early, late, decision"):
        build("dmrn", position="middle")


def test_options_that_do_not_fit_the_sizes():
    with pytest.raises(ModelError, match="Model 'v-att' with .* as many hidden units as regions, 9"):
        build("v-att", Dims(regions=9), attention="released")


def test_wrong_input_is_refused(dims, batch):
    visual, audio, valid = batch()
    with pytest.raises(ValueError, match="visual must have shape"):
        build("a", dims)(visual[:, :, :2], audio, valid)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("ed-tcn", {}, ("visual",)),
        ("ed-tcn", {"features": "both"}, ("audio", "visual")),
        ("ssn", {}, ("visual",)),
        ("cman", {"visual": False, "spatial_attention": False, "co_attention": False}, ("audio",)),
        ("cman", {"audio": False, "co_attention": False}, ("audio", "visual")),
        ("cman", {"audio": False, "spatial_attention": False, "co_attention": False}, ("visual",)),
        ("a", {}, ("audio",)),
        ("dmrn", {}, ("audio", "visual")),
    ],
)
def test_what_a_model_looks_at_depends_on_its_options(name, options, expected, dims, batch):
    assert modalities_of(name, options) == expected
    model = small(name, dims, **options).eval()
    visual, audio, valid = batch()
    before = model(visual, audio, valid).logits
    for modality, given in (("visual", (visual + 1, audio)), ("audio", (visual, audio + 1))):
        assert torch.equal(before, model(*given, valid).logits) is (modality not in expected)
