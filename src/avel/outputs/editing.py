"""Results for video editors, through OpenTimelineIO: ``.otio``, Final Cut Pro 7's XML, and CMX 3600's EDL.

A timeline holds the video as one clip with a marker for each event. An EDL has no place for long markers or for names
in lower case, so there each event is an edit of its own, a cut list. Times are frames of the video's own rate, rounded:
`opentime.from_seconds` followed by `to_frames` cuts, which is one frame early for many times (see
``findings/otio_seconds_to_frames.sh``). Time codes exist for some rates only; for others the nearest of those counts.
"""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from avel.data.formats.naming import as_text, name_of
from avel.errors import OutputError
from avel.events import Localization, by_start
from avel.media.container import choose_tracks, open_media

if TYPE_CHECKING:
    import opentimelineio

Adapter = Literal["otio_json", "fcp_xml", "cmx_3600"]

_USUAL_RATE = Fraction(25)
_NAME_BYTES = 60


def text(result: Localization, adapter: Adapter) -> str:
    """A timeline of a result.

    Args:
        result: what was found.
        adapter: of OpenTimelineIO.

    Raises:
        MediaError: if the video is no longer there.
        OutputError: if OpenTimelineIO is not installed.
    """
    otio = opentimelineio_here()
    rate = frame_rate(result.video)
    if adapter != "otio_json":  # which count in time codes
        rate = _time_code_rate(otio, rate)
    made = _cut_list(otio, result, rate) if adapter == "cmx_3600" else _marked(otio, result, rate)
    options: dict[str, Any] = {"rate": float(rate)} if adapter == "cmx_3600" else {}
    written: str = otio.adapters.write_to_string(made, adapter, **options)
    return written if written.endswith("\n") else written + "\n"


def opentimelineio_here() -> Any:
    """The package OpenTimelineIO.

    Raises:
        OutputError: if it is not installed.
    """
    try:
        import opentimelineio
    except ModuleNotFoundError as error:
        raise OutputError("This format needs OpenTimelineIO: pip install 'avel[editing]'.") from error
    return opentimelineio


def frame_rate(video: str | Path) -> Fraction:
    """Pictures a second as the file says, such as 30000/1001; 25 for sound alone.

    Raises:
        MediaError: if it cannot be opened.
    """
    with open_media(video) as source:
        stream, _, _ = choose_tracks(source, str(video))
        rate = None if stream is None else stream.average_rate or stream.guessed_rate
    return Fraction(rate) if rate else _USUAL_RATE


def _time_code_rate(otio: Any, rate: Fraction) -> Fraction:
    """The nearest rate that time codes exist for; 29.97 is 30000/1001."""
    nearest = otio.opentime.RationalTime.nearest_valid_timecode_rate(float(rate))
    ntsc = Fraction(round(nearest) * 1000, 1001)
    return ntsc if abs(float(ntsc) - nearest) < 0.005 else Fraction(round(nearest))


def _marked(otio: Any, result: Localization, rate: Fraction) -> "opentimelineio.schema.Timeline":
    clip = _clip(otio, result, rate, as_text(Path(result.video).stem), 0.0, result.duration_seconds)
    for event in by_start(result.events):
        marker = otio.schema.Marker(
            name=name_of(event),
            marked_range=_range(otio, event.start_seconds, event.end_seconds, rate),
            metadata={"avel": {"score": round(event.score, 4), "modality": event.modality}},
        )
        clip.markers.append(marker)
    return _timeline(otio, result, rate, [clip])


def _cut_list(otio: Any, result: Localization, rate: Fraction) -> "opentimelineio.schema.Timeline":
    clips = [
        _clip(otio, result, rate, name_of(event), event.start_seconds, event.end_seconds)
        for event in by_start(result.events)
    ]
    return _timeline(otio, result, rate, clips)


def _timeline(otio: Any, result: Localization, rate: Fraction, clips: list[Any]) -> "opentimelineio.schema.Timeline":
    timeline = otio.schema.Timeline(name=as_text(Path(result.video).stem[:_NAME_BYTES]))
    timeline.global_start_time = otio.opentime.RationalTime(0, float(rate))
    track = otio.schema.Track(name="V1", kind=otio.schema.TrackKind.Video)
    track.extend(clips)
    timeline.tracks.append(track)
    return timeline


def _clip(otio: Any, result: Localization, rate: Fraction, name: str, start: float, end: float) -> Any:
    path = Path(result.video).absolute()
    media = otio.schema.ExternalReference(
        target_url=path.as_uri(), available_range=_range(otio, 0.0, result.duration_seconds, rate)
    )
    return otio.schema.Clip(name=name, media_reference=media, source_range=_range(otio, start, end, rate))


def _range(otio: Any, start: float, end: float, rate: Fraction) -> Any:
    """Whole frames, at least one."""
    first = round(start * rate)
    length = max(round(end * rate) - first, 1)
    time = otio.opentime.RationalTime
    return otio.opentime.TimeRange(time(first, float(rate)), time(length, float(rate)))
