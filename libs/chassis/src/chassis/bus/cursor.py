"""Where one partition stands in memory, and whether what a poll returned follows on.

Pure decisions, so that every odd log can be tested by hand: expired records, a topic that was
deleted and created again, a poll that was under way during a seek.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from chassis.bus.positions import Position
from chassis.bus.records import Record


@dataclass(frozen=True, slots=True)
class Admitted:
    """Apply these records."""

    records: list[Record]
    missing: int = 0
    """How many offsets before them were never seen: the broker expired them."""


@dataclass(frozen=True, slots=True)
class Reread:
    """Seek to the position again and look once more."""

    offset: int


@dataclass(frozen=True, slots=True)
class StartOver:
    """The log is not the one that was read before: read it from its beginning."""

    reason: str


Verdict: TypeAlias = Admitted | Reread | StartOver


@dataclass(slots=True)
class Cursor:
    """The position of an assigned partition."""

    next_offset: int
    anchor: str | None = None
    """What the record before the position must look like; None once it was read again."""

    suspicion: Literal["rewound", "gap"] | None = None
    """What the records of the last poll looked like; believed when a second look is the same.

    A poll under way during a seek returns records from before it.
    """

    def judge(self, records: list[Record]) -> Verdict:
        """Say what to do with the records of a poll; never empty, in order."""
        first = records[0]
        looks = self._look(first.offset)
        if looks is not None and looks != self.suspicion:
            self.suspicion = looks
            return Reread(self.next_offset)
        if looks == "rewound":
            return StartOver(looks)
        anchor, self.anchor = self.anchor, None
        if first.offset == self.next_offset - 1 and anchor not in (None, first.fingerprint):
            return StartOver("recreated")
        self.suspicion = None
        missing = first.offset - self.next_offset
        if missing >= 0:
            return Admitted(records, missing)
        return Admitted([record for record in records if record.offset >= self.next_offset])

    def _look(self, offset: int) -> Literal["rewound", "gap"] | None:
        if offset < self.next_offset - 1:
            return "rewound"
        return "gap" if offset > self.next_offset else None


def misfit(position: Position | None, begin: int, end: int) -> str | None:
    """Return why a stored position cannot belong to a log from `begin` to `end`, or None."""
    if position is None:
        return None
    if position.next_offset > end:
        return "beyond-end"
    if position.next_offset < begin:
        return "expired-unread"
    return None
