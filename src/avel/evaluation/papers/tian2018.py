"""The tables of Tian et al., ECCV 2018."""

from avel.evaluation.papers.base import OWN_ROWS, Paper, Row, claims


def _table_1() -> list[Row]:
    models = {"A": "a", "V": "v", "V-att": "v-att", "A+V": "a+v", "A+V-att": "a+v-att"}
    paper = {
        "A": (59.5, 53.4),
        "V": (55.3, 52.9),
        "V-att": (58.6, 55.6),
        "A+V": (71.4, 63.7),
        "A+V-att": (72.7, 66.7),
    }
    full = [Row(1, name, paper[name][0], model) for name, model in models.items()]
    weak = [Row(1, f"W-{name}", paper[name][1], model, {"task": "weak"}) for name, model in models.items()]
    return [*full, *weak, Row(1, "ED-TCN (Sec. 6.3)", 46.9, "ed-tcn"), Row(1, "SSN (Sec. 6.3)", 26.7, "ssn")]


def _table_2() -> list[Row]:
    models = {
        "Additive": "additive",
        "MP": "maxpooling",
        "Gated": "gated",
        "MB": "bilinear",
        "GMU": "gmu",
        "GMB": "gated-bilinear",
        "Concat": "concat",
        "MRN": "mrn",
        "DMRN": "dmrn",
    }
    paper = {
        "early": (59.9, 67.9, 67.9, 69.2, 70.5, 70.2, 61.0, 69.8, 68.0),
        "late": (71.3, 71.4, 70.5, 70.5, 71.6, 71.0, 72.7, 70.8, 73.1),
        "decision": (70.5, 64.5, 65.2, 64.6, 67.6, 67.3, 69.7, 63.8, 70.4),
    }
    rows = []
    for position, numbers in paper.items():
        for (name, model), number in zip(models.items(), numbers, strict=True):
            rows.append(Row(2, f"{name}, {position}", number, model, {"options": {"position": position}}))
        if position == "late":
            rows.append(Row(2, "DMRFE, late", 73.3, "dmrfe"))
    return rows


def _table_3() -> list[Row]:
    numbers = {"avdln": ("AVDLN", 44.8, 35.6), "dcca": ("DCCA", 34.8, 34.1)}
    rows = []
    for matcher, (name, a2v, v2a) in numbers.items():
        rows += [
            Row(3, f"{name}, A2V", a2v, matcher, measure="a2v"),
            Row(3, f"{name}, V2A", v2a, matcher, measure="v2a"),
        ]
    own = {
        "AVDLN with the code's pairs": ("avdln", {"misaligned": "none"}),
        "Dual encoder": ("dual-encoder", {}),
        "Dual encoder, contrastive loss": ("dual-encoder", {"loss": "contrastive"}),
    }
    rows += [
        Row(OWN_ROWS, f"{name}, {direction.upper()}", None, model, settings, direction)
        for name, (model, settings) in own.items()
        for direction in ("a2v", "v2a")
    ]
    return rows


_FUSIONS = ("Additive", "MP", "Gated", "MB", "GMU", "GMB", "Concat", "MRN", "DMRN")
_TABLE_1_NAMES = ("A", "V", "V-att", "A+V", "A+V-att")

_CLAIMS = (
    *claims("Sec. 6.3, ED-TCN and SSN", ("V", "ED-TCN (Sec. 6.3)"), ("V", "SSN (Sec. 6.3)")),
    *claims(
        "Sec. 6.3, Audio and Visual",
        *(("A", "V"), ("W-A", "W-V"), ("A+V", "A"), ("A+V", "V"), ("W-A+V", "W-A"), ("W-A+V", "W-V")),
    ),
    *claims("Sec. 6.3, Audio-Guided Visual Attention", ("V-att", "V"), ("A+V-att", "A+V")),
    *claims("Table 1", ("W-V-att", "W-V"), ("W-A+V-att", "W-A+V")),
    *claims("Sec. 6.3, Audio-Visual Fusion", *((f"{name}, late", f"{name}, early") for name in _FUSIONS)),
    *claims("Sec. 6.3, Audio-Visual Fusion", *((f"{name}, late", f"{name}, decision") for name in _FUSIONS)),
    *claims("Sec. 6.3, Audio-Visual Fusion", *(("DMRN, late", f"{name}, late") for name in _FUSIONS[:-1])),
    *claims("Sec. 6.3, Audio-Visual Fusion", ("DMRFE, late", "DMRN, late")),
    *claims("Sec. 6.3, Full and Weak Supervision", *((name, f"W-{name}") for name in _TABLE_1_NAMES), ("W-V-att", "V")),
    *claims("Sec. 6.3, Cross-Modality Localization", ("AVDLN, A2V", "DCCA, A2V"), ("AVDLN, V2A", "DCCA, V2A")),
)

TIAN2018 = Paper(
    name="tian2018",
    title="Tian et al., ECCV 2018",
    rows=(*_table_1(), *_table_2(), *_table_3()),
    claims=_CLAIMS,
    released={"loss": "multi-label-soft-margin", "pooling": "max"},
    released_weak={"epochs": 250},
    released_options={"attention": "released", "recurrence": "bilstm", "head": "mlp"},
    leaderboard=(
        ("SSN", "SSN (Sec. 6.3)", None),
        ("ED-TCN", "ED-TCN (Sec. 6.3)", None),
        *((name, name, f"W-{name}") for name in ("A", "V", "V-att", "A+V", "A+V-att")),
        ("DMRN", "DMRN, late", None),
        ("DMRFE", "DMRFE, late", None),
    ),
)
