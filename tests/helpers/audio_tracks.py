"""Videos with several audio tracks."""

import av
import numpy as np


def two_sounds(path, clip):
    """A clip with its own sound and a silent audio track before that."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        silent = target.add_stream("aac", rate=16000, layout="mono")
        wanted = (source.streams.video[0], source.streams.audio[0])
        streams = {stream.index: target.add_stream_from_template(stream) for stream in wanted}
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        target.mux([*silent.encode(silence), *silent.encode(None)])
        for packet in source.demux():
            if packet.dts is not None and packet.stream.index in streams:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    return path
