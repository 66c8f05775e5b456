"""How often a man's and a woman's voice are told apart, and how often wrongly, on copies as videos have them.

Voices, none of which the network was trained on here:

- recorded: the prompts of Debian's asterisk-core-sounds-{en,es,fr,it,ru}-wav (two women speak three of the languages;
  8 kHz) and the sentences of festvox-ru, each package unpacked with ``dpkg-deb -x FILE.deb FOLDER/PACKAGE``;
- synthesized from recordings of one speaker each, by flite and festival where they are installed;
- clips of ``data/media`` whose labels say who speaks.

Each utterance of 4 s is judged as it is, at 8 kHz, with noise, from afar (0.6 s of reverberation, quiet, with noise)
and pitched: resampled, so that formants move with the pitch, as where a video is played at another speed. A voice
counts once, however many utterances it has. "Wrong" is the share of those that are said.
"""

import argparse
import subprocess
import tempfile
import wave
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _common import SHARED, save
from scipy.signal import fftconvolve, resample_poly

from avel.backbones.engine import EngineOptions
from avel.backbones.voice import VOICES, Voice, voice_scores
from avel.media.reader import MediaReader

RATE = 16000
SECONDS = 4
UTTERANCES = 10
RECORDED = {
    ("asterisk-core-sounds-en-wav", "asterisk-core-sounds-es-wav"): "high voice",
    ("asterisk-core-sounds-fr-wav",): "high voice",
    ("asterisk-core-sounds-it-wav",): "low voice",
    ("asterisk-core-sounds-ru-wav",): "high voice",
    ("festvox-ru",): "low voice",
}
FLITE = {"kal": "low voice", "awb": "low voice", "rms": "low voice", "slt": "high voice"}
FESTIVAL = {
    "czech_dita": "high voice",
    "czech_machac": "low voice",
    "czech_ph": "low voice",
    "hy_fi_mv_diphone": "low voice",
    "suo_fi_lj_diphone": "high voice",
    "lp_diphone": "high voice",
    "pc_diphone": "low voice",
    "upc_ca_ona_hts": "high voice",
}
TEXT = "la casa bianca sul mare era piena di sole e di vento, e noi andavamo ogni sera a guardare le barche sulla riva"
CLIPS = {
    ("events/speech_nasa", 0, 12): "low voice",
    ("events2/machine_gun_fr", 0, 4): "low voice",
    ("events2/podium_speech", 1, 9): "low voice",
    ("events2/reportage_narrated", 0, 11): "low voice",
    ("events2/talking_head_1", 0, 5): "low voice",
    ("events2/axe_chopping", 1, 4): "low voice",
    ("events2/mixing_bowl", 6, 12): "high voice",
    ("events2/phone_call_train", 0, 9): "high voice",
    ("events2/stage_hosts", 0, 10): "high voice",
}

Sound = np.ndarray


def pitched(semitones: float) -> Callable[[Sound, np.random.Generator], Sound]:
    def change(sound: Sound, random: np.random.Generator) -> Sound:
        at = np.arange(int(len(sound) / 2 ** (semitones / 12))) * 2 ** (semitones / 12)
        return np.interp(at, np.arange(len(sound)), sound)

    return change


def noisy(sound: Sound, random: np.random.Generator, decibel: float) -> Sound:
    noise = np.convolve(random.normal(size=len(sound)), np.ones(6) / 6, "same")
    return sound + noise * np.sqrt((sound**2).mean() / (noise**2).mean() / 10 ** (decibel / 10))


