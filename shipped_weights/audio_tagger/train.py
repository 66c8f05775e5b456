"""Teach the small network YAMNet's answers.

Two stages with the same loss. `pretrain` sees windows that have nothing of ESC-10, in two cycles: at first the base,
then the focus on AVE's categories too. `finish` goes on with some of these and windows of ESC-10, of all folds for the
weights that ship and without one fold for the benchmark. Each has a fixed number of steps, and the last state
is taken.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from avel.backbones.embedded_network import TaggerNetwork
from shipped_weights.audio_tagger.teacher import CLASSES
from shipped_weights.audio_tagger.windows import Windows

LOGIT_FLOOR = -10.0
"""Below this a class is not heard; how far below does not matter."""
EMBEDDING_SCALE = 0.15
"""About the root mean square of an entry of YAMNet's embedding."""


@dataclass(frozen=True)
class Settings:
    """How long and how to train.

    Attributes:
        shares: of the windows of each part, how many are used.
        epochs: passes over these, need not be whole.
        batch: windows a step.
        rate: highest learning rate.
        weight_decay: of AdamW.
    """

    shares: Mapping[str, float]
    epochs: float
    rate: float
    batch: int = 64
    weight_decay: float = 0.02


def distillation_loss(logits: Tensor, embedding: Tensor, teacher_logits: Tensor, teacher_embedding: Tensor) -> Tensor:
    """How far the student's answer is from the teacher's.

    Cross entropy between the scores, summed over classes; squared distance of the logits, so that classes that are
    faint in both count too; and angle and squared distance of the embeddings.

    Args:
        logits: (B, C) of the student.
        embedding: (B, D) of the student.
        teacher_logits: (B, C).
        teacher_embedding: (B, D).
    """
    scores = functional.binary_cross_entropy_with_logits(logits, teacher_logits.sigmoid(), reduction="none").sum(1)
    distance = (logits.clamp(min=LOGIT_FLOOR) - teacher_logits.clamp(min=LOGIT_FLOOR)).square().mean(1)
    angle = 1 - functional.cosine_similarity(embedding, teacher_embedding, dim=1)
    size = ((embedding - teacher_embedding) / EMBEDDING_SCALE).square().mean(1)
    return (scores + 0.3 * distance + 3 * angle + 0.5 * size).mean()


class Mixture:
    """Several sets of windows as one."""

    def __init__(self, folder: Path, shares: Mapping[str, float], random: np.random.Generator) -> None:
        self._sets = [Windows(folder / name) for name in shares]
        rows = []
        for number, (windows, share) in enumerate(zip(self._sets, shares.values(), strict=True)):
            chosen = random.permutation(len(windows.patches))[: int(share * len(windows.patches))]
            rows.append(np.stack([np.full(len(chosen), number), chosen], axis=1))
        self.rows: npt.NDArray[np.int64] = np.concatenate(rows)

    def batch(self, which: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """Patches, logits and embeddings of some rows, grouped by set."""
        rows = self.rows[which]
        columns: list[list[npt.NDArray[np.float16]]] = [[], [], []]
        for number, windows in enumerate(self._sets):
            indices = np.sort(rows[rows[:, 0] == number, 1])
            for column, array in zip(columns, (windows.patches, windows.logits, windows.embeddings), strict=True):
                column.append(array[indices])
        patches, logits, embeddings = (torch.from_numpy(np.concatenate(column)).float() for column in columns)
        return patches, logits, embeddings


def fit(network: nn.Module, data: Mixture, settings: Settings, random: np.random.Generator, log: Path) -> None:
    """Train in place: AdamW, the learning rate rises for a twentieth of the steps and then falls as a cosine."""
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    matrices = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in network.parameters() if parameter.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=settings.rate, fused=True)
    steps = int(settings.epochs * len(data.rows) / settings.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.rate, total_steps=steps, pct_start=0.05)
    order = random.permutation(len(data.rows))
    at, total, began = 0, 0.0, time.monotonic()
    with log.open("a") as file:
        for step in range(1, steps + 1):
            if at + settings.batch > len(order):
                order, at = random.permutation(len(data.rows)), 0
            patches, teacher_logits, teacher_embeddings = data.batch(order[at : at + settings.batch])
            at += settings.batch
            logits, embeddings = network(patches)
            loss = distillation_loss(logits, embeddings, teacher_logits, teacher_embeddings)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
            if step % 100 == 0 or step == steps:
                speed = step * settings.batch / (time.monotonic() - began)
                line = f"step {step} of {steps}, loss {total / ((step - 1) % 100 + 1):.3f}, {speed:.0f} windows/s"
                print(line, file=file, flush=True)
                total = 0.0
                if step % 1000 == 0:
                    torch.save(network.state_dict(), log.with_suffix(".partial.pt"))


