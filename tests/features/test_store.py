import errno
import json
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors.numpy import load_file, save_file

from avel.errors import FeaturesError
from avel.features.extract import FeatureBatch
from avel.features.index import IndexRow
from avel.features.keys import assign_keys
from avel.features.recipe import Recipe
from avel.features.source import SourceFile
from avel.features.store import BackboneEntry, FeatureStore, entries

RECIPE = Recipe(visual=("seen",), audio=("heard",), stored_as="float32")
BACKBONES = {
    "seen": BackboneEntry("visual", (4, 3), {"digest": "sha256:1", "layer": "last"}),
    "heard": BackboneEntry("audio", (5,), {"digest": "sha256:2"}),
}
SOURCE = SourceFile("/videos/a.mp4", 123, "0" * 64)


@dataclass
class Stream:
    """Features that were made elsewhere, as a stream."""

    batches: list[FeatureBatch]
    duration_seconds: float = 1.0
    warnings: tuple[str, ...] = ()

    def __iter__(self):
        return iter(self.batches)


def batch(segments=3, seed=0, scale=1.0):
    random = np.random.default_rng(seed)
    return FeatureBatch(
        {"seen": (scale * random.normal(size=(segments, 4, 3))).astype(np.float32)},
        {"heard": (scale * random.normal(size=(segments, 5))).astype(np.float32)},
        random.random(segments) < 0.8,
        random.random(segments) < 0.8,
    )


def write(store, key="a", batches=None, source=SOURCE, duration_seconds=2.5, warnings=(), **more):
    stream = Stream(batches or [batch()], duration_seconds, warnings)
    store.write(key, source, stream, backbones={"seen": {"digest": "sha256:1"}}, **more)


@pytest.fixture
def store(tmp_path):
    return FeatureStore.create(tmp_path / "store", RECIPE, BACKBONES)


def test_what_is_written_is_read(store):
    write(store, batches=[batch(8, 1), batch(2, 2)], duration_seconds=9.5, warnings=("no sound",), media={"width": 64})
    stored = store.open("a")
    assert len(stored) == 10
    assert np.array_equal(
        stored.visual["seen"], np.concatenate([batch(8, 1).visual["seen"], batch(2, 2).visual["seen"]])
    )
    assert np.array_equal(
        stored.audio["heard"], np.concatenate([batch(8, 1).audio["heard"], batch(2, 2).audio["heard"]])
    )
    assert np.array_equal(stored.visual_valid, np.r_[batch(8, 1).visual_valid, batch(2, 2).visual_valid])
    assert np.array_equal(stored.audio_valid, np.r_[batch(8, 1).audio_valid, batch(2, 2).audio_valid])
    assert stored.source == SOURCE
    assert stored.duration_seconds == 9.5
    assert stored.segment_seconds == 1.0
    assert stored.warnings == ("no sound",)
    assert stored.record["media"] == {"width": 64}
    assert stored.record["recipe"] == RECIPE.to_dict()
    assert set(stored.record["versions"]) == {"avel", "av", "numpy"}
    assert not stored.problems()


