"""What every command that asks the hub for work does: build it, give it, follow its run."""

from typing import TypeVar

import typer
from pydantic import ValidationError
from rich.console import Console

from contracts.commands import Command
from contracts.runs import RunStatus
from contracts.topics import Topic
from penstock.commands.run_view import RunProgress, tell_end
from penstock.console_api import ConsoleApi, asking
from penstock.runs import RunState, follow_command, read_errors

_MAX_ERRORS = 20

AnyCommand = TypeVar("AnyCommand", bound=Command)


def build(model: type[AnyCommand], **fields: object) -> AnyCommand:
    """Return a command; the console enters who asks.

    Raises:
        BadParameter: something in it cannot be asked for.
    """
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        problems = (": ".join((*map(str, item["loc"][:1]), item["msg"])) for item in error.errors())
        raise typer.BadParameter("; ".join(problems)) from error


def ask(topic: Topic, command: Command, what: str) -> None:
    """Give a command, and say so."""
    with asking() as api:
        command_id = api.give(topic, command)
    typer.echo(f"Asked for {what} (command {command_id}).")


def follow(
    api: ConsoleApi,
    topic: Topic,
    command: Command,
    *,
    what: str,
    patience: float,
    owner: str | None = None,
) -> RunState:
    """Give a command, show its run while it lasts, and return how it ended.

    Args:
        api: The console.
        topic: Where the command goes.
        command: What is asked for.
        what: The work, for people.
        patience: How many seconds to look; the run goes on.
        owner: The service whose work it is, where the topic has several.
    """
    command_id = api.give(topic, command)
    return watch(
        api, command_id, what=what, patience=patience, owner=owner or " or ".join(topic.consumers)
    )


def watch(api: ConsoleApi, command_id: str, *, what: str, patience: float, owner: str) -> RunState:
    """Show the run of a command while it lasts, and return how it ended."""
    console = Console(stderr=True, highlight=False)
    with RunProgress(console, what, owner) as progress:
        state = follow_command(api, command_id, patience_seconds=patience, on_change=progress.show)
    tell_end(console, what[:1].upper() + what[1:], state)
    return state


def tell_errors(api: ConsoleApi, state: RunState, verb: str) -> None:
    """Print the first records that a run could not handle."""
    told = read_errors(api, state.run_id)[:_MAX_ERRORS]
    for external_id, message in told:
        typer.echo(f"{verb} {external_id}: {message}")
    if told and state.counts.failed > len(told):
        typer.echo(f"… and {state.counts.failed - len(told)} more in meta.record_errors")


def exit_unless_completed(state: RunState) -> None:
    """End with exit code 1 where a run did not complete.

    Raises:
        Exit: it did not.
    """
    if state.status is not RunStatus.COMPLETED:
        raise typer.Exit(1)
