"""Writing whole files or none, and headers of files from others."""

import errno
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from avel import files
from avel.errors import FeaturesError, OutputError
from avel.files import (
    MAX_HEADER_BYTES,
    SafetensorsError,
    new_folder,
    open_safetensors,
    put,
    replacing,
    safetensors_header,
    workshop,
    write_bytes,
    write_text,
)

# Writing --------------------------------------------------------------------------------------------------------------


def test_a_file_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a"
    with replacing(target) as temporary:
        assert temporary.parent == target.parent
        temporary.write_text("whole")
        assert not target.exists()
    assert [file.read_text() for file in target.parent.iterdir()] == ["whole"]


def test_a_writer_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("before")
    with pytest.raises(RuntimeError, match="half way"), replacing(target) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_file_and_folder_are_brought_to_the_disk_in_that_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []

    def note(descriptor: int) -> None:
        steps.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("this system does not tell which file a descriptor is of")
    monkeypatch.setattr(os, "fsync", note)
    write_text(tmp_path / "a", "text")
    assert [path.parent for path in steps] == [tmp_path, tmp_path.parent]
    assert steps[0].name.startswith(".avel-")
    assert steps[1] == tmp_path


def test_the_temporary_place_can_be_chosen(tmp_path: Path) -> None:
    with replacing(tmp_path / "a", temporary=tmp_path / "mine") as temporary:
        assert temporary == tmp_path / "mine"
        temporary.write_text("x")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_text_that_is_no_unicode_is_escaped(tmp_path: Path) -> None:
    write_text(tmp_path / "a", os.fsdecode(b"caf\xe9\n"))
    assert (tmp_path / "a").read_bytes() == rb"caf\udce9" + b"\n"


def test_a_full_device(tmp_path: Path) -> None:
    """What is written to /dev/full meets a full disk."""
    if not Path("/dev/full").is_char_device():
        pytest.skip("this system has no /dev/full")
    (tmp_path / "a").write_text("before")
    with pytest.raises(OutputError) as caught, replacing(tmp_path / "a") as temporary:  # noqa: PT012
        temporary.symlink_to("/dev/full")
        temporary.write_text("x")
    assert (
        str(caught.value) == f"Cannot write {tmp_path}/a: the disk is full. Free some room and run the command again."
    )
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_a_full_disk(small_disk: Path) -> None:
    target = small_disk / "folder" / "a"
    write_bytes(target, b"before")
    with pytest.raises(OutputError, match="a: the disk is full. Free some room"):
        write_bytes(target, bytes(2 << 20))
    assert [file.read_bytes() for file in target.parent.iterdir()] == [b"before"]


def test_a_read_only_place(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(OutputError, match=r"a: this place is read-only\. Choose another place\."):
        write_text(small_disk / "a", "x")
    with pytest.raises(OutputError, match=r"new: this place is read-only"), new_folder(small_disk / "new"):
        pass


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_folder_that_is_closed(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(0o500)
    with pytest.raises(OutputError, match="a: you do not have permission to write here"):
        write_text(tmp_path / "closed" / "a", "x")


def test_places_that_are_not_for_a_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"folder: it is a folder\. Choose another name or place\."):
        write_text(tmp_path / "folder", "x")
    for below in ("a", "b/a"):
        with pytest.raises(OutputError, match=r"a: a part of its path is a file, not a folder\. Choose another place"):
            write_text(tmp_path / "file" / below, "x")
    with pytest.raises(OutputError, match=r"null: it is not a regular file"):
        write_text(Path("/dev/null"), "x")
    with pytest.raises(OutputError, match=r"x: its name is too long"):
        write_text(tmp_path / ("x" * 300), "x")


def test_the_caller_chooses_the_exception_and_the_advice(tmp_path: Path) -> None:
    with pytest.raises(FeaturesError, match=r"it is a folder. Ask Ada\.$"):
        write_text(tmp_path, "x", raises=FeaturesError, advice="Ask Ada.")


def test_errors_that_have_nothing_to_do_with_writing_pass(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the network is gone"), replacing(tmp_path / "a"):
        raise OSError("the network is gone")
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        (tmp_path / "input").read_text()


@pytest.mark.parametrize(
    "words",
    ["I/O error: No space left on device (os error 28)", "write failed: time = Mon, errno = 28, error message = '...'"],
)
def test_what_libraries_tell_in_words_only(words: str) -> None:
    assert files.as_os_error(RuntimeError(words)).errno == errno.ENOSPC
    assert files.as_os_error(RuntimeError("something else")).errno is None


def test_a_folder_takes_its_name_when_it_is_complete(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b") as temporary:
        (temporary / "file").write_text("mine")
        assert not (tmp_path / "a" / "b").exists()
    assert [file.read_text() for file in (tmp_path / "a" / "b").iterdir()] == ["mine"]


def test_a_folder_that_another_process_made_meanwhile_stays(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a") as temporary:
        (temporary / "file").write_text("mine")
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "file").write_text("theirs")
    assert (tmp_path / "a" / "file").read_text() == "theirs"
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_files_come_one_by_one_and_replace_none(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    (tmp_path / "new").mkdir()
    with workshop(folder) as temporary:
        for content in ("one", "two", "one", "two"):
            (temporary / "made").write_text(content)
            put(temporary / "made", folder / "a.txt")
        (temporary / "half").write_text("hal")
    assert {file.name: file.read_text() for file in folder.iterdir()} == {"a.txt": "one", "a-2.txt": "two"}
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match=f"Cannot write {tmp_path}/file: a part of its path is a file"),
        workshop(tmp_path / "file"),
    ):
        pass


# Safetensors ----------------------------------------------------------------------------------------------------------

CONTENT = save({"b": np.arange(6, dtype=np.float16).reshape(2, 3), "a": np.zeros((0, 4), np.float32)}, {"key": "text"})


def test_a_header_says_where_each_tensor_lies(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(CONTENT)
    header = safetensors_header(tmp_path / "f")
    assert header.metadata == {"key": "text"}
    assert header.tensors["a"].shape == (0, 4)
    place = header.tensors["b"]
    assert (place.dtype, place.shape) == ("F16", (2, 3))
    assert np.frombuffer(CONTENT, np.float16, 6, place.offset_bytes).tolist() == [0, 1, 2, 3, 4, 5]


def _with_header(header: bytes, data: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"1234567",
        CONTENT[:-1],
        CONTENT + b"x",
        _with_header(b"not JSON"),
        _with_header(json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 99]}}).encode(), bytes(8)),
        (1 << 62).to_bytes(8, "little") + b"{}",
    ],
)
def test_what_is_no_intact_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(SafetensorsError):
        safetensors_header(tmp_path / "f")
    with pytest.raises(SafetensorsError), open_safetensors(tmp_path / "f", "numpy"):
        pass


def test_a_header_is_bounded(tmp_path: Path) -> None:
    padded = b"{}" + b" " * (MAX_HEADER_BYTES + 8 - 2)
    (tmp_path / "f").write_bytes(_with_header(padded))
    with pytest.raises(SafetensorsError, match="its header has more than the 16,777,216 bytes that are allowed"):
        safetensors_header(tmp_path / "f")


def test_a_missing_file_is_the_operating_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safetensors_header(tmp_path / "f")
