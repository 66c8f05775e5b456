"""Where the results of some videos go: a table, text on standard output, one file, or a folder."""

import contextlib
import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from avel.data.corrections import CORRECTIONS_SUFFIX
from avel.errors import OutputError
from avel.events import Localization
from avel.files import unique_names, writing
from avel.outputs import FORMATS, TEXT_FORMATS, USUAL, WriteOptions, format_of, refuse_video, write, write_all

Kind = Literal["table", "text", "file", "folder"]

STDOUT = "-"

_MEANT_AS_FILE = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,6}$")
"""The end of a name that is meant as a format: letters, not the number of a version."""


class Destination:
    """Where the results of some videos go, as a user asks for it.

    Args:
        names: of the videos, in order; results are asked for by their position. In a folder a result has the name of
            its video, and lies in the folders that the name has; of equal names all but the first get a number.
        output: a folder; for one video also a file, whose suffix names the format; ``-`` for standard output; ``None``
            for a table, or for standard output when there are formats.
        formats: some of `avel.outputs.FORMATS`; JSON, or the file's, when empty.
        options: see `avel.outputs.write`.
        videos: their files, where they are not called as their names are; some formats keep a video's suffix.
        is_of_many: whether these are some of many videos, such as all of a folder; where there are several when
            ``None``.

    Attributes:
        kind: ``"table"``, ``"text"``, ``"file"`` or ``"folder"``.
        output: the file or folder, if it is one.
        formats: what is written; one for text and for a file.
        options: how.
        is_of_many: whether these are some of many videos.

    Raises:
        ValueError: if a format is unknown or does not fit where it is to go, an option is of no format asked for, or
            the output has no name.
    """

    def __init__(
        self,
        names: Sequence[str],
        output: str | Path | None,
        formats: Sequence[str] = (),
        options: WriteOptions = USUAL,
        videos: Sequence[str] = (),
        *,
        is_of_many: bool | None = None,
    ) -> None:
        for name in formats:
            if name not in FORMATS:
                raise ValueError(f"Unknown format {name!r}. Supported formats are {', '.join(FORMATS)}.")
        self.kind: Kind = _kind(output, formats)
        self.output: Path | None = Path(output) if output is not None and self.kind in ("file", "folder") else None
        by_suffix = format_of(self.output) if self.output is not None and self.kind == "file" else None
        if by_suffix is not None and len(names) == len(formats) == 1 and formats[0] != by_suffix:
            raise ValueError(
                f"{output} has the suffix of the format {by_suffix}, but {formats[0]} is asked for. Leave --format "
                f"out, or change the suffix to .{FORMATS[formats[0]].suffixes[0]}."
            )
        if by_suffix is not None and (len(names) > 1 or list(formats) not in ([], [by_suffix])):
            raise ValueError(f"{output} is one file; for several videos or formats give a folder.")
        self.formats: list[str] = list(formats) or [by_suffix or "json"]
        if self.kind == "text" and (len(self.formats) > 1 or self.formats[0] not in TEXT_FORMATS):
            raise ValueError(
                f"Standard output takes one of {', '.join(TEXT_FORMATS)}; give a folder with -o for others."
            )
        if options.frames_per_second is not None and "label-studio" not in self.formats:
            raise ValueError("--frames-per-second is of Label Studio's timelines. Add --format label-studio.")
        if options.pad_seconds and "clips" not in self.formats:
            raise ValueError("--pad is of clips. Add --clips.")
        if options.truth is not None and not any(FORMATS[name].shows_truth for name in self.formats):
            raise ValueError("--truth is of pictures and pages. Add --format png or --format html.")
        self.options = options
        self.is_of_many: bool = len(names) > 1 if is_of_many is None else is_of_many
        self.videos: list[str] = list(videos) or list(names)
        self.names: list[str] = unique_names(names)

    def check(self) -> None:
        """Refuse what surely cannot be written, before anything is computed for it.

        Raises:
            OutputError: if a result would replace its video, the place is none to write to, or a format needs a
                package that is not installed.
        """
        if any(FORMATS[name].needs_editing for name in self.formats):
            from avel.outputs.editing import opentimelineio_here

            opentimelineio_here()
        if self.output is None:
            return
        place = self.output.parent if self.kind == "file" else self.output
        with writing(self.output):
            while not os.path.lexists(place) and place != place.parent:
                place = place.parent
            if not place.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(place, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        endings = {f".{suffix.rpartition('.')[2]}" for name in self.formats for suffix in FORMATS[name].suffixes}
        for index, video in enumerate(self.videos):
            if os.path.splitext(video)[1] in endings:  # noqa: PTH122 - a tenth of the time of Path.suffix
                for path in self.paths(index):
                    refuse_video(path, Path(video))

    def rename(self, names: Sequence[str]) -> None:
        """Call the results otherwise, as somebody does who knows how they were called before.

        Args:
            names: of all of them, no two the same.
        """
        self.names = list(names)

    @property
    def signature(self) -> tuple[str, ...]:
        """What tells whether other options would write something else."""
        return tuple(self.formats) if self.options == USUAL else (*self.formats, repr(self.options))

    @property
    def needs_attention(self) -> tuple[str, ...]:
        """Formats that only a model can fill that says where in the picture it looks."""
        return tuple(name for name in self.formats if FORMATS[name].needs_attention)

    def paths(self, index: int) -> list[Path]:
        """The files of the video at a position when it is done; none when results go to standard output."""
        if self.output is None:
            return []
        if self.kind == "file":
            return [self.output]
        video = self.videos[index]
        return [self.output / f"{self.names[index]}.{FORMATS[name].suffix_of(video)}" for name in self.formats]

    def corrections_path(self, index: int) -> Path | None:
        """Where what a person makes of the result of a video is kept; ``None`` when results go to standard output."""
        if self.output is None:
            return None
        if self.kind == "file":
            name = self.output.name
            endings = (f".{suffix}".lower() for suffix in FORMATS[self.formats[0]].suffixes)
            stem = next((name[: -len(e)] for e in endings if name.lower().endswith(e)), self.output.stem)
            return self.output.with_name(stem + CORRECTIONS_SUFFIX)
        return self.output / f"{self.names[index]}{CORRECTIONS_SUFFIX}"

    def is_corrected(self, index: int) -> bool:
        """Whether a person has corrected or reviewed the result of a video, so that it is not to be overwritten."""
        path = self.corrections_path(index)
        return path is not None and path.is_file()

    def save(
        self, result: Localization, index: int, warnings: list[str] | None = None, *, is_whole: bool = True
    ) -> list[Path]:
        """Write the files of a result, and remove the partial one.

        Args:
            result: of the video at ``index``.
            index: position of the video.
            warnings: what a person should know of what was written is added here.
            is_whole: False when the video was left early. Then only formats that need not read it again are written,
                and the partial result where there is none among them.

        Returns:
            The files; none when results go to standard output.

        Raises:
            OutputError: if a file cannot be written, a format cannot show this result, or a person has corrected the
                result that is there.
            MediaError: if a format needs the video and it is no longer there.
        """
        if self.is_corrected(index):
            raise OutputError(
                f"{result.video}: a person has corrected or reviewed its result, which is left as it is. To begin "
                f"anew, move {self.corrections_path(index)} away."
            )
        partial = self.partial_path(index)
        if partial is None or self.output is None:
            return []
        formats = [name for name in self.formats if is_whole or name in TEXT_FORMATS]
        if not formats:
            return [write(result, partial)]
        if self.kind == "file":
            paths = [write(result, self.output, options=self.options, warnings=warnings)]
        else:
            paths = write_all(result, self.output, formats, self.names[index], self.options, warnings)
        with contextlib.suppress(OSError):
            partial.unlink()
        return paths

    def save_partial(self, result: Localization, index: int) -> None:
        """Keep what was found so far beside where the result will be, if that is a file.

        Raises:
            OutputError: if it cannot be written.
        """
        path = self.partial_path(index)
        if path is not None:
            write(result, path)

    def partial_path(self, index: int) -> Path | None:
        """Where the partial result of a video is kept; ``None`` when results go to standard output."""
        if self.output is None:
            return None
        if self.kind == "file":
            return self.output.with_name(f"{self.output.stem}.partial.json")
        return self.output / f"{self.names[index]}.partial.json"


def _kind(output: str | Path | None, formats: Sequence[str]) -> Kind:
    if output == "":
        raise ValueError("The name of the output is empty, as of a variable that is not set. Name a file or a folder.")
    if output is None:
        return "text" if formats else "table"
    if str(output) == STDOUT:
        return "text"
    if Path(output).is_dir() or str(output).endswith("/"):
        return "folder"
    if format_of(output) is not None:
        return "file"
    end = _MEANT_AS_FILE.search(Path(output).name)
    if end and Path(output).name != end[0]:
        suffixes = ", ".join(f".{suffix}" for one in FORMATS.values() for suffix in one.suffixes)
        raise ValueError(
            f"{output}: no format has the suffix {end[0]}. A file's suffix is one of {suffixes}. If you mean a folder "
            f"of that name, write {output}/."
        )
    return "folder"
