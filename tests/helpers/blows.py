"""Changes of a made video whose picture and sound are shifted by a known time."""

import numpy as np

RATE = 25


def blows(seconds, at, shift=0.0, seed=0, *, restless=False, rate=RATE):
    """Motion of 64 blocks with noise, one of which moves at some times, and a sound with onsets `shift` later."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate)
    motion = random.gamma(2.0, 0.5, (count, 64))
    if restless:
        motion += 20 * random.random((count, 1)) ** 4
    sound = np.stack([random.normal(-5, 0.1, count), random.gamma(2.0, 0.02, count)], axis=1)
    times = np.arange(count) / rate
    for time in at:
        motion[:, 27] += 30 * np.exp(-np.maximum(times - time, 0) / 0.15) * (times >= time)
        sound[:, 0] += 3 * np.exp(-np.maximum(times - time - shift, 0) / 0.15) * (times >= time + shift)
        sound[:, 1] += np.abs(times - time - shift) < 0.021
    return motion.astype(np.float32), sound.astype(np.float32)


AT = np.cumsum(np.random.default_rng(4).uniform(0.5, 1.4, 9))
