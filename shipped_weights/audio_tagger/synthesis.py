"""Sound that nobody recorded: sound fonts played by fluidsynth, voices of espeak-ng, engines and noises of our own.

A name that ends in ``@CATEGORY`` says what is heard, for the evaluation by category; training looks at the teacher's
scores alone.
"""

import struct
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import chirp, lfilter, sawtooth

from shipped_weights.audio_tagger.recordings import (
    SAMPLE_RATE,
    SOUND_FONTS,
    Samples,
    decode,
    package_file,
    package_members,
    read_sources,
    store,
)

ITEM_SECONDS = 5.0
TICKS = 480  # a quarter note of half a second, MIDI's tempo unless told otherwise: 960 ticks a second
DRUM_CHANNEL = 9
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Instrument:
    """One sound of a General MIDI sound font: bank and program, its range of notes, and its AVE category if any."""

    bank: int
    program: int
    lowest: int = 45
    highest: int = 84
    category: str = ""


# Programs count from 0. Banks beyond 0 are those of Roland GS, which both fonts follow in part; where one lacks a
# variation, fluidsynth plays the program's main sound, so only variations that both fonts have get a category.
COVERED = (
    Instrument(0, 40, 55, 98, "Violin, fiddle"),
    Instrument(0, 110, 55, 93, "Violin, fiddle"),
    Instrument(0, 73, 60, 96, "Flute"),
    Instrument(0, 21, 45, 88, "Accordion"),
    Instrument(0, 23, 45, 88, "Accordion"),
    Instrument(0, 24, 40, 80, "Acoustic guitar"),
    Instrument(0, 25, 40, 80, "Acoustic guitar"),
    Instrument(0, 105, 45, 80, "Banjo"),
    Instrument(8, 24, 55, 84, "Ukulele"),
    Instrument(16, 25, 55, 90, "Mandolin"),
    Instrument(0, 14, 45, 79, "Church bell"),
    Instrument(8, 14, 45, 79, "Church bell"),
    Instrument(0, 125, 36, 72, "Helicopter"),
)
BASSES = range(32, 40)
EFFECTS = (120, 122, 123, 124, 125, 126, 127)
VARIATIONS = tuple(Instrument(bank, program, 48, 72) for program in EFFECTS for bank in range(1, 10))

Note = tuple[float, float, int, int]  # start and length in seconds, key, velocity


