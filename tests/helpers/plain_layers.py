"""Layers with plain numbers, one at a time, to check models against; vectors are lists, sequences lists of them."""

import math


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def relu(x):
    return [max(0.0, y) for y in x]


def add(*xs):
    return [sum(ys) for ys in zip(*xs, strict=True)]


def times(x, y):
    return [a * b for a, b in zip(x, y, strict=True)]


def dot(x, y):
    return sum(times(x, y))


def mean(xs):
    return [sum(ys) / len(xs) for ys in zip(*xs, strict=True)]


def weighted(weights, xs):
    return [dot(weights, ys) for ys in zip(*xs, strict=True)]


def softmax(x):
    total = sum(math.exp(y) for y in x)
    return [math.exp(y) / total for y in x]


def affine(linear, x):
    bias = [0.0] * linear.out_features if linear.bias is None else linear.bias.tolist()
    return [dot(row, x) + b for row, b in zip(linear.weight.tolist(), bias, strict=True)]


def layer_norm(layer, x):
    centre = sum(x) / len(x)
    deviation = math.sqrt(sum((y - centre) ** 2 for y in x) / len(x) + layer.eps)
    if not layer.elementwise_affine:
        return [(y - centre) / deviation for y in x]
    weight, bias = layer.weight.tolist(), layer.bias.tolist()
    return [(y - centre) / deviation * w + b for y, w, b in zip(x, weight, bias, strict=True)]


def multi_head(layer, queries, keys, values):
    """Vaswani et al., NIPS 2017: concatenated heads, each softmax(q k^T / sqrt(d_k)) v, then a Linear."""
    size, heads = layer.embed_dim, layer.num_heads
    weight, bias = layer.in_proj_weight.tolist(), layer.in_proj_bias.tolist()

    def projected(part, xs):
        rows = slice(part * size, (part + 1) * size)
        return [[dot(w, x) + b for w, b in zip(weight[rows], bias[rows], strict=True)] for x in xs]

    q, k, v = projected(0, queries), projected(1, keys), projected(2, values)
    found = []
    for query in q:
        joined = []
        for head in range(heads):
            part = slice(head * size // heads, (head + 1) * size // heads)
            scores = [dot(query[part], key[part]) / math.sqrt(size // heads) for key in k]
            joined += weighted(softmax(scores), [value[part] for value in v])
        found.append(affine(layer.out_proj, joined))
    return found


def block(layer, xs, queries, keys, values):
    """`avel.models.layers.AttentionBlock` without dropout."""
    found = multi_head(layer.attention, queries, keys, values)
    xs = [layer_norm(layer.attention_norm, add(x, y)) for x, y in zip(xs, found, strict=True)]
    if layer.feedforward is None:
        return xs
    first, _, _, second = layer.feedforward
    return [layer_norm(layer.feedforward_norm, add(x, affine(second, relu(affine(first, x))))) for x in xs]


def spatial_channel(layer, regions, heard):
    """`avel.models.layers.SpatialChannelAttention` for one segment: attended features and weights."""
    by_audio = relu(affine(layer.channel_audio, heard))
    squeezed = mean([times(by_audio, relu(affine(layer.channel_visual, region))) for region in regions])
    gate = [sigmoid(x) for x in affine(layer.excite, relu(affine(layer.squeeze, squeezed)))]
    if layer.channel_gate == "residual":
        gate = [1 + x for x in gate]
    gated = [times(gate, region) for region in regions]
    by_audio = relu(affine(layer.spatial_audio, heard))
    scores = [
        math.tanh(affine(layer.spatial_score, times(by_audio, relu(affine(layer.spatial_visual, region))))[0])
        for region in gated
    ]
    weights = softmax(scores)
    return weighted(weights, gated), weights
