import json
import os
import subprocess
import sys
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from avel.data.formats import label_studio, read_annotations
from avel.errors import MediaError, OutputError
from avel.events import Localization
from avel.outputs import FORMATS, TEXT_FORMATS, WriteOptions, format_of, render, unique_stems, write, write_all
from avel.outputs.destination import Destination
from avel.testing.tone_and_flash import make_clip


def test_format_comes_from_the_suffix(tmp_path, result):
    assert write(result, tmp_path / "a.JSON") == tmp_path / "a.JSON"
    assert Localization.from_json(tmp_path / "a.JSON") == result
    write(result, tmp_path / "b.txt", format="csv")
    assert (tmp_path / "b.txt").read_text() == render(result, "csv")


def test_unknown_formats_are_named_with_those_that_exist(tmp_path, result):
    supported = "Supported formats are json, csv, srt, vtt, elan, audacity, label-studio, coco, csv-clock"
    with pytest.raises(ValueError, match=f"Unknown format 'gif'. {supported}"):
        write(result, tmp_path / "a.gif")
    with pytest.raises(ValueError, match=f"Unknown format ''. {supported}"):
        write(result, tmp_path / "a")
    with pytest.raises(ValueError, match="Unknown format 'pdf'"):
        write_all(result, tmp_path, ["json", "pdf"])
    with pytest.raises(ValueError, match="Unknown text format 'png'. Supported text formats are json, csv, srt, vtt"):
        render(result, "png")
    assert not list(tmp_path.iterdir())


def test_all_formats_land_beside_each_other(tmp_path, dog):
    dog = replace(dog, attention=np.full((len(dog.segments), 2, 2), 0.25, np.float32))
    paths = write_all(dog, tmp_path / "new" / "folder", list(FORMATS))
    assert [p.name for p in paths] == [f"dog_bark_02754.{one.suffix}" for one in FORMATS.values()]
    assert [format_of(p) for p in paths] == list(FORMATS)
    frames = tmp_path / "new" / "folder" / "dog_bark_02754.coco"
    assert sorted((tmp_path / "new" / "folder").iterdir()) == sorted([*paths, frames])


def test_the_longest_suffix_tells_the_format():
    assert format_of("a.json") == "json"
    assert format_of("folder/a.COCO.json") == "coco"
    assert format_of("a.label-studio.json") == "label-studio"
    assert format_of("a.txt") == "audacity"
    assert format_of("a.json/b") is None
    assert format_of("json") is None
    assert format_of("a.chapters.mkv") == format_of("a.chapters.mp4") == "chapters"
    assert format_of("a.chapters.txt") == "youtube"


def test_some_suffixes_follow_the_video(tmp_path):
    made = Destination(["a", "b"], tmp_path, ["chapters", "csv"], videos=["v/a.MKV", "v/b.mov"])
    assert [path.name for path in made.paths(0)] == ["a.chapters.mkv", "a.csv"]
    assert [path.name for path in made.paths(1)] == ["b.chapters.mp4", "b.csv"]


def test_stem_can_be_chosen(tmp_path, result):
    assert write_all(result, tmp_path, ["srt"], stem="clip-2") == [tmp_path / "clip-2.srt"]


def test_a_vanished_video_stops_only_the_formats_that_show_it(tmp_path, make):
    gone = make(tmp_path / "gone.mp4")
    assert len(write_all(gone, tmp_path / "out", TEXT_FORMATS)) == len(TEXT_FORMATS)
    for name in ("html", "png"):
        with pytest.raises(MediaError, match="gone.mp4: the video is no longer there"):
            write(gone, tmp_path / f"x.{name}")
    with pytest.raises(MediaError, match="gone.mp4: no such file"):
        write(gone, tmp_path / "x.mp4")
    with pytest.raises(OutputError, match="no longer there.*no such file"):
        write_all(gone, tmp_path / "other", ["html", "json", "mp4"])
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["gone.json"]


def test_what_cannot_be_written_is_told_before_anything_is_computed(tmp_path, monkeypatch):
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"precious")
    for output, formats in ((video, []), (tmp_path, ["json", "mp4"])):
        with pytest.raises(OutputError, match="clip.mp4: it is the video itself"):
            Destination(["clip"], output, formats, videos=[str(video)]).check()
    for output in (video / "a.json", video / "deep" / "folder"):
        with pytest.raises(OutputError, match=f"{output}: a part of its path is a file, not a folder. Choose another"):
            Destination(["clip"], output, videos=[str(video)]).check()
    for output in (tmp_path / "new" / "a.json", tmp_path / "new" / "folder", tmp_path / "a.mp4", None):
        Destination(["clip"], output, videos=[str(video)]).check()
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    monkeypatch.setattr(os, "access", lambda *_: False)  # whoever runs tests as root may write everywhere
    with pytest.raises(OutputError, match="folder: you do not have permission to write here"):
        Destination(["clip"], tmp_path / "folder", videos=[str(video)]).check()
    monkeypatch.setitem(sys.modules, "opentimelineio", None)
    with pytest.raises(OutputError, match="needs OpenTimelineIO: pip install 'avel\\[editing\\]'"):
        Destination(["clip"], tmp_path, ["json", "edl"], videos=[str(video)]).check()


def test_the_video_itself_is_never_overwritten(tmp_path, make):
    video = tmp_path / "clip.mp4"
    video.write_bytes(b"precious")
    with pytest.raises(OutputError, match="clip.mp4: it is the video itself"):
        write_all(make(video), tmp_path, ["mp4"])
    assert video.read_bytes() == b"precious"


def test_a_place_that_is_no_folder(tmp_path, result):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"Cannot write .*a.json: a part of its path is a file, not a folder"):
        write(result, tmp_path / "file" / "a.json")


