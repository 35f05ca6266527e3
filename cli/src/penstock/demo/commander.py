"""Asks the demo's services for work, as the commands of the command line do."""

import asyncio
from dataclasses import dataclass

from contracts.commands import Command
from contracts.runs import RunStatus
from contracts.topics import Topic
from penstock.console_api import asking_hub
from penstock.demo.scenario import DemoError
from penstock.runs import RunState, follow_command
from penstock.settings import HubAccess

REQUESTER = "demo"
REASON = "shown to the user"
_PATIENCE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Commander:
    """Sends commands and waits for what becomes of them."""

    access: HubAccess

    async def follow(
        self, topic: Topic, command: Command, *, expected: RunStatus = RunStatus.COMPLETED
    ) -> RunState:
        """Send a command, and wait until its run has ended as expected.

        Raises:
            DemoError: it ended otherwise.
        """
        state = await asyncio.to_thread(self._follow, topic, command)
        if state.status is not expected:
            raise DemoError(
                f"The run for `{topic.name}` ended as {state.status.value}: {state.message}"
            )
        return state

    def _follow(self, topic: Topic, command: Command) -> RunState:
        with asking_hub(self.access, REQUESTER) as api:
            return follow_command(
                api,
                api.give(topic, command),
                patience_seconds=_PATIENCE_SECONDS,
                on_change=lambda _state: None,
            )
