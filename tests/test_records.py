from dataclasses import dataclass, field

import pytest

from avel.records import Record


@dataclass(frozen=True)
class Inner(Record):
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Outer(Record):
    inner: Inner
    by_name: dict[str, Inner] = field(default_factory=dict)


def test_what_is_written_is_read_back() -> None:
    record = Outer(Inner("a", (1, 2)), {"b": Inner("b")})
    plain = {"inner": {"name": "a", "sizes": [1, 2]}, "by_name": {"b": {"name": "b", "sizes": []}}}
    assert record.to_dict() == plain
    assert Outer.from_dict(plain) == record


def test_the_first_wrong_field_is_named() -> None:
    with pytest.raises(ValueError, match=r"^inner\.sizes\.1: Input should be a valid integer"):
        Outer.from_dict({"inner": {"name": "a", "sizes": [1, "x"]}})
    with pytest.raises(ValueError, match=r"^Inner: Input should be a dictionary"):
        Inner.from_dict([])  # type: ignore[arg-type]
