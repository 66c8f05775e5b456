"""Options of the commands that extract the features of many videos."""

from typing import Annotated

import typer

from avel.features.choices import EngineName

EngineChoice = Annotated[
    EngineName,
    typer.Option(
        help="How videos are worked through: local, one after the other in this process; dask, several at once, in "
        "processes on this computer or on a cluster."
    ),
]

DaskWorkers = Annotated[
    int | None, typer.Option(help="How many processes dask starts on this computer. [default: one for each core]")
]

DaskScheduler = Annotated[
    str | None,
    typer.Option(
        help="The address of a running Dask scheduler, such as tcp://host:8786. Its workers have to see the videos and "
        "what is written under the same paths. [default: dask starts its own processes]"
    ),
]

RetryQuarantined = Annotated[
    bool,
    typer.Option(
        "--retry-quarantined",
        help="Also try videos that made the process that read them crash in a former run. They are left out otherwise.",
    ),
]
