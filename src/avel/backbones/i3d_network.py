"""The network of `i3d`; it opens no file.

Inflated 3D Inception-V1 (Carreira and Zisserman, CVPR 2017, arXiv:1705.07750, figure 3), as in DeepMind's
``kinetics-i3d``: padding as TensorFlow's ``SAME``, batch normalization without a scale. Layers are called as the
endpoints there.
"""

from avel.backbones.operations import Operations, Tensors, V, folded

CLASSES = 400
LOGITS = "Logits/Conv3d_0c_1x1"
MIXED = ("Mixed_3b", "Mixed_3c", "Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "Mixed_5b", "Mixed_5c")
POOLED_BEFORE = {"Mixed_4b": (3, 3, 3), "Mixed_5b": (2, 2, 2)}
"""Windows of the poolings that halve time and picture before a module."""


def probabilities(ops: Operations[V], pictures: V) -> V:
    """(B, 16, 224, 224, 3) uint8 RGB to (B, 400) probabilities of what people do; tensors as of `normalized`."""
    x = ops.transpose(ops.scaled(pictures, 127.5, 127.5), (0, 4, 1, 2, 3))
    x = ops.max_pool(unit(ops, x, "Conv3d_1a_7x7", stride=2), (1, 3, 3), (1, 2, 2))
    x = unit(ops, unit(ops, x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    x = ops.max_pool(x, (1, 3, 3), (1, 2, 2))
    for name in MIXED:
        if name in POOLED_BEFORE:
            x = ops.max_pool(x, POOLED_BEFORE[name], (2, 2, 2))
        x = inception_module(ops, x, name)
    # Two slices are left, over both of which the original's pooling goes.
    return ops.softmax(ops.linear(ops.mean(x, (2, 3, 4)), LOGITS))


def unit(ops: Operations[V], x: V, name: str, stride: int = 1) -> V:
    """Convolution, batch normalization, ReLU: (B, C, T, H, W) to (B, C', T', H', W')."""
    return ops.relu(ops.convolution(x, name, stride=stride))


def inception_module(ops: Operations[V], x: V, name: str) -> V:
    """Four branches side by side: (B, C, T, H, W) to (B, C', T, H, W)."""
    branches = [
        unit(ops, x, f"{name}|Branch_0/Conv3d_0a_1x1"),
        *(
            unit(ops, unit(ops, x, f"{branch}/Conv3d_0a_1x1"), f"{branch}/Conv3d_0b_3x3")
            for branch in (f"{name}|Branch_1", f"{name}|Branch_2")
        ),
        unit(ops, ops.max_pool(x, (3, 3, 3), (1, 1, 1)), f"{name}|Branch_3/Conv3d_0b_1x1"),
    ]
    return ops.concatenate(branches)


def normalized(stored: Tensors) -> Tensors:
    """The checkpoint's tensors, axes as `Operations` has them, every normalization folded into its convolution."""
    tensors = {}
    for key, kernel in stored.items():
        if not key.endswith("|Conv_0|kernel"):
            continue
        name = key.removeprefix("params|").removesuffix("|Conv_0|kernel")
        if name == LOGITS:
            tensors[f"{name}.weight"] = kernel.reshape(kernel.shape[-2:]).T
            tensors[f"{name}.bias"] = stored[f"params|{name}|Conv_0|bias"]
            continue
        mean, variance = (stored[f"batch_stats|{name}|BatchNorm_0|{part}"].ravel() for part in ("mean", "var"))
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = folded(
            kernel.transpose(4, 3, 0, 1, 2), mean, variance, stored[f"params|{name}|BatchNorm_0|bias"].ravel()
        )  # (T, H, W, inputs, outputs) as it is stored
    return tensors
