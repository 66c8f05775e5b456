import os
import shutil
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from avel.errors import MediaError
from avel.media import container as container_module
from avel.media.container import choose_tracks, open_media
from avel.media.reader import MediaReader, probe
from avel.media.types import PictureFormat
from avel.testing.tone_and_flash import make_clip


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 1.0)


def refused(path, match):
    with pytest.raises(MediaError, match=match) as raised:
        probe(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_missing_file(tmp_path):
    refused(tmp_path / "none.mp4", "no such file")


@pytest.mark.parametrize(
    ("address", "shown", "advice"),
    [
        (
            "https://example.org/a b.mp4",
            "https://example.org/a b.mp4",
            "pipe it: curl -sL 'https://example.org/a b.mp4' | avel localize -",
        ),
        ("file:///home/a b.mp4", "file:/home/a b.mp4", "give the path: '/home/a b.mp4'"),
        ("rtsp://camera/1", "rtsp://camera/1", "record it into a file, and give that."),
    ],
)
def test_an_address_is_no_file(address, shown, advice):
    with pytest.raises(MediaError) as raised:
        probe(Path(address))
    assert str(raised.value) == f"{shown}: no such file. avel opens no addresses; {advice}"


def test_folder(tmp_path):
    refused(tmp_path, "a folder, not a file")


def test_device():
    refused(Path("/dev/zero"), "a device or socket, not a file")


def test_empty_file(tmp_path):
    (tmp_path / "empty.mp4").touch()
    refused(tmp_path / "empty.mp4", "an empty file")


def test_no_permission(clip, monkeypatch):
    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    refused(clip, "no permission to read it")


def test_a_name_that_no_file_can_have():
    refused("x" * 5000, "cannot be opened")
    with pytest.raises(MediaError, match="cannot be opened"):
        probe("a\0b.mp4")


@pytest.mark.parametrize("name", ["note.txt", "note.mp4"])
def test_text(tmp_path, name):
    (tmp_path / name).write_text("This is no video.\n" * 100)
    refused(tmp_path / name, "not a video or audio file")


def test_random_bytes(tmp_path):
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(20000))
    refused(tmp_path / "noise.mp4", "not a video or audio file")


@pytest.mark.parametrize(("codec", "pixels"), [("png", "rgb24"), ("mjpeg", "yuvj420p")])
@pytest.mark.parametrize("name", ["still.jpg", "still.mp4"])
def test_an_image_is_not_a_video(tmp_path, codec, pixels, name):
    frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = 32, 32, pixels, Fraction(1, 25)
    packets = [*context.encode(frame.reformat(format=pixels)), *context.encode()]
    (tmp_path / name).write_bytes(b"".join(bytes(packet) for packet in packets))
    refused(tmp_path / name, "its content is of another kind")


def test_a_still_image_in_a_film_container_is_not_a_video(tmp_path, clip):
    data = bytearray(clip.read_bytes())
    data[8:12] = b"heic"
    (tmp_path / "photo.heic").write_bytes(data)
    refused(tmp_path / "photo.heic", "a still image, not a video")


PLAYLISTS = {
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clip}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile {clip}\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/9\n",  # noqa: E501
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{clip}</BaseURL></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_playlists_are_not_followed(tmp_path, clip, name, suffix):
    shutil.copy(clip, tmp_path / "clip.mp4")
    path = tmp_path / (name + suffix)
    path.write_text(PLAYLISTS[name].format(clip="clip.mp4"))
    refused(path, "not a video or audio file")


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:9/x.mp4", "concat:{clip}|{clip}", "file:{clip}", "subfile,,:{clip}"]
)
def test_addresses_are_names_of_files(clip, address):
    with pytest.raises(MediaError, match="no such file"):
        probe(address.format(clip=clip))


def test_a_second_file_is_refused():
    with pytest.raises(PermissionError, match="refers to another one, 'http://x'"):
        container_module._refuse_second_file("http://x", 1, {})


def test_a_named_pipe_is_read(tmp_path, clip):
    import threading

    mkv = make_clip(tmp_path / "clip.mkv", 1.0)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(mkv.read_bytes()))
    writer.start()
    with open_media(pipe) as container:
        assert len(list(container.decode(video=0))) == 25
    writer.join()


def test_what_libav_says_is_passed_on_and_its_log_stays_off(tmp_path, clip, capfd):
    data = clip.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: data.index(b"moov") - 4])
    refused(path, r"cut off before it was finished.* \(moov atom not found\)\. Copy the file from the camera again")
    assert av.logging.get_level() is None
    assert capfd.readouterr() == ("", "")


def test_absurd_sizes(tmp_path):
    make_clip(tmp_path / "wide.mkv", 0.1, width=20000, height=32, audio_span=None)
    refused(tmp_path / "wide.mkv", "pictures of 20000x32 pixels; at most 16384 a side and 64 million")


def test_no_track_to_read(tmp_path):
    data = make_clip(tmp_path / "clip.mkv", 0.5).read_bytes()
    (tmp_path / "odd.mkv").write_bytes(data.replace(b"FFV1", b"XXXX").replace(b"A_PCM", b"A_XXX"))
    refused(tmp_path / "odd.mkv", r"no video or audio track that can be read \(tracks found: ")


