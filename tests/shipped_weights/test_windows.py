import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="training the audio tagger needs scikit-learn")

from shipped_weights.audio_tagger import windows
from shipped_weights.audio_tagger.recordings import Bank, Recording

LABELS = ["Speech", "Narration, monologue", "Conversation"]


@pytest.fixture
def bank(tmp_path: Path) -> Bank:
    """Each recording is a constant of its own, so that a window tells where it is from."""
    rows = [("a", 0, "train"), ("b", 0, "validation"), ("c", 1, "train"), ("d", 2, "train")]
    recordings, parts = [], []
    for number, (name, fold, split) in enumerate(rows):
        parts.append(np.full(40000, 1000 * (number + 1), np.int16))
        recordings.append(Recording(name, 40000 * number, 40000, fold, split, ""))
    np.save(tmp_path / "samples.npy", np.concatenate(parts))
    (tmp_path / "recordings.json").write_text(json.dumps([asdict(recording) for recording in recordings]))
    return Bank(tmp_path)


@pytest.fixture
def source(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> windows.Source:
    class OneCategory:
        names = ("Speech",)

        def __init__(self, labels: list[str]) -> None:
            pass

        def __call__(self, logits: np.ndarray) -> np.ndarray:
            return logits[:, :1] > 0

    monkeypatch.setattr(windows, "Decision", OneCategory)
    monkeypatch.setattr(windows, "BLOCK", 40)
    return windows.Source(bank, np.ones((4, 3), np.float32), LABELS)


def drawn(source: windows.Source, part: windows.Part, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    names = set()
    original = windows.Source._voice

    def voice(self: windows.Source, random: np.random.Generator, recording: Recording) -> np.ndarray:
        names.add(recording.name)
        return original(self, random, recording)

    monkeypatch.setattr(windows.Source, "_voice", voice)
    source.block(np.random.default_rng(0), part)
    return names


@pytest.mark.parametrize(
    ("part", "allowed"),
    [
        (windows.Part("base", 1, "train"), {"a"}),
        (windows.Part("focus", 1, "train", focused=True), {"a"}),
        (windows.Part("validation", 1, "validation"), {"b"}),
        (windows.Part("fold1", 1, "train", 1), {"a", "c"}),
        (windows.Part("fold2", 1, "train", 2), {"a", "d"}),
    ],
)
def test_parts_do_not_hear_each_other(
    source: windows.Source, part: windows.Part, allowed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No window of a fold has sound of another fold, and none of the others has any of ESC-10."""
    assert drawn(source, part, monkeypatch) == allowed


def test_a_block_depends_on_its_seed_alone(source: windows.Source) -> None:
    part = windows.Part("fold1", 1, "train", 1)
    first, again, other = (source.block(np.random.default_rng(seed), part) for seed in (5, 5, 6))
    assert first.shape == (40, windows.WINDOW)
    assert np.abs(first).max() <= 1
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_loudest_window_has_the_loud_part() -> None:
    waveform = np.zeros(80000, np.float32)
    waveform[50000:52000] = 1
    assert windows.loudest_window(waveform).sum() == 2000
    assert len(windows.loudest_window(waveform[:100])) == windows.WINDOW
