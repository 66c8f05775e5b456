"""Training windows: recordings cut, changed and mixed, as log-mel patches with the teacher's answer to each.

The teacher hears every window after all changes, so no change can make a label wrong. Blocks of windows are made
independently, each from its own seed, and come out the same with any number of processes.

A window with sound of ESC-10 is marked with the fold; it is mixed with the same fold or with other sources only.
"""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from threadpoolctl import threadpool_limits

from avel.backbones.logmel import LogMel
from shipped_weights.audio_tagger.categories import Decision
from shipped_weights.audio_tagger.recordings import SAMPLE_RATE, Bank, Recording
from shipped_weights.audio_tagger.teacher import BANDS, CLASSES, EMBEDDING, FRAMES, Teacher, class_names

LOG_MEL = LogMel()
WINDOW = LOG_MEL.samples(FRAMES)
BLOCK = 1000
TAKE_SECONDS = 3.5
WINDOWS_A_TAKE = 4
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Part:
    """A set of windows.

    Attributes:
        name: its folder.
        blocks: how many blocks of `BLOCK` windows.
        split: of the recordings that are not from ESC-10.
        fold: of the ESC-10 recordings that every window has, 0 for none.
        focused: every window has a recording in which the teacher hears one of AVE's categories, or whose source says
            that it has one; all categories alike.
    """

    name: str
    blocks: int
    split: str
    fold: int = 0
    focused: bool = False


def parts(base_blocks: int, focus_blocks: int, fold_blocks: int) -> list[Part]:
    """All sets of windows: base and focus without ESC-10, one for each fold of ESC-10, and one for validation."""
    folds = [Part(f"fold{fold}", fold_blocks, "train", fold) for fold in range(1, 6)]
    focus = Part("focus", focus_blocks, "train", focused=True)
    return [Part("validation", 4, "validation"), *folds, focus, Part("base", base_blocks, "train")]


class Windows:
    """The windows of one part: log-mel patches, the teacher's logits and embeddings, in float16."""

    def __init__(self, folder: Path, count: int = 0) -> None:
        if count:
            folder.mkdir(parents=True, exist_ok=True)

        def array(name: str, *shape: int) -> npt.NDArray[np.float16]:
            path = folder / f"{name}.npy"
            if count and not path.exists():
                return np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, *shape))
            return np.load(path, mmap_mode="r+")

        self.patches = array("patches", FRAMES, BANDS)
        self.logits = array("logits", CLASSES)
        self.embeddings = array("embeddings", EMBEDDING)