def test_arrays_are_mapped_not_read(store):
    write(store)
    array = store.open("a").visual["seen"]
    assert isinstance(array, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_others_may_read_a_file_as_they_may_read_any(store):
    before = os.umask(0o027)
    try:
        write(store)
    finally:
        os.umask(before)
    assert store.path("a").stat().st_mode & 0o777 == 0o640


def test_any_safetensors_reader_can_read_a_file(store):
    write(store)
    assert set(load_file(store.path("a"))) == {"visual/seen", "audio/heard", "visual_valid", "audio_valid"}


@given(
    visual=hnp.arrays(
        np.float32, st.tuples(st.integers(1, 40), st.just(4), st.just(3)), elements=st.floats(-9, 9, width=32)
    ),
    cut=st.integers(0, 40),
    stored_as=st.sampled_from(["float16", "float32"]),
    text=st.text(),
    valid=st.booleans(),
    seconds=st.floats(0.001, 1e6),
)
@settings(max_examples=40)
def test_round_trip(tmp_path, visual, cut, stored_as, text, valid, seconds):
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    recipe = replace(RECIPE, stored_as=stored_as)
    store = FeatureStore.create(tmp_path / "s", recipe, BACKBONES)
    audio = visual[:, 0, :1].repeat(5, axis=1)
    masks = np.full(len(visual), valid)
    parts = [slice(0, cut), slice(cut, None)] if 0 < cut < len(visual) else [slice(None)]
    batches = [FeatureBatch({"seen": visual[p]}, {"heard": audio[p]}, masks[p], masks[p]) for p in parts]
    source = SourceFile(f"/{text}".encode("utf-8", "backslashreplace").decode(), 1, "0" * 64)
    write(store, batches=batches, source=source, duration_seconds=seconds, warnings=(text,))
    stored = store.open("a")
    assert np.array_equal(stored.visual["seen"], visual.astype(stored_as))
    assert np.array_equal(stored.audio["heard"], audio.astype(stored_as))
    assert np.array_equal(stored.visual_valid, masks)
    assert (stored.source, stored.duration_seconds, stored.warnings) == (source, seconds, (text,))
    assert list(store.verify()) == [("a", [])]
    rows, damaged = store.index()
    assert not damaged
    assert [(row.key, row.segments, row.visual_valid) for row in rows] == [("a", len(visual), valid * len(visual))]
    assert store.index()[0] == rows  # now from the table


def test_equal_features_are_equal_bytes(tmp_path):
    contents = set()
    whole = batch(9)
    halves = [
        FeatureBatch(
            {"seen": whole.visual["seen"][part]},
            {"heard": whole.audio["heard"][part]},
            whole.visual_valid[part],
            whole.audio_valid[part],
        )
        for part in (slice(4), slice(4, None))
    ]
    for number, batches in enumerate([[whole], halves, [whole]]):
        store = FeatureStore.create(tmp_path / str(number), RECIPE, BACKBONES)
        write(store, batches=batches, media={"width": 1, "height": 2})
        contents.add(store.path("a").read_bytes())
    assert len(contents) == 1


def test_keys_may_have_folders_and_are_sorted(store):
    for key in ("b", "a/z", "a"):
        write(store, key)
    assert store.keys() == ["a", "a/z", "b"]
    assert len(store) == 3
    assert "a/z" in store
    assert "z" not in store
    assert [stored.key for stored in store] == ["a", "a/z", "b"]


@pytest.mark.parametrize("key", ["", "../a", "a/../b", "/a", "a//b", ".hidden", "a\\b", "a\0"])
def test_a_key_never_leads_out_of_the_store(store, key):
    with pytest.raises(ValueError, match="cannot be the key of a video"):
        store.open(key)


def test_a_missing_video(store):
    with pytest.raises(FeaturesError, match="has no features of 'x'. `avel features info`"):
        store.open("x")


def test_a_missing_store(tmp_path):
    with pytest.raises(FeaturesError, match="is not a feature store: it has no store.json. `avel extract` makes one"):
        FeatureStore(tmp_path)


def test_the_same_recipe_opens_the_same_store(store):
    again = FeatureStore.create(store.folder, RECIPE, BACKBONES)
    assert (again.recipe, again.backbones, again.digest) == (store.recipe, store.backbones, store.digest)


def test_another_recipe_needs_another_store(store):
    with pytest.raises(FeaturesError, match="Compared with the store, precision is int8, not float16. .*give a new"):
        FeatureStore.create(store.folder, replace(RECIPE, precision="int8"), BACKBONES)


def test_other_weights_need_another_store(store):
    other = {**BACKBONES, "heard": BackboneEntry("audio", (5,), {"digest": "sha256:3"})}
    with pytest.raises(FeaturesError, match="heard: digest is sha256:3, not sha256:2"):
        FeatureStore.create(store.folder, RECIPE, other)


def test_other_shapes_need_another_store(store):
    other = {**BACKBONES, "heard": BackboneEntry("audio", (6,), {"digest": "sha256:2"})}
    with pytest.raises(FeaturesError, match=r"heard gives \(6,\), not \(5,\)"):
        FeatureStore.create(store.folder, RECIPE, other)


def test_another_option_of_a_network_needs_another_store(store):
    other = {**BACKBONES, "seen": BackboneEntry("visual", (4, 3), {"digest": "sha256:1", "layer": "first"})}
    with pytest.raises(FeaturesError, match="seen: layer is first, not last"):
        FeatureStore.create(store.folder, RECIPE, other)


def test_the_networks_must_be_those_of_the_recipe(tmp_path):
    with pytest.raises(ValueError, match="The recipe names the backbones seen, heard; got seen"):
        FeatureStore.create(tmp_path, RECIPE, {"seen": BACKBONES["seen"]})


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(
        FeaturesError, match="is not a feature store and not empty .it holds holiday.mp4.. Give a new folder"
    ):
        FeatureStore.create(tmp_path, RECIPE, BACKBONES)


def test_how_a_network_ran_does_not_make_another_store():
    class Backbone:
        name, dims = "heard", 5

        def __init__(self, **run):
            self.record = {"digest": "sha256:2", "inner": {"digest": "sha256:4", **run}, "ranges": (1, 2), **run}

    (entry,) = entries([Backbone(engine="openvino", device="cpu", engine_version="1", precision="float32")]).values()
    assert entry == entries([Backbone(engine="torch", device="cuda")])["heard"]
    assert entry == BackboneEntry(
        "audio", (5,), {"digest": "sha256:2", "inner": {"digest": "sha256:4"}, "ranges": [1, 2]}
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be used: it is not valid JSON: Expecting property name"),
        ("[]", "cannot be used"),
        ("[" * 100_000, "cannot be used"),
        ('{"format": "avel features 9"}', "its format is 'avel features 9', this version reads 'avel features 1'"),
        (" " * (1 << 20) + "{}", "larger than 1048576 bytes"),
    ],
)
def test_a_damaged_store_json(store, content, message):
    (store.folder / "store.json").write_text(content)
    with pytest.raises(FeaturesError, match=message):
        FeatureStore(store.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["recipe"].update(precision="int8"),
        lambda content: content["backbones"]["seen"].update(shape=[4, -3]),
        lambda content: content["backbones"]["seen"].update(modality="smell"),
        lambda content: content["backbones"].update(seen=None),
        lambda content: content.pop("recipe"),
    ],
)
def test_a_store_json_that_was_edited(store, change):
    file = store.folder / "store.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    with pytest.raises(FeaturesError, match="cannot be used.*Restore it, or extract into a new folder"):
        FeatureStore(store.folder)


