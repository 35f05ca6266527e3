"""A shadow: silver computed anew beside the one that readers see, and what tells them apart."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from contracts.runs import RunCounts
from transformer.domain.changes import Status


class Verdict(StrEnum):
    """What promotion would do to a record that readers see."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of bronze that a shadow is made of."""

    entity_ids: tuple[str, ...] = ()
    changed_since: datetime | None = None
    until: datetime | None = None
    """Bronze as it was at this time; None as it is."""

    limit: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every record is in it; then links are made from nothing as well."""
        return not self.entity_ids and self.changed_since is None and self.limit is None

    def as_json(self) -> dict[str, Any]:
        """Return what was asked for."""
        wanted = {
            "entity_ids": list(self.entity_ids),
            "changed_since": self.changed_since and self.changed_since.isoformat(),
            "until": self.until and self.until.isoformat(),
            "limit": self.limit,
        }
        return {name: value for name, value in wanted.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What is remembered of a shadow as a whole."""

    run_id: str
    rules_hash: str
    ruleset_version: int
    requester: str
    is_ready: bool
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Compared:
    """How some entities of a shadow differ from silver."""

    groups: Mapping[tuple[Verdict, Status], int] = field(default_factory=dict)
    """How many, by what would become of the record and by what the rules make of it."""

    def counts(self) -> RunCounts:
        """Return it as a run reports it; a record that the rules reject is a failure."""
        accepted: dict[Verdict, int] = dict.fromkeys(Verdict, 0)
        for (verdict, status), count in self.groups.items():
            if status is not Status.REJECTED:
                accepted[verdict] += count
        total = sum(self.groups.values())
        return RunCounts(
            processed=total,
            new=accepted[Verdict.ADDED],
            changed=accepted[Verdict.CHANGED],
            deleted=accepted[Verdict.REMOVED],
            unchanged=accepted[Verdict.SAME],
            failed=total - sum(accepted.values()),
        )


def name_some(entity_ids: Iterable[str], *, most: int = 5) -> str:
    """Return ids for a sentence: the first few, and how many more there are."""
    ids = list(entity_ids)
    more = f" and {len(ids) - most} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
