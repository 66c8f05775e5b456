"""``avel match``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from avel.cli.console import Device, say, usage_errors, warn
from avel.cli.printing import print_json, printable
from avel.wording import counted

if TYPE_CHECKING:
    from avel.matching.localization import MatchingAccuracy


def match(
    video: Annotated[Path, typer.Argument(metavar="VIDEO", help="The video in which the moment is looked for.")],
    model: Annotated[
        Path,
        typer.Option(
            metavar="MATCHER",
            help="The matcher: a run of avel train-matching or of avel train --model avdln, or its "
            "matcher.safetensors. It has to be trained on features that avel can make, so on a feature store or with "
            "--features-of.",
        ),
    ],
    audio: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Find when the sound of this file is seen in the video.")
    ] = None,
    audio_part: Annotated[
        str | None,
        typer.Option(
            metavar="START,END", help="Find when this part of the video's own sound is seen; two numbers, in seconds."
        ),
    ] = None,
    video_part: Annotated[
        str | None,
        typer.Option(
            metavar="START,END", help="Find when this part of the video's pictures is heard; two numbers, in seconds."
        ),
    ] = None,
    audio_track: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="The number of the video's audio track to listen to, 1 for the first one of the file. [default: the "
            "track that the matcher was trained on, or that a player would play]",
        ),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="Write the distance of every start: NAME.json for numbers, NAME.png for a picture. May be given "
            "several times.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a line.")] = False,
    device: Device = "auto",
) -> None:
    """Find the moment of a video at which a sound is seen, or at which pictures are heard.

    The query slides over the other modality in steps of a segment; the start with the smallest distance is the answer.
    """
    with usage_errors():
        from avel.localization.moments import MomentFinder
        from avel.outputs.moments import check_moment_path, write_moment

        for path in output or ():
            check_moment_path(path)
        parts = {"a2v": audio_part, "v2a": video_part}
        if sum(one is not None for one in (audio, audio_part, video_part)) != 1:
            raise ValueError("Give one query: --audio FILE, --audio-part START,END or --video-part START,END.")
        spans = {direction: _span(text) for direction, text in parts.items() if text is not None}
        finder = MomentFinder(model, audio_track=audio_track, device=device)
        for notice in finder.notices if audio is None else ():
            say(f"[yellow]notice:[/yellow] {escape(notice)}")
        if audio is not None:
            found = finder.find_sound(video, audio)
        else:
            ((direction, span),) = spans.items()
            found = finder.find_part(video, direction, *span)  # type: ignore[arg-type]
    for warning in found.warnings:
        warn(warning)
    if as_json:
        print_json(found.to_dict())
    else:
        seen = "seen" if found.direction == "a2v" else "heard"
        print(
            printable(
                f"{found.video}: {seen} from {found.start_seconds:g} to {found.end_seconds:g} s "
                f"(mean distance {min(found.distances):.3f}, of {counted(len(found.distances), 'start')})"
            )
        )
    for path in output or ():
        say(f"wrote {escape(str(write_moment(found, path)))}")


def matching_lines(found: "MatchingAccuracy") -> list[str]:
    """What a matcher reached, beside what needs no learning."""
    return [
        f"exact start found on {counted(found.clips, 'clip')} with a shorter event:",
        f"  pictures from the sound (A2V)  {100 * found.a2v:.1f} %",
        f"  sound from the pictures (V2A)  {100 * found.v2a:.1f} %",
        f"  a random start                 {100 * found.random_start:.1f} %",
        f"  always the last window         {100 * found.last_window:.1f} %",
    ]


def _span(text: str) -> tuple[float, float]:
    try:
        start, end = map(float, text.split(","))
    except ValueError:
        raise ValueError(f"A part is given as START,END in seconds, such as 3,6; got {text!r}.") from None
    return start, end
