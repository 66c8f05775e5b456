"""From what is heard and seen to events with one name each.

Taggers name one sound several times over: a goat that bleats is also an animal, livestock, a sheep and a screaming
child. What they say is sorted by some rules:

- **Families.** Categories of one family (`Category.family`) share an event. It is called after the member that holds
  over most of it and is clearly heard above its siblings, and after the family where there is none.
- **One sound, one name.** Of two categories whose lists say that the tagger takes the sound of one for the other's, the
  one that is seen by its own classes has it, whatever it is heard as; where both or neither are, the one that is heard
  more clearly by its own.
- **Rivals.** Where two families claim the same time, the stronger one comes first. The other one stays if it is fully
  heard and seen by itself, and, where both are seen by the same things (one face), if it is heard about as clearly.
- **Names come from classes.** A face, a kitchen or a thing that is alike says that a source is in view, and synchrony
  that it moves with the sound; neither says what the sound is. So an event needs a moment at which its name is heard by
  itself: at its threshold where something goes with it, at `ALONE` where synchrony is the only witness.
- **Alone.** A category that is only heard, or only seen, has nothing to confirm it: it needs a probability of `ALONE`,
  and is left out where something else is heard more clearly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from avel.data.categories import Category
from avel.events import Event, Modality, by_start, step_seconds
from avel.localization.decoding import Decoding, Span, spans
from avel.localization.loudness import SHORTEST_SECONDS, Loudness
from avel.models.agreement import Odds, agreement

ALONE = 0.75
"""Probability that a category needs which only one modality says."""

BARELY = 0.5
"""Probability below which the tagger knows a sound so little that it may not name it though it is there."""

SHORTEST_ALONE_SECONDS = 0.4
"""And how long it has to be heard."""

CLEARLY = 1.5
"""How many times the odds of its siblings a member needs for its name to be said."""

MOSTLY = 0.5
"""Share of an event that a member has to hold for the event to be called after it."""

FULLY = 1.5
"""Odds that a rival needs in both modalities."""

AS_CLEARLY = 0.85
"""Share of the stronger one's probability with which a rival is heard as clearly."""

OVERLAP = 0.5
"""Share of an event that another one has to cover to be its rival."""

PAUSE_SECONDS = 0.2
"""Longest pause within an event."""


@dataclass(frozen=True)
class StepOdds:
    """What is heard and seen of a video, in N steps; odds are (N, C - 1).

    Attributes:
        audio: odds of what is heard, classes that are only alike counted too.
        heard: odds without those.
        visual: odds of what is seen.
        seen: odds by what things are alone.
        done: odds by what people do alone.
        in_time: odds that the sound is made by what moves in the picture; 0 where synchrony cannot confirm a category.
        sound: how loud it is; ``None`` where events start and end with steps.
        step_seconds: length of a step.
        duration_seconds: end of the last one.
    """

    audio: Odds
    heard: Odds
    visual: Odds
    seen: Odds
    done: Odds
    in_time: Odds
    sound: Loudness | None
    step_seconds: float
    duration_seconds: float


@dataclass(frozen=True)
class _Candidate:
    """An event that is not settled yet.

    Attributes:
        category: its number.
        root: the number of the category that its family goes back to.
        span: its steps, of half a second around them.
        edges: the steps of its sound.
        start_seconds: of the sound.
        end_seconds: of the sound.
        score: in [0, 1].
        strength: mean of the better half of its odds.
        weakest: the greatest, over its steps, of the smaller modality's odds.
        probability: of its sound, the greatest.
        shown: odds of what is seen, the greatest.
    """

    category: int
    root: int
    span: Span
    edges: Span
    start_seconds: float
    end_seconds: float
    score: float
    strength: float
    weakest: float
    probability: float
    shown: float

    @property
    def clarity(self) -> tuple[bool, float]:
        """Greater for the one of two names of a sound that is its own: the one that is seen, or heard more clearly."""
        return self.shown >= 1, self.probability

    def share_covered_by(self, other: "_Candidate") -> float:
        """Share of it that another one covers."""
        shared = min(self.end_seconds, other.end_seconds) - max(self.start_seconds, other.start_seconds)
        return shared / (self.end_seconds - self.start_seconds)


