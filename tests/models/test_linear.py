import torch

from avel.models.base import TaskSpec
from avel.models.linear import even, joined
from avel.models.options import Dims
from avel.models.registry import build
from avel.training.settings import FOR_FEW, settings_for


def test_features_of_any_scale_weigh_alike():
    x = torch.tensor([[4.0, 0.0, -4.0, 0.0], [400.0, 0.0, -400.0, 0.0]])
    # Square roots 2, 0, -2, 0 have mean 0 and variance 2; divided by its root and by 2 they have length 1.
    wanted = torch.tensor([[0.7071, 0.0, -0.7071, 0.0]]).expand(2, 4)
    torch.testing.assert_close(even(x), wanted, atol=1e-4, rtol=0)


def test_a_segment_is_scored_by_itself():
    torch.manual_seed(0)
    model = build("linear", Dims(num_categories=2, visual_dims=6, audio_dims=4, regions=3)).eval()
    visual, audio, valid = torch.rand(2, 5, 3, 6), torch.rand(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    whole = model(visual, audio, valid).logits
    alone = model(visual[:, 2:3], audio[:, 2:3], valid[:, 2:3]).logits
    torch.testing.assert_close(whole[:, 2:3], alone)


def test_its_training_lets_rare_classes_count():
    assert settings_for(FOR_FEW).class_weights == "balanced"


def distances(x, rows):
    return (x - rows.mean(0)).square().sum(-1)


def taught(spec, labels):
    torch.manual_seed(1)
    model = build("nearest-mean", Dims(num_categories=2, visual_dims=6, audio_dims=4, regions=3))
    model.spec = spec
    visual, audio, valid = torch.rand(2, 5, 3, 6), torch.rand(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    valid[1, 3:] = False
    for clip in range(2):  # in two batches
        model.see(visual[clip : clip + 1], audio[clip : clip + 1], valid[clip : clip + 1], labels[clip : clip + 1])
    model.settle()
    return model.eval()(visual, audio, valid).logits, joined(visual, audio), valid


def test_the_nearest_class_mean_by_hand():
    classes = torch.tensor([[0, 0, 2, 2, 2], [0, 2, 2, 0, 0]])  # no segment of class 1; the last two are padding
    logits, x, valid = taught(TaskSpec(("a", "b")), torch.eye(3)[classes])
    rows = {c: x[valid & (classes == c)] for c in (0, 2)}
    spread = sum(distances(rows[c], rows[c]).mean() for c in (0, 2)) / 2
    wanted = (distances(x, rows[2]) - distances(x, rows[0])) / spread
    torch.testing.assert_close((logits[..., 0] - logits[..., 2])[valid], wanted[valid], atol=1e-4, rtol=1e-4)
    assert (logits[valid].argmax(-1) != 1).all()


def test_the_nearest_of_presence_and_absence_in_multi_label():
    there = torch.tensor([[[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 1]]] * 2)
    logits, x, valid = taught(TaskSpec(("a", "b"), "multi-label"), there)
    present, absent = x[valid & (there[..., 0] > 0)], x[valid & (there[..., 0] == 0)]
    nearer = distances(x, present) < distances(x, absent)
    assert ((logits[..., 0] > logits[..., 2]) == nearer)[valid].all()
    assert (logits[..., 1] < logits[..., 2])[valid].all()


def test_whole_videos_teach_their_means():
    logits, x, valid = taught(TaskSpec(("a", "b"), target="videos"), torch.tensor([[1.0, 0, 0], [0, 1, 0]]))
    a, b = x[0].mean(0), x[1][valid[1]].mean(0)
    nearer = (x - a).square().sum(-1) < (x - b).square().sum(-1)
    assert ((logits[..., 0] > logits[..., 1]) == nearer)[valid].all()
