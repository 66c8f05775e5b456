"""How often picture and sound that belong together are found to, and pairs that do not; and whose sound was moved.

For each clip of ``data/media/events`` and ``events2``: standard deviations by which the true alignment fits better than
shifted ones, over the whole clip, and whether they reach `SURE`. Pairs of the picture of one clip and the sound of
another, six for each clip, say how often that happens by chance, over whole clips and over windows of 4 s.

Then the sound of each clip is moved by 0, 80, 200 and 400 ms either way. "Right" is told within 40 ms of how far it was
moved, as if each clip were in time by itself; "of itself" within 40 ms of what is told of the clip as it is plus that.
"""

import argparse
import csv
import time
from collections import Counter
from typing import Any

import numpy as np
from _common import SHARED, save

from avel.features.extract import extract
from avel.synchrony.alignment import SURE, Sides, align, sides
from avel.synchrony.changes import Motion, Onsets, joined, moments
from avel.synchrony.offset import offset_of

MEDIA = SHARED / "data" / "media"
RATE = moments(1.0)
MOVED_MS = (0, -80, 80, -200, 200, -400, 400)
PARTNERS = 6
WITHIN_SECONDS = 0.0401


def kinds() -> dict[str, str]:
    """By clip, what its labels say of picture and sound."""
    found = {}
    with (MEDIA / "events" / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            found[f"events/{row['file']}"] = "audio-visual" if row["audio_visual"] == "yes" else "unrelated"
    with (MEDIA / "events2" / "labels.csv").open(newline="", encoding="utf-8") as file:
        relations: dict[str, set[str]] = {}
        for row in csv.DictReader(file):
            relations.setdefault(f"events2/{row['file']}", set()).add(row["relation"])
    for clip, of_clip in relations.items():
        found[clip] = "audio-visual" if "audio-visual" in of_clip else "unrelated"
    return found


def moved(sound: np.ndarray, count: int) -> np.ndarray:
    """Later by `count` moments, the ends held."""
    return sound[np.clip(np.arange(len(sound)) - count, 0, len(sound) - 1)]


def mixed(picture: Sides, sound: Sides) -> Sides:
    count = min(len(picture.sound["onsets"]), len(sound.sound["onsets"]))
    return Sides(
        {kind: values[:count] for kind, values in picture.picture.items()},
        {kind: values[:count] for kind, values in sound.sound.items()},
        RATE,
    )


def score(of: Sides, *span: float) -> float | None:
    found = align(of, *span)
    return None if found is None else found.score


def windows(of: Sides) -> list[float]:
    """Scores of windows of 4 s, every second."""
    starts = np.arange(0, max(of.seconds - 3.99, 0), 1.0)
    return [s for s in (score(of, start, start + 4) for start in starts) if s is not None]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    series, clips, spent, seconds = {}, {}, 0.0, 0.0
    for clip, kind in kinds().items():
        before = time.process_time()
        features = extract(MEDIA / clip, [Motion()], [Onsets()])
        series[clip] = joined(features.visual["motion"], features.audio["onsets"])
        both = sides(*series[clip], RATE)
        of_clip: dict[str, Any] = {"clip": clip, "kind": kind, "deviations": score(both)}
        spent, seconds = spent + time.process_time() - before, seconds + features.duration_seconds
        clips[clip] = {**of_clip, "sides": both}
    random = np.random.default_rng(0)
    chance, chance_windows = [], []
    for clip in clips:
        others = [other for other in clips if other != clip]
        for other in random.choice(others, PARTNERS, replace=False):
            pair = mixed(clips[clip]["sides"], clips[other]["sides"])
            chance += [s for s in [score(pair)] if s is not None]
            chance_windows += windows(pair)
    summary: dict[str, Any] = {
        "unrelated pairs": len(chance),
        "reach SURE": round(float(np.mean(np.array(chance) >= SURE)), 4),
        "95 % of them stay below": round(float(np.quantile(chance, 0.95)), 2),
        "unrelated windows": len(chance_windows),
        "windows that reach SURE": round(float(np.mean(np.array(chance_windows) >= SURE)), 4),
        "CPU seconds a second of video, reading it included": round(spent / seconds, 3),
    }
    for kind in ("audio-visual", "unrelated"):
        scores = [c["deviations"] or 0 for c in clips.values() if c["kind"] == kind]
        summary[f"clips labelled {kind} that reach SURE"] = f"{sum(s >= SURE for s in scores)} of {len(scores)}"
        of_windows = [s for c in clips.values() if c["kind"] == kind for s in windows(c["sides"])]
        summary["their windows of 4 s that reach SURE"] = round(float(np.mean(np.array(of_windows) >= SURE)), 3)
    summary["unrelated pairs whose offset is told"] = round(
        float(
            np.mean(
                [
                    offset_of(mixed(clips[a]["sides"], clips[b]["sides"])).seconds is not None
                    for a, b in zip(clips, [*list(clips)[7:], *list(clips)[:7]], strict=True)
                ]
            )
        ),
        3,
    )
    told: dict[str, Counter[str]] = {}
    for clip, (motion, sound) in series.items():
        own = None
        for milliseconds in MOVED_MS:
            found = offset_of(sides(motion, moved(sound, milliseconds * RATE // 1000), RATE))
            own = found.best_seconds if milliseconds == 0 else own
            counts = told.setdefault(f"{abs(milliseconds)} ms", Counter())
            if found.seconds is None:
                counts["cannot tell"] += 1
                continue
            by = milliseconds / 1000
            counts["right" if abs(found.seconds - by) <= WITHIN_SECONDS else "wrong"] += 1
            counts["right of itself"] += own is not None and abs(found.seconds - own - by) <= WITHIN_SECONDS
            clips[clip].setdefault("told", {})[milliseconds] = found.seconds
    for of_clip in sorted(clips.values(), key=lambda c: -(c["deviations"] or 0)):
        del of_clip["sides"]
        of_clip["deviations"] = None if of_clip["deviations"] is None else round(of_clip["deviations"], 2)
        print(of_clip["clip"], of_clip["kind"], of_clip["deviations"], of_clip.get("told", ""))
    for name, value in {**summary, **told}.items():
        print(f"{name}: {value}")
    if not args.no_save:
        save(__file__, {"summary": summary, "moved": told, "clips": list(clips.values())})


if __name__ == "__main__":
    main()
