"""Make ``embedded``'s weights and its table from nothing: ``python -m shipped_weights.audio_tagger``."""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from avel.backbones.embedded import FILE_NAME, Embedded
from avel.backbones.embedded_network import TaggerNetwork
from shipped_weights.audio_tagger import evaluate, recordings, report, synthesis, train, windows
from shipped_weights.audio_tagger.teacher import CLASSES, Teacher, class_names
from shipped_weights.audio_tagger.windows import LOG_MEL

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
STAGES = ("recordings", "windows", "train", "evaluate")
BASE_BLOCKS, FOCUS_BLOCKS, FOLD_BLOCKS = 240, 60, 14
PRETRAIN = (
    train.Settings({"base": 1.0}, epochs=1.5, rate=2e-3),
    train.Settings({"base": 1.0, "focus": 1.0}, epochs=1.2, rate=2e-3),
)
ESC10_SHARES = {f"fold{fold}": 1.0 for fold in range(1, 6)}
FINISH = train.Settings({"base": 0.1, "focus": 0.4, **ESC10_SHARES}, epochs=0.6, rate=1e-3)


def main() -> None:
    """Run the stages; what an earlier run has made in the work folder is used again."""
    parser = argparse.ArgumentParser(prog="python -m shipped_weights.audio_tagger", description=main.__doc__)
    parser.add_argument("--work", type=Path, default=REPOSITORY / "work" / "audio_tagger", help="scratch, 20 GB")
    parser.add_argument("--teacher", type=Path, default=SHARED / "weights" / "yamnet.tflite")
    parser.add_argument("--esc10", type=Path, default=SHARED / "data" / "audio" / "ESC-10")
    parser.add_argument("--media", type=Path, default=SHARED / "data" / "media", help="held-out clips")
    parser.add_argument("--output", type=Path, default=REPOSITORY / "src" / "avel" / "backbones" / "data" / FILE_NAME)
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    stages: dict[str, Callable[[argparse.Namespace], None]] = {
        "recordings": make_recordings,
        "windows": make_windows,
        "train": make_students,
        "evaluate": make_tables,
    }
    for name in options.stages:
        began = time.monotonic()
        stages[name](options)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} minutes", flush=True)


def make_recordings(options: argparse.Namespace) -> None:
    """Fetch, render and decode all sound."""
    options.work.mkdir(parents=True, exist_ok=True)
    print(recordings.decode_folder("esc10", options.esc10, options.work / "decoded"))
    recordings.decode_packages(options.work, options.jobs)
    synthesis.synthesise(options.work, options.seed)
    recordings.build_bank(options.work)


def make_windows(options: argparse.Namespace) -> None:
    """Cut, change, mix; ask the teacher."""
    parts = windows.parts(BASE_BLOCKS, FOCUS_BLOCKS, FOLD_BLOCKS)
    windows.make_windows(options.work, options.teacher, parts, options.seed, options.jobs)


def make_students(options: argparse.Namespace) -> None:
    """Train six students and write the weights of the one that heard all of ESC-10."""
    torch.set_num_threads(options.jobs)
    train.pretrain(options.work, PRETRAIN, options.seed)
    for fold in range(6):
        train.finish(options.work, fold, FINISH, options.seed)
    digest = export(train.finish(options.work, 0, FINISH, options.seed), options)
    print(f"{options.output}: {options.output.stat().st_size} bytes, sha256:{digest}")


def export(network: TaggerNetwork, options: argparse.Namespace) -> str:
    """Write a student as float16 safetensors with all that is needed to use it.

    Returns:
        SHA-256 of the file.
    """
    description = {
        "classes": class_names(options.teacher),
        "log_mel": {name: getattr(LOG_MEL, name) for name in LOG_MEL.__dataclass_fields__},
        "training": f"sha256:{training_digest(options.seed)}",
    }
    tensors = {name: tensor.half().contiguous() for name, tensor in train.fused(network).state_dict().items()}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, options.output, metadata={"audio_tagger": json.dumps(description)})
    return hashlib.sha256(options.output.read_bytes()).hexdigest()


def training_digest(seed: int) -> str:
    """Of everything that decides the weights: the sources, the code and the settings."""
    digest = hashlib.sha256(repr((seed, BASE_BLOCKS, FOCUS_BLOCKS, FOLD_BLOCKS, PRETRAIN, FINISH)).encode())
    here, backbones = Path(__file__).parent, REPOSITORY / "src" / "avel" / "backbones"
    modules = ("recordings", "synthesis", "categories", "windows", "teacher", "train")
    files = [here / "sources.toml", *(here / f"{module}.py" for module in modules)]
    files += [backbones / "logmel.py", backbones / "embedded_network.py"]
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def make_tables(options: argparse.Namespace) -> None:
    """Measure on held-out sound; write ``results.json`` and the tables of the model card."""
    torch.set_num_threads(options.jobs)
    teacher = Teacher(options.teacher)
    students = {}
    for name in ("pretrained", *(f"without_fold_{fold}" for fold in range(6))):
        network = TaggerNetwork(CLASSES, normalized=True)
        network.load_state_dict(torch.load(options.work / "students" / f"{name}.pt", weights_only=True))
        students[name] = evaluate.student(network)
    results = evaluate.evaluate(
        class_names(options.teacher),
        evaluate.read_sounds(options.work, options.media, teacher),
        students["pretrained"],
        {fold: students[f"without_fold_{fold}"] for fold in range(1, 6)},
        evaluate.student(shipped(options.output)),
        evaluate.frozen_heads(options.work, teacher, options.seed),
        teacher,
    )
    results["minutes"] = recordings.minutes(options.work)
    results["file"] = {
        "bytes": options.output.stat().st_size,
        "digest": hashlib.sha256(options.output.read_bytes()).hexdigest(),
        "training": Embedded(path=options.output).record["training"],
        "parameters": sum(parameter.numel() for parameter in TaggerNetwork(CLASSES).parameters()),
    }
    evaluate.save(results, Path(__file__).parent / "results.json")
    report.write_model_card(results, Path(__file__).parent / "MODEL_CARD.md")


def shipped(path: Path) -> TaggerNetwork:
    """The network with the float16 weights that ship."""
    network = TaggerNetwork(CLASSES)
    network.load_state_dict(load_file(path))
    return network


if __name__ == "__main__":
    main()