class Source:
    """Draws recordings and turns them into windows."""

    def __init__(self, bank: Bank, logits: Floats, labels: list[str]) -> None:
        self._bank = bank
        top_classes = logits.argmax(axis=1)
        decision = Decision(labels)
        heard = decision(logits)
        self._by_category = [
            [r for r, hears in zip(bank.recordings, heard[:, k], strict=True) if _may_focus(r, name, hears)]
            for k, name in enumerate(decision.names)
        ]
        self._by_category = [recordings for recordings in self._by_category if recordings]
        self._groups: dict[tuple[str, int], tuple[list[Recording], Floats]] = {}
        counts = Counter(zip((r.split for r in bank.recordings), top_classes.tolist(), strict=True))
        grouped: dict[tuple[str, int], list[tuple[Recording, float]]] = {}
        for recording, top in zip(bank.recordings, top_classes.tolist(), strict=True):
            # A class with n recordings is drawn in proportion to the root of n: speech and music do not drown the rest.
            weight = 1.0 if recording.fold else counts[recording.split, top] ** -0.5
            grouped.setdefault((recording.split, recording.fold), []).append((recording, weight))
        for key, entries in grouped.items():
            weights = np.array([weight for _, weight in entries])
            self._groups[key] = ([recording for recording, _ in entries], np.cumsum(weights / weights.sum()))

    def block(self, random: np.random.Generator, part: Part) -> Floats:
        """(BLOCK, WINDOW) windows."""
        windows: list[Floats] = []
        while len(windows) < BLOCK:
            take = self.take(random, part)
            for _ in range(WINDOWS_A_TAKE if len(take) > 2 * WINDOW else 1):
                start = int(random.integers(0, len(take) - WINDOW + 1))
                windows.append(take[start : start + WINDOW])
        return np.stack(windows[:BLOCK])

    def take(self, random: np.random.Generator, part: Part) -> Floats:
        """A stretch of one or two recordings, changed: at least one window long."""
        if part.focused:
            recordings = self._by_category[int(random.integers(len(self._by_category)))]
            first = recordings[int(random.integers(len(recordings)))]
        else:
            first = self._draw(random, part.split, part.fold)
        take = self._voice(random, first)
        if random.random() < 0.4:
            fold = part.fold if part.fold and random.random() < 0.5 else 0
            other = self._voice(random, self._draw(random, part.split, fold))
            count = min(len(take), len(other))
            ratio = 10 ** (-random.uniform(-5, 20) / 20)
            take = take[:count] + ratio * _rms(take) / (_rms(other) + 1e-6) * other[:count]
        if random.random() < 0.25:
            noise = _coloured_noise(random, len(take))
            take = take + noise * _rms(take) * 10 ** (-random.uniform(5, 45) / 20)
        peak = np.abs(take).max() + 1e-6
        if random.random() < 0.7:
            take = take * (10 ** (random.triangular(-40, -6, 3) / 20) / peak)  # above 0 dB is clipped
        elif peak > 1:
            take = take / peak
        return np.clip(take, -1, 1).astype(np.float32)

    def _draw(self, random: np.random.Generator, split: str, fold: int) -> Recording:
        recordings, cumulative = self._groups[split, fold]
        return recordings[min(int(np.searchsorted(cumulative, random.random())), len(recordings) - 1)]

    def _voice(self, random: np.random.Generator, recording: Recording) -> Floats:
        wave = self._bank.waveform(recording)
        if random.random() < 0.5:  # speed and pitch together
            wave = _resample(wave, float(np.exp(random.normal(0, 0.12))))
        wanted = int(TAKE_SECONDS * SAMPLE_RATE)
        if len(wave) > wanted:
            start = int(random.integers(0, len(wave) - wanted + 1))
            wave = wave[start : start + wanted]
        elif len(wave) < WINDOW:
            wave = _place(random, wave)
        if random.random() < 0.65:
            wave = _filter(random, wave)
        return wave


def _may_focus(recording: Recording, category: str, heard: bool) -> bool:
    return recording.split == "train" and not recording.fold and (heard or recording.category == category)


def _rms(wave: Floats) -> float:
    return float(np.sqrt(np.mean(wave**2)))


def _resample(wave: Floats, speed: float) -> Floats:
    at = np.arange(0, len(wave) - 1, speed)
    return np.interp(at, np.arange(len(wave)), wave).astype(np.float32)


def _place(random: np.random.Generator, wave: Floats) -> Floats:
    """A sound shorter than a window: once at some time in it, or again and again with gaps."""
    result = np.zeros(WINDOW + int(random.integers(0, WINDOW)), np.float32)
    start = int(random.integers(0, max(1, min(len(result) - len(wave), WINDOW))))
    gap = int(random.uniform(0, 0.6) * SAMPLE_RATE)
    repeated = random.random() < 0.5
    while start < len(result):
        stretch = wave[: len(result) - start]
        result[start : start + len(stretch)] = stretch
        if not repeated:
            break
        start += len(wave) + gap
    return result