# Features that cannot be stored ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(store, value):
    bad = batch()
    bad.audio["heard"][1, 2] = value
    with pytest.raises(FeaturesError, match="/videos/a.mp4: audio/heard holds NaN or infinite values"):
        write(store, batches=[batch(), bad])
    assert "a" not in store
    assert not list((store.folder / ".tmp").iterdir())


def test_values_too_large_for_float16_are_refused(tmp_path):
    store = FeatureStore.create(tmp_path, replace(RECIPE, stored_as="float16"), BACKBONES)
    with pytest.raises(
        FeaturesError, match="/seen|heard holds .*e\\+06, too large for float16. Make a store with stored_as"
    ):
        write(store, batches=[batch(scale=1e6)])


def test_features_of_another_shape_are_refused(store):
    wrong = replace(batch(), audio={"heard": np.zeros((3, 6), np.float32)})
    with pytest.raises(FeaturesError, match=r"audio/heard has shape \(3, 6\); the store keeps \(3, 5\)"):
        write(store, batches=[wrong])


def test_features_of_another_network_are_refused(store):
    with pytest.raises(FeaturesError, match="got audio/other, audio_valid, .*; the store keeps audio/heard"):
        write(store, batches=[replace(batch(), audio={"other": np.zeros((3, 5), np.float32)})])


def test_no_segment_is_refused(store):
    with pytest.raises(FeaturesError, match="/videos/a.mp4: there is no segment to store"):
        write(store, batches=[batch(0)])


# Disks ----------------------------------------------------------------------------------------------------------------