def test_a_place_that_is_no_regular_file(tmp_path, result):
    (tmp_path / "a.json").mkdir()
    os.mkfifo(tmp_path / "b.json")
    for name, what in {"a.json": "a folder", "b.json": "not a regular file"}.items():
        with pytest.raises(OutputError, match=f"Cannot write .*{name}: it is {what}. Choose another name"):
            write(result, tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "b.json"]


@pytest.mark.parametrize("name", ["json", "html", "png", "mp4", "chapters.mp4"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, dog, name):
    """A limit on file sizes makes the operating system refuse a write half way, as a full disk does."""
    source, target = tmp_path / "source.json", tmp_path / "out" / f"a.{name}"
    target.parent.mkdir()
    target.write_bytes(b"old")
    source.write_text(dog.to_json(), encoding="utf-8")
    program = (
        "import resource, sys\n"
        "from avel.errors import OutputError\n"
        "from avel.events import Localization\n"
        "from avel.outputs import write\n"
        "result = Localization.from_json(sys.argv[1])\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))\n"
        "try:\n    write(result, sys.argv[2])\n"
        "except OutputError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, source, target], capture_output=True, text=True, check=False)
    assert f"Cannot write {target}: the file would be larger than is allowed here" in run.stdout, run.stderr
    assert target.read_bytes() == b"old"
    assert list(target.parent.iterdir()) == [target]


def test_a_file_name_that_is_no_unicode(tmp_path, make):
    odd = make(os.fsdecode(b"caf\xe9.mp4"))
    for name in TEXT_FORMATS:
        write(odd, tmp_path / f"a.{FORMATS[name].suffix}").read_text(encoding="utf-8")
    assert Localization.from_json(tmp_path / "a.json").video == odd.video


@pytest.mark.parametrize("name", [b"a\x01\n\x1b[31mb.mp4", b"caf\xe9.mp4", b"100%5B #?&.mp4"])
def test_odd_names_of_videos_break_no_file(tmp_path, make, name):
    video = tmp_path / os.fsdecode(name)
    make_clip(tmp_path / "clip.mp4", 2.0).rename(video)
    formats = [one for one in FORMATS if one != "coco"]
    paths = write_all(make(video, 2.0, [("Bark", 0.5, 1.5, "audio", 0.5)]), tmp_path / "out", formats, "clip")
    for path in paths:
        if path.name.endswith((".eaf", ".xml")):
            ElementTree.fromstring(path.read_bytes())
    assert spans_of(read_annotations(tmp_path / "out" / "clip.eaf")) == [(0.5, 1.5, "Bark", "audio")]


def spans_of(found):
    return [(e.start_seconds, e.end_seconds, e.category, e.modality) for e in found.events]


def test_written_files_have_the_usual_permissions(tmp_path, result):
    (tmp_path / "usual").touch()
    assert write(result, tmp_path / "a.json").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("videos", "stems"),
    [
        ([], []),
        (["a/clip.mp4", "b/other.mp4"], ["clip", "other"]),
        (["a/clip.mp4", "b/clip.mp4", "clip.webm"], ["clip", "clip-2", "clip-3"]),
        (["a/clip.mp4", "b/CLIP.mp4"], ["clip", "CLIP-2"]),
        (["a/clip.mp4", "b/clip.mp4", "clip-2.mp4"], ["clip", "clip-3", "clip-2"]),
    ],
)
def test_unique_stems(videos, stems):
    assert unique_stems(videos) == stems


def test_light_formats_import_nothing_heavy():
    heavy = ["torch", "openvino", "matplotlib", "av", "jinja2", "PIL", "numpy"]
    program = f"import sys, avel.outputs; print([name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_json_is_read_back_equal(tmp_path, result):
    path = tmp_path / "clip.json"
    path.write_text(render(result, "json"), encoding="utf-8")
    assert Localization.from_json(path) == result


def test_timelines_of_label_studio_count_frames(tmp_path, result):
    def ranges(text):
        regions = json.loads(text)[0]["predictions"][0]["result"]
        return [region["value"].get("ranges") for region in regions]

    at_25 = [[{"start": 51, "end": 125}], [{"start": 151, "end": 175}]]
    options = WriteOptions(frames_per_second=25)
    assert ranges(render(result, "label-studio", options)) == at_25
    assert ranges(render(result, "label-studio")) == [None, None]
    path = write(result, tmp_path / "a.label-studio.json", options=options)
    assert ranges(path.read_text()) == at_25
    (path,) = write_all(result, tmp_path, ["label-studio"], options=options)
    assert ranges(path.read_text()) == at_25
    assert render(result, "csv", options) == render(result, "csv")
    assert label_studio.labels_in(path) == ["Bark", "Goat"]


@pytest.mark.parametrize(
    ("options", "name", "message"),
    [
        (WriteOptions(frames_per_second=25), "label-studio", "of Label Studio's timelines. Add --format label-studio"),
        (WriteOptions(pad_seconds=1), "clips", "--pad is of clips. Add --clips"),
    ],
)
def test_options_are_of_a_format(tmp_path, options, name, message):
    with pytest.raises(ValueError, match=message):
        Destination(["a"], tmp_path, ["csv"], options)
    plain, changed = (Destination(["a"], tmp_path, [name], *more).signature for more in ([], [options]))
    assert plain == (name,)
    assert changed != plain


def test_options_have_bounds():
    with pytest.raises(ValueError, match="frames_per_second must be above 0, got 0"):
        WriteOptions(frames_per_second=0)
    with pytest.raises(ValueError, match="pad_seconds must be 0 or more, got -1"):
        WriteOptions(pad_seconds=-1)


def test_an_output_without_a_name_is_not_the_current_folder():
    with pytest.raises(ValueError, match="The name of the output is empty"):
        Destination(["a"], "")
