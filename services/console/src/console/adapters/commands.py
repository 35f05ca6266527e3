"""Commands on their way out: the outbox row, the audit entry and our own note, all or nothing."""

import uuid
from collections.abc import Mapping
from typing import Any

from chassis.db import Database
from console import metrics
from console.adapters.audit import SERVICE
from console.errors import RefusedError
from contracts.commands import Command
from contracts.topics import Topic

_NOTE = """
insert into console.commands (command_id, topic, target, actor) values ($1, $2, $3, $4)
on conflict do nothing returning true
"""

_NOTED = "select topic = $2 and target = $3 from console.commands where command_id = $1"

_AUDIT = (
    "insert into meta.audit (service, actor, action, subject, details) values ($1, $2, $3, $4, $5)"
)


class OutboxCommands:
    """Gives commands through the outbox; the relay carries them to Kafka."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def send(
        self,
        topic: Topic,
        command: Command,
        *,
        actor: str,
        details: Mapping[str, Any] | None = None,
    ) -> str:
        """Give a command in somebody's name.

        Raises:
            RefusedError: the id is that of another command.
        """
        command_id = command.command_id or str(uuid.uuid4())
        # The requester is whoever is logged on, whatever the form said.
        command = command.model_copy(update={"command_id": command_id, "requester": actor[:100]})
        target = topic.key(command)
        facts = {"command_id": command_id, "dry_run": command.dry_run, "reason": command.reason}
        async with self._database.transaction() as transaction:
            note = (command_id, topic.name, target, actor)
            if not await transaction.connection.fetchval(_NOTE, *note):
                if await transaction.connection.fetchval(_NOTED, *note[:3]):
                    return command_id
                raise RefusedError(f"{command_id!r} is the id of another command.")
            transaction.publish(topic, command, event_id=command_id)
            await transaction.connection.execute(
                _AUDIT, SERVICE, actor, topic.name, target, facts | dict(details or {})
            )
        metrics.COMMANDS.labels(topic.name).inc()
        return command_id
