"""Clips with a known content."""

import av
import numpy as np


def make_clip(path, colour, hertz=440, seconds=2, rate=8):
    """A clip of one colour and one tone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16000)
        audio.layout = "mono"
        picture = np.broadcast_to(np.array(colour, np.uint8), (48, 64, 3))
        for _ in range(round(seconds * rate)):
            for packet in video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                container.mux(packet)
        tone = (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(16000 * seconds)) / 16000)).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 16000
        for stream, frames in ((audio, [frame, None]), (video, [None])):
            for item in frames:
                for packet in stream.encode(item):
                    container.mux(packet)
    return path
