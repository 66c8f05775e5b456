"""avel's own recommended model beside the papers' tables: itself, and what it is without one of its parts.

There are no published numbers. The last rows give A+V-att of Tian et al. the same training, which tells how much of the
difference is the model and how much the training, with full labels and with weak ones.
"""

from typing import Any

from avel.evaluation.papers.base import Paper, Row, claims
from avel.models import registry

_UNSTANDARDIZED: dict[str, Any] = {"options": {"standardize_sound": False}}
"""The model as it was up to avel 0.2.0."""

_PARTS: dict[str, dict[str, Any]] = {
    "w/o standardized sound": _UNSTANDARDIZED,
    "w/o attention to regions": {"options": {"pooling": "mean"}},
    "w/o dropped features": {"options": {"input_dropout": 0.0}},
    "w/o averaged weights": {"average_weights": 0.0},
    "w/o smoothed labels": {"label_smoothing": 0.0},
}
_TRAINING = registry.entry("recommended").training

RECOMMENDED = Paper(
    name="recommended",
    title="avel's recommended model",
    rows=(
        Row(1, "recommended", None, "recommended"),
        Row(1, "W-recommended", None, "recommended", {"task": "weak"}),
        *(Row(2, f"recommended, {name}", None, "recommended", settings) for name, settings in _PARTS.items()),
        Row(2, "W-recommended, w/o standardized sound", None, "recommended", {"task": "weak", **_UNSTANDARDIZED}),
        Row(2, "A+V-att", None, "a+v-att"),
        Row(2, "A+V-att, trained as recommended", None, "a+v-att", _TRAINING),
        Row(2, "W-A+V-att", None, "a+v-att", {"task": "weak"}),
        Row(2, "W-A+V-att, trained as recommended", None, "a+v-att", {"task": "weak", **_TRAINING}),
    ),
    claims=claims(
        "docs/recommended.md",
        *(("recommended", f"recommended, {name}") for name in _PARTS),
        ("recommended", "A+V-att, trained as recommended"),
        ("recommended", "A+V-att"),
        ("recommended", "W-recommended"),
        ("W-recommended", "W-recommended, w/o standardized sound"),
        ("W-recommended", "W-A+V-att, trained as recommended"),
        ("W-recommended", "W-A+V-att"),
    ),
    leaderboard=(("recommended (avel)", "recommended", "W-recommended"),),
)
