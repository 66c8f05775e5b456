"""An open vocabulary of a few numbers, in the form of the real ones: ONNX towers and tokenizers.

Of its words, ``siren`` goes with red pictures and high tones, ``drone`` with blue pictures and low tones.
"""

import hashlib
import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WORDS = {"[PAD]": 0, "[UNK]": 1, "siren": 2, "drone": 3}


def make_vocabulary(folder, url=None, files=None):
    """Write the files of a vocabulary, and its description; files may go to another folder, which `url` serves."""
    files = files or folder
    made = {
        "pictures": ("pictures.onnx", _pictures()),
        "sounds": ("sounds.onnx", _sounds()),
        "texts": ("texts.onnx", _texts()),
        "tokenizer": ("tokenizer.json", _tokenizer()),
    }
    said = {}
    for key, (name, content) in made.items():
        (files / name).write_bytes(content)
        where = f', url = "{url}/{name}"' if url else ""
        digest = hashlib.sha256(content).hexdigest()
        said[key] = f'{{file_name = "{name}", size_bytes = {len(content)}, sha256 = "{digest}"{where}}}'
    texts = f"""
network = {said["texts"]}
tokenizer = {said["tokenizer"]}
output = "text_embeds"
tokens = 4
padding = 0
"""
    path = folder / "vocabulary.toml"
    path.write_text(
        f"""
[pictures]
network = {said["pictures"]}
output = "image_embeds"
side = 32
mean = [0.5, 0.5, 0.5]
deviation = [0.5, 0.5, 0.5]
scale = 20
[pictures.texts]
template = "a {{}} picture"
{texts}
[sounds]
network = {said["sounds"]}
output = "audio_embeds"
scale = 20
[sounds.texts]
template = "{{}}"
{texts}
""",
        encoding="utf-8",
    )
    return path


def _constants(**arrays):
    return [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]


def _model(nodes, given, output, constants):
    graph = helper.make_graph(
        nodes, "tiny", given, [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", 3])], constants
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _pictures():
    """Mean colour, red less blue and blue less red, to a direction."""
    weights = np.array([[1, -1, 0], [0, 0, 0], [-1, 1, 0]], np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["pixel_values"], ["colour"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["colour", "weights"], ["sides"]),
        helper.make_node("Relu", ["sides"], ["positive"]),
        helper.make_node("Add", ["positive", "little"], ["image_embeds"]),
    ]
    given = [helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["batch", 3, "height", "width"])]
    return _model(nodes, given, "image_embeds", _constants(weights=weights, little=np.float32([0, 0, 0.1])))


def _sounds():
    """Bands above 2 kHz less those below, and the reverse, to a direction."""
    high = np.arange(64) >= 40
    weights = np.stack([np.where(high, 1, -1), np.where(high, -1, 1), np.zeros(64)], axis=1).astype(np.float32)
    nodes = [
        helper.make_node("ReduceMax", ["input_features"], ["loudest"], axes=[1, 2], keepdims=0),
        helper.make_node("Softmax", ["loudest"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "weights"], ["sides"]),
        helper.make_node("Relu", ["sides"], ["positive"]),
        helper.make_node("Add", ["positive", "little"], ["audio_embeds"]),
    ]
    given = [helper.make_tensor_value_info("input_features", TensorProto.FLOAT, ["batch", 1, "time", "bands"])]
    return _model(nodes, given, "audio_embeds", _constants(weights=weights, little=np.float32([0, 0, 0.1])))


def _texts():
    """The sum of the embeddings of the words that are no padding."""
    table = np.array([[9, 9, 9], [0, 0, 0.01], [1, 0, 0], [0, 1, 0]], np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["words"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "first"], ["text_embeds"], keepdims=0),
    ]
    given = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    constants = _constants(table=table, last=np.array([-1]), first=np.array([1]))
    return _model(nodes, given, "text_embeds", constants)


def _tokenizer():
    described = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": WORDS, "unk_token": "[UNK]"},
    }
    return json.dumps(described).encode()
