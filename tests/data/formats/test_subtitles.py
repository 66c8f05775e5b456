import re
from datetime import timedelta

import av
import pytest
import srt
import webvtt
from hypothesis import given
from hypothesis import strategies as st
from label_files import spans

from avel.data.formats import read_annotations
from avel.data.formats.subtitles import srt_text, timestamp, vtt_text
from avel.errors import AnnotationsError
from avel.events import Event, Localization, by_start
from avel.outputs import render


@st.composite
def events(draw: st.DrawFn) -> Event:
    start = draw(st.floats(0, 4e5))
    length = draw(st.one_of(st.floats(1e-4, 1e-3), st.floats(1e-3, 1e4)))
    return Event(
        category=draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)),
        start_seconds=start,
        end_seconds=start + length,
        score=draw(st.floats(0, 1)),
        modality=draw(st.sampled_from(["audio-visual", "audio", "visual"])),
    )


def with_events(found: list[Event], video: str = "clip.mp4") -> Localization:
    return Localization(video, 5e5, 1.0, {}, by_start(found), ())


def spaces(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "00:00:00.000"),
        (59_999, "00:00:59.999"),
        (60_000, "00:01:00.000"),
        (3_599_999, "00:59:59.999"),
        (3_600_000, "01:00:00.000"),
        (360_000_000, "100:00:00.000"),
    ],
)
def test_timestamps_roll_over(milliseconds, text):
    assert timestamp(milliseconds, ".") == text


def test_srt_known_answer(result):
    assert srt_text(result) == (
        "1\n00:00:02,000 --> 00:00:05,000\nBark (audio-visual, 0.90)\n\n"
        "2\n00:00:06,000 --> 00:00:07,000\nGoat (audio, 0.60)\n\n"
    )


def test_vtt_known_answer(result):
    assert vtt_text(result) == (
        "WEBVTT\n\n00:00:02.000 --> 00:00:05.000\nBark (audio-visual, 0.90)\n\n"
        "00:00:06.000 --> 00:00:07.000\nGoat (audio, 0.60)\n"
    )


def test_times_are_rounded_not_cut(make):
    near_minute = make(events=[("Bark", 1.9996, 59.9996, "audio", 0.5)], duration_seconds=60.0)
    assert "00:00:02,000 --> 00:01:00,000" in srt_text(near_minute)
    shorter_than_a_millisecond = make(events=[("Bark", 1.0, 1.0002, "audio", 0.5)])
    assert "00:00:01.000 --> 00:00:01.001" in vtt_text(shorter_than_a_millisecond)


def test_subtitles_of_no_events(make):
    assert srt_text(make(events=[])) == ""
    assert vtt_text(make(events=[])) == "WEBVTT\n\n"


@given(st.lists(events(), max_size=6))
def test_srt_is_read_back(found):
    cues = list(srt.parse(srt_text(with_events(found))))
    assert len(cues) == len(found)
    for cue, event in zip(cues, by_start(found), strict=True):
        assert cue.end > cue.start
        assert abs(cue.start - timedelta(seconds=event.start_seconds)) <= timedelta(milliseconds=0.6)
        assert abs(cue.end - timedelta(seconds=event.end_seconds)) <= timedelta(milliseconds=1.6)
        name = spaces(event.category).replace("-->", "→")
        assert cue.content == f"{name} ({event.modality}, {event.score:.2f})"


@given(st.lists(events(), max_size=6))
def test_vtt_is_read_back(found):
    cues = list(webvtt.from_string(vtt_text(with_events(found))))
    assert len(cues) == len(found)
    for cue, event in zip(cues, by_start(found), strict=True):
        start, end = (_seconds(text) for text in (cue.start, cue.end))
        assert end > start
        assert start == pytest.approx(event.start_seconds, abs=0.0006)
        assert end == pytest.approx(event.end_seconds, abs=0.0016)


def test_vtt_escapes_what_is_markup(make):
    text = vtt_text(make(events=[("R&B <i>--> now", 0, 1, "audio", 0.5)]))
    assert text.endswith("\nR&amp;B &lt;i&gt;--&gt; now (audio, 0.50)\n")


def test_a_category_stays_in_its_cue(make):
    odd = make(events=[("two\n\n00:00:09,000 --> 00:00:10,000\nlines", 0, 1, "audio", 0.5)])
    assert len(list(srt.parse(srt_text(odd)))) == 1
    assert len(list(webvtt.from_string(vtt_text(odd)))) == 1


@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_ffmpeg_reads_the_subtitles(result, tmp_path, name):
    path = tmp_path / f"clip.{name}"
    path.write_text(render(result, name), encoding="utf-8")
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    times = [(float(p.pts * p.time_base), float((p.pts + p.duration) * p.time_base)) for p in packets]
    assert times == [(2.0, 5.0), (6.0, 7.0)]
    assert [bytes(p).decode() for p in packets] == ["Bark (audio-visual, 0.90)", "Goat (audio, 0.60)"]


def _seconds(text: str) -> float:
    hours, minutes, seconds = re.fullmatch(r"(\d{2,}):(\d\d):(\d\d\.\d{3})", text).groups()
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


# Reading


def test_subtitles_are_read_back(result, tmp_path):
    for name in ("clip.srt", "clip.vtt"):
        path = tmp_path / name
        path.write_text(render(result, name[-3:]), encoding="utf-8")
        found = read_annotations(path)
        assert spans(found) == [("clip", 2, 5, "Bark"), ("clip", 6, 7, "Goat")]
        assert [event.modality for event in found.events] == ["audio-visual", "audio"]


@given(st.lists(events(), max_size=4))
def test_subtitles_of_any_events_are_read_back(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("s")
    found = [event for event in found if "-->" not in event.category]
    for name in ("clip.srt", "clip.vtt"):
        (folder / name).write_text(render(with_events(found), name[-3:]), encoding="utf-8")
        back = read_annotations(folder / name)
        assert len(back.events) == len(found)
        for one, event in zip(back.events, by_start(found), strict=True):
            assert one.start_seconds == pytest.approx(event.start_seconds, abs=0.0006)
            assert one.end_seconds == pytest.approx(event.end_seconds, abs=0.0016)
            assert one.modality == event.modality


def test_subtitles_as_players_have_them(write):
    path = write("a.srt", "\ufeff1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>[dog\r\nbarks]</i>\r\n\r\n")
    assert spans(read_annotations(path)) == [("a", 1, 2.5, "[dog barks]")]
    path = write("b.vtt", "WEBVTT\n\nNOTE made by hand\n\n1\n00:01.000 --> 00:02.500 align:start\nR&amp;B\n")
    assert spans(read_annotations(path)) == [("b", 1, 2.5, "R&B")]


@pytest.mark.parametrize(
    ("name", "content"), [("a.srt", "no cue"), ("a.vtt", "no header"), ("a.vtt", "WEBVTT\n\nx --> y\nz\n")]
)
def test_what_is_no_subtitle_is_refused(write, name, content):
    with pytest.raises(AnnotationsError, match="not readable as (SubRip|WebVTT) subtitles"):
        read_annotations(write(name, content))
