"""Many events of one path to the little that is left to do.

Only the present state of a file can be fetched. Of a run of changes, therefore, the last says all;
a deletion in between is kept, because what came before it ended there.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from contracts.files import FileChange

Key = TypeVar("Key", bound=Hashable)


class Change(Protocol):
    """The part of an event that decides."""

    @property
    def change(self) -> FileChange:
        """What happened."""
        ...

    @property
    def sequence(self) -> int | None:
        """Its place among the events of the path."""
        ...


Event = TypeVar("Event", bound=Change)


@dataclass(slots=True)
class PathPlan(Generic[Event]):
    """What is left to do for one path: first the deletion, then the file as it is now."""

    deletion: Event | None = None
    update: Event | None = None
    superseded: int = 0
    """Events that later ones made pointless."""

    duplicates: int = 0
    """Events at or below one that was applied, or read, before."""


def plan_paths(
    events: Iterable[tuple[Key, Event]], applied: dict[Key, int]
) -> dict[Key, PathPlan[Event]]:
    """Reduce events, in order, to one plan per path.

    Args:
        events: As they arrived; a re-published event may arrive after its successors.
        applied: The last sequence applied, for the paths that have one.
    """
    seen = dict(applied)
    plans: dict[Key, PathPlan[Event]] = {}
    for key, event in events:
        plan = plans.setdefault(key, PathPlan())
        if event.sequence is not None and event.sequence <= seen.get(key, -1):
            plan.duplicates += 1
            continue
        if event.sequence is not None:
            seen[key] = event.sequence
        _add(plan, event)
    return plans


def _add(plan: PathPlan[Event], event: Event) -> None:
    plan.superseded += plan.update is not None
    if event.change is FileChange.DELETED:
        plan.superseded += plan.deletion is not None
        plan.deletion, plan.update = event, None
    else:
        plan.update = event
