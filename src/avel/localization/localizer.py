"""A user's video and a model to a `Localization`."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.blas import each_on_one_blas_thread, one_blas_thread
from avel.backbones.engine import EngineOptions
from avel.data.categories import (
    Category,
)
from avel.data.phrases import asked_for, names_of, phrase_categories
from avel.errors import MediaError, training_packages
from avel.events import BACKGROUND, Localization, Segment, segment_bounds
from avel.features.extract import Extraction, SecondsProgress
from avel.features.jobs import Backbones, Loader, load_backbones
from avel.features.recipe import LONGEST_SEGMENT_SECONDS, SHORTEST_SEGMENT_SECONDS
from avel.localization.agreement_system import AgreementSystem, check_audio_tagger
from avel.localization.decoding import Decoding, SegmentScores
from avel.localization.model_choice import DEFAULT_MODEL, checkpoint_of
from avel.localization.selection import Selection, select
from avel.localization.system import System, audio_track_notices
from avel.localization.windows import SegmentArrays, slide
from avel.synchrony.changes import Motion, Onsets
from avel.synchrony.witness import Witness, WitnessStream
from avel.version import __version__
from avel.wording import counted


class Localizer:
    """A model and the backbones it needs, loaded once, for any number of videos.

    Several threads may share one: each video gives the same result as alone. Networks run for one thread at a time,
    since each uses all the cores that it may; decoding and everything else goes on meanwhile.

    Args:
        model: ``"agreement"``, which needs no training; or a checkpoint of ``avel train``, or the folder of its run.
        categories: of agreement, what to look for: ``"everyday"`` or ``"ave"`` (the 28 of AVE); a TOML file; words such
            as ``"chainsaw, puppy barking"``, or a list of them, whose meaning `notices` tells (`avel.data.phrases`); or
            categories. ``"everyday"`` when ``None``.
        segment_seconds: of agreement, length of a segment; 1 s when ``None``.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``, of the backbones. When ``None``, float16 for agreement,
            and what a checkpoint was trained with.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"torch-cpu"``.
        audio_tagger: of agreement: ``"yamnet"``; ``"yamnet-onnx"``, the same from the Python package index;
            ``"embedded"``, which ships with avel; or ``"auto"``, the first of these whose weights are here.
            ``None`` is ``"auto"``.
        open_vocabulary: instead of agreement's networks, two that compare with any words, by a TOML file that describes
            them (`avel.backbones.open_vocabulary`); `categories` are then words, and none of their meanings is looked
            up. Not measured.
        refine: of agreement: whether events start and end where their sound does, to a tenth of a second, and not with
            segments. ``None`` is True.
        decoding: how scores become events. When ``None``, hysteresis for agreement; segments of a checkpoint have the
            class with the largest probability, or every category that reaches its threshold.
        audio_track: number of the audio track to listen to in each video, 1 for the file's first one; the one that a
            player would play when ``None``, or the one that a checkpoint was trained on, if that was chosen. The result
            says which it was when a video has several.
        threads: how many threads the networks and the decoding of a video may use; as many as the machine has when
            ``None``. Give fewer to each of several processes.
        selection: which events are wanted; all when ``None``.
        ungated: whether `Localization.attention` is what the model looks at in every segment, event or not, and not
            times the score of the segment's event (Tian et al., ECCV 2018, Fig. 6).
        details: whether results have what the model knows beside its scores, see `Localization.details`.
        loader: gives the networks that a checkpoint's features are made with; replace it to use your own.

    Attributes:
        notices: what a user should know of this localizer before reading its results.

    Raises:
        CategoriesError: if the categories cannot be read or understood, or name classes that the taggers lack.
        FeaturesError: if the features that a checkpoint needs cannot be made here.
        ModelError: if a checkpoint cannot be read, or does not say what features it needs.
        WeightsError: if the weights of a backbone, or of what understands words, are not available.
        ValueError: if a setting is not one of the above.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT_MODEL,
        *,
        categories: str | Path | Sequence[str | Category] | None = None,
        segment_seconds: float | None = None,
        precision: str | None = None,
        device: str = "auto",
        audio_tagger: str | None = None,
        open_vocabulary: str | Path | None = None,
        refine: bool | None = None,
        decoding: Decoding | None = None,
        audio_track: int | None = None,
        threads: int | None = None,
        selection: Selection | None = None,
        ungated: bool = False,
        details: bool = False,
        loader: Loader = load_backbones,
    ) -> None:
        options = EngineOptions(device=device, precision=precision or "float16", threads=threads)
        self.system: System
        self._meanings: tuple[str, ...] = ()
        if str(model) == DEFAULT_MODEL:
            seconds = _checked_seconds(segment_seconds)
            if open_vocabulary is None:
                wanted, self._meanings = _categories(categories)
                self.system = AgreementSystem(
                    wanted, seconds, options, audio_tagger or "auto", refine=refine is not False
                )
            else:
                # Only here, since what reads its description takes long to import.
                from avel.backbones.open_vocabulary import OpenVocabulary
                from avel.localization.open_vocabulary_system import OpenVocabularySystem

                if audio_tagger is not None or refine is not None:
                    what = "refine" if audio_tagger is None else "audio_tagger"
                    raise ValueError(f"{what} is for agreement's own networks, not for an open vocabulary. Leave it.")
                vocabulary = OpenVocabulary(open_vocabulary)
                self.system = OpenVocabularySystem(vocabulary, names_of(categories), seconds, options)
        else:
            path = checkpoint_of(model)
            _refuse_what_is_of_agreement(
                path,
                categories=categories,
                segment_seconds=segment_seconds,
                audio_tagger=audio_tagger,
                open_vocabulary=open_vocabulary,
                refine=refine,
            )
            with training_packages(f"The trained model {path}"):
                from avel.localization.checkpoint_system import CheckpointSystem
            self.system = CheckpointSystem(
                path, device=device, precision=precision, loader=loader, threads=threads, details=details
            )
            if ungated and self.system.grid is None:
                raise ValueError(
                    f"The model {self.system.name} of {path} does not say where in the picture it looks, so there is "
                    "nothing to show ungated. Use one with spatial attention, trained on features of several regions, "
                    "such as those of vgg19."
                )
        self.decoding: Decoding = decoding or self.system.decoding
        self.audio_track: int | None = self.system.audio_track if audio_track is None else audio_track
        self._track_notices: tuple[str, ...] = audio_track_notices(self.system.audio_track, audio_track)
        self.threads = threads
        self.selection: Selection = selection or Selection()
        self.ungated: bool = ungated
        self.details: bool = details

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the event categories that it looks for."""
        return self.system.categories

    @property
    def segment_seconds(self) -> float:
        """Length of a segment."""
        return self.system.segment_seconds

    @property
    def notices(self) -> Sequence[str]:
        """What a user should know of this localizer before reading its results."""
        return (*self._meanings, *self.system.notices, *self._track_notices)

    @property
    def visual(self) -> Sequence[VisualBackbone]:
        """Networks and other extractors for pictures."""
        return self.system.backbones.visual

    @property
    def audio(self) -> Sequence[AudioBackbone]:
        """The same for sound."""
        return self.system.backbones.audio

    @property
    def backbone_names(self) -> list[str]:
        """Names of the networks and other extractors in use."""
        return [backbone.name for backbone in (*self.visual, *self.audio)]

    def __call__(self, video: str | Path, *, progress: SecondsProgress | None = None) -> Localization:
        """Find the events of one video.

        Args:
            video: a video file, of any length.
            progress: called with the seconds done and the declared duration.

        Raises:
            MediaError: if nothing of the video can be read.
        """
        with self.start(video) as run:
            for done_seconds in run:
                if progress is not None:
                    progress(done_seconds, run.declared_seconds)
            return run.result()

    def start(self, video: str | Path) -> "LocalizationRun":
        """Begin with one video, to look at what is found while it is read, or to stop early.

            with localizer.start("long.mp4") as run:
                for done_seconds in run:
                    print(run.result().events)

        Args:
            video: a video file, of any length.

        Raises:
            MediaError: if the video cannot be opened.
        """
        return LocalizationRun(
            self.system,
            self.decoding,
            video,
            selection=self.selection,
            audio_track=self.audio_track,
            threads=self.threads or 0,
            ungated=self.ungated,
            details=self.details,
        )


class LocalizationRun:
    """A video that is being localized, in one pass and bounded memory; a context manager to iterate over once.

    Attributes:
        video: its path.
        declared_seconds: the video's declared duration, ``None`` if it declares none.
        num_segments: how many segments `result` has so far.
        stopped: whether `stop` was called.
    """

    def __init__(
        self,
        system: System,
        decoding: Decoding,
        video: str | Path,
        *,
        selection: Selection | None = None,
        audio_track: int | None = None,
        threads: int = 0,
        ungated: bool = False,
        details: bool = False,
    ) -> None:
        self._system, self._decoding = system, decoding
        self.video: str = str(video)
        self._ungated, self._wants_details = ungated, details
        self._selection = selection or Selection()
        beside = system.synchrony or Backbones([], [])
        self._witness = WitnessStream(system.segment_seconds) if system.synchrony else None
        self._extraction = Extraction(
            video,
            [*system.backbones.visual, *beside.visual],
            [*system.backbones.audio, *beside.audio],
            segment_seconds=system.segment_seconds,
            audio_track=audio_track,
            threads=threads,
            gates=system.gates,
        )
        self.declared_seconds: float | None = self._extraction.info.duration_seconds
        self.num_segments: int = 0
        self.stopped: bool = False
        self._is_over = False
        self._predictions: list[SegmentArrays] = []
        self._valid: dict[str, list[npt.NDArray[np.bool_]]] = {"audio": [], "visual": []}

    def __enter__(self) -> Self:
        self._extraction.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._extraction.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[float]:
        """Go through the video; gives the seconds that have been read, after every few of them.

        Raises:
            MediaError: if nothing of the video can be read.
        """
        windows = slide(self._inputs(), self._system.windows, self._system.predict)
        for predictions in each_on_one_blas_thread(windows):
            if predictions:
                self._predictions.append(predictions)
                self.num_segments += len(next(iter(predictions.values())))
            yield self._extraction.duration_seconds
        if not self.stopped and not any(flags.any() for kind in self._valid.values() for flags in kind):
            raise MediaError(f"{self.video}: neither a picture nor a sound could be read in it. Is the file damaged?")
        self._is_over = True

    def stop(self) -> None:
        """Read no further; the iteration ends with a result of what has been read."""
        self.stopped = True

    @one_blas_thread()
    def result(self) -> Localization:
        """What has been found so far; after the iteration, all of it.

        Raises:
            ValueError: if there is nothing yet.
        """
        if not self.num_segments:
            raise ValueError(f"{self.video}: nothing of it has been localized yet.")
        system = self._system
        predictions = {
            name: np.concatenate([part[name] for part in self._predictions]) for name in self._predictions[0]
        }
        self._predictions = [predictions]
        count = self.num_segments
        witness = self._witness.result().first(count) if self._witness else None
        judged = system.judged(predictions, witness)
        scores = system.scores(judged)
        valid = {kind: np.concatenate(parts)[:count] for kind, parts in self._valid.items()}
        duration = self._extraction.duration_seconds
        if not self._is_over:
            duration = min(duration, count * system.segment_seconds)
        readable = np.logical_and.reduce([valid[kind] for kind in system.looks_at])
        # What cannot be heard or seen is not both heard and seen.
        scores = replace(scores, events=np.where(readable[:, None], scores.events, np.float32(0)))
        bounds = segment_bounds(duration, system.segment_seconds)[:count]
        events, segments = system.decode(judged, scores, bounds, valid["audio"], valid["visual"], self._decoding)
        attention = system.attention(judged) if witness is None else witness.blocks
        return Localization(
            video=self.video,
            duration_seconds=duration,
            segment_seconds=system.segment_seconds,
            model=self._description(),
            events=select(events, self._selection),
            segments=segments,
            warnings=(*self._extraction.warnings, *self._warnings(duration, readable, scores)),
            attention=attention if self._ungated else _gated(attention, segments),
            details=self._details(predictions, witness) if self._wants_details else {},
        )

    def _details(self, predictions: SegmentArrays, witness: Witness | None) -> dict[str, npt.NDArray[np.float32]]:
        of_witness = {} if witness is None else {"spatial_attention": witness.blocks, "synchrony": witness.confidence}
        return {**of_witness, **self._system.details(predictions)}

    def _inputs(self) -> Iterator[SegmentArrays]:
        looks_at = self._system.looks_at
        for batch in self._extraction:
            for kind, parts in self._valid.items():
                flags = getattr(batch, f"{kind}_valid")
                parts.append(flags if kind in looks_at else np.ones_like(flags))
            if self._witness is not None:
                self._witness.add(
                    batch.visual[Motion.name], batch.audio[Onsets.name], batch.visual_valid, batch.audio_valid
                )
            yield self._system.inputs(batch)
            if self.stopped:
                return

    def _warnings(self, duration: float, readable: npt.NDArray[np.bool_], scores: SegmentScores) -> list[str]:
        warnings = []
        if self.stopped or not self._is_over:
            of = f" of {self.declared_seconds:.1f} s" if self.declared_seconds else ""
            warnings.append(f"Not finished: only the first {duration:.1f} s{of} were looked at.")
        missing = int((~readable).sum())
        if missing and scores.audio is None:
            needed = " and ".join(self._system.looks_at)
            warnings.append(
                f"In {missing} of {counted(len(readable), 'segment')} what the model looks at ({needed}) could not be "
                "read; it finds no event there."
            )
        return warnings

    def _description(self) -> dict[str, Any]:
        """What a reader of the result has to know of how it was made, and of what it cannot find."""
        info = self._extraction.info
        return {
            "name": self._system.name,
            "avel": __version__,
            "categories": list(self._system.categories),
            "backbones": self._system.backbones.records,
            "decoding": {
                "threshold": self._decoding.threshold,
                "keep": self._decoding.keep,
                "max_gap_segments": self._decoding.max_gap_segments,
            },
            **({"audio_track": info.audio_track} if info.audio_tracks > 1 else {}),
            "selection": asdict(self._selection),
            **({"ungated": True} if self._ungated else {}),
            **self._system.description(),
        }


def localize(video: str | Path, **settings: Any) -> Localization:
    """Find the audio-visual events of one video.

    For several videos make one `Localizer`, which loads its networks once.

    Args:
        video: a video file.
        settings: as for `Localizer`, such as ``model="run/checkpoint.safetensors"``.

    Returns:
        The result, with ``.events``, ``.segments``, ``.attention`` and ``.to_json()``; `avel.plot` draws it.
    """
    return Localizer(**settings)(video)


def _gated(attention: npt.NDArray[np.float32] | None, segments: Sequence[Segment]) -> npt.NDArray[np.float32] | None:
    """Attention where an event is. It adds up to 1 in every segment, in silence too, which would point at nothing."""
    if attention is None:
        return None
    gates = np.array([s.score if s.category != BACKGROUND else 0.0 for s in segments], np.float32)
    return attention * gates[:, None, None]


def check_settings(
    model: str | Path = DEFAULT_MODEL,
    *,
    categories: str | Path | Sequence[str | Category] | None = None,
    segment_seconds: float | None = None,
    precision: str | None = None,
    device: str = "auto",
    audio_tagger: str | None = None,
) -> None:
    """Refuse settings that no `Localizer` takes, without any of its networks and their weights.

    Args:
        model: as of `Localizer`, and so are the others.
        categories: see there.
        segment_seconds: see there.
        precision: see there.
        device: see there.
        audio_tagger: see there.

    Raises:
        CategoriesError: if the categories cannot be read or understood.
        ModelError: if trained models cannot be used here.
        WeightsError: if the weights of what understands words are not available.
        ValueError: if a setting is not one of those.
    """
    EngineOptions(device=device, precision=precision or "float16")
    if str(model) != DEFAULT_MODEL:
        _refuse_what_is_of_agreement(
            checkpoint_of(model), categories=categories, segment_seconds=segment_seconds, audio_tagger=audio_tagger
        )
        return
    _checked_seconds(segment_seconds)
    check_audio_tagger(audio_tagger or "auto")
    _categories(categories)


def _checked_seconds(segment_seconds: float | None) -> float:
    seconds = 1.0 if segment_seconds is None else segment_seconds
    if not SHORTEST_SEGMENT_SECONDS <= seconds <= LONGEST_SEGMENT_SECONDS:
        raise ValueError(
            f"segment_seconds must be from {SHORTEST_SEGMENT_SECONDS} to {LONGEST_SEGMENT_SECONDS}, got {seconds}."
        )
    return seconds


def _refuse_what_is_of_agreement(checkpoint: Path, **given: object) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(f"{name} is for {DEFAULT_MODEL} alone; the checkpoint {checkpoint} has its own. Leave it.")


def _categories(
    categories: str | Path | Sequence[str | Category] | None,
) -> tuple[tuple[Category, ...], tuple[str, ...]]:
    """The categories that are wanted, and what was understood where they are a user's words."""
    asked = asked_for(categories)
    phrases = [each for each in asked if isinstance(each, str)]
    understood = phrase_categories(phrases) if phrases else []
    made = (meaning.category for meaning in understood if meaning.category is not None)
    found = tuple(next(made) if isinstance(each, str) else each for each in asked)
    return found, tuple(map(str, understood))
