"""A clip of 8 s, dark and silent but for a flash and a tone from 3 to 6 s; a matcher that joins both."""

import json

import pytest
import tiny_backbones
import torch
from audio_tracks import two_sounds
from tiny_backbones import BandEnergies, MeanColours

from avel.errors import MediaError, ModelError
from avel.features.store import entries
from avel.localization.moments import MomentFinder
from avel.matching import weights
from avel.matching.avdln import Avdln
from avel.matching.base import MatcherOptions
from avel.models.options import Dims
from avel.outputs.moments import plot_moment, write_moment
from avel.testing.tone_and_flash import make_clip
from avel.training.features import FeatureRecord

NETWORKS = {name: entry.network for name, entry in entries([MeanColours(), BandEnergies()]).items()}
RECIPE = tiny_backbones.RECIPE
FEATURES = FeatureRecord(4, 3, 8, 1.0, RECIPE.visual, RECIPE.audio, NETWORKS, RECIPE.to_dict())


@pytest.fixture
def matcher_file(tmp_path):
    """Brightness goes with loudness."""
    matcher = Avdln(Dims(visual_dims=3, audio_dims=8), MatcherOptions(hidden_dims=1, embedding_dims=1))
    with torch.no_grad():
        for first, scale in ((matcher.embed_visual, 1 / 3), (matcher.embed_audio, 2.0)):
            first[0].weight.fill_(scale)
            first[2].weight.fill_(1.0)
    path = tmp_path / "matcher.safetensors"
    weights.save(matcher, path, {"features": FEATURES.to_dict()})
    return path


@pytest.fixture
def finder(matcher_file):
    return MomentFinder(matcher_file, loader=tiny_backbones.load)


@pytest.fixture
def clip(tmp_path):
    return make_clip(tmp_path / "clip.mkv", 8.0, events=[(3.0, 6.0)])


@pytest.mark.parametrize("direction", ["a2v", "v2a"])
def test_a_part_is_found_where_it_is(direction, finder, clip):
    found = finder.find_part(clip, direction, 3, 6)
    assert (found.start_seconds, found.end_seconds) == (3, 6)
    assert found.starts_seconds == (0, 1, 2, 3, 4, 5)
    assert sorted(found.distances)[0] == found.distances[3] < sorted(found.distances)[1]
    assert (found.direction, found.query, found.video) == (direction, str(clip), str(clip))
    assert (found.query_start_seconds, found.query_end_seconds) == (3, 6)


def test_a_sound_of_another_file_is_found(finder, clip, tmp_path):
    other = make_clip(tmp_path / "tone.mkv", 3.0, events=[(0.0, 1.0)], video_span=None)
    found = finder.find_sound(clip, other)
    assert (found.start_seconds, found.end_seconds) == (5, 8)  # the last bright second, then two dark ones
    assert found.query == str(other)


def test_a_matcher_listens_to_the_audio_track_that_it_was_trained_on(matcher_file, clip, tmp_path):
    video = two_sounds(tmp_path / "two.mkv", clip)  # track 1 has a second of silence, track 2 the tone
    matcher, said = weights.load_with_metadata(matcher_file)
    on_track = {}
    for number in (1, 2):
        said["features"]["recipe"]["audio_track"] = number
        on_track[number] = tmp_path / f"{number}.safetensors"
        weights.save(matcher, on_track[number], said)
    followed = MomentFinder(on_track[2], loader=tiny_backbones.load)
    assert followed.find_part(video, "v2a", 3, 6).start_seconds == 3
    assert followed.find_part(video, "a2v", 3, 6).start_seconds == 3
    assert followed.find_sound(video, clip).start_seconds == 0  # a file with one track, as long as the video
    said_of_it = "Audio track 2 is listened to, on which the model was trained; --audio-track chooses another."
    assert followed.notices == (said_of_it,)
    silent = MomentFinder(on_track[1], loader=tiny_backbones.load)
    with pytest.raises(MediaError, match="its sound cannot be read all through the query"):
        silent.find_part(video, "a2v", 3, 6)
    other = MomentFinder(on_track[1], audio_track=2, loader=tiny_backbones.load)
    assert other.find_part(video, "a2v", 3, 6).start_seconds == 3
    assert other.notices == ("The model was trained on audio track 1, and audio track 2 is listened to.",)


def test_a_part_takes_the_segments_that_it_touches(finder, clip):
    found = finder.find_part(clip, "a2v", 3.5, 5.2)
    assert (found.query_start_seconds, found.query_end_seconds, found.start_seconds) == (3, 6, 3)


def test_a_query_must_be_there_and_fit(finder, clip, tmp_path):
    with pytest.raises(MediaError, match=r"clip.mkv: the part from 7 to 9 s is not in it; it has 8 s"):
        finder.find_part(clip, "a2v", 7, 9)
    with pytest.raises(ValueError, match="0 <= START < END, got 6 and 3"):
        finder.find_part(clip, "a2v", 6, 3)
    long = make_clip(tmp_path / "long.mkv", 9.0, events=[(0.0, 1.0)], video_span=None)
    with pytest.raises(MediaError, match="its pictures have 8 segments, and the query has 9. Give a shorter one"):
        finder.find_sound(clip, long)
    with pytest.raises(MediaError, match=r"clip.mkv: it is silent \(below -60 dB .* from 0 to 2 s: there is nothing"):
        finder.find_part(clip, "a2v", 0, 2)
    silent = make_clip(tmp_path / "silent.mkv", 4.0, audio_span=None)
    with pytest.raises(MediaError, match=r"silent.mkv: "):
        finder.find_part(silent, "v2a", 0, 2)


def test_a_start_over_a_missing_part_is_no_answer(finder, tmp_path):
    clip = make_clip(tmp_path / "late.mkv", 8.0, events=[(3.0, 6.0)], audio_span=(0.0, 5.0))
    found = finder.find_part(clip, "v2a", 3, 5)
    assert found.start_seconds == 3
    assert found.to_dict()["distances"][4:] == [None] * 3
    assert found.to_dict()["distances"][3] is not None


def test_a_matcher_that_does_not_say_its_features_is_refused(tmp_path):
    path = tmp_path / "old.safetensors"
    weights.save(Avdln(Dims(visual_dims=3, audio_dims=8), MatcherOptions()), path)
    with pytest.raises(ModelError, match="old.safetensors: does not say on which features it was trained"):
        MomentFinder(path, loader=tiny_backbones.load)


def test_a_moment_is_written_as_json_and_picture(finder, clip, tmp_path):
    found = finder.find_part(clip, "a2v", 3, 6)
    said = json.loads(write_moment(found, tmp_path / "moment.json").read_text())
    assert said == found.to_dict()
    assert (said["start_seconds"], len(said["distances"])) == (3, 6)
    assert write_moment(found, tmp_path / "moment.png").read_bytes()[:4] == b"\x89PNG"
    (axes,) = plot_moment(found).axes
    assert list(axes.lines[0].get_ydata()) == list(found.distances)
    assert list(axes.lines[1].get_xdata()) == [3]
    with pytest.raises(ValueError, match=r"moment.txt: a moment is written as .json or .png"):
        write_moment(found, tmp_path / "moment.txt")
