import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image
from tiny_library import clip_of, join_sounds, make_library, opened
from tiny_taggers import SEEN, load_other_weights

from avel.errors import CategoriesError, FeaturesError, LibraryError, MediaError
from avel.features.store import FeatureStore
from avel.library.generation import open_current
from avel.library.library import VideoLibrary, forget, index


def names(found):
    return [Path(hit.video).stem for hit in found.close]


@pytest.fixture
def own(animals, tmp_path):
    """A folder of clips and a library of it, to change."""
    shutil.copytree(animals, tmp_path / "clips")
    make_library([tmp_path / "clips"], tmp_path / "lib")
    return tmp_path


def test_find_where_a_sound_is_seen_and_heard(library, tmp_path):
    bark = f"{clip_of(tmp_path / 'bark.mp4', None, 'Bark', 2.5)}#t=0,2"
    both = opened(library).search(audio=bark)
    assert names(both) == ["dog", "hidden_dog"]
    assert [hit.modality for hit in both.close] == ["audio-visual", "audio"]
    assert both.close[0].end_seconds - both.close[0].start_seconds == 2
    assert "Bark 0.90" in both.close[0].why
    assert "beagle 0.60" in both.close[0].why
    assert names(opened(library).search(audio=bark, modality="visual")) == ["dog"]
    assert names(opened(library).search(audio=bark, modality="audio")) == ["dog", "hidden_dog"]


def test_find_what_a_picture_sounds_like(library, tmp_path):
    Image.new("RGB", (40, 30), SEEN["tabby"]).save(tmp_path / "cat.png")
    found = opened(library).search(image=tmp_path / "cat.png", modality="audio")
    assert names(found) == ["cat"] * 3  # each second of it is a moment
    seen = opened(library).search(image=tmp_path / "cat.png", modality="visual")
    assert set(names(seen)[:6]) == {"cat", "silent_cat"}  # a dog is an animal, too, and comes after them


def test_more_like_a_part_of_a_video_but_not_itself(library, animals):
    found = opened(library).search(video=f"{animals / 'cat.mp4'}#t=0,1")
    assert set(names(found)[:5]) == {"cat", "silent_cat"}
    assert all(hit.start_seconds >= 1 for hit in found.close if Path(hit.video).stem == "cat")


def test_a_moment_is_laid_along_the_query(tmp_path):
    """A sound of two kinds in an order is found where they follow in it."""
    parts = [clip_of(tmp_path / f"{name}.mp4", None, name, 1) for name in ("Bark", "Meow")]
    videos = tmp_path / "clips"
    videos.mkdir()
    join_sounds([parts[0], parts[0], parts[1], parts[0]], videos / "a.mp4")
    make_library([videos], tmp_path / "lib")
    query = join_sounds([parts[0], parts[1]], tmp_path / "query.mp4")
    found = opened(tmp_path / "lib").search(audio=f"{query}#t=0,2", modality="audio", top=1)
    assert (found.hits[0].start_seconds, found.hits[0].end_seconds) == (1, 3)


def test_find_a_category(library):
    found = opened(library).search(category="bark")
    assert names(found) == ["dog", "hidden_dog"]
    assert found.close[0].end_seconds == pytest.approx(3, abs=0.1)  # segments in a row are one moment
    assert found.notes == ("Bark: heard as Bark 1.00; seen as Bark",)
    assert names(opened(library).search(category="Bark", modality="visual")) == ["dog"]


def test_find_words_that_are_a_name(library):
    assert names(opened(library).search(text="meows")) == ["cat"]  # a silent cat is seen, and does not meow
    assert set(names(opened(library).search(text="meows", modality="visual"))) == {"cat", "silent_cat"}


