"""The tables of Duan et al., WACV 2021, who have no weakly supervised rows.

The last two rows of Table 2 are not in the paper: it does not say how much recursion does, nor that its authors' code
computes another co-attention.
"""

from collections.abc import Mapping
from typing import Any

from avel.evaluation.papers.base import OWN_ROWS, Paper, Row, claims

_FULL = "Ours w/ Joint Co-Attention"
_AS_RELEASED = {"variant": "code", "attention": "released"}

_TABLE_1 = (
    Row(1, "Audio_Only", 59.5, "a"),
    Row(1, "Visual_Only", 55.3, "v"),
    Row(1, "ED-TCN", 46.9, "ed-tcn"),
    Row(1, "Audio-Visual", 71.4, "a+v"),
    Row(1, "AVSDN", 72.6, "avsdn"),
    Row(1, "Full-Audio-Visual", 72.7, "a+v-att"),
    Row(1, "DAM", 74.5, "dam"),
    Row(1, "Ours", 76.2, "jca"),
)

_ABLATIONS: Mapping[str, tuple[Mapping[str, Any], float | None]] = {
    "Ours w/o Uni-modal Bi-LSTM": ({"unimodal_recurrence": False}, 74.5),
    "Ours w/o Joint Bi-LSTM": ({"joint_recurrence": False}, 74.9),
    "Ours w/o Residual Embedding": ({"residual_embedding": False}, 75.2),
    "Ours w/ GRU": ({"recurrence": "gru"}, 75.3),
    "Ours w/ Average Pooling": ({"fusion": "average"}, 75.1),
    "Ours w/ Max Pooling": ({"fusion": "max"}, 75.0),
    "Ours w/ Co-Attention": ({"guide": "other"}, 75.4),
    _FULL: ({}, 76.2),
    "Ours, one recursion": ({"recursions": 1}, None),
    "Ours, as the authors' code": (_AS_RELEASED, None),
}

_TABLE_2 = tuple(
    Row(2 if number else OWN_ROWS, name, number, "jca", {"options": dict(options)} if options else {})
    for name, (options, number) in _ABLATIONS.items()
)

_DECOUPLED = tuple(row.name for row in _TABLE_2 if row.name != _FULL and row.paper is not None)
_WITHOUT_BILSTM = "Ours w/o Uni-modal Bi-LSTM"

DUAN2021 = Paper(
    name="duan2021",
    title="Duan et al., WACV 2021",
    rows=(*_TABLE_1, *_TABLE_2),
    claims=(
        *claims("Comparison Analysis", *(("Ours", row.name) for row in _TABLE_1 if row.name != "Ours")),
        *claims("Table 2", *((_FULL, name) for name in _DECOUPLED)),
        *claims(
            "Framework Decoupling Analysis: the Bi-LSTM has the highest impact",
            *((name, _WITHOUT_BILSTM) for name in _DECOUPLED if name != _WITHOUT_BILSTM),
        ),
    ),
    released={"loss": "multi-label-soft-margin"},
    released_options=_AS_RELEASED,
    leaderboard=(("JCA", "Ours", None),),
)
