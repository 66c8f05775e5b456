import os
import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avel.data.ave import hdf5 as ave_hdf5
from avel.data.ave.hdf5 import AveArray, AveArrays, read_order, write_order, write_rows, write_visual
from avel.errors import FeaturesError

RNG = np.random.default_rng(0)


@pytest.fixture
def folder(tmp_path):
    """Features of five samples, six background clips and two splits, as extraction scripts write them."""
    visual = RNG.random((5, 10, 7, 7, 16))
    with h5py.File(tmp_path / "visual_feature.h5", "w") as file:
        file["avadataset"] = visual
    arrays = {
        "audio_feature": RNG.random((5, 10, 8)).astype(np.float32),
        "visual_feature_vec": visual.mean((2, 3)).astype(np.float16),
        "labels": np.eye(29, dtype=np.float32)[RNG.integers(29, size=(5, 10))],
        "mil_labels": np.eye(29, dtype=np.float32)[:5],
        "prob_label": np.eye(29, dtype=np.float32)[:5],
        "labels_closs": np.ones((5, 10), np.float32),
        "visual_feature_noisy": RNG.random((6, 10, 7, 7, 16)),
        "audio_feature_noisy": RNG.random((6, 10, 8)),
        "labels_noisy": np.eye(29, dtype=np.float32)[[28] * 6],
    }
    for name, values in arrays.items():
        write_rows(tmp_path / f"{name}.h5", values, len(values), dtype=values.dtype.name)
    write_order(tmp_path / "train_order.h5", [3, 0, 1])
    write_order(tmp_path / "test_order.h5", [4, 2])
    write_order(tmp_path / "test_order_match.h5", [2])
    return tmp_path


@pytest.fixture
def array_file(tmp_path):
    def make(**content) -> str:
        path = tmp_path / "audio_feature.h5"
        with h5py.File(path, "w") as file:
            for key, value in content.items():
                file[key] = value
        return path

    return make


# Reading


def test_rows_are_given_as_float32_with_flat_regions(folder):
    with h5py.File(folder / "visual_feature.h5") as file:
        stored = file["avadataset"][:]
    with AveArrays.open(folder) as arrays:
        assert arrays.num_rows == 5
        assert arrays.visual.shape == (5, 10, 49, 16)
        assert arrays.visual.dtype == np.float64
        assert arrays.audio.shape == (5, 10, 8)
        assert arrays.visual_vec.shape == (5, 10, 16)
        assert arrays.visual_vec.dtype == np.float16
        row = arrays.visual[3]
        assert row.dtype == np.float32
        np.testing.assert_allclose(row, stored[3].reshape(10, 49, 16), rtol=1e-6)
        assert row[0, 10, 0] == np.float32(stored[3, 0, 1, 3, 0])  # regions row after row
        np.testing.assert_array_equal(arrays.visual[-1], arrays.visual[4])
        batch = arrays.audio.read([4, 0, 4])
        np.testing.assert_array_equal(batch, np.stack([arrays.audio[4], arrays.audio[0], arrays.audio[4]]))
        np.testing.assert_array_equal(np.stack(list(arrays.audio)), arrays.audio.load())
        assert arrays.audio.read([]).shape == (0, 10, 8)


def test_background_clips(folder):
    arrays = AveArrays.open(folder)
    assert arrays.background_visual.shape == (6, 10, 49, 16)
    assert arrays.background_audio.shape == (6, 10, 8)
    assert arrays.has("train_order")
    assert not arrays.has("val_order")


def test_reads_give_new_arrays(folder):
    audio = AveArrays.open(folder).audio
    first = audio[0]
    first[:] = 7
    assert audio[0].max() < 7


def test_a_closed_array_opens_again(folder):
    audio = AveArrays.open(folder).audio
    before = audio[0]
    audio.close()
    np.testing.assert_array_equal(audio[0], before)


def _first_row(array: AveArray) -> np.ndarray:
    return array[0]


