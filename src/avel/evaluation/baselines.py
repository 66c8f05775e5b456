"""What needs no learning. A model that does not beat these has learned nothing; they stand beside every result."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from avel.evaluation.metrics import Classes, Metrics, measure

ALWAYS_BACKGROUND = "always background"
WHOLE_VIDEO = "true category, whole video (oracle)"
RANDOM = "random class"


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