def test_a_store_that_cannot_be_written(store, monkeypatch):
    def refuse(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(FeaturesError, match="Cannot write .*a.safetensors: you do not have permission to write here"):
        write(store)
    assert "a" not in store


def test_an_error_while_a_file_is_replaced_leaves_the_old_one(store, monkeypatch):
    write(store)
    before = store.path("a").read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
        with pytest.raises(FeaturesError, match="Input/output error"):
            write(store, batches=[batch(seed=5)])
    assert store.path("a").read_bytes() == before


def test_what_killed_processes_left_is_removed(store):
    left = store.folder / ".tmp" / "dead" / "features"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert store.keys() == []
    store.clean()
    assert not left.exists()


def test_nothing_is_removed_while_another_process_writes(store):
    seen = []

    class Watching(Stream):
        def __iter__(self):
            store.clean()
            seen.append(len(list((store.folder / ".tmp").iterdir())))
            return super().__iter__()

    store.write("a", SOURCE, Watching([batch()]), backbones={})
    assert seen == [1]
    assert "a" in store


# Damaged and hostile files --------------------------------------------------------------------------------------------


@given(data=st.data())
@settings(max_examples=60)
def test_every_changed_byte_is_found(tmp_path, data):
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    store = FeatureStore.create(tmp_path / "s", RECIPE, BACKBONES)
    write(store)
    path = store.path("a")
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    ((_, problems),) = store.verify()
    # White space between the parts of the header may be another kind of white space.
    assert problems or bytes(content[place : place + 1]).isspace()


@given(share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=30)
def test_a_truncated_file_is_never_read(tmp_path, share):
    shutil.rmtree(tmp_path / "s", ignore_errors=True)
    store = FeatureStore.create(tmp_path / "s", RECIPE, BACKBONES)
    write(store)
    path = store.path("a")
    os.truncate(path, int(share * path.stat().st_size))
    with pytest.raises(
        FeaturesError, match="a.safetensors is damaged: .*Remove it and run the same `avel extract` again"
    ):
        store.open("a")
    assert store.index()[1].keys() == {"a"}
    assert store.info().damaged.keys() == {"a"}


def test_a_huge_header_is_not_read(store):
    write(store)
    store.path("a").write_bytes((1 << 40).to_bytes(8, "little") + b"{}")
    with pytest.raises(FeaturesError, match="its header has more than the 16,777,216 bytes that are allowed"):
        store.open("a")


def rewritten(store, change):
    """The file of "a" with other tensors or another record, in the right format."""
    stored = store.open("a")
    tensors, record = load_file(stored.path), dict(stored.record)
    change(tensors, record)
    save_file(tensors, stored.path, {"avel": json.dumps(record)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, r: r.update(format="other"), "not a file of the format 'avel features 1'"),
        (lambda t, r: r.update(source={"path": 1}), "its record does not fit"),
        (lambda t, r: r.pop("duration_seconds"), "its record does not fit .KeyError"),
        (lambda t, r: r.update(duration_seconds=float("nan")), "a duration of nan s"),
        (lambda t, r: r.update(tensors=[]), "its record does not fit"),
        (
            lambda t, r: r.update(store="sha256:other"),
            "was made with another recipe or other networks than this store's",
        ),
        (lambda t, r: t.pop("visual_valid"), "its record does not fit"),
        (lambda t, r: t.update(visual_valid=np.ones(4, bool)), "validity of"),
        (lambda t, r: t.update(visual_valid=np.ones(3, np.float32)), "visual_valid is float32"),
        (
            lambda t, r: t.update({"audio/heard": np.ones((2, 5), np.float32)}),
            r"audio/heard is float32 of shape \(2, 5\)",
        ),
        (
            lambda t, r: t.update({"audio/heard": np.ones((3, 5), np.int64)}),
            "audio/heard is of the type I64; allowed are F16",
        ),
        (lambda t, r: t.update({"audio/heard": np.ones((3, 6), np.float32)}), r"this store's networks give"),
        (lambda t, r: t.update({"audio/more": np.ones((3, 5), np.float32)}), r"this store's networks give"),
    ],
)
def test_files_that_do_not_fit(store, change, message):
    write(store)
    rewritten(store, change)
    with pytest.raises(FeaturesError, match=message):
        store.open("a")
    ((key, problems),) = store.verify()
    assert key == "a"
    assert problems


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda t, r: r.update(warnings=["all is well"]), "its record was changed"),
        (lambda t, r: t.update({"audio/heard": np.ones((3, 5), np.float32)}), "audio/heard was changed"),
        (lambda t, r: t.update({"audio/heard": np.full((3, 5), np.nan, np.float32)}), "audio/heard holds NaN"),
    ],
)
def test_verify_names_what_was_changed(store, change, problem):
    write(store)
    rewritten(store, change)
    ((_, problems),) = store.verify()
    assert any(problem in line for line in problems)