def _filter(random: np.random.Generator, wave: Floats) -> Floats:
    """A microphone's and a room's: a smooth gain over frequency, band limits, reverberation."""
    length = next_fast_len(len(wave) + SAMPLE_RATE // 2, real=True)
    hertz = np.linspace(0, SAMPLE_RATE / 2, length // 2 + 1, dtype=np.float32)
    octaves = np.log2(np.maximum(hertz, 30.0))
    points = np.linspace(np.log2(30), np.log2(8000), 7)
    decibels = np.interp(octaves, points, random.normal(0, 4, 7))
    if random.random() < 0.2:
        decibels -= 12 * np.maximum(0, octaves - np.log2(random.uniform(2500, 7000))) * 3
    if random.random() < 0.2:
        decibels -= 12 * np.maximum(0, np.log2(random.uniform(80, 500)) - octaves)
    spectrum = rfft(wave, length) * (10 ** (decibels / 20)).astype(np.float32)
    if random.random() < 0.4:
        count = int(random.uniform(0.1, 0.5) * SAMPLE_RATE)
        seconds = np.arange(count, dtype=np.float32) / SAMPLE_RATE
        decay = np.exp(-6.9 * seconds / random.uniform(0.1, 0.9))
        response = random.standard_normal(count).astype(np.float32) * decay
        response *= random.uniform(0.1, 0.8) / np.sqrt(np.sum(response**2))
        response[0] += 1.0
        spectrum *= rfft(response, length)
    return irfft(spectrum, length)[: len(wave)].astype(np.float32)


def _coloured_noise(random: np.random.Generator, count: int) -> Floats:
    length = next_fast_len(count, real=True)
    spectrum = rfft(random.standard_normal(length).astype(np.float32))
    spectrum[1:] /= np.arange(1, len(spectrum), dtype=np.float32) ** (random.uniform(0, 2) / 2)
    spectrum[0] = 0
    noise = irfft(spectrum, length)[:count]
    return (noise / noise.std()).astype(np.float32)


def loudest_window(wave: Floats) -> Floats:
    """The window of a recording with the most energy, or all of it, followed by zeros."""
    if len(wave) <= WINDOW:
        return np.pad(wave, (0, WINDOW - len(wave)))
    energy = np.cumsum(np.concatenate([[0.0], wave.astype(np.float64) ** 2]))
    starts = np.arange(0, len(wave) - WINDOW + 1, WINDOW // 4)
    start = int(starts[np.argmax(energy[starts + WINDOW] - energy[starts])])
    return wave[start : start + WINDOW]


@dataclass
class _Worker:
    """What a process keeps between blocks."""

    bank: Bank
    teacher: Teacher
    source: Source | None


_worker: _Worker


def _start_worker(work: Path, teacher: Path) -> None:
    threadpool_limits(1)  # the processes share the cores already
    global _worker
    bank, logits = Bank(work / "bank"), work / "bank" / "logits.npy"
    source = Source(bank, np.load(logits), class_names(teacher)) if logits.exists() else None
    _worker = _Worker(bank, Teacher(teacher), source)


def _recordings_logits(start: int, stop: int) -> Floats:
    bank = _worker.bank
    windows = np.stack([loudest_window(bank.waveform(recording)) for recording in bank.recordings[start:stop]])
    return _worker.teacher(LOG_MEL(windows))[0]


def _make_block(folder: Path, part: Part, number: int, seed: int) -> None:
    done = folder / "done" / str(number)
    if done.exists():
        return
    random = np.random.default_rng([seed, sum(part.name.encode()), part.fold, number])
    assert _worker.source is not None
    patches = LOG_MEL(_worker.source.block(random, part))
    arrays = Windows(folder)
    rows = slice(number * BLOCK, (number + 1) * BLOCK)
    arrays.patches[rows] = patches
    arrays.logits[rows], arrays.embeddings[rows] = _worker.teacher(patches)
    done.touch()


def make_windows(work: Path, teacher: Path, wanted: list[Part], seed: int, jobs: int = 2) -> None:
    """Make the windows of some parts below `work`; blocks that are there already stay."""
    bank = Bank(work / "bank")
    path = work / "bank" / "logits.npy"
    if not path.exists() or len(np.load(path)) != len(bank.recordings):
        path.unlink(missing_ok=True)
        with ProcessPoolExecutor(jobs, initializer=_start_worker, initargs=(work, teacher)) as pool:
            starts = range(0, len(bank.recordings), 200)
            results = pool.map(_recordings_logits, starts, [start + 200 for start in starts])
            np.save(path, np.concatenate(list(results)))
    with ProcessPoolExecutor(jobs, initializer=_start_worker, initargs=(work, teacher)) as pool:
        for part in wanted:
            folder = work / "windows" / part.name
            (folder / "done").mkdir(parents=True, exist_ok=True)
            Windows(folder, part.blocks * BLOCK)
            blocks = range(part.blocks)
            futures = [pool.submit(_make_block, folder, part, number, seed) for number in blocks]
            for number, future in enumerate(futures):
                future.result()
                if number % 10 == 9 or number == part.blocks - 1:
                    print(f"{part.name}: {number + 1} of {part.blocks} blocks", flush=True)
