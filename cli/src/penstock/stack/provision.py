"""What a part gets as soon as it is ready, before any client may use it.

The one place where the launcher meets the contracts: a step takes the part's exports and must be
safe to repeat, because a part that was restarted runs its steps again.
"""

from collections.abc import Awaitable, Callable, Mapping

from penstock.stack.model import PartName

Step = Callable[[Mapping[str, str]], Awaitable[None]]

STEPS: Mapping[PartName, tuple[Step, ...]] = {}


async def provision(part: PartName, env: Mapping[str, str]) -> None:
    """Run the steps of `part`; only for parts that this stack started itself."""
    for step in STEPS.get(part, ()):
        await step(env)
