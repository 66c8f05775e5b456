"""The tables of Xuan et al., AAAI 2020.

Its weak labels are the shares of a video's segments of each class. They tell how long the event is, and numbers under
them must not be compared with others', so every weak row is here a second time under ``one-hot`` labels, for which the
paper has no numbers; the leaderboard has those. (Lin and Wang, ACCV 2020, measured 75.1 and 67.8 for it, with weak
settings of their own; see `avel.evaluation.papers.lin2020`.)

AVEL is A+V-att of Tian et al., AVSDN that of Lin et al., ICASSP 2019, and CAM that of Owens and Efros, ECCV 2018.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from avel.evaluation.papers.base import OWN_ROWS, Claim, Paper, Row, claims

_OFF = ("spatial_attention", "self_attention", "co_attention")
_ALONE = dict.fromkeys(_OFF, False)
_FULL = "A+V, V-att, S-att, Co-att"

_Systems = Mapping[str, tuple[str, Mapping[str, Any], float, float]]
"""By name: model, its options, and the paper's accuracy, supervised and weakly supervised."""

_TABLE_1: _Systems = {
    "A": ("cman", {"visual": False, **_ALONE}, 59.5, 56.5),
    "V": ("cman", {"audio": False, **_ALONE}, 55.3, 53.7),
    "A+V": ("cman", _ALONE, 71.4, 69.0),
    "A+V, V-att": ("cman", {"self_attention": False, "co_attention": False}, 72.8, 70.9),
    "A+V, S-att": ("cman", {"spatial_attention": False, "co_attention": False}, 72.4, 71.2),
    "A+V, Co-att": ("cman", {"spatial_attention": False, "self_attention": False}, 73.2, 72.1),
    "A+V, V-att, S-att": ("cman", {"co_attention": False}, 73.5, 71.8),
    "A+V, S-att, Co-att": ("cman", {"spatial_attention": False}, 74.8, 73.4),
    "A+V, V-att, Co-att": ("cman", {"self_attention": False}, 75.6, 73.9),
    _FULL: ("cman", {}, 77.1, 75.7),
}

_TABLE_2: _Systems = {
    "AVEL": ("a+v-att", {}, 74.7, 73.1),
    "AVSDN": ("avsdn", {}, 75.4, 74.2),
    "CAM": ("cam", {}, 72.3, 68.8),
    "our model - global context vector": ("cman", {"global_context": False}, 75.7, 74.3),
    "our model - sentinel vector": ("cman", {"sentinel": False}, 76.1, 74.9),
    "our model": ("cman", {}, 77.1, 75.7),
}

# Said here for the systems of other papers, which have weak settings of their own.
_WEAK = {"task": "weak", "weak_labels": "proportion", "pooling": "mean", "backgrounds": "noisy"}


def _rows(table: int, systems: _Systems) -> Iterable[Row]:
    for name, (model, options, number, _) in systems.items():
        yield Row(table, name, number, model, _settings(options))
    for name, (model, options, _, number) in systems.items():
        yield Row(table, f"W-{name}", number, model, {**_WEAK, **_settings(options)})
    for name, (model, options, _, _) in systems.items():
        if model == "cman":
            settings = {**_WEAK, "weak_labels": "one-hot", **_settings(options)}
            yield Row(OWN_ROWS, f"W-{name}, one-hot", None, model, settings)


def _settings(options: Mapping[str, Any]) -> dict[str, Any]:
    return {"options": dict(options)} if options else {}


def _claims() -> Iterable[Claim]:
    """That two modalities are better than one, every attention better than none, and more of them better than fewer."""
    for task in ("", "W-"):
        both = f"{task}A+V"
        yield from claims("Ablation Studies, rows 1-3", (both, f"{task}A"), (both, f"{task}V"))
        with_both = [set(name.split(", ")) for name in _TABLE_1 if name.startswith("A+V")]
        for more in with_both:
            yield from claims(
                "Ablation Studies, rows 4-10",
                *(
                    (f"{task}{_name(more)}", f"{task}{_name(fewer)}")
                    for fewer in with_both
                    if fewer < more and len(more) == len(fewer) + 1
                ),
            )
        alone = f"{task}A+V, Co-att"
        yield from claims("Ablation Studies, rows 4-6", (alone, f"{task}A+V, V-att"), (alone, f"{task}A+V, S-att"))
        yield from claims(
            "Comparison Results",
            *((f"{task}our model", f"{task}{other}") for other in _TABLE_2 if other != "our model"),
        )
    yield from claims("Tables 1 and 2", *((name, f"W-{name}") for name in (*_TABLE_1, *_TABLE_2)))


def _name(parts: set[str]) -> str:
    return next(name for name in _TABLE_1 if set(name.split(", ")) == parts)


XUAN2020 = Paper(
    name="xuan2020",
    title="Xuan et al., AAAI 2020",
    rows=(*_rows(1, _TABLE_1), *_rows(2, _TABLE_2)),
    claims=tuple(_claims()),
    leaderboard=(("CMAN", "our model", "W-our model, one-hot"),),
)
