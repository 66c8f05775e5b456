"""The options of the commands that train and measure: what data are, and settings of any name."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avel.data.formats import LabelFormat
from avel.data.formats.label_file import CategoryFrom

if TYPE_CHECKING:
    from collections.abc import Mapping

    from avel.evaluation.train_on import AveFeatures, OwnVideos

DataArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="DATA",
        help="The data: a folder in AVE's layout, or a feature store of AVE's videos. With --videos they are labels of "
        "your own: a file of one of the label formats, such as CSV, ELAN, Audacity or Label Studio, or a folder of "
        "such files.",
    ),
]
DataOption = Annotated[
    Path | None, typer.Option("--data", metavar="DATA", help="The data, if you prefer to name them by an option.")
]
VideosOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The folder of the videos that your labels name. It makes DATA a label file."),
]
StoreOption = Annotated[
    Path | None,
    typer.Option(
        metavar="STORE",
        help="The feature store that the features of your videos are kept in; name one to share it between runs. "
        "[default: features in the folder of the run]",
    ),
]
FormatOption = Annotated[
    LabelFormat | None,
    typer.Option(
        "--labels-format",
        "--format",
        help="The format of your labels, if avel does not recognize it. [default: found out]",
    ),
]
FrameRateOption = Annotated[
    float | None,
    typer.Option(
        "--frames-per-second",
        help="The frames per second of Label Studio's timelines, as they are set there, or of the video that CVAT's "
        "tracks are of; only such labels need it.",
    ),
]
TierOption = Annotated[
    list[str] | None,
    typer.Option(
        "--tier",
        metavar="NAME",
        help="A tier of ELAN or Praat whose annotations are events, or the attribute of VIA's segments that is their "
        "category; a pattern such as 'event*' stands for several. May be given several times. [default: ELAN's tiers "
        "that depend on no other tier, all of Praat's]",
    ),
]
CategoryFromOption = Annotated[
    CategoryFrom | None,
    typer.Option(
        "--category-from",
        help="What an annotation's category is in ELAN's and Praat's files: its text, or the name of its tier. "
        "[default: text]",
    ),
]
AnnotatorOption = Annotated[
    str | None,
    typer.Option(
        help="The person whose annotations are read where several people annotated a task of Label Studio: a name, an "
        "e-mail address or a number. [default: the ground truth]"
    ),
]
AnnotationsOption = Annotated[
    Path | None,
    typer.Option(help="The folder that holds AVE's Annotations.txt and its splits. [default: DATA]"),
]
FeaturesOption = Annotated[
    str | None,
    typer.Option(
        "--features-of",
        help="The preset that the features in AVE's layout were made with, such as ave for the published ones. A model "
        "that is to be used on new videos has to know it. [default: not known]",
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Any other setting, or with options.NAME=VALUE an option of the model. May be given several times.",
    ),
]


def source_of(
    argument: Path | None,
    option: Path | None,
    videos: Path | None,
    own: "Mapping[str, Any]",
    ave: "Mapping[str, Any]",
    features: "Mapping[str, Any] | None" = None,
    output: Path | None = None,
) -> "AveFeatures | OwnVideos":
    """What is to be trained or measured on.

    Args:
        argument: DATA.
        option: ``--data``.
        videos: ``--videos``.
        own: options of labels of one's own, by their names in `OwnVideos`.
        ave: options of AVE's layout, by their names in `AveFeatures`.
        features: options of how features of one's own are made.
        output: folder of the run, where a store may be.

    Raises:
        ValueError: if options do not go together.
    """
    from avel.evaluation.train_on import FEATURES_FOLDER, AveFeatures, OwnVideos

    if (argument is None) == (option is None):
        raise ValueError("Give the data once: as DATA, or as --data DATA.")
    data = argument if argument is not None else option
    assert data is not None
    if videos is None:
        names = {"format": "labels_format", "tiers": "tier"}
        given = [*_given({names.get(name, name): value for name, value in own.items()}), *_given(features or {})]
        if given:
            raise ValueError(f"{', '.join(given)}: only for labels of your own. Add --videos DIR.")
        if data.is_file():
            raise ValueError(
                f"{data}: is a file. If it holds labels of your own, add --videos DIR; else give a folder of features."
            )
        return AveFeatures(data, **ave)
    given = _given(ave)
    if given:
        raise ValueError(f"{', '.join(given)}: for AVE's layout only, not with --videos.")
    recipe = None
    if features is not None and output is not None:
        from avel.cli.features import recipe_of

        store = own.get("store") or output / FEATURES_FOLDER
        preset = features["preset"]
        if preset is None and not (store / "store.json").exists():
            preset = "fast"
        recipe = recipe_of(store, preset, {name: value for name, value in features.items() if name != "preset"})
    return OwnVideos(data, videos, **own, recipe=recipe)


def changes(texts: list[str] | None) -> dict[str, Any]:
    """What ``--set`` says; the model's options under ``options``."""
    from avel.training.settings import parse_flag

    found: dict[str, Any] = {}
    for name, value in map(parse_flag, texts or ()):
        if name.startswith("options."):
            found.setdefault("options", {})[name.removeprefix("options.")] = value
        else:
            found[name] = value
    return found


def _given(options: "Mapping[str, Any]") -> list[str]:
    return [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
