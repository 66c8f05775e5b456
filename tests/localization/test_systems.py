"""Agreement in windows, and checkpoints: what they need, what they refuse, and how their answers are read."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from audio_tracks import two_sounds
from tiny_backbones import BandEnergies, MeanColours, load, load_nothing
from tiny_checkpoints import CATEGORIES, FEATURES, NETWORKS, write_checkpoint

import avel
from avel.backbones.voice import VOICES, Voice
from avel.data.categories import Category
from avel.errors import FeaturesError, ModelError, WeightsError
from avel.events import BACKGROUND
from avel.features.extract import extract
from avel.features.jobs import Backbones
from avel.localization.agreement_system import AgreementSystem
from avel.localization.decoding import ARGMAX, Decoding
from avel.localization.windows import slide
from avel.models.agreement import Agreement
from avel.models.details import between_segments
from avel.synchrony.witness import Witness
from avel.testing.tone_and_flash import make_clip
from avel.training import checkpoint

SMALL = {"lstm_dims": 4, "attention_dims": 4, "attention_hidden_dims": 4}


class Grid(MeanColours):
    grid = (2, 2)


class Whole(MeanColours):
    regions = 1


def load_whole(recipe, device, threads):
    return Backbones([Whole()], [BandEnergies()])


def load_grid(recipe, device, threads):
    return Backbones([Grid()] if recipe.visual else [], [BandEnergies()] if recipe.audio else [])


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """23.4 s, with a tone and a flash from 3 to 6 s and from 12 to 20 s."""
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    return make_clip(path, 23.4, events=[(3, 6), (12, 20)], frame_rate=4, sample_rate=8000)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return make_clip(
        tmp_path_factory.mktemp("clip") / "short.mkv", 3.0, events=[(1, 2)], frame_rate=4, sample_rate=8000
    )


def test_windows_change_nothing_for_agreement():
    rng = np.random.default_rng(0)
    categories = [Category(name, (name,), (name,), 0.2, 0.2) for name in ("a", "b")]
    model = Agreement(categories, ["a", "b", "x"], ["b", "a", *VOICES])
    inputs = {
        "visual": rng.random((200, 1, 3), np.float32) * (rng.random((200, 1, 1)) > 0.2),
        "audio": rng.random((200, 1, 2), np.float32),
        "voice": rng.random((200, Voice.dims), np.float32),
    }
    inputs = {name: array.astype(np.float32) for name, array in inputs.items()}
    system = AgreementSystem.__new__(AgreementSystem)
    system._model = model
    batches = ({name: array[t : t + 8] for name, array in inputs.items()} for t in range(0, 200, 8))
    parts = [part for part in slide(batches, AgreementSystem.windows, system.predict) if part]
    assert len(parts) > 3
    whole = system.predict(inputs, np.ones(200, bool))
    for name in ("events", "audio", "visual", "voice", "audio_odds", "visual_odds"):
        np.testing.assert_allclose(np.concatenate([part[name] for part in parts]), whole[name], atol=1e-6)


def test_what_is_heard_and_in_time_is_an_event_and_no_category_that_no_motion_makes():
    system = AgreementSystem.__new__(AgreementSystem)
    system._table = (Category("Hammer", ("a",), (), 0.2, 0.2, in_time=True), Category("Engine", ("b",), (), 0.2, 0.2))
    scores = {"events": [[0.1, 0.1], [0.1, 0.1], [0.8, 0.1]], "audio": [[0.9, 0.9], [0.9, 0.9], [0.8, 0.2]]}
    predictions = {name: np.array(rows, np.float32) for name, rows in scores.items()}
    confidence = np.array([0.7, 0.2, 0.6], np.float32)
    judged = system.judged(predictions, Witness(confidence, np.zeros(3), np.zeros((3, 8, 8))))
    np.testing.assert_allclose(judged["events"], [[0.7, 0.1], [0.2, 0.1], [0.8, 0.1]])
    np.testing.assert_allclose(judged["in_time_odds"], [[0.7 / 0.3, 0], [0.25, 0], [1.5, 0]], rtol=1e-6)
    assert judged["events"].dtype == np.float32
    np.testing.assert_array_equal(system.judged(predictions, None)["events"], predictions["events"])


def test_a_clip_as_long_as_a_window_has_the_models_own_answer(clip, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", num_segments=24, **SMALL)
    result = avel.localize(clip, model=path, loader=load)
    model, _ = checkpoint.load(path)
    features = extract(clip, [MeanColours()], [BandEnergies()])
    visual, audio = (
        torch.from_numpy(x)[None] for x in (features.visual["mean-colours"], features.audio["band-energies"])
    )
    with torch.inference_mode():
        logits = model(visual, audio, torch.ones(1, 24, dtype=torch.bool)).logits[0]
    classes = logits.argmax(-1)
    assert [s.category for s in result.segments] == [(*CATEGORIES, BACKGROUND)[c] for c in classes]
    assert len(set(classes.tolist())) > 1
    p = torch.softmax(logits, -1)
    best = p[:, :-1].amax(-1)
    for segment, c, of in zip(result.segments, classes.tolist(), p, strict=True):
        if c < 3:
            rival = max(of[i] for i in range(4) if i != c)
            assert segment.score == pytest.approx(float(of[c] / (of[c] + rival)), abs=1e-5)
            assert segment.scores[CATEGORIES[c]] == segment.score
        assert (segment.audio_scores, segment.visual_scores) == (None, None)
    assert best.shape == (24,)
    assert result.segments[-1].end_seconds == pytest.approx(23.4, abs=0.3)


def test_a_long_video_is_cut_into_overlapping_windows(clip, tmp_path, monkeypatch):
    localizer = avel.Localizer(write_checkpoint(tmp_path / "a.safetensors", **SMALL), loader=load)
    shapes = []
    forward = localizer.system.model.forward
    monkeypatch.setattr(
        localizer.system.model,
        "forward",
        lambda v, a, valid: shapes.append((*v.shape, int(valid.sum()))) or forward(v, a, valid),
    )
    result = localizer(clip)
    assert shapes == [(1, 10, 4, 3, 10)] * 4  # from 0, 5, 10 and 14
    assert len(result.segments) == 24
    assert result.model["window"] == {"segments": 10, "overlap": 5}


def test_a_short_video_is_padded_and_padding_changes_nothing(short, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    exact = write_checkpoint(tmp_path / "b.safetensors", num_segments=3, **SMALL)
    padded, alone = (avel.localize(short, model=p, loader=load) for p in (path, exact))
    assert [s.category for s in padded.segments] == [s.category for s in alone.segments]
    for one, other in zip(padded.segments, alone.segments, strict=True):
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_attention_is_a_map_where_an_event_is_and_nothing_elsewhere(clip, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    everywhere = avel.localize(clip, model=path, loader=load_grid)
    median = float(np.median([max(s.scores.values()) for s in everywhere.segments]))  # of what is background too
    result = avel.localize(clip, model=path, loader=load_grid, decoding=Decoding(threshold=median, keep=median))
    assert result.attention.shape == (24, 2, 2)
    gates = [s.score if s.category != BACKGROUND else 0 for s in result.segments]
    assert 0 < sum(gate > 0 for gate in gates) < 24
    np.testing.assert_allclose(result.attention.sum(axis=(1, 2)), gates, atol=1e-5)
    assert (result.attention >= 0).all()
    lit = result.attention[np.array(gates) > 0]
    assert np.ptp(lit, axis=(1, 2)).max() > 1e-3


def test_regions_that_form_no_grid_and_models_without_attention_give_no_map(clip, short, tmp_path):
    localizer = avel.Localizer(write_checkpoint(tmp_path / "a.safetensors", **SMALL), loader=load)
    assert "Regions of mean-colours (4) form no grid, so there is no map of where." in localizer.notices
    assert localizer(short).attention is None
    whole = write_checkpoint(tmp_path / "c.safetensors", features=replace(FEATURES, regions=1), **SMALL)
    assert avel.Localizer(whole, loader=load_whole).notices == (
        "The model looks at each picture as a whole, so there is no map of where.",
    )
    plain = avel.Localizer(write_checkpoint(tmp_path / "b.safetensors", "a+v", lstm_dims=4), loader=load_grid)
    assert plain.notices == ()
    assert plain(short).attention is None


@pytest.mark.parametrize("model", ["a", "v"])
def test_what_a_model_does_not_look_at_is_not_extracted(model, short, tmp_path):
    recipes = []

    def loader(recipe, device, threads):
        recipes.append(recipe)
        return load_grid(recipe, device, threads)

    localizer = avel.Localizer(write_checkpoint(tmp_path / "a.safetensors", model, lstm_dims=4), loader=loader)
    assert (bool(recipes[0].audio), bool(recipes[0].visual)) == (model == "a", model == "v")
    assert "alone and never looks at the" in localizer.notices[0]
    result = localizer(short)
    assert all(s.valid.audio and s.valid.visual for s in result.segments)
    assert not result.warnings


@pytest.mark.slow
def test_every_model_of_the_registry_can_be_used(short, tmp_path):
    from avel.models import registry

    for name in registry.available_models():
        path = write_checkpoint(tmp_path / f"{name}.safetensors", name)
        result = avel.localize(short, model=path, loader=load_grid)
        assert len(result.segments) == 3, name
        assert result.model["name"] == name
        if result.attention is not None:
            gates = [s.score if s.category != BACKGROUND else 0 for s in result.segments]
            np.testing.assert_allclose(result.attention.sum(axis=(1, 2)), gates, atol=1e-4, err_msg=name)


def test_multi_label_models_have_a_threshold_a_category(clip, tmp_path):
    def probabilities(path):
        features = extract(clip, [MeanColours()], [BandEnergies()])
        model, _ = checkpoint.load(path)
        with torch.inference_mode():
            logits = model(
                torch.from_numpy(features.visual["mean-colours"])[None],
                torch.from_numpy(features.audio["band-energies"])[None],
                torch.ones(1, 24, dtype=torch.bool),
            ).logits[0]
        return torch.sigmoid(logits[:, :-1] - logits[:, -1:]).numpy()

    where = tmp_path / "a.safetensors"
    p = probabilities(write_checkpoint(where, num_segments=24, thresholds=(0.5, 0.5, 0.5), **SMALL))
    thresholds = tuple(float(x) for x in np.quantile(p, 0.6, axis=0))
    write_checkpoint(where, num_segments=24, thresholds=thresholds, **SMALL)
    result = avel.localize(clip, model=where, loader=load)
    found = np.zeros((24, 3), bool)
    for event in result.events:
        found[int(event.start_seconds) : int(np.ceil(event.end_seconds)), CATEGORIES.index(event.category)] = True
    np.testing.assert_array_equal(found, p >= thresholds)
    assert (found.sum(axis=1) > 1).any()  # events overlap
    assert result.model["thresholds"] == dict(zip(CATEGORIES, thresholds, strict=True))


def test_what_could_not_be_read_is_no_event_and_is_said(tmp_path):
    silent = make_clip(tmp_path / "silent.mkv", 6.0, events=[(1, 5)], frame_rate=4, audio_span=None)
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    result = avel.localize(silent, model=path, loader=load)
    assert result.events == ()
    assert "In 6 of 6 segments what the model looks at (audio and visual) could not be read" in result.warnings[-1]


def test_decoding_can_be_chosen(clip, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    assert avel.Localizer(path, loader=load).decoding == ARGMAX
    strict = avel.Localizer(path, loader=load, decoding=Decoding(threshold=0.999, keep=0.999))
    assert len(strict(clip).events) < len(avel.Localizer(path, loader=load)(clip).events)


def test_the_folder_of_a_run_will_do(short, tmp_path):
    write_checkpoint(tmp_path / "checkpoint.safetensors", **SMALL)
    result = avel.localize(short, model=tmp_path, loader=load)
    assert result.model["checkpoint"]["file"] == "checkpoint.safetensors"
    assert len(result.model["checkpoint"]["sha256"]) == 64
    assert result.model["backbones"]["mean-colours"]["side"] == 32


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        (
            replace(FEATURES, visual=(), audio=()),
            ModelError,
            "does not say which networks made the audio and visual features .* --features-of",
        ),
        (
            replace(
                FEATURES, networks={**NETWORKS, "mean-colours": {**NETWORKS["mean-colours"], "digest": "sha256:x"}}
            ),
            FeaturesError,
            "mean-colours has other weights or options .digest sha256:x, not sha256:none.. Put the weights",
        ),
        (replace(FEATURES, visual_dims=4), FeaturesError, "trained with D_v = 4, these have 3"),
        (replace(FEATURES, regions=49), FeaturesError, "trained with R = 49, these have 4"),
        (
            replace(FEATURES, recipe={"frames_per_segment": -1}),
            ModelError,
            "what it says of the features that it was trained on is not possible",
        ),
    ],
)
def test_other_features_are_refused_before_a_video_is_opened(tmp_path, features, error, message):
    path = write_checkpoint(tmp_path / "a.safetensors", features=features, **SMALL)
    with pytest.raises(error, match=message) as raised:
        avel.Localizer(path, loader=load)
    assert str(raised.value).startswith(str(path))


def test_networks_that_cannot_be_had_are_named(tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    with pytest.raises(FeaturesError, match="cannot be made here: no visual backbone is called 'mean-colours'"):
        avel.Localizer(path)
    with pytest.raises(
        WeightsError, match=r"a.safetensors was trained on features of a network that is not here. no w"
    ):
        avel.Localizer(path, loader=load_nothing)


def test_what_is_for_agreement_alone(tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    for name, value in {
        "categories": "mine.toml",
        "segment_seconds": 1.0,
        "audio_tagger": "auto",
        "open_vocabulary": "mine.toml",
    }.items():
        with pytest.raises(
            ValueError, match=f"{name} is for agreement alone; the checkpoint .*a.safetensors has its own"
        ):
            avel.Localizer(path, loader=load, **{name: value})


def test_a_model_that_is_not_trained_yet():
    with pytest.raises(ValueError, match=r"Unknown model 'dmrn'.* dmrn has to be trained first .avel train."):
        avel.Localizer("dmrn")


def test_a_run_can_be_looked_at_and_stopped(clip, tmp_path):
    localizer = avel.Localizer(write_checkpoint(tmp_path / "a.safetensors", **SMALL), loader=load)
    whole = localizer(clip)
    with localizer.start(clip) as run:
        assert run.num_segments == 0
        with pytest.raises(ValueError, match="nothing of it has been localized yet"):
            run.result()
        seconds = []
        for done in run:
            seconds.append(done)
            if done >= 16 and not run.stopped:
                partial = run.result()
                run.stop()
        result = run.result()
    assert seconds == sorted(seconds)
    assert [s.start_seconds for s in partial.segments] == [float(t) for t in range(len(partial.segments))]
    assert partial.segments == whole.segments[: len(partial.segments)]
    assert "Not finished: only the first" in partial.warnings[-1]
    assert len(result.segments) == 16
    assert result.segments[:6] == whole.segments[:6]
    assert re.fullmatch(r"Not finished: only the first 16.0 s of 23.[45] s were looked at.", result.warnings[-1])
    assert not any("Not finished" in warning for warning in whole.warnings)


def test_ungated_a_map_is_there_in_every_segment(short, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", **SMALL)
    never = Decoding(threshold=1.0, keep=1.0)
    gated, raw = (
        avel.localize(short, model=path, loader=load_grid, decoding=never, ungated=ungated) for ungated in (False, True)
    )
    assert not gated.attention.any()
    np.testing.assert_allclose(raw.attention.sum(axis=(1, 2)), 1, atol=1e-5)
    assert raw.model["ungated"]
    assert raw.segments == gated.segments
    plain = write_checkpoint(tmp_path / "b.safetensors", "a+v", lstm_dims=4)
    with pytest.raises(ValueError, match="does not say where in the picture it looks, so there is nothing to show"):
        avel.Localizer(plain, loader=load_grid, ungated=True)


def test_details_are_the_models_own_and_are_joined_over_windows(clip, short, tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors", "cman", lstm_dims=4, attention_dims=4, co_attention_dims=4)
    assert avel.localize(short, model=path, loader=load_grid).details == {}
    result = avel.localize(short, model=path, loader=load_grid, details=True)
    inputs = extract(short, [Grid()], [BandEnergies()])
    visual, audio = (
        torch.from_numpy(np.asarray(x, np.float32))[None]
        for x in (inputs.visual["mean-colours"], inputs.audio["band-energies"])
    )
    model, _ = checkpoint.load(path)
    pad = 10 - visual.shape[1]
    visual, audio = (torch.nn.functional.pad(x, (*[0, 0] * (x.ndim - 2), 0, pad)) for x in (visual, audio))
    with torch.inference_mode():
        shown = model(visual, audio, torch.arange(10)[None] < 10 - pad).shown
    count = 10 - pad
    for name in ("gates", "audio_gates", "visual_gates"):
        np.testing.assert_allclose(result.details[name], shown[name][0, :count], atol=1e-5)
    between = between_segments(result.details["temporal_attention"])
    np.testing.assert_allclose(between, shown["temporal_attention"][0, :count, :count], atol=1e-5)
    np.testing.assert_allclose(
        result.details["spatial_attention"].reshape(count, -1), shown["spatial_attention"][0, :count], atol=1e-5
    )
    long = avel.localize(clip, model=path, loader=load_grid, details=True).details
    assert {name: rows.shape for name, rows in long.items()} == {
        "spatial_attention": (24, 2, 2),
        "temporal_attention": (24, 19),
        "gates": (24,),
        "audio_gates": (24,),
        "visual_gates": (24,),
    }
    np.testing.assert_allclose(long["temporal_attention"].sum(axis=1), 1, atol=1e-5)


def test_the_videos_category_is_a_detail_of_the_models_that_decide_by_it(clip, short, tmp_path):
    sizes = {"event_dims": 4, "attention_dims": 4, "attention_hidden_dims": 4}
    path = write_checkpoint(tmp_path / "a.safetensors", "dam", **sizes)
    result = avel.localize(short, model=path, loader=load_grid, details=True)
    probabilities = result.details["video_category"]
    assert probabilities.shape == (len(result.segments), len(result.model["categories"]))
    np.testing.assert_array_equal(probabilities, probabilities[:1].repeat(len(probabilities), axis=0))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    # A segment that is relevant has the likeliest category, and any other none.
    best = result.model["categories"][int(probabilities[0].argmax())]
    relevant = result.details["event_relevance"] > 0.5
    assert [s.category for s in result.segments] == [best if yes else "background" for yes in relevant]
    long = avel.localize(clip, model=path, loader=load_grid, details=True).details["video_category"]
    np.testing.assert_allclose(long.sum(axis=1), 1, atol=1e-5)
    assert not np.allclose(long[0], long[-1])  # other windows


def test_a_checkpoint_listens_to_the_audio_track_that_it_was_trained_on(event_clips, tmp_path):
    video = two_sounds(tmp_path / "two.mkv", event_clips / "dog_bark_avsync.mp4")
    features = replace(FEATURES, recipe={**FEATURES.recipe, "audio_track": 1})
    path = write_checkpoint(tmp_path / "a.safetensors", features=features)
    followed = avel.Localizer(path, loader=load)
    assert followed(video).model["audio_track"] == 1
    said = "Audio track 1 is listened to, on which the model was trained; --audio-track chooses another."
    assert followed.notices[-1] == said
    other = avel.Localizer(path, loader=load, audio_track=2)
    assert other(video).model["audio_track"] == 2
    assert other.notices[-1] == "The model was trained on audio track 1, and audio track 2 is listened to."
    assert avel.Localizer(path, loader=load, audio_track=1).notices == followed.notices[:-1]
    unsaid = write_checkpoint(tmp_path / "b.safetensors")
    assert avel.Localizer(unsaid, loader=load)(video).model["audio_track"] == 2  # which a player would play
    # The model of pictures alone does not care.
    silent = write_checkpoint(tmp_path / "v.safetensors", "v", features=features)
    assert avel.Localizer(silent, loader=load).audio_track is None