@torch.no_grad()
def agreement(network: nn.Module, windows: Windows) -> dict[str, float]:
    """How well a network answers as the teacher on some windows."""
    network.eval()
    same, top3, cosine, losses = [], [], [], []
    for start in range(0, len(windows.patches), 256):
        rows = slice(start, start + 256)
        patches, logits, embeddings = (
            torch.from_numpy(np.asarray(array[rows])).float()
            for array in (windows.patches, windows.logits, windows.embeddings)
        )
        answer, embedding = network(patches)
        top = logits.argmax(1)
        same.append(answer.argmax(1) == top)
        top3.append((answer.topk(3, dim=1).indices == top[:, None]).any(1))
        cosine.append(functional.cosine_similarity(embedding, embeddings, dim=1))
        losses.append(functional.binary_cross_entropy_with_logits(answer, logits.sigmoid(), reduction="none").sum(1))
    return {
        "same top class": torch.cat(same).float().mean().item(),
        "teacher's top class among the first three": torch.cat(top3).float().mean().item(),
        "cosine of the embeddings": torch.cat(cosine).mean().item(),
        "cross entropy": torch.cat(losses).mean().item(),
    }


def pretrain(work: Path, cycles: Sequence[Settings], seed: int) -> TaggerNetwork:
    """A network that has heard everything but ESC-10; kept in ``pretrained.pt``.

    Each cycle starts from where the last one ended (warm restarts; Loshchilov and Hutter, arXiv:1608.03983).
    """
    torch.manual_seed(seed)
    network = TaggerNetwork(CLASSES, normalized=True)
    path = work / "students" / "pretrained.pt"
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    path.parent.mkdir(parents=True, exist_ok=True)
    for number, settings in enumerate(cycles):
        random = np.random.default_rng([seed, number])
        data = Mixture(work / "windows", settings.shares, random)
        fit(network, data, settings, random, path.with_suffix(".log"))
    _report("pretrained", network, work)
    torch.save(network.state_dict(), path)
    return network


def finish(work: Path, without_fold: int, settings: Settings, seed: int) -> TaggerNetwork:
    """A student that has heard ESC-10 without one fold (0: all of it); kept in ``without_fold_N.pt``."""
    network = TaggerNetwork(CLASSES, normalized=True)
    path = work / "students" / f"without_fold_{without_fold}.pt"
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network
    network.load_state_dict(torch.load(work / "students" / "pretrained.pt", weights_only=True))
    shares = {name: share for name, share in settings.shares.items() if name != f"fold{without_fold}"}
    random = np.random.default_rng([seed, 100])
    data = Mixture(work / "windows", shares, random)
    fit(network, data, settings, random, path.with_suffix(".log"))
    _report(path.stem, network, work)
    torch.save(network.state_dict(), path)
    return network


def _report(name: str, network: TaggerNetwork, work: Path) -> None:
    result = agreement(network, Windows(work / "windows" / "validation"))
    with (work / "students" / "validation.jsonl").open("a") as file:
        print(json.dumps({"student": name, **result}), file=file)
    print(name, json.dumps(result), flush=True)


def fused(network: TaggerNetwork) -> TaggerNetwork:
    """The same network with every normalization multiplied into the convolution before it."""
    result = TaggerNetwork(network.head.out_features)
    trained = dict(network.eval().named_modules())
    for name, module in result.named_modules():
        if isinstance(module, nn.Conv2d):
            layer = trained[name.removesuffix(".convolution")]
            joined = nn.utils.fuse_conv_bn_eval(layer.convolution, layer.normalization)
            module.load_state_dict(joined.state_dict())
    result.head.load_state_dict(network.head.state_dict())
    return result.eval()
