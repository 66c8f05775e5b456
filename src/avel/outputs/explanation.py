"""Why a result has the events that it has: what came nearest to one, how clearly it was heard and seen, and when."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from avel.events import Localization, Segment
from avel.localization.model_choice import DEFAULT_MODEL
from avel.localization.naming import ALONE
from avel.wording import counted

THRESHOLD = 0.5
"""Score at which a category counts as heard, as seen, or as both."""

LEAST = 0.1
"""Categories that nowhere reach this are not told."""

AT_MOST = 10
"""Categories that are told."""


@dataclass(frozen=True)
class Peak:
    """The greatest score over a video.

    Attributes:
        score: in [0, 1].
        seconds: start of its segment.
    """

    score: float
    seconds: float


@dataclass(frozen=True)
class ExplainedCategory:
    """What was found of one category.

    Attributes:
        category: its name.
        heard: where it is heard best; ``None`` where it is not, or the model does not say.
        seen: where it is seen best.
        both: where it is best heard and seen at once.
        events: how many events it has.
        why: a few words.
    """

    category: str
    heard: Peak | None
    seen: Peak | None
    both: Peak | None
    events: int
    why: str


@dataclass(frozen=True)
class Explanation:
    """Why a result has the events that it has.

    Attributes:
        facts: sentences about the whole video and the thresholds.
        categories: those that came nearest to an event, the surest first, at most `AT_MOST`.
    """

    facts: tuple[str, ...]
    categories: tuple[ExplainedCategory, ...]


def explanation(result: Localization) -> Explanation:
    """Explain a result that was just made, whose segments have the scores of all categories."""
    heard = _peaks(result, lambda segment: segment.audio_scores or {})
    seen = _peaks(result, lambda segment: segment.visual_scores or {})
    both = _peaks(result, lambda segment: segment.scores)
    names = sorted(
        (name for name in {*heard, *seen, *both} if _best(name, heard, seen, both) >= LEAST),
        # What is heard tells more than what is seen: a face goes with every sound that a person makes.
        key=lambda name: (-_count(result, name), -_best(name, heard, both), -_best(name, seen), name),
    )
    categories = tuple(
        ExplainedCategory(
            category=name,
            heard=heard.get(name),
            seen=seen.get(name),
            both=both.get(name),
            events=_count(result, name),
            why=_why(result, name, heard.get(name), seen.get(name), both.get(name)),
        )
        for name in names[:AT_MOST]
    )
    return Explanation(tuple(_facts(result, bool(categories))), categories)


def _peaks(result: Localization, scores_of: Callable[[Segment], Mapping[str, float]]) -> dict[str, Peak]:
    peaks: dict[str, Peak] = {}
    for segment in result.segments:
        for name, score in scores_of(segment).items():
            if name not in peaks or score > peaks[name].score:
                peaks[name] = Peak(score, segment.start_seconds)
    return peaks


def _best(name: str, *of: Mapping[str, Peak]) -> float:
    return max((peaks[name].score for peaks in of if name in peaks), default=0.0)


def _count(result: Localization, name: str) -> int:
    return sum(event.category == name for event in result.events)


def _why(result: Localization, name: str, heard: Peak | None, seen: Peak | None, both: Peak | None) -> str:
    if _count(result, name):
        return "found"
    is_heard, is_seen = (peak is not None and peak.score >= THRESHOLD for peak in (heard, seen))
    if both is not None and both.score >= THRESHOLD:
        return "too short, or left out"
    if is_heard and is_seen:
        return "not at once"
    if is_heard:
        return "nothing to see it by" if name in result.model.get("cannot_see", ()) else "not seen"
    if is_seen:
        return "nothing to hear it by" if name in result.model.get("cannot_hear", ()) else "not heard"
    return "neither clearly"


def _facts(result: Localization, is_anything: bool) -> list[str]:
    count = len(result.segments)
    read = {
        what: sum(getattr(segment.valid, modality) for segment in result.segments)
        for what, modality in (("sound", "audio"), ("picture", "visual"))
    }
    facts = [
        f"Sound could be read in {read['sound']} of {counted(count, 'segment')}, the picture in {read['picture']}.",
        f"A category counts as heard or seen from a score of {THRESHOLD}, and is an event where it is both.",
    ]
    if result.model.get("name") == DEFAULT_MODEL:
        facts.append(
            f"What is only heard, or only seen, is told where its probability is {ALONE} or more and nothing surer is "
            "there."
        )
    selection = result.model.get("selection") or {}
    given = [name for name, value in selection.items() if value not in (0, 0.0, "all")]
    if given:
        said = ", ".join(f"{name} {selection[name]}" for name in given)
        facts.append(f"Events were then left out or joined as was asked for: {said}.")
    if not is_anything:
        looked_for = len(result.model.get("categories", ()))
        of = counted(looked_for, "category was", "categories were")
        facts.append(f"No category has a score of {LEAST} anywhere; {of} looked for.")
    return facts
