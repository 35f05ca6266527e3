"""Asks the demo's services for work, as any Kafka client could."""

from dataclasses import dataclass

from contracts.commands import Command
from contracts.runs import RunStatus
from contracts.topics import Topic
from penstock.demo.scenario import DemoError
from penstock.messages import reading, send_command
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
        refused = [topic.dead_letters_of(owner) for owner in topic.consumers]
        async with reading(self.access.kafka, refused, from_end=True) as dead_letters:
            state = await follow_command(
                self.access.database,
                await send_command(self.access.kafka, topic, command),
                dead_letters=dead_letters,
                patience_seconds=_PATIENCE_SECONDS,
                on_change=lambda _state: None,
            )
        if state.status is not expected:
            raise DemoError(
                f"The run for `{topic.name}` ended as {state.status.value}: {state.message}"
            )
        return state
