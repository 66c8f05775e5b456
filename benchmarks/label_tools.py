"""Real results of `avel localize`, given to tools' own readers, validators and converters, and read back.

These packages are too large for the tests: pip install label-studio-sdk crowsetta dcase_util sed_eval mutagen speach

The results are those of tests/data/formats/localized, of two real clips; the clips are needed for chapters alone. For
each tool: how many events there are, and how many it shows or gives back with the same category, modality and times to
a millisecond.
"""

import importlib.metadata
import json
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from _common import ROOT, SHARED, save

from avel.data.formats import label_studio, read_annotations
from avel.data.formats.chapters import WITHOUT_EVENT
from avel.data.formats.naming import MODALITY_WORDS, category_and_modality, name_of
from avel.events import Localization
from avel.outputs import WriteOptions, write

RESULTS = sorted((ROOT / "tests" / "data" / "formats" / "localized").glob("*.json"))
MILLISECOND = 0.001

Span = tuple[str, float, float, str]
"""Category, start, end and modality."""


def wanted(result: Localization) -> list[Span]:
    return [(e.category, e.start_seconds, e.end_seconds, e.modality) for e in result.events]


def read(path: Path, **options: object) -> list[Span]:
    found = read_annotations(path, **options)
    return [(e.category, e.start_seconds, e.end_seconds, e.modality or "audio-visual") for e in found.events]


def right(found: Iterable[Span], result: Localization, tolerance: float = MILLISECOND) -> int:
    """How many of the result's events are among those found."""
    left = list(found)
    count = 0
    for category, start, end, modality in wanted(result):
        fitting = [
            one
            for one in left
            if (one[0], one[3]) == (category, modality)
            and abs(one[1] - start) <= tolerance
            and abs(one[2] - end) <= tolerance
        ]
        if fitting:
            left.remove(fitting[0])
            count += 1
    return count


def named(spans: Iterable[tuple[str, float, float]]) -> list[Span]:
    """Spans of a tool that has no place for the modality."""
    return [
        (category, float(start), float(end), modality or "audio-visual")
        for name, start, end in spans
        for category, modality in [category_and_modality(name)]
    ]


def label_studio_exports(result: Localization, folder: Path) -> dict[str, int]:
    """Predictions are validated, accepted, and converted to each export by Label Studio's own SDK."""
    from label_studio_sdk.converter import Converter
    from label_studio_sdk.label_interface import LabelInterface

    found: dict[str, int] = {}
    for rate in (None, 25.0):
        path = folder / f"{rate}.label-studio.json"
        write(result, path, options=WriteOptions(frames_per_second=rate))
        (task,) = json.loads(path.read_text())
        config = label_studio.config(label_studio.labels_in(path), frames_per_second=rate)
        interface = LabelInterface(config)
        assert interface.validate_task({"data": task["data"]})
        assert interface.validate_prediction(task["predictions"][0], return_errors=True) == []
        regions = task.pop("predictions")[0]["result"]
        tasks = folder / "tasks.json"
        tasks.write_text(
            json.dumps([{**task, "id": 1, "annotations": [{"id": 1, "completed_by": 1, "result": regions}]}])
        )
        converter = Converter(config, str(folder), download_resources=False)
        timeline = "" if rate is None else ", timeline"
        for kind in ("JSON", "JSON_MIN", "CSV", "TSV"):
            out = folder / f"{kind}{rate}"
            converter.convert(str(tasks), str(out), kind, is_dir=False)
            exported = next(p for p in [out, *out.rglob("*")] if p.is_file())
            back = read(exported, frames_per_second=rate)
            if kind != "JSON":  # the others hold no remarks, and so no modality
                back = [(c, s, e, m) for (c, s, e, _), (_, _, _, m) in zip(back, wanted(result), strict=True)]
            found[f"{kind}{timeline}"] = right(back, result, MILLISECOND if rate is None else 0.5 / rate)
    return found


def crowsetta_raven(result: Localization, folder: Path) -> dict[str, int]:
    from crowsetta.formats.bbox import Raven

    table = Raven.from_file(write(result, folder / "a.selections.txt", "raven"), annot_col="Annotation")
    boxes = [(row.annotation, row.begin_time_s, row.end_time_s) for row in table.df.itertuples()]
    table.to_file(folder / "saved.txt")
    return {"read": right(named(boxes), result), "saved": right(read(folder / "saved.txt"), result)}


