from fractions import Fraction

import pytest

from avel.outputs import write
from avel.outputs.editing import frame_rate
from avel.testing.tone_and_flash import make_clip

otio = pytest.importorskip("opentimelineio")

NTSC = Fraction(30000, 1001)


@pytest.fixture(params=[Fraction(25), Fraction(30), NTSC], ids=str)
def clip(request, tmp_path):
    return make_clip(tmp_path / "clip.mp4", 4.0, frame_rate=request.param)


def spans(marks):
    return [(float(m.start_time.to_seconds()), float(m.end_time_exclusive().to_seconds())) for m in marks]


@pytest.mark.parametrize(("name", "adapter"), [("a.otio", "otio_json"), ("a.fcp.xml", "fcp_xml")])
def test_markers_are_read_back_to_half_a_frame(make, clip, tmp_path, name, adapter):
    events = [("Bark & Cie", 0.5, 1.53, "audio-visual", 0.9), ("Goat", 1.0, 3.0, "audio", 0.5)]
    path = write(make(clip, 4.0, events=events), tmp_path / name)
    made = otio.adapters.read_from_file(str(path), adapter_name=adapter)
    (found,) = made.find_clips()
    assert [marker.name for marker in found.markers] == ["Bark & Cie", "Goat (audio)"]
    half = float(0.5 / frame_rate(clip)) + 2e-3  # FCP 7's 29.97 is not quite 30000/1001
    for (start, end), event in zip(spans(m.marked_range for m in found.markers), events, strict=True):
        assert start == pytest.approx(event[1], abs=half)
        assert end == pytest.approx(event[2], abs=half)


def test_an_edl_is_a_cut_list_of_the_events(make, clip, tmp_path):
    events = [("Bark", 0.5, 1.53, "audio-visual", 0.9), ("Goat", 1.0, 3.0, "audio", 0.5)]
    path = write(make(clip, 4.0, events=events), tmp_path / "a.edl")
    rate = frame_rate(clip)
    made = otio.adapters.read_from_file(str(path), adapter_name="cmx_3600", rate=float(rate))
    found = list(made.find_clips())
    assert [one.name for one in found] == ["Bark", "Goat (audio)"]
    assert [one.source_range.start_time.value for one in found] == [round(e[1] * rate) for e in events]
    assert [one.source_range.end_time_exclusive().value for one in found] == [round(e[2] * rate) for e in events]


def test_the_rate_of_a_video_is_exact(tmp_path):
    assert frame_rate(make_clip(tmp_path / "a.mp4", 1.0, frame_rate=NTSC)) == NTSC
    assert frame_rate(make_clip(tmp_path / "b.mp4", 1.0, video_span=None)) == 25
