"""Networks that compare pictures and sounds with any words: an image-text and an audio-text network in ONNX files.

For pictures: CLIP's form, two towers whose embeddings of a picture and of its text are close (Radford et al.,
arXiv:2103.00020), as SigLIP 2 (arXiv:2502.14786) and the Perception Encoder (arXiv:2504.13181) have it. For sounds:
LAION's CLAP (arXiv:2211.06687). None was found in a package index, so none is in avel's catalogue, which holds no file
whose digest was not seen: a description, a TOML file of the user's, names the files with their digests, and where they
are.

Not measured: no such network was at hand where avel is developed.

A cosine alone means little: what counts is how much better a phrase fits than other texts do. The probability of a
phrase is its share of a softmax, with the network's own scale, over the phrase and the half of the other texts whose
meaning is least like its own by the network's own word, so that "puppy" need not win against "dog".
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pydantic
from pydantic import Field

from avel.backbones.audio_windows import cover
from avel.backbones.base import AudioBackbone, Floats, Pictures, VisualBackbone
from avel.backbones.clap_mel import BANDS, FRAMES, SAMPLE_RATE, SAMPLES, clap_mel, filled
from avel.backbones.engine import EngineOptions, Network, from_graph, read_network, tensor
from avel.backbones.text import TextEmbedder, TextNetwork
from avel.backbones.weights import UrlSource, WeightFile
from avel.backbones.weights.cache import path_of
from avel.documents import parse_toml
from avel.errors import WeightsError
from avel.media.types import PictureFormat
from avel.records import Record

if TYPE_CHECKING:
    from avel.runtimes import openvino

MAX_DESCRIPTION_BYTES = 100_000
PICTURES_PER_SECOND = 2
CONTEXT_SECONDS = 0.5
"""Of sound before and after a segment: these networks are used to longer sounds than a second."""

_described = pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
_Positive = Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]
_Value = Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)]


@_described
class NetworkFile:
    """A file of a network.

    Attributes:
        file_name: what it is called beside the description, in ``AVEL_WEIGHTS_DIR`` and in the cache.
        size_bytes: exact size.
        sha256: its digest, in hexadecimal digits.
        url: where it is fetched from if it is at none of these places.
        licence: for the record.
    """

    file_name: Annotated[str, Field(pattern=r"^\w[\w.-]{0,199}$")]
    size_bytes: Annotated[int, Field(strict=True, ge=1, le=16 << 30)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    licence: str = "not stated"


@_described
class TextsDescription:
    """A tower for texts.

    Attributes:
        network: takes ``input_ids``, and ``attention_mask`` and ``token_type_ids`` where it wants them.
        tokenizer: ``tokenizer.json``.
        output: name of the tensor that is the embedding.
        tokens: length that texts are cut or filled to.
        padding: number of the token that they are filled with.
        template: what becomes of a phrase, in the place of ``{}``.
    """

    network: NetworkFile
    tokenizer: NetworkFile
    output: str
    tokens: Annotated[int, Field(strict=True, ge=2, le=512)]
    padding: Annotated[int, Field(strict=True, ge=0)]
    template: Annotated[str, Field(pattern=r"^[^{}]*\{\}[^{}]*$")]


@_described
class PicturesDescription:
    """An image-text network.

    Attributes:
        network: takes ``pixel_values`` (1, 3, side, side).
        texts: its other tower.
        output: name of the tensor that is the embedding.
        side: of the square picture.
        mean: of each channel, of values from 0 to 1.
        deviation: by which they are divided.
        scale: of its cosines, the exponential of its learned logit scale.
    """

    network: NetworkFile
    texts: TextsDescription
    output: str
    side: Annotated[int, Field(strict=True, ge=32, le=1024)]
    mean: tuple[_Value, _Value, _Value]
    deviation: tuple[_Positive, _Positive, _Positive]
    scale: _Positive


@_described
class SoundsDescription:
    """An audio-text network with CLAP's front end (`avel.backbones.clap_mel`).

    Attributes:
        network: takes ``input_features`` (1, 1, 1001, 64).
        texts: its other tower.
        output: name of the tensor that is the embedding.
        scale: of its cosines, the exponential of its learned logit scale.
    """

    network: NetworkFile
    texts: TextsDescription
    output: str
    scale: _Positive


@_described
class VocabularyDescription(Record):
    """Two networks that compare with any words.

    Attributes:
        pictures: the one for pictures.
        sounds: the one for sounds.
    """

    pictures: PicturesDescription
    sounds: SoundsDescription


Sense = Literal["pictures", "sounds"]


class OpenVocabulary:
    """A description of two networks, read and checked; nothing is fetched yet.

    Args:
        path: a TOML file with the tables ``[pictures]`` and ``[sounds]``; see `VocabularyDescription`.

    Attributes:
        path: the same.
        description: what it says.

    Raises:
        WeightsError: if it cannot be read or is not such a description.
    """

    def __init__(self, path: str | Path) -> None:
        self.path: Path = Path(path)
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_DESCRIPTION_BYTES + 1)
            if len(data) > MAX_DESCRIPTION_BYTES:
                raise WeightsError(f"{path}: larger than {MAX_DESCRIPTION_BYTES} bytes, which no description is.")
            self.description = VocabularyDescription.from_dict(parse_toml(data.decode("utf-8")))
        except OSError as error:
            raise WeightsError(
                f"{path}: cannot be read ({error.strerror}). Give a TOML file that describes the networks of an open "
                "vocabulary."
            ) from error
        except ValueError as error:
            raise WeightsError(f"{path}: is no description of an open vocabulary: {error}.") from error

    def file(self, of: NetworkFile) -> Path:
        """A file on this machine, its digest checked; fetched if it is not there.

        Raises:
            WeightsError: if it cannot be had.
        """
        entry = WeightFile(
            name=f"{self.path.name}: {of.file_name}",
            file_name=of.file_name,
            licence=of.licence,
            size_bytes=of.size_bytes,
            digest=f"sha256:{of.sha256}",
            sources=() if of.url is None else (UrlSource(of.url),),
            description="of an open vocabulary",
            origin=str(self.path),
        )
        return path_of(entry, offline=False, progress=sys.stderr.isatty(), beside=self.path.parent)

    def texts(self, sense: Sense, options: EngineOptions) -> TextEmbedder:
        """The tower for texts beside the one for pictures, or for sounds."""
        of = getattr(self.description, sense).texts
        network = TextNetwork(
            name=f"open-vocabulary-{sense}-texts",
            file=self.file(of.network),
            digest=f"sha256:{of.network.sha256}",
            tokenizer=self.file(of.tokenizer),
            tokenizer_digest=f"sha256:{of.tokenizer.sha256}",
            tokens=of.tokens,
            padding=of.padding,
            output=of.output,
        )
        return TextEmbedder(options, network)

    def shares(self, sense: Sense, phrases: Sequence[str], others: Sequence[str], options: EngineOptions) -> "Shares":
        """What makes probabilities of phrases from embeddings of pictures, or of sounds."""
        of = getattr(self.description, sense)
        embed = self.texts(sense, options)
        wanted, unlike = (
            [of.texts.template.replace("{}", phrase.lower()) for phrase in texts] for texts in (phrases, others)
        )
        return Shares(embed(wanted), embed.kept(unlike), of.scale)

    def tower(
        self,
        sense: Sense,
        given: str,
        prepare: "Callable[[], tuple[openvino.Node, openvino.Node]]",
        options: EngineOptions,
    ) -> Network:
        """The tower for pictures, or for sounds.

        Args:
            sense: which.
            given: name of its input.
            prepare: gives the parameter of the whole network, and what its input is made of that.
            options: device and precision.
        """
        of = getattr(self.description, sense)
        name = f"open-vocabulary-{sense}"
        digest = f"sha256:{of.network.sha256} {of.output}"
        if sense == "pictures":
            digest += f" {of.side} {of.mean} {of.deviation}"
        file = self.file(of.network)
        return from_graph(
            partial(_tower, file, name, given, of.output, prepare), name=name, digest=digest, options=options
        )


class Shares:
    """Embeddings to probabilities of phrases; see this module's page.

    Args:
        phrases: (P, D) embeddings of length 1.
        others: (N, D) of other texts, N >= 2.
        scale: of cosines.
    """

    def __init__(self, phrases: Floats, others: Floats, scale: float) -> None:
        alike = phrases @ others.T  # (P, N)
        count = others.shape[0] // 2
        least = np.argpartition(alike, count - 1, axis=1)[:, :count]
        self._phrases, self._rivals, self._scale = phrases, others[least], scale  # rivals (P, N / 2, D)

    def __call__(self, embeddings: Floats) -> Floats:
        """(B, D) embeddings of length 1 to (B, P) probabilities."""
        own = self._scale * embeddings @ self._phrases.T
        rivals = self._scale * np.einsum("bd,pnd->bpn", embeddings, self._rivals)
        greatest = np.maximum(own, rivals.max(axis=2))
        itself = np.exp(own - greatest)
        return np.asarray(itself / (itself + np.exp(rivals - greatest[..., None]).sum(axis=2)), np.float32)


class OpenVocabularyPictures(VisualBackbone):
    """Probabilities of phrases, mean over a segment's pictures.

    Args:
        vocabulary: the networks.
        phrases: P of them.
        others: texts that phrases are compared with.
        options: device, precision, threads.
        segment_seconds: length of a segment.

    Raises:
        WeightsError: if a file cannot be had, or is not as the description says.
    """

    name = "open-vocabulary-pictures"
    regions = 1

    def __init__(
        self,
        vocabulary: OpenVocabulary,
        phrases: Sequence[str],
        others: Sequence[str],
        options: EngineOptions,
        segment_seconds: float = 1.0,
    ) -> None:
        of = vocabulary.description.pictures
        self.labels, self.dims = tuple(phrases), len(phrases)
        frames = max(1, round(PICTURES_PER_SECOND * segment_seconds))
        self.pictures: PictureFormat = PictureFormat(frames, of.side, of.side)
        self._shares = vocabulary.shares("pictures", phrases, others, options)
        self._network = vocabulary.tower("pictures", "pixel_values", partial(_pixels, of), options)
        self.record: dict[str, Any] = {**self._network.record, "scale": of.scale, "template": of.texts.template}

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, H, W, 3) to (T, 1, P)."""
        segments, frames = pictures.shape[:2]
        (embeddings,) = self._network(pictures.reshape(-1, *pictures.shape[2:]))
        return self._shares(embeddings).reshape(segments, frames, -1).mean(axis=1, keepdims=True, dtype=np.float32)


