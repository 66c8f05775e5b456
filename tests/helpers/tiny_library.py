"""Clips and libraries of tiny taggers' animals."""

import av
import numpy as np
from tiny_clips import make_clip
from tiny_taggers import HEARD, RECIPE, SEEN, load

from avel.library.library import VideoLibrary, index


def clip_of(path, seen, heard, seconds=3):
    return make_clip(path, SEEN[seen] if seen else (0, 0, 0), HEARD[heard] if heard else 0, seconds=seconds)


def make_library(videos, folder, **more):
    return index(videos, folder, **{"loader": load, "recipe": RECIPE, **more})


def opened(folder):
    return VideoLibrary(folder, loader=load)


def join_sounds(parts, path):
    """The sounds of some clips, a second of each, one after the other."""
    with av.open(str(path), "w") as out:
        audio = out.add_stream("aac", rate=16000)
        audio.layout = "mono"
        samples = []
        for part in parts:
            with av.open(str(part)) as source:
                held = np.concatenate([frame.to_ndarray() for frame in source.decode(audio=0)], axis=1)[0, :16000]
            samples.append(np.pad(held, (0, 16000 - len(held))))
        whole = np.concatenate(samples)[None].astype(np.float32)
        frame = av.AudioFrame.from_ndarray(whole, format="fltp", layout="mono")
        frame.sample_rate = 16000
        for item in (frame, None):
            for packet in audio.encode(item):
                out.mux(packet)
    return path
