"""Options that many commands have, and what `--json` prints."""

from typing import Annotated

import orjson
import typer

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Reason = Annotated[
    str | None, typer.Option(help="Why; stands in the audit trail.", show_default=False)
]
Wait = Annotated[
    bool, typer.Option("--wait", help="Follow the run; exit code 1 unless it completes.")
]
Patience = Annotated[
    float, typer.Option("--timeout", min=1, metavar="SECONDS", help="How long to --wait.")
]
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


def print_json(document: object) -> None:
    """Print a document for programs."""
    typer.echo(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
