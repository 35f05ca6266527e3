"""What executing a plan's transaction has in common, whatever the engine: once, counted, retried.

The note is written in the same transaction as the swap, so after a crash the target itself says
whether the swap happened; the fence refuses a worker that was overtaken while it was away.
"""

import asyncio
import json
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from refresher.domain.plan import ComponentPlan, Plan
from refresher.domain.statements import Statement, Tally
from refresher.errors import SwapBusyError
from refresher.ports import Fence, Swapped

_PAUSE_SECONDS = (0.05, 0.25)


class OthersInTheWayError(Exception):
    """Somebody holds a lock that an attempt needed; nothing was written."""


Tallies = Mapping[str, Mapping[Tally, int]]
"""Per table key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One transaction of a plan, to be executed once."""

    plan: Plan
    component: ComponentPlan
    kind: str
    """`swap` or `undo`."""

    statements: tuple[Statement, ...]
    fence: Fence


@dataclass(slots=True)
class Counter:
    """Tallies while a transaction runs."""

    tallies: dict[str, dict[Tally, int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    locked_at: float | None = None

    def add(self, table: str, tally: Tally, number: int) -> None:
        """Count rows."""
        self.tallies[table][tally] += number

    def lock(self, seconds_ago: float = 0.0) -> None:
        """Remember when the first lock was had."""
        if self.locked_at is None:
            self.locked_at = time.monotonic() - seconds_ago


def read_tallies(text: str) -> Tallies:
    """Return the tallies of a note."""
    return {
        table: {Tally(name): number for name, number in tallies.items()}
        for table, tallies in json.loads(text).items()
    }


async def execute_once(
    work: Exchange, attempt: Callable[[Counter], Awaitable[Tallies | None]]
) -> Swapped:
    """Execute a transaction, again while others hold the locks that it needs.

    Args:
        work: What is executed.
        attempt: Tries once, and counts; returns the tallies of an earlier execution, if it finds
            that there was one; raises `OthersInTheWayError`.

    Raises:
        SwapBusyError: the locks could not be had.
    """
    began = time.monotonic()
    plan = work.plan
    for number in range(1, plan.swap_attempts + 1):
        counter = Counter()
        started = time.monotonic()
        try:
            known = await attempt(counter)
        except OthersInTheWayError:
            await asyncio.sleep(random.uniform(*_PAUSE_SECONDS))  # noqa: S311 - jitter
            continue
        if known is not None:
            return Swapped(tallies=known)
        locked_at = counter.locked_at or started
        return Swapped(
            tallies={table: dict(found) for table, found in counter.tallies.items()},
            wait_seconds=round(locked_at - began, 4),
            lock_seconds=round(time.monotonic() - locked_at, 4),
            attempts=number,
        )
    raise SwapBusyError(
        f"{work.component.name}: others use the table; no lock within {plan.lock_timeout_ms} ms "
        f"in {plan.swap_attempts} attempts"
    )
