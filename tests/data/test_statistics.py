from pathlib import Path

import pytest

from avel.data.annotations import Annotation
from avel.data.statistics import Statistics, draw, statistics


def event(start: float, end: float, category: str = "bark") -> Annotation:
    return Annotation("v", start, end, category)


def by_hand() -> Statistics:
    return statistics(
        [
            ([event(0, 10)], 10.0),
            ([event(2, 4.5), event(6, 7), event(3, 5, "bell")], 10.0),
            ([], 3.0),
            ([event(1, 2, "bell")], None),
        ],
        ("bark", "bell", "moo"),
    )


def test_figures_by_hand() -> None:
    found = by_hand()
    assert (found.videos, found.videos_without_event, found.events) == (4, 1, 5)
    figures = {one.name: (one.videos, one.events, one.seconds) for one in found.categories}
    assert figures == {"bark": (2, 3, 13.5), "bell": (2, 2, 3.0), "moo": (0, 0, 0.0)}
    assert found.event_seconds == {1: 2, 2: 1, 3: 1, 10: 1}
    # 10 of the first, 2, 3, 4 and 6 of the second, none of the third; the fourth's length is not known.
    assert (found.event_segments, found.segments) == (10 + 4, 23)
    assert Statistics.from_dict(found.to_dict()) == found


def test_it_is_told_and_drawn(tmp_path: Path) -> None:
    lines = by_hand().lines()
    assert lines[0] == "videos: 4, of which 1 without event"
    assert lines[2] == "segments with an event: 60.9 %"
    assert [line.split() for line in lines[-3:]] == [
        ["bark", "2", "3", "4.5", "s"],
        ["bell", "2", "2", "1.5", "s"],
        ["moo", "0", "0", "0.0", "s"],
    ]
    draw(by_hand(), tmp_path / "figures.png")
    assert (tmp_path / "figures.png").read_bytes().startswith(b"\x89PNG")


def test_unknown_lengths_are_not_guessed() -> None:
    assert "segments with an event: not known" in statistics([([event(0, 1)], None)], ("bark",)).lines()
    with pytest.raises(ValueError, match="not among"):
        statistics([([event(0, 1, "x")], 2.0)], ("bark",))
