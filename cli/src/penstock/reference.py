"""The list of commands in the documentation, taken from the command line itself.

`python -m penstock.reference docs/operations/command-line.md` writes it anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperArgument, TyperGroup

from penstock.cli import app

BEGIN = "<!-- commands: written by `python -m penstock.reference` -->"
END = "<!-- end of commands -->"
_WHOLE_SENTENCE = 500


def command_table() -> str:
    """Return a line for every command, in the order of `--help`."""
    rows = _rows(typer.main.get_command(app), "penstock")
    return "\n".join(["| command | does | `--json` |", "|---|---|---|", *rows])


def with_commands(page: str, table: str) -> str:
    """Return a page with this table between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def _rows(command: Any, name: str) -> Iterator[str]:
    if not isinstance(command, TyperGroup) or command.invoke_without_command:
        yield _row(command, name)
    if isinstance(command, TyperGroup):
        for word, inner in command.commands.items():
            if not inner.hidden:
                yield from _rows(inner, f"{name} {word}")


def _row(command: Any, name: str) -> str:
    arguments = [item for item in command.params if isinstance(item, TyperArgument)]
    words = (_word(item) for item in arguments)
    usage = " ".join((name, *words))
    does = command.get_short_help_str(_WHOLE_SENTENCE).replace("|", "&#124;")
    has_json = any("--json" in item.opts for item in command.params)
    return f"| `{usage}` | {does} | {'yes' if has_json else ''} |"


def _word(argument: TyperArgument) -> str:
    text = (argument.metavar or argument.name or "").upper()
    text += "…" if argument.nargs != 1 else ""
    return text if argument.required else f"[{text}]"


def main() -> None:
    """Write the commands into the page that is named."""
    page = Path(sys.argv[1])
    page.write_text(with_commands(page.read_text("utf-8"), command_table()), "utf-8")


if __name__ == "__main__":
    main()
