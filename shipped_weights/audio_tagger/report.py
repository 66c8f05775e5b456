"""The model card: fixed text from ``model_card.md.in`` and tables from the numbers of an evaluation."""

from pathlib import Path
from typing import Any

from shipped_weights.audio_tagger.evaluate import ESC10_CLASSIFIER
from shipped_weights.audio_tagger.recordings import read_sources

ENOUGH_SECONDS = 10
HEARD = 0.5
"""A category counts as heard if at least this share of the seconds that YAMNet hears is found."""


def percent(part: float, whole: float = 1.0) -> str:
    """A share in percent, or a dash where there is nothing to share."""
    return f"{100 * part / whole:.1f}" if whole else "–"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; all columns but the first are numbers."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def esc10_table(results: dict[str, Any]) -> str:
    """Accuracy on ESC-10."""
    rows = []
    for name, by_classifier in results["esc10"].items():
        folds = by_classifier[ESC10_CLASSIFIER]
        means = [sum(accuracies) / 5 for accuracies in by_classifier.values()]
        row = [name, percent(sum(folds) / 5), *(percent(fold) for fold in folds)]
        rows.append([*row, f"{percent(min(means))} to {percent(max(means))}" if len(means) > 1 else "–"])
    return table(["embedding", "mean %", "fold 1", "2", "3", "4", "5", "mean, 6 classifiers"], rows)


def agreement_table(results: dict[str, Any]) -> str:
    """Agreement with the teacher's top class."""
    kinds = {"clips": "clips", "recordings": "held-out recordings", "esc10": "ESC-10, fold not heard"}
    rows = []
    for name, by_kind in results["agreement"].items():
        for kind, numbers in by_kind.items():
            shares = [percent(value) for key, value in numbers.items() if key != "seconds"]
            rows.append([name, kinds[kind], str(numbers["seconds"]), *shares])
    head = ["tagger", "sound", "seconds", "top class is YAMNet's", "is one of YAMNet's 3", "YAMNet's is one of its 3"]
    return table(head, rows)


def clips_table(results: dict[str, Any]) -> str:
    """Top classes of the held-out clips, second by second."""
    rows = []
    for name, clip in results["clips"].items():
        both = zip(clip["ours"], clip["YAMNet"], strict=True)
        pairs = [ours if ours == theirs else f"{ours} ({theirs})" for ours, theirs in both]
        rows.append([name, percent(clip["top class is YAMNet's"]), "; ".join(pairs)])
    lines = ["| clip | same % | top class by second (YAMNet's in brackets where it differs) |", "|---|---:|---|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def categories_table(results: dict[str, Any]) -> str:
    """Precision and recall for AVE's categories that the held-out sound has."""
    rows = []
    for name, count in results["categories"].items():
        get = count.get
        if not get("seconds YAMNet", 0) and not get("recordings true", 0):
            continue
        true = get("recordings true", 0)
        ours, theirs, both = (get(f"seconds {who}", 0) for who in ("ours", "YAMNet", "both"))
        row = [name, str(theirs), percent(both, ours), percent(both, theirs), str(true)]
        for who in ("ours", "YAMNet"):
            right = get(f"recordings {who} right", 0)
            row += [percent(right, get(f"recordings {who}", 0) if true else 0), percent(right, true)]
        rows.append(row)
    head = ["category", "seconds YAMNet hears it", "precision %", "recall %"]
    head += ["recordings of it", "precision %", "recall %", "YAMNet's precision %", "YAMNet's recall %"]
    return table(head, rows)


def hearing(results: dict[str, Any]) -> dict[str, list[str]]:
    """AVE's categories by what is known of them: heard, not heard well, and never in the held-out sound."""
    groups: dict[str, list[str]] = {"heard": [], "poor": [], "untested": []}
    for name, count in results["categories"].items():
        seconds, true = count.get("seconds YAMNet", 0), count.get("recordings true", 0)
        recalls = [count.get("seconds both", 0) / seconds] if seconds >= ENOUGH_SECONDS else []
        recalls += [count.get("recordings ours right", 0) / true] if true >= ENOUGH_SECONDS else []
        groups["untested" if not recalls else "heard" if min(recalls) >= HEARD else "poor"].append(name)
    return groups


def sources_table(results: dict[str, Any]) -> str:
    """Every source, its licence, and how much of it was used."""
    sources = read_sources()
    rows = []
    entries = [("esc10", sources["esc10"]), ("espeak", sources["espeak"]), ("synthetic", sources["synthetic"])]
    entries += [(entry.get("label", entry["name"]), entry) for entry in sources["package"]]
    for label, entry in entries:
        minutes = results["minutes"].get("midi-music" if label == "simutrans-data" else label, {})
        shown = [f"{minutes.get(split, 0):.1f}" for split in ("train", "validation", "test")]
        rows.append([label, entry["what"], entry["licence"], *shown])
    return table(["source", "what", "licence", "training, minutes", "validation", "test"], rows)


def write_model_card(results: dict[str, Any], path: Path) -> None:
    """Fill the tables into the text."""
    groups = {f"{name}_categories": ", ".join(names) or "none" for name, names in hearing(results).items()}
    text = (Path(__file__).parent / "model_card.md.in").read_text()
    values = {
        "esc10": esc10_table(results),
        "agreement": agreement_table(results),
        "clips": clips_table(results),
        "categories": categories_table(results),
        "sources": sources_table(results),
        "clip_count": str(len(results["clips"])),
        **{name: f"{value:,}" if isinstance(value, int) else value for name, value in results["file"].items()},
        **groups,
    }
    for name, value in values.items():
        text = text.replace("{{" + name + "}}", value)
    path.write_text(text)
