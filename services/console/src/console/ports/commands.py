"""How the console acts: by commands, like everybody else."""

from collections.abc import Mapping
from typing import Any, Protocol

from contracts.commands import Command
from contracts.topics import Topic


class Commands(Protocol):
    """The way out for commands."""

    async def send(
        self,
        topic: Topic,
        command: Command,
        *,
        actor: str,
        details: Mapping[str, Any] | None = None,
    ) -> str:
        """Give a command in somebody's name, and write the audit entry, in one transaction.

        Returns the command's id; `/commands/{id}` follows it to its run. A command that says its
        own id is given once, however often it is asked for.

        Raises:
            RefusedError: the id is that of another command.
        """
        ...
