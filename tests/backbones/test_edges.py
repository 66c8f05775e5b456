import numpy as np
import pytest

from avel.backbones.registry import audio_backbone


def test_a_tone_rises_where_it_starts_and_falls_where_it_ends():
    edges = audio_backbone("edges")
    rate, context = edges.sample_rate, edges.context_seconds
    times = np.arange(-round(context * rate), rate + round(context * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 1, len(times))
    waveform = np.where((times >= 0.3) & (times < 0.7), noise * 0.3, noise * 0.001).astype(np.float32)
    ((rise, fall, level),) = edges(waveform[None]).transpose(0, 2, 1)
    assert (np.argmax(rise), np.argmax(fall)) == (3, 7)
    louder = np.log(0.3 / 0.001)
    assert level[3:7] - level[[0, 1, 8, 9]] == pytest.approx(np.full(4, louder), abs=1.2)  # less by the log's offset
