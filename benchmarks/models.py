"""A training step and inference of every model, as avel computes them, against the same model in plain float32.

    python benchmarks/models.py [--models a+v-att cman ...] [--repeats 3] [--compile]

One run, ratios: 64 random clips of AVE's sizes in memory, steps of both forms in turns, the fastest of each counts,
since what else the machine does can only add. The plain form is the module in float32; avel's is what
`avel.training.optimization.precision_of` chooses (bfloat16 products where the processor has them and there is a
picture to look at), for inference float32 as well, since checkpoints are measured so. Beside each, how far the class
probabilities are from the plain form's. ``--compile`` adds `torch.compile`, which needs a C++ compiler.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from _common import save
from torch import Tensor

from avel.models import registry
from avel.models.base import LocalizationModel
from avel.training.optimization import precision_of
from avel.training.settings import settings_for
from avel.training.tasks import Supervised

CLIPS, SEGMENTS = 64, 10


class Form:
    """A model and how it is computed."""

    def __init__(self, name: str, precision: torch.dtype, compiled: bool = False) -> None:
        torch.manual_seed(0)
        self.model: LocalizationModel = registry.build(name)
        self.precision = precision
        self.run: Callable[..., Any] = torch.compile(self.model) if compiled else self.model
        self.optimizer = torch.optim.Adam(self.model.parameters())
        self.task = Supervised()

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Any:
        """The model's output in its precision."""
        with torch.autocast("cpu", self.precision, enabled=self.precision != torch.float32):
            return self.run(visual, audio, valid)

    def step(self, visual: Tensor, audio: Tensor, valid: Tensor, labels: Tensor) -> None:
        """Forward, backward and update."""
        self.model.train()
        loss = self.model.loss(self.forward(visual, audio, valid), labels, valid, self.task.loss)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    @torch.inference_mode()
    def infer(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """Class probabilities (B, T, C)."""
        self.model.eval()
        probabilities: Tensor = self.forward(visual, audio, valid).logits.float().softmax(dim=-1)
        return probabilities


def seconds(action: Callable[[], Any]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def measure(name: str, repeats: int, compiled: bool) -> dict[str, Any]:
    random = torch.Generator().manual_seed(0)
    pictures = torch.rand(CLIPS, SEGMENTS, 49, 512, generator=random)
    audio = torch.rand(CLIPS, SEGMENTS, 128, generator=random)
    valid = torch.ones(CLIPS, SEGMENTS, dtype=torch.bool)
    labels = torch.nn.functional.one_hot(torch.randint(29, (CLIPS, SEGMENTS), generator=random), 29).float()
    chosen = precision_of(settings_for(name), torch.device("cpu"), registry.entry(name).modalities)
    forms = {"plain": Form(name, torch.float32), "ours": Form(name, chosen)}
    # Halves at inference: what it would gain, and what it costs in exactness.
    if chosen != torch.float32:
        forms["half"] = forms["ours"]
    if compiled:
        forms["compiled"] = Form(name, chosen, compiled=True)
    # As the data come in training: in the precision that is computed in, made beside the computing.
    visual = {form: pictures.to(made.precision) for form, made in forms.items()}
    plain = forms["plain"].infer(visual["plain"], audio, valid)
    result: dict[str, Any] = {
        "parameters": sum(parameter.numel() for parameter in forms["plain"].model.parameters()),
        "precision": str(chosen).removeprefix("torch."),
    }
    differences = {
        form: float((forms[form].infer(visual[form], audio, valid) - plain).abs().max())
        for form in forms
        if form != "plain"
    }
    infer: dict[str, list[float]] = {}
    train: dict[str, list[float]] = {}
    for _ in range(repeats + 1):
        for form in ("plain", "half", "compiled"):
            if form in forms:
                infer.setdefault(form, []).append(seconds(lambda f=form: forms[f].infer(visual[f], audio, valid)))
    for _ in range(repeats + 1):
        for form in ("plain", "ours", "compiled"):
            if form in forms:
                train.setdefault(form, []).append(
                    seconds(lambda f=form: forms[f].step(visual[f], audio, valid, labels))
                )
    fastest = {form: min(times[1:]) for form, times in train.items()}
    inference = {form: min(times[1:]) for form, times in infer.items()}
    result["training_step_ms"] = {form: round(1000 * value, 1) for form, value in fastest.items()}
    result["training_times_as_fast"] = round(fastest["plain"] / fastest["ours"], 2)
    result["inference_ms_per_clip"] = {form: round(1000 * value / CLIPS, 3) for form, value in inference.items()}
    result["largest_difference_of_probabilities"] = {
        form: float(f"{value:.1e}") for form, value in differences.items() if form != "ours" or "half" not in forms
    }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=registry.available_models(), default=registry.available_models())
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--compile", action="store_true")
    options = parser.parse_args()
    measured = {}
    for name in options.models:
        measured[name] = measure(name, options.repeats, options.compile)
        row = measured[name]
        print(
            f"{name:16} training step {row['training_times_as_fast']:5.2f} x plain float32, "
            f"inference {row['inference_ms_per_clip']['plain']:7.3f} ms a clip",
            flush=True,
        )
    result = {
        "batch_size": CLIPS,
        "threads": torch.get_num_threads(),
        "repeats": options.repeats,
        "median_training_times_as_fast": round(
            statistics.median(row["training_times_as_fast"] for row in measured.values()), 2
        ),
        "models": measured,
    }
    save(__file__, result)


if __name__ == "__main__":
    main()
