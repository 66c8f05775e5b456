"""Which of a person's videos are learned from, which choose the epoch, and which measure the model."""

import csv
import io
from collections import Counter
from collections.abc import Sequence

from avel.data.annotations import SPLITS, Split
from avel.data.splits import stratified_split
from avel.errors import AnnotationsError
from avel.training.own.dataset import LabelledData
from avel.training.own.labels import VideoLabelling
from avel.training.own.names import some
from avel.training.settings import TrainingSettings
from avel.wording import counted


def split_videos(
    labelling: VideoLabelling, settings: TrainingSettings, needed: Sequence[Split] = SPLITS
) -> dict[str, Split]:
    """The split of each video: as the label file says, else by seed, whole videos at a time, each category alike.

    Args:
        labelling: labels and videos.
        settings: ``split_shares`` and ``split_seed``.
        needed: splits that must not be empty.

    Raises:
        AnnotationsError: if only some videos have a split, one that is needed is empty, or a category cannot be both
            trained and measured.
    """
    annotations, source = labelling.annotations, labelling.source
    categories_of = {video: {e.category for e in events} for video, events in annotations.by_video().items()}
    videos_of = Counter(category for found in categories_of.values() for category in found)
    given = annotations.split_of()
    named = {video: split for video, split in given.items() if split is not None}
    if named:
        if len(named) < len(given):
            without = next(video for video, split in given.items() if split is None)
            others = counted(len(named), "other video has", "other videos have")
            raise AnnotationsError(
                f"{annotations.where.get(without, source)}: '{without}' has no split, but {others} one. "
                f"Give each video one of {', '.join(SPLITS)}, or none of them."
            )
        splits = named
    else:
        single = [category for category, count in videos_of.items() if count < 2]
        if single:
            raise AnnotationsError(
                f"{source}: {some(single)} {'is' if len(single) == 1 else 'are'} in one video only, which cannot be "
                "both learned from and measured on. Label more videos (three or more of each category), leave the "
                "category out, or name the splits in a column 'split'."
            )
        if len(categories_of) < len(SPLITS):
            found = counted(len(categories_of), "video")
            raise AnnotationsError(f"{source}: {found} cannot be split into {', '.join(SPLITS)}.")
        splits = stratified_split(categories_of, settings.split_shares, seed=settings.split_seed)
    counts = Counter(splits.values())
    for split in needed:
        if not counts[split]:
            found = ", ".join(f"{counts[name]} in {name}" for name in SPLITS)
            raise AnnotationsError(
                f"{source}: no video is in split {split} ({found}). "
                + ("Put some rows in it." if named else "Label three or more videos of each category.")
            )
    trained = {category for video, split in splits.items() if split == "train" for category in categories_of[video]}
    missing = [category for category in annotations.categories if videos_of[category] and category not in trained]
    if missing and "train" in needed:
        raise AnnotationsError(
            f"{source}: {some(missing)} {'is' if len(missing) == 1 else 'are'} in no video of split train, so that "
            "it cannot be learned. Put some of its videos there."
        )
    return splits


def splits_csv(data: LabelledData) -> str:
    """``video,split`` of each video, as a CSV file."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["video", "split"])
    table.writerows([video.name, video.split] for video in data.windows.videos)
    return text.getvalue()