def far(sound: Sound, random: np.random.Generator) -> Sound:
    times = np.arange(RATE // 2) / RATE
    room = random.normal(size=len(times)) * 0.12 * np.exp(-6.9 * times / 0.6)
    room[0] = 0.35
    heard = fftconvolve(sound, room)[: len(sound)]
    return noisy(0.05 * heard / np.abs(heard).max(), random, 15)


COPIES: dict[str, Callable[[Sound, np.random.Generator], Sound]] = {
    "as it is": lambda sound, random: sound,
    "8 kHz": lambda sound, random: resample_poly(resample_poly(sound, 1, 2), 2, 1)[: len(sound)],
    "noise at 10 dB": lambda sound, random: noisy(sound, random, 10),
    "noise at 3 dB": lambda sound, random: noisy(sound, random, 3),
    "far": far,
    "2 semitones up": pitched(2),
    "2 semitones down": pitched(-2),
    "4 semitones up": pitched(4),
    "4 semitones down": pitched(-4),
}


def read(path: Path) -> Sound:
    with wave.open(str(path)) as file:
        rate = file.getframerate()
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float) / 32768
    return resample_poly(sound, RATE // np.gcd(RATE, rate), rate // np.gcd(RATE, rate))


def utterances(sounds: list[Sound]) -> list[Sound]:
    """Pieces of `SECONDS` without pauses."""
    sound = np.concatenate(sounds)
    level = np.convolve(np.abs(sound), np.ones(800) / 800, "same")
    sound = sound[level > 0.02 * level.max()]
    length = SECONDS * RATE
    return [sound[at : at + length] for at in range(0, len(sound) - length + 1, length)][:UTTERANCES]


def voices(packages: Path | None) -> dict[str, tuple[str, list[Sound]]]:
    """By name, whose voice it is and its utterances."""
    found = {}
    for names, voice in RECORDED.items():
        files = sorted(f for name in names for f in (packages or Path("-")).glob(f"{name}/**/*.wav"))
        np.random.default_rng(0).shuffle(files)
        if files:
            found[" and ".join(names)] = voice, utterances([read(file) for file in files[:80]])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.wav"
        for engine, of_engine in (("flite", FLITE), ("text2wave", FESTIVAL)):
            for name, voice in of_engine.items():
                command = [engine, "-eval", f"(voice_{name})", "-o", str(file)]
                if engine == "flite":
                    command = [engine, "-voice", name, "-t", TEXT, "-o", str(file)]
                try:
                    subprocess.run(command, input=TEXT.encode(), check=True, capture_output=True)
                except (OSError, subprocess.CalledProcessError):
                    print(f"{name}: {engine} cannot speak it here")
                    continue
                found[name] = voice, utterances([read(file)])
    for (clip, start, end), voice in CLIPS.items():
        with MediaReader(SHARED / "data" / "media" / f"{clip}.mp4", sample_rate=RATE) as reader:
            seconds = [segment.waveform.astype(float) for segment in reader][start:end]
        pieces = [np.concatenate(seconds[at : at + SECONDS]) for at in range(0, len(seconds), SECONDS)]
        found[clip] = voice, [piece for piece in pieces if len(piece) >= 2 * RATE]
    return found


def said(voice: Voice, sound: Sound) -> str:
    sound = (sound / max(1.0, np.abs(sound).max())).astype(np.float32)
    seconds = len(sound) // RATE
    evidence = voice(sound[: seconds * RATE].reshape(seconds, RATE))
    scores = voice_scores(evidence, np.ones(seconds, np.float32), 1.0)[seconds // 2]
    return VOICES[int(scores.argmax())] if scores.any() else "nothing"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--packages", type=Path, help="folder with the unpacked Debian packages")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    judge = Voice(EngineOptions())
    random = np.random.default_rng(0)
    shares: dict[str, dict[str, tuple[float, float]]] = defaultdict(dict)
    speakers = voices(args.packages)
    for name, (truth, sounds) in speakers.items():
        for copy, change in COPIES.items():
            answers = [said(judge, change(sound, random)) for sound in sounds]
            right = sum(a == truth for a in answers) / len(answers)
            wrong = sum(a not in (truth, "nothing") for a in answers) / len(answers)
            shares[copy][name] = right, wrong
        print(f"{name[:50]:50} {truth:10}", *(f"{r:.1f}/{w:.1f}" for r, w in (s[name] for s in shares.values())))
    table = {}
    for copy, by_voice in shares.items():
        right, wrong = np.array(list(by_voice.values())).sum(axis=0)
        table[copy] = {
            "said": round(float(right + wrong) / len(by_voice), 3),
            "wrong of those said": round(float(wrong / max(right + wrong, 1e-9)), 3),
        }
        print(f"{copy:20} {table[copy]}")
    total = np.array([pair for by_voice in shares.values() for pair in by_voice.values()]).sum(axis=0)
    table["all copies"] = {
        "said": round(float(total.sum()) / len(speakers) / len(COPIES), 3),
        "wrong of those said": round(float(total[1] / total.sum()), 3),
    }
    print("all copies", table["all copies"])
    if not args.no_save:
        save(__file__, {"voices": {n: t for n, (t, _) in speakers.items()}, "copies": table})


if __name__ == "__main__":
    main()
