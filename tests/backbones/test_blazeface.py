"""Anchors, decoding, suppression and scaling, against slow loops and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from avel.backbones.blazeface import MAX_LOGIT, SIDE, anchors, decode, letterbox, overlap, suppress


def test_anchors_are_those_of_the_ssd_anchors_calculator() -> None:
    # As MediaPipe's calculator makes them for strides 16, 32, 32, 32: layers of one stride share their cells, and each
    # layer has an anchor for its scale and one for the scale between it and the next.
    strides, expected, layer = [16, 32, 32, 32], [], 0
    while layer < len(strides):
        same = layer
        while same < len(strides) and strides[same] == strides[layer]:
            same += 1
        cells = math.ceil(256 / strides[layer])
        for y in range(cells):
            for x in range(cells):
                expected += [((x + 0.5) / cells, (y + 0.5) / cells)] * (2 * (same - layer))
        layer = same
    assert anchors().shape == (896, 2)
    assert_allclose(anchors(), expected, atol=1e-7)


def test_decodes_one_anchor_by_hand() -> None:
    regressions, logits = np.zeros((896, 16), np.float32), np.full(896, -5, np.float32)
    logits[2] = 0.0  # the second cell: its middle is at 24, 8
    regressions[2, :4] = 4, -2, 20, 10
    regressions[2, 10:12] = 1, 6  # the mouth
    points, scores = decode(regressions, logits, 0.5)
    assert_allclose(scores, [0.5])
    assert_allclose(points[0, :2] * 256, [[28 - 10, 6 - 5], [28 + 10, 6 + 5]], rtol=1e-6)
    assert_allclose(points[0, 2 + 3] * 256, [25, 14], rtol=1e-6)


def test_decodes_as_a_loop_does(rng: np.random.Generator) -> None:
    regressions = rng.normal(0, 30, (896, 16)).astype(np.float32)
    logits = rng.normal(0, 3, 896).astype(np.float32)
    expected = []
    for regression, logit, (x, y) in zip(regressions, logits, anchors(), strict=True):
        score = 1 / (1 + math.exp(-float(logit)))
        if score < 0.7:
            continue
        centre_x, centre_y, width, height = x + regression[0] / 256, y + regression[1] / 256, *regression[2:4] / 256
        row = [centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2]
        for number in range(6):
            row += [x + regression[4 + 2 * number] / 256, y + regression[5 + 2 * number] / 256]
        expected.append([score, *row])
    points, scores = decode(regressions, logits, 0.7)
    assert len(scores) > 50
    assert_allclose(np.column_stack([scores, points.reshape(-1, 16)]), expected, rtol=1e-4, atol=1e-6)


def test_extreme_logits_are_clipped() -> None:
    logits = np.full(896, -1e30, np.float32)
    logits[7] = 1e30
    _, scores = decode(np.zeros((896, 16), np.float32), logits, 0.5)
    assert_allclose(scores, [1 / (1 + math.exp(-MAX_LOGIT))])


def test_overlap_by_hand() -> None:
    one = np.array([[0, 0], [2, 2]], np.float32)
    many = np.array(
        [[[1, 0], [3, 2]], [[0, 0], [2, 2]], [[2, 0], [3, 1]], [[1, 1], [1, 1]], [[2, 2], [0, 0]]], np.float32
    )
    assert_allclose(overlap(one, many), [2 / 6, 1, 0, 0, 0])


def test_overlapping_candidates_become_their_weighted_mean() -> None:
    boxes = np.array([[[10, 10], [12, 12]], [[0, 0], [4, 4]], [[1, 0], [5, 4]]], np.float32)
    points, scores = suppress(boxes, np.array([0.5, 0.6, 0.9], np.float32), 0.3)
    assert_allclose(scores, [0.9, 0.5])
    assert_allclose(points[0], [[0.6, 0], [4.6, 4]], rtol=1e-6)
    assert_allclose(points[1], boxes[0])


def test_suppression_of_nothing_and_of_boxes_without_area() -> None:
    points, scores = suppress(np.empty((0, 8, 2), np.float32), np.empty(0, np.float32))
    assert points.shape == (0, 8, 2)
    assert scores.shape == (0,)
    points, scores = suppress(np.ones((3, 2, 2), np.float32), np.full(3, 0.5, np.float32))
    assert len(points) == 3


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_suppresses_as_a_loop_does(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 10, (count, 1, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(1, 6, (count, 1, 2))], axis=1).astype(np.float32)
    scores = rng.permutation(np.linspace(0.4, 0.9, count)).astype(np.float32)

    left, expected = sorted(range(count), key=lambda i: -scores[i]), []
    while left:
        best, group = left[0], []
        for i in left:
            (ax, ay), (bx, by) = boxes[best].astype(float)
            (cx, cy), (dx, dy) = boxes[i].astype(float)
            common = max(min(bx, dx) - max(ax, cx), 0) * max(min(by, dy) - max(ay, cy), 0)
            if common / ((bx - ax) * (by - ay) + (dx - cx) * (dy - cy) - common) > 0.3:
                group.append(i)
        total = sum(float(scores[i]) for i in group)
        expected.append(sum(boxes[i].astype(float) * float(scores[i]) for i in group) / total)
        left = [i for i in left if i not in group]
    points, _ = suppress(boxes, scores, 0.3)
    assert_allclose(points, expected, rtol=1e-4)


@pytest.mark.parametrize(("height", "width"), [(128, 256), (16, 16), (481, 641), (1, 700), (300, 2)])
def test_letterbox_keeps_the_aspect_and_the_brightness(height: int, width: int) -> None:
    boxed = letterbox(np.full((height, width, 3), 255, np.uint8))
    assert boxed.shape == (SIDE, SIDE, 3)
    assert boxed.dtype == np.float32
    filled = np.isclose(boxed, 1, atol=1e-5)
    assert (filled | (boxed == -1)).all()
    rows, columns = filled.any(axis=(1, 2)).sum(), filled.any(axis=(0, 2)).sum()
    scale = 256 / max(height, width)
    assert rows == max(1, round(height * scale))
    assert columns == max(1, round(width * scale))
    assert filled[(SIDE - 1) // 2, (SIDE - 1) // 2].all()


def test_letterbox_averages_what_it_scales_down() -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    boxed = letterbox(np.repeat(checks[..., None], 3, axis=2))
    assert np.abs(boxed[2:-2, 2:-2]).max() < 0.01


def test_letterbox_keeps_places_and_colours() -> None:
    picture = np.zeros((256, 256, 3), np.uint8)
    picture[40, 90] = 255, 51, 0
    assert_allclose(letterbox(picture)[40, 90], [1, 51 / 127.5 - 1, -1], atol=1e-6)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize(("height", "width"), [(36, 64), (300, 100), (5, 400)])
def test_letterbox_scales_as_a_slow_triangle_filter_does(height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    step = max(height, width) / SIDE

    def triangle(source: int, target: int) -> np.ndarray:
        rows = []
        for centre in (np.arange(target) + 0.5) * (source / target) - 0.5:
            row = [max(0.0, 1 - abs(place - centre) / max(1.0, source / target)) for place in range(source)]
            rows.append(np.array(row) / sum(row))
        return np.stack(rows)

    rows, columns = max(1, round(height / step)), max(1, round(width / step))
    scaled = np.einsum("rh,hwc,kw->rkc", triangle(height, rows), picture, triangle(width, columns), optimize=True)
    top, left = (SIDE - rows) // 2, (SIDE - columns) // 2
    boxed = letterbox(picture)
    assert_allclose(boxed[top : top + rows, left : left + columns], scaled / 127.5 - 1, atol=1e-5)
    assert (boxed == -1).sum() >= 3 * (SIDE**2 - rows * columns)
