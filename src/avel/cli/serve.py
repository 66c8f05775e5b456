"""``avel serve``."""

from typing import Annotated

import typer
from rich.markup import escape

from avel.cli.console import Device, fail, say, usage_errors


def serve(
    videos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="VIDEO|DIR|RESULTS",
            help="Video files, a folder of videos, a text file (.txt) with a path a line; or a folder of results of "
            "avel localize, or one of its JSON files. Without any, videos are uploaded in the page.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="The folder for results and corrections. [default: avel-results in the folder of the videos; results "
            "that are opened stay where they are]",
        ),
    ] = None,
    library: Annotated[
        str | None,
        typer.Option(
            metavar="LIBRARY",
            help="A folder that avel index made: the page then finds moments in it by words, and those like an event.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes any that is free.")] = 8765,
    host: Annotated[
        str | None,
        typer.Option(
            help="The address to listen on, such as 0.0.0.0 for all of this machine's, so that other machines can open "
            "the page. They need the link that is printed, which holds a token; use it on networks that you trust. "
            "[default: 127.0.0.1, this machine alone]"
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in this machine's browser.")] = False,
    model: Annotated[
        str, typer.Option(help="What finds the events: agreement, or a checkpoint that avel train wrote.")
    ] = "agreement",
    categories: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE|FILE|WORDS",
            help="The event categories to look for: everyday, ave, a TOML file, or English words, separated by commas; "
            "for agreement only. [default: everyday]",
        ),
    ] = None,
    segment_seconds: Annotated[
        float | None,
        typer.Option(help="The length of a segment in seconds; for agreement only. [default: 1]"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="How the networks compute: float32, float16, or int8, for networks that know it, as VGG-19 does and "
            "agreement's do not. [default: float16]"
        ),
    ] = None,
    device: Device = "auto",
    audio_tagger: Annotated[
        str | None,
        typer.Option(help="The network that listens: yamnet, yamnet-onnx, embedded or auto. [default: auto]"),
    ] = None,
    upload_megabytes: Annotated[
        int, typer.Option(min=0, help="The largest video that can be uploaded in the page, in MiB; 0 takes none.")
    ] = 4096,
    upload_minutes: Annotated[
        float, typer.Option(min=0, help="The longest video that can be uploaded in the page, in minutes.")
    ] = 240,
) -> None:
    """Look at results in a browser: play, correct, export; and localize more videos there.

    Everything stays on this machine. Ctrl-C ends it.
    """
    with usage_errors():
        try:
            from avel.web.serve import serve as run
            from avel.web.uploads import UploadLimits
        except ModuleNotFoundError as error:
            if error.name not in ("starlette", "uvicorn", "sse_starlette"):
                raise
            fail("The page needs packages that are not installed. Install them with: pip install 'avel[web]'")
        run(
            videos or [],
            output=output,
            library=library,
            host=host,
            port=port,
            settings={
                "model": model,
                "categories": categories,
                "segment_seconds": segment_seconds,
                "precision": precision,
                "device": device,
                "audio_tagger": audio_tagger,
            },
            limits=UploadLimits(upload_megabytes << 20, upload_minutes * 60),
            open_browser=open_browser,
            say=lambda line: say(escape(line)),
        )
