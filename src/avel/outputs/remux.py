"""Copying tracks into another file as they are, without decoding."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream


def copy_track(stream: "Stream", target: "OutputContainer") -> Any:
    """A track of another file for a track's packets as they are; its language, rotation and the like are kept."""
    made: Any = target.add_stream_from_template(stream, opaque=True)
    made.metadata.update(stream.metadata)
    made.disposition = stream.disposition
    return made


def dated(packets: Iterable[Any]) -> Iterator[Any]:
    """Packets that hold something, each with a decoding time.

    Matroska knows none, and libav works them out from the order of the pictures, but for the first ones of a track, as
    many as a decoder has to hold back (``findings/pyav_remux_matroska.sh``).
    """
    waiting: dict[int, list[Any]] = {}
    for packet in packets:
        if not packet.size:
            continue
        held = waiting.setdefault(packet.stream.index, [])
        if packet.dts is None:
            held.append(packet)
            continue
        if held:
            step = packet.duration or 1
            for place, one in enumerate(held):
                one.dts = packet.dts - (len(held) - place) * step
            yield from held
            held.clear()
        yield packet
    for held in waiting.values():
        for packet in held:
            if packet.pts is not None:
                packet.dts = packet.pts
                yield packet
