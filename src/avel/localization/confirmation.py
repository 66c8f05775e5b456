"""Events that no class of a tagger shows, confirmed by synchrony: what is heard changes together with the picture."""

from dataclasses import replace

import numpy as np

from avel.localization.decoding import SegmentScores
from avel.synchrony.witness import Witness

IN_TIME = frozenset(
    {
        # struck, knocked, chopped, typed, shot, bounced
        *(
            "Hammer",
            "Chop",
            "Chopping (food)",
            "Wood",
            "Knock",
            "Tap",
            "Thump, thud",
            "Thunk",
            "Whack, thwack",
            "Slap, smack",
        ),
        *("Basketball bounce", "Bouncing", "Slam", "Door", "Computer keyboard", "Typing", "Typewriter"),
        *("Gunshot, gunfire", "Machine gun", "Explosion", "Fireworks", "Firecracker", "Burst, pop"),
        *("Drum", "Drum kit", "Snare drum", "Bass drum", "Tabla", "Cymbal", "Percussion", "Tambourine", "Wood block"),
        *(
            "Dishes, pots, and pans",
            "Cutlery, silverware",
            "Clapping",
            "Finger snapping",
            "Sawing",
            "Tearing",
            "Scissors",
        ),
        # called, by an animal that opens its mouth
        *("Dog", "Bark", "Yip", "Howl", "Cat", "Meow", "Roaring cats (lions, tigers)", "Roar"),
        *("Chicken, rooster", "Duck", "Goose", "Crow"),
    }
)
"""Event categories, in AudioSet's names, whose sound starts with a motion that can be seen.

Not among them: goats, sheep and other livestock, whose calls the audio tagger takes for each other's, so that the
picture has to say which; speech and song, for which there are faces; what sounds all the time, such as engines and
water; music that is bowed, blown or plucked; and steps, since a camera that someone carries shakes with them.
"""


def confirmed(scores: SegmentScores, witness: Witness) -> SegmentScores:
    """Scores of events that are heard and either seen by name or confirmed by synchrony.

    Args:
        scores: of T segments, with what is heard.
        witness: of the same segments.

    Returns:
        The same, with events at least as high as the smaller of what is heard and the witness's confidence, for those
        categories that `SegmentScores.in_time` allows: whose sound is made by a motion that can be seen.
    """
    if scores.audio is None or scores.in_time is None:
        return scores
    both = np.where(scores.in_time, np.minimum(scores.audio, witness.confidence[:, None]), 0)
    return replace(scores, events=np.maximum(scores.events, both).astype(np.float32))
