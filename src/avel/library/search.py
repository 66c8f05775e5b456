"""From a query to moments: by vectors with the query laid along each candidate, and by classes.

**By vectors.** Segments near to each segment of the query say where it may start; at each start all l segments of the
query meet l segments in a row, and the mean of their products counts (Tian et al., ECCV 2018, Eq. 8, over all videos of
a library in place of one). So a moment is found by all of the query, whose order counts, and not by its best second.

**By classes.** Segments that hold a category follow each other as one moment.

A moment that overlaps a better one of its video is left out.
"""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avel.backbones.embedded import audioset_classes
from avel.data.categories import Category, everyday_categories
from avel.data.phrases import phrase_categories
from avel.errors import CategoriesError
from avel.events import Modality
from avel.features.feature_file import BackboneModality
from avel.features.source import SourceFile
from avel.library.generation import Generation
from avel.library.postings import category_odds
from avel.library.query import Query
from avel.library.results import Hit
from avel.library.spaces import Space, Taggers, known_part
from avel.matching.calibration import CLOSE

NEAREST = 300
"""Segments that are looked at for each segment of a query."""

ASKING = 24
"""Segments of a query that say where it may start; of more, as many that lie equally apart."""

KEEP = 0.3
"""Score that the segments of a moment have to have that is found by its category."""

CLASSES_NAMED = 2
"""Of a tagger, to say why a moment was found."""

LEAST_NAMED = 0.1

_STARTS_AT_ONCE = 512


def query_hits(
    generation: Generation,
    taggers: Taggers,
    space: Space,
    query: Query,
    looked_in: Sequence[BackboneModality],
    top: int,
) -> tuple[Hit, ...]:
    """The moments nearest to a query; none that overlaps the query itself.

    Args:
        generation: what is searched, with at least one segment.
        taggers: of the library.
        space: of the library.
        query: what is looked for.
        looked_in: the modalities of the library that are looked at.
        top: how many at most.
    """
    starts = np.unique(np.concatenate([*_possible_starts(generation, query, looked_in), np.zeros(0, np.int64)]))
    if not len(starts):
        return ()
    numbers = generation.video_numbers(starts)
    scores: dict[BackboneModality, npt.NDArray[np.float64]] = {}
    for found in looked_in:
        by_asked = []
        for asked, vectors in query.vectors.items():
            products = _mean_products(generation, found, vectors, query.usable[asked], starts, numbers)
            by_asked.append(space.scores(asked, found, products))
        scores[found] = np.max(by_asked, axis=0)
    lengths = np.array([generation.videos[number].segments for number in numbers])
    ends = np.minimum(starts + query.segments, np.array([generation.videos[n].first for n in numbers]) + lengths)
    itself = _itself(generation, query)
    spans = [
        (int(start), int(end), {name: float(of[i]) for name, of in scores.items()})
        for i, (start, end) in enumerate(zip(starts, ends, strict=True))
        if itself is None or not (start < itself[1] and itself[0] < end)
    ]
    return tuple(_hit(generation, taggers, *span) for span in _best_apart(generation, spans, top))


def category_hits(
    generation: Generation, taggers: Taggers, category: Category, looked_in: Sequence[BackboneModality], top: int
) -> tuple[Hit, ...]:
    """The moments in which a category is heard or seen most clearly.

    Args:
        generation: what is searched, with at least one segment.
        taggers: of the library.
        category: of classes of the taggers.
        looked_in: the modalities that are looked at.
        top: how many at most.
    """
    scores = {}
    for one in looked_in:
        odds = category_odds(category, one, generation.tagged[one], taggers, generation.count)
        scores[one] = odds / (1 + odds)
    if len(scores) == 2 and category.visual_evidence == "proxy":
        # What only goes with it is no evidence by itself, unless that is what is asked for.
        scores["visual"] = np.where(scores["audio"] >= KEEP, scores["visual"], np.float32(0))
    best = np.max(list(scores.values()), axis=0)
    kept = np.flatnonzero(best >= KEEP)
    if not len(kept):
        return ()
    numbers = generation.video_numbers(kept)
    breaks = np.flatnonzero((np.diff(kept) > 1) | (np.diff(numbers) > 0)) + 1
    spans = []
    for run in np.split(kept, breaks):
        first, end = int(run[0]), int(run[-1]) + 1
        spans.append((first, end, {name: float(of[first:end].max()) for name, of in scores.items()}))
    return tuple(_hit(generation, taggers, *span) for span in _best_apart(generation, spans, top))


def meant(text: str, *, exact: bool, taggers: Taggers) -> tuple[Category, tuple[str, ...]]:
    """The category that words mean, and what to tell of that.

    Args:
        text: a name or a phrase.
        exact: whether it has to be a name.
        taggers: of the library.

    Raises:
        CategoriesError: if it is none, none is near it, or nothing in a library says it.
        WeightsError: if weights are not available that tell what a phrase means.
    """
    if exact:
        names = {name.casefold(): name for name in (*audioset_classes(), *(one.name for one in everyday_categories()))}
        if text.casefold() not in names:
            near = [names[one] for one in difflib.get_close_matches(text.casefold(), names, 3)]
            raise CategoriesError(
                f"No event category is called {text!r}{'; did you mean ' + ' or '.join(near) + '?' if near else '.'} "
                "--text takes other English words for one."
            )
        text = names[text.casefold()]
    (meaning,) = phrase_categories([text])
    assert meaning.category is not None
    known = known_part(meaning.category, taggers)
    if known is None:
        raise CategoriesError(
            f"{text!r} cannot be looked for in a library: neither {taggers.audio} nor {taggers.visual} has a class for "
            "it. Look for it by a sound or a picture."
        )
    return known, (str(meaning),)


