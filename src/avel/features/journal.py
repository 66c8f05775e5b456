"""What could not be extracted into a store."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path

from avel.documents import parse_json
from avel.errors import OutputError
from avel.features.jobs import Outcome
from avel.features.source import absolute_text
from avel.files import utf8_text, write_text

JOURNAL_FILE = "failures.jsonl"


class Journal:
    """The failures of the last run, and what has been quarantined in any, one JSON object a line.

    Attributes:
        quarantined: what is left alone, by absolute path.

    Args:
        file: where it is kept; failures of former runs are taken out of it.
        videos: those of this run.
    """

    def __init__(self, file: Path, videos: Iterable[Path]) -> None:
        self._file = file
        again = {absolute_text(video) for video in videos}
        self.quarantined: dict[str, Outcome] = {
            video: outcome for video, outcome in _read_failures(file).items() if outcome.quarantined
        }
        others = [outcome for video, outcome in self.quarantined.items() if video not in again]
        with contextlib.suppress(OutputError):
            write_text(file, "".join(_line(outcome) for outcome in others))

    def append(self, outcome: Outcome) -> None:
        """On a full disk there is no room for this either; the summary has it."""
        with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(_line(outcome))


def read_failures(store: str | Path) -> list[Outcome]:
    """What the last run could not extract into a store, and what any run has quarantined."""
    return list(_read_failures(Path(store) / JOURNAL_FILE).values())


def _read_failures(file: Path) -> dict[str, Outcome]:
    """By absolute path; the last line of each video counts, and lines that cannot be read do not."""
    found = {}
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = parse_json(line)
            found[entry["video"]] = Outcome(entry["video"], "failed", entry["reason"], entry["quarantined"] is True)
    return found


def _line(outcome: Outcome) -> str:
    entry = {
        "video": absolute_text(outcome.video),
        "reason": utf8_text(outcome.reason),
        "quarantined": outcome.quarantined,
    }
    return json.dumps(entry, ensure_ascii=False) + "\n"
