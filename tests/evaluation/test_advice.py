from pathlib import Path
from typing import Any

import numpy as np

from avel.evaluation.advice import advice
from avel.evaluation.baselines import baselines
from avel.evaluation.evaluate import Evaluation
from avel.metrics.segments import measure
from avel.training.loop import TrainingResult
from avel.training.settings import TrainingSettings
from avel.training.state import Epoch

TRUE = np.array([[0, 0, 1, 1, 1, 1, 1, 1, 1, 1]] * 4)


def told(predicted: np.ndarray[Any, Any], losses: tuple[float, ...] = (0.9, 0.5, 0.4, 0.3), best: int = 1) -> str:
    trivial = baselines(TRUE, np.zeros(4, np.int64), 2)
    found = Evaluation("a", "labels.csv", "test", measure(predicted, TRUE, 2), trivial, ("bark",))
    history = tuple(Epoch(i + 1, loss, 0.8, 0.1, 1.0) for i, loss in enumerate(losses))
    result = TrainingResult(Path("run"), best, 0.8, "val", "segment_accuracy", history, False)
    return advice(TrainingSettings(), result, found, {"bark": 4})


def test_a_model_that_learned_is_not_talked_about() -> None:
    assert told(TRUE) == ""


def test_why_nothing_was_learned_and_what_to_do() -> None:
    text = told(np.ones_like(TRUE))
    assert text.startswith(
        "The model has learned nothing: its segment accuracy on split test is 80.0 %, and 'always background', which "
        "needs no learning, has 80.0 %. There are few training events of bark (4): label more, 20 or more"
    )
    assert "Leave --model out" in text
    assert "--class-weights balanced" in text
    assert "more --epochs" not in text
    assert "The last epochs were the best: try more --epochs." in told(np.ones_like(TRUE), best=4)
    assert "The loss grew: try a smaller --learning-rate." in told(np.ones_like(TRUE), (0.5, 0.9))