def _possible_starts(
    generation: Generation, query: Query, looked_in: Sequence[BackboneModality]
) -> Iterator[npt.NDArray[np.int64]]:
    """Segments at which the query may start, from what is near to its segments."""
    for asked, vectors in query.vectors.items():
        places = np.flatnonzero(query.usable[asked])
        if len(places) > ASKING:
            places = places[np.linspace(0, len(places) - 1, ASKING).round().astype(np.int64)]
        for found in looked_in:
            for place in places:
                rows, _ = generation.vectors[found].nearest(vectors[place], NEAREST)
                numbers = generation.video_numbers(rows)
                first = np.array([generation.videos[number].first for number in numbers], np.int64)
                length = np.array([generation.videos[number].segments for number in numbers], np.int64)
                # A query that is longer than a video starts with it; no other one sticks out at its end.
                latest = first + np.maximum(length - query.segments, 0)
                yield np.clip(rows - place, first, latest)


def _mean_products(
    generation: Generation,
    found: BackboneModality,
    vectors: npt.NDArray[np.float32],
    usable: npt.NDArray[np.bool_],
    starts: npt.NDArray[np.int64],
    numbers: npt.NDArray[np.int64],
) -> npt.NDArray[np.float64]:
    """(S,) mean product of the pairs that meet at each start.

    Where the query's vectors have different lengths, the mean is weighted by them and counts the greatest: what is
    heard once in a query is what is looked for, and not what nothing is recognized in around it.
    """
    places = np.flatnonzero(usable)
    lengths = np.linalg.norm(vectors[places], axis=1)
    weight = lengths.max() / max(float(lengths.sum()), 1e-9)
    ends = np.array([generation.videos[n].first + generation.videos[n].segments for n in numbers], np.int64)
    means = np.zeros(len(starts))
    for first in range(0, len(starts), _STARTS_AT_ONCE):
        part = slice(first, first + _STARTS_AT_ONCE)
        rows = starts[part, None] + places
        inside = rows < ends[part, None]
        theirs = generation.vectors[found][np.where(inside, rows, starts[part, None])]  # (s, l, E)
        products = np.einsum("sle,le->sl", theirs, vectors[places])
        means[part] = np.where(inside, products, 0).sum(axis=1) * weight
    return means


def _best_apart(
    generation: Generation, spans: Sequence[tuple[int, int, dict[BackboneModality, float]]], top: int
) -> list[tuple[int, int, dict[BackboneModality, float]]]:
    """The best spans, without those that overlap a better one."""
    ordered = sorted(spans, key=lambda span: (-max(span[2].values()), -sum(span[2].values()), span[0]))
    taken: list[tuple[int, int, dict[BackboneModality, float]]] = []
    for span in ordered:
        if all(span[1] <= other[0] or other[1] <= span[0] for other in taken):
            taken.append(span)
            if len(taken) == top:
                break
    return taken


def _hit(generation: Generation, taggers: Taggers, first: int, end: int, scores: dict[BackboneModality, float]) -> Hit:
    video = generation.videos[int(generation.video_numbers(np.array([first]))[0])]
    close = [name for name, score in scores.items() if score >= CLOSE]
    clearest: BackboneModality = max(scores, key=lambda name: scores[name])
    modality: Modality = "audio-visual" if len(close) == 2 else clearest
    seconds = generation.segment_seconds
    said = []
    for name, verb in (("audio", "heard"), ("visual", "seen")):
        one: BackboneModality = "audio" if name == "audio" else "visual"
        classes = generation.tagged[one].of_segments(first, end)
        tagged = generation.tagged[one]
        telling = sorted(
            (number for number, score in classes.items() if score >= LEAST_NAMED),
            key=lambda number: -classes[number] * tagged.rarity(number),
        )
        named = [f"{_short(taggers.labels(one)[n])} {classes[n]:.2f}" for n in telling[:CLASSES_NAMED]]
        if named:
            said.append(f"{verb}: {', '.join(named)}")
    return Hit(
        video=video.paths[0],
        start_seconds=(first - video.first) * seconds,
        end_seconds=min((end - video.first) * seconds, video.duration_seconds),
        score=max(scores.values()),
        modality=modality,
        scores=scores,
        why="; ".join(said),
        copies=video.paths[1:],
    )


def _short(label: str) -> str:
    """A class without its synonyms."""
    return re.split(r", (?![^(]*\))", label, maxsplit=1)[0]


def _itself(generation: Generation, query: Query) -> tuple[int, int] | None:
    """The query's own segments, where its file is in the library."""
    size = Path(query.path).stat().st_size
    alike = [video for video in generation.videos if video.size_bytes == size]
    digest = SourceFile.of(query.path).sha256 if alike else ""
    video = next((one for one in alike if one.sha256 == digest), None)
    if video is None:
        return None
    first = video.first + round(query.start_seconds / generation.segment_seconds)
    return first, first + query.segments