def test_nothing_is_close(library, tmp_path):
    found = opened(library).search(category="Helicopter")
    assert found.close == ()
    assert found.summary.startswith("Nothing close to Helicopter among 15 segments")
    hum = clip_of(tmp_path / "hum.mp4", None, "Train horn", 1)
    only_seen = opened(library).search(audio=hum, modality="visual", top=50)
    assert set(names(only_seen)) == {"train"}
    far = [hit for hit in only_seen.hits if not hit.is_close]
    assert all(hit.score < 0.5 for hit in far)
    json.dumps(only_seen.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, ValueError, "Give one query"),
        ({"category": "Bark", "text": "dog"}, ValueError, "Give one query"),
        ({"category": "Brak"}, CategoriesError, "No event category is called 'Brak'; did you mean Bark"),
        ({"category": "Male speech, man speaking"}, CategoriesError, "cannot be looked for in a library"),
        ({"category": "Bark", "modality": "smell"}, ValueError, "modality must be audio, visual or both"),
        ({"category": "Bark", "top": 0}, ValueError, "top must be 1 or more"),
        ({"audio": "nowhere.wav"}, MediaError, "nowhere.wav"),
        (
            {"audio": "{silent}"},
            MediaError,
            r"silent_cat.mp4: it is silent \(below -60 dB of full scale\) from 0 to 3 s",
        ),
        ({"video": "{dog}#t=2,1"}, ValueError, "with START below END; got '#t=2,1'"),
        ({"video": "{dog}#t=30,40"}, MediaError, "the part from 30 s on is not in it; it has"),
        ({"image": "{dog}"}, MediaError, "is not a picture that can be read"),
        ({"image": "nowhere.png"}, MediaError, "nowhere.png: no such file"),
        ({"image": "a.png#t=1,2"}, ValueError, "A picture has no parts"),
    ],
)
def test_queries_that_cannot_be_answered(library, animals, asked, error, message):
    places = {"silent": animals / "silent_cat.mp4", "dog": animals / "dog.mp4"}
    given = {k: v.format(**places) if isinstance(v, str) else v for k, v in asked.items()}
    with pytest.raises(error, match=message):
        opened(library).search(**given)


def test_a_video_without_sound_is_looked_for_by_its_picture(library, animals):
    found = opened(library).search(video=animals / "silent_cat.mp4")
    assert "cat" in names(found)
    assert any("it is silent" in note for note in found.notes)


def test_too_long_a_query(library, animals, monkeypatch):
    monkeypatch.setattr("avel.library.query.MAX_SEGMENTS", 2)
    with pytest.raises(MediaError, match="a query of 3 segments is too long; at most 2.*dog.mp4#t=0,10"):
        opened(library).search(audio=animals / "dog.mp4")


