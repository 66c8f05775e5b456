"""The table of Liang et al., 2024, and its ablations.

AVFB of Table 1 has no published code and too little detail to be built, so it has its number alone. The paper is of
full supervision alone and has no table of ablations. Rows that avel adds are of the systems that it compares with and
that have a weakly supervised form, of what its text says of its parts, and of the choices that it leaves open. PSP was
trained with the proportions of the classes as labels; with one-hot labels it compares with the others.
"""

from collections.abc import Mapping
from typing import Any

from avel.evaluation.papers.base import NO_MODEL, OWN_ROWS, Paper, Row, claims

_WEAK_CMRAN: Mapping[str, Any] = {
    "task": "weak",
    "decay_epochs": [5, 20, 40],
    "clip_gradient_norm": 0.5,
    "options": {"form": "weak", "interaction_heads": 2},
}
_WEAK_PSP: Mapping[str, Any] = {
    "task": "weak",
    "decay_epochs": [80, 160],
    "options": {"form": "weak", "threshold": 0.095},
}

_TABLE_1 = (
    Row(1, "Audio", 59.5, "a"),
    Row(1, "Visual", 55.3, "v"),
    Row(1, "Audio + visual", 71.4, "a+v"),
    Row(1, "AVEL", 72.7, "a+v-att"),
    Row(1, "DAM", 74.5, "dam"),
    Row(1, "AVSDN", 75.4, "avsdn"),
    Row(1, "AVFB", 74.8, NO_MODEL),
    Row(1, "CMRAN", 77.4, "cmran"),
    Row(1, "PSP", 77.8, "psp"),
    Row(1, "Ours", 78.4, "diia"),
    Row(OWN_ROWS, "W-CMRAN", None, "cmran", _WEAK_CMRAN),
    Row(OWN_ROWS, "W-PSP, proportions", None, "psp", _WEAK_PSP),
    Row(OWN_ROWS, "W-PSP", None, "psp", {**_WEAK_PSP, "weak_labels": "one-hot"}),
)

_ABLATIONS: Mapping[str, Mapping[str, Any]] = {
    "w/o intra-modality attention": {"order": "inter"},
    "w/o inter-modality attention": {"order": "intra"},
    "inter before intra": {"order": "inter-intra"},
    "w/o gates": {"gates": "none"},
    "gates of the same modality": {"gates": "own"},
    "attention to regions only": {"pooling": "spatial"},
    "w/o attention to regions": {"pooling": "mean"},
    "plain gate of channels": {"channel_gate": "plain"},
    "two rounds": {"depth": 2},
    "three rounds": {"depth": 3},
}

_OWN = (
    Row(OWN_ROWS, "Ours, as in Table 1", None, "diia"),
    *(Row(OWN_ROWS, f"Ours, {name}", None, "diia", {"options": dict(options)}) for name, options in _ABLATIONS.items()),
)

LIANG2024 = Paper(
    name="liang2024",
    title="Liang et al., 2024",
    rows=(*_TABLE_1, *_OWN),
    claims=(
        *claims("Sec. 4.3", *(("Ours", row.name) for row in _TABLE_1 if row.paper is not None and row.name != "Ours")),
        *claims(
            "Sec. 4.3, both kinds of interaction matter",
            ("Ours", "Ours, w/o intra-modality attention"),
            ("Ours", "Ours, w/o inter-modality attention"),
        ),
    ),
    leaderboard=(
        ("DAM", "DAM", None),
        ("CMRAN", "CMRAN", "W-CMRAN"),
        ("PSP", "PSP", "W-PSP"),
        ("DIIA", "Ours", None),
    ),
)
