"""Results for the tests of outputs: what a localizer would say of real clips, made by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hand_made_results import Span, make_result

from avel.events import BACKGROUND, Localization

Make = Callable[..., Localization]


def make_trained_result(
    video: str | Path = "clip.mp4", grid: tuple[int, int] = (2, 2), **changes: object
) -> Localization:
    """As `make_result`, of a model that tells no modality but where it looks: in the bottom right part."""
    made = make_result(video, **{"events": [("Bark", 2.0, 5.0, "audio-visual", 0.9)], **changes})
    segments = tuple(
        replace(
            s,
            audio_scores=None,
            visual_scores=None,
            scores={"Cat": 0.1} | ({s.category: s.score} if s.category != BACKGROUND else {}),
        )
        for s in made.segments
    )
    attention = np.zeros((len(segments), *grid), np.float32)
    attention[:, -1, -1] = [s.score if s.category != BACKGROUND else 0 for s in segments]
    return replace(made, segments=segments, attention=attention)


@pytest.fixture
def make_trained() -> Make:
    return make_trained_result


@pytest.fixture
def result() -> Localization:
    """A result that needs no video."""
    return make_result()


@pytest.fixture
def make() -> Make:
    return make_result


@pytest.fixture
def dog(event_clips: Path) -> Localization:
    """A real clip of 10 s with picture and sound."""
    events: list[Span] = [
        ("Bark", 0, 4, "audio-visual", 0.93),
        ("Bark", 5, 9, "audio-visual", 0.71),
        ("Male speech, man speaking", 6, 8, "audio", 0.58),
    ]
    return make_result(event_clips / "dog_bark_02754.mp4", 10.031, events)
