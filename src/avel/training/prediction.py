"""What a model says of clips, and how good that is by the task's own measure."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.data.annotations import Split
from avel.data.clips import Rows
from avel.errors import SettingsError
from avel.metrics.multi_label import choose_thresholds, mean_average_precision
from avel.metrics.segments import segment_accuracy
from avel.metrics.values import Classes
from avel.models.base import LocalizationModel
from avel.training.data import LocalizationData
from avel.training.examples import ClipLabels, Examples
from avel.training.settings import TrainingSettings
from avel.training.tasks import Task

EVALUATION_BATCH = 16
"""As many as take 16 MB of regions in float32; evaluation shall not take more memory than training does."""


class Predicted(NamedTuple):
    """What a model says of M clips.

    Attributes:
        logits: (M, T, C) float32.
        valid: (M, T) bool, False where a segment is only padding.
        seconds: how long the model computed.
    """

    logits: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    seconds: float

    @property
    def classes(self) -> Classes:
        """(M, T) class of each segment where classes exclude each other."""
        classes: Classes = self.logits.argmax(-1)
        return classes


class LabelledLogits(NamedTuple):
    """What is measured: N clips of T segments, or where labels have no times N videos as one segment each.

    Attributes:
        logits: (N, T, C).
        labels: the truth of N clips of T segments.
        valid: (N, T) bool.
    """

    logits: Tensor
    labels: ClipLabels
    valid: Tensor

    def of(self, rows: Rows) -> "LabelledLogits":
        """Those of some clips or videos, in this order."""
        return LabelledLogits(self.logits[rows], self.labels.of(rows), self.valid[rows])

    def with_more(self, other: "LabelledLogits") -> "LabelledLogits":
        """These, then others."""
        logits, valid = torch.cat([self.logits, other.logits]), torch.cat([self.valid, other.valid])
        return LabelledLogits(logits, self.labels.with_more(other.labels), valid)


def predict(
    model: LocalizationModel,
    data: LocalizationData,
    examples: Examples,
    *,
    device: str | torch.device = "cpu",
    modalities: Sequence[str] = ("audio", "visual"),
) -> Predicted:
    """Logits of all segments, computed in float32 whatever the training computed in."""
    numbers = np.arange(len(examples)).tolist()
    order = [numbers[i : i + EVALUATION_BATCH] for i in range(0, len(numbers), EVALUATION_BATCH)]
    was_training = model.training
    model.eval()
    logits = np.empty((len(examples), data.num_segments, data.dims.num_classes), np.float32)
    valid = np.empty(logits.shape[:2], np.bool_)
    seconds = 0.0
    with torch.inference_mode():
        for numbers, batch in zip(order, data.batches(examples, order, modalities, device=device), strict=True):
            started = time.perf_counter()
            found = model(batch.visual, batch.audio, batch.valid).logits.cpu()
            seconds += time.perf_counter() - started
            logits[numbers], valid[numbers] = found.numpy(), batch.valid.cpu().numpy()
    model.train(was_training)
    return Predicted(logits, valid, seconds)


def labelled_logits(
    data: LocalizationData,
    split: Split,
    task: Task,
    logits: npt.NDArray[np.float32],
    labels: ClipLabels,
    valid: npt.NDArray[np.bool_],
) -> LabelledLogits:
    """What the measures compare, of a split.

    Where labels have no times, all clips of a video count as one segment, see `Task.of_video`.

    Args:
        data: the data set.
        split: the part of it that the clips are.
        task: of the training.
        logits: (M, T, C) of the split's clips.
        labels: the truth of the same clips.
        valid: (M, T) bool, False where a segment is only padding.
    """
    found = LabelledLogits(torch.from_numpy(logits), labels, torch.from_numpy(valid))
    if data.has_times:
        return found
    videos = data.by_video(split)
    pooled = [task.of_video(found.logits[clips][found.valid[clips]])[None] for clips in videos]
    # A video's label is that of all of its segments.
    firsts = [clips[valid[clips].any(axis=1).argmax()] for clips in videos]
    true = labels.of_segments(firsts, valid[firsts].argmax(axis=1))
    return LabelledLogits(torch.stack(pooled), true, torch.ones(len(pooled), 1, dtype=torch.bool))


def accuracy_of(task: Task, found: LabelledLogits) -> float:
    """Mean average precision in multi-label, else the share of segments whose class is right."""
    if task.multi_label:
        scores, true = task.scores(found.logits), found.labels.dense()[..., :-1]
        return mean_average_precision(scores[found.valid].numpy(), true[found.valid.numpy()])
    return segment_accuracy(task.decide(found.logits).numpy(), found.labels.first_classes, valid=found.valid)


def measure_of(settings: TrainingSettings, data: LocalizationData) -> str:
    """Name of what `accuracy_of` gives, see `avel.training.loop.TrainingResult`.

    Raises:
        SettingsError: if the task needs times that the labels do not have.
    """
    if not data.has_times and (settings.task != "weak" or settings.weak_labels != "one-hot"):
        raise SettingsError(
            f"task: {data.name} says which categories are in a video, not when. That teaches the weak task with "
            f"one-hot labels, not {settings.task} with {settings.weak_labels}."
        )
    name = "mean_average_precision" if settings.multi_label else "segment_accuracy"
    return name if data.has_times else f"video_{name.removeprefix('segment_')}"


def thresholds_of(task: Task, found: LabelledLogits) -> tuple[float, ...]:
    """The thresholds with the best F1, one a category; none where classes exclude each other."""
    if not task.multi_label:
        return ()
    scores, true = task.scores(found.logits), found.labels.dense()[..., :-1]
    return choose_thresholds(scores[found.valid].numpy(), true[found.valid.numpy()])
