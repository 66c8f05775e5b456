"""A folder of videos that have all been localized, made without any network."""

from collections.abc import Callable
from pathlib import Path

from avel.batch.journal import JournalEntry, content_digest, settings_digest, stamp
from avel.batch.run import VideoBatch, default_settings
from avel.batch.thumbnails import THUMBNAILS
from avel.batch.videos import find_items
from avel.features.source import absolute_text
from avel.outputs.destination import Destination


def done_batch(count: int, folder: Path) -> Callable[[str], VideoBatch]:
    """A folder of videos that have all been done, with three events each; makes the batch that is to be planned."""
    videos, results = folder / "videos", folder / "results"
    videos.mkdir()
    for i in range(count):
        (videos / f"{i:06}.mp4").write_bytes(str(i).encode())

    def batch(at: str = "videos") -> VideoBatch:
        items, _ = find_items([str(folder / at)], output=results)
        destination = Destination([item.name for item in items], results, ["json"])
        return VideoBatch(items, destination, default_settings())

    results.mkdir()
    first = batch()
    assert first.journal is not None
    digest = settings_digest(first.settings, first.destination.signature)
    (results / THUMBNAILS).mkdir()
    for index, item in enumerate(first.items):
        events = tuple((f"category {(index + k) % 40}", float(k), k + 1.0, 0.5, "audio-visual") for k in range(3))
        entry = JournalEntry(
            absolute_text(item.path), stamp(item.path), content_digest(item.path), digest, item.name, "done", "", events
        )
        first.journal.add(entry)
        first.destination.paths(index)[0].write_bytes(b"{}")
        (results / THUMBNAILS / f"{item.name}.jpg").write_bytes(b"")
    return batch
