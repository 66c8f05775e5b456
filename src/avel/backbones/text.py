"""Short English texts to embeddings in which texts of like meaning lie close to each other.

bge-small-en-v1.5 (Xiao et al., "C-Pack", SIGIR 2024, arXiv:2309.07597; MIT): a BERT of 12 layers whose first output,
scaled to length 1, is the embedding. It tells which class names of a tagger a phrase means (`avel.data.phrases`). Other
networks for texts, of the same form, are those of an open vocabulary (`avel.backbones.open_vocabulary`).
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats
from avel.backbones.engine import EngineOptions, from_graph, read_network, tensor
from avel.errors import OutputError, WeightsError
from avel.files import replacing

if TYPE_CHECKING:
    from avel.runtimes import openvino

WEIGHTS = "bge-small-en"
TOKENIZER = "bge-small-en-tokenizer"
DIMS = 384
MAX_TOKENS = 32
"""Of a text, with those that mark its start and end; what is longer is cut."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TextNetwork:
    """A network for texts in an ONNX file, and its tokenizer.

    Attributes:
        name: for records and messages.
        file: takes ``input_ids`` and, where it wants them, ``attention_mask`` and ``token_type_ids``.
        digest: of the file.
        tokenizer: ``tokenizer.json``.
        tokenizer_digest: of that.
        tokens: length that texts are cut or filled to.
        padding: number of the token that they are filled with.
        output: name of the tensor that is the embedding, (B, D), or whose first token is, (B, tokens, D).
    """

    name: str
    file: Path
    digest: str
    tokenizer: Path
    tokenizer_digest: str
    tokens: int
    padding: int
    output: str


class TextEmbedder:
    """Texts to embeddings of length 1; the cosine of two is their product.

    Args:
        options: threads; precision is ``float32`` whatever it says.
        network: what to use; bge-small-en when ``None``.

    Attributes:
        record: what has to be known to make the same embeddings again.

    Raises:
        WeightsError: if the weights are not available, or are not as the network's description says.
    """

    def __init__(self, options: EngineOptions | None = None, network: TextNetwork | None = None) -> None:
        from tokenizers import Tokenizer

        options = EngineOptions(precision="float32", threads=None if options is None else options.threads)
        network = network or _bge()
        try:
            self._tokenizer = Tokenizer.from_file(str(network.tokenizer))
        except Exception as error:  # it has no exception of its own
            raise WeightsError(
                f"{network.tokenizer}, of the network {network.name!r}, is not a tokenizer: {error}"
            ) from error
        self._tokens = network.tokens
        self._tokenizer.enable_truncation(network.tokens)
        self._tokenizer.enable_padding(length=network.tokens, pad_id=network.padding)
        settings = f"{network.digest} {network.output} {network.tokens} {network.padding}"
        self._network = from_graph(partial(_graph, network), name=network.name, digest=settings, options=options)
        self.record: dict[str, Any] = {**self._network.record, "tokenizer": network.tokenizer_digest}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(N, D) embeddings of N texts."""
        encoded = self._tokenizer.encode_batch(list(texts))
        items = np.array([(one.ids, one.attention_mask) for one in encoded], np.int64).reshape(-1, 2, self._tokens)
        (embeddings,) = self._network(items)
        return embeddings

    def kept(self, texts: Sequence[str]) -> Floats:
        """As calling it, for texts that are the same at every start: kept in the cache folder, where that can be done.

        The file may be deleted at any time.
        """
        said = "\0".join([*map(str, self.record.values()), *texts])
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        file = weights.cache_folder().parent / "texts" / f"{digest}.npy"
        try:
            found = np.load(file, allow_pickle=False)
            if found.ndim == 2 and len(found) == len(texts) and found.dtype == np.float32 and np.isfinite(found).all():
                return found
            _log.warning("%s is not what was kept there and is made again", file)
        except FileNotFoundError:
            pass
        except (OSError, ValueError, EOFError) as error:
            _log.warning("%s cannot be read and is made again: %s", file, error)
        embeddings = self(texts)
        try:
            with replacing(file) as temporary, temporary.open("wb") as opened:
                np.save(opened, embeddings)
        except OutputError as error:
            _log.info("%s is not kept: %s", file, error)
        return embeddings


def _bge() -> TextNetwork:
    return TextNetwork(
        name=WEIGHTS,
        file=weights.path(WEIGHTS),
        digest=weights.digest(WEIGHTS),
        tokenizer=weights.path(TOKENIZER),
        tokenizer_digest=weights.digest(TOKENIZER),
        tokens=MAX_TOKENS,
        padding=0,
        output="last_hidden_state",
    )


def _graph(network: TextNetwork) -> "openvino.Model":
    """(1, 2, tokens), numbers of tokens and which of them are the text's, to a (1, D) embedding of length 1.

    A network may fill texts with the token that also ends them, so the numbers alone do not tell.
    """
    from avel.backbones.quantization import replace
    from avel.runtimes import openvino

    op = openvino.opset13
    model = read_network(network.file, network.name)
    item = op.parameter([1, 2, network.tokens], np.int64)
    ids, mask = op.split(item, op.constant(np.int64(1)), 2).outputs()  # (1, 1, tokens) each
    given = {
        "input_ids": op.squeeze(ids, op.constant(np.int64(1))).output(0),
        "attention_mask": op.squeeze(mask, op.constant(np.int64(1))).output(0),
        "token_type_ids": op.constant(np.zeros((1, network.tokens), np.int64)).output(0),
    }
    for parameter in model.get_parameters():
        if parameter.get_friendly_name() not in given:
            raise WeightsError(
                f"{network.file}, of the network {network.name!r}, asks for {parameter.get_friendly_name()!r}; a "
                f"network for texts is given {', '.join(given)}."
            )
        replace(parameter, given[parameter.get_friendly_name()])
    found = tensor(model, network.output, network.file)
    if found.get_partial_shape().rank.get_length() == 3:  # (1, tokens, D)
        found = op.gather(found, op.constant(np.int64(0)), op.constant(np.int64(1))).output(0)
    embedding = op.normalize_l2(found, op.constant(np.array([1], np.int64)), 1e-12, "add")
    return openvino.Model([embedding], [item], network.name)