def test_verify_compares_the_videos(store, tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"first")
    write(store, source=SourceFile.of(video))
    assert list(store.verify(read_source=SourceFile.of)) == [("a", [])]
    video.write_bytes(b"other")
    assert list(store.verify(read_source=SourceFile.of)) == [("a", [f"its source {video} is no longer the same"])]
    video.unlink()
    assert list(store.verify(read_source=SourceFile.of)) == [
        ("a", [f"its source {video} cannot be read (No such file or directory)"])
    ]
    assert list(store.verify()) == [("a", [])]


# Index ----------------------------------------------------------------------------------------------------------------


def test_the_index_is_made_again_from_the_files(store):
    for key in ("a", "b"):
        write(store, key)
    rows, _ = store.index()
    table = store.folder / "index.csv"
    assert table.read_text().splitlines()[0].startswith("key,source,source_bytes,sha256,duration_seconds,segments")
    for content in ("", "nonsense", "key\nc\n", table.read_text().replace("\nb,", "\nc,"), "\0"):
        table.write_text(content)
        assert store.index()[0] == rows
    store.path("a").unlink()
    assert [row.key for row in store.index()[0]] == ["b"]
    write(store, "b", batches=[batch(7)])
    assert [row.segments for row in store.index()[0]] == [7]


def test_info(store):
    write(store, "a", batches=[batch(3, 1)], duration_seconds=2.5, warnings=("dark",))
    write(store, "b", batches=[batch(4, 2)], duration_seconds=4)
    info = store.info()
    assert (info.videos, info.seconds, info.segments, info.videos_with_warnings) == (2, 6.5, 7, 1)
    both = [batch(3, 1), batch(4, 2)]
    assert info.invalid_visual_segments == sum((~b.visual_valid).sum() for b in both)
    assert info.invalid_audio_segments == sum((~b.audio_valid).sum() for b in both)
    assert info.size_bytes == sum(store.path(key).stat().st_size for key in "ab")
    assert not info.damaged


# Keys -----------------------------------------------------------------------------------------------------------------


def row(key, source, size=0, sha256=""):
    return IndexRow(key, str(source), size, sha256, 1.0, 1, 1, 1, 0, 1, 1)


def test_a_key_is_the_name_where_that_is_free():
    keys = assign_keys([(Path("/v/a.mp4"), "a"), (Path("/w/a.mp4"), "a"), (Path("/v/b.mp4"), "more/b")], [])
    first, second, third = keys.values()
    assert (first, third) == ("a", "more/b")
    assert second.startswith("a-")
    assert len(second) == len("a-01234567")


def test_a_video_keeps_its_key():
    rows = [row("a", "/w/a.mp4"), row("x", "/v/a.mp4")]
    assert assign_keys([(Path("/v/a.mp4"), "a"), (Path("/w/a.mp4"), "a")], rows) == {
        Path("/v/a.mp4"): "x",
        Path("/w/a.mp4"): "a",
    }


def test_a_video_that_was_moved_keeps_its_key(tmp_path):
    video = tmp_path / "a.mp4"
    video.write_bytes(b"content")
    source = SourceFile.of(video)
    moved = row("a", "/gone/a.mp4", source.size_bytes, source.sha256)
    assert assign_keys([(video, "a")], [moved]) == {video: "a"}
    other = replace(moved, sha256="1" * 64)
    assert assign_keys([(video, "a")], [other]) != {video: "a"}
    copy = tmp_path / "copy.mp4"
    shutil.copy(video, copy)
    assert assign_keys([(video, "a")], [replace(moved, source=str(copy))]) != {video: "a"}


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=300), max_size=8), st.booleans()
)
def test_keys_are_unique_and_can_be_written_on_any_file_system(names, upper):
    videos = [(Path(f"/v/{number}.mp4"), name.upper() if upper else name) for number, name in enumerate(names)]
    keys = list(assign_keys(videos, []).values())
    assert len({key.casefold() for key in keys}) == len(names)
    for key in keys:
        for part in key.split("/"):
            assert part
            assert not part.startswith(".")
            assert len(part.encode()) <= 200


def test_file_names_that_are_no_text(store, tmp_path):
    video = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4"))
    video.write_bytes(b"content")
    (key,) = assign_keys([(video, video.stem)], []).values()
    write(store, key, source=SourceFile.of(video))
    rows, _ = store.index()
    assert assign_keys([(video, video.stem)], rows) == {video: key}
