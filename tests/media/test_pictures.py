import gc
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.media.pictures import (
    HLG,
    PQ,
    Orientation,
    Scaler,
    bilinear,
    display_size,
    hdr_to_sdr,
    over_black,
    picture_size,
    scale_flags,
)
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.testing.tone_and_flash import make_clip


def pq_code(nits):
    """ITU-R BT.2100, from light to code."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    light = (nits / 10000) ** m1
    return ((c1 + c2 * light) / (1 + c3 * light)) ** m2


def grey(code):
    return np.full((2, 3, 3), round(code * 65535), dtype=np.uint16)


def test_pq_light_below_the_knee_keeps_its_brightness():
    # 18 % grey under a reference white of 203 nits is 46 % of sRGB's range.
    picture = hdr_to_sdr(grey(pq_code(0.18 * 203)), PQ)
    assert np.abs(picture.astype(int) - 118).max() <= 1


def test_hlg_reference_white_is_bright_and_its_grey_is_kept():
    # ITU-R BT.2408: on a display of 1000 nits, HLG 75 % is 203 nits, and 38 % is 26 nits.
    white, dim = hdr_to_sdr(grey(0.75), HLG), hdr_to_sdr(grey(0.38), HLG)
    assert white.min() >= 240
    assert np.abs(dim.astype(int) - round(255 * (1.055 * (26 / 203) ** (1 / 2.4) - 0.055))).max() <= 3


@given(st.sampled_from([PQ, HLG]), st.integers(0, 65534))
def test_brighter_hdr_greys_are_never_darker_and_stay_grey(transfer, code):
    pair = np.array([[[code] * 3, [code + 1] * 3]], dtype=np.uint16)
    (dark, bright) = hdr_to_sdr(pair, transfer)[0].astype(int)
    assert (bright >= dark).all()
    assert np.ptp(dark) <= 1


def test_transparent_parts_are_black():
    rgba = np.array([[[200, 100, 50, 255], [200, 100, 50, 0], [200, 100, 50, 128]]], dtype=np.uint8)
    assert over_black(rgba)[0].tolist() == [[200, 100, 50], [0, 0, 0], [100, 50, 25]]


def test_transparency_is_seen_in_the_frames_format():
    rgba = np.full((8, 8, 4), 200, dtype=np.uint8)
    rgba[..., 3] = 0
    frame = av.VideoFrame.from_ndarray(rgba, format="rgba")
    assert not Scaler((4, 4))(frame, Orientation()).any()


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, 1), (180, 2), (-90, 3)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_display_matrix_turns_and_flips(tmp_path, degrees, turns, flip):
    stored = np.full((16, 24, 3), 20, dtype=np.uint8)
    stored[:8, :8] = 235
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 24, 16, "yuv420p"
        stream.set_display_rotation(degrees, hflip=flip)
        for packet in [*stream.encode(av.VideoFrame.from_ndarray(stored)), *stream.encode()]:
            container.mux(packet)
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
    orientation = Orientation.of(frame)
    # av_display_matrix_flip is applied to what was turned: a player turns, then flips.
    wanted = np.rot90(stored, turns)
    wanted = wanted[:, ::-1] if flip else wanted
    size = display_size(24, 16, None, orientation)
    assert size == (wanted.shape[1], wanted.shape[0])
    shown = Scaler(size)(frame, orientation)
    assert np.abs(shown.astype(int) - wanted).mean() < 8


@pytest.mark.parametrize(
    ("stored", "aspect", "transpose", "wanted"),
    [
        ((320, 240), None, False, (320, 240)),
        ((320, 240), Fraction(1), True, (240, 320)),
        ((720, 576), Fraction(16, 15), False, (768, 576)),
        ((720, 480), Fraction(8, 9), False, (720, 540)),
        ((720, 480), Fraction(8, 9), True, (540, 720)),
        ((320, 240), Fraction(1, 10000), False, (320, 240)),  # no real pixel is that shape
    ],
)
def test_display_size(stored, aspect, transpose, wanted):
    assert display_size(*stored, aspect, Orientation(transpose)) == wanted


@pytest.mark.parametrize(
    ("displayed", "wanted"),
    [((1280, 720), (640, 360)), ((720, 1280), (360, 640)), ((321, 241), (320, 240)), ((16384, 2), (640, 2))],
)
def test_longest_side_keeps_the_aspect_and_never_enlarges(displayed, wanted):
    assert picture_size(PictureFormat(1, longest_side=640), displayed) == wanted


def test_without_a_picture_longest_side_is_a_square():
    assert picture_size(PictureFormat(1, longest_side=64), None) == (64, 64)


def test_large_reductions_average():
    assert scale_flags((1280, 720), (224, 224)) == "area"
    assert scale_flags((320, 240), (224, 224)) == "bicubic"


@pytest.mark.parametrize("size", [(31, 17), (60, 40), (97, 83), (1, 1)])
def test_bilinear_takes_the_four_nearest_pixels(size):
    import torch

    picture = np.random.default_rng(2).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    planes = torch.from_numpy(picture).permute(2, 0, 1)[None].double()
    # PyTorch without its antialiasing does what OpenCV's resize does by default.
    wanted = torch.nn.functional.interpolate(planes, size[::-1], mode="bilinear", align_corners=False)[0].permute(
        1, 2, 0
    )
    assert np.abs(bilinear(picture, size) - wanted.numpy()).max() <= 0.501
    if size == (60, 40):
        np.testing.assert_array_equal(bilinear(picture, size), picture)


def test_bilinear_scaling_skips_the_pixels_in_between():
    stripes = np.zeros((40, 40, 3), dtype=np.uint8)
    stripes[:, ::4] = 240  # of four columns, the two in the middle are looked at
    frame = av.VideoFrame.from_ndarray(stripes)
    assert not Scaler((10, 10), "bilinear")(frame, Orientation()).any()
    assert Scaler((10, 10))(frame, Orientation()).mean() > 50


@pytest.mark.parametrize("transpose", [False, True])
def test_bilinear_scaling_gives_the_size_as_displayed(transpose):
    frame = av.VideoFrame.from_ndarray(np.full((40, 60, 3), 90, dtype=np.uint8)).reformat(format="yuv420p")
    picture = Scaler((20, 30), "bilinear")(frame, Orientation(transpose))
    assert picture.shape == (30, 20, 3)
    assert np.abs(picture.astype(int) - 90).max() <= 2


PLANAR = ["yuv420p", "yuv444p", "yuv420p10le", "yuv444p12le", "gray", "gbrp", "rgb24"]


def uniform(colour, size, pixels):
    """A frame of one colour.

    Written from one pixel of a larger frame, since FFmpeg now and then makes another colour at the edge of a frame of
    odd size when it converts one to 10 bits.
    """
    large = av.VideoFrame.from_ndarray(np.broadcast_to(colour, (64, 64, 3)).astype(np.uint8).copy())
    large = large.reformat(format=pixels)
    frame = av.VideoFrame(*size, pixels)
    pixel_bytes = 3 if pixels == "rgb24" else 2 if pixels.endswith("le") else 1
    for source, plane in zip(large.planes, frame.planes, strict=True):
        middle = source.line_size * (source.height // 2)
        row = bytes(source)[middle : middle + pixel_bytes] * plane.width
        plane.update(row.ljust(plane.line_size, b"\0") * plane.height)
    return frame


@pytest.mark.parametrize("size", [(7, 5), (64, 64), (321, 241)])
@pytest.mark.parametrize("pixels", PLANAR)
def test_pixel_formats_and_odd_sizes_give_the_colour_that_went_in(size, pixels):
    colour = np.array([120, 120, 120]) if pixels == "gray" else np.array([200, 90, 40])
    picture = Scaler((24, 18))(uniform(colour, size, pixels), Orientation())
    assert picture.shape == (18, 24, 3)
    assert np.abs(picture.astype(int) - colour).max() <= 6


@pytest.mark.parametrize(
    ("size", "matrix", "red"),
    [((1280, 720), 2, "709"), ((720, 576), 2, "601"), ((1280, 720), 5, "601"), ((320, 240), 1, "709")],
)
def test_untagged_high_definition_is_taken_as_bt709(size, matrix, red):
    """Y'CbCr of pure red, after BT.709 or BT.601; libswscale takes BT.601 for what is not tagged."""
    codes = {"709": (63, 102, 240), "601": (82, 90, 240)}[red]
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, code in zip(frame.planes, codes, strict=True):
        plane.update(bytes([code]) * plane.buffer_size)
    frame.colorspace = matrix
    picture = Scaler((16, 16))(frame, Orientation())
    assert np.abs(picture.reshape(-1, 3).astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("size", [(7, 5), (64, 64), (321, 241)])
@pytest.mark.parametrize("pixels", PLANAR)
def test_luma_is_the_brightness_of_the_colour_that_went_in(size, pixels):
    colour = np.array([120, 120, 120]) if pixels == "gray" else np.array([200, 90, 40])
    picture = Scaler((24, 18), colours="luma")(uniform(colour, size, pixels), Orientation())
    assert picture.shape == (18, 24, 1)
    assert np.abs(picture.astype(int) - colour @ (0.299, 0.587, 0.114)).max() <= 3


@pytest.mark.parametrize("pixels", ["nv12", "yuyv422", "yuva420p"])
def test_luma_may_lie_among_other_things(pixels):
    frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), (200, 90, 40), np.uint8)).reformat(format=pixels)
    picture = Scaler((24, 18), colours="luma")(frame, Orientation())
    assert picture.shape == (18, 24, 1)
    assert np.abs(picture - np.dot((200, 90, 40), (0.299, 0.587, 0.114))).max() <= 3


