"""AVE, or any data set in its layout, with features in its layout or in a store."""

from pathlib import Path

import numpy as np

from avel.data.ave import dataset as ave
from avel.data.ave.hdf5 import AveArrays
from avel.errors import FeaturesError
from avel.features.store import FeatureStore
from avel.training.data import LocalizationData
from avel.training.features import FeatureRecord
from avel.training.sources import AveSource, StoreSource, ave_record, store_record


def open_data(
    folder: str | Path, *, annotations: str | Path | None = None, declared: FeatureRecord | None = None
) -> LocalizationData:
    """Open AVE, or any data set in its layout, or a feature store with AVE-like annotations.

    Args:
        folder: with ``visual_feature.h5`` and so on, or a feature store whose keys end in the video IDs.
        annotations: folder with ``Annotations.txt`` and the splits; ``folder`` itself if left out.
        declared: which networks the features in AVE's layout are of, since the files do not say it.

    Raises:
        AnnotationsError: if the annotations are missing or damaged.
        FeaturesError: if the features are missing or damaged, or do not belong to the annotations.
    """
    folder = Path(folder)
    dataset = ave.load(annotations or folder)
    if (folder / "store.json").is_file():
        return _open_store(FeatureStore(folder), dataset)
    arrays = AveArrays.open(folder)
    source = AveSource(arrays, ave_record(arrays, declared))
    if len(source) != len(dataset):
        raise FeaturesError(
            f"{folder}: features of {len(source)} clips for {len(dataset)} annotations. "
            "Give the Annotations.txt that the features were made with."
        )
    if source.num_segments != ave.NUM_SEGMENTS:
        raise FeaturesError(
            f"{folder}: its clips have {source.num_segments} segments; AVE's layout has {ave.NUM_SEGMENTS}."
        )
    has_noisy = arrays.has("visual_feature_noisy") or arrays.has("audio_feature_noisy")
    noisy = AveSource(arrays, source.record, "_noisy") if has_noisy else None
    return LocalizationData(source, dataset, np.arange(len(dataset)), noisy)


def _open_store(store: FeatureStore, dataset: ave.AveDataset) -> LocalizationData:
    record = store_record(store)
    num_segments = round(ave.NUM_SEGMENTS * ave.SEGMENT_SECONDS / record.segment_seconds)
    keys = store.keys()
    of_video = {key.rpartition("/")[2]: i for i, key in enumerate(keys)}
    rows = np.array([of_video.get(row.video, -1) for row in dataset.rows], np.int64)
    if (rows < 0).all():
        raise FeaturesError(
            f"{store.folder}: none of its {len(keys)} videos is in the annotations. Keys have to end in the video ID."
        )
    return LocalizationData(StoreSource(store, keys, num_segments, record), dataset, rows)
