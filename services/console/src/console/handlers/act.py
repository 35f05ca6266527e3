"""What can be done with a run: stop it, or ask for the same again."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from console.errors import RefusedError
from console.ports.commands import Commands
from console.ports.runs import RunDetail
from contracts.commands import Command, RunCancelRequested
from contracts.topics import RUN_CANCEL_REQUESTED, TOPICS

_OF_THE_FIRST_TIME = ("command_id", "requester", "expires_at")
"""What a command says about itself, not about the work."""

_COMMANDS = {topic.name: topic for topic in TOPICS if topic.is_command}


async def cancel_run(run: RunDetail, commands: Commands, *, actor: str) -> str:
    """Give the command that stops a run; return its id.

    Raises:
        RefusedError: it has ended.
    """
    line = run.line
    if not line.is_open:
        raise RefusedError(f"The run has ended: {line.status}.")
    command = RunCancelRequested(run_id=str(line.run_id))
    return await commands.send(
        RUN_CANCEL_REQUESTED,
        command,
        actor=actor,
        details={"service": line.service, "kind": line.kind, "run_target": line.target},
    )


async def repeat_run(
    run: RunDetail, topic_name: str, *, body: Mapping[str, Any], commands: Commands, actor: str
) -> str:
    """Give the command of a run again; return the new one's id.

    Raises:
        RefusedError: the run goes on, or its command is of a kind that exists no more.
    """
    if run.line.is_open:
        raise RefusedError("The run has not ended yet.")
    topic = _COMMANDS.get(topic_name)
    if topic is None:
        raise RefusedError(f"`{topic_name}` is no command of this version.")
    again = {name: value for name, value in body.items() if name not in _OF_THE_FIRST_TIME}
    try:
        command = topic.data.model_validate(again)
    except ValidationError as error:
        raise RefusedError("The command has changed since; give it on its own page.") from error
    if not isinstance(command, Command):
        raise RefusedError(f"`{topic_name}` carries no command.")
    details = {"again": str(run.line.run_id)}
    return await commands.send(topic, command, actor=actor, details=details)
