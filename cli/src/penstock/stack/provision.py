"""What a part gets as soon as it is ready, before any client may use it.

The one place where the launcher meets the contracts: a step takes the part's exports and must be
safe to repeat, because a part that was restarted runs its steps again.
"""

from collections.abc import Awaitable, Callable, Mapping

from chassis.bus.topics import apply_topics
from chassis.errors import TransientError
from chassis.settings import KafkaSettings
from contracts.topics import topic_specs
from penstock.stack.errors import StackError
from penstock.stack.model import PartName

Step = Callable[[Mapping[str, str]], Awaitable[object]]


async def create_topics(env: Mapping[str, str]) -> None:
    """Create the topics of the contracts, with their partitions, retention and size limits."""
    await apply_topics(KafkaSettings.model_validate(env), topic_specs())


STEPS: Mapping[PartName, tuple[Step, ...]] = {PartName.KAFKA: (create_topics,)}


async def provision(part: PartName, env: Mapping[str, str]) -> None:
    """Run the steps of `part`; only for parts that this stack started itself."""
    try:
        for step in STEPS.get(part, ()):
            await step(env)
    except TransientError as error:
        raise StackError(f"{part.value} started but could not be set up: {error}.") from error
