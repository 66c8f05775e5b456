"""How long the server of `avel serve` takes over 10,000 videos, and over drawings of an hour.

    python benchmarks/web_server.py

A folder of 100 videos and one of 10,000 are opened, of which half have results: nine in ten of those are summed up in
the journal of `avel localize`, and of one in a hundred a person has corrected the events. Each request goes through the
whole server. The hour repeats a clip of the test data. Seconds are the shortest of several, of the processor for what
reads video, since the machine may be busy; ratios are what to compare.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from _common import SHARED, save
from starlette.testclient import TestClient

from avel.data.corrections import Corrections, corrections_path
from avel.events import BACKGROUND, Event, Localization, Segment, Validity
from avel.web import views
from avel.web.app import make_app
from avel.web.collection import open_collection
from avel.web.serve import access_to
from avel.web.services import Services

CLIP = SHARED / "data" / "media" / "events" / "speech_nasa.mp4"
CLIP_SECONDS = 13.3
CATEGORIES = ("Bark", "Speech", "Music", "Car", "Bird")
ADDRESSES = {
    "first page": "videos?limit=200",
    "last page by confidence": "videos?limit=200&offset={last}&order=confidence",
    "search": "videos?query=clip%20_00",
    "category": "videos?category=Bark",
    "next": "next",
}


def result(number: int, video: Path) -> Localization:
    """Ten seconds with two events."""
    scores = {name: 0.9 - 0.1 * n for n, name in enumerate(CATEGORIES)}
    segments = tuple(
        Segment(float(t), t + 1.0, BACKGROUND, 0.5, scores, scores, Validity(audio=True, visual=True), scores)
        for t in range(10)
    )
    first, second = CATEGORIES[number % 5], CATEGORIES[(number + 2) % 5]
    events = (Event(first, 1.0, 3.5, 0.6 + number % 40 / 100, "audio-visual"), Event(second, 4.0, 5.0, 0.6, "audio"))
    return Localization(str(video), 10.0, 1.0, {"name": "agreement"}, events, segments)


def make_folder(folder: Path, count: int) -> None:
    """Empty files that are called as videos, and results of every second one."""
    results = folder / "avel-results"
    lines = []
    for number in range(count):
        name = f"d{number % 50:02d}/clip_{number:05d}"
        video = folder / f"{name}.mp4"
        for place in (video, results / name):
            place.parent.mkdir(parents=True, exist_ok=True)
        video.touch()
        if number % 2:
            continue
        found = result(number, video)
        path = results / f"{name}.json"
        path.write_text(found.to_json())
        if number % 20:
            events = [[e.category, e.start_seconds, e.end_seconds, e.score, e.modality] for e in found.events]
            entry = {"video": str(video), "stamp": [], "sha256": "", "settings": "", "name": name, "status": "done"}
            lines.append(json.dumps(entry | {"reason": "", "events": events}))
        if number % 200 == 0:
            Corrections(corrections_path(path), found).edit([], "Delete all", 0)
    (results / ".avel.jsonl").write_text("\n".join(lines) + "\n")


def shortest(what: Callable[[], Any], times: int, clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds."""
    taken = []
    for _ in range(times):
        start = clock()
        what()
        taken.append(clock() - start)
    return min(taken)


def measure(folder: Path, count: int) -> dict[str, float]:
    """Seconds to open a folder and of each request."""
    make_folder(folder, count)
    seconds = {"open": shortest(lambda: Services(open_collection([str(folder)]), folder).uploads.close(), 2)}
    services = Services(open_collection([str(folder)]), folder / "cache")
    with TestClient(make_app(services, access_to(None)), "http://127.0.0.1") as client:
        client.get("/")
        if services.reader is not None:
            services.reader.join()
        for name, address in ADDRESSES.items():
            whole = f"/api/{address.format(last=max(count - 200, 0))}"
            assert client.get(whole).status_code == 200
            seconds[name] = shortest(lambda whole=whole: client.get(whole), 7)
    return seconds


def make_hour(path: Path) -> None:
    """The clip over and over, without decoding it."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        streams = [source.streams.video[0], source.streams.audio[0]]
        made = {stream.type: target.add_stream_from_template(stream) for stream in streams}
        packets = [
            (p.stream.type, bytes(p), p.pts, p.dts, p.duration, p.is_keyframe, p.time_base)
            for p in source.demux(streams)
            if p.dts is not None
        ]
        for turn in range(int(3600 / CLIP_SECONDS)):
            for kind, data, pts, dts, duration, is_key, base in packets:
                shift = round(turn * CLIP_SECONDS / base)
                packet = av.Packet(data)
                packet.time_base, packet.pts, packet.dts = base, pts + shift, dts + shift
                packet.duration, packet.is_keyframe, packet.stream = duration, is_key, made[kind]
                target.mux(packet)


def drawings(folder: Path) -> dict[str, float]:
    """Seconds of the processor for an hour's drawings."""
    hour = folder / "hour.mp4"
    make_hour(hour)
    todo: dict[str, Callable[[], Any]] = {
        "thumbnail": lambda: views.thumbnail(str(hour)),
        "strip of 60 frames": lambda: views.strip(str(hour), 60, 3600.0),
        "waveform": lambda: views.peaks(str(hour), 50),
        "spectrogram": lambda: views.spectrogram(str(hour), 3600.0),
    }
    return {name: round(shortest(what, 1, time.process_time), 2) for name, what in todo.items()}


def main() -> None:
    """Measure, print and write."""
    with tempfile.TemporaryDirectory() as place:
        few = measure(Path(place) / "few", 100)
        many = measure(Path(place) / "many", 10_000)
        hour = drawings(Path(place))
    print(f"{'':26}{'100':>10}{'10,000':>10}{'ratio':>8}")
    for name, seconds in many.items():
        print(f"{name:26}{few[name] * 1000:8.1f} ms{seconds * 1000:8.1f} ms{seconds / few[name]:7.1f}x")
    for name, seconds in hour.items():
        print(f"{name + ' of an hour':36}{seconds:7.2f} s of the processor")
    save(
        __file__,
        {
            "seconds": {
                "100": {n: round(s, 5) for n, s in few.items()},
                "10000": {n: round(s, 5) for n, s in many.items()},
            },
            "ratios": {name: round(seconds / few[name], 2) for name, seconds in many.items()},
            "processor_seconds_of_an_hour": hour,
        },
    )


if __name__ == "__main__":
    main()