class OpenVocabularySounds(AudioBackbone):
    """Probabilities of phrases, the greatest of the windows of 10 s that a segment needs, which is usually one.

    Args:
        vocabulary: the networks.
        phrases: P of them.
        others: texts that phrases are compared with.
        options: device, precision, threads.

    Raises:
        WeightsError: if a file cannot be had, or is not as the description says.
    """

    name = "open-vocabulary-sounds"
    sample_rate = SAMPLE_RATE
    context_seconds = CONTEXT_SECONDS

    def __init__(
        self, vocabulary: OpenVocabulary, phrases: Sequence[str], others: Sequence[str], options: EngineOptions
    ) -> None:
        of = vocabulary.description.sounds
        self.labels, self.dims = tuple(phrases), len(phrases)
        self._shares = vocabulary.shares("sounds", phrases, others, options)
        self._network = vocabulary.tower("sounds", "input_features", _features, options)
        self.record: dict[str, Any] = {**self._network.record, "scale": of.scale, "template": of.texts.template}

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`: (T, N) at 48 kHz to (T, P)."""
        windows = cover(filled(waveforms) if waveforms.shape[1] < SAMPLES else waveforms, SAMPLES)  # (T, W, SAMPLES)
        found = []
        for of_segment in windows:
            (embeddings,) = self._network(clap_mel(of_segment)[:, None])
            found.append(self._shares(embeddings).max(axis=0))
        return np.stack(found)


def _pixels(of: PicturesDescription) -> "tuple[openvino.Node, openvino.Node]":
    """(1, side, side, 3) uint8 to what the network takes."""
    from avel.runtimes import openvino

    op = openvino.opset13
    pictures = op.parameter([1, of.side, of.side, 3], np.uint8)
    values = op.divide(op.convert(pictures, "f32"), op.constant(np.float32(255)))
    normal = op.divide(op.subtract(values, _constant(of.mean)), _constant(of.deviation))
    return pictures, op.transpose(normal, op.constant(np.array([0, 3, 1, 2], np.int64)))


def _features() -> "tuple[openvino.Node, openvino.Node]":
    from avel.runtimes import openvino

    features = openvino.opset13.parameter([1, 1, FRAMES, BANDS], np.float32)
    return features, features


def _constant(values: Sequence[float]) -> "openvino.Node":
    from avel.runtimes import openvino

    array: npt.NDArray[Any] = np.array(values, np.float32)
    return openvino.opset13.constant(array)


def _tower(
    file: Path,
    name: str,
    given: str,
    output: str,
    prepare: "Callable[[], tuple[openvino.Node, openvino.Node]]",
) -> "openvino.Model":
    """One item to a (1, D) embedding of length 1."""
    from avel.backbones.quantization import replace
    from avel.runtimes import openvino

    model = read_network(file, name)
    names = [parameter.get_friendly_name() for parameter in model.get_parameters()]
    if names != [given]:
        raise WeightsError(
            f"{file}, of the network {name!r}, asks for {', '.join(names) or 'nothing'}; this tower is given {given}."
        )
    item, prepared = prepare()
    replace(model.get_parameters()[0], prepared.output(0))
    found = tensor(model, output, file)
    embedding = openvino.opset13.normalize_l2(found, openvino.opset13.constant(np.array([1], np.int64)), 1e-12, "add")
    return openvino.Model([embedding], [item], name)