def test_a_track_that_cannot_be_decoded_is_told_and_the_other_is_read(tmp_path):
    data = make_clip(tmp_path / "clip.mkv", 0.5).read_bytes()
    for tag, other, kind in ((b"FFV1", b"XXXX", "video"), (b"A_PCM", b"A_XXX", "audio")):
        (tmp_path / "odd.mkv").write_bytes(data.replace(tag, other))
        with open_media(tmp_path / "odd.mkv") as container:
            video, audio, warnings = choose_tracks(container, "odd.mkv")
        assert (video is None, audio is None) == (kind == "video", kind == "audio")
        assert warnings == [f"The {kind} track is in a format that cannot be decoded here."]


def test_the_largest_default_video_and_the_best_default_audio_are_chosen(event_clips):
    # Two H.264 tracks of 320x180 and 480x270, two AAC tracks of 8 and 16 kHz, two of subtitles; all are default.
    with open_media(event_clips / "speech_nasa.mp4") as container:
        video, audio, warnings = choose_tracks(container, "speech_nasa.mp4")
        assert (video.index, video.width, audio.index, audio.sample_rate) == (3, 480, 4, 16000)
    assert warnings == []


def test_cover_art_is_no_video_track(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8)).reformat(format="yuvj420p")
        for packet in [*cover.encode(picture), *cover.encode(), *sound.encode(frame), *sound.encode()]:
            container.mux(packet)
    with av.open(str(path)) as container:
        assert container.streams.video
    with open_media(path) as container:
        video, audio, _ = choose_tracks(container, path)
        assert video is None
        assert audio is not None


def sound_file(path, tracks):
    """A file with several audio tracks: of each its channels and its dispositions."""
    with av.open(str(path), "w") as container:
        streams = []
        for channels, disposition in tracks:
            stream = container.add_stream("aac", rate=16000, layout="mono" if channels == 1 else "stereo")
            stream.disposition = disposition
            streams.append(stream)
        for number, ((channels, _), stream) in enumerate(zip(tracks, streams, strict=True), 1):
            tone = np.sin(np.arange(16000) * 2 * np.pi * 200 * number / 16000).astype(np.float32) / 2
            frame = av.AudioFrame.from_ndarray(np.repeat(tone[None], channels, 0), format="fltp", layout=stream.layout)
            frame.sample_rate = 16000
            container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize("side", ["visual_impaired", "comment", "hearing_impaired", "dub"])
def test_sound_that_is_not_the_videos_own_is_not_chosen(tmp_path, side):
    disposition = av.stream.Disposition[side]
    path = sound_file(tmp_path / "clip.mkv", [(2, disposition), (1, av.stream.Disposition(0))])
    assert (probe(path).audio_track, probe(path).audio_tracks) == (2, 2)
    path = sound_file(tmp_path / "only.mkv", [(2, disposition)])
    assert probe(path).audio_track == 1


def test_original_sound_is_preferred(tmp_path):
    path = sound_file(tmp_path / "clip.mkv", [(2, av.stream.Disposition(0)), (1, av.stream.Disposition.original)])
    assert probe(path).audio_track == 2


def test_an_audio_track_can_be_chosen(tmp_path):
    path = sound_file(tmp_path / "clip.mkv", [(1, av.stream.Disposition.default), (1, av.stream.Disposition(0))])
    for wanted, number in ((None, 1), (1, 1), (2, 2)):
        with MediaReader(path, audio_track=wanted) as reader:
            samples = next(reader).waveform
        assert reader.info.audio_track == number
        spectrum = np.abs(np.fft.rfft(samples))
        assert abs(int(spectrum.argmax()) - 200 * number) <= 2
    with pytest.raises(MediaError, match="audio track 3 was asked for; the audio tracks that can be read are: 1, 2"):
        probe(path, audio_track=3)


@pytest.mark.parametrize("cut", [8, 40, 200, 440])
def test_a_fragmented_file_is_read_up_to_the_cut(tmp_path, cut):
    whole = make_clip(tmp_path / "whole.mp4", 6.0, video_options={"g": "25"})
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / "f.mp4"), "w", options={"movflags": "frag_keyframe+empty_moov"}) as target,
    ):
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    data = (tmp_path / "f.mp4").read_bytes()
    (tmp_path / "f.mp4").write_bytes(data[: data.rindex(b"moof") - 4 + cut])
    with MediaReader(tmp_path / "f.mp4", pictures={"p": PictureFormat(1, longest_side=32)}) as reader:
        segments = list(reader)
    assert [segment.visual_valid for segment in segments][:5] == [True] * 5
    assert [segment.audio_valid for segment in segments][:4] == [True] * 4
    assert any("cut off" in line or "incomplete" in line for line in reader.warnings)


def test_a_raw_stream_declares_no_duration(tmp_path):
    path = make_clip(tmp_path / "sound.aac", 10.0, video_span=None, events=[(0.0, 3.0)])
    with MediaReader(path) as reader:
        assert 10 <= len(list(reader)) <= 11
    assert reader.info.duration_seconds is None
    assert reader.warnings == []
