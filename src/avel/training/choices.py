"""The words that settings may be, as types. Needs nothing else, so that the command line can list them at once."""

from typing import Literal

from avel.data.annotations import WeakProtocol

TaskName = Literal["supervised", "weak"]
LossName = Literal["cross-entropy", "multi-label-soft-margin"]
WeakPooling = Literal["mean", "max"]
ClassWeights = Literal["none", "balanced"]
EpochProtocol = Literal["validation", "literature"]
Protocol = Literal[EpochProtocol, "cross-validation"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "step", "milestones", "cosine", "plateau"]
PlateauMeasure = Literal["training-loss", "accuracy"]
TrainingPrecision = Literal["auto", "float32", "bfloat16"]

__all__ = [
    "ClassWeights",
    "EpochProtocol",
    "LossName",
    "Optimizer",
    "PlateauMeasure",
    "Protocol",
    "Schedule",
    "TaskName",
    "TrainingPrecision",
    "WeakPooling",
    "WeakProtocol",
]
