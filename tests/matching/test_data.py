import numpy as np
import pytest

from avel.data.ave.hdf5 import write_order, write_rows
from avel.errors import AnnotationsError, FeaturesError
from avel.matching.data import load_clips

ROWS = ["Bark&a&good&0&10", "Bark&b&good&2&5", "Cat&c&good&0&0", "Cat&d&good&7&10"]


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "Annotations.txt").write_text("\n".join(ROWS))
    write_order(tmp_path / "train_order_match.h5", [3, 1, 0, 2])
    write_rows(tmp_path / "audio_feature.h5", rng.random((4, 10, 5), np.float32), 4)
    write_rows(tmp_path / "visual_feature_vec.h5", rng.random((4, 10, 6), np.float32), 4)
    return tmp_path


def test_rows_are_those_of_the_match_order(folder):
    clips = load_clips(folder, "train")
    assert clips.visual.shape == (4, 10, 6)
    assert clips.audio.shape == (4, 10, 5)
    assert clips.spans.tolist() == [[7, 10], [2, 5], [0, 10], [0, 0]]
    assert clips.in_event().sum(1).tolist() == [3, 3, 10, 0]
    assert clips.in_event()[1].tolist() == [False] * 2 + [True] * 3 + [False] * 5


def test_only_short_events(folder):
    clips, short = load_clips(folder, "train"), load_clips(folder, "train", short_events=True)
    assert short.spans.tolist() == [[7, 10], [2, 5]]
    assert (short.visual == clips.visual[:2]).all()
    assert (short.audio == clips.audio[:2]).all()


def test_means_over_the_regions_where_there_is_no_file_of_them(folder):
    visual = np.random.default_rng(1).random((4, 10, 4, 6), np.float32)
    write_rows(folder / "visual_feature.h5", visual, 4)
    (folder / "visual_feature_vec.h5").unlink()
    np.testing.assert_allclose(load_clips(folder, "train").visual, visual.mean(2)[[3, 1, 0, 2]], rtol=1e-6)


def test_split_that_is_not_there(folder):
    with pytest.raises(AnnotationsError, match="no test_order_match.h5"):
        load_clips(folder, "test")


def test_features_of_another_data_set(folder):
    (folder / "Annotations.txt").write_text("\n".join([*ROWS, "Cat&e&good&1&3"]))
    with pytest.raises(AnnotationsError, match="has 5 rows, but visual_feature_vec.h5 has 4"):
        load_clips(folder, "train")


def test_no_features(folder):
    (folder / "audio_feature.h5").unlink()
    with pytest.raises(FeaturesError, match="audio_feature.h5"):
        load_clips(folder, "train")
