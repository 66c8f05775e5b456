import numpy as np
import pytest
import torch

from avel.backbones.embedded_network import TaggerNetwork

pytest.importorskip("sklearn", reason="training the audio tagger needs scikit-learn")

from shipped_weights.audio_tagger import evaluate, synthesis, train
from shipped_weights.audio_tagger.categories import SPEECH, Decision
from shipped_weights.audio_tagger.recordings import Recording


def test_the_loss_is_least_at_the_teachers_answer() -> None:
    torch.manual_seed(0)
    logits, embedding = torch.randn(4, 9), torch.rand(4, 6)
    least = train.distillation_loss(logits, embedding, logits, embedding)
    for other in (logits + 0.3, logits - 0.3):
        assert train.distillation_loss(other, embedding, logits, embedding) > least
    assert train.distillation_loss(logits, embedding.flip(1), logits, embedding) > least


def test_classes_that_nobody_hears_do_not_count_twice() -> None:
    quiet, quieter = torch.full((2, 3), -12.0), torch.full((2, 3), -30.0)
    embedding = torch.ones(2, 4)
    loss = train.distillation_loss(quiet, embedding, quieter, embedding)
    assert loss < 1e-3


def test_normalization_can_be_multiplied_into_the_convolutions() -> None:
    """Known answer: a network that was trained with normalization and its fused form are the same function."""
    torch.manual_seed(0)
    network = TaggerNetwork(7, normalized=True)
    patches = torch.randn(4, 96, 64)
    for _ in range(3):
        network(patches)
    network.eval()
    with torch.no_grad():
        for ours, expected in zip(train.fused(network)(patches), network(patches), strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_midi_numbers_of_variable_length() -> None:
    """The examples of the MIDI specification."""
    for number, data in ((0, "00"), (127, "7f"), (128, "8100"), (16383, "ff7f"), (0x0FFFFFFF, "ffffff7f")):
        assert synthesis._variable_length(number).hex() == data


def test_phrases_stay_in_the_instruments_range_and_time() -> None:
    random = np.random.default_rng(0)
    for instrument in synthesis.COVERED:
        for _ in range(20):
            notes = synthesis.phrase(random, instrument)
            assert notes
            assert all(instrument.lowest <= key <= instrument.highest for _, _, key, _ in notes)
            assert all(0 <= start < synthesis.ITEM_SECONDS for start, _, _, _ in notes)


def test_noises_are_finite_and_heard() -> None:
    seconds = np.arange(16000) / 16000
    for kind, make in synthesis.NOISES.items():
        wave = make(np.random.default_rng(1), seconds)
        assert wave.shape == seconds.shape, kind
        assert np.isfinite(wave).all(), kind
        assert np.abs(wave).max() > 0, kind


def test_seconds_of_a_recording() -> None:
    assert evaluate.seconds_of(np.ones(16000 * 3 + 7000, np.float32)).shape == (3, 15600)
    assert evaluate.seconds_of(np.ones(100, np.float32)).shape == (1, 15600)
    assert evaluate.seconds_of(np.ones(16000 * 60, np.float32)).shape == (10, 15600)


def test_categories_are_decided_at_their_threshold() -> None:
    from avel.backbones.embedded import Embedded

    labels = list(Embedded().labels or ())
    decision = Decision(labels)
    logits = np.full((2, len(labels)), -20.0, np.float32)
    logits[1, labels.index("Speech")] = 3.0
    heard = decision(logits)
    assert not heard[0].any()
    assert [name for name, hears in zip(decision.names, heard[1], strict=True) if hears] == [SPEECH]


def sound(logits: np.ndarray, truth: frozenset[str] | None) -> evaluate.Sound:
    return evaluate.Sound("x", np.zeros(1, np.float32), np.zeros((len(logits), 15600), np.float32), logits, truth)


def test_agreement_by_hand() -> None:
    theirs = np.array([[5, 1, 0, -1, -2], [0, 5, 1, 2, 3]], np.float32)
    ours = np.array([[5, 1, 0, -1, -2], [9, 0, 3, 5, 4]], np.float32)
    result = evaluate.agreement([sound(theirs, None)], lambda _: ours)
    assert result == {
        "seconds": 2,
        "top class is YAMNet's": 0.5,
        "top class is one of YAMNet's first 3": 0.5,
        "YAMNet's top class is one of the first 3": 0.5,
    }


def test_pieces_of_a_file_that_was_in_training_are_no_test() -> None:
    rows = [("a#0", "test"), ("a#1", "train"), ("b#0", "test"), ("b#1", "test"), ("c#0", "validation"), ("c#1", "test")]
    recordings = [Recording(name, 0, 1, 0, split, "") for name, split in rows]
    assert [recording.name for recording in evaluate.untouched(recordings)] == ["b#0", "b#1"]
