"""What needs no learning. A model that does not beat these has learned nothing; they stand beside every result."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from avel.metrics.multi_label import MultiLabelMetrics, measure_multi_label
from avel.metrics.segments import Metrics, measure
from avel.metrics.values import Classes

ALWAYS_BACKGROUND = "always background"
WHOLE_VIDEO = "true category, whole video (oracle)"
RANDOM = "random class"
RANDOM_START = "random start"
MOST_FREQUENT = "most frequent class of training"
EVERY_CATEGORY = "always every category"
TRUE_CATEGORIES = "true categories, whole video (oracle)"
RANDOM_SCORES = "random scores"


def baselines(
    true: npt.ArrayLike,
    video_classes: npt.ArrayLike,
    num_classes: int,
    *,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
    seed: int = 0,
) -> Mapping[str, Metrics]:
    """Metrics of the trivial answers on a set, by name.

    Args:
        true: (N, T) the true classes.
        video_classes: (N,) each video's category, which the oracle gives to all of its segments.
        num_classes: C; class C - 1 is background.
        valid: (N, T), False where a segment is only padding.
        segment_seconds: length of a segment.
        seed: of the random answer, one of C classes with equal chance for each segment.

    Raises:
        ValueError: if shapes differ or a class is out of range.
    """
    t = np.asarray(true)
    of_videos = np.asarray(video_classes)
    if t.ndim != 2 or of_videos.shape != t.shape[:1]:
        raise ValueError(
            f"true must have shape (N, T) and video_classes shape (N,), got {t.shape} and {of_videos.shape}."
        )
    answers: dict[str, Classes] = {
        ALWAYS_BACKGROUND: np.full(t.shape, num_classes - 1),
        WHOLE_VIDEO: np.broadcast_to(of_videos[:, None], t.shape),
        RANDOM: np.random.default_rng(seed).integers(num_classes, size=t.shape),
    }
    return {
        name: measure(answer, t, num_classes, valid=valid, segment_seconds=segment_seconds)
        for name, answer in answers.items()
    }


def video_baselines(
    true: npt.ArrayLike, training_classes: npt.ArrayLike, num_classes: int, *, seed: int = 0
) -> Mapping[str, Metrics]:
    """Metrics of the trivial answers where only whole videos are classified.

    Args:
        true: (N, 1) the true classes.
        training_classes: (M,) those of the training videos.
        num_classes: C.
        seed: of the random answer.
    """
    t = np.asarray(true)
    most = np.bincount(np.asarray(training_classes), minlength=num_classes).argmax()
    answers: dict[str, Classes] = {
        MOST_FREQUENT: np.full(t.shape, most),
        RANDOM: np.random.default_rng(seed).integers(num_classes, size=t.shape),
    }
    return {name: measure(answer, t, num_classes) for name, answer in answers.items()}


def multi_label_baselines(
    true: npt.ArrayLike,
    *,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
    has_times: bool = True,
    seed: int = 0,
) -> Mapping[str, MultiLabelMetrics]:
    """Metrics of the trivial answers where segments may hold several categories.

    Args:
        true: (N, T, K) bool.
        valid: (N, T), False where a segment is only padding.
        segment_seconds: length of a segment.
        has_times: whether it is known when events are; without, the oracle would know everything and is left out.
        seed: of the random scores, even in [0, 1].
    """
    t = np.asarray(true, np.bool_)
    inside = t if valid is None else t & np.asarray(valid, np.bool_)[..., None]
    random = np.random.default_rng(seed).random(t.shape)
    answers = {
        ALWAYS_BACKGROUND: np.zeros(t.shape),
        EVERY_CATEGORY: np.ones(t.shape),
        **(
            {TRUE_CATEGORIES: np.broadcast_to(inside.any(1, keepdims=True), t.shape).astype(float)} if has_times else {}
        ),
        RANDOM_SCORES: random,
    }
    return {
        name: measure_multi_label(answer, answer >= 0.5, t, valid=valid, segment_seconds=segment_seconds)
        for name, answer in answers.items()
    }
