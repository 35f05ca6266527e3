"""How whoever asks again says that it is the same command: a schedule that was started twice."""

from typing import Annotated

import typer

CommandId = Annotated[
    str | None,
    typer.Option(
        "--command-id",
        metavar="ID",
        help="Asked again with the same id, nothing more happens: for schedules, "
        "which name it after the time that is due.",
        show_default=False,
    ),
]
"""An option of commands that a schedule sends."""
