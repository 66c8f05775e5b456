"""What a search found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from avel.events import Modality
from avel.features.feature_file import BackboneModality
from avel.matching.calibration import CLOSE
from avel.wording import counted

Asked = Literal["audio", "video", "image", "category", "text"]


@dataclass(frozen=True)
class Hit:
    """A moment of a library's video.

    Attributes:
        video: path of the video.
        start_seconds: where the moment starts.
        end_seconds: where it ends.
        score: in [0, 1]; `avel.matching.calibration.CLOSE` or more is close.
        modality: in what it is close, or where it is in neither, closer.
        scores: of the modalities that were looked at.
        why: what the taggers hear and see there.
        copies: other paths of the same video.
    """

    video: str
    start_seconds: float
    end_seconds: float
    score: float
    modality: Modality
    scores: Mapping[BackboneModality, float]
    why: str
    copies: tuple[str, ...] = ()

    @property
    def is_close(self) -> bool:
        """Whether it counts as found."""
        return self.score >= CLOSE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "video": self.video,
            "start_seconds": self.start_seconds,
            "end_seconds": self.end_seconds,
            "score": round(self.score, 4),
            "close": self.is_close,
            "modality": self.modality,
            "scores": {name: round(value, 4) for name, value in self.scores.items()},
            "why": self.why,
            "copies": list(self.copies),
        }


@dataclass(frozen=True)
class SearchResult:
    """What a search gives.

    Attributes:
        library: its folder.
        asked: what was looked for: a path or words.
        kind: by what.
        looked_in: the modalities that were looked at.
        hits: nearest first; those that are not close come last and are no finds.
        segments: how many segments the library has.
        notes: what a user should know.
    """

    library: str
    asked: str
    kind: Asked
    looked_in: Sequence[BackboneModality]
    hits: tuple[Hit, ...]
    segments: int
    notes: tuple[str, ...] = field(default=())

    @property
    def close(self) -> tuple[Hit, ...]:
        """Hits that count as found."""
        return tuple(hit for hit in self.hits if hit.is_close)

    @property
    def summary(self) -> str:
        """A sentence on what was found."""
        if not self.segments:
            return f"{self.library} has no video yet."
        if self.close:
            moments = counted(len(self.close), "moment")
            return f"{moments} close to {self.asked}, among {counted(self.segments, 'segment')}."
        if not self.hits:
            return f"Nothing close to {self.asked} among {counted(self.segments, 'segment')}."
        best = self.hits[0]
        return (
            f"Nothing close to {self.asked} among {counted(self.segments, 'segment')}: the nearest is {best.video} at "
            f"{best.start_seconds:g} s with a score of {best.score:.2f}, and {CLOSE:g} is close."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "library": self.library,
            "asked": self.asked,
            "kind": self.kind,
            "looked_in": list(self.looked_in),
            "close_from": CLOSE,
            "summary": self.summary,
            "segments": self.segments,
            "notes": list(self.notes),
            "hits": [hit.to_dict() for hit in self.hits],
        }
