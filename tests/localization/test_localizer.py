import csv
import functools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from audio_tracks import two_sounds

import avel
from avel.data.categories import Category
from avel.errors import CategoriesError, MediaError, WeightsError
from avel.features.extract import FeatureBatch
from avel.localization import agreement_system

pytestmark = pytest.mark.usefixtures("localizer_weights")


@pytest.fixture(scope="module")
def localizer(weight_file):
    weight_file("yamnet")
    return avel.Localizer(audio_tagger="yamnet")


@pytest.fixture(scope="module")
def ave_localizer(weight_file):
    weight_file("yamnet")
    return avel.Localizer(audio_tagger="yamnet", categories="ave")


@pytest.fixture(scope="module")
def embedded_localizer():
    return avel.Localizer(audio_tagger="embedded", categories="ave")


@pytest.fixture(scope="module")
def localized():
    """What a localizer finds in a video, found once for all tests."""
    return functools.cache(lambda localizer, video: localizer(video))


@pytest.fixture(scope="module")
def spoken(hello, localizer, localized):
    """What is found in the example clip."""
    return localized(localizer, hello)


def test_threads_share_a_localizer(event_clips, clips, embedded_localizer, localized):
    videos = [event_clips / "dog_bark_avsync.mp4", clips / "more" / "e.mp4"]
    one_after_the_other = [localized(embedded_localizer, video) for video in videos]
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(embedded_localizer, videos)) == one_after_the_other


def test_actions_are_looked_for_where_they_could_confirm_what_is_heard_for_long_enough(localizer):
    system = localizer.system
    scores = {backbone.name: np.zeros((4, backbone.regions, backbone.dims)) for backbone in system.backbones.visual[:2]}
    tagger, voice, edges = system.backbones.audio
    heard = np.zeros((4, tagger.steps, tagger.dims), np.float32)
    heard[1, :, tagger.labels.index("Hammer")] = 0.8
    heard[2, 4, tagger.labels.index("Hammer")] = 0.3  # 0.1 s: its mean over half a second is too little
    heard[3, :, tagger.labels.index("Violin, fiddle")] = 0.8
    scores["efficientnet-lite0"][3, :, system.backbones.visual[0].labels.index("violin, fiddle")] = 0.9
    audio = {tagger.name: heard, voice.name: np.zeros((4, 3)), edges.name: np.zeros((4, edges.steps, 3))}
    valid = np.ones(4, dtype=bool)
    assert system.gates["i3d"](FeatureBatch(scores, audio, valid, valid)).tolist() == [False, True, False, False]


def test_it_is_asked_whose_voice_it_is_where_somebody_may_speak(localizer):
    system = localizer.system
    tagger = system.backbones.audio[0]
    heard = np.zeros((4, tagger.steps, tagger.dims), np.float32)
    heard[1, 7, tagger.labels.index("Speech")] = 0.06
    heard[2, :, tagger.labels.index("Bark")] = 0.9
    heard[3, 0, tagger.labels.index("Rapping")] = 0.05
    batch = FeatureBatch({}, {tagger.name: heard}, np.ones(4, bool), np.ones(4, bool))
    assert system.gates["voice"](batch).tolist() == [False, True, False, True]


def test_nobody_is_asked_whose_voice_it_is_where_no_category_wants_to_know():
    system = avel.Localizer(audio_tagger="embedded", categories="dog, cat").system
    tagger = system.backbones.audio[0]
    heard = np.ones((2, tagger.steps, tagger.dims), np.float32)
    batch = FeatureBatch({}, {tagger.name: heard}, np.ones(2, bool), np.ones(2, bool))
    assert not system.gates["voice"](batch).any()


def test_a_kind_of_voice_is_not_heard_by_itself():
    man = Category("Man", ("low voice",), ("talking face",), 0.4, 0.3)
    with pytest.raises(CategoriesError, match=r"Category 'Man': 'low voice' says whose voice .* under audio_requires"):
        avel.Localizer(audio_tagger="embedded", categories=[man])


def audio_visual(result):
    return {event.category for event in result.events if event.modality == "audio-visual"}


