"""The words in which a change of a schema is told: in `meta.drifts`, by whoever detects it, to
whoever shows it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from contracts.schemas import DriftKind

ABSENT = "absent"
"""Stands among a field's types where its absence was accepted."""


class DriftStatus(StrEnum):
    """What became of a change."""

    NOTED = "noted"
    """Additive: nothing to decide."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class FieldEffect(StrEnum):
    """What happened to one field."""

    ADDED = "added"
    WIDENED = "widened"
    """Its new type holds every value of the old one."""

    RETYPED = "retyped"
    REMOVED = "removed"
    """Gone, or called something else."""


_BREAKING = (FieldEffect.RETYPED, FieldEffect.REMOVED)


@dataclass(frozen=True, slots=True, order=True)
class FieldChange:
    """One field that is not as it was known."""

    field: str
    effect: FieldEffect
    old: str | None
    new: str | None

    @property
    def is_breaking(self) -> bool:
        """Whether its readers cannot go on as before."""
        return self.effect in _BREAKING

    def as_json(self) -> dict[str, str | None]:
        """Return the change as `meta.drifts` holds it."""
        return {
            "field": self.field,
            "effect": self.effect.value,
            "old": self.old,
            "new": self.new,
        }

    def __str__(self) -> str:
        """Return the change as a line of a diff."""
        match self.effect:
            case FieldEffect.ADDED:
                return f"+ {self.field} ({self.new})"
            case FieldEffect.REMOVED:
                return f"- {self.field} ({self.old})"
            case FieldEffect.WIDENED:
                return f"~ {self.field} ({self.old} → {self.new})"
            case FieldEffect.RETYPED:
                return f"! {self.field} ({self.old} → {self.new})"


def kind_of(changes: Iterable[FieldChange]) -> DriftKind:
    """Return how much changes hurt together."""
    breaks = any(change.is_breaking for change in changes)
    return DriftKind.BREAKING if breaks else DriftKind.ADDITIVE


def change_of(document: dict[str, str | None]) -> FieldChange:
    """Return the change that `FieldChange.as_json` wrote."""
    return FieldChange(
        field=document["field"] or "",
        effect=FieldEffect(document["effect"] or ""),
        old=document["old"],
        new=document["new"],
    )
