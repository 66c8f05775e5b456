"""Short English texts to embeddings in which texts of like meaning lie close to each other.

bge-small-en-v1.5 (Xiao et al., "C-Pack", SIGIR 2024, arXiv:2309.07597; MIT): a BERT of 12 layers whose first output,
scaled to length 1, is the embedding. It tells which class names of a tagger a phrase means (`avel.data.phrases`).
"""

import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats
from avel.backbones.engine import EngineOptions, from_graph
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


class TextEmbedder:
    """Texts to embeddings of length 1; the cosine of two is their product.

    Args:
        options: threads; precision is ``float32`` whatever it says.

    Attributes:
        record: what has to be known to make the same embeddings again.

    Raises:
        WeightsError: if the weights are not available.
    """

    def __init__(self, options: EngineOptions | None = None) -> None:
        from tokenizers import Tokenizer

        options = EngineOptions(precision="float32", threads=None if options is None else options.threads)
        try:
            self._tokenizer = Tokenizer.from_file(str(weights.path(TOKENIZER)))
        except WeightsError:
            raise
        except Exception as error:  # it has no exception of its own
            raise WeightsError(f"The weights {TOKENIZER!r} are not a tokenizer: {error}") from error
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding(length=MAX_TOKENS)
        self._network = from_graph(_graph, name=WEIGHTS, digest=weights.digest(WEIGHTS), options=options)
        self.record = {**self._network.record, "tokenizer": weights.digest(TOKENIZER)}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """(N, 384) embeddings of N texts."""
        encoded = self._tokenizer.encode_batch(list(texts))
        tokens = np.array([one.ids for one in encoded], np.int64).reshape(-1, MAX_TOKENS)
        (embeddings,) = self._network(tokens)
        return embeddings

    def kept(self, texts: Sequence[str]) -> Floats:
        """As calling it, for texts that are the same at every start: kept in the cache folder, where that can be done.

        The file may be deleted at any time.
        """
        said = "\0".join([*map(str, self.record.values()), *texts])
        digest = hashlib.sha256(said.encode()).hexdigest()[:16]
        file = weights.cache_folder().parent / "texts" / f"{WEIGHTS}-{digest}.npy"
        try:
            found = np.load(file, allow_pickle=False)
            if found.shape == (len(texts), DIMS) and found.dtype == np.float32 and np.isfinite(found).all():
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


def _graph() -> "openvino.Model":
    """(1, 32) numbers of tokens, 0 behind the text's end, to a (1, 384) embedding of length 1."""
    from avel.backbones.quantization import replace
    from avel.runtimes import openvino

    op = openvino.opset13
    model = openvino.Core().read_model(weights.path(WEIGHTS))
    tokens = op.parameter([1, MAX_TOKENS], np.int64)
    given = {
        "input_ids": tokens.output(0),
        "attention_mask": op.convert(op.not_equal(tokens, op.constant(np.int64(0))), "i64").output(0),
        "token_type_ids": op.constant(np.zeros((1, MAX_TOKENS), np.int64)).output(0),
    }
    for parameter in model.get_parameters():
        replace(parameter, given[parameter.get_friendly_name()])
    states = model.outputs[0].get_node().input_value(0)  # (1, 32, 384)
    first = op.gather(states, op.constant(np.int64(0)), op.constant(np.int64(1)))
    embedding = op.normalize_l2(first, op.constant(np.array([1], np.int64)), 1e-12, "add")
    return openvino.Model([embedding], [tokens], WEIGHTS)
