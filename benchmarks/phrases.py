"""How often a user's words are understood: `avel.data.phrases` on the phrases of ``phrases.toml``.

Of phrases that mean a name: how many are understood rightly, wrongly, and refused, with the right name among those that
the error gives or not. Of phrases that mean nothing that can be heard: how many are taken for something all the same.
The trivial rule beside it takes the nearest name, whatever its similarity.
"""

import tomllib
from pathlib import Path
from typing import Any

from _common import save

from avel.data.phrases import FLOOR, LEAD, Meaning, meanings


def outcome(meaning: Meaning, right: list[str]) -> str:
    if meaning.category is not None:
        return "right" if meaning.name in right else "wrong"
    named = any(name in right for name, _ in meaning.nearest)
    return "refused, right name given" if named else "refused"


def measured(mean: dict[str, list[str]], nothing: list[str]) -> dict[str, Any]:
    found = dict(zip(mean, meanings(list(mean)), strict=True))
    counts = dict.fromkeys(("right", "wrong", "refused, right name given", "refused"), 0)
    nearest_is_right = 0
    for phrase, meaning in found.items():
        said = outcome(meaning, mean[phrase])
        counts[said] += 1
        nearest_is_right += (meaning.nearest[0][0] if meaning.nearest else meaning.name) in mean[phrase]
        if said != "right":
            print(f"  {said}: {meaning}")
    of_nothing = meanings(nothing)
    taken = [str(meaning) for meaning in of_nothing if meaning.category is not None]
    for text in taken:
        print(f"  taken for something: {text}")
    return {
        "phrases": len(mean),
        **counts,
        "names": sum(not meaning.nearest for meaning in found.values()),
        "nearest name, whatever its similarity, is right": nearest_is_right,
        "phrases that mean nothing": len(nothing),
        "taken for something": len(taken),
        "understood": {phrase: str(meaning) for phrase, meaning in found.items()},
    }


def main() -> None:
    sets = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    result: dict[str, Any] = {"floor": FLOOR, "lead": LEAD}
    for name, phrases in sets.items():
        print(f"{name}:")
        result[name] = measured(phrases["mean"], phrases["nothing"])
        print(*(f"  {key}: {value}" for key, value in result[name].items() if isinstance(value, int)), sep="\n")
    save(__file__, result)


if __name__ == "__main__":
    main()