def crowsetta_audacity(result: Localization, folder: Path) -> dict[str, int]:
    from crowsetta.formats.seq import AudSeq

    labels = AudSeq.from_file(write(result, folder / "a.txt", "audacity"))
    spans = zip(labels.labels, labels.start_times, labels.end_times, strict=True)
    labels.to_file(folder / "saved.txt")
    return {"read": right(named(spans), result), "saved": right(read(folder / "saved.txt", format="audacity"), result)}


def speach_elan(result: Localization, folder: Path) -> dict[str, int]:
    from speach import elan

    document = elan.read_eaf(str(write(result, folder / "a.eaf")))
    modalities = {words: modality for modality, words in MODALITY_WORDS.items()}
    found = [
        (one.text, one.from_ts.sec, one.to_ts.sec, modalities[tier.name.partition(" #")[0]])
        for tier in document.tiers()
        for one in tier.annotations
    ]
    document.save(str(folder / "saved.eaf"))
    return {"read": right(found, result), "saved": right(read(folder / "saved.eaf"), result)}


def dcase(result: Localization, folder: Path) -> dict[str, int]:
    """The tables of DCASE's tools, made of the events, are read; and their metric finds no difference."""
    from dcase_util.containers import MetaDataContainer
    from sed_eval.sound_event import EventBasedMetrics

    events = MetaDataContainer(
        [
            {"filename": "a.wav", "onset": e.start_seconds, "offset": e.end_seconds, "event_label": name_of(e)}
            for e in result.events
        ]
    )
    events.save(filename=str(folder / "dcase.txt"))
    back = named((c, s, e) for c, s, e, _ in read(folder / "dcase.txt"))
    again = MetaDataContainer(
        [
            {"filename": "a.wav", "onset": s, "offset": e, "event_label": c if m == "audio-visual" else f"{c} ({m})"}
            for c, s, e, m in back
        ]
    )
    metric = EventBasedMetrics(event_label_list=events.unique_event_labels, t_collar=MILLISECOND)
    metric.evaluate(reference_event_list=events, estimated_event_list=again)
    f_measure = metric.results_overall_metrics()["f_measure"]["f_measure"]
    return {"saved": right(back, result), "found by sed_eval": round(f_measure * len(result.events))}


def mutagen_chapters(result: Localization, folder: Path) -> dict[str, int]:
    from mutagen.mp4 import MP4

    video = next((SHARED / "data" / "media").glob(f"events*/{result.video}"), None)
    if video is None:
        return {}
    path = write(replace(result, video=str(video)), folder / "a.chapters.mp4")
    starts = {round(mark.start, 3): mark.title for mark in MP4(path).chapters if mark.title != WITHOUT_EVENT}
    return {"read": sum(starts.get(round(e.start_seconds, 3)) == e.category for e in result.events)}


CHECKS: dict[str, tuple[Callable[[Localization, Path], dict[str, int]], tuple[str, ...]]] = {
    "Label Studio's SDK": (label_studio_exports, ("label-studio-sdk",)),
    "crowsetta, Raven": (crowsetta_raven, ("crowsetta",)),
    "crowsetta, Audacity": (crowsetta_audacity, ("crowsetta",)),
    "speach, ELAN": (speach_elan, ("speach",)),
    "DCASE's tools": (dcase, ("dcase_util", "sed_eval")),
    "mutagen, chapters of MP4": (mutagen_chapters, ("mutagen",)),
}


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.INFO)
    tools = {}
    for name, (check, packages) in CHECKS.items():
        counts: dict[str, int] = {}
        for path in RESULTS:
            with tempfile.TemporaryDirectory() as folder:
                for kind, count in check(Localization.from_json(path), Path(folder)).items():
                    counts[kind] = counts.get(kind, 0) + count
        versions = " ".join(f"{package} {importlib.metadata.version(package)}" for package in packages)
        tools[name] = {"versions": versions, **counts}
        print(f"{name} ({versions}): {counts}")
    events = sum(len(Localization.from_json(path).events) for path in RESULTS)
    print(f"of {events} events")
    save(__file__, {"events": events, "tools": tools})


if __name__ == "__main__":
    main()
