import os
import shutil
import socket

import pytest

from avel.features.discovery import discover_videos


def test_lists_are_relative_to_themselves(clips, tmp_path):
    listed = clips.parent / "videos.txt"
    listed.write_text(f"\ufeff{clips.name}/a.mp4\r\n\n  {clips}/more/e.mp4\n", encoding="utf-8")
    found, failures = discover_videos([listed])
    assert found == [(clips.parent / clips.name / "a.mp4", "a"), (clips / "more" / "e.mp4", "e")]
    assert not failures


def test_a_folder_gives_media_files_only(clips, tmp_path):
    shutil.copytree(clips, tmp_path / "v")
    (tmp_path / "v" / "labels.csv").touch()
    (tmp_path / "v" / "LOUD.MP4").touch()
    (tmp_path / "v" / "again").symlink_to(tmp_path / "v")
    found, failures = discover_videos([tmp_path / "v", tmp_path / "v" / "a.mp4"])
    assert [name for _, name in found] == ["LOUD", "a", "b", "c", "d", "more/a", "more/e"]
    assert not failures


def test_what_cannot_be_found(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "data.txt").write_bytes(b"a\0b")
    found, failures = discover_videos([tmp_path / "empty", tmp_path / "data.txt", tmp_path / "no.txt"])
    assert not found
    reasons = list(failures.values())
    assert "there is no video in this folder (looked for .3gp, " in reasons[0]
    assert reasons[1] == f"{tmp_path}/data.txt: cannot be read (it is not a text file)."
    assert reasons[2] == f"{tmp_path}/no.txt: cannot be read (No such file or directory)."


def test_an_empty_name_is_not_the_current_folder(clips, monkeypatch):
    monkeypatch.chdir(clips)
    assert discover_videos([""]) == (
        [],
        {"": "One of the names of videos is empty. Name a file, or . for the current folder."},
    )


def test_a_list_that_is_no_list(tmp_path, monkeypatch):
    monkeypatch.setattr("avel.features.discovery.MAX_LIST_BYTES", 1 << 20)
    listed = tmp_path / "l.txt"
    listed.write_bytes(b"x" * (1 << 20) + b"x")
    assert "it is larger than 1 MiB" in discover_videos([listed])[1][str(listed)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_pipes_and_sockets_in_a_folder_are_no_videos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe.mp4")
    (tmp_path / "to-pipe.mp4").symlink_to("pipe.mp4")
    (tmp_path / "to-nowhere.mp4").symlink_to("nowhere")
    (tmp_path / "a.mp4").touch()
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("socket.mp4")
        found, failures = discover_videos([tmp_path])
    assert [name for _, name in found] == ["a", "to-nowhere"]
    assert not failures
