import json
import math

import pytest
import torch

from avel.errors import ModelError
from avel.evaluation.baselines import baselines
from avel.evaluation.card import card
from avel.evaluation.evaluate import Evaluation
from avel.evaluation.report import write_json
from avel.metrics.multi_label import measure_multi_label
from avel.metrics.segments import measure
from avel.models import registry
from avel.models.options import Dims
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord

DIMS = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=2)
KNOWN = FeatureRecord(
    4, 6, 5, visual=("vgg19",), audio=("vggish",), networks={"vgg19": {"digest": "sha256:" + "ab" * 32}}
)
SETTINGS = {
    "task": "supervised",
    "protocol": "validation",
    "optimizer": "adam",
    "learning_rate": 0.001,
    "batch_size": 16,
    "epochs": 40,
    "seed": 3,
    "few_events": 10,
}
NOTES = {
    "epoch": 7,
    "chosen_on": "val",
    "data": "labels.csv",
    "videos": {"train": 40, "val": 10},
    "training_events": {"Bark": 36, "Goat | kid": 4},
}


@pytest.fixture
def save(tmp_path):
    def write(name="a+v-att", dims=DIMS, features=KNOWN, **more):
        torch.manual_seed(0)
        info = CheckpointInfo(
            name,
            {"lstm_dims": 8},
            dims,
            ("Bark", "Goat | kid"),
            features,
            **{
                "settings": SETTINGS,
                "notes": NOTES,
                "metrics": {"val": {"segment_accuracy": 0.75}},
                **more,
            },
        )
        checkpoint.save(tmp_path / "checkpoint.safetensors", registry.build(name, dims, lstm_dims=8), info)
        return tmp_path / "checkpoint.safetensors"

    return write


def evaluation(predicted, true=((0, 0, 2, 2), (1, 2, 2, 2)), **more):
    return Evaluation(
        **{
            "metrics": measure(predicted, true, 3),
            "baselines": baselines(true, [0, 1][: len(true)], 3),
            "categories": ("Bark", "Goat | kid"),
            "split": "test",
            "data": "labels.csv",
            "model": "a+v-att",
            "about": {"epoch": 7, "seed": 3},
            **more,
        }
    )


def test_evaluation_is_read_back():
    found = evaluation([[0, 0, 2, 2], [2, 2, 2, 2]])
    again = Evaluation.from_dict(json.loads(json.dumps(found.to_dict())))
    assert again.to_dict() == found.to_dict()
    assert again.metrics.segment_accuracy == 7 / 8
    with pytest.raises(ValueError, match="model: Field required"):
        Evaluation.from_dict({"metrics": {}})


def test_attention_over_one_region_shows_nothing(save):
    found = card(save(dims=DIMS.model_copy(update={"regions": 1})))
    assert found.to_dict()["model"]["shows"] == []
    text = found.to_markdown()
    assert "It also shows" not in text
    assert "- It does not say where in the picture an event is.\n" in text


def test_what_is_known_is_in_it(save, tmp_path):
    path = save()
    write_json(evaluation([[0, 0, 2, 2], [2, 2, 2, 2]]), tmp_path / "result.json")
    text = card(path).to_markdown()
    for line in (
        "# a+v-att: audio and attended visual, concatenated after their LSTMs",
        "Options that are not its paper's: lstm_dims = 8.",
        "For each segment of 1 s: one of these categories, or background.",
        "It also shows: spatial attention.",
        "| Goat \\| kid |               4 |                  0.0 % |",
        "- Data: labels.csv (videos: 40 train, 10 val)",
        "- Visual features: vgg19 (sha256:abababab…); 4 × 6 numbers a segment",
        "- Training: adam, learning rate 0.001, batches of 16, at most 40 epochs, seed 3",
        "- Protocol: validation; epoch 7 is kept, the best on the val split",
        "On the val split, by which its epoch was chosen: segment accuracy 75.0 %.",
        "- A segment has one category: of events that overlap it finds one at a time.",
        "- It saw fewer than 10 training events of: Goat | kid.",
        "- It finds less than 50.0 % of the segments of: Goat | kid.",
        "- It was measured on 2 videos of the data it was trained on; others may differ more.",
    ):
        assert line in text.splitlines()
    row = next(line for line in text.splitlines() if line.startswith("| always background"))
    assert row.split("|")[2].strip() == "62.5 %"


