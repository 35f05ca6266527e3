"""The difference between what silver holds and what it should hold."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import assert_never

from transformer.domain.records import Absent, Merged, Outcome, Rejected


class Status(StrEnum):
    """Whether an entity stands in silver."""

    LIVE = "live"
    RETIRED = "retired"
    """No live bronze record, or none yet."""

    REJECTED = "rejected"
    """Its record breaks a validation."""


@dataclass(frozen=True, slots=True)
class State:
    """What silver remembers about an entity."""

    status: Status = Status.RETIRED
    version: int = 0
    """Counts the states that readers have seen; 0 before the first."""

    content_hash: str | None = None
    state_hash: str | None = None
    quality: tuple[Decimal, tuple[str, ...], int] | None = None
    """Score, flags and ruleset version of the last record."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written about one entity."""

    outcome: Outcome
    version: int
    was: Status
    is_visible: bool
    """Whether readers see a difference: then there is an event and a line in the history."""

    is_new_quality: bool
    """Whether the score, the flags or the rules differ from the last ones."""

    @property
    def entity_id(self) -> str:
        """Whom it concerns."""
        return self.outcome.entity_id


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be written about several entities; whoever is in none of the lists stays as
    is.
    """

    upserted: list[tuple[Change, Merged]] = field(default_factory=list)
    """Records to write; those that are not visible differ in basis, rules or provenance only."""

    retired: list[tuple[Change, Absent]] = field(default_factory=list)
    rejected: list[tuple[Change, Rejected]] = field(default_factory=list)
    unchanged: int = 0

    @property
    def all(self) -> list[Change]:
        """Every change, in order of entities."""
        pairs = [*self.upserted, *self.retired, *self.rejected]
        return sorted((change for change, _ in pairs), key=lambda change: change.entity_id)


def compare(states: Mapping[str, State], outcomes: Iterable[Outcome]) -> Changes:
    """Find out what must be written.

    An outcome equal to the stored state, down to the bronze versions behind it, needs nothing:
    that is what makes redelivered events harmless.
    """
    changes = Changes()
    unchanged = 0
    for outcome in outcomes:
        state = states.get(outcome.entity_id, State())
        if state.state_hash == outcome.state_hash:
            unchanged += 1
            continue
        change = _change(state, outcome)
        match outcome:
            case Merged():
                changes.upserted.append((change, outcome))
            case Absent():
                changes.retired.append((change, outcome))
            case Rejected():
                changes.rejected.append((change, outcome))
            case _:
                assert_never(outcome)
    return Changes(changes.upserted, changes.retired, changes.rejected, unchanged)


def _change(state: State, outcome: Outcome) -> Change:
    is_live = state.status is Status.LIVE
    if isinstance(outcome, Merged):
        is_visible = not is_live or state.content_hash != outcome.content_hash
    else:
        is_visible = is_live
    return Change(
        outcome=outcome,
        version=state.version + is_visible,
        was=state.status,
        is_visible=is_visible,
        is_new_quality=isinstance(outcome, Merged) and state.quality != outcome.quality,
    )
