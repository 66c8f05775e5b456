"""The tables of Lin and Wang, ACCV 2020.

AVIN and Ramaswamy et al. of Table 1 have no published code and too little detail to be built, so they have their
numbers alone. Its A, V and AVEL are those of Tian et al. with their numbers, so their weak rows are trained as there;
Xuan et al. was trained anew in the paper's own weak setting.
"""

from collections.abc import Iterator
from typing import Any

from avel.evaluation.papers.base import NO_MODEL, Claim, Paper, Row, claims

_WEAK_HERE = {"task": "weak", "weak_labels": "one-hot", "pooling": "max", "backgrounds": "mismatched"}

_Representations = dict[str, tuple[dict[str, Any], tuple[float, ...]]]
"""By name: options, and the paper's accuracy with each classifier."""

_CLASSIFIERS = ("MLP", "LSTM", "AVSDN", "AVEL")


def _ours(classifier: str, **options: Any) -> dict[str, Any]:
    """Settings of the AV-transformer, of which AVEL is the classifier by default."""
    if classifier != "AVEL":
        options["classifier"] = classifier.lower()
    return {"options": options} if options else {}


def _table_1() -> list[Row]:
    systems = {
        "Audio only+LSTM": ("a", {}, 59.5, 53.4),
        "Visual only+LSTM": ("v", {}, 55.3, 52.9),
        "AVEL": ("a+v", {}, 71.4, 63.7),
        "AVSDN": ("avsdn", {}, 72.6, 68.4),
        "AVEL+Att": ("a+v-att", {}, 72.7, 66.7),
        "AVSDN+Ours": ("av-transformer", _ours("AVSDN"), 75.8, 70.2),
        "AVEL+Ours": ("av-transformer", _ours("AVEL"), 76.8, 68.9),
    }
    full = [Row(1, name, number, model, settings) for name, (model, settings, number, _) in systems.items()]
    weak = [
        Row(1, f"W-{name}", number, model, {"task": "weak", **settings})
        for name, (model, settings, _, number) in systems.items()
    ]
    return [
        *full,
        Row(1, "DAM", 74.5, "dam"),
        Row(1, "Ramaswamy et al.", 74.8, NO_MODEL),
        Row(1, "AVIN", 75.2, NO_MODEL),
        Row(1, "Xuan et al.", 75.1, "cman"),
        *weak,
        Row(1, "W-Ramaswamy et al.", 68.9, NO_MODEL, {"task": "weak"}),
        Row(1, "W-AVIN", 69.4, NO_MODEL, {"task": "weak"}),
        Row(1, "W-Xuan et al.", 67.8, "cman", _WEAK_HERE),
    ]


def _table_2() -> list[Row]:
    representations: _Representations = {
        "MLP+AG": ({"visual": "mlp", "co_attention": "ag"}, (64.0, 69.0, 73.1, 72.7)),
        "MLP+AVOL": ({"visual": "mlp", "co_attention": "avol"}, (65.2, 70.1, 73.7, 74.8)),
        "Conv3d+AG": ({"visual": "conv3d", "co_attention": "ag"}, (64.9, 71.0, 73.8, 75.2)),
        "Conv3d+AVOL": ({"visual": "conv3d", "co_attention": "avol"}, (64.5, 69.4, 73.6, 73.6)),
        "LSTM+AG": ({"visual": "lstm", "co_attention": "ag"}, (61.2, 67.7, 72.6, 74.3)),
        "LSTM+AVOL": ({"visual": "lstm", "co_attention": "avol"}, (66.9, 70.5, 73.2, 75.4)),
        "AV-Transformer+AG": ({"co_attention": "ag"}, (65.9, 67.2, 74.0, 74.1)),
        "Ours": ({}, (67.6, 71.4, 75.8, 76.8)),
    }
    return _with_each_classifier(2, representations)


def _table_3() -> list[Row]:
    representations: _Representations = {
        "intra": ({"frames": "intra", "with_audio": False}, (65.8, 66.9, 72.3, 75.0)),
        "intra+inter": ({"with_audio": False}, (66.3, 70.4, 72.2, 75.4)),
        "intra+audio": ({"frames": "intra"}, (67.2, 69.3, 73.9, 74.8)),
        "inter+audio": ({"frames": "inter"}, (66.1, 66.8, 72.1, 74.3)),
        # The LSTM's number is not that of Table 2 in the paper either.
        "intra+inter+audio": ({}, (67.6, 70.7, 75.8, 76.8)),
    }
    return _with_each_classifier(3, representations)


def _with_each_classifier(table: int, representations: _Representations) -> list[Row]:
    return [
        Row(table, f"{name}, {classifier}", number, "av-transformer", _ours(classifier, **options))
        for name, (options, numbers) in representations.items()
        for classifier, number in zip(_CLASSIFIERS, numbers, strict=True)
    ]


def _claims() -> Iterator[Claim]:
    """That the full model is the best, in every table and with every classifier."""
    for task in ("", "W-"):
        ours = f"{task}AVEL+Ours"
        yield from claims("Sec. 4.3", (ours, f"{task}AVEL"), (ours, f"{task}AVEL+Att"))
        yield from claims("Sec. 4.3", (f"{task}AVSDN+Ours", f"{task}AVSDN"))
    yield from claims("Table 1, in bold", *(("AVEL+Ours", other) for other in ("DAM", "Xuan et al.")))
    yield from claims("Table 1, in bold", ("W-AVSDN+Ours", "W-Xuan et al."))
    for table, rows, best in ((2, _table_2(), "Ours"), (3, _table_3(), "intra+inter+audio")):
        for row in rows:
            representation, classifier = row.name.split(", ")
            if representation != best:
                yield Claim(f"{best}, {classifier}", row.name, f"Sec. 4.4, Table {table}")


LIN2020 = Paper(
    name="lin2020",
    title="Lin and Wang, ACCV 2020",
    rows=(*_table_1(), *_table_2(), *_table_3()),
    claims=tuple(_claims()),
    leaderboard=(
        ("AVSDN", "AVSDN", "W-AVSDN"),
        ("AVSDN + instance attention", "AVSDN+Ours", "W-AVSDN+Ours"),
        ("AVEL + instance attention", "AVEL+Ours", "W-AVEL+Ours"),
    ),
)
