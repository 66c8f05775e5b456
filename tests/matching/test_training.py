import numpy as np
import pytest
import torch

from avel.errors import ModelError
from avel.matching.base import MatcherOptions
from avel.matching.dcca import Dcca
from avel.matching.dual_encoder import DualEncoderOptions
from avel.matching.localization import evaluate
from avel.matching.training import Clips, MatchingSettings, build, train, training_pairs
from avel.models.options import Dims

SMALL = MatcherOptions(hidden_dims=32, embedding_dims=8)
SMALL_DUAL = DualEncoderOptions(hidden_dims=32, embedding_dims=8, dropout=0.0)
OF = {"avdln": SMALL, "dcca": SMALL, "dual-encoder": SMALL_DUAL}


def make_clips(count=60, seed=0):
    """In the event, picture and sound share a code that changes each second; outside, they are of other codes."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, 6, 8))
    starts = rng.integers(0, 4, count)
    spans = np.stack([starts, starts + rng.integers(1, 3, count)], axis=1)
    mix_v, mix_a = np.random.default_rng(9).normal(size=(8, 16)), np.random.default_rng(8).normal(size=(8, 12))
    outside = (np.arange(6) < spans[:, :1]) | (np.arange(6) >= spans[:, 1:])
    heard = np.where(outside[..., None], rng.normal(size=codes.shape), codes)
    noise = [0.05 * rng.normal(size=(count, 6, size)) for size in (16, 12)]
    return Clips(
        torch.from_numpy(codes @ mix_v + noise[0]).float(), torch.from_numpy(heard @ mix_a + noise[1]).float(), spans
    )


@pytest.fixture
def in_event():
    return torch.tensor([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 1]]).bool()


def rows(pairs):
    return list(zip(*(column.tolist() for column in pairs), strict=True))


def test_released_pairs_are_synchronous(in_event):
    pairs = rows(training_pairs(in_event, "none", torch.Generator()))
    assert pairs == [(c, s, c, s, float(in_event[c, s])) for c in range(4) for s in range(4)]


def test_pairs_of_the_same_clip_are_misaligned(in_event):
    drawn = set()
    for seed in range(40):
        pairs = rows(training_pairs(in_event, "same-clip", torch.Generator().manual_seed(seed)))
        assert len(pairs) == 16 + 3  # clip 1 has no background to be paired with
        for visual_clip, visual_segment, audio_clip, audio_segment, together in pairs[16:]:
            assert visual_clip == audio_clip
            assert together == 0
            assert in_event[visual_clip, visual_segment] ^ in_event[audio_clip, audio_segment]
        drawn.update(pairs[16:])
    # every event segment with every background segment of its clip, in both modalities
    assert len(drawn) == 2 * (2 * 2 + 1 * 3)


def test_pairs_of_other_clips(in_event):
    drawn = set()
    for seed in range(200):
        pairs = rows(training_pairs(in_event, "other-clips", torch.Generator().manual_seed(seed)))
        assert len(pairs) == 16 + 7
        for visual_clip, visual_segment, audio_clip, audio_segment, together in pairs[16:]:
            assert visual_clip != audio_clip
            assert together == 0
            assert in_event[visual_clip, visual_segment]
            assert in_event[audio_clip, audio_segment]
        drawn.update(pairs[16:])
    assert len(drawn) == 2 * (2 * 4 + 2 * 1 + 4 * 1)


def test_both_kinds_of_misaligned_pairs(in_event):
    assert len(rows(training_pairs(in_event, "both", torch.Generator()))) == 16 + 3 + 7


def test_other_clips_need_another_clip(in_event):
    with pytest.raises(ValueError, match="need two clips with an event"):
        training_pairs(in_event[1:3], "other-clips", torch.Generator())


@pytest.mark.parametrize(
    "settings",
    [
        MatchingSettings(options=SMALL, epochs=8, learning_rate=3e-3, batch_size=16, misaligned="none"),
        MatchingSettings(options=SMALL, epochs=8, learning_rate=3e-3, batch_size=16),
        MatchingSettings("dcca", options=SMALL, epochs=150, batch_size=256, learning_rate=3e-3),
        MatchingSettings("dual-encoder", options=SMALL_DUAL, epochs=60, batch_size=32, learning_rate=3e-3),
        MatchingSettings(
            "dual-encoder", options=SMALL_DUAL, loss="contrastive", epochs=60, batch_size=32, learning_rate=3e-3
        ),
    ],
    ids=["avdln, the code's pairs", "avdln", "dcca", "dual encoder", "dual encoder, contrastive"],
)
def test_learns_what_goes_together(settings):
    clips = make_clips(120)
    trained = train(clips, settings)
    assert trained.losses[-1] < trained.losses[0]
    found = evaluate(trained.matcher, clips.visual, clips.audio, clips.spans)
    assert found.a2v > 2 * found.random_start
    assert found.v2a > 2 * found.random_start
    assert not trained.matcher.training
    assert trained.epoch == settings.epochs


@pytest.mark.parametrize("name", ["avdln", "dcca", "dual-encoder"])
def test_equal_seeds_give_equal_matchers(name):
    states = []
    for seed in (1, 1, 2):
        settings = MatchingSettings(name, options=OF[name], epochs=2, seed=seed)
        states.append(train(make_clips(20), settings).matcher.state_dict())
        torch.rand(1)  # the caller's own random state must not matter
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())
    assert not torch.equal(states[0]["embed_audio.0.weight"], states[2]["embed_audio.0.weight"])


def test_training_leaves_the_callers_random_state():
    before = torch.random.get_rng_state()
    train(make_clips(10), MatchingSettings(options=SMALL, epochs=1))
    assert torch.equal(before, torch.random.get_rng_state())


def test_validation_chooses_the_epoch():
    validation = make_clips(40, seed=1)
    trained = train(make_clips(40), MatchingSettings(options=SMALL, epochs=6), validation)
    means = [accuracy.mean for accuracy in trained.validation]
    assert trained.epoch == means.index(max(means)) + 1
    again = evaluate(trained.matcher, validation.visual, validation.audio, validation.spans)
    assert again == trained.validation[trained.epoch - 1]


def test_dcca_is_ready_to_localize():
    trained = train(make_clips(20), MatchingSettings("dcca", options=SMALL, epochs=1))
    assert isinstance(trained.matcher, Dcca)
    assert trained.matcher.visual_variates.abs().sum() > 0


def test_dcca_needs_events():
    clips = make_clips(3)
    with pytest.raises(ValueError, match="DCCA needs two event segments or more, got 0"):
        train(Clips(clips.visual, clips.audio, np.zeros((3, 2), np.int64)), MatchingSettings("dcca", epochs=1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"matcher": "cca"}, "Unknown matcher 'cca'. Matchers are avdln, dcca"),
        ({"misaligned": "all"}, "Unknown misaligned pairs 'all'. Supported are none, same-clip"),
        ({"matcher": "dcca", "misaligned": "both"}, "DCCA learns from synchronous pairs alone"),
        ({"matcher": "dcca", "batch_size": 1}, "batch_size must be 2 or more, got 1"),
        ({"batch_size": 0}, "batch_size must be 1 or more, got 0"),
        ({"epochs": 0}, "epochs must be 1 or more"),
        ({"loss": "infonce"}, "loss is for dual-encoder; avdln has its own"),
        ({"matcher": "dual-encoder", "loss": "triplet"}, "Unknown loss 'triplet'. Supported are infonce, contrastive"),
        ({"matcher": "dual-encoder", "misaligned": "both"}, "misaligned is for avdln"),
        ({"matcher": "dual-encoder", "options": SMALL}, "options of dual-encoder are DualEncoderOptions"),
        ({"margin": 0.0}, "margin and learning_rate above 0"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MatchingSettings(**settings)


def test_pairs_that_are_not_synchronized_are_the_papers_and_the_default_of_avdln():
    assert MatchingSettings().pairs == "both"
    assert MatchingSettings(misaligned="none").pairs == "none"
    assert MatchingSettings("dcca").pairs == "none"


def test_clips_must_go_together():
    with pytest.raises(ValueError, match="must be of the same clips and segments, got"):
        Clips(torch.zeros(2, 3, 4), torch.zeros(2, 4, 5), np.zeros((2, 2), np.int64))


def test_unknown_matcher():
    with pytest.raises(ModelError, match="Unknown matcher 'resnet'. Matchers are avdln, dcca"):
        build("resnet", Dims())