def test_a_library_without_videos(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    indexed = make_library([tmp_path / "text.mp4"], tmp_path / "lib")
    assert (indexed.videos, len(indexed.summary.failures)) == (0, 1)
    found = opened(tmp_path / "lib").search(category="Bark")
    assert found.hits == ()
    assert found.summary.endswith("has no video yet.")


def test_nothing_is_done_twice_and_copies_are_one_video(own):
    shutil.copy(own / "clips" / "dog.mp4", own / "clips" / "again.mp4")
    indexed = make_library([own / "clips"], own / "lib")
    assert (indexed.summary.done, indexed.videos, indexed.segments) == (0, 5, 15)
    (hit,) = opened(own / "lib").search(category="Bark", modality="visual").close
    assert {Path(path).stem for path in (hit.video, *hit.copies)} == {"again", "dog"}


def test_update_takes_out_what_is_gone_and_follows_what_moved_or_changed(own):
    clips = own / "clips"
    (clips / "hidden_dog.mp4").unlink()
    (clips / "dog.mp4").rename(clips / "moved.mp4")
    clip_of(clips / "train.mp4", "tabby", "Meow", 2)
    clip_of(clips / "new.mp4", "steam locomotive", "Train horn", 2)
    indexed = make_library([], own / "lib", update=True)
    assert {Path(path).stem for path in indexed.removed} == {"hidden_dog", "dog"}
    assert indexed.summary.done == 2  # the changed one and the new one; what was moved is known by its content
    search = opened(own / "lib").search
    assert names(search(category="Bark")) == ["moved"]
    assert names(search(category="Train horn")) == ["new"]
    assert set(names(search(category="Meow"))) == {"cat", "train"}


def test_a_folder_that_is_forgotten_does_not_come_back(own, animals):
    more = own / "more"
    shutil.copytree(animals, more)
    clip_of(more / "other.mp4", None, "Meow")
    make_library([more], own / "lib")
    before = opened(own / "lib").generation.count
    found = forget([more], own / "lib")
    assert {Path(path).parent for path in found.removed} == {more}
    assert (more / "other.mp4").exists()
    updated = make_library([], own / "lib", update=True)
    assert (updated.videos, updated.removed) == (found.videos, ())
    assert opened(own / "lib").generation.count < before  # and the copies in the other folder are there
    assert "dog" in names(opened(own / "lib").search(category="Bark"))
    with pytest.raises(LibraryError, match=r"dog\.mp4 is in .*clips, which was given as a whole"):
        forget([own / "clips" / "dog.mp4"], own / "lib")
    with pytest.raises(LibraryError, match=r"has no video of .*more\. It was made of: .*clips\."):
        forget([more], own / "lib")
    shutil.rmtree(own / "clips")  # for good, which --update alone takes for a disk that is not mounted
    assert forget([own / "clips"], own / "lib").videos == 0
    with pytest.raises(LibraryError, match="is no library"):
        forget([more], own / "none")
    assert not (own / "none").exists()


def test_files_that_were_given_one_by_one_are_taken_out_when_they_are_gone(animals, tmp_path):
    odd = os.fsdecode(b"caf\xe9.mp4")  # a name that is no text
    for name, source in (("dog.mp4", "dog.mp4"), (odd, "cat.mp4")):
        shutil.copy(animals / source, tmp_path / name)
    make_library([tmp_path / "dog.mp4", tmp_path / odd], tmp_path / "lib")
    (tmp_path / "dog.mp4").unlink()
    shutil.copy(animals / "train.mp4", tmp_path / "train.mp4")
    indexed = make_library([tmp_path / "train.mp4", tmp_path / odd], tmp_path / "lib", update=True)
    assert [Path(path).name for path in indexed.removed] == ["dog.mp4"]
    assert (indexed.videos, indexed.summary.failures) == (2, ())


def test_a_disk_that_is_not_mounted_empties_no_library(own):
    (own / "clips").rename(own / "elsewhere")
    with pytest.raises(LibraryError, match="clips, which was given before, is not there or is empty. If its disk"):
        make_library([], own / "lib", update=True)
    assert len(FeatureStore(own / "lib" / "features")) == 5
    assert names(opened(own / "lib").search(category="Bark")) == ["dog", "hidden_dog"]


def test_a_folder_with_a_dot_in_its_name_is_no_file_that_was_taken_away(own):
    (own / "clips").rename(own / "2026.11.29")
    make_library([own / "2026.11.29"], own / "dotted")
    (own / "2026.11.29").rename(own / "elsewhere")
    with pytest.raises(LibraryError, match="2026.11.29, which was given before, is not there or is empty"):
        make_library([], own / "dotted", update=True)
    assert len(FeatureStore(own / "dotted" / "features")) == 5


def test_a_disk_that_is_not_mounted_takes_out_no_video_that_a_list_names(own):
    (own / "list.txt").write_text("clips/dog.mp4\n", "utf-8")
    make_library([own / "list.txt"], own / "listed")
    (own / "clips").rename(own / "elsewhere")
    with pytest.raises(LibraryError, match="clips, which was given before, is not there or is empty"):
        make_library([], own / "listed", update=True)
    assert len(FeatureStore(own / "listed" / "features")) == 1


def test_a_file_without_a_suffix_is_taken_out_when_it_is_gone(own):
    shutil.copy(own / "clips" / "dog.mp4", own / "capture")
    shutil.copy(own / "clips" / "cat.mp4", own / "cat.mp4")
    make_library([own / "capture", own / "cat.mp4"], own / "files")
    (own / "capture").unlink()
    indexed = make_library([], own / "files", update=True)
    assert [Path(path).name for path in indexed.removed] == ["capture"]
    assert (indexed.videos, indexed.summary.failures) == (1, ())


def test_a_name_with_a_slip_in_it_does_not_keep_a_library_from_being_updated(own):
    indexed = make_library([own / "clisp", own / "clips"], own / "lib")
    assert len(indexed.summary.failures) == 1
    assert make_library([], own / "lib", update=True).summary.failures == ()


def test_what_is_searched_is_made_anew_when_it_is_missing_damaged_or_old(own):
    shutil.rmtree(own / "lib" / "index")
    assert names(opened(own / "lib").search(category="Bark")) == ["dog", "hidden_dog"]
    (folder,) = [path for path in (own / "lib" / "index").iterdir() if path.is_dir()]
    os.truncate(folder / "audio.npy", 50)
    assert names(opened(own / "lib").search(category="Bark")) == ["dog", "hidden_dog"]
    FeatureStore(own / "lib" / "features").remove("hidden_dog")  # as after a kill before the index was written
    assert names(opened(own / "lib").search(category="Bark")) == ["dog"]


@pytest.mark.parametrize("moment", [0, 5, 11])
def test_a_kill_while_it_is_written_leaves_a_library_to_search_and_to_finish(own, monkeypatch, moment):
    clip_of(own / "clips" / "second_dog.mp4", "beagle", "Bark", 2)
    write, left = np.save, moment

    class KilledError(BaseException):
        pass

    def dying(*arguments, **more):
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        write(*arguments, **more)

    monkeypatch.setattr(np, "save", dying)
    with pytest.raises(KilledError):
        make_library([own / "clips"], own / "lib")
    monkeypatch.setattr(np, "save", write)
    held = open_current(own / "lib" / "index", opened(own / "lib").taggers)
    assert len(held.videos) == 5
    make_library([own / "clips"], own / "lib")
    assert set(names(opened(own / "lib").search(category="Bark"))) == {"dog", "second_dog", "hidden_dog"}
    assert len([path for path in (own / "lib" / "index").iterdir() if path.is_dir()]) == 1


def test_readers_go_on_while_it_is_written(own):
    first, second = opened(own / "lib"), opened(own / "lib")
    assert len(names(first.search(category="Bark"))) == 2
    held = first.generation
    clip_of(own / "clips" / "second_dog.mp4", "beagle", "Bark", 2)
    make_library([own / "clips"], own / "lib")
    assert held.vectors["audio"].nearest(np.ones(second.space.dims, np.float32), 3)[0].shape == (3,)  # still mapped
    assert len(names(first.search(category="Bark"))) == 3
    assert len(names(second.search(category="Bark"))) == 3


def test_one_process_writes(own):
    with (
        FileLock(own / "lib" / ".lock"),
        pytest.raises(LibraryError, match="another process is writing this library"),
    ):
        make_library([own / "clips"], own / "lib")
    FeatureStore(own / "lib" / "features").remove("dog")  # what was there before can be searched meanwhile
    with FileLock(own / "lib" / ".lock"):
        assert len(names(opened(own / "lib").search(category="Bark"))) == 2
        shutil.rmtree(own / "lib" / "index")
        with pytest.raises(LibraryError, match="another process is just making this library"):
            opened(own / "lib").search(category="Bark")


def test_other_weights_are_refused(own):
    with pytest.raises(FeaturesError, match="holds features of another recipe.*digest is sha256:two, not sha256:one"):
        index([own / "clips"], own / "lib", loader=load_other_weights)
    Image.new("RGB", (20, 20), SEEN["tabby"]).save(own / "cat.png")
    with pytest.raises(FeaturesError, match="made with other networks than those that are here.*digest is sha256:two"):
        VideoLibrary(own / "lib", loader=load_other_weights).search(image=own / "cat.png")


def test_other_folders_and_versions_are_refused(own, tmp_path):
    with pytest.raises(LibraryError, match="is no library: it has no library.json. `avel index VIDEOS -o"):
        VideoLibrary(tmp_path / "nowhere")
    with pytest.raises(LibraryError, match="clips is no library and not empty"):
        make_library([own / "clips"], own / "clips")
    (tmp_path / "begun").mkdir()
    shutil.copy(own / "lib" / "library.json", tmp_path / "begun")
    with pytest.raises(LibraryError, match="was begun, and stopped before its first video"):
        VideoLibrary(tmp_path / "begun")
    description = own / "lib" / "library.json"
    content = json.loads(description.read_text())
    description.write_text(json.dumps({**content, "format": "avel library 9"}))
    with pytest.raises(LibraryError, match="its format is 'avel library 9', and this version of avel reads"):
        VideoLibrary(own / "lib")
    description.write_text("{")
    with pytest.raises(LibraryError, match=r"library.json cannot be used"):
        VideoLibrary(own / "lib")


def test_a_slip_in_the_only_name_makes_no_library(tmp_path):
    with pytest.raises(MediaError, match="nosuch: no such file"):
        make_library([tmp_path / "nosuch"], tmp_path / "lib")
    assert not (tmp_path / "lib").exists()


def test_nothing_to_index(tmp_path):
    with pytest.raises(ValueError, match="There is no video to index"):
        make_library([], tmp_path / "lib")


def test_the_package_gives_it():
    import avel

    assert avel.Library is VideoLibrary
