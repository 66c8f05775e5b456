"""Labels as the truth beside what was found: the events of a video, looked up by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from avel.data.annotations import Annotation
from avel.data.formats import read_annotations
from avel.errors import AnnotationsError


@dataclass(frozen=True)
class Truth:
    """The events that somebody marked in some videos; only those that are both heard and seen, or do not say.

    Attributes:
        source: the label file.
        videos: the events of each video by its name there; none of a video without event.
    """

    source: str
    videos: Mapping[str, tuple[Annotation, ...]]

    def of(self, video: str | Path) -> tuple[Annotation, ...] | None:
        """The events of a video file; ``None`` where the labels do not name it.

        Its name there is that of the file, with its ending or without. Where several are, the folders before it decide.

        Raises:
            AnnotationsError: if several names fit alike.
        """
        path = _parts(str(video))
        fitting = [name for name in self.videos if _parts(name)[-1] == path[-1]]
        if len(fitting) > 1:
            fitting = [name for name in fitting if path[-len(_parts(name)) :] == _parts(name)]
            longest = max((len(_parts(name)) for name in fitting), default=0)
            fitting = [name for name in fitting if len(_parts(name)) == longest]
            if len(fitting) != 1:
                raise AnnotationsError(
                    f"{self.source}: has several videos called '{path[-1]}', and none by the path {video}. Name videos "
                    "by their paths there."
                )
        return self.videos[fitting[0]] if fitting else None


def read_truth(labels: str | Path) -> Truth:
    """Read labels in any format of `avel.data.formats.read_annotations`.

    Raises:
        AnnotationsError: if they cannot be read.
    """
    annotations = read_annotations(labels).only_audio_visual()
    return Truth(str(labels), annotations.by_video())


def joined(events: Sequence[Annotation]) -> dict[str, list[tuple[float, float]]]:
    """Start and end of the events of each category, those that touch or overlap as one, in order."""
    found: dict[str, list[tuple[float, float]]] = {}
    for event in sorted(events, key=lambda one: one.start_seconds):
        spans = found.setdefault(event.category, [])
        if spans and event.start_seconds <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], event.end_seconds))
        else:
            spans.append((event.start_seconds, event.end_seconds))
    return found


def _parts(video: str) -> tuple[str, ...]:
    """A path's parts, the last without ending."""
    path = PurePosixPath(video.replace("\\", "/"))
    return (*path.parts[:-1], path.stem)