def test_a_man_is_seen_and_heard_when_he_speaks_and_not_when_he_types(spoken):
    voices = {"Male speech, man speaking", "Speech"}
    speech = [e for e in spoken.events if e.category in voices and e.modality == "audio-visual"]
    assert speech
    inside = np.zeros(9, bool)
    for event in speech:
        inside[int(event.start_seconds) : int(np.ceil(event.end_seconds))] = True
    assert inside[:2].all()
    assert not inside[4:6].any()
    assert audio_visual(spoken) <= voices


@pytest.mark.parametrize(
    ("clip", "category"),
    [
        ("dog_bark_02677.mp4", "Bark"),
        ("dog_bark_02754.mp4", "Bark"),
        ("dog_bark_avsync.mp4", "Bark"),
        ("baby_cry_01951.mp4", "Baby cry, infant cry"),
        ("race_car.mp4", "Race car, auto racing"),
    ],
)
def test_labelled_events_are_found(event_clips, ave_localizer, localized, clip, category):
    assert category in audio_visual(localized(ave_localizer, event_clips / clip))


@pytest.mark.parametrize(
    ("clip", "categories"),
    [
        ("dog_bark_avsync.mp4", {"Bark", "Dog"}),
        ("drum_02480.mp4", {"Drum", "Drum kit", "Percussion"}),
        ("harp_6zlMP.mp4", {"Harp"}),
        ("bird_0nib7.mp4", {"Bird", "Bird vocalization, bird call, bird song"}),
    ],
)
def test_everyday_events_are_found(event_clips, localizer, localized, clip, categories):
    assert categories & audio_visual(localized(localizer, event_clips / clip))


def test_starts_are_finer_than_segments_unless_asked_otherwise(event_clips, localizer, localized):
    found = localized(localizer, event_clips / "dog_bark_avsync.mp4")
    bark = [event for event in found.events if event.category in ("Bark", "Dog")]
    assert any(event.start_seconds % 1 for event in bark)
    on_grid = avel.localize(event_clips / "dog_bark_avsync.mp4", audio_tagger="yamnet", refine=False)
    assert on_grid.events
    assert all(event.start_seconds % 1 == 0 for event in on_grid.events)


@pytest.mark.parametrize(
    ("clip", "category"),
    [
        ("dog_bark_02677.mp4", "Bark"),
        ("dog_bark_02754.mp4", "Bark"),
        ("dog_bark_avsync.mp4", "Bark"),
        ("baby_cry_01951.mp4", "Baby cry, infant cry"),
    ],
)
def test_the_embedded_tagger_hears_dogs_and_the_baby(event_clips, embedded_localizer, localized, clip, category):
    assert category in audio_visual(localized(embedded_localizer, event_clips / clip))


def without(monkeypatch, *missing):
    """As where the weights of these audio taggers are not available."""
    make = agreement_system.audio_backbone

    def make_others(name, *arguments, **settings):
        if name in missing:
            raise WeightsError("not here")
        return make(name, *arguments, **settings)

    monkeypatch.setattr(agreement_system, "audio_backbone", make_others)


def test_where_yamnet_is_not_available_the_embedded_tagger_listens_and_is_named(hello, monkeypatch):
    without(monkeypatch, "yamnet", "yamnet-onnx")
    localizer = avel.Localizer(categories="ave")
    assert "embedded audio tagger" in localizer.notices[-1]
    result = localizer(hello)
    assert "embedded" in result.model["backbones"]
    assert "yamnet" not in result.model["backbones"]
    assert "Male speech, man speaking" in audio_visual(result)


def test_where_yamnets_own_file_is_not_available_that_of_the_package_index_listens(hello, monkeypatch, weight_file):
    weight_file("yamnet-onnx")
    without(monkeypatch, "yamnet")
    localizer = avel.Localizer()
    assert not localizer.notices
    result = localizer(hello)
    assert "yamnet-onnx" in result.model["backbones"]
    assert "Male speech, man speaking" in audio_visual(result)


def test_an_unknown_audio_tagger():
    with pytest.raises(ValueError, match="Unknown audio tagger 'ears'. Supported are auto, yamnet, yamnet-onnx"):
        avel.Localizer(audio_tagger="ears")


def test_a_narrator_who_is_not_seen_makes_no_audio_visual_event(event_clips, localizer):
    result = localizer(event_clips / "speech_nasa.mp4")
    assert audio_visual(result) == set()
    heard = {event.category for event in result.events if event.modality == "audio"}
    assert heard & {"Speech", "Male speech, man speaking"}


