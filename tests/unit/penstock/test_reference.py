import pytest
from typer.testing import CliRunner

from penstock import cli
from penstock.reference import BEGIN, END, command_table, with_commands
from tests.support.paths import PROJECT

PAGE = PROJECT / "docs" / "operations" / "command-line.md"

READS = (
    "doctor",
    "explain",
    "runs",
    "simulate",
    "status",
    "dlq list",
    "dlq show",
    "drift list",
    "drift show",
    "refresh history",
    "refresh plan",
    "refresh status",
    "sources list",
    "sources show",
    "tokens list",
    "topics list",
    "users list",
    "wrds status",
)


def test_the_page_lists_every_command() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_commands(page, command_table()), (
        f"run `python -m penstock.reference {PAGE.relative_to(PROJECT)}`"
    )


@pytest.mark.parametrize("command", READS)
def test_what_is_read_can_be_read_by_programs(command: str) -> None:
    (row,) = [
        line
        for line in command_table().splitlines()
        if line.startswith((f"| `penstock {command}` |", f"| `penstock {command} "))
    ]
    assert row.endswith("| yes |")


def test_only_what_stands_between_the_marks_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    assert with_commands(page, "new") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_completes_commands(shell: str) -> None:
    told = CliRunner().invoke(cli.app, ["--show-completion", shell], prog_name="penstock")
    assert told.exit_code == 0
    assert "_PENSTOCK_COMPLETE" in told.stdout
    words = {"_PENSTOCK_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "penstock us"}
    completed = CliRunner().invoke(cli.app, [], prog_name="penstock", env=words)
    assert '"users"' in completed.stdout