class Naming:
    """Names events by the families and the evidence of some categories.

    Args:
        categories: of the odds, in their order.
        sights: (C - 1,) what each category is seen by: numbers of visual classes.
    """

    def __init__(self, categories: Sequence[Category], sights: Sequence[frozenset[int]]) -> None:
        self._categories, self._sights = tuple(categories), tuple(sights)
        numbers = {category.name: number for number, category in enumerate(categories)}
        self._mixed: dict[int, int] = {}
        self._parent: dict[int, int] = {}
        for number, category in enumerate(categories):
            if category.family:
                family = numbers[category.family]
                (self._mixed if categories[family].mixed else self._parent)[number] = family
        self._root = [self._find_root(number) for number in range(len(categories))]
        self._members: dict[int, list[int]] = {}
        for number, parent in self._parent.items():
            self._members.setdefault(parent, []).append(number)

    def _find_root(self, number: int) -> int:
        while number in self._parent:
            number = self._parent[number]
        return number

    @property
    def families(self) -> list[list[int]]:
        """Numbers of the categories of each family, the widest one first in it."""
        return [tree for _, tree in self._trees()]

    def __call__(self, found: StepOdds, decoding: Decoding) -> tuple[Event, ...]:
        """Events of a video, by start."""
        chosen = self._audio_visual(found, decoding)
        events = [self._event(candidate, "audio-visual") for candidate in chosen]
        for candidate in self._heard_alone(found, decoding, chosen):
            events.append(self._event(candidate, "audio"))
        events.extend(self._event(candidate, "visual") for candidate in self._seen_alone(found, decoding, chosen))
        return by_start(events)

    def _event(self, candidate: _Candidate, modality: Modality) -> Event:
        name = self._categories[candidate.category].name
        return Event(name, candidate.start_seconds, candidate.end_seconds, candidate.score, modality)

    def _audio_visual(self, found: StepOdds, decoding: Decoding) -> list[_Candidate]:
        candidates: list[_Candidate] = []
        for root, tree in self._trees():
            audio, visual = found.audio[:, tree], found.visual[:, tree]
            is_class = np.array([self._categories[number].visual_evidence == "class" for number in tree])
            itself = np.maximum(np.where(is_class, found.seen[:, tree], 0), found.done[:, tree])
            in_time = np.minimum(self._alone(found.heard, tree), found.in_time[:, tree])
            agreed = np.maximum(agreement(audio, visual), in_time)
            named = np.maximum(agreement(audio, itself), np.minimum(agreed, audio))
            weakest = np.maximum(np.minimum(audio, visual), in_time)
            candidates += self._candidates(found, decoding, root, tree, agreed, weakest, named)
        candidates = [c for c in candidates if not self._is_anothers(c, candidates)]
        chosen: list[_Candidate] = []
        for candidate in sorted(candidates, key=lambda c: -c.strength):
            rivals = self._rivals(candidate, chosen)
            if all(candidate.weakest >= FULLY and self._as_clear(candidate, rival) for rival in rivals):
                chosen.append(candidate)
        return self._lasting(found, decoding, chosen)

    def _lasting(self, found: StepOdds, decoding: Decoding, chosen: Sequence[_Candidate]) -> list[_Candidate]:
        """Events that the tagger barely knows, for as long as nothing shows that they are over; joined where they meet.

        That is while it sounds as loud, looks the same, and nothing else is heard for sure.
        """
        if found.sound is None:
            return list(chosen)
        least = decoding.keep / (1 - decoding.keep)
        thresholds = np.array([category.audio_threshold for category in self._categories], np.float32)
        is_sure = found.heard * thresholds >= ALONE
        num_sure = is_sure.sum(axis=1)
        lasting: list[_Candidate] = []
        for event in sorted(chosen, key=lambda c: c.edges):
            if event.probability < BARELY:
                seen = found.visual[:, event.category]
                seen = seen >= min(least, seen[event.edges.start : event.edges.end].max() / 2)
                same = (event.root, self._mixed.get(event.root))
                family = [number for number, root in enumerate(self._root) if root in same]
                is_other = num_sure > is_sure[:, family].sum(axis=1)
                event = self._within(event, found.sound.lasting(event.edges, seen & ~is_other), found)
            before = next((e for e in reversed(lasting) if e.category == event.category), None)
            if before is not None and event.edges.start <= before.edges.end:
                lasting.remove(before)
                edges = Span(before.edges.start, max(before.edges.end, event.edges.end))
                event = self._within(max(before, event, key=lambda e: e.score), edges, found)
            lasting.append(event)
        return lasting

    def _is_anothers(self, candidate: _Candidate, others: Iterable[_Candidate]) -> bool:
        """Whether the sound of an event has another name that is its own."""
        return any(
            self._sound_alike(candidate.category, rival.category) and rival.clarity > candidate.clarity
            for rival in self._rivals(candidate, others)
        )

    def _sound_alike(self, one: int, other: int) -> bool:
        """Whether the tagger takes the sound of one for the other's, as their lists say."""
        own, alike = zip(*map(self._sounds, (one, other)), strict=True)
        return own[0] <= alike[1] or own[1] <= alike[0]

    def _sounds(self, number: int) -> tuple[frozenset[str], frozenset[str]]:
        """Classes by which a category is heard, and those with the ones that are only alike."""
        category = self._categories[number]
        return frozenset(category.audio or category.audio_like), frozenset((*category.audio, *category.audio_like))

    def _alone(self, odds: Odds, tree: Sequence[int]) -> Odds:
        """(N, len(tree)) odds of what is heard where `ALONE` is the least threshold."""
        thresholds = np.array([self._categories[number].audio_threshold for number in tree], np.float32)
        return odds[:, tree] * np.minimum(1, thresholds / ALONE)

    def _as_clear(self, candidate: _Candidate, rival: _Candidate) -> bool:
        """Whether both may be there at once: seen by other things, or heard about as clearly."""
        apart = not self._sights[candidate.category] & self._sights[rival.category]
        return apart or candidate.probability >= AS_CLEARLY * rival.probability

    def _heard_alone(self, found: StepOdds, decoding: Decoding, chosen: Sequence[_Candidate]) -> list[_Candidate]:
        candidates: list[_Candidate] = []
        for root, tree in self._trees():
            tree = [number for number in tree if self._categories[number].audio]
            if not tree or root not in tree:
                continue
            odds = self._alone(found.heard, tree)
            for candidate in chosen:
                if root in (candidate.root, self._mixed.get(candidate.root)):
                    odds[candidate.span.start : candidate.span.end] = 0
            candidates += self._candidates(found, decoding, root, tree, odds, odds, odds)
        mixed = set(self._mixed.values())
        alone: list[_Candidate] = []
        for candidate in sorted(candidates, key=lambda c: (c.root in mixed, -c.probability)):
            rivals = self._rivals(candidate, [*chosen, *alone])
            too_short = candidate.end_seconds - candidate.start_seconds < SHORTEST_ALONE_SECONDS - 1e-6
            if too_short and found.sound is not None:
                continue
            if any(self._mixed.get(rival.root) == candidate.root for rival in rivals):
                continue
            if self._is_anothers(candidate, chosen):
                continue
            if all(candidate.probability >= AS_CLEARLY * rival.probability for rival in rivals):
                alone.append(candidate)
        return alone

    def _seen_alone(self, found: StepOdds, decoding: Decoding, chosen: Sequence[_Candidate]) -> list[_Candidate]:
        candidates: list[_Candidate] = []
        for root, tree in self._trees():
            tree = [number for number in tree if self._categories[number].visual_evidence == "class"]
            if not tree or root not in tree:
                continue
            thresholds = np.array([self._categories[number].visual_threshold for number in tree], np.float32)
            odds = found.seen[:, tree] * np.minimum(1, thresholds / ALONE)
            for candidate in chosen:
                if candidate.root == root or self._sights[candidate.category] & self._sights[root]:
                    odds[candidate.span.start : candidate.span.end] = 0
            candidates += self._candidates(found, decoding, root, tree, odds, odds, odds, by_sound=False)
        alone: list[_Candidate] = []
        for candidate in sorted(candidates, key=lambda c: -c.strength):
            if not any(self._sights[candidate.root] & self._sights[r.root] for r in self._rivals(candidate, alone)):
                alone.append(candidate)
        return alone

    def _rivals(self, candidate: _Candidate, others: Iterable[_Candidate]) -> list[_Candidate]:
        return [o for o in others if o.root != candidate.root and candidate.share_covered_by(o) > OVERLAP]

    def _trees(self) -> Iterable[tuple[int, list[int]]]:
        """Every root with itself and all that is under it, families before their members."""
        for root in dict.fromkeys(self._root):
            tree = [root]
            for number in tree:
                tree.extend(self._members.get(number, ()))
            yield root, tree

    def _candidates(
        self,
        found: StepOdds,
        decoding: Decoding,
        root: int,
        tree: list[int],
        odds: Odds,
        weakest: Odds,
        named: Odds,
        *,
        by_sound: bool = True,
    ) -> list[_Candidate]:
        """Spans of a family, each with the name that it gets.

        Args:
            found: what is heard and seen.
            decoding: thresholds.
            root: the family.
            tree: itself and its members.
            odds: (N, len(tree)), what decides how long an event is.
            weakest: (N, len(tree)), of the smaller modality.
            named: (N, len(tree)), what decides whether it is one, and its score.
            by_sound: whether the edges of the sound are those of the event.
        """
        least_odds = decoding.threshold / (1 - min(decoding.threshold, 0.999))
        if named.max() < least_odds:
            return []
        column = {number: index for index, number in enumerate(tree)}
        thresholds = np.array([self._categories[number].audio_threshold for number in tree], np.float32)
        probability = found.heard[:, tree] * thresholds
        whole, least, heard, sure, shown = (
            array.copy() for array in (odds, weakest, probability, named, found.visual[:, tree])
        )
        for number in reversed(tree[1:]):  # members before their families
            parent = column.get(self._parent[number])
            if parent is None:
                continue
            for array in (whole, least, heard, sure, shown):
                np.maximum(array[:, parent], array[:, column[number]], out=array[:, parent])
        scores = whole / (1 + whole)
        longest_pause = round(PAUSE_SECONDS / found.step_seconds) if found.sound else 0
        shortest = round(SHORTEST_SECONDS / found.step_seconds) if found.sound else 1
        candidates = []
        for span in spans(scores[:, column[root]], decoding, max_gap=longest_pause):
            peaks = sure[span.start : span.end].max(axis=0)
            if span.end - span.start < shortest or peaks[column[root]] < least_odds:
                continue
            name = self._name(root, column, whole[span.start : span.end], decoding)
            while peaks[column[name]] < least_odds:
                name = self._parent[name]
            of_name = whole[span.start : span.end, column[name]]
            peak = float(peaks[column[name]])
            better = np.sort(of_name)[-max(1, len(of_name) // 2) :]
            event = _Candidate(
                category=name,
                root=root,
                span=span,
                edges=span,
                start_seconds=step_seconds(span.start, found.step_seconds),
                end_seconds=min(step_seconds(span.end, found.step_seconds), found.duration_seconds),
                score=peak / (1 + peak),
                strength=float(better.mean()),
                weakest=float(least[span.start : span.end, column[name]].max()),
                probability=float(heard[span.start : span.end, column[name]].max()),
                shown=float(shown[span.start : span.end, column[name]].max()),
            )
            if found.sound is None or not by_sound:
                candidates.append(event)
                continue
            edges = found.sound.edges(span)
            for part in found.sound.parts(edges):
                if sure[part.start : part.end, column[root]].max() >= least_odds:
                    candidates.append(self._within(event, part, found))
        return candidates

    def _within(self, event: _Candidate, edges: Span, found: StepOdds) -> _Candidate:
        start, end = (step_seconds(edge, found.step_seconds) for edge in (edges.start, edges.end))
        return replace(event, edges=edges, start_seconds=start, end_seconds=min(end, found.duration_seconds))

    def _name(self, root: int, column: dict[int, int], odds: Odds, decoding: Decoding) -> int:
        """The most special name that is clear for an event, from the odds of a family at its steps."""
        name = root
        while True:
            members = [number for number in self._members.get(name, ()) if number in column]
            if not members:
                return name
            of_members = odds[:, [column[number] for number in members]]
            means = np.log(of_members.clip(min=1e-4)).mean(axis=0)
            order = np.argsort(-means)
            scores = of_members[:, order[0]] / (1 + of_members[:, order[0]])
            holds = scores.max() >= decoding.threshold and (scores >= decoding.keep).mean() >= MOSTLY
            is_clear = len(members) == 1 or means[order[0]] - means[order[1]] >= np.log(CLEARLY)
            if not (holds and is_clear):
                return name
            name = members[order[0]]