def test_other_processes_read_too(folder):
    audio = AveArrays.open(folder).audio
    expected = audio[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(audio))[0], expected)
    with ProcessPoolExecutor(2) as pool:
        for row in pool.map(_first_row, [audio] * 4):
            np.testing.assert_array_equal(row, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_reads_too(folder):
    script = f"""
import os
from avel.data.ave.hdf5 import AveArrays
audio = AveArrays.open({str(folder)!r}).audio
before = audio[1].tolist()
child = os.fork()
same = audio[1].tolist() == before
if child == 0:
    os._exit(0 if same else 1)
assert same and os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_rows_that_are_not_there(folder):
    audio = AveArrays.open(folder).audio
    with pytest.raises(IndexError, match=r"audio_feature.h5 has rows 0-4, got 5-5"):
        audio[5]
    with pytest.raises(IndexError, match=r"has rows 0-4, got -6-0"):
        audio.read([0, -6])
    with pytest.raises(ValueError, match=r"rows must be a list of row numbers, got shape \(1, 1\)"):
        audio.read([[0]])


def test_partial_and_wrong_folders(folder, tmp_path):
    with pytest.raises(FeaturesError, match=r"nothing: no such folder. Give the folder that holds visual_feature.h5"):
        AveArrays.open(tmp_path / "nothing")
    (folder / "visual_feature.h5").unlink()
    arrays = AveArrays.open(folder)
    assert arrays.num_rows == 5
    with pytest.raises(FeaturesError, match=r"visual_feature.h5: no such file"):
        _ = arrays.visual
    write_rows(folder / "audio_feature.h5", np.zeros((4, 10, 8)), 4)
    with pytest.raises(
        FeaturesError, match=r"do not belong together \(audio_feature.h5: 4 rows of 10 segments; visual"
    ):
        AveArrays.open(folder)
    for name in ("audio_feature", "visual_feature_vec"):
        (folder / f"{name}.h5").unlink()
    with pytest.raises(
        FeaturesError, match=r"neither of visual_feature.h5, audio_feature.h5, visual_feature_vec.h5 is"
    ):
        _ = AveArrays.open(folder).num_rows


def test_another_key_may_be_named(array_file):
    path = array_file(dataset=np.zeros((2, 3, 4)), more=1)
    with pytest.raises(FeaturesError, match=r"audio_feature.h5: no 'avadataset' in it; it holds 'dataset', 'more'."):
        AveArray(path, ndim=3)
    assert AveArray(path, ndim=3, key="dataset").shape == (2, 3, 4)
    assert AveArrays.open(path.parent, key="dataset").audio.shape == (2, 3, 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((2, 3), np.float32), r"'avadataset' has shape \(2, 3\); it must have 3 dimensions."),
        (np.zeros((2, 3, 4), np.int64), "'avadataset' is int64; allowed are float16, float32, float64."),
        (np.zeros((2, 3, 4), np.complex64), "'avadataset' is complex64; allowed are"),
        (np.array([[["a"]]], dtype=h5py.string_dtype()), "'avadataset' is object; allowed are"),
        (np.float32(1), r"'avadataset' has shape \(\); allowed are up to 10000000 rows"),
        (h5py.SoftLink("/other"), "'avadataset' is a link to another place, which is not followed. Copy the array."),
        (h5py.ExternalLink("/etc/passwd", "/x"), "'avadataset' is a link to another place"),
        (np.dtype("f4"), "'avadataset' is a datatype, not an array."),
    ],
)
def test_what_is_not_a_plain_array_is_refused(array_file, value, message):
    path = array_file(other=np.zeros((2, 3, 4)), avadataset=value)
    with pytest.raises(FeaturesError, match=message):
        AveArray(path, ndim=3)


def test_arrays_that_lie_in_other_files_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(96))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("avadataset", (2, 3, 2), "f8", external=[(str(tmp_path / "secret"), 0, 96)])
        file.create_group("group")
        virtual = h5py.VirtualLayout((2, 3, 2), "f8")
        virtual[:] = h5py.VirtualSource(tmp_path / "b.h5", "x", (2, 3, 2))
        file.create_virtual_dataset("virtual", virtual)
    with pytest.raises(FeaturesError, match="'avadataset' has its numbers in other files, which are not opened"):
        AveArray(tmp_path / "a.h5", ndim=3)
    with pytest.raises(FeaturesError, match="'virtual' has its numbers in other files"):
        AveArray(tmp_path / "a.h5", ndim=3, key="virtual")
    with pytest.raises(FeaturesError, match="'group' is a group, not an array"):
        AveArray(tmp_path / "a.h5", ndim=3, key="group")


def test_arrays_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("avadataset", (1, 2**20, 2**20), "f2", chunks=(1, 64, 64))
        file.create_dataset("chunk", (2**16, 2, 2**13), "f2", chunks=(2**16, 2, 2**13 // 2), compression="gzip")
    with pytest.raises(FeaturesError, match=r"has shape \(1, 1048576, 1048576\); allowed are up to .* numbers each"):
        AveArray(tmp_path / "a.h5", ndim=3)
    with pytest.raises(
        FeaturesError, match=r"'chunk' is packed in chunks of shape \(65536, 2, 4096\); a chunk may have"
    ):
        AveArray(tmp_path / "a.h5", ndim=3, key="chunk")
    write_rows(tmp_path / "b.h5", np.zeros((2, 3, 4)), 2)
    monkeypatch.setattr(ave_hdf5, "MAX_LOAD_VALUES", 20)
    with pytest.raises(FeaturesError, match=r"shape \(2, 3, 4\) is too large to load at once. Read it row by row."):
        AveArray(tmp_path / "b.h5", ndim=3).load()


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("not HDF5")
    with pytest.raises(FeaturesError, match=r"a.h5: not a readable HDF5 file \(.*\). Get it again."):
        AveArray(tmp_path / "a.h5", ndim=3)


def test_a_damaged_row_is_refused(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("avadataset", data=RNG.random((2, 3, 400)), chunks=(1, 3, 400), fletcher32=True)
        start = data.id.get_chunk_info(1).byte_offset
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[start + 10] ^= 0xFF
    (tmp_path / "a.h5").write_bytes(content)
    array = AveArray(tmp_path / "a.h5", ndim=3)
    assert np.isfinite(array[0]).all()
    with pytest.raises(FeaturesError, match=r"a.h5: row 1 cannot be read \(.*\). The file is damaged; get it again."):
        array[1]


@given(st.integers(0, 4000), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused_with_our_error(tmp_path_factory, position, value):
    path = tmp_path_factory.mktemp("changed") / "a.h5"
    write_rows(path, np.ones((2, 3, 4)), 2)
    content = bytearray(path.read_bytes())
    content[position % len(content)] = value
    path.write_bytes(content)
    try:
        assert AveArray(path, ndim=3).load().shape[0] >= 0
    except FeaturesError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros(3), r"'order' is float64 of shape \(3,\); it must be integers in one dimension."),
        (np.zeros((3, 1), int), r"'order' is int64 of shape \(3, 1\); it must be"),
        (np.array([2, -1]), "holds the row number -1; row numbers start at 0."),
        (np.array([2, 1, 2]), "a row number occurs twice in it; a split holds each row once."),
    ],
)
def test_a_wrong_order_file_is_refused(tmp_path, value, message):
    with h5py.File(tmp_path / "test_order.h5", "w") as file:
        file["order"] = value
    with pytest.raises(FeaturesError, match=message):
        read_order(tmp_path / "test_order.h5")


def test_a_damaged_order_file_is_refused(tmp_path):
    path = tmp_path / "test_order.h5"
    with h5py.File(path, "w") as file:
        start = file.create_dataset("order", data=np.arange(9), chunks=(9,), fletcher32=True).id.get_chunk_info(0)
    content = bytearray(path.read_bytes())
    content[start.byte_offset + 1] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(FeaturesError, match=r"test_order.h5: 'order' cannot be read \(.*\). The file is damaged"):
        read_order(path)


# Writing


@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, max_side=5), elements=st.floats(0, 1000, width=16)),
    st.sampled_from(ave_hdf5.FLOAT_TYPES),
)
def test_what_is_written_is_read_back(tmp_path_factory, values, dtype):
    path = tmp_path_factory.mktemp("rows") / "a.h5"
    write_rows(path, iter(values), len(values), dtype=dtype)
    array = AveArray(path, ndim=values.ndim)
    assert array.dtype == dtype
    np.testing.assert_array_equal(array.load(), values)


@pytest.mark.parametrize("dtype", ave_hdf5.FLOAT_TYPES)
def test_visual_features_are_written_on_their_grid(tmp_path, dtype):
    rows = RNG.random((3, 10, 49, 4)).astype(np.float32)
    write_visual(tmp_path / "visual_feature.h5", iter(rows), 3, dtype=dtype)
    with h5py.File(tmp_path / "visual_feature.h5") as file:
        assert file["avadataset"].shape == (3, 10, 7, 7, 4)
        assert file["avadataset"].dtype == dtype
        np.testing.assert_allclose(file["avadataset"][1, 2, 3, 4], rows[1, 2, 3 * 7 + 4], rtol=1e-3)
    np.testing.assert_allclose(AveArrays.open(tmp_path).visual.load(), rows, rtol=1e-3)
    write_visual(tmp_path / "visual_feature.h5", rows.reshape(3, 10, 7, 7, 4), 3)
    np.testing.assert_array_equal(AveArrays.open(tmp_path).visual.load(), rows)
    write_visual(tmp_path / "visual_feature.h5", rows[:, :, :6], 3, grid=(2, 3))
    assert AveArrays.open(tmp_path).visual.shape == (3, 10, 6, 4)


def test_visual_features_without_a_grid_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"6 regions do not make a grid of 2 x 2. Give the grid's \(H, W\)."):
        write_visual(tmp_path / "a.h5", np.zeros((1, 10, 6, 4)), 1)
    with pytest.raises(
        ValueError, match=r"A row of visual features has shape \(T, R, D\) or \(T, H, W, D\), got \(10, 4\)"
    ):
        write_visual(tmp_path / "a.h5", np.zeros((1, 10, 4)), 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rows", "dtype", "message"),
    [
        ([np.zeros((2, 3))], "float32", "there are only 1 rows of the 2 announced."),
        ([np.zeros((2, 3))] * 3, "float32", "there are more rows than the 2 announced."),
        ([np.zeros((2, 3)), np.zeros((3, 3))], "float32", r"row 1 has shape \(3, 3\), the rows before \(2, 3\)."),
        ([np.full((2, 3), np.nan)], "float32", "row 0 holds NaN or infinite values. Extract its video again."),
        ([np.full((2, 3), 7e4)], "float16", "row 0 holds 70000, too large for float16. Write a wider type."),
    ],
)
def test_rows_that_do_not_fit_leave_the_old_file(tmp_path, rows, dtype, message):
    path = tmp_path / "a.h5"
    path.write_text("old")
    with pytest.raises(FeaturesError, match=rf"a.h5: {message}"):
        write_rows(path, rows, 2, dtype=dtype)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5"]


def test_an_error_of_the_rows_is_not_taken_for_one_of_the_disk(tmp_path):
    def rows():
        yield np.zeros((2, 3))
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        write_rows(tmp_path / "a.h5", rows(), 2)
    assert not list(tmp_path.iterdir())


def test_wrong_arguments(tmp_path):
    path = tmp_path / "a.h5"
    with pytest.raises(ValueError, match="Unknown dtype 'int8'. Supported types are float16, float32, float64."):
        write_rows(path, [], 1, dtype="int8")
    with pytest.raises(ValueError, match="num_rows must be in 1-10000000, got 0."):
        write_rows(path, [], 0)
    with pytest.raises(ValueError, match=r"An order is a list of row numbers from 0, got float64 of shape \(1,\)."):
        write_order(path, [0.5])
    with pytest.raises(ValueError, match="A row number occurs twice in the order"):
        write_order(path, [1, 1])
    write_order(path, [])
    assert read_order(path).shape == (0,)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FeaturesError, match=r"Cannot write .*a.h5: a part of its path is a file, not a folder"):
        write_rows(tmp_path / "file" / "a.h5", [np.zeros(2)], 1)


def test_a_full_disk_is_refused_and_leaves_nothing(tmp_path):
    # A limit on the size of a file stands in for a full disk: the write fails in the same place.
    script = f"""
import resource
import numpy as np
from avel.errors import FeaturesError
from avel.data.ave.hdf5 import write_rows
resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
try:
    write_rows({str(tmp_path / "a.h5")!r}, (np.ones((100, 1000)) for _ in range(9)), 9)
except FeaturesError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "a.h5: the file would be larger than is allowed here" in done.stdout, done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="memory is measured by the system's own means")
def test_memory_stays_flat_while_writing_and_reading(tmp_path):
    script = f"""
import resource
import numpy as np
from avel.data.ave.hdf5 import AveArray, write_rows
write_rows({str(tmp_path / "a.h5")!r}, [np.ones((100, 1000))], 1)
AveArray({str(tmp_path / "a.h5")!r}, ndim=3)[0]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_rows({str(tmp_path / "a.h5")!r}, (np.full((100, 1000), float(i)) for i in range(300)), 300, dtype="float64")
assert [row[0, 0] for row in AveArray({str(tmp_path / "a.h5")!r}, ndim=3)] == list(range(300))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 40e6  # the file has 240 MB


def test_the_module_is_light_to_import():
    script = "import sys; import avel.data.ave.hdf5; print(sorted({'h5py', 'torch', 'openvino'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# The benchmark set, which other people's code composes


@pytest.fixture(scope="module")
def bench(shared, tmp_path_factory):
    out = tmp_path_factory.mktemp("bench")
    subprocess.run(
        [sys.executable, str(shared / "bench" / "compose.py"), str(out), "--clips", "60"],
        check=True,
        capture_output=True,
    )
    return out


@pytest.mark.slow
def test_a_composed_set_is_read_and_written_back(bench, tmp_path):
    with AveArrays.open(bench) as arrays:
        assert arrays.visual.shape == (arrays.num_rows, 10, 49, 512)
        assert arrays.audio.shape == (arrays.num_rows, 10, 128)
        orders = [read_order(bench / f"{split}_order.h5") for split in ("train", "val", "test")]
        np.testing.assert_array_equal(np.sort(np.concatenate(orders)), np.arange(arrays.num_rows))
        np.testing.assert_allclose(arrays.visual[5].mean(1), arrays.visual_vec[5], atol=0.05)
        assert len(arrays.background_visual) == len(arrays.background_audio)
        write_visual(tmp_path / "visual_feature.h5", arrays.visual, arrays.num_rows, dtype="float16")
        write_rows(tmp_path / "audio_feature.h5", arrays.audio, arrays.num_rows, dtype="float16")
    for name in ("visual_feature", "audio_feature"):
        with h5py.File(bench / f"{name}.h5") as one, h5py.File(tmp_path / f"{name}.h5") as other:
            np.testing.assert_array_equal(one["avadataset"][:], other["avadataset"][:])


LIMITED = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from avel.data.ave.hdf5 import write_rows
from avel.errors import FeaturesError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path, limits = Path(sys.argv[1]), map(int, sys.argv[2:])
for limit in limits:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_rows(path, iter(np.ones((50, 10, 100), np.float32)), 50)
    except FeaturesError as error:
        print(error)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")
def test_a_disk_that_refuses_is_an_error_and_no_crash_of_hdf5(tmp_path):
    path = tmp_path / "audio_feature.h5"
    limits = ["0", "1000", "2500", "100000", "200000", "201000"]  # the file takes 202048 bytes
    command = [sys.executable, "-c", LIMITED, str(path), *limits]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    reason = "the file would be larger than is allowed here. Free some room and run the command again."
    assert result.stdout.splitlines() == [f"Cannot write {path}: {reason}"] * len(limits)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_and_no_crash_of_hdf5(small_disk):
    rows = iter(np.ones((50, 10, 7, 7, 512), np.float32))
    with pytest.raises(FeaturesError, match="the disk is full"):
        write_rows(small_disk / "visual_feature.h5", rows, 50)
    assert not list(small_disk.iterdir())


@pytest.mark.parametrize(
    "layout", [{}, {"chunks": (2, 3, 4)}, {"chunks": (1, 3, 4), "compression": "gzip"}, {"dtype": ">f4"}]
)
@pytest.mark.parametrize("userblock_size", [0, 512])
def test_rows_of_every_layout_of_the_file(tmp_path, layout, userblock_size):
    rows = np.random.default_rng(0).random((5, 3, 4)).astype(np.float32)
    path = tmp_path / "audio_feature.h5"
    with h5py.File(path, "w", userblock_size=userblock_size) as file:
        file.create_dataset("other", data=np.ones(7))
        file.create_dataset("avadataset", data=rows, **layout)
    array = AveArray(path, ndim=3)
    assert array.rows_at_once == layout.get("chunks", (1,))[0]
    for index in (4, 0, 2):
        assert np.array_equal(array.row(index), rows[index])
    assert np.array_equal(array.read([3, -1]), rows[[3, -1]])
