"""What the default localizer finds in clips whose content was written down by looking and listening.

Prints, for each clip of ``data/media/events/labels.csv``, what is labelled and what was found, and in total how many
labelled events were found and how many clips without one of the 28 categories gave a false event. Labels say what is in
a clip, not when, so an event is found when its category is an audio-visual event anywhere in the clip.

Speech is labelled "other:Speech" without saying whose: in a clip whose speaker is seen, an event of men's or women's
speech is right; where the speaker is not seen it is false.
"""

import argparse
import csv
from typing import Any

from _common import SHARED, save

from avel.localization.localizer import Localizer

SPEECH = {"Male speech, man speaking", "Female speech, woman speaking"}


def judge(row: dict[str, str], found: set[str]) -> dict[str, Any]:
    """Labelled categories that were found and missed, and found categories that are not there."""
    labelled = set() if row["category"].startswith("other:") else set(row["category"].split("|"))
    allowed = SPEECH if row["category"] == "other:Speech" and row["audio_visual"] == "yes" else set()
    return {
        "clip": row["file"],
        "labelled": row["category"],
        "seen and heard": row["audio_visual"],
        "found": sorted(found & labelled),
        "missed": sorted(labelled - found),
        "false": sorted(found - labelled - allowed),
        "also right": sorted(found & allowed),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--verbose", action="store_true", help="print every event with its times")
    parser.add_argument("--audio-tagger", choices=("yamnet", "embedded"), default="yamnet")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    folder = SHARED / "data" / "media" / "events"
    localizer = Localizer(audio_tagger=args.audio_tagger)
    rows = []
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            result = localizer(folder / row["file"])
            events = [e for e in result.events if e.modality == "audio-visual"]
            judged = judge(row, {e.category for e in events})
            rows.append(judged)
            print(
                f"{row['file']:26} {row['category']:32} found {judged['found']} missed {judged['missed']} "
                f"false {judged['false']} also right {judged['also right']}"
            )
            if args.verbose:
                for e in result.events:
                    print(f"    {e.start_seconds:5.1f}-{e.end_seconds:5.1f} {e.modality:12} {e.score:.2f} {e.category}")
    labelled = sum(len(row["found"]) + len(row["missed"]) for row in rows)
    found = sum(len(row["found"]) for row in rows)
    others = [row for row in rows if row["labelled"].startswith("other:")]
    false_others = [row for row in others if row["false"]]
    false_labelled = [row for row in rows if not row["labelled"].startswith("other:") and row["false"]]
    labelled_clips = len(rows) - len(others)
    summary = {
        "labelled events found": f"{found} of {labelled}",
        "clips without one of the 28 categories that gave a false event": f"{len(false_others)} of {len(others)}",
        "clips with a labelled event that gave a false one besides": f"{len(false_labelled)} of {labelled_clips}",
    }
    print()
    for name, value in summary.items():
        print(f"{name}: {value}")
    if not args.no_save:
        save(
            __file__.replace(".py", f"_{args.audio_tagger}.py"),
            {"backbones": localizer.backbone_names, "summary": summary, "clips": rows},
        )


if __name__ == "__main__":
    main()