@pytest.mark.parametrize(("color_range", "codes"), [(0, (16, 126, 235)), (1, (16, 126, 235)), (2, (0, 128, 255))])
def test_luma_goes_from_black_to_white_whatever_the_range_of_its_codes(color_range, codes):
    for code, brightness in zip(codes, (0, 128, 255), strict=True):
        frame = av.VideoFrame(64, 48, "yuv420p")
        for plane, value in zip(frame.planes, (code, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.color_range = color_range
        picture = Scaler((16, 16), colours="luma")(frame, Orientation())
        assert np.abs(picture.astype(int) - brightness).max() <= 1


def test_luma_is_turned_and_scaled_as_rgb_is():
    random = np.random.default_rng(0)
    blocks = random.integers(0, 256, (6, 8)).repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(np.stack([blocks] * 3, axis=2)).reformat(format="yuv444p")
    for scaling in ("smooth", "bilinear"):
        turned = Orientation(transpose=True, flip_vertical=True)
        rgb = Scaler((24, 32), scaling)(frame, turned)
        luma = Scaler((24, 32), scaling, "luma")(frame, turned)
        assert luma.shape == (32, 24, 1)
        assert np.abs(luma.astype(int) - rgb.mean(axis=2, keepdims=True)).max() <= 2


def test_luma_of_high_dynamic_range_is_that_of_its_pictures():
    frame = av.VideoFrame(64, 64, "yuv420p10le")
    for plane, value in zip(frame.planes, (600, 500, 540), strict=True):
        plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
    frame.color_trc = PQ
    rgb = Scaler((16, 16))(frame, Orientation())
    luma = Scaler((16, 16), colours="luma")(frame, Orientation())
    assert np.abs(luma[..., 0] - rgb @ (0.299, 0.587, 0.114)).max() <= 0.5


def test_no_frame_waits_for_the_garbage_collector(tmp_path):
    path = make_clip(tmp_path / "clip.mp4", 2.0, frame_rate=25)
    gc.collect()
    gc.disable()
    try:
        with MediaReader(path, pictures={"small": PictureFormat(25, 16, 16)}) as reader:
            assert len(list(reader)) == 2
        alive = sum(type(thing) is av.VideoFrame for thing in gc.get_objects())
    finally:
        gc.enable()
    assert alive < 5  # of 50