def test_json_is_the_whole_of_it(save, tmp_path):
    found = evaluation([[0, 0, 2, 2], [2, 2, 2, 2]])
    path = save()
    write_json(found, tmp_path / "result.json")
    data = json.loads(json.dumps(card(path).to_dict(), allow_nan=False))
    assert data["predicts"]["categories"] == ["Bark", "Goat | kid"]
    assert data["model"]["parameters"] == sum(p.numel() for p in checkpoint.load(path)[0].parameters())
    assert data["trained_on"]["settings"] == SETTINGS
    assert data["measured"]["evaluation"] == found.to_dict()


def test_limits_of_a_model_of_one_modality_without_a_test(save):
    limits = card(
        save(
            "v",
            features=FeatureRecord(1, 6, 5),
            dims=Dims(visual_dims=6, regions=1, audio_dims=5, num_categories=2),
            settings={},
            notes={},
        )
    ).limits
    assert "It looks at the visual only, so it cannot tell whether an event is both seen and heard." in limits
    assert "It does not say where in the picture an event is." in limits
    assert "The networks that made its features are not known, so avel cannot make them of other videos." in limits
    assert any(limit.startswith("It was not measured on a test split: how good it is") for limit in limits)


def test_no_better_than_trivial_is_said(save, tmp_path):
    path = save()
    write_json(evaluation([[2] * 4] * 2), tmp_path / "result.json")
    assert "It is no better than the trivial answer: always background." in card(path).limits


def test_weak_labels_and_what_is_too_good(save, tmp_path):
    path = save(settings={**SETTINGS, "task": "weak"})
    warning = "the epoch was chosen on this same split, test: its accuracy is too good (protocol literature)"
    write_json(evaluation([[0, 0, 2, 2], [1, 2, 2, 2]], warnings=(warning,)), tmp_path / "result.json")
    found = card(path)
    assert "It was trained on labels of whole videos: when an event is, it had to find out by itself." in found.limits
    assert f"T{warning[1:]}." in found.limits
    assert "- Task: weak (labels of whole videos)" in found.to_markdown()


def test_several_categories_a_segment(save, tmp_path):
    true = [[[True, False], [True, True]]]
    metrics = measure_multi_label([[[0.9, 0.2], [0.8, 0.7]]], true, true, thresholds=(0.4, 0.6))
    found = evaluation([[0, 0, 2, 2]] * 2, metrics=metrics, baselines={})
    path = save(thresholds=(0.4, 0.6))
    write_json(found, tmp_path / "result.json")
    text = card(path).to_markdown()
    assert "For each segment of 1 s: any number of these categories." in text
    assert "| Bark        |              36 |     0.400 |                100.0 % |" in text
    assert "mean AP" in text
    assert "one at a time" not in text


@pytest.mark.parametrize("about", [{"epoch": 8, "seed": 3}, {"epoch": 7, "seed": 4}])
def test_the_result_of_another_model_is_not_shown(save, tmp_path, about):
    path = save()
    write_json(evaluation([[0, 0, 2, 2], [2, 2, 2, 2]], about=about), tmp_path / "result.json")
    found = card(path)
    assert found.evaluation is None
    assert any("result.json beside it is of another model" in limit for limit in found.limits)


def test_a_damaged_result_is_named(save, tmp_path):
    path = save()
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(ModelError, match=r"result.json: cannot be read as the result of an evaluation .*Remove it"):
        card(path)


def test_names_steer_no_terminal(save):
    path = save(notes={**NOTES, "data": "x\x1b[31m\ny"})
    assert "- Data: x[31m y (videos" in card(path).to_markdown()


def test_a_category_that_the_test_lacks(save, tmp_path):
    path = save()
    write_json(evaluation([[0, 0, 2, 2]], true=[[0, 0, 2, 2]], baselines={}), tmp_path / "result.json")
    found = card(path)
    assert math.isnan(found.evaluation.metrics.category_accuracy[1])
    assert "In the test split there is nothing of: Goat | kid." in found.limits
