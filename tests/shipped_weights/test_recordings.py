import io
import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from shipped_weights.audio_tagger import recordings


def wav(samples: np.ndarray, rate: int = 16000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.astype("<i2").tobytes())
    return file.getvalue()


def test_every_source_has_a_licence_and_says_what_it_is() -> None:
    sources = recordings.read_sources()
    entries = [*sources["package"], sources["esc10"], sources["espeak"], sources["synthetic"]]
    assert all(entry["licence"] and entry["what"] for entry in entries)
    labels = [entry.get("label", entry["name"]) for entry in sources["package"]]
    assert len(set(labels)) == len(labels)


def test_every_shared_clip_with_sound_is_held_out(event_clips: Path) -> None:
    held_out = recordings.read_sources()["held_out"]["clips"]
    assert {f"events/{path.name}" for path in event_clips.glob("*.mp4")} <= set(held_out)


def test_decoding_gives_the_samples() -> None:
    samples = np.arange(-8000, 8000, 2, dtype=np.int16)
    (decoded,) = recordings.decode(wav(samples))
    np.testing.assert_array_equal(decoded, samples)


def test_a_long_recording_gives_three_pieces() -> None:
    pieces = recordings.decode(wav(np.ones(16000 * 40, np.int16)))
    assert [len(piece) for piece in pieces] == [160000] * 3


@pytest.mark.parametrize("data", [b"", b"no sound", wav(np.zeros(100, np.int16))])
def test_what_is_no_sound_gives_nothing(data: bytes) -> None:
    assert recordings.decode(data) == []


def test_carving_finds_files_inside_a_resource_file() -> None:
    inner = wav(np.arange(3000, dtype=np.int16))
    page = b"OggS\x00\x04" + bytes(20) + bytes([1, 5]) + b"hello"
    assert struct.unpack_from("<I", inner, 4)[0] + 8 == len(inner)
    found = dict(recordings.carve(b"head" + inner + b"RIFFnothing" + page + b"tail"))
    assert list(found.values()) == [inner, page]


def test_splits_depend_on_the_name_alone() -> None:
    names = [f"source/{number}" for number in range(4000)]
    splits = [recordings.split_of(name, ()) for name in names]
    assert splits == [recordings.split_of(name, ()) for name in names]
    assert 0.04 < splits.count("test") / len(splits) < 0.06
    assert 0.02 < splits.count("validation") / len(splits) < 0.04
    assert {recordings.split_of(name, ("source/",)) for name in names} == {"test"}