def phrase(random: np.random.Generator, instrument: Instrument) -> list[Note]:
    """Up to `ITEM_SECONDS` of notes within the instrument's range: long notes, melodies, runs, chords, strumming."""
    low, high = instrument.lowest, instrument.highest
    end = ITEM_SECONDS - 0.6
    loud = int(random.integers(40, 127))
    kind = random.choice(["long", "melody", "run", "chords", "strum", "arpeggio"])
    root = int(random.integers(low, max(low + 1, high - 12)))
    scale = [0, 2, 4, 5, 7, 9, 11] if random.random() < 0.6 else [0, 2, 3, 5, 7, 8, 10]
    chord = [0, 4, 7, 12] if scale[2] == 4 else [0, 3, 7, 12]
    notes: list[Note] = []

    def add(at: float, length: float, key: float) -> None:
        velocity = int(np.clip(loud + random.normal(0, 10), 20, 127))
        notes.append((at, length, int(np.clip(key, 0, 127)), velocity))

    if kind == "long":
        at = 0.0
        while at < end:
            length = random.uniform(0.7, 2.5)
            add(at, min(length, end - at) * 0.95, random.integers(low, high))
            at += length
    elif kind in ("melody", "run", "arpeggio"):
        slow, quick, broken = random.uniform(0.2, 0.6), random.uniform(0.07, 0.14), random.uniform(0.1, 0.3)
        step = {"melody": slow, "run": quick, "arpeggio": broken}[kind]
        degree, at = 0, 0.0
        while at < end:
            length = step * random.choice([1, 1, 1, 2] if kind == "melody" else [1])
            if kind == "arpeggio":
                offset = chord[degree % 4] + 12 * (degree // 4 % 2)
            else:
                offset = scale[degree % 7] + 12 * (degree // 7)
            add(at, length * random.uniform(0.6, 1.0), np.clip(root + offset, low, high))
            degree = degree + 1 if kind == "arpeggio" else int(np.clip(degree + random.integers(-2, 3), -7, 10))
            at += length
    else:
        step = random.uniform(0.5, 1.2) if kind == "chords" else random.uniform(0.18, 0.4)
        spread = random.uniform(0.0, 0.03)
        at, shift = 0.0, 0
        while at < end:
            if random.random() < (0.7 if kind == "chords" else 0.2):
                shift = int(random.choice([0, 5, 7, -5, 2]))
            for number, interval in enumerate(chord):
                add(at + number * spread, step * 0.9, np.clip(root + shift + interval, low, high))
            at += step
    return notes


def drum_phrase(random: np.random.Generator) -> list[Note]:
    """A beat on a drum kit."""
    step = random.uniform(0.1, 0.25)
    voices = random.choice(np.arange(35, 82), size=4, replace=False)
    voices[0] = random.choice([35, 36])
    voices[1] = random.choice([38, 40, 39])
    pattern = random.random((4, 16)) < np.array([0.3, 0.2, 0.6, 0.2])[:, None]
    return [
        (beat * step, step, int(voices[voice]), int(random.integers(50, 127)))
        for beat in range(int((ITEM_SECONDS - 0.6) / step))
        for voice in range(4)
        if pattern[voice, beat % 16]
    ]


def midi_file(items: list[list[tuple[int, Instrument, list[Note]]]]) -> bytes:
    """A standard MIDI file (format 0) that plays one item after the other, `ITEM_SECONDS` each.

    Args:
        items: for each item its parts: channel, instrument and notes.
    """
    events: list[tuple[int, int, bytes]] = []
    for number, parts in enumerate(items):
        base = number * ITEM_SECONDS
        for channel, instrument, notes in parts:
            tick = round(base * 2 * TICKS)
            events.append((tick, 1, bytes([0xB0 | channel, 0, instrument.bank])))
            events.append((tick, 2, bytes([0xC0 | channel, instrument.program])))
            for start, length, key, velocity in notes:
                events.append((round((base + start) * 2 * TICKS), 3, bytes([0x90 | channel, key, velocity])))
                events.append((round((base + start + length) * 2 * TICKS), 0, bytes([0x80 | channel, key, 0])))
            silence = round((base + ITEM_SECONDS - 0.15) * 2 * TICKS)
            events.append((silence, 4, bytes([0xB0 | channel, 120, 0])))  # all sound off
    events.sort()
    track, now = b"", 0
    pieces = []
    for tick, _, data in events:
        pieces.append(_variable_length(tick - now) + data)
        now = tick
    track = b"".join(pieces) + _variable_length(round(0.2 * 2 * TICKS)) + b"\xff\x2f\x00"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + track


def _variable_length(number: int) -> bytes:
    data = [number & 0x7F]
    while number := number >> 7:
        data.append(0x80 | number & 0x7F)
    return bytes(reversed(data))


def play(font: Path, midi: Path, wav: Path) -> None:
    """Render a MIDI file at 16 kHz."""
    options = ["-ni", "-q", "-g", "0.5", "-r", str(SAMPLE_RATE), "-T", "wav", "-F", str(wav)]
    subprocess.run(["fluidsynth", *options, str(font), str(midi)], check=True, capture_output=True)


def render_font(package: str, work: Path, seed: int, per_program: int, per_covered: int, ensembles: int) -> None:
    """Play every sound of a font: `per_program` phrases each, more for what AVE's categories need."""
    if (work / "decoded" / package / "names.json").exists():
        return
    random = np.random.default_rng(seed)
    items: list[list[tuple[int, Instrument, list[Note]]]] = []
    names: list[str] = []

    def add(name: str, parts: list[tuple[int, Instrument, list[Note]]]) -> None:
        items.append(parts)
        names.append(f"{package}/{name}")

    programs = [Instrument(0, program, *((26, 55) if program in BASSES else (45, 84))) for program in range(128)]
    for instrument in [*programs, *VARIATIONS]:
        for number in range(per_program if instrument.bank == 0 else 1):
            add(f"{instrument.bank}-{instrument.program}-{number}", [(0, instrument, phrase(random, instrument))])
    for instrument in COVERED:
        for number in range(per_covered):
            name = f"covered-{instrument.bank}-{instrument.program}-{number}@{instrument.category}"
            add(name, [(0, instrument, phrase(random, instrument))])
    for number in range(ensembles // 2):
        kit = Instrument(0, int(random.choice([0, 8, 16, 24, 25, 32, 40, 48])))
        add(f"drums-{number}", [(DRUM_CHANNEL, kit, drum_phrase(random))])
    for number in range(ensembles):
        lead = COVERED[int(random.integers(10))] if random.random() < 0.4 else programs[int(random.integers(112))]
        parts = [(0, lead, phrase(random, lead))]
        for channel in range(1, int(random.integers(2, 4))):
            instrument = programs[int(random.integers(112))]
            parts.append((channel, instrument, phrase(random, instrument)))
        if random.random() < 0.5:
            parts.append((DRUM_CHANNEL, Instrument(0, 0), drum_phrase(random)))
        add(f"ensemble-{number}", parts)
    with tempfile.TemporaryDirectory() as folder:
        font = _font(package, work, Path(folder))
        (Path(folder) / "items.mid").write_bytes(midi_file(items))
        play(font, Path(folder) / "items.mid", Path(folder) / "items.wav")
        samples = _read_wav(Path(folder) / "items.wav")
    length = int(ITEM_SECONDS * SAMPLE_RATE)
    named = [(f"{name}#0", samples[number * length :][:length]) for number, name in enumerate(names)]
    store(work / "decoded" / package, [(name, part) for name, part in named if np.abs(part).max(initial=0) > 30])


def render_music(font_package: str, packages: tuple[str, ...], work: Path) -> None:
    """Play the MIDI files of packages; three pieces of each."""
    label = "midi-music"
    if (work / "decoded" / label / "names.json").exists():
        return
    named: list[tuple[str, Samples]] = []
    with tempfile.TemporaryDirectory() as folder:
        font = _font(font_package, work, Path(folder))
        for package in packages:
            for name, data in package_members(package_file(package, work / "debs"), (".mid",)):
                (Path(folder) / "music.mid").write_bytes(data)
                play(font, Path(folder) / "music.mid", Path(folder) / "music.wav")
                pieces = decode((Path(folder) / "music.wav").read_bytes())
                named += [(f"{label}/{package}/{name}#{number}", piece) for number, piece in enumerate(pieces)]
    store(work / "decoded" / label, named)


def _font(package: str, work: Path, folder: Path) -> Path:
    name, data = next(package_members(package_file(package, work / "debs"), SOUND_FONTS))
    path = folder / Path(name).name
    path.write_bytes(data)
    return path


def _read_wav(path: Path) -> Samples:
    stereo = np.frombuffer(path.read_bytes()[44:], np.int16).reshape(-1, 2)
    mono: Samples = (stereo.astype(np.int32).sum(axis=1) // 2).astype(np.int16)
    return mono


SENTENCES = (
    "Good morning, how are you today?",
    "The train to the harbour leaves at half past nine.",
    "I have never seen such a big dog in my life!",
    "Please wait here, somebody will be with you in a minute.",
    "First we cut the onions, then we put them into the pan.",
    "No, no, no! That is not what I said.",
    "Once upon a time there was a king who had three daughters.",
    "In nineteen sixty nine, two men walked on the moon.",
    "Hello! Hello, is anybody there?",
    "It will rain tomorrow in the north, with strong winds near the coast.",
)


def speak(work: Path, seed: int) -> None:
    """Every language of espeak-ng, and English with every voice variant, at random pitch and speed."""
    if (work / "decoded" / "espeak" / "names.json").exists():
        return
    random = np.random.default_rng(seed)
    languages = [line.split()[1] for line in _espeak("--voices").decode().splitlines()[1:]]
    variants = [line.split()[-1] for line in _espeak("--voices=variant").decode().splitlines()[1:]]
    variants = sorted(variant.split("/")[-1] for variant in variants if "/" in variant)
    jobs = [(language, variants[int(random.integers(len(variants)))]) for language in languages for _ in range(3)]
    jobs += [(language, variant) for variant in variants for language in ("en-us", "en-gb")]
    named: list[tuple[str, Samples]] = []
    for number, (language, variant) in enumerate(jobs):
        figures = " ".join(str(random.integers(3, 3000)) for _ in range(4))
        text = SENTENCES[int(random.integers(len(SENTENCES)))] if random.random() < 0.6 else figures
        options = ["-p", str(random.integers(20, 80)), "-s", str(random.integers(110, 220))]
        wav = _espeak("-v", f"{language}+{variant}", *options, "--stdout", text)
        named += [(f"espeak/{language}/{variant}-{number}#{part}", piece) for part, piece in enumerate(decode(wav))]
    store(work / "decoded" / "espeak", named)


def _espeak(*arguments: str) -> bytes:
    # A few of the listed languages cannot be loaded by the name they are listed with: they give no sound.
    return subprocess.run(["espeak-ng", *arguments], check=False, capture_output=True).stdout


def make_noises(work: Path, seed: int, each: int = 25) -> None:
    """Engines, sirens, tones, clicks, noises, near silence: `each` of every kind."""
    random = np.random.default_rng(seed)
    named: list[tuple[str, Samples]] = []
    for kind, maker in NOISES.items():
        for number in range(each):
            wave = maker(random, np.arange(int(ITEM_SECONDS * SAMPLE_RATE)) / SAMPLE_RATE)
            peak = np.abs(wave).max() + 1e-9
            level = 10 ** random.uniform(-4.0, -3.2) if kind == "silence" else random.uniform(0.1, 0.8)
            named.append((f"synthetic/{kind}-{number}#0", (wave / peak * level * 32767).astype(np.int16)))
    store(work / "decoded" / "synthetic", named)


def _glide(random: np.random.Generator, seconds: Floats, low: float, high: float) -> Floats:
    """A frequency that wanders between `low` and `high` Hz, as phase in cycles."""
    points = np.exp(random.uniform(np.log(low), np.log(high), 6))
    if random.random() >= 0.6:
        points = points[:1].repeat(6)
    speed = np.interp(seconds, np.linspace(0, seconds[-1], 6), points)
    phase: Floats = np.cumsum(speed) / SAMPLE_RATE
    return phase


def _noise(random: np.random.Generator, count: int, slope: float) -> Floats:
    """Noise whose power falls with the frequency to the power of `slope`: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(random.standard_normal(count))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** (slope / 2)
    spectrum[0] = 0
    noise: Floats = np.fft.irfft(spectrum, count)
    return noise / noise.std()


def _engine(random: np.random.Generator, t: Floats) -> Floats:
    cycles = _glide(random, t, 15, 250)
    cylinders = random.integers(1, 9)
    pulses = sawtooth(2 * np.pi * cycles * cylinders, random.uniform(0, 0.3)) + 0.7 * sawtooth(2 * np.pi * cycles)
    rough = 1 + 0.5 * _noise(random, len(t), 2)
    body = lfilter([1.0], [1.0, -random.uniform(0.3, 0.95)], pulses * rough)
    return np.asarray(body / body.std() + random.uniform(0.1, 1.0) * _noise(random, len(t), 1))


def _rotor(random: np.random.Generator, t: Floats) -> Floats:
    beat = np.maximum(0, np.sin(2 * np.pi * _glide(random, t, 5, 25))) ** random.uniform(1, 6)
    return np.asarray((0.2 + beat) * _noise(random, len(t), random.uniform(0.8, 2)) + 0.2 * _engine(random, t))


def _siren(random: np.random.Generator, t: Floats) -> Floats:
    rate, low, high = random.uniform(0.1, 4), random.uniform(400, 800), random.uniform(900, 1800)
    wobble = np.sin(2 * np.pi * rate * t) if random.random() < 0.6 else np.sign(np.sin(2 * np.pi * rate * t))
    wave = np.sin(2 * np.pi * np.cumsum(low + (high - low) * (wobble + 1) / 2) / SAMPLE_RATE)
    return np.asarray(np.tanh(random.uniform(1, 4) * wave))


def _tones(random: np.random.Generator, t: Floats) -> Floats:
    count = random.integers(1, 4)
    wave = sum(np.sin(2 * np.pi * random.uniform(60, 4000) * t) * random.uniform(0.2, 1) for _ in range(count))
    gate = 1.0 if random.random() < 0.4 else np.sin(2 * np.pi * random.uniform(0.5, 6) * t) > random.uniform(-0.5, 0.7)
    return np.asarray(wave * gate)


def _sweep(random: np.random.Generator, t: Floats) -> Floats:
    period = random.uniform(0.1, 3)
    low, high = random.uniform(100, 1000, 1)[0], random.uniform(1000, 7000)
    return np.asarray(chirp(t % period, low, period, high, "logarithmic"))


def _clicks(random: np.random.Generator, t: Floats) -> Floats:
    wave = np.zeros(len(t))
    period = random.uniform(0.1, 1.2)
    for number, at in enumerate(np.arange(random.uniform(0, period), t[-1], period)):
        tone = np.exp(-np.arange(2000) / random.uniform(10, 25)) * random.standard_normal(2000)
        hertz = 2200 + 500 * (number % 2)
        ring = np.exp(-np.arange(2000) / 60) * np.sin(2 * np.pi * hertz * np.arange(2000) / SAMPLE_RATE)
        start = int(at * SAMPLE_RATE)
        wave[start : start + 2000] += (tone + 0.5 * ring)[: len(wave) - start]
    return wave + 0.002 * _noise(random, len(t), 1)


def _crackle(random: np.random.Generator, t: Floats) -> Floats:
    drops = (random.random(len(t)) < 10 ** random.uniform(-3.5, -1)) * random.exponential(1, len(t))
    wave = lfilter([1.0], [1.0, -random.uniform(0, 0.9)], drops * random.standard_normal(len(t)))
    return np.asarray(wave / (np.abs(wave).max() + 1e-9) + random.uniform(0, 0.03) * _noise(random, len(t), 1))


def _wind(random: np.random.Generator, t: Floats) -> Floats:
    swell = np.interp(t, np.linspace(0, t[-1], 12), random.uniform(0.1, 1, 12))
    return np.asarray(swell * _noise(random, len(t), random.uniform(1, 2.2)))


def _steady(random: np.random.Generator, t: Floats) -> Floats:
    return _noise(random, len(t), random.uniform(0, 2))


def _hum(random: np.random.Generator, t: Floats) -> Floats:
    overtones = (np.sin(2 * np.pi * 50 * k * t + random.uniform(0, 6)) for k in range(1, 20))
    wave = sum(tone / k ** random.uniform(0.5, 1.5) for k, tone in enumerate(overtones, 1))
    return np.asarray(wave + random.uniform(0, 0.3) * _noise(random, len(t), 1))


NOISES: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "engine": _engine,
    "rotor": _rotor,
    "siren": _siren,
    "tones": _tones,
    "sweep": _sweep,
    "clicks": _clicks,
    "crackle": _crackle,
    "wind": _wind,
    "noise": _steady,
    "hum": _hum,
    "silence": _steady,
}


def synthesise(work: Path, seed: int) -> None:
    """Everything above."""
    held_out = read_sources()["held_out"]["sources"]
    for number, package in enumerate(("fluid-soundfont-gm", "musescore-general-soundfont-small", "timgm6mb-soundfont")):
        test = package in held_out
        render_font(package, work, seed + number, 1 if test else 4, 8 if test else 24, 0 if test else 150)
    render_music("fluid-soundfont-gm", ("simutrans-data", "freedink-data"), work)
    speak(work, seed)
    make_noises(work, seed)