def test_clips_of_other_categories_give_no_event(event_clips, ave_localizer):
    with (event_clips / "labels.csv").open(newline="") as file:
        others = [row["file"] for row in csv.DictReader(file) if row["category"].startswith("other:")]
    speech = {"Male speech, man speaking", "Female speech, woman speaking"}
    false = {clip: audio_visual(ave_localizer(event_clips / clip)) - speech for clip in others}
    assert not {clip: found for clip, found in false.items() if found}


def test_every_odd_file_works_or_says_why_not(odd_files, embedded_localizer):
    for path in sorted(odd_files.iterdir()):
        try:
            result = embedded_localizer(path)
        except MediaError as error:
            message = str(error)
            assert path.name in message
            assert "\n" not in message
        else:
            assert result.segments
            assert result.segments[0].start_seconds == 0
            assert result.segments[-1].end_seconds == pytest.approx(result.duration_seconds)


def test_result_says_what_made_it_and_what_cannot_be_found(event_clips, ave_localizer, localized):
    model = localized(ave_localizer, event_clips / "dog_bark_avsync.mp4").model
    assert model["name"] == "agreement"
    assert model["cannot_see"] == ["Helicopter", "Shofar"]
    assert model["cannot_hear"] == []
    for backbone in ave_localizer.backbone_names:
        assert model["backbones"][backbone]


def test_longer_segments(hello):
    result = avel.localize(hello, segment_seconds=2.5)
    assert [segment.start_seconds for segment in result.segments] == [0, 2.5, 5, 7.5]
    assert audio_visual(result) & {"Male speech, man speaking", "Speech"}


def test_own_categories(hello, tmp_path, weight_file):
    weight_file("yamnet")
    path = tmp_path / "mine.toml"
    path.write_text('[[categories]]\nname = "Typing"\naudio = ["Typing", "Computer keyboard"]\n', encoding="utf-8")
    result = avel.localize(hello, categories=path, audio_tagger="yamnet")
    (event,) = result.events
    assert (event.category, event.modality) == ("Typing", "audio")
    assert 3 <= event.start_seconds <= 4
    assert event.end_seconds <= 6


def test_categories_in_ones_own_words(hello):
    localizer = avel.Localizer(audio_tagger="embedded", categories=["typing", "man speaking", "helicopter"])
    assert localizer.notices[0] == "typing: heard as Typing 1.00; seen as Typing"
    assert localizer.notices[2] == "helicopter: heard as Helicopter 1.00; nothing to see it by"
    result = localizer(hello)
    assert ("man speaking", "audio-visual") in {(event.category, event.modality) for event in result.events}
    assert result.model["categories"] == ["typing", "man speaking", "helicopter"]
    assert result.model["notes"]["helicopter"].startswith("Heard as Helicopter 1.00; nothing to see it by.")
    assert "helicopter" in result.model["cannot_see"]


def test_words_and_categories_together():
    siren = Category("rain", ("Siren",), (), audio_threshold=0.2, visual_threshold=0.2)
    with pytest.raises(CategoriesError, match="'rain' is there twice; names must differ"):
        avel.Localizer(categories=["rain", siren])
    with pytest.raises(CategoriesError, match="No event category is named"):
        avel.Localizer(categories=" , ")


def test_own_category_with_a_class_that_no_tagger_has():
    moon = Category("Moon", ("Moonlight",), (), audio_threshold=0.2, visual_threshold=0.2)
    with pytest.raises(CategoriesError, match="no class 'Moonlight'"):
        avel.Localizer(categories=[moon])


def test_plot_is_a_figure(spoken):
    figure = avel.plot(spoken)
    assert figure.get_axes()


def test_the_audio_track_can_be_chosen_and_the_result_says_which_it_was(
    event_clips, tmp_path, embedded_localizer, localized
):
    video = two_sounds(tmp_path / "two.mkv", event_clips / "dog_bark_avsync.mp4")
    own = avel.Localizer(audio_tagger="embedded", audio_track=2)(video)
    silent = avel.Localizer(audio_tagger="embedded", audio_track=1)(video)
    assert (own.model["audio_track"], silent.model["audio_track"]) == (2, 1)
    assert audio_visual(own)
    assert not audio_visual(silent)
    assert "audio_track" not in localized(embedded_localizer, event_clips / "dog_bark_avsync.mp4").model
