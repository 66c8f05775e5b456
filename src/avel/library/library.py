"""Libraries of videos: made, kept up to date, and searched.

    library = VideoLibrary("library")
    for hit in library.search(audio="bark.wav").close:
        print(hit.video, hit.start_seconds, hit.score)

A library is a folder::

    library.json          the cross-modal model, and which videos and folders were given
    matcher.safetensors   the model, where it is a trained one
    features/             the record: a feature store (`avel.features.store`) of every video
    index/                made from it, what is searched (`avel.library.generation`)

What is recorded is whole at every moment; what is searched is made anew when it is missing, or is of other features.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from avel.documents import read_json
from avel.errors import LibraryError
from avel.features.choices import EngineName
from avel.features.discovery import check_some_are_there, discover_videos
from avel.features.jobs import Loader, ReadingProgress, load_backbones
from avel.features.recipe import Recipe
from avel.features.run import OutcomeProgress, Summary, extract_many
from avel.features.source import absolute_text
from avel.features.store import FeatureStore
from avel.files import sole_writer, write_bytes, write_text, writing
from avel.library.generation import Generation, made_of, open_current, origin, write_generation
from avel.library.query import QueryReader
from avel.library.results import SearchResult
from avel.library.search import category_hits, meant, query_hits
from avel.library.spaces import AGREEMENT, MODALITIES, EncoderSpace, Space, Taggers, agreement_space
from avel.library.taggers import library_recipe, taggers_of
from avel.records import Record

FORMAT = "avel library 1"
LIBRARY_FILE, MATCHER_FILE, FEATURES_FOLDER, INDEX_FOLDER = "library.json", "matcher.safetensors", "features", "index"

TOP = 20
"""Moments that a search gives at most, unless told otherwise."""

SearchModality = Literal["audio", "visual", "both"]
"""What is looked at in the library: what is heard, what is seen, or either."""

_LOCK_FILE = ".lock"
_MAX_JSON_BYTES = 1 << 26


@dataclass(frozen=True)
class _Description(Record):
    """What stands in ``library.json``."""

    format: str
    model: str
    model_digest: str
    given: tuple[str, ...]


@dataclass(frozen=True)
class Indexed:
    """What became of the videos of `index`.

    Attributes:
        summary: of the extraction.
        removed: paths of videos that are no longer there, and so no longer in the library.
        videos: how many the library has.
        segments: how many segments.
        problems: what of the features could not be read.
    """

    summary: Summary
    removed: tuple[str, ...]
    videos: int
    segments: int
    problems: tuple[str, ...]


class _BusyError(LibraryError):
    """Another process is writing."""


class VideoLibrary:
    """A library that is there, for searching; any number of them may be open while it is written.

    Args:
        folder: where it is.
        device: where networks run that hear and see a query.
        loader: gives them; replace it to use your own.

    Attributes:
        folder: where it is.
        space: its cross-modal model.
        recipe: how its features are made.

    Raises:
        LibraryError: if there is none, or it was made by another version.
        FeaturesError: if its features cannot be read.
    """

    def __init__(self, folder: str | Path, *, device: str = "auto", loader: Loader = load_backbones) -> None:
        self.folder: Path = Path(folder)
        self._description = _read_description(self.folder)
        trained = _space_of(self.folder, self._description)
        if trained is not None:
            _check_model(self.folder, self._description, trained)
        if not (self.folder / FEATURES_FOLDER / "store.json").exists():
            raise LibraryError(
                f"{self.folder}: was begun, and stopped before its first video. Run the same `avel index` again."
            )
        self._store = FeatureStore(self.folder / FEATURES_FOLDER)
        self.recipe: Recipe = self._store.recipe
        self.taggers: Taggers = taggers_of(self.recipe)
        self.space: Space = trained or agreement_space(self.taggers)
        self._queries = QueryReader(self._store, self.space, loader, device)
        self._generation: Generation | None = None

    @property
    def generation(self) -> Generation:
        """What is searched: as it is now, made anew where it is missing or of other features.

        Raises:
            LibraryError: if it is damaged, or has to be made and cannot be written.
        """
        wanted = made_of(self._store.index()[0], self.space, self._store)
        if self._generation is None or self._generation.made_of != wanted:
            self._generation, _ = _up_to_date(self.folder, self._store, self.space, wanted)
        return self._generation

    def search(
        self,
        *,
        audio: str | Path | None = None,
        video: str | Path | None = None,
        image: str | Path | None = None,
        category: str | None = None,
        text: str | None = None,
        modality: SearchModality = "both",
        top: int = TOP,
    ) -> SearchResult:
        """Find moments by one of: a sound, a part of a video, a picture, an event category, or words.

        Args:
            audio: a file whose sound is looked for; ``bark.wav#t=3,6`` is a part of it.
            video: a file whose sound and picture are looked for, or a part of it.
            image: a file whose picture is looked for.
            category: name of an everyday event category or AudioSet class.
            text: English words that mean one, such as ``"dog barking"``.
            modality: whether what is heard, what is seen, or either is looked at.
            top: how many moments are given at most.

        Raises:
            CategoriesError: if no category has that name, or none is near the words.
            LibraryError: if the library is damaged.
            MediaError: if the query cannot be read, or there is nothing in it to look for.
            ValueError: if not one query is given, or an argument is not allowed.
            WeightsError: if weights are not available that hear, see or read the query.
        """
        given = {"audio": audio, "video": video, "image": image, "category": category, "text": text}
        asked = {kind: value for kind, value in given.items() if value is not None}
        if len(asked) != 1:
            raise ValueError("Give one query: audio, video, image, category or text.")
        if modality not in ("audio", "visual", "both"):
            raise ValueError(f"modality must be audio, visual or both; got {modality!r}.")
        if top < 1:
            raise ValueError(f"top must be 1 or more, got {top}.")
        ((kind, value),) = asked.items()
        looked_in = MODALITIES if modality == "both" else (modality,)
        notes: tuple[str, ...] = ()
        generation = self.generation
        if kind == "category" or kind == "text":
            wanted, notes = meant(str(value), exact=kind == "category", taggers=self.taggers)
            hits = category_hits(generation, self.taggers, wanted, looked_in, top) if generation.count else ()
        elif not generation.count:
            hits = ()
        else:
            query = self._queries(value, kind)  # type: ignore[arg-type]
            notes = query.notes
            hits = query_hits(generation, self.taggers, self.space, query, looked_in, top)
        return SearchResult(str(self.folder), str(value), kind, looked_in, hits, generation.count, notes)  # type: ignore[arg-type]


Library = VideoLibrary
"""Its name as `avel.Library`."""


def index(
    videos: Iterable[str | Path],
    folder: str | Path,
    *,
    model: str | Path | None = None,
    update: bool = False,
    engine: EngineName = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    retry_quarantined: bool = False,
    progress: OutcomeProgress | None = None,
    reading: ReadingProgress | None = None,
    loader: Loader = load_backbones,
    recipe: Recipe | None = None,
) -> Indexed:
    """Make a library, or add videos to one.

    May be stopped or killed at any moment and run again; what is done is not done again.

    Args:
        videos: as of `avel.features.run.extract_many`; with ``update`` there may be none.
        folder: of the library.
        model: a matcher of ``avel train-matching`` or its run's folder; as the library has it when ``None``, and
            agreement for a new one.
        update: also look again at what was given before, and take out videos that are no longer there.
        engine: as of `extract_many`, and so are `workers`, `scheduler`, `device`, `retry_quarantined`, `progress` and
            `reading`.
        workers: see there.
        scheduler: see there.
        device: see there.
        retry_quarantined: see there.
        progress: see there.
        reading: see there.
        loader: gives the networks; replace it to use your own.
        recipe: of a new library's features, for networks of your own.

    Raises:
        FeaturesError: if the features cannot be written.
        LibraryError: if the library has another model, is being written by another process, or what was given before
            is not there.
        MediaError: if no video is there.
        ModelError: if the model cannot be read.
        ValueError: if there is nothing to index, or a setting is not allowed.
        WeightsError: if a network's weights are not available.
    """
    folder, given = Path(folder), list(videos)
    if not (update or "" in given):
        check_some_are_there([Path(one) for one in given])
    with _written_by_one(folder):
        description, space = _described(folder, model)
        store_folder = folder / FEATURES_FOLDER
        before = [Path(one) for one in description.given] if update else []
        _check_there(folder, before, store_folder)
        # A file that has gone is taken out, and is no failure.
        there = [path for path in before if path.exists()]
        looked_at: list[str | Path] = list(dict.fromkeys([*there, *given]))
        if not (looked_at or before):
            raise ValueError(
                "There is no video to index. Give videos or folders; --update looks at those given before."
            )
        if recipe is None and not (store_folder / "store.json").exists():
            recipe = library_recipe(space)
        # What is not there, as a name with a slip in it, is a failure of this run and none of those to come.
        new = [absolute_text(one) for one in given if one != "" and Path(one).exists()]
        all_given = dict.fromkeys([*description.given, *new])
        _write_description(folder, description, tuple(all_given))
        summary = Summary(0, 0, ())
        if looked_at:
            summary = extract_many(
                looked_at,
                store_folder,
                recipe,
                engine=engine,
                workers=workers,
                scheduler=scheduler,
                device=device,
                retry_quarantined=retry_quarantined,
                progress=progress,
                reading=reading,
                loader=loader,
            )
        store = FeatureStore(store_folder)
        removed = tuple(_remove_missing(store, looked_at)) if update else ()
        made = space or agreement_space(taggers_of(store.recipe))
        wanted = made_of(store.index()[0], made, store)
        generation, problems = _up_to_date(folder, store, made, wanted, locked=True)
    return Indexed(summary, removed, len(generation.videos), generation.count, tuple(problems))


@dataclass(frozen=True)
class Forgotten:
    """What `forget` left out of a library.

    Attributes:
        removed: paths of the videos.
        videos: how many the library still has.
        problems: what of the features could not be read.
    """

    removed: tuple[str, ...]
    videos: int
    problems: tuple[str, ...]


def forget(places: Iterable[str | Path], folder: str | Path) -> Forgotten:
    """Take videos out of a library, and do not look for them again; the videos themselves stay.

    Args:
        places: videos, and folders with all that is below them; they need not be there any more.
        folder: of the library.

    Raises:
        LibraryError: if there is no library, it has nothing of a place, a place is within a folder that was given as a
            whole, or another process is writing it.
        FeaturesError: if its features cannot be read or changed.
    """
    folder = Path(folder)
    unwanted = [Path(absolute_text(place)) for place in places]
    _read_description(folder)  # before a folder is made to lock it
    with _written_by_one(folder):
        description, space = _described(folder, None)
        store = FeatureStore(folder / FEATURES_FOLDER)
        rows, _ = store.index()
        for place in unwanted:
            whole = next((one for one in description.given if Path(one) in place.parents), None)
            if whole is not None and Path(whole) not in unwanted:
                raise LibraryError(
                    f"{folder}: {place} is in {whole}, which was given as a whole, so that --update would find it "
                    f"again. Move it out of there, or forget {whole} and index the rest of it by its folders."
                )
            if not any(_is_in(row.source, place) for row in rows) and str(place) not in description.given:
                known = ", ".join(description.given[:5]) or "nothing"
                raise LibraryError(f"{folder}: has no video of {place}. It was made of: {known}.")
        removed = [row for row in rows if any(_is_in(row.source, place) for place in unwanted)]
        kept = tuple(one for one in description.given if not any(_is_in(one, place) for place in unwanted))
        _write_description(folder, description, kept)
        for row in removed:
            store.remove(row.key)
        made = space or agreement_space(taggers_of(store.recipe))
        wanted = made_of(store.index()[0], made, store)
        generation, problems = _up_to_date(folder, store, made, wanted, locked=True)
    return Forgotten(tuple(row.source for row in removed), len(generation.videos), tuple(problems))


def _is_in(path: str, place: Path) -> bool:
    return Path(path) == place or place in Path(path).parents


def _described(folder: Path, model: str | Path | None) -> tuple[_Description, EncoderSpace | None]:
    """What a library is, which is made if it is not there, and its trained model."""
    given = None if model is None else _matcher_file(Path(model))
    space = None if given is None else EncoderSpace(given)
    if not (folder / LIBRARY_FILE).exists():
        with writing(folder, raises=LibraryError):
            folder.mkdir(parents=True, exist_ok=True)
            others = [one.name for one in folder.iterdir() if not one.name.startswith(".")]
        if set(others) - {MATCHER_FILE}:
            raise LibraryError(
                f"{folder} is no library and not empty (it holds {', '.join(sorted(others)[:3])}). Give a new folder."
            )
        if given is not None:
            write_bytes(folder / MATCHER_FILE, given.read_bytes(), raises=LibraryError)
        name, digest = (AGREEMENT, "") if space is None else (space.name, space.digest)
        description = _Description(FORMAT, name, digest, ())
        _write_description(folder, description, ())
        return description, space
    description = _read_description(folder)
    if space is not None:
        _check_model(folder, description, space)
    return description, _space_of(folder, description)


def _matcher_file(given: Path) -> Path:
    return given / MATCHER_FILE if given.is_dir() else given


def _space_of(folder: Path, description: _Description) -> EncoderSpace | None:
    return None if description.model == AGREEMENT else EncoderSpace(folder / MATCHER_FILE)


def _check_model(folder: Path, description: _Description, space: EncoderSpace) -> None:
    if (description.model, description.model_digest) != (space.name, space.digest):
        same = "another one" if description.model == space.name else f"a {space.name}"
        made_with = description.model_digest[:19] or "no training"
        raise LibraryError(
            f"{folder}: was made with the cross-modal model {description.model} ({made_with}), and this is {same} "
            f"({space.digest[:19]}). Vectors of two models cannot be compared: index the videos into a new folder, or "
            "use the model that it was made with."
        )


def _check_there(folder: Path, given: Sequence[Path], store_folder: Path) -> None:
    """Refuse to look again where videos have gone as a whole, as with a disk that is not mounted.

    Whether a path that is not there was a folder is told by the videos that the library has of it, since a folder's
    name may look like a file's (``2026.11.29``).
    """
    if not given or not (store_folder / "store.json").exists():
        return
    for row in FeatureStore(store_folder).index()[0]:
        source = Path(row.source)
        if source.exists():
            continue
        for place in [path for path in given if path in source.parents] or [source.parent]:
            if not place.is_dir() or (place in given and not any(place.iterdir())):
                raise LibraryError(
                    f"{folder}: {place}, which was given before, is not there or is empty. If its disk is not mounted, "
                    "mount it; if the videos are gone for good, take them out: avel index -o LIBRARY --forget "
                    f"{place}. Nothing was changed."
                )


def _remove_missing(store: FeatureStore, looked_at: Sequence[str | Path]) -> Iterator[str]:
    """Take out what is no longer where it was extracted from."""
    rows, _ = store.index()
    # The name of a file need not be text, and then no path can be made of how it is kept.
    there = {absolute_text(path) for path, _ in discover_videos(looked_at)[0]}
    for row in rows:
        if row.source not in there and not Path(row.source).exists():
            store.remove(row.key)
            yield row.source


def _up_to_date(
    folder: Path, store: FeatureStore, space: Space, wanted: str, *, locked: bool = False
) -> tuple[Generation, list[str]]:
    """The generation of the features that are there, made if need be."""
    place, taggers = folder / INDEX_FOLDER, taggers_of(store.recipe)
    before: Generation | None = None
    damage: LibraryError | None = None
    try:
        before = open_current(place, taggers)
    except LibraryError as error:
        damage = error
    if before is not None and before.made_of == wanted:
        return before, []
    usable = before if before is not None and before.space == origin(space, store) else None
    try:
        with nullcontext() if locked else _written_by_one(folder):
            if damage is not None:
                shutil.rmtree(place, ignore_errors=True)  # it is derived: what is damaged is made anew
            problems = write_generation(place, store, space, taggers, usable)
    except LibraryError as error:
        if not locked and usable is None and isinstance(error, _BusyError):
            raise LibraryError(
                f"{folder}: another process is just making this library. It can be searched when that has ended."
            ) from error
        if locked or usable is None:
            raise
        return usable, []  # another process is writing the next one, or the disk cannot be written
    made = open_current(place, taggers)
    if made is None:
        raise LibraryError(f"{place}: the index that was just written is not there. Is another process removing it?")
    return made, problems


@contextmanager
def _written_by_one(folder: Path) -> Iterator[None]:
    busy = _BusyError(
        f"{folder}: another process is writing this library. Wait until it has ended; it can be searched meanwhile."
    )
    with ExitStack() as held:
        with writing(folder, raises=LibraryError):
            folder.mkdir(parents=True, exist_ok=True)
            held.enter_context(sole_writer(folder / _LOCK_FILE, busy))
        yield


def _read_description(folder: Path) -> _Description:
    path = folder / LIBRARY_FILE
    try:
        content = read_json(path, _MAX_JSON_BYTES)
        if content["format"] != FORMAT:
            raise LibraryError(
                f"{path}: its format is {content['format']!r}, and this version of avel reads {FORMAT!r}. Index the "
                "videos into a new folder, or use the version that made it."
            )
        return _Description.from_dict(content)
    except (FileNotFoundError, NotADirectoryError):
        raise LibraryError(
            f"{folder} is no library: it has no {LIBRARY_FILE}. `avel index VIDEOS -o {folder}` makes one."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LibraryError(f"{path} cannot be used: {error}. Restore it, or make a new library.") from error


def _write_description(folder: Path, description: _Description, given: tuple[str, ...]) -> None:
    content = {**description.to_dict(), "given": list(given)}
    write_text(folder / LIBRARY_FILE, json.dumps(content, indent=2) + "\n", raises=LibraryError)
