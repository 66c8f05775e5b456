"""Faces on real clips; following, cropping and the mouth's opening by hand."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from avel.backbones.base import Pictures
from avel.backbones.blazeface import Face
from avel.backbones.engine import EngineOptions
from avel.backbones.faces import MESH_SIDE, Faces, crop, follow, mouth_opening

NO_FACE = (
    "bird_0nib7",
    "dog_bark_02754",
    "dog_bark_avsync",
    "dog_speech_BjCEu",
    "double_bass_54bz5",
    "drum_02480",
    "hammer_00323",
    "harp_6zlMP",
    "race_car",
    "speech_nasa",
    "water_cc0",
)


@pytest.fixture(scope="module")
def faces(weight_file) -> Faces:
    weight_file("blazeface-back")
    weight_file("face-landmark")
    return Faces(EngineOptions(precision="float32"))


@pytest.fixture(scope="module")
def hello_pictures(hello: Path) -> Pictures:
    return read(hello, 6)


def read(path: Path, per_segment: int) -> Pictures:
    """(T, F, H, W, 3) pictures of the whole seconds of a clip, at most 640 pixels wide."""
    pictures, count = [], 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        start, last = None, None
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.ArgumentError:  # a Theora packet without data: the frame before is shown on
                continue
            for frame in frames:
                start = frame.time if start is None else start
                while last is not None and count / per_segment < frame.time - start - 1e-6:
                    pictures.append(picture_of(last))
                    count += 1
                last = frame
    segments = len(pictures) // per_segment
    return np.stack(pictures[: segments * per_segment]).reshape(segments, per_segment, *pictures[0].shape)


def picture_of(frame: av.VideoFrame) -> np.ndarray:
    scale = min(1, 640 / frame.width)
    return frame.to_ndarray(
        format="rgb24", width=round(frame.width * scale / 2) * 2, height=round(frame.height * scale / 2) * 2
    )


def test_what_it_gives(faces: Faces) -> None:
    assert faces.labels == ("face", "talking face")
    assert (faces.name, faces.dims, faces.regions) == ("faces", 2, 1)
    assert faces.pictures.frames_per_segment == 6
    assert faces.record["detector"]["digest"].startswith("sha256:e376cf6b")
    assert faces.record["mesh"]["digest"].startswith("sha256:2efcb4f4")


@pytest.mark.parametrize(("segment_seconds", "count"), [(0.2, 1), (0.5, 3), (2.0, 12), (30.0, 30)])
def test_pictures_grow_with_the_segment_up_to_a_limit(weight_file, segment_seconds: float, count: int) -> None:
    weight_file("blazeface-back")
    weight_file("face-landmark")
    assert Faces(EngineOptions(), segment_seconds=segment_seconds).pictures.frames_per_segment == count


def test_a_man_speaks_in_a_small_window(faces: Faces, hello_pictures: Pictures) -> None:
    face, talking = faces(hello_pictures)[:, 0].T
    assert len(face) >= 8
    assert face.min() > 0.6
    assert talking[:3].min() > 0.7  # he speaks
    assert talking[[3, 4, 7]].max() < 0.4  # he looks at the keyboard, types; is silent
    assert (talking <= face + 1e-6).all()


def test_says_where_the_face_is(faces: Faces, hello_pictures: Pictures) -> None:
    found = faces.detect(hello_pictures[:, 0])
    assert len(found) == len(hello_pictures)
    for picture in found:
        face = picture[0]
        left, top, right, bottom = face.box
        assert 90 < left < right < 150  # the window with the man is at 25-160, 50-165 of 640x426
        assert 60 < top < bottom < 150
        (right_eye, left_eye, nose, mouth, *_) = face.keypoints
        assert right_eye[0] < left_eye[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]
        assert [other.score for other in picture] == sorted((other.score for other in picture), reverse=True)


@pytest.mark.parametrize("name", NO_FACE)
def test_no_face_where_there_is_none(faces: Faces, event_clips: Path, name: str) -> None:
    scores = faces(read(event_clips / f"{name}.mp4", 6))
    assert scores.max() < 0.2


def test_a_puppy_seen_from_the_front_is_the_hardest(faces: Faces, event_clips: Path) -> None:
    assert faces(read(event_clips / "dog_bark_02677.mp4", 6))[:, 0, 0].max() < 0.7


def test_people_who_speak_in_a_film(faces: Faces, event_clips: Path) -> None:
    scores = faces(read(event_clips / "speech_friday_cc0.mp4", 6))
    assert scores.min() > 0.6


def test_a_woman_who_coughs(faces: Faces, event_clips: Path) -> None:
    face = faces(read(event_clips / "cough_00331.mp4", 6))[:, 0, 0]
    assert (face > 0.7).mean() >= 0.8  # once she turns aside


def test_a_crying_baby(faces: Faces, event_clips: Path) -> None:
    assert faces(read(event_clips / "baby_cry_01951.mp4", 6))[:4, 0, 0].min() > 0.7


def test_street_musicians(faces: Faces, event_clips: Path) -> None:
    face = faces(read(event_clips / "strings_nEmU3.mp4", 6))[:, 0, 0]
    assert (face > 0.7).mean() >= 0.8


def test_segments_do_not_depend_on_each_other(faces: Faces, hello_pictures: Pictures) -> None:
    many = np.concatenate([hello_pictures, hello_pictures[:3]])  # more than are looked at together
    together = faces(many)
    one_by_one = np.concatenate([faces(many[i : i + 1]) for i in range(len(many))])
    assert_allclose(together, one_by_one, atol=1e-5)
    assert together.shape == (len(many), 1, 2)
    assert together.dtype == np.float32


def test_one_picture_shows_a_face_but_no_motion(faces: Faces, hello_pictures: Pictures) -> None:
    scores = faces(hello_pictures[:, :1])
    assert (scores[:, 0, 0] > 0.9).mean() >= 0.8
    assert_array_equal(scores[:, 0, 1], 0)


def test_a_picture_that_stands_still_does_not_talk(faces: Faces, hello_pictures: Pictures) -> None:
    still = np.repeat(hello_pictures[1:2, :1], 6, axis=1)
    face, talking = faces(still)[0, 0]
    assert face > 0.5
    assert talking < 0.05


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 33), (360, 640), (640, 90)])
def test_pictures_with_nothing_in_them(faces: Faces, height: int, width: int) -> None:
    noise = np.random.default_rng(5).integers(0, 256, (2, 6, height, width, 3), np.uint8)
    for pictures in (noise, np.zeros_like(noise), np.full_like(noise, 128)):
        assert faces(pictures).max() < 0.05


def face_at(x: float, score: float = 0.8, size: float = 10) -> Face:
    box = np.array([x, 0, x + size, size], np.float32)
    return Face(box, score, np.zeros((6, 2), np.float32))


def test_follows_each_face() -> None:
    tracks = follow([[face_at(0), face_at(50, 0.9)], [face_at(53, 0.9), face_at(2)], [face_at(5), face_at(55, 0.9)]])
    assert [[face.box[0] for face in track.faces] for track in tracks] == [[50, 53, 55], [0, 2, 5]]
    assert [track.indices for track in tracks] == [[0, 2, 4], [0, 2, 4]]


def test_a_face_may_be_missed_once_but_not_be_seen_once() -> None:
    (track,) = follow([[face_at(0)], [face_at(90)], [face_at(4)]])
    assert track.indices == [0, 4]


def test_unsure_faces_are_dropped() -> None:
    assert follow([[face_at(0, 0.5)], [face_at(0, 0.65)], [face_at(0, 0.5)]]) == []


def test_nothing_to_follow() -> None:
    assert follow([[], [], []]) == []


def test_crop_without_a_turn_is_a_part_of_the_picture() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    part = crop(picture, np.array([180.0, 130.0]), MESH_SIDE, 0.0)
    assert_allclose(part, picture[130 - 96 : 130 + 96, 180 - 96 : 180 + 96] / 255, atol=1e-4)


def test_crop_turns_the_region_upright() -> None:
    # Turned clockwise by a quarter, as a head that lies on its left: what is right becomes up.
    picture = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    part = crop(picture, np.array([180.0, 130.0]), MESH_SIDE, math.pi / 2)
    expected = np.rot90(picture[130 - 96 : 130 + 96, 180 - 96 : 180 + 96]) / 255
    assert_allclose(part, expected, atol=1 / 255 + 1e-6)  # one rounding to 8 bits apart


@pytest.mark.parametrize("centre", [(0.0, 0.0), (50.0, 40.0)])
def test_crop_is_black_beyond_the_picture(centre: tuple[float, float]) -> None:
    part = crop(np.full((40, 50, 3), 255, np.uint8), np.array(centre), 20.0, 0.0)
    assert_allclose(part.mean(), 0.25, atol=0.03)
    assert part.min() == 0
    assert_allclose(part.max(), 1, atol=1e-6)


def test_crop_far_from_the_picture_is_black() -> None:
    picture = np.full((40, 50, 3), 255, np.uint8)
    for centre in ((-500.0, 20.0), (500.0, 20.0), (25.0, -500.0), (25.0, 500.0)):
        assert crop(picture, np.array(centre), 20.0, 0.3).max() == 0


def test_mouth_opening_is_a_share_of_the_face() -> None:
    points = np.zeros((2, 468, 3), np.float32)
    points[:, 152, 1] = 100
    points[:, 13, 1], points[0, 14, 1], points[1, 14, 1] = 60, 60, 75
    assert_allclose(mouth_opening(points), [0, 0.15])
    assert_allclose(mouth_opening(points * 3), [0, 0.15])
