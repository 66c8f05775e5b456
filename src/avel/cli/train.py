"""``avel train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
    SetOption,
    StoreOption,
    TierOption,
    VideosOption,
    changes,
    source_of,
)
from avel.cli.match import matching_lines
from avel.cli.printing import printable
from avel.training.choices import ClassWeights, Protocol, TaskName, TrainingPrecision, WeakPooling, WeakProtocol

if TYPE_CHECKING:
    from avel.evaluation.train_on import TrainedRun
    from avel.training.matchers import MatcherRun


def train(
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="RUN", help="The folder that the run is written into.")
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
    preset: Annotated[
        str | None,
        typer.Option(
            help="How the features of your videos are made: fast, which suits a processor; default, whose models can "
            "show where an event is; or ave, the published recipe. [default: fast]"
        ),
    ] = None,
    visual: Annotated[
        str | None,
        typer.Option(
            help="The networks that look at the pictures, separated by commas, or none. [default: the preset's]"
        ),
    ] = None,
    audio: Annotated[
        str | None,
        typer.Option(
            help="The networks that listen to the sound, separated by commas, or none. [default: the preset's]"
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(
            help="The length of a segment in seconds, which is how finely times are told. Choose a shorter one for "
            "events shorter than a second. [default: 1]"
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of the audio track to use in each of your videos, 1 for the first one of the file. Choose "
            "it for videos in several languages or with audio description; avel localize follows it. [default: "
            "the track that a player would play]",
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The name of the model; avel models lists them. avdln, dcca and dual-encoder learn to match pictures "
            "and sound for avel match. [default: recommended; where a category of your own labels has fewer than 20 "
            "training events, the best of several by cross-validation]"
        ),
    ] = None,
    settings: Annotated[
        Path | None,
        typer.Option(help="A YAML file of settings, such as the settings.yaml of another run."),
    ] = None,
    task: Annotated[
        TaskName | None,
        typer.Option(
            help="What the labels say: supervised, when events are; weak, only which events a video has. "
            "[default: supervised, or weak where your labels have no times]"
        ),
    ] = None,
    multi_label: Annotated[
        bool | None,
        typer.Option(
            "--multi-label/--one-label",
            help="Whether a segment may hold events of several categories at once. "
            "[default: one, unless your own labels overlap]",
        ),
    ] = None,
    class_weights: Annotated[
        ClassWeights | None,
        typer.Option(
            help="How much each class counts in the loss: none, all segments alike; balanced, rare classes more. Try "
            "balanced when rare categories are never found. [default: none]"
        ),
    ] = None,
    weak_labels: Annotated[
        WeakProtocol | None,
        typer.Option(
            help="What a label of the weak task is: one-hot, the categories of the video; proportion, how much of the "
            "video each takes. Results of the two cannot be compared. [default: the model's]"
        ),
    ] = None,
    pooling: Annotated[
        WeakPooling | None,
        typer.Option(
            help="How the weak task makes a video's scores of those of its segments: their mean, or their maximum. "
            "[default: the model's]"
        ),
    ] = None,
    backgrounds: Annotated[
        str | None,
        typer.Option(
            help="The clips without an event that the weak task learns from as well: noisy (those of the data set), "
            "mismatched (pictures of one clip with the sound of another), noisy+mismatched, none, or a folder of "
            "features. [default: the model's; none with --videos]"
        ),
    ] = None,
    protocol: Annotated[
        Protocol | None,
        typer.Option(
            help="Which epoch is kept: validation, the best on the validation split; literature, the best on the test "
            "split, as some published code does, which makes its accuracy look better than it is; cross-validation, "
            "the last one of a training on the training and validation clips, over which it is measured by "
            "cross-validation. [default: validation; cross-validation where the model is chosen by it]"
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            help="How many times the training goes through all training clips, at most. [default: the model's]"
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="The number of clips in a step of training. Choose a smaller one if the memory does not suffice. "
            "[default: the model's]"
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            help="The learning rate of the first step. Choose a smaller one if the loss grows. [default: the model's]"
        ),
    ] = None,
    early_stop: Annotated[
        int | None,
        typer.Option(
            help="End the training after this many epochs without a better one; 0 never ends it early. [default: 0]"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The seed of all random numbers: the first weights, the order of the clips, dropout. Equal seeds give "
            "equal results on one machine. [default: 0]"
        ),
    ] = None,
    precision: Annotated[
        TrainingPrecision | None,
        typer.Option(
            help="What large products are computed in: float32, bfloat16, or auto, which is bfloat16 where the "
            "hardware computes in it. [default: auto]"
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Where the model is trained: auto, cpu, cuda or cuda:N. [default: auto]"),
    ] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="Write files for TensorBoard besides log.csv.")
    ] = None,
    more: SetOption = None,
    annotations: AnnotationsOption = None,
    features_of: FeaturesOption = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Continue the run in the folder from its last whole epoch, if there is one."),
    ] = False,
) -> None:
    """Train a model, keep its best epoch, and measure it on the test split.

    With your own videos: avel train --data labels.csv --videos DIR -o RUN. The features are extracted into RUN/features
    first, unless they are there already, and the videos are split by category unless the labels name the splits.

    A setting is what its option here says, else what the settings file says, else what the model's paper says, else its
    default. To train in several processes, start the command with torchrun: torchrun --nproc-per-node 2 -m avel train
    ...
    """
    given = {
        "task": task,
        "multi_label": multi_label,
        "class_weights": class_weights,
        "weak_labels": weak_labels,
        "pooling": pooling,
        "backgrounds": backgrounds,
        "protocol": protocol,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "early_stop": early_stop,
        "seed": seed,
        "precision": precision,
        "device": device,
        "tensorboard": tensorboard,
    }
    with usage_errors():
        from avel.cli.listener import ConsoleListener
        from avel.evaluation.train_on import train_matcher_on, train_on
        from avel.training.matchers import is_matcher

        flags = {name: value for name, value in given.items() if value is not None} | changes(more)
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
            features={
                "preset": preset,
                "visual": visual,
                "audio": audio,
                "segment_seconds": segment_seconds,
                "audio_track": audio_track,
            },
            output=output,
        )
        if is_matcher(model):
            assert model is not None
            if settings is not None or resume:
                raise ValueError(f"--settings and --resume: {model} trains in minutes and has neither. Leave them.")
            _print_matcher(train_matcher_on(source, output, model, flags, listener=ConsoleListener()))
            return
        run = train_on(
            source, output, model=model, settings_file=settings, flags=flags, resume=resume, listener=ConsoleListener()
        )
    _print(run)


def _print_matcher(run: "MatcherRun") -> None:
    epochs = len(run.trained.losses)
    chosen = "chosen on val" if run.trained.validation else "the last one, since there is no split val"
    print(f"{run.path}: epoch {run.trained.epoch} of {epochs}, {chosen}")
    if run.test is not None:
        print("\n".join(matching_lines(run.test)))


def _print(run: "TrainedRun") -> None:
    from avel.evaluation import report

    result = run.result
    chosen = f"chosen on {result.chosen_on}"
    where = "where"
    if result.chosen_on is None:
        chosen, where = "the last one", "by which"
    print(
        f"{result.checkpoint}: epoch {result.best_epoch} of {len(result.history)}, {chosen} "
        f"(protocol {run.settings.protocol}), {where} its {result.measure.replace('_', ' ')} is "
        f"{100 * result.accuracy:.1f} %"
    )
    if run.evaluation is not None:
        print(printable("\n".join(report.lines(run.evaluation)), keep="\n"))
