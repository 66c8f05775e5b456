"""``avel evaluate``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from avel.cli.console import usage_errors
from avel.cli.data_options import (
    AnnotationsOption,
    AnnotatorOption,
    CategoryFromOption,
    DataArgument,
    DataOption,
    FeaturesOption,
    FormatOption,
    FrameRateOption,
    StoreOption,
    TierOption,
    VideosOption,
    source_of,
)
from avel.cli.match import matching_lines
from avel.cli.printing import print_json, printable
from avel.data.annotations import Split


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(metavar="CHECKPOINT", help="A checkpoint that avel train wrote, or the folder of its run."),
    ],
    data: DataArgument = None,
    data_option: DataOption = None,
    videos: VideosOption = None,
    store: StoreOption = None,
    labels_format: FormatOption = None,
    frames_per_second: FrameRateOption = None,
    tier: TierOption = None,
    category_from: CategoryFromOption = None,
    annotator: AnnotatorOption = None,
    split: Annotated[Split, typer.Option(help="The part of the data that the model is measured on.")] = "test",
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Write a report: a file that ends in .html or .json, or a folder for both."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    events: Annotated[
        Path | None,
        typer.Option(
            metavar="LABELS",
            help="Measure predicted events of any tool against these labels. CHECKPOINT then is a CSV file with the "
            "columns video, start_seconds, end_seconds, category and perhaps score, a JSON result of avel localize, "
            "or a folder of either.",
        ),
    ] = None,
    video_seconds: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="With --events: the length of every video, such as 10 for AVE and OV-AVEBench. [default: what JSON "
            "results say, or the end of a video's last event]",
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the model runs: auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Measure a trained model, and show beside it what needs no learning.

    With --events, measure predicted events of any tool: mean average precision, F1 of events and of segments, segment
    accuracy, the metrics of OV-AVEBench, and PSDS; the report shows the time lines of the worst videos.
    """
    if events is not None:
        _events(checkpoint, events, video_seconds, output, as_json)
        return
    with usage_errors():
        from avel.cli.listener import ConsoleListener
        from avel.evaluation import report
        from avel.evaluation.train_on import evaluate_matcher_on, evaluate_on
        from avel.training.matchers import holds_matcher

        if output is not None:
            report.check_place(output)
        source = source_of(
            data,
            data_option,
            videos,
            own={
                "store": store,
                "format": labels_format,
                "frames_per_second": frames_per_second,
                "tiers": tier,
                "category_from": category_from,
                "annotator": annotator,
            },
            ave={"annotations": annotations, "features_of": features_of},
        )
        if holds_matcher(checkpoint):
            if output is not None:
                raise ValueError(f"{output}: reports are written of models, not of matchers. Leave --output.")
            accuracy = evaluate_matcher_on(checkpoint, source, split, listener=ConsoleListener())
            print(json.dumps(asdict(accuracy), indent=2) if as_json else "\n".join(matching_lines(accuracy)))
            return
        found = evaluate_on(checkpoint, source, split, device=device, listener=ConsoleListener())
        if output is not None:
            report.write(found, output)
    if as_json:
        print_json(found.to_dict())
    else:
        print(printable("\n".join(report.lines(found)), keep="\n"))


def _events(predictions: Path, labels: Path, video_seconds: float | None, output: Path | None, as_json: bool) -> None:
    with usage_errors():
        from avel.evaluation.events import check_events_place, evaluate_events, write_events

        if output is not None:
            check_events_place(output)
        found = evaluate_events(predictions, labels, video_seconds=video_seconds)
        if output is not None:
            write_events(found, output)
    if as_json:
        print_json(found.to_dict())
    else:
        print(printable("\n".join(found.lines()), keep="\n"))
