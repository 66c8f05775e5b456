"""Results as a localizer would give them, made by hand."""

from pathlib import Path

from avel.events import BACKGROUND, Event, Localization, Modality, Segment, Validity, by_start, segment_bounds

Span = tuple[str, float, float, Modality, float]


def make_result(
    video: str | Path = "clip.mp4",
    duration_seconds: float = 10.0,
    events: list[Span] | None = None,
    segment_seconds: float = 1.0,
    unheard: tuple[int, ...] = (),
    unseen: tuple[int, ...] = (),
    warnings: tuple[str, ...] = (),
) -> Localization:
    """A result whose segments agree with its events: (category, start, end, modality, score)."""
    spans = [("Bark", 2.0, 5.0, "audio-visual", 0.9), ("Goat", 6.0, 7.0, "audio", 0.6)] if events is None else events
    segments = []
    for index, (start, end) in enumerate(segment_bounds(duration_seconds, segment_seconds)):
        here = [span for span in spans if span[1] <= start < span[2]]
        both = [span for span in here if span[3] == "audio-visual"]
        segments.append(
            Segment(
                start_seconds=start,
                end_seconds=end,
                category=both[0][0] if both else BACKGROUND,
                score=both[0][4] if both else 0.9,
                audio_scores={"Cat": 0.1} | {s[0]: s[4] for s in here if s[3] != "visual"},
                visual_scores={"Cat": 0.2} | {s[0]: s[4] for s in here if s[3] != "audio"},
                valid=Validity(audio=index not in unheard, visual=index not in unseen),
            )
        )
    model = {
        "name": "agreement",
        "backbones": {"yamnet": {"sha256": "ab" * 32}, "efficientnet-lite0": {"sha256": "cd" * 32}},
        "cannot_see": ["Goat"],
    }
    found = by_start(Event(c, s, e, score, modality) for c, s, e, modality, score in spans)
    return Localization(str(video), duration_seconds, segment_seconds, model, found, tuple(segments), warnings)
